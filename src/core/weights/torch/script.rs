//! Which attributes of a TorchScript module are parameters and buffers: the archive's code says so, as text.

use std::collections::HashMap;

use super::archive::Archive;
use crate::core::weights::source::Budget;
use crate::core::weights::trouble::Result;

/// Names of parameters and buffers by class.
#[derive(Debug, Default)]
pub struct Code(HashMap<String, Vec<String>>);

/// Longest source file that is looked at, in bytes.
const MAX_SOURCE: u64 = 16 << 20;

impl Code {
    /// Reads all sources of an archive.
    pub fn read(archive: &Archive, budget: &Budget) -> Result<Self> {
        let mut classes = HashMap::new();
        for name in archive.names() {
            // `code/__torch__.py` holds the classes without a module, `code/__torch__/a/b.py` those of `a.b`.
            let module = name.strip_prefix("code/__torch__").and_then(|m| m.strip_suffix(".py"));
            let Some(module) = module.filter(|m| m.is_empty() || m.starts_with('/')) else { continue };
            let module = module.trim_start_matches('/');
            let size = archive.entry(name).map_or(0, |e| e.size.min(MAX_SOURCE));
            budget.take(2 * size)?;
            if let Some(source) = archive.small(name, MAX_SOURCE)? {
                parse(&String::from_utf8_lossy(&source), &module.replace('/', "."), budget, &mut classes)?;
            }
            budget.give_back(2 * size);
        }
        Ok(Self(classes))
    }

    /// Parameters and buffers of a class (without `__torch__.`); `None` where the code is not there.
    pub fn tensors_of(&self, class: &str) -> Option<&Vec<String>> {
        self.0.get(class)
    }
}

fn parse(source: &str, module: &str, budget: &Budget, classes: &mut HashMap<String, Vec<String>>) -> Result<()> {
    let mut class = None;
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("class ") {
            let name = rest.split(['(', ':']).next().unwrap_or_default().trim();
            // Classes of the archive's top have no module.
            let whole = if module.is_empty() { name.to_owned() } else { format!("{module}.{name}") };
            class = rest.contains("(Module)").then_some(whole);
            continue;
        }
        let Some(class) = &class else { continue };
        let line = line.trim_start();
        let Some(list) = line.strip_prefix("__parameters__ = [").or_else(|| line.strip_prefix("__buffers__ = ["))
        else {
            continue;
        };
        budget.take(2 * (line.len() + class.len()) as u64 + 128)?;
        let names = list.trim_end_matches(']').split(',').map(|n| n.trim().trim_matches('"')).filter(|n| !n.is_empty());
        classes.entry(class.clone()).or_default().extend(names.map(str::to_owned));
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
        parse(source, "a.b", &Budget::for_size(0), &mut classes).unwrap();
        let code = Code(classes);
        assert_eq!(code.tensors_of("a.b.Net").unwrap(), &["weight", "bias", "mean"]);
        assert!(code.tensors_of("a.b.Pair").is_none());
    }
}
