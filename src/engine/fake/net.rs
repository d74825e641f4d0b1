//! The fake model's arithmetic: linear blocks with batch norm and ReLU, dropout, a linear head; plain f32 loops.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::tree::BLOCKS;
use crate::core::recipe::LossKind;
use crate::engine::{Batch, InputSpec, Targets};

const EPS: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// A learnable tensor: values and the gradient of the step at hand.
#[derive(Debug, Clone, Default)]
pub struct Param {
    pub value: Vec<f32>,
    pub grad: Vec<f32>,
    pub trainable: bool,
}

/// `relu(norm(weight x))`.
#[derive(Debug, Clone)]
pub struct Block {
    pub weight: Param,
    pub scale: Param,
    pub shift: Param,
    pub mean: Vec<f32>,
    pub var: Vec<f32>,
    pub tracked: i64,
    /// Uses the running statistics and keeps them, in train mode too.
    pub norm_frozen: bool,
    /// Gradients end here.
    pub no_grad: bool,
}

/// The whole model.
#[derive(Debug, Clone)]
pub struct Net {
    pub blocks: Vec<Block>,
    pub head_weight: Param,
    pub head_bias: Param,
    pub head_no_grad: bool,
    pub width: usize,
    pub outputs: usize,
    pub dropout: f64,
}

/// What one block's backward pass needs.
struct Tape {
    input: Vec<f32>,
    normed: Vec<f32>,
    inv_std: Vec<f32>,
    out: Vec<f32>,
    batch_stats: bool,
}

impl Net {
    /// Fresh weights from a seed (uniform, as PyTorch's `Linear`).
    pub fn new(seed: u64, input: &InputSpec, width: usize, dropout: f64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let features: usize = input.sample_shape.iter().product();
        let blocks = (0..BLOCKS.len())
            .map(|i| {
                let inputs = if i == 0 { features } else { width };
                Block {
                    weight: uniform(&mut rng, width * inputs, inputs),
                    scale: filled(width, 1.0),
                    shift: filled(width, 0.0),
                    mean: vec![0.0; width],
                    var: vec![1.0; width],
                    tracked: 0,
                    norm_frozen: false,
                    no_grad: false,
                }
            })
            .collect();
        let head_weight = uniform(&mut rng, input.outputs * width, width);
        let head_bias = uniform(&mut rng, input.outputs, width);
        Self { blocks, head_weight, head_bias, head_no_grad: false, width, outputs: input.outputs, dropout }
    }

    /// Parameters in the tree's order.
    pub fn params_mut(&mut self) -> Vec<&mut Param> {
        let mut all: Vec<&mut Param> = Vec::new();
        for block in &mut self.blocks {
            all.extend([&mut block.weight, &mut block.scale, &mut block.shift]);
        }
        all.extend([&mut self.head_weight, &mut self.head_bias]);
        all
    }

    /// Whether the backward pass comes to each parameter, in the tree's order, be its gradient zero or not.
    pub fn reached(&self) -> Vec<bool> {
        let mut open = !self.head_no_grad;
        let mut backwards = vec![open; 2];
        for block in self.blocks.iter().rev() {
            open &= !block.no_grad;
            backwards.extend([open; 3]);
        }
        backwards.reverse();
        backwards
    }

    /// Raw outputs in eval mode, `[n, outputs]`.
    pub fn infer(&self, x: &[f32], n: usize) -> Vec<f32> {
        let mut h = x.to_vec();
        for block in &self.blocks {
            let z = linear(&block.weight.value, &h, n, self.width);
            h = z
                .chunks_exact(self.width)
                .flat_map(|row| row.iter().enumerate().map(|(j, v)| block.affine(j, block.norm(j, *v)).max(0.0)))
                .collect();
        }
        self.head(&h, n)
    }

    fn head(&self, h: &[f32], n: usize) -> Vec<f32> {
        let mut out = linear(&self.head_weight.value, h, n, self.outputs);
        for row in out.chunks_exact_mut(self.outputs) {
            row.iter_mut().zip(&self.head_bias.value).for_each(|(o, b)| *o += b);
        }
        out
    }

