//! The values of a pickle, in one arena.

use std::collections::{HashMap, HashSet};

use super::Element;
use crate::core::weights::source::Budget;
use crate::core::weights::trouble::{Result, Trouble};

/// A value's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u32);

/// A part of the texts, of the tuples' items or of the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// Bytes, items or numbers.
    pub fn length(self) -> u64 {
        self.length.into()
    }
}

/// A value. Sixteen bytes; whatever is longer lies elsewhere in the heap.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits: its little-endian bytes.
    Big(Span),
    Float(f64),
    Str(Span),
    Bytes(Span),
    Tuple(Span),
    /// Lists and sets.
    List(u32),
    /// dict, OrderedDict, defaultdict.
    Dict(u32),
    /// A class or function, `module.name`; only its name.
    Global(Span),
    Storage(u32),
    Tensor(u32),
    Object(u32),
}

/// What some other class's value is here: what it would be made of, never made.
#[derive(Debug)]
pub struct Object {
    pub class: Id,
    pub args: Id,
    /// What `__setstate__` would get, usually the `__dict__`.
    pub state: Option<Id>,
    /// The items of a class derived from dict.
    pub items: Vec<(Id, Id)>,
    /// The items of a class derived from list.
    pub list: Vec<Id>,
}

/// A storage that tensors lie in.
#[derive(Debug, Clone, Copy)]
pub struct StorageRef {
    /// Its name in the file.
    pub key: Span,
    pub element: Element,
    /// Elements before it: not 0 for the views that old files have.
    pub base: u64,
    /// Elements of it.
    pub numel: u64,
    /// Elements of the whole storage in the file.
    pub whole: u64,
}

/// A tensor: a view of a storage, in elements.
#[derive(Debug, Clone, Copy)]
pub struct TensorRef {
    /// `None` for kinds that have no plain storage.
    pub storage: Option<u32>,
    pub element: Element,
    pub offset: u64,
    dims: Span,
    /// Why it cannot be read, where it cannot.
    pub refused: Option<&'static str>,
}

/// All values of one pickle.
pub struct Heap {
    nodes: Vec<Value>,
    text: Vec<u8>,
    pool: Vec<Id>,
    numbers: Vec<u64>,
    lists: Vec<Vec<Id>>,
    dicts: Vec<Vec<(Id, Id)>>,
    objects: Vec<Object>,
    storages: Vec<StorageRef>,
    tensors: Vec<TensorRef>,
    /// Storages by key, type and place, so that each is there once.
    storage_ids: HashMap<(Vec<u8>, Element, u64, u64), u32>,
    /// Names of foreign classes and functions, in order.
    pub foreign: Vec<String>,
    foreign_seen: HashSet<String>,
    pub budget: Budget,
}

/// Foreign names that are kept; a file that has more is not worth reading on.
const MAX_FOREIGN: usize = 1000;
/// Numbers up to here have a value of their own from the start.
const SMALL: i64 = 256;

pub const NONE: Id = Id(0);
const FALSE: Id = Id(1);
const TRUE: Id = Id(2);
const ZERO: u32 = 3;

/// Of a text that is no UTF-8 so many bytes are shown.
const FOREIGN_TEXT: usize = 64 << 10;
/// A text longer than this, in bytes, gets no room for more after it.
const LONG_TEXT: u64 = 1 << 20;

/// A vector may hold twice of what it needs.
fn doubled(bytes: usize) -> u64 {
    2 * bytes as u64
}

impl Heap {
    pub fn new(budget: Budget) -> Self {
        let mut nodes = vec![Value::None, Value::Bool(false), Value::Bool(true)];
        nodes.extend((0..SMALL).map(Value::Int));
        Self {
            nodes,
            text: Vec::new(),
            pool: Vec::new(),
            numbers: Vec::new(),
            lists: Vec::new(),
            dicts: Vec::new(),
            objects: Vec::new(),
            storages: Vec::new(),
            tensors: Vec::new(),
            storage_ids: HashMap::new(),
            foreign: Vec::new(),
            foreign_seen: HashSet::new(),
            budget,
        }
    }

    pub fn get(&self, id: Id) -> Value {
        self.nodes.get(id.0 as usize).copied().unwrap_or(Value::None)
    }

