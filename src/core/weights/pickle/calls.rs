//! What calls and persistent ids stand for. Nothing is called.

use std::io::Read;

use super::heap::{Id, StorageRef, Value};
use super::known::{Element, Known};
use super::machine::Machine;
use crate::core::weights::header::shown;
use crate::core::weights::trouble::{Result, refused};

/// PyTorch's limit of dimensions.
const MAX_DIMS: usize = 64;
/// More arguments than any function that rebuilds a tensor has, and more parts than a persistent id.
const MAX_ARGS: usize = 16;
/// Longest key of a storage, in bytes. PyTorch's are numbers.
const MAX_KEY: u64 = 1 << 10;

impl<R: Read> Machine<'_, R> {
    /// The value of `callee(*args)`: of PyTorch's own functions what they would return, of everything else an inert object.
    pub fn call(&mut self, callee: Id, args: Id) -> Result<Id> {
        let known = self.heap.global(callee).and_then(|name| Known::of(&name));
        let first = self.heap.items(args).first().copied();
        match (known, first) {
            (Some(Known::Tensor), _) => self.tensor(args, false),
            (Some(Known::TensorV3), _) => self.tensor(args, true),
            (Some(Known::First), Some(first)) => Ok(first),
            (Some(Known::FromType), Some(function)) => self.subclass(callee, function, args),
            (Some(Known::OtherTensor(what)), _) => self.other_tensor(args, what),
            (Some(Known::Dict), _) => self.dict(args),
            (Some(Known::List), None) => self.heap.add_list(),
            (Some(Known::List), Some(first)) if self.is_list(first) => Ok(first),
            (Some(Known::Encode), Some(text)) => self.encode(text),
            (Some(Known::Reconstructor), Some(class)) => self.heap.add_object(class, args, None),
            _ => self.heap.add_object(callee, args, None),
        }
    }

    fn is_list(&self, id: Id) -> bool {
        matches!(self.heap.get(id), Value::List(_) | Value::Tuple(_))
    }

    /// `_rebuild_from_type_v2(function, type, arguments, state)`. The inner function is one of the plain ones, or nothing is made of it.
    fn subclass(&mut self, callee: Id, function: Id, args: Id) -> Result<Id> {
        let known = self.heap.global(function).and_then(|name| Known::of(&name));
        let inner = self.heap.items(args).get(2).copied();
        match (known, inner) {
            (Some(Known::Tensor), Some(inner)) => self.tensor(inner, false),
            (Some(Known::TensorV3), Some(inner)) => self.tensor(inner, true),
            (Some(Known::First), Some(inner)) => match self.heap.items(inner).first() {
                Some(first) => Ok(*first),
                None => self.heap.add_object(callee, args, None),
            },
            _ => self.heap.add_object(callee, args, None),
        }
    }

    /// `OrderedDict([[key, value], …])`, `defaultdict(factory)`, `dict()`.
    fn dict(&mut self, args: Id) -> Result<Id> {
        let dict = self.heap.add_dict()?;
        let Some(first) = self.heap.items(args).first().copied() else { return Ok(dict) };
        let mut items = Vec::new();
        // What was made once can be named in a few bytes again and again, so that looking at it is paid for.
        self.heap.budget.take(8 * (self.heap.items(first).len() + self.heap.pairs(first).len()) as u64)?;
        for pair in self.heap.items(first) {
            if let [key, value] = *self.heap.items(*pair) {
                self.heap.budget.take(2 * size_of::<[Id; 2]>() as u64)?;
                items.extend([key, value]);
            }
        }
        items.extend(self.heap.pairs(first).iter().flat_map(|(k, v)| [*k, *v]));
        self.heap.update(dict, &items)?;
        self.heap.budget.give_back(2 * size_of_val(items.as_slice()) as u64);
        Ok(dict)
    }

    /// Protocol 2 writes bytes as a text of the same code points.
    fn encode(&mut self, text: Id) -> Result<Id> {
        let Value::Str(span) = self.heap.get(text) else { return Ok(text) };
        // Twice while it grows.
        let length = 2 * span.length();
        self.heap.budget.take(length)?;
        let bytes: Vec<u8> = self.heap.text(span).chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
        self.heap.budget.give_back(length);
        let span = self.heap.add_text(bytes.len() as u64, |out| {
            out.extend_from_slice(&bytes);
            Ok(())
        })?;
        self.heap.add(Value::Bytes(span))
    }

    /// `_rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, backward_hooks, metadata)`; v3 has the dtype before the metadata.
    fn tensor(&mut self, args: Id, v3: bool) -> Result<Id> {
        let args = self.few(args)?;
        let (Some(&storage), Some(&offset), Some(&size), Some(&stride)) =
            (args.first(), args.get(1), args.get(2), args.get(3))
        else {
            return self.wrong("a tensor lacks its storage, offset, size or stride");
        };
        let Value::Storage(n) = self.heap.get(storage) else {
            return self.wrong("a tensor has no storage");
        };
        let Some(store) = self.heap.storage(n).copied() else { return self.wrong("a tensor has no storage") };
        let element = if v3 {
            let dtype = args.get(6).and_then(|d| self.heap.global(*d)).and_then(|name| Element::of_dtype(&name));
            let Some(dtype) = dtype else { return self.wrong("a tensor's type is not known") };
            dtype
        } else {
            store.element
        };
        let (sizes, strides) = (self.numbers(size)?, self.numbers(stride)?);
        let offset = match self.heap.get(offset) {
            Value::Int(n) if n >= 0 => n as u64,
            _ => return self.wrong("a tensor's offset is no number"),
        };
        if sizes.len() != strides.len() {
            return self.wrong("a tensor has not as many strides as sizes");
        }
        // In bytes, because a storage without type may hold any.
        let held = store.numel.checked_mul(store.element.size());
        let needed = extent(offset, &sizes, &strides).and_then(|n| n.checked_mul(element.size()));
        match (needed, held) {
            (Some(needed), Some(held)) if needed <= held => {}
            _ => {
                let key = shown(&self.heap.text(store.key));
                let what = format!(
                    "a tensor of shape {sizes:?} reaches beyond its storage `{key}` of {} elements",
                    store.numel
                );
                return self.wrong(&what);
            }
        }
        let negated = args.get(if v3 { 7 } else { 6 }).is_some_and(|m| !self.heap.pairs(*m).is_empty());
        let refused = negated.then_some("is kept conjugated or negated and");
        self.heap.add_tensor(Some(n), element, offset, &sizes, &strides, refused)
    }

    /// Kinds of tensors that are named, but not read.
    fn other_tensor(&mut self, args: Id, what: &'static str) -> Result<Id> {
        let args = self.few(args)?;
        let element = args.first().and_then(|s| match self.heap.get(*s) {
            Value::Storage(n) => self.heap.storage(n).map(|s| s.element),
            _ => None,
        });
        // Where the sizes are is different for each kind; they are for the listing alone.
        let sizes = args.iter().find_map(|a| self.numbers(*a).ok().filter(|n| !n.is_empty())).unwrap_or_default();
        let strides = vec![0; sizes.len()];
        self.heap.add_tensor(None, element.unwrap_or(Element::byte()), 0, &sizes, &strides, Some(what))
    }

    /// A copy of arguments, of which there are few.
    fn few(&self, args: Id) -> Result<Vec<Id>> {
        match self.heap.items(args) {
            items if items.len() <= MAX_ARGS => Ok(items.to_vec()),
            items => self.wrong(&format!("a tensor or storage is made of {} values", items.len())),
        }
    }

    /// A tuple or list of sizes.
    fn numbers(&self, id: Id) -> Result<Vec<u64>> {
        if !self.is_list(id) {
            return self.wrong("a tensor's sizes are no tuple");
        }
        let items = self.heap.items(id);
        if items.len() > MAX_DIMS {
            return self.wrong(&format!("a tensor has more than {MAX_DIMS} dimensions"));
        }
        let mut numbers = Vec::with_capacity(items.len());
        for item in items {
            match self.heap.get(*item) {
                Value::Int(n) if n >= 0 => numbers.push(n as u64),
                _ => return self.wrong("a tensor's sizes are no numbers"),
            }
        }
        Ok(numbers)
    }

    /// `('storage', class, key, location, numel)`, in old files with a sixth for views of a storage, or `('module', class, …)`.
    pub fn persistent(&mut self, id: Id) -> Result<Id> {
        let parts = self.few(id)?;
        let kind = match parts.first().map(|p| self.heap.get(*p)) {
            Some(Value::Str(span) | Value::Bytes(span)) => self.heap.bytes(span),
            _ => b"",
        };
        match (kind, parts.as_slice()) {
            (b"storage", [_, class, key, _, numel, rest @ ..]) => {
                let name = self.heap.global(*class).unwrap_or_default().into_owned();
                let Some(element) = Element::of_storage(&name) else {
                    return refused(format!("has a storage of class `{}`, which is not known", shown(&name)));
                };
                let key = match self.heap.get(*key) {
                    Value::Str(span) if span.length() <= MAX_KEY => span,
                    Value::Str(_) => return self.wrong("a storage has an endless key"),
                    Value::Int(n) => {
                        let digits = n.to_string();
                        self.heap.add_text(digits.len() as u64, |out| {
                            out.extend_from_slice(digits.as_bytes());
                            Ok(())
                        })?
                    }
                    _ => return self.wrong("a storage's key is no text"),
                };
                let Value::Int(numel @ 0..) = self.heap.get(*numel) else {
                    return self.wrong("a storage's size is no number");
                };
                let whole = numel as u64;
                let (base, numel) = self.storage_view(rest.first().copied(), whole)?;
                self.heap.add_storage(StorageRef { key, element, base, numel, whole })
            }
            // Old files keep a module's source beside its class.
            (b"module", [_, class, ..]) => Ok(*class),
            _ => refused("has a pickle with persistent ids that are not PyTorch's"),
        }
    }

    /// `(view_key, offset, view_size)` of old files.
    fn storage_view(&self, view: Option<Id>, whole: u64) -> Result<(u64, u64)> {
        let Some(view) = view.filter(|v| !matches!(self.heap.get(*v), Value::None)) else { return Ok((0, whole)) };
        let [_, offset, size] = *self.heap.items(view) else { return self.wrong("a storage's view is no view") };
        match (self.heap.get(offset), self.heap.get(size)) {
            (Value::Int(offset @ 0..), Value::Int(size @ 0..)) => {
                let (offset, size) = (offset as u64, size as u64);
                if offset.checked_add(size).is_none_or(|end| end > whole) {
                    return self.wrong("a storage's view reaches beyond it");
                }
                Ok((offset, size))
            }
            _ => self.wrong("a storage's view is no view"),
        }
    }
}

/// Elements from the storage's start to the end of the view; `None` on overflow.
pub fn extent(offset: u64, sizes: &[u64], strides: &[u64]) -> Option<u64> {
    if sizes.contains(&0) {
        // An empty tensor touches nothing, wherever it claims to lie. Its other sizes must still make a number.
        return sizes.iter().filter(|s| **s > 0).try_fold(1u64, |n, s| n.checked_mul(*s)).map(|_| 0);
    }
    let mut last = offset;
    for (size, stride) in sizes.iter().zip(strides) {
        last = last.checked_add((size - 1).checked_mul(*stride)?)?;
    }
    // The elements themselves must be countable too: with stride 0 any number of them fits a storage.
    sizes.iter().try_fold(16u64, |n, s| n.checked_mul(*s))?;
    last.checked_add(1)
}