    /// Adds the gradients of one batch, times `share`; the mean loss of the batch.
    pub fn train(&mut self, batch: &Batch, loss: LossKind, share: f32, dropout_seed: u64) -> f32 {
        let n = batch.len();
        let mut tapes: Vec<Tape> = Vec::with_capacity(self.blocks.len());
        let mut h = batch.x.clone();
        for block in &mut self.blocks {
            let tape = block.forward(h, n, self.width);
            h = tape.out.clone();
            tapes.push(tape);
        }
        let mask = self.dropout_mask(h.len(), dropout_seed);
        h.iter_mut().zip(&mask).for_each(|(v, m)| *v *= m);
        let out = self.head(&h, n);
        let (value, mut d_out) = loss_and_grad(&out, &batch.y, n, self.outputs, loss);
        d_out.iter_mut().for_each(|g| *g *= share);
        if self.head_no_grad {
            return value;
        }
        add_outer(&mut self.head_weight, &d_out, &h, n);
        if self.head_bias.trainable {
            for row in d_out.chunks_exact(self.outputs) {
                self.head_bias.grad.iter_mut().zip(row).for_each(|(g, d)| *g += d);
            }
        }
        let mut d = back(&self.head_weight.value, &d_out, n, self.width);
        d.iter_mut().zip(&mask).for_each(|(v, m)| *v *= m);
        for (block, tape) in self.blocks.iter_mut().zip(&tapes).rev() {
            if block.no_grad {
                break;
            }
            d = block.backward(tape, d, n);
        }
        value
    }

    fn dropout_mask(&self, len: usize, seed: u64) -> Vec<f32> {
        if self.dropout <= 0.0 {
            return vec![1.0; len];
        }
        let keep = (1.0 / (1.0 - self.dropout)) as f32;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..len).map(|_| if rng.random::<f64>() < self.dropout { 0.0 } else { keep }).collect()
    }
}

impl Block {
    fn norm(&self, j: usize, v: f32) -> f32 {
        (v - self.mean[j]) / (self.var[j] + EPS).sqrt()
    }

    fn affine(&self, j: usize, v: f32) -> f32 {
        v * self.scale.value[j] + self.shift.value[j]
    }

    fn forward(&mut self, input: Vec<f32>, n: usize, width: usize) -> Tape {
        let z = linear(&self.weight.value, &input, n, width);
        let batch_stats = !self.norm_frozen;
        let (mut mean, mut var) = (self.mean.clone(), self.var.clone());
        if batch_stats {
            for j in 0..width {
                let column = || z.iter().skip(j).step_by(width);
                mean[j] = column().sum::<f32>() / n as f32;
                var[j] = column().map(|v| (v - mean[j]).powi(2)).sum::<f32>() / n as f32;
                let unbiased = var[j] * n as f32 / (n as f32 - 1.0).max(1.0);
                self.mean[j] += MOMENTUM * (mean[j] - self.mean[j]);
                self.var[j] += MOMENTUM * (unbiased - self.var[j]);
            }
            self.tracked += 1;
        }
        let inv_std: Vec<f32> = var.iter().map(|v| 1.0 / (v + EPS).sqrt()).collect();
        let mut normed = z;
        for row in normed.chunks_exact_mut(width) {
            for j in 0..width {
                row[j] = (row[j] - mean[j]) * inv_std[j];
            }
        }
        let out = normed
            .chunks_exact(width)
            .flat_map(|row| row.iter().enumerate().map(|(j, v)| self.affine(j, *v).max(0.0)))
            .collect();
        Tape { input, normed, inv_std, out, batch_stats }
    }