    /// Adds a value, or finds the one that stands for it.
    pub fn add(&mut self, value: Value) -> Result<Id> {
        match value {
            Value::None => return Ok(NONE),
            Value::Bool(false) => return Ok(FALSE),
            Value::Bool(true) => return Ok(TRUE),
            Value::Int(n @ 0..SMALL) => return Ok(Id(ZERO + n as u32)),
            _ => {}
        }
        self.budget.take(doubled(size_of::<Value>()))?;
        let id = narrow(self.nodes.len())?;
        self.nodes.push(value);
        Ok(Id(id))
    }

    /// Adds a text made by `write`, which may append at most `length` bytes.
    pub fn add_text(&mut self, length: u64, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<Span> {
        let start = self.text.len();
        let (room, need) = (self.text.capacity() as u64, (start as u64).saturating_add(length));
        if need > room {
            // Doubled as vectors are, but for long texts, of which a second is not likely.
            let larger = if length > LONG_TEXT { need } else { need.max(2 * room) };
            self.budget.take(larger - room)?;
            self.text.try_reserve_exact(usize::try_from(larger).unwrap_or(usize::MAX).saturating_sub(start))?;
        }
        write(&mut self.text)?;
        Ok(Span { start: narrow(start)?, length: narrow(self.text.len() - start)? })
    }

    pub fn bytes(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.text.get(start..start + span.length as usize).unwrap_or_default()
    }

    /// A text's characters; what is no UTF-8 is replaced, and of a long text of that kind the start alone is kept: it would grow to three
    /// times its size.
    pub fn text(&self, span: Span) -> std::borrow::Cow<'_, str> {
        let bytes = self.bytes(span);
        match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => String::from_utf8_lossy(&bytes[..bytes.len().min(FOREIGN_TEXT)]),
        }
    }

    /// The text, where the value is one.
    pub fn str(&self, id: Id) -> Option<std::borrow::Cow<'_, str>> {
        match self.get(id) {
            Value::Str(span) | Value::Bytes(span) => Some(self.text(span)),
            _ => None,
        }
    }

    pub fn add_tuple(&mut self, items: &[Id]) -> Result<Id> {
        self.budget.take(doubled(size_of_val(items)))?;
        let span = Span { start: narrow(self.pool.len())?, length: narrow(items.len())? };
        self.pool.extend_from_slice(items);
        self.add(Value::Tuple(span))
    }

    /// The items of a tuple or list; none of anything else.
    pub fn items(&self, id: Id) -> &[Id] {
        match self.get(id) {
            Value::Tuple(span) => {
                let start = span.start as usize;
                self.pool.get(start..start + span.length as usize).unwrap_or_default()
            }
            Value::List(n) => self.lists.get(n as usize).map_or(&[], Vec::as_slice),
            Value::Object(n) => self.objects.get(n as usize).map_or(&[], |o| o.list.as_slice()),
            _ => &[],
        }
    }

    /// The pairs of a dict, or of an object of a class derived from it.
    pub fn pairs(&self, id: Id) -> &[(Id, Id)] {
        match self.get(id) {
            Value::Dict(n) => self.dicts.get(n as usize).map_or(&[], Vec::as_slice),
            Value::Object(n) => self.objects.get(n as usize).map_or(&[], |o| o.items.as_slice()),
            _ => &[],
        }
    }

    pub fn object(&self, id: Id) -> Option<&Object> {
        match self.get(id) {
            Value::Object(n) => self.objects.get(n as usize),
            _ => None,
        }
    }

    /// `module.name`, where the value is a class or function.
    pub fn global(&self, id: Id) -> Option<std::borrow::Cow<'_, str>> {
        match self.get(id) {
            Value::Global(span) => Some(self.text(span)),
            _ => None,
        }
    }

    pub fn add_list(&mut self) -> Result<Id> {
        self.budget.take(doubled(size_of::<Vec<Id>>()))?;
        self.lists.push(Vec::new());
        let n = narrow(self.lists.len() - 1)?;
        self.add(Value::List(n))
    }

    pub fn add_dict(&mut self) -> Result<Id> {
        self.budget.take(doubled(size_of::<Vec<(Id, Id)>>()))?;
        self.dicts.push(Vec::new());
        let n = narrow(self.dicts.len() - 1)?;
        self.add(Value::Dict(n))
    }

    pub fn add_object(&mut self, class: Id, args: Id, state: Option<Id>) -> Result<Id> {
        self.budget.take(doubled(size_of::<Object>()))?;
        self.objects.push(Object { class, args, state, items: Vec::new(), list: Vec::new() });
        let n = narrow(self.objects.len() - 1)?;
        self.add(Value::Object(n))
    }

    /// `list.extend`. `false`: the value takes no items.
    pub fn extend(&mut self, id: Id, items: &[Id]) -> Result<bool> {
        // A vector's first allocation has room for four.
        self.budget.take(doubled(size_of_val(items)) + 16)?;
        let list = match self.get(id) {
            Value::List(n) => self.lists.get_mut(n as usize),
            Value::Object(n) => self.objects.get_mut(n as usize).map(|o| &mut o.list),
            _ => None,
        };
        Ok(list.map(|list| list.extend_from_slice(items)).is_some())
    }

    /// `dict.update` with key, value, key, value… `false`: the value takes no items.
    pub fn update(&mut self, id: Id, items: &[Id]) -> Result<bool> {
        self.budget.take(doubled(size_of_val(items)) + 32)?;
        let dict = match self.get(id) {
            Value::Dict(n) => self.dicts.get_mut(n as usize),
            Value::Object(n) => self.objects.get_mut(n as usize).map(|o| &mut o.items),
            _ => None,
        };
        Ok(dict.map(|dict| dict.extend(items.as_chunks::<2>().0.iter().map(|[k, v]| (*k, *v)))).is_some())
    }

    pub fn set_state(&mut self, id: Id, state: Id) {
        if let Value::Object(n) = self.get(id)
            && let Some(object) = self.objects.get_mut(n as usize)
        {
            object.state = Some(state);
        }
    }

    /// Adds a storage, or finds it.
    pub fn add_storage(&mut self, storage: StorageRef) -> Result<Id> {
        let key = self.bytes(storage.key).to_vec();
        self.budget.take(doubled(size_of::<StorageRef>() + 64) + key.len() as u64)?;
        let next = narrow(self.storages.len())?;
        let n = *self.storage_ids.entry((key, storage.element, storage.base, storage.numel)).or_insert(next);
        if n == next {
            self.storages.push(storage);
        }
        self.add(Value::Storage(n))
    }

    pub fn storage(&self, n: u32) -> Option<&StorageRef> {
        self.storages.get(n as usize)
    }

    pub fn storages(&self) -> &[StorageRef] {
        &self.storages
    }

    /// Adds a tensor of these sizes and as many strides.
    pub fn add_tensor(
        &mut self,
        storage: Option<u32>,
        element: Element,
        offset: u64,
        sizes: &[u64],
        strides: &[u64],
        refused: Option<&'static str>,
    ) -> Result<Id> {
        self.budget.take(doubled(size_of::<TensorRef>() + size_of_val(sizes) + size_of_val(strides)))?;
        let dims = Span { start: narrow(self.numbers.len())?, length: narrow(sizes.len())? };
        self.numbers.extend_from_slice(sizes);
        self.numbers.extend_from_slice(strides);
        self.tensors.push(TensorRef { storage, element, offset, dims, refused });
        let n = narrow(self.tensors.len() - 1)?;
        self.add(Value::Tensor(n))
    }

    pub fn tensor(&self, n: u32) -> Option<&TensorRef> {
        self.tensors.get(n as usize)
    }

    pub fn sizes(&self, tensor: &TensorRef) -> &[u64] {
        let start = tensor.dims.start as usize;
        self.numbers.get(start..start + tensor.dims.length as usize).unwrap_or_default()
    }

    pub fn strides(&self, tensor: &TensorRef) -> &[u64] {
        let start = (tensor.dims.start + tensor.dims.length) as usize;
        self.numbers.get(start..start + tensor.dims.length as usize).unwrap_or_default()
    }

    /// Remembers a class or function that is not understood.
    pub fn note_foreign(&mut self, name: &str) -> Result<()> {
        if self.foreign.len() < MAX_FOREIGN && !self.foreign_seen.contains(name) {
            self.budget.take(2 * (name.len() as u64 + 64))?;
            self.foreign_seen.insert(name.to_owned());
            self.foreign.push(crate::core::weights::header::shown(name));
        }
        Ok(())
    }
}

fn narrow(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| Trouble::Refused("has a pickle of more than four thousand million parts".into()))
}
