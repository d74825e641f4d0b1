//! AlexNet (Krizhevsky 2014, the variant of "One weird trick"), as torchvision's `alexnet.py` has it.

use super::Arch;
use super::forward::{features_then_classifier, features_then_classifier_script};
use crate::core::recipe::ModelSpec;
use crate::engine::api::InputSpec;
use crate::engine::nn::{
    Build, Conv2d, Node, Result, adaptive_avg_pool2d, conv2d, custom, dropout, linear, max_pool2d, numbered, relu,
    sequential,
};

pub const ARCHS: &[Arch] = &[Arch::torchvision("alexnet", alexnet).at_least(63).with_dropout()];

fn alexnet(b: &Build, spec: &ModelSpec, input: &InputSpec) -> Result<Node> {
    let p = spec.dropout.unwrap_or(0.5);
    let features = vec![
        conv2d(b, "", Conv2d::new(3, 64, 11).stride(4).padding(2))?,
        relu(b, ""),
        max_pool2d(b, "", 3, 2, 0),
        conv2d(b, "", Conv2d::new(64, 192, 5).padding(2))?,
        relu(b, ""),
        max_pool2d(b, "", 3, 2, 0),
        conv2d(b, "", Conv2d::new(192, 384, 3).padding(1))?,
        relu(b, ""),
        conv2d(b, "", Conv2d::new(384, 256, 3).padding(1))?,
        relu(b, ""),
        conv2d(b, "", Conv2d::new(256, 256, 3).padding(1))?,
        relu(b, ""),
        max_pool2d(b, "", 3, 2, 0),
    ];
    let classifier = vec![
        dropout(b, "", p),
        linear(b, "", 256 * 6 * 6, 4096)?,
        relu(b, ""),
        dropout(b, "", p),
        linear(b, "", 4096, 4096)?,
        relu(b, ""),
        linear(b, "", 4096, input.outputs as i64)?,
    ];
    let children = vec![
        sequential(b, "features", numbered(features)),
        adaptive_avg_pool2d(b, "avgpool", 6),
        sequential(b, "classifier", numbered(classifier)),
    ];
    Ok(custom(b, "", "AlexNet", children, features_then_classifier, features_then_classifier_script))
}
