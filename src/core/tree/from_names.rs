//! A tree from a state dict's names alone: a checkpoint without its model.

use std::collections::HashMap;

use super::{ModuleInfo, ParamInfo, Tree};
use crate::core::tensor::DType;

/// Buffers that PyTorch's own layers register; a file does not tell parameters and buffers apart.
const BUFFERS: [&str; 3] = ["running_mean", "running_var", "num_batches_tracked"];

/// Modules that lie in each other at most, beyond what any model has: what a file calls deeper than that belongs to the last of them, so that a
/// name of nothing but dots makes no tree that is its square.
const DEEPEST: usize = 64;

impl Tree {
    /// The tree that dotted names imply, in their order. Kinds are unknown (`Module`) but for batch norms, which their statistics give away.
    pub fn from_tensors<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a [usize], DType)>) -> Self {
        let mut tree = Self { modules: vec![module(String::new(), None)], ..Self::default() };
        let mut index = HashMap::from([(String::new(), 0)]);
        for (name, shape, dtype) in tensors {
            let (path, leaf) = name.rsplit_once('.').unwrap_or(("", name));
            let owner = tree.ensure(&mut index, path);
            let info = ParamInfo { name: name.to_owned(), module: owner, shape: shape.to_vec(), dtype };
            if BUFFERS.contains(&leaf) {
                if leaf == "running_mean" {
                    tree.modules[owner].kind = "BatchNorm".into();
                }
                tree.buffers.push(info);
            } else {
                tree.parameters.push(info);
            }
        }
        tree
    }

    /// The module of a path; those above it are made before it.
    fn ensure(&mut self, index: &mut HashMap<String, usize>, path: &str) -> usize {
        if let Some(&known) = index.get(path) {
            return known;
        }
        let mut above = 0;
        let ends = path.match_indices('.').map(|(i, _)| i).chain([path.len()]);
        for end in ends.take(DEEPEST) {
            let Some(part) = path.get(..end).filter(|part| !part.is_empty()) else { continue };
            above = match index.get(part) {
                Some(&known) => known,
                None => {
                    let new = self.modules.len();
                    self.modules.push(module(part.to_owned(), Some(above)));
                    index.insert(part.to_owned(), new);
                    new
                }
            };
        }
        above
    }
}

fn module(path: String, parent: Option<usize>) -> ModuleInfo {
    ModuleInfo { path, kind: "Module".into(), detail: String::new(), parent, output_shape: None, flops: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_alone_give_modules_parameters_and_buffers() {
        let names = ["bn.weight", "bn.running_mean", "layer.0.conv.weight", "layer.0.conv.bias", "scale"];
        let tree = Tree::from_tensors(names.iter().map(|n| (*n, &[4usize][..], DType::Float32)));
        let paths: Vec<_> = tree.modules.iter().map(|m| m.path.as_str()).collect();
        assert_eq!(paths, ["", "bn", "layer", "layer.0", "layer.0.conv"]);
        assert_eq!(tree.parameters.len(), 4);
        assert_eq!(tree.buffers[0].name, "bn.running_mean");
        assert!(tree.modules[1].is_norm());
        assert_eq!(tree.parameters[3].module, 0);
    }

    #[test]
    fn a_name_of_nothing_but_dots_makes_no_tree_of_its_square() {
        // Its modules took a stack frame each, and all their paths together half a terabyte.
        let name = ".a".repeat(1 << 19);
        let tree = Tree::from_tensors([(name.as_str(), &[4usize][..], DType::Float32)]);
        assert_eq!((tree.modules.len(), tree.parameters[0].module), (DEEPEST, DEEPEST - 1));
        assert_eq!(tree.depth(DEEPEST - 1), DEEPEST - 1);
    }
}
