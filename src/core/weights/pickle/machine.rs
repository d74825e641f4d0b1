//! The stack machine.

use std::collections::HashMap;
use std::io::Read;

use super::heap::{Heap, Id, NONE, Span, Value};
use super::input::Input;
use super::known::Known;
use crate::core::weights::header::shown;
use crate::core::weights::source::Budget;
use crate::core::weights::trouble::{Result, damaged, refused};

/// What a pickle holds.
pub struct Loaded {
    pub heap: Heap,
    pub root: Id,
}

/// Reads one pickle, up to its STOP.
pub fn load<R: Read>(input: &mut Input<R>, budget: &Budget) -> Result<Loaded> {
    let mut machine =
        Machine { heap: Heap::new(budget.clone()), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), input };
    let root = machine.run()?;
    let Machine { heap, .. } = machine;
    Ok(Loaded { heap, root })
}

/// Longest line of the text protocols, in bytes.
const LINE: u64 = 64 << 20;
/// Longest name of a class or function with its module, in bytes. Names are looked at again and again.
const NAME: u64 = 4 << 10;

pub(super) struct Machine<'a, R> {
    pub heap: Heap,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    input: &'a mut Input<R>,
}

impl<R: Read> Machine<'_, R> {
    fn run(&mut self) -> Result<Id> {
        loop {
            let op = self.input.byte()?;
            if op == b'.' {
                return self.pop();
            }
            self.step(op)?;
        }
    }

    fn step(&mut self, op: u8) -> Result<()> {
        match op {
            // Protocol and frames: nothing to do. A frame's length is not believed.
            0x80 => match self.input.byte()? {
                0..=5 => Ok(()),
                n => damaged(format!("its pickle has protocol {n}")),
            },
            0x95 => self.input.array::<8>().map(drop),
            // The stack.
            b'(' => {
                self.heap.budget.take(2 * size_of::<usize>() as u64)?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => {
                // POP also takes a mark that nothing was pushed above.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                    return Ok(());
                }
                self.pop().map(drop)
            }
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.push(top)
            }
            // Constants and numbers.
            b'N' => self.push(NONE),
            0x88 => self.push_value(Value::Bool(true)),
            0x89 => self.push_value(Value::Bool(false)),
            b'K' => {
                let n = self.input.byte()?;
                self.push_value(Value::Int(n.into()))
            }
            b'M' => {
                let n = u16::from_le_bytes(self.input.array()?);
                self.push_value(Value::Int(n.into()))
            }
            b'J' => {
                let n = i32::from_le_bytes(self.input.array()?);
                self.push_value(Value::Int(n.into()))
            }
            0x8a => {
                let length = self.input.byte()?;
                self.long(length.into())
            }
            0x8b => {
                let length = u32::from_le_bytes(self.input.array()?);
                self.long(length.into())
            }
            b'G' => {
                let x = f64::from_be_bytes(self.input.array()?);
                self.push_value(Value::Float(x))
            }
            b'I' | b'L' => self.int_line(),
            b'F' => self.float_line(),
            // Texts and bytes.
            0x8c | b'U' => {
                let n = self.input.byte()?;
                self.text(n.into(), Value::Str)
            }
            b'X' | b'T' => {
                let n = u32::from_le_bytes(self.input.array()?);
                self.text(n.into(), Value::Str)
            }
            0x8d => {
                let n = u64::from_le_bytes(self.input.array()?);
                self.text(n, Value::Str)
            }
            b'C' => {
                let n = self.input.byte()?;
                self.text(n.into(), Value::Bytes)
            }
            b'B' => {
                let n = u32::from_le_bytes(self.input.array()?);
                self.text(n.into(), Value::Bytes)
            }
            0x8e | 0x96 => {
                let n = u64::from_le_bytes(self.input.array()?);
                self.text(n, Value::Bytes)
            }
            b'V' => {
                let span = self.line()?;
                self.push_value(Value::Str(span))
            }
            b'S' => self.quoted_line(),
            // Containers.
            b')' => {
                let tuple = self.heap.add_tuple(&[])?;
                self.push(tuple)
            }
            b't' => {
                let items = self.pop_mark()?;
                let tuple = self.heap.add_tuple(&items)?;
                self.push(tuple)
            }
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(op - 0x84)).filter(|at| *at >= self.floor());
                let Some(from) = from else { return self.underflow() };
                let items = self.stack.split_off(from);
                let tuple = self.heap.add_tuple(&items)?;
                self.push(tuple)
            }
            b']' | 0x8f => {
                let list = self.heap.add_list()?;
                self.push(list)
            }
            b'}' => {
                let dict = self.heap.add_dict()?;
                self.push(dict)
            }
            b'l' | 0x91 => {
                let items = self.pop_mark()?;
                let list = self.heap.add_list()?;
                self.heap.extend(list, &items)?;
                self.push(list)
            }
            b'd' => {
                let items = self.pop_mark()?;
                let dict = self.heap.add_dict()?;
                self.update(dict, &items)?;
                self.push(dict)
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.extend(&items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                let dict = self.top()?;
                self.update(dict, &[key, value])
            }
            b'u' => {
                let items = self.pop_mark()?;
                let dict = self.top()?;
                self.update(dict, &items)
            }
            // The memo.
            b'p' => {
                let n = self.number_line()?;
                self.remember(n)
            }
            b'q' => {
                let n = self.input.byte()?;
                self.remember(n.into())
            }
            b'r' => {
                let n = u32::from_le_bytes(self.input.array()?);
                self.remember(n)
            }
            0x94 => self.remember(u32::try_from(self.memo.len()).unwrap_or(u32::MAX)),
            b'g' => {
                let n = self.number_line()?;
                self.recall(n)
            }
            b'h' => {
                let n = self.input.byte()?;
                self.recall(n.into())
            }
            b'j' => {
                let n = u32::from_le_bytes(self.input.array()?);
                self.recall(n)
            }
            // Classes, functions and calls: kept, never made.
            b'c' => {
                let name = self.dotted_lines()?;
                self.global(name)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Str(name), Value::Str(module)) = (self.heap.get(name), self.heap.get(module)) else {
                    return self.wrong("a class's name is no text");
                };
                let name = self.joined(module, name)?;
                self.global(name)
            }
            b'R' | 0x81 => {
                let (args, callee) = (self.pop()?, self.pop()?);
                let made = self.call(callee, args)?;
                self.push(made)
            }
            0x92 => {
                let (kwargs, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                let object = self.heap.add_object(class, args, Some(kwargs))?;
                self.push(object)
            }
            b'o' => {
                let items = self.pop_mark()?;
                let Some((class, args)) = items.split_first() else { return self.underflow() };
                let args = self.heap.add_tuple(args)?;
                let object = self.call(*class, args)?;
                self.push(object)
            }
            b'i' => {
                let name = self.dotted_lines()?;
                let items = self.pop_mark()?;
                self.global(name)?;
                let class = self.pop()?;
                let args = self.heap.add_tuple(&items)?;
                let object = self.call(class, args)?;
                self.push(object)
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                self.heap.set_state(object, state);
                Ok(())
            }
            b'Q' => {
                let id = self.pop()?;
                let value = self.persistent(id)?;
                self.push(value)
            }
            b'P' => refused("has a pickle with persistent ids as text, which PyTorch does not write"),
            0x82..=0x84 => refused("has a pickle that uses Python's extension registry, which is not read"),
            0x97 | 0x98 => refused("has a pickle with buffers outside of it, which is not read"),
            _ => self.wrong(&format!("there is no opcode {op:#04x}")),
        }
    }

    pub fn wrong<T>(&self, what: &str) -> Result<T> {
        damaged(format!("its pickle is wrong before byte {}: {what}", self.input.position()))
    }

    fn underflow<T>(&self) -> Result<T> {
        self.wrong("an operation lacks its operands")
    }

    /// The lowest place of the stack that an operation may take from.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn push(&mut self, id: Id) -> Result<()> {
        if self.stack.len() == self.stack.capacity() {
            self.heap.budget.take((self.stack.len().max(16) * size_of::<Id>()) as u64)?;
        }
        self.stack.push(id);
        Ok(())
    }

    fn push_value(&mut self, value: Value) -> Result<()> {
        let id = self.heap.add(value)?;
        self.push(id)
    }

    fn pop(&mut self) -> Result<Id> {
        if self.stack.len() <= self.floor() {
            return self.underflow();
        }
        self.stack.pop().map_or_else(|| self.underflow(), Ok)
    }

    fn top(&self) -> Result<Id> {
        match self.stack.last() {
            Some(id) if self.stack.len() > self.floor() => Ok(*id),
            _ => self.underflow(),
        }
    }

    /// What was pushed since the last mark.
    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        match self.marks.pop() {
            Some(at) if at <= self.stack.len() => {
                let items = self.stack.split_off(at);
                // Freed again at once, but it was there.
                self.heap.budget.take(size_of_val(items.as_slice()) as u64)?;
                self.heap.budget.give_back(size_of_val(items.as_slice()) as u64);
                Ok(items)
            }
            _ => self.wrong("an operation lacks its mark"),
        }
    }

    fn extend(&mut self, items: &[Id]) -> Result<()> {
        let list = self.top()?;
        if self.heap.extend(list, items)? { Ok(()) } else { self.wrong("what is no list is appended to") }
    }

    fn update(&mut self, dict: Id, items: &[Id]) -> Result<()> {
        if !items.len().is_multiple_of(2) {
            return self.wrong("a dict has a key without a value");
        }
        if self.heap.update(dict, items)? { Ok(()) } else { self.wrong("what is no dict is given items") }
    }

    fn remember(&mut self, n: u32) -> Result<()> {
        let top = self.top()?;
        if self.memo.insert(n, top).is_none() {
            // A hash table is half full at worst; while it grows, the old one is there too.
            self.heap.budget.take(32)?;
        }
        Ok(())
    }

    fn recall(&mut self, n: u32) -> Result<()> {
        match self.memo.get(&n) {
            Some(id) => self.push(*id),
            None => self.wrong(&format!("it recalls value {n}, which it never remembered")),
        }
    }

    fn text(&mut self, length: u64, kind: fn(Span) -> Value) -> Result<()> {
        self.input.check(length)?;
        let span = self.heap.add_text(length, |out| self.input.append(length, out))?;
        self.push_value(kind(span))
    }

    fn line(&mut self) -> Result<Span> {
        self.with_line(|heap, line| {
            heap.add_text(line.len() as u64, |out| {
                out.extend_from_slice(line);
                Ok(())
            })
        })
    }

    /// Reads a line, which is paid for as long as it is there.
    fn with_line<T>(&mut self, look: impl FnOnce(&mut Heap, &[u8]) -> Result<T>) -> Result<T> {
        let mut line = Vec::new();
        self.input.line(LINE, &mut line, &self.heap.budget)?;
        let looked = look(&mut self.heap, &line);
        self.heap.budget.give_back(line.capacity() as u64);
        looked
    }

    fn line_text(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.input.line(1000, &mut line, &self.heap.budget)?;
        self.heap.budget.give_back(line.capacity() as u64);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn number_line(&mut self) -> Result<u32> {
        let line = self.line_text()?;
        line.parse().or_else(|_| self.wrong("a memo's number is no number"))
    }

    /// `I01` and `I00` are booleans; `L` ends in one.
    fn int_line(&mut self) -> Result<()> {
        let line = self.line_text()?;
        match line.as_str() {
            "00" => return self.push_value(Value::Bool(false)),
            "01" => return self.push_value(Value::Bool(true)),
            _ => {}
        }
        let digits = line.strip_suffix('L').unwrap_or(&line);
        if let Ok(n) = digits.parse::<i64>() {
            return self.push_value(Value::Int(n));
        }
        match digits.parse::<i128>() {
            Ok(n) => self.big(&n.to_le_bytes()),
            Err(_) => self.wrong("a number is no number"),
        }
    }

    fn float_line(&mut self) -> Result<()> {
        let line = self.line_text()?;
        match line.parse() {
            Ok(x) => self.push_value(Value::Float(x)),
            Err(_) => self.wrong("a number is no number"),
        }
    }

    /// A text of protocol 0: Python's `repr` of it.
    fn quoted_line(&mut self) -> Result<()> {
        let span = self.with_line(|heap, line| match line {
            [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => heap
                .add_text(inner.len() as u64, |out| {
                    unescape(inner, out);
                    Ok(())
                })
                .map(Some),
            _ => Ok(None),
        })?;
        match span {
            Some(span) => self.push_value(Value::Str(span)),
            None => self.wrong("a text has no quotes"),
        }
    }

    fn long(&mut self, length: u64) -> Result<()> {
        self.input.check(length)?;
        let mut bytes = Vec::new();
        // Numbers of more digits than any that is written are kept as they are, and counted.
        if length > 16 {
            let span = self.heap.add_text(length, |out| self.input.append(length, out))?;
            return self.push_value(Value::Big(span));
        }
        self.input.append(length, &mut bytes)?;
        let filler = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
        bytes.resize(16, filler);
        let n = i128::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default());
        match i64::try_from(n) {
            Ok(n) => self.push_value(Value::Int(n)),
            Err(_) => self.big(&n.to_le_bytes()),
        }
    }

    fn big(&mut self, bytes: &[u8]) -> Result<()> {
        let span = self.heap.add_text(bytes.len() as u64, |out| {
            out.extend_from_slice(bytes);
            Ok(())
        })?;
        self.push_value(Value::Big(span))
    }

    /// The two lines of GLOBAL and INST as `module.name`.
    fn dotted_lines(&mut self) -> Result<Span> {
        let (mut name, mut second) = (Vec::new(), Vec::new());
        self.input.line(NAME, &mut name, &self.heap.budget)?;
        self.input.line(NAME, &mut second, &self.heap.budget)?;
        self.heap.budget.give_back((name.capacity() + second.capacity()) as u64);
        name.push(b'.');
        name.extend(second);
        self.heap.add_text(name.len() as u64, |out| {
            out.extend_from_slice(&name);
            Ok(())
        })
    }

    fn joined(&mut self, module: Span, name: Span) -> Result<Span> {
        if module.length() + name.length() > NAME {
            return self.wrong("a class has an endless name");
        }
        let whole = [self.heap.bytes(module), b".", self.heap.bytes(name)].concat();
        self.heap.add_text(whole.len() as u64, |out| {
            out.extend_from_slice(&whole);
            Ok(())
        })
    }

    fn global(&mut self, name: Span) -> Result<()> {
        let text = self.heap.text(name);
        if !Known::is_plain(&text) {
            let text = shown(&text);
            self.heap.note_foreign(&text)?;
        }
        self.push_value(Value::Global(name))
    }
}

/// The escapes of Python's `repr` of byte strings.
fn unescape(inner: &[u8], out: &mut Vec<u8>) {
    let mut rest = inner;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let (b'\\', Some((&next, after))) = (first, rest.split_first()) else {
            out.push(first);
            continue;
        };
        rest = after;
        let hex = |two: &[u8]| std::str::from_utf8(two).ok().and_then(|s| u8::from_str_radix(s, 16).ok());
        match (next, after.first_chunk::<2>().and_then(|two| hex(two))) {
            (b'n', _) => out.push(b'\n'),
            (b'r', _) => out.push(b'\r'),
            (b't', _) => out.push(b'\t'),
            (b'x', Some(byte)) => {
                out.push(byte);
                rest = &after[2..];
            }
            (b'\\' | b'\'' | b'"', _) => out.push(next),
            (other, _) => out.extend_from_slice(&[b'\\', other]),
        }
    }
}
