//! The fake model's layer tree: a stem, two residual-looking blocks and a head, under torchvision's names.

use crate::core::tensor::DType;
use crate::core::tree::{ModuleInfo, ParamInfo, Tree};
use crate::engine::InputSpec;

/// Paths of the blocks' convolution and norm, in forward order.
pub const BLOCKS: [(&str, &str); 3] =
    [("conv1", "bn1"), ("layer1.0.conv1", "layer1.0.bn1"), ("layer2.0.conv1", "layer2.0.bn1")];

/// Path of the head.
pub const HEAD: &str = "fc";

/// Builds the tree of a model with blocks of `width` values.
pub fn build(input: &InputSpec, width: usize) -> Tree {
    let mut tree = Tree::default();
    let features: usize = input.sample_shape.iter().product();
    add_module(&mut tree, "", "FakeNet", "", None);
    for (block, (conv, norm)) in BLOCKS.into_iter().enumerate() {
        let parent = add_parents(&mut tree, conv);
        let mut shape = vec![width];
        let inputs = if block == 0 { features } else { width };
        if block == 0 {
            shape.extend(&input.sample_shape);
        } else {
            shape.extend([width, 1, 1]);
        }
        let conv = add_module(&mut tree, conv, "Conv2d", &format!("{inputs}->{width} 1x1"), Some(parent));
        tree.modules[conv].output_shape = Some(vec![-1, width as i64]);
        tree.modules[conv].flops = Some((2 * inputs * width) as u64);
        add_param(&mut tree, conv, "weight", &shape);
        let norm = add_module(&mut tree, norm, "BatchNorm2d", &width.to_string(), Some(parent));
        tree.modules[norm].output_shape = Some(vec![-1, width as i64]);
        add_param(&mut tree, norm, "weight", &[width]);
        add_param(&mut tree, norm, "bias", &[width]);
        for (name, shape, dtype) in [
            ("running_mean", vec![width], DType::Float32),
            ("running_var", vec![width], DType::Float32),
            ("num_batches_tracked", vec![], DType::Int64),
        ] {
            let name = format!("{}.{name}", tree.modules[norm].path);
            tree.buffers.push(ParamInfo { name, module: norm, shape, dtype });
        }
    }
    let head = add_module(&mut tree, HEAD, "Linear", &format!("{width}->{}", input.outputs), Some(0));
    tree.modules[head].output_shape = Some(vec![-1, input.outputs as i64]);
    tree.modules[head].flops = Some((2 * width * input.outputs) as u64);
    add_param(&mut tree, head, "weight", &[input.outputs, width]);
    add_param(&mut tree, head, "bias", &[input.outputs]);
    tree
}

fn add_parents(tree: &mut Tree, path: &str) -> usize {
    let mut parent = 0;
    for (end, _) in path.match_indices('.') {
        let path = &path[..end];
        let kind = if path.contains('.') { "BasicBlock" } else { "Sequential" };
        parent = match tree.modules.iter().position(|m| m.path == path) {
            Some(found) => found,
            None => add_module(tree, path, kind, "", Some(parent)),
        };
    }
    parent
}

fn add_module(tree: &mut Tree, path: &str, kind: &str, detail: &str, parent: Option<usize>) -> usize {
    tree.modules.push(ModuleInfo {
        path: path.to_owned(),
        kind: kind.to_owned(),
        detail: detail.to_owned(),
        parent,
        output_shape: None,
        flops: None,
    });
    tree.modules.len() - 1
}

fn add_param(tree: &mut Tree, module: usize, name: &str, shape: &[usize]) {
    let name = format!("{}.{name}", tree.modules[module].path);
    tree.parameters.push(ParamInfo { name, module, shape: shape.to_vec(), dtype: DType::Float32 });
}
