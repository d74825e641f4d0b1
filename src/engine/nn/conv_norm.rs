//! Torchvision's `Conv2dNormActivation` and `SqueezeExcitation`.

use tch::Tensor;

use super::{
    Activation, BatchNorm2d, Build, Conv2d, Cx, Node, Result, activation, adaptive_avg_pool2d, batch_norm2d, conv2d,
    custom, subclass,
};

/// A convolution without bias that keeps the size but for its stride, a batch norm (whose number of features is taken from
/// the convolution), and an activation where there is one.
pub fn conv_norm(
    b: &Build,
    name: impl Into<String>,
    c: Conv2d,
    norm: BatchNorm2d,
    act: Option<Activation>,
) -> Result<Node> {
    let c = Conv2d { padding: (c.kernel - 1) / 2, bias: false, ..c };
    let mut children = vec![conv2d(b, "0", c)?, batch_norm2d(b, "1", BatchNorm2d { features: c.outputs, ..norm })?];
    if let Some(act) = act {
        children.push(activation(b, "2", act));
    }
    Ok(subclass(b, name, "Conv2dNormActivation", children))
}

/// Scales each channel by what the means of all of them say; `squeeze` is the width between, `inner` and `outer` the
/// activations. The 1x1 convolutions are initialised as torchvision's MobileNetV3 and EfficientNet do.
pub fn squeeze_excitation(
    b: &Build,
    name: impl Into<String>,
    channels: i64,
    squeeze: i64,
    inner: Activation,
    outer: Activation,
) -> Result<Node> {
    let children = vec![
        adaptive_avg_pool2d(b, "avgpool", 1),
        conv2d(b, "fc1", Conv2d::new(channels, squeeze, 1).kaiming_fan_out())?,
        conv2d(b, "fc2", Conv2d::new(squeeze, channels, 1).kaiming_fan_out())?,
        activation(b, "activation", inner),
        activation(b, "scale_activation", outer),
    ];
    let script = |_: &Node| {
        "y = self.activation.forward(self.fc1.forward(self.avgpool.forward(x)))\n\
         return self.scale_activation.forward(self.fc2.forward(y)) * x"
            .to_owned()
    };
    Ok(custom(b, name, "SqueezeExcitation", children, scale, script))
}

fn scale(node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
    let mut y = x.shallow_clone();
    for child in ["avgpool", "fc1", "activation", "fc2", "scale_activation"] {
        y = node.child(child)?.forward(&y, cx)?;
    }
    Ok(y.f_mul(x)?)
}