    fn backward(&mut self, tape: &Tape, mut d: Vec<f32>, n: usize) -> Vec<f32> {
        let width = self.mean.len();
        d.iter_mut().zip(&tape.out).for_each(|(g, o)| *g = if *o > 0.0 { *g } else { 0.0 });
        for j in 0..width {
            let rows = || (0..n).map(|r| r * width + j);
            let sum: f32 = rows().map(|i| d[i]).sum();
            let dot: f32 = rows().map(|i| d[i] * tape.normed[i]).sum();
            if self.shift.trainable {
                self.shift.grad[j] += sum;
            }
            if self.scale.trainable {
                self.scale.grad[j] += dot;
            }
            let factor = self.scale.value[j] * tape.inv_std[j];
            for i in rows() {
                // Batch statistics depend on the inputs, running ones do not.
                let through = if tape.batch_stats { (sum + tape.normed[i] * dot) / n as f32 } else { 0.0 };
                d[i] = factor * (d[i] - through);
            }
        }
        add_outer(&mut self.weight, &d, &tape.input, n);
        back(&self.weight.value, &d, n, tape.input.len() / n.max(1))
    }
}

fn uniform(rng: &mut ChaCha8Rng, len: usize, fan_in: usize) -> Param {
    let bound = 1.0 / (fan_in as f32).sqrt();
    let value = (0..len).map(|_| rng.random_range(-bound..bound)).collect();
    Param { value, grad: vec![0.0; len], trainable: true }
}

fn filled(len: usize, v: f32) -> Param {
    Param { value: vec![v; len], grad: vec![0.0; len], trainable: true }
}

/// `x wᵀ`, `[n, outputs]`.
fn linear(w: &[f32], x: &[f32], n: usize, outputs: usize) -> Vec<f32> {
    let inputs = w.len() / outputs.max(1);
    let mut out = Vec::with_capacity(n * outputs);
    for row in x.chunks_exact(inputs).take(n) {
        for w in w.chunks_exact(inputs) {
            out.push(row.iter().zip(w).map(|(a, b)| a * b).sum());
        }
    }
    out
}

/// `d w`, `[n, inputs]`.
fn back(w: &[f32], d: &[f32], n: usize, inputs: usize) -> Vec<f32> {
    let outputs = d.len() / n.max(1);
    let mut out = vec![0.0; n * inputs];
    for (d, out) in d.chunks_exact(outputs).zip(out.chunks_exact_mut(inputs)) {
        for (g, w) in d.iter().zip(w.chunks_exact(inputs)) {
            out.iter_mut().zip(w).for_each(|(o, w)| *o += g * w);
        }
    }
    out
}

/// Adds `dᵀ x` to a parameter's gradient, if it learns.
fn add_outer(p: &mut Param, d: &[f32], x: &[f32], n: usize) {
    if !p.trainable {
        return;
    }
    let (outputs, inputs) = (d.len() / n.max(1), x.len() / n.max(1));
    for (d, x) in d.chunks_exact(outputs).zip(x.chunks_exact(inputs)) {
        for (g, row) in d.iter().zip(p.grad.chunks_exact_mut(inputs)) {
            row.iter_mut().zip(x).for_each(|(p, x)| *p += g * x);
        }
    }
}

/// Mean loss and its gradient: softmax cross entropy for classes, squared error for values.
pub fn loss_and_grad(out: &[f32], y: &Targets, n: usize, outputs: usize, _kind: LossKind) -> (f32, Vec<f32>) {
    let mut grad = vec![0.0; out.len()];
    let mut total = 0.0;
    match y {
        Targets::Classes(classes) => {
            for ((row, class), g) in out.chunks_exact(outputs).zip(classes).zip(grad.chunks_exact_mut(outputs)) {
                let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = row.iter().map(|v| (v - top).exp()).sum();
                let class = usize::try_from(*class).unwrap_or(0);
                total += sum.ln() + top - row[class];
                for (k, (g, v)) in g.iter_mut().zip(row).enumerate() {
                    *g = ((v - top).exp() / sum - f32::from(u8::from(k == class))) / n as f32;
                }
            }
            (total / n as f32, grad)
        }
        Targets::Values { data, .. } => {
            let count = out.len().max(1) as f32;
            for ((o, y), g) in out.iter().zip(data).zip(&mut grad) {
                total += (o - y).powi(2);
                *g = 2.0 * (o - y) / count;
            }
            (total / count, grad)
        }
    }
}
