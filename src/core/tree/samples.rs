//! Trees for tests.

use super::{ModuleInfo, ParamInfo, Tree};
use crate::core::tensor::DType;

/// A tree from `(path, kind, parameters, buffers)`, parents before children.
pub(crate) fn tree_of(modules: &[(&str, &str, &[&str], &[&str])]) -> Tree {
    let mut tree = Tree::default();
    for (i, (path, kind, params, buffers)) in modules.iter().enumerate() {
        let above = path.rsplit_once('.').map_or("", |(above, _)| above);
        let parent = (i > 0).then(|| tree.module(above).unwrap());
        let (path, kind) = (path.to_string(), kind.to_string());
        let full = |leaf: &str| if path.is_empty() { leaf.to_owned() } else { format!("{path}.{leaf}") };
        let info = |leaf: &&str| ParamInfo { name: full(leaf), module: i, shape: vec![2, 3], dtype: DType::Float32 };
        tree.parameters.extend(params.iter().map(info));
        tree.buffers.extend(buffers.iter().map(info));
        tree.modules.push(ModuleInfo { path, kind, detail: String::new(), parent, output_shape: None, flops: None });
    }
    tree
}

/// conv1, bn1, relu, layer1..layer4 with two blocks each, fc: ResNet-18's names without the shortcuts.
pub(crate) fn small_resnet() -> Tree {
    const STATS: &[&str] = &["running_mean", "running_var", "num_batches_tracked"];
    const AFFINE: &[&str] = &["weight", "bias"];
    let mut paths: Vec<(String, &str, &[&str], &[&str])> = vec![
        (String::new(), "ResNet", &[], &[]),
        ("conv1".into(), "Conv2d", &["weight"], &[]),
        ("bn1".into(), "BatchNorm2d", AFFINE, STATS),
        ("relu".into(), "ReLU", &[], &[]),
    ];
    for stage in 1..=4 {
        paths.push((format!("layer{stage}"), "Sequential", &[], &[]));
        for block in 0..2 {
            let at = format!("layer{stage}.{block}");
            paths.push((at.clone(), "BasicBlock", &[], &[]));
            for n in 1..=2 {
                paths.push((format!("{at}.conv{n}"), "Conv2d", &["weight"], &[]));
                paths.push((format!("{at}.bn{n}"), "BatchNorm2d", AFFINE, STATS));
            }
        }
    }
    paths.push(("fc".into(), "Linear", AFFINE, &[]));
    let borrowed: Vec<_> = paths.iter().map(|(p, k, a, b)| (p.as_str(), *k, *a, *b)).collect();
    tree_of(&borrowed)
}
