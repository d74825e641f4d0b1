//! Hyper-parameters of a script's modules in a few characters, and their operations: as the layers of the zoo show them.
//!
//! Scripted modules keep constants (`kernel_size`…), traced ones only the arguments of their operators; what a tensor's
//! shape says is taken from there.

use serde_json::Value;

use super::facts::Module;

/// What is known of one module's layer.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// Shown in the tree.
    pub detail: String,
    work: Work,
}

/// How many operations a layer costs.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Work {
    #[default]
    Unknown,
    /// So many for each element of the output.
    Output(i64),
    /// So many for each element of the input.
    Input(i64),
}

impl Layer {
    /// Reads a module; `weight` is the shape of its tensor of that name.
    pub fn of(module: &Module, weight: Option<&[i64]>) -> Self {
        let kind = module.class.as_str();
        let family = ["1d", "2d", "3d"].iter().find_map(|d| kind.strip_suffix(d)).unwrap_or(kind);
        match (family, weight) {
            ("Conv", Some(weight)) => conv(module, weight, false),
            ("ConvTranspose", Some(weight)) => conv(module, weight, true),
            ("Linear" | "NonDynamicallyQuantizableLinear", Some(&[outputs, inputs])) => {
                Self { detail: format!("{inputs}->{outputs}"), work: Work::Output(2 * inputs) }
            }
            ("Embedding", Some(&[n, width])) => Self { detail: format!("{n}->{width}"), work: Work::Unknown },
            ("MaxPool" | "AvgPool", _) => pool(module),
            ("AdaptiveAvgPool" | "AdaptiveMaxPool", _) => {
                let size = hyper(
                    module,
                    "output_size",
                    &["adaptive_avg_pool2d", "adaptive_avg_pool1d", "adaptive_max_pool2d"],
                );
                Self { detail: size.map(|s| sides(&s)).unwrap_or_default(), work: Work::Unknown }
            }
            ("LSTM" | "GRU" | "RNN", _) => {
                let size = |name| module.values.get(name).and_then(Value::as_i64);
                let detail = match (size("input_size"), size("hidden_size")) {
                    (Some(from), Some(to)) => format!("{from}->{to}"),
                    _ => String::new(),
                };
                Self { detail, work: Work::Unknown }
            }
            _ if family.ends_with("Dropout") => {
                let p = module.values.get("p").or_else(|| module.operators.first().and_then(|op| op.get("p")));
                let detail = p.and_then(Value::as_f64).map(|p| format!("p={p}")).unwrap_or_default();
                Self { detail, work: Work::Unknown }
            }
            _ if family.ends_with("Norm") => norm(module, weight),
            _ => Self::default(),
        }
    }

    /// Multiply-adds counted as two, for tensors of these shapes.
    pub fn flops(&self, input: &[i64], output: &[i64]) -> u64 {
        let count = |shape: &[i64]| if shape.is_empty() { 0 } else { shape.iter().product::<i64>() };
        match self.work {
            Work::Unknown => 0,
            Work::Output(each) => count(output).saturating_mul(each).unsigned_abs(),
            Work::Input(each) => count(input).saturating_mul(each).unsigned_abs(),
        }
    }
}

const CONVOLUTIONS: &[&str] = &[
    "_convolution",
    "conv1d",
    "conv2d",
    "conv3d",
    "convolution",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
];

fn conv(module: &Module, weight: &[i64], transposed: bool) -> Layer {
    let [first, second, kernel @ ..] = weight else { return Layer::default() };
    let groups = hyper(module, "groups", CONVOLUTIONS).and_then(|g| g.first().copied()).unwrap_or(1).max(1);
    let (inputs, outputs) = if transposed { (*first, second * groups) } else { (second * groups, *first) };
    let mut detail = format!("{inputs}->{outputs} {}", product(kernel));
    for (name, letter) in [("stride", 's'), ("dilation", 'd')] {
        if let Some(values) = hyper(module, name, CONVOLUTIONS).filter(|v| v.iter().any(|&n| n != 1)) {
            detail += &format!(" {letter}{}", sides(&values));
        }
    }
    if groups != 1 {
        detail += &format!(" g{groups}");
    }
    let each = 2 * second * kernel.iter().product::<i64>();
    Layer { detail, work: if transposed { Work::Input(each) } else { Work::Output(each) } }
}

fn pool(module: &Module) -> Layer {
    const POOLS: &[&str] = &[
        "max_pool1d",
        "max_pool2d",
        "max_pool3d",
        "avg_pool1d",
        "avg_pool2d",
        "avg_pool3d",
        "max_pool2d_with_indices",
    ];
    let dims = module.class.chars().rev().nth(1).and_then(|d| d.to_digit(10)).unwrap_or(1) as usize;
    let Some(kernel) = hyper(module, "kernel_size", POOLS) else { return Layer::default() };
    let all = |values: Vec<i64>| if let [one] = values[..] { vec![one; dims] } else { values };
    // PyTorch's default stride is the kernel.
    let stride = hyper(module, "stride", POOLS).filter(|s| !s.is_empty()).unwrap_or_else(|| kernel.clone());
    Layer { detail: format!("{} s{}", product(&all(kernel)), sides(&stride)), work: Work::Unknown }
}

fn norm(module: &Module, weight: Option<&[i64]>) -> Layer {
    let size = |name: &str| module.values.get(name).map(numbers).filter(|n| !n.is_empty());
    let features = match module.class.as_str() {
        "GroupNorm" => size("num_channels"),
        _ => size("num_features").or_else(|| size("normalized_shape")),
    };
    let features = features.or_else(|| weight.map(<[i64]>::to_vec));
    let mut detail = features.map(|f| product(&f)).unwrap_or_default();
    if let Some(groups) = module.values.get("num_groups").and_then(Value::as_i64) {
        detail += &format!(" g{groups}");
    }
    Layer { detail, work: Work::Output(2) }
}

/// A constant of the module, or an argument of one of its operators.
fn hyper(module: &Module, name: &str, operators: &[&str]) -> Option<Vec<i64>> {
    let value = module.values.get(name).or_else(|| module.operator(operators)?.get(name))?;
    Some(numbers(value))
}

fn numbers(value: &Value) -> Vec<i64> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_i64).collect(),
        other => other.as_i64().into_iter().collect(),
    }
}

/// `3x5`.
fn product(sides: &[i64]) -> String {
    sides.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

/// One number where all are equal.
fn sides(values: &[i64]) -> String {
    match values {
        [first, rest @ ..] if rest.iter().all(|v| v == first) => first.to_string(),
        _ => product(values),
    }
}
