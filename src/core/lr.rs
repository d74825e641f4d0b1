//! The learning rate over time: a pure function of the step, but for the plateau schedule's small state.
//!
//! Closed forms equal PyTorch's schedulers called once a step (`torch/optim/lr_scheduler.py`, version 2.11), as factors
//! of the base rate. Warm-up is `LinearLR(start_factor = warmup_start_factor, total_iters = warmup_steps)`; it multiplies
//! what follows (`ChainedScheduler`), and cosine and one-cycle begin when it ends (`SequentialLR`).
//! The trainer asks for the factor of each step and keeps the whole value in checkpoints.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::recipe::{LrScheduleKind, LrScheduleSpec, Mode};

/// A learning-rate schedule of a run of known length, with the plateau's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LrSchedule {
    spec: LrScheduleSpec,
    total_steps: u64,
    steps_per_epoch: u64,
    plateau: Plateau,
}

impl LrSchedule {
    /// A schedule over `total_steps` optimizer steps; `mode` says which way the monitored metric is better (plateau).
    pub fn new(spec: &LrScheduleSpec, total_steps: u64, steps_per_epoch: u64, mode: Mode) -> Self {
        let plateau = Plateau::new(spec.gamma, spec.patience, spec.threshold, spec.min_factor, mode);
        Self { spec: spec.clone(), total_steps, steps_per_epoch: steps_per_epoch.max(1), plateau }
    }

    /// Factor of the base rate for the step with this number, from 0.
    pub fn factor(&self, step: u64) -> f64 {
        self.warm_up(step) * self.shape(step)
    }

    /// Takes in the monitored metric after a validation. Only the plateau schedule looks at it.
    pub fn observe(&mut self, metric: f64) {
        if self.spec.kind == LrScheduleKind::Plateau {
            self.plateau.observe(metric);
        }
    }

    /// The run has become longer or shorter: cosine and one-cycle stretch to the new end.
    pub fn set_total(&mut self, total_steps: u64) {
        self.total_steps = total_steps;
    }

    /// Optimizer steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// `LinearLR`.
    fn warm_up(&self, step: u64) -> f64 {
        let (start, steps) = (self.spec.warmup_start_factor, self.spec.warmup_steps);
        if step >= steps { 1.0 } else { start + (1.0 - start) * (step as f64 / steps as f64) }
    }

    fn shape(&self, step: u64) -> f64 {
        let spec = &self.spec;
        // A checkpoint's text may say 0.
        let epoch = step / self.steps_per_epoch.max(1);
        let after_warm_up = step.saturating_sub(spec.warmup_steps);
        let length = self.total_steps.saturating_sub(spec.warmup_steps);
        match spec.kind {
            LrScheduleKind::Constant => 1.0,
            // StepLR: gamma ** (last_epoch // step_size).
            LrScheduleKind::Step => power(spec.gamma, epoch / spec.step_size.max(1)),
            // MultiStepLR: gamma ** bisect_right(milestones, last_epoch).
            LrScheduleKind::MultiStep => {
                power(spec.gamma, spec.milestones.iter().filter(|m| **m <= epoch).count() as u64)
            }
            LrScheduleKind::Cosine => cosine(after_warm_up, length, spec.min_factor),
            LrScheduleKind::OneCycle => one_cycle(after_warm_up, length, spec),
            LrScheduleKind::Plateau => self.plateau.factor,
        }
    }
}

fn power(base: f64, exponent: u64) -> f64 {
    base.powi(i32::try_from(exponent).unwrap_or(i32::MAX))
}

/// `CosineAnnealingLR` with `T_max = length`, but that it stays at the minimum after the end instead of rising again.
fn cosine(step: u64, length: u64, min: f64) -> f64 {
    let part = step.min(length) as f64 / length.max(1) as f64;
    min + (1.0 - min) * (1.0 + (PI * part).cos()) / 2.0
}

/// `OneCycleLR` with `total_steps = length`, `anneal_strategy = "cos"`, `three_phase = False`, `cycle_momentum = False`;
/// the base rate is its `max_lr`. It stays at its last rate after the end.
fn one_cycle(step: u64, length: u64, spec: &LrScheduleSpec) -> f64 {
    let first = 1.0 / spec.div_factor;
    let last = first / spec.final_div_factor;
    let end = length.saturating_sub(1) as f64;
    let step = (step as f64).min(end);
    let top = spec.pct_start * length as f64 - 1.0;
    if step <= top {
        // PyTorch divides by zero when the rise is one step long; it has then arrived.
        let part = if top > 0.0 { step / top } else { 1.0 };
        anneal(first, 1.0, part)
    } else {
        anneal(1.0, last, (step - top) / (end - top))
    }
}

/// `OneCycleLR._annealing_cos`.
fn anneal(start: f64, end: f64, part: f64) -> f64 {
    end + (start - end) / 2.0 * (1.0 + (PI * part).cos())
}

/// `ReduceLROnPlateau` with `threshold_mode = "rel"` and no cooldown, as a factor of the base rate. PyTorch's `eps`
/// (a change of the rate below 1e-8 is not made) is left out, because it depends on the base rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    gamma: f64,
    patience: u64,
    threshold: f64,
    min_factor: f64,
    mode: Mode,
    factor: f64,
    best: Option<f64>,
    bad: u64,
}

impl Plateau {
    /// A factor of 1 that is multiplied by `gamma`, down to `min_factor`, whenever more than `patience` metrics in a
    /// row are not better than the best by the relative `threshold`.
    pub fn new(gamma: f64, patience: u64, threshold: f64, min_factor: f64, mode: Mode) -> Self {
        Self { gamma, patience, threshold, min_factor, mode, factor: 1.0, best: None, bad: 0 }
    }

    /// The factor now.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// Takes in one metric. One that is not finite is never better.
    pub fn observe(&mut self, metric: f64) {
        if is_better(metric, self.best, self.threshold, self.mode) {
            self.best = Some(metric);
            self.bad = 0;
        } else {
            self.bad += 1;
        }
        if self.bad > self.patience {
            self.factor = self.factor.min((self.factor * self.gamma).max(self.min_factor));
            self.bad = 0;
        }
    }
}

/// Ends a run when the monitored metric has not become better for some validations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    patience: u64,
    mode: Mode,
    best: Option<f64>,
    bad: u64,
}

impl EarlyStopping {
    /// Stops after `patience` validations without improvement; 0 never.
    pub fn new(patience: u64, mode: Mode) -> Self {
        Self { patience, mode, best: None, bad: 0 }
    }

    /// Takes in one metric; true says that the run should stop.
    pub fn observe(&mut self, metric: f64) -> bool {
        if is_better(metric, self.best, 0.0, self.mode) {
            self.best = Some(metric);
            self.bad = 0;
        } else {
            self.bad += 1;
        }
        self.patience > 0 && self.bad >= self.patience
    }

    /// Validations in a row without improvement.
    pub fn waiting(&self) -> u64 {
        self.bad
    }
}

/// `ReduceLROnPlateau._is_better` in relative mode; only finite metrics can be better, so that `best` survives JSON.
fn is_better(metric: f64, best: Option<f64>, threshold: f64, mode: Mode) -> bool {
    metric.is_finite()
        && best.is_none_or(|best| match mode {
            Mode::Min => metric < best * (1.0 - threshold),
            Mode::Max => metric > best * (1.0 + threshold),
        })
}

#[cfg(test)]
mod tests;
