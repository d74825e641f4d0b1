//! A tree from a state dict's names alone: a checkpoint without its model.

use std::collections::HashMap;

use super::{ModuleInfo, ParamInfo, Tree};
use crate::core::tensor::DType;

/// Buffers that PyTorch's own layers register; a file does not tell parameters and buffers apart.
const BUFFERS: [&str; 3] = ["running_mean", "running_var", "num_batches_tracked"];

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

    fn ensure(&mut self, index: &mut HashMap<String, usize>, path: &str) -> usize {
        if let Some(&i) = index.get(path) {
            return i;
        }
        let parent = self.ensure(index, path.rsplit_once('.').map_or("", |(above, _)| above));
        let i = self.modules.len();
        self.modules.push(module(path.to_owned(), Some(parent)));
        index.insert(path.to_owned(), i);
        i
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
}
