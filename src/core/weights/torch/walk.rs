//! From a module, a TorchScript module or a dict to the tensors in it with their dotted names.

use std::collections::HashSet;

use super::graph::{MAX_NAME, attributes, child, children, is_container, is_module, script_class};
use super::script::Code;
use crate::core::weights::header::shown;
use crate::core::weights::pickle::{Heap, Id, Value};
use crate::core::weights::trouble::{Result, refused};

/// A tensor of the state dict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// Number of the tensor in the heap.
    pub tensor: u32,
}

/// Deepest nesting of modules or dicts.
const MAX_DEPTH: usize = 200;

/// A dotted name is made of parts, and each part goes into every name below it.
fn check_name(part: &str) -> Result<()> {
    match part.len() {
        0..=MAX_NAME => Ok(()),
        n => refused(format!("has a name of {n} bytes (`{}`)", shown(part))),
    }
}

/// Walks one after the other; each visit is paid for, so that what is shared many times over cannot take for ever.
pub struct Walk<'a> {
    heap: &'a Heap,
    code: &'a Code,
    /// What is being walked, from the outside in: a cycle ends where it closes.
    path: Vec<Id>,
    pub found: Vec<Found>,
}

impl<'a> Walk<'a> {
    pub fn new(heap: &'a Heap, code: &'a Code) -> Self {
        Self { heap, code, path: Vec::new(), found: Vec::new() }
    }

    fn enter(&mut self, id: Id) -> Result<bool> {
        // Its children are looked at each time.
        let children = self.heap.items(id).len()
            + self.heap.pairs(id).len()
            + attributes(self.heap, id).map_or(0, |s| self.heap.pairs(s).len());
        self.heap.budget.take(64 + 8 * children as u64)?;
        if self.path.contains(&id) {
            return Ok(false);
        }
        if self.path.len() == MAX_DEPTH {
            return refused(format!("nests its tensors more than {MAX_DEPTH} deep"));
        }
        self.path.push(id);
        Ok(true)
    }

    /// Walks something inside, whose names get a longer prefix; that is paid for as long as it is there.
    fn inside(&mut self, prefix: &str, name: &str, walk: impl FnOnce(&mut Self, &str) -> Result<()>) -> Result<()> {
        check_name(name)?;
        let memory = 2 * (prefix.len() + name.len() + 1) as u64;
        self.heap.budget.take(memory)?;
        walk(self, &format!("{prefix}{name}."))?;
        self.heap.budget.give_back(memory);
        Ok(())
    }

    fn emit(&mut self, prefix: &str, name: &str, tensor: u32) -> Result<()> {
        check_name(name)?;
        self.heap.budget.take(2 * (size_of::<Found>() + prefix.len() + name.len()) as u64)?;
        self.found.push(Found { name: format!("{prefix}{name}"), tensor });
        Ok(())
    }

    /// `state_dict()` of a pickled module: its parameters, its buffers, then those of its children.
    pub fn module(&mut self, id: Id, prefix: &str) -> Result<()> {
        if !self.enter(id)? {
            return Ok(());
        }
        let Some(state) = attributes(self.heap, id) else { return Ok(()) };
        let part = |name| child(self.heap, state, name);
        let mut passing: HashSet<&[u8]> = HashSet::new();
        if let Some(set) = part("_non_persistent_buffers_set") {
            let names = self.heap.items(set);
            self.heap.budget.take(64 * names.len() as u64)?;
            passing.extend(names.iter().filter_map(|n| match self.heap.get(*n) {
                // Longer ones name nothing that is taken.
                Value::Str(span) if span.length() <= MAX_NAME as u64 => Some(self.heap.bytes(span)),
                _ => None,
            }));
        }
        let (parameters, buffers, modules) = (part("_parameters"), part("_buffers"), part("_modules"));
        for (own, skip) in [(parameters, false), (buffers, true)] {
            for (key, value) in own.into_iter().flat_map(|id| children(self.heap, id)) {
                self.heap.budget.take(8)?;
                let (Value::Tensor(n), Some(name)) = (self.heap.get(value), key.name(self.heap)) else { continue };
                if !(skip && passing.contains(name.as_bytes())) {
                    self.emit(prefix, &name, n)?;
                }
            }
        }
        for (key, value) in modules.into_iter().flat_map(|id| children(self.heap, id)) {
            self.heap.budget.take(8)?;
            let Some(name) = key.name(self.heap) else { continue };
            if is_module(self.heap, value) {
                self.inside(prefix, &name, |walk, prefix| walk.module(value, prefix))?;
            } else if script_class(self.heap, value).is_some() {
                self.inside(prefix, &name, |walk, prefix| walk.script(value, prefix))?;
            }
        }
        self.path.pop();
        Ok(())
    }

    /// Parameters and buffers of a TorchScript module; the archive's code says which attributes those are.
    pub fn script(&mut self, id: Id, prefix: &str) -> Result<()> {
        if !self.enter(id)? {
            return Ok(());
        }
        let class = script_class(self.heap, id).unwrap_or_default();
        let own = self.code.tensors_of(&class);
        let state = attributes(self.heap, id);
        for (key, value) in state.into_iter().flat_map(|id| children(self.heap, id)) {
            let Some(name) = key.name(self.heap) else { continue };
            match self.heap.get(value) {
                Value::Tensor(n) if own.is_none_or(|own| own.contains(&name)) => self.emit(prefix, &name, n)?,
                Value::Object(_) if script_class(self.heap, value).is_some() => {
                    self.inside(prefix, &name, |walk, prefix| walk.script(value, prefix))?;
                }
                _ => {}
            }
        }
        self.path.pop();
        Ok(())
    }

    /// The tensors of a dict or list, and those of its children that `inside` admits.
    pub fn container(&mut self, id: Id, prefix: &str, inside: &dyn Fn(&str, Id) -> bool) -> Result<()> {
        if !self.enter(id)? {
            return Ok(());
        }
        for (key, value) in children(self.heap, id) {
            let Some(name) = key.name(self.heap) else { continue };
            match self.heap.get(value) {
                Value::Tensor(n) => self.emit(prefix, &name, n)?,
                _ if !is_container(self.heap, value) || !inside(&name, value) => {}
                _ => self.inside(prefix, &name, |walk, prefix| match value {
                    _ if is_module(walk.heap, value) => walk.module(value, prefix),
                    _ if script_class(walk.heap, value).is_some() => walk.script(value, prefix),
                    _ => walk.container(value, prefix, inside),
                })?,
            }
        }
        self.path.pop();
        Ok(())
    }

    /// Of two tensors of one name the last, as in a dict, in the first's place.
    pub fn finish(self) -> Result<Vec<Found>> {
        let mut places = std::collections::HashMap::with_capacity(self.found.len());
        let mut kept: Vec<Found> = Vec::with_capacity(self.found.len());
        self.heap.budget.take(64 * self.found.len() as u64)?;
        for found in self.found {
            match places.get(&found.name) {
                Some(&place) => kept[place] = found,
                None => {
                    places.insert(found.name.clone(), kept.len());
                    kept.push(found);
                }
            }
        }
        Ok(kept)
    }
}
