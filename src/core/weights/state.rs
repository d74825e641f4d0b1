//! The tensors that were read from a file.

use std::path::PathBuf;

use super::WeightsError;
use super::listing::FileListing;
use super::source::{Budget, Exhausted};
use crate::core::tensor::HostTensor;

/// Which tensors are read, by their names in the file.
pub(super) type Wanted<'a> = dyn Fn(&str) -> bool + 'a;

/// A state dict with the facts about its file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateDict {
    /// The file or folder.
    pub path: PathBuf,
    /// The tensors, in the file's order.
    pub tensors: Vec<HostTensor>,
    /// Further names of tensors (name, name in `tensors`): tied weights, of which a copy each would take more memory than the file is worth. Empty
    /// in all but files that consist of the same tensor many times.
    pub shared: Vec<(String, String)>,
    /// What the file holds, tensors that were not wanted included.
    pub listing: FileListing,
}

impl StateDict {
    /// All tensors, with a copy for each shared name, or an error where that would take many times the memory of the file.
    pub fn into_tensors(self) -> Result<Vec<HostTensor>, WeightsError> {
        if let Some((name, of)) = self.shared.first() {
            let problem = format!(
                "has tensors that share their values (`{}` is `{}` and so on) and would take many times the file's size; \
                 leave some out with model.load.drop",
                super::header::shown(name),
                super::header::shown(of)
            );
            return Err(WeightsError::not_weights(&self.path, problem));
        }
        Ok(self.tensors)
    }
}

/// Collects what is read.
#[derive(Default)]
pub(super) struct Collector {
    pub tensors: Vec<HostTensor>,
    pub shared: Vec<(String, String)>,
}

impl Collector {
    /// Another name for the tensor at `first`: a copy where there is room, else a mention.
    pub fn share(&mut self, name: &str, first: usize, bytes: u64, budget: &Budget) -> Result<(), Exhausted> {
        budget.take(2 * (size_of::<HostTensor>() + 2 * name.len() + 96) as u64)?;
        let Some(original) = self.tensors.get(first) else { return Ok(()) };
        if budget.take(bytes).is_ok() {
            let copy = HostTensor { name: name.to_owned(), ..original.clone() };
            self.tensors.push(copy);
        } else {
            let original = original.name.clone();
            budget.take(original.len() as u64)?;
            self.shared.push((name.to_owned(), original));
        }
        Ok(())
    }
}
