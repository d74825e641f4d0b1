//! Which attributes of a TorchScript module are parameters and buffers: the archive's code says so, as text.

use std::collections::{HashMap, HashSet};

use super::archive::Archive;
use super::graph::MAX_NAME;
use crate::core::weights::source::Budget;
use crate::core::weights::trouble::{Result, refused};

/// Names of parameters and buffers by class.
#[derive(Debug, Default)]
pub struct Code(Classes);

type Classes = HashMap<String, HashSet<String>>;

/// Longest source file that is looked at, and most of all files together, in bytes. Packed, they need not be long.
const MAX_SOURCE: u64 = 16 << 20;
const MAX_SOURCES: u64 = 64 << 20;
/// Memory for a name beside its text: a place in a table that is half full at worst and grows, and an allocation.
const NAME: usize = 128;

impl Code {
    /// Reads all sources of an archive.
    pub fn read(archive: &Archive, budget: &Budget) -> Result<Self> {
        let mut classes = HashMap::new();
        let mut total = 0u64;
        for name in archive.names() {
            // `code/__torch__.py` holds the classes without a module, `code/__torch__/a/b.py` those of `a.b`.
            let module = name.strip_prefix("code/__torch__").and_then(|m| m.strip_suffix(".py"));
            let Some(module) = module.filter(|m| m.is_empty() || m.starts_with('/')) else { continue };
            let module = module.trim_start_matches('/');
            let size = archive.entry(name).map_or(0, |e| e.size.min(MAX_SOURCE));
            total += size;
            if total > MAX_SOURCES {
                return refused("has more TorchScript code than any model");
            }
            budget.take(2 * size)?;
            if let Some(source) = archive.small(name, MAX_SOURCE)? {
                parse(&source, &module.replace('/', "."), budget, &mut classes)?;
            }
            budget.give_back(2 * size);
        }
        Ok(Self(classes))
    }

    /// Parameters and buffers of a class (without `__torch__.`); `None` where the code is not there.
    pub fn tensors_of(&self, class: &str) -> Option<&HashSet<String>> {
        self.0.get(class)
    }
}

fn parse(source: &[u8], module: &str, budget: &Budget, classes: &mut Classes) -> Result<()> {
    let mut class = None;
    for line in source.split(|b| *b == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        if let Some(rest) = line.strip_prefix("class ") {
            let name = rest.split(['(', ':']).next().unwrap_or_default().trim();
            // Classes of the archive's top have no module.
            let whole = || if module.is_empty() { name.to_owned() } else { format!("{module}.{name}") };
            class = (rest.contains("(Module)") && name.len() <= MAX_NAME).then(whole);
            continue;
        }
        let Some(class) = &class else { continue };
        let line = line.trim_start();
        let Some(list) = line.strip_prefix("__parameters__ = [").or_else(|| line.strip_prefix("__buffers__ = ["))
        else {
            continue;
        };
        budget.take((2 * class.len() + 2 * NAME) as u64)?;
        let names = list.trim_end_matches(']').split(',').map(|n| n.trim().trim_matches('"')).filter(|n| !n.is_empty());
        let known = classes.entry(class.clone()).or_default();
        for name in names {
            if !known.contains(name) {
                budget.take((name.len() + NAME) as u64)?;
                known.insert(name.to_owned());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_buffers_are_found_in_the_source() {
        let source = "class Net(Module):\n  __parameters__ = [\"weight\", \"bias\", ]\n  __buffers__ = [\"mean\", ]\n  \
                      other : Tensor\ndef f(x: Tensor) -> Tensor:\n  return x\nclass Pair(NamedTuple):\n  __parameters__ = [\"no\", ]\n";
        let mut classes = HashMap::new();
        parse(source.as_bytes(), "a.b", &Budget::for_size(0), &mut classes).unwrap();
        let code = Code(classes);
        let names = ["weight", "bias", "mean"].map(str::to_owned);
        assert_eq!(code.tensors_of("a.b.Net").unwrap(), &HashSet::from(names));
        assert!(code.tensors_of("a.b.Pair").is_none());
    }
}
