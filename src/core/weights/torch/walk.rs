//! From a module, a TorchScript module or a dict to the tensors in it with their dotted names.

use super::graph::{attributes, child, children, is_container, is_module, script_class};
use super::script::Code;
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
        self.heap.budget.take(64)?;
        if self.path.contains(&id) {
            return Ok(false);
        }
        if self.path.len() == MAX_DEPTH {
            return refused(format!("nests its tensors more than {MAX_DEPTH} deep"));
        }
        self.path.push(id);
        Ok(true)
    }

    fn emit(&mut self, prefix: &str, name: &str, tensor: u32) -> Result<()> {
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
        let passing: Vec<String> = part("_non_persistent_buffers_set")
            .map(|set| self.heap.items(set).iter().filter_map(|n| self.heap.str(*n).map(Into::into)).collect())
            .unwrap_or_default();
        let (parameters, buffers, modules) = (part("_parameters"), part("_buffers"), part("_modules"));
        for (own, skip) in [(parameters, false), (buffers, true)] {
            for (key, value) in own.into_iter().flat_map(|id| children(self.heap, id)) {
                let (Value::Tensor(n), Some(name)) = (self.heap.get(value), key.name(self.heap)) else { continue };
                if !(skip && passing.contains(&name)) {
                    self.emit(prefix, &name, n)?;
                }
            }
        }
        for (key, value) in modules.into_iter().flat_map(|id| children(self.heap, id)) {
            let Some(name) = key.name(self.heap) else { continue };
            if is_module(self.heap, value) {
                self.module(value, &format!("{prefix}{name}."))?;
            } else if script_class(self.heap, value).is_some() {
                self.script(value, &format!("{prefix}{name}."))?;
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
                    self.script(value, &format!("{prefix}{name}."))?;
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
                _ if is_module(self.heap, value) => self.module(value, &format!("{prefix}{name}."))?,
                _ if script_class(self.heap, value).is_some() => self.script(value, &format!("{prefix}{name}."))?,
                _ => self.container(value, &format!("{prefix}{name}."), inside)?,
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
