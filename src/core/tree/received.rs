//! A tree as another process sends it: taken only where it is one.

use serde::Deserialize;

use super::{ModuleInfo, ParamInfo, Tree};

/// Modules that lie in each other at most; those who walk over a tree go down by calling themselves.
const DEEPEST: usize = 512;

/// A tree's parts, unproved.
#[derive(Deserialize)]
pub(super) struct Received {
    modules: Vec<ModuleInfo>,
    parameters: Vec<ParamInfo>,
    buffers: Vec<ParamInfo>,
}

impl TryFrom<Received> for Tree {
    type Error = String;

    fn try_from(received: Received) -> Result<Self, String> {
        let Received { modules, parameters, buffers } = received;
        let mut depths: Vec<usize> = Vec::with_capacity(modules.len());
        for (i, module) in modules.iter().enumerate() {
            let depth = match module.parent {
                None => 0,
                Some(parent) => 1 + depths.get(parent).ok_or_else(|| format!("module {i} comes before its parent"))?,
            };
            if depth > DEEPEST {
                return Err(format!("module {i} lies in more than {DEEPEST} others"));
            }
            depths.push(depth);
        }
        let mut total = 0usize;
        for tensor in parameters.iter().chain(&buffers) {
            if tensor.module >= modules.len() {
                return Err(format!("a tensor is in module {}, and there are {}", tensor.module, modules.len()));
            }
            let bytes = tensor.shape.iter().try_fold(tensor.dtype.size(), |n, size| n.checked_mul(*size));
            let sum = bytes.and_then(|n| total.checked_add(n)).ok_or("the tensors are larger than any memory")?;
            total = sum;
        }
        Ok(Self { modules, parameters, buffers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tree::samples::small_resnet;

    fn received(change: impl Fn(&mut Tree)) -> Result<Tree, String> {
        let mut tree = small_resnet();
        change(&mut tree);
        serde_json::from_value(serde_json::to_value(tree).unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        assert_eq!(received(|_| ()), Ok(small_resnet()));
        assert_eq!(
            serde_json::from_str::<Tree>(r#"{"modules":[],"parameters":[],"buffers":[]}"#).unwrap(),
            Tree::default()
        );
        let refused = |change: &dyn Fn(&mut Tree)| received(change).unwrap_err();
        assert!(refused(&|t| t.modules[0].parent = Some(0)).contains("module 0 comes before its parent"));
        assert!(refused(&|t| t.modules[1].parent = Some(2)).contains("module 1 comes before its parent"));
        assert!(refused(&|t| t.parameters[0].module = 999).contains("module 999"));
        assert!(refused(&|t| t.buffers[0].module = usize::MAX).contains("in module"));
        assert!(refused(&|t| t.parameters[0].shape = vec![1 << 40, 1 << 40]).contains("larger than any memory"));
        assert!(refused(&|t| t.parameters.iter_mut().for_each(|p| p.shape = vec![1 << 61])).contains("larger"));
        let deep = |t: &mut Tree| {
            for i in t.modules.len()..=DEEPEST + 1 {
                t.modules.push(ModuleInfo { parent: Some(i - 1), ..t.modules[0].clone() });
            }
        };
        let chain = |t: &mut Tree| {
            t.modules.truncate(1);
            t.parameters.clear();
            t.buffers.clear();
            deep(t);
        };
        assert!(refused(&chain).contains("lies in more than 512 others"));
    }
}
