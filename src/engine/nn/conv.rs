//! `nn.Conv2d`.

use tch::Tensor;

use super::{Build, Cx, Init, Node, Op, Result, script};

/// Hyper-parameters of `nn.Conv2d`, square kernels.
#[derive(Debug, Clone, Copy)]
pub struct Conv2d {
    /// Input channels.
    pub inputs: i64,
    /// Output channels.
    pub outputs: i64,
    /// Side of the kernel.
    pub kernel: i64,
    /// Stride.
    pub stride: i64,
    /// Zero padding on each side.
    pub padding: i64,
    /// Dilation.
    pub dilation: i64,
    /// Groups.
    pub groups: i64,
    /// Whether there is a bias.
    pub bias: bool,
    /// Initialisation of the weight; PyTorch's default when `None`.
    pub init: Option<Init>,
    /// Initialisation of the bias; PyTorch's default when `None`.
    pub bias_init: Option<Init>,
}

impl Conv2d {
    /// PyTorch's defaults: stride 1, no padding, with bias.
    pub fn new(inputs: i64, outputs: i64, kernel: i64) -> Self {
        Self {
            inputs,
            outputs,
            kernel,
            stride: 1,
            padding: 0,
            dilation: 1,
            groups: 1,
            bias: true,
            init: None,
            bias_init: None,
        }
    }

    /// With a stride.
    pub fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    /// With zero padding.
    pub fn padding(self, padding: i64) -> Self {
        Self { padding, ..self }
    }

    /// In groups.
    pub fn groups(self, groups: i64) -> Self {
        Self { groups, ..self }
    }

    /// Without a bias.
    pub fn no_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// Values that a sum for one output runs over.
    pub fn fan_in(&self) -> i64 {
        self.inputs / self.groups * self.kernel * self.kernel
    }

    /// The weight as given, the bias 0.
    pub fn init(self, weight: Init) -> Self {
        Self { init: Some(weight), bias_init: Some(Init::Zeros), ..self }
    }

    /// `kaiming_normal_(mode="fan_out")` (groups do not count), the bias 0.
    pub fn kaiming_fan_out(self) -> Self {
        self.init(Init::kaiming_fan_out(self.outputs * self.kernel * self.kernel))
    }
}

/// `nn.Conv2d`: `[N, inputs, H, W]` to `[N, outputs, H', W']`.
pub fn conv2d(b: &Build, name: impl Into<String>, c: Conv2d) -> Result<Node> {
    let fan_in = c.fan_in();
    let shape = [c.outputs, c.inputs / c.groups, c.kernel, c.kernel];
    let mut slots = vec![b.parameter("weight", &shape, c.init.unwrap_or(Init::default_for(fan_in)))?];
    if c.bias {
        slots.push(b.parameter("bias", &[c.outputs], c.bias_init.unwrap_or(Init::default_for(fan_in)))?);
    }
    Ok(b.node(name, c, slots, Vec::new()))
}

impl Op for Conv2d {
    fn kind(&self) -> &'static str {
        "Conv2d"
    }
    fn detail(&self) -> String {
        let mut text = format!("{}->{} {k}x{k}", self.inputs, self.outputs, k = self.kernel);
        if self.stride != 1 {
            text += &format!(" s{}", self.stride);
        }
        if self.dilation != 1 {
            text += &format!(" d{}", self.dilation);
        }
        if self.groups != 1 {
            text += &format!(" g{}", self.groups);
        }
        text
    }
    fn forward(&self, node: &Node, x: &Tensor, _: &Cx<'_>) -> Result<Tensor> {
        Ok(x.f_conv2d(
            node.need("weight")?,
            node.slot("bias"),
            [self.stride; 2],
            [self.padding; 2],
            [self.dilation; 2],
            self.groups,
        )?)
    }
    fn script(&self, node: &Node) -> Option<String> {
        let Self { stride: s, padding: p, dilation: d, groups, .. } = self;
        let bias = script::own(node, "bias");
        Some(format!("return torch.conv2d(x, self.weight, {bias}, [{s}, {s}], [{p}, {p}], [{d}, {d}], {groups})"))
    }
    fn flops(&self, _: &[i64], output: &[i64]) -> u64 {
        let per_output = 2 * self.inputs / self.groups * self.kernel * self.kernel;
        (output.iter().product::<i64>() * per_output).unsigned_abs()
    }
}
