//! `[loss]`, `[optimizer]` and `[lr_schedule]`, with PyTorch's names and defaults.

use serde::{Deserialize, Serialize};

/// Losses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// `CrossEntropyLoss`.
    #[default]
    CrossEntropy,
    /// `MSELoss`.
    Mse,
    /// `L1Loss`.
    L1,
    /// `SmoothL1Loss`, beta 1.
    SmoothL1,
    /// `BCEWithLogitsLoss`.
    Bce,
}

impl LossKind {
    /// The word in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Mse => "mse",
            Self::L1 => "l1",
            Self::SmoothL1 => "smooth-l1",
            Self::Bce => "bce",
        }
    }

    /// Why it cannot take the data's targets, values (`regression`) or classes, if so.
    pub fn unfit(self, regression: bool) -> Option<String> {
        let words = match (self, regression) {
            (Self::CrossEntropy, true) => {
                "needs classes, but the data has values; use \"mse\", \"l1\" or \"smooth-l1\""
            }
            (Self::Mse | Self::L1 | Self::SmoothL1, false) => {
                "needs values to learn, but the data has classes; use \"cross-entropy\""
            }
            _ => return None,
        };
        Some(format!("loss.kind = \"{}\" {words}", self.name()))
    }
}

/// What is minimised; always the mean over the batch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossSpec {
    /// Kind of loss.
    pub kind: LossKind,
    /// Cross-entropy's label smoothing, 0..1.
    pub label_smoothing: f64,
    /// Cross-entropy's weight of each class; none when empty.
    pub class_weights: Vec<f64>,
}

/// Optimizers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// `torch.optim.SGD`.
    Sgd,
    /// `torch.optim.Adam`.
    Adam,
    /// `torch.optim.AdamW`.
    #[default]
    Adamw,
}

/// The optimizer with PyTorch's argument names. `None` means PyTorch's default of the kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerSpec {
    /// Kind of optimizer.
    pub kind: OptimizerKind,
    /// Learning rate.
    pub lr: f64,
    /// Weight decay; PyTorch's default (adamw 0.01, others 0) when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// SGD.
    pub momentum: f64,
    /// SGD.
    pub dampening: f64,
    /// SGD.
    pub nesterov: bool,
    /// Adam, AdamW.
    pub betas: (f64, f64),
    /// Adam, AdamW.
    pub eps: f64,
    /// Adam, AdamW.
    pub amsgrad: bool,
    /// Weight decay 0 on biases and on the parameters of norm layers.
    pub no_decay_norm_bias: bool,
    /// Factor on `lr` for each block further from the head; 1 leaves all the same.
    pub layer_decay: f64,
    /// Parameter groups; the first that matches wins, the rest have the values above.
    pub groups: Vec<GroupSpec>,
}

impl Default for OptimizerSpec {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adamw,
            lr: 1e-3,
            weight_decay: None,
            momentum: 0.0,
            dampening: 0.0,
            nesterov: false,
            betas: (0.9, 0.999),
            eps: 1e-8,
            amsgrad: false,
            no_decay_norm_bias: false,
            layer_decay: 1.0,
            groups: Vec::new(),
        }
    }
}

/// One parameter group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Pattern over dotted names (the freeze rules' syntax).
    #[serde(rename = "match")]
    pub pattern: String,
    /// Learning rate of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Weight decay of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

/// Shapes of the learning rate over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LrScheduleKind {
    /// The same throughout.
    #[default]
    Constant,
    /// Times `gamma` every `step_size` epochs (`StepLR`).
    Step,
    /// Times `gamma` at each epoch of `milestones` (`MultiStepLR`).
    MultiStep,
    /// Half a cosine from 1 to `min_factor` over the run (`CosineAnnealingLR`).
    Cosine,
    /// `OneCycleLR`: up to lr at `pct_start`, then down.
    OneCycle,
    /// Times `gamma` when the monitored metric stands still for `patience` validations (`ReduceLROnPlateau`).
    Plateau,
}

/// The learning rate over time. Warm-up comes first and is linear from `warmup_start_factor` to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LrScheduleSpec {
    /// Shape.
    pub kind: LrScheduleKind,
    /// Optimizer steps of warm-up.
    pub warmup_steps: u64,
    /// Factor of the first warm-up step.
    pub warmup_start_factor: f64,
    /// `step`: epochs between two decays.
    pub step_size: u64,
    /// `multi-step`: epochs.
    pub milestones: Vec<u64>,
    /// `step`, `multi-step`, `plateau`: factor of a decay.
    pub gamma: f64,
    /// `cosine`, `plateau`: lowest factor of the base rate.
    pub min_factor: f64,
    /// `one-cycle`: part of the run that rises.
    pub pct_start: f64,
    /// `one-cycle`: first rate is lr / div_factor.
    pub div_factor: f64,
    /// `one-cycle`: last rate is first / final_div_factor.
    pub final_div_factor: f64,
    /// `plateau`: validations without improvement before a decay.
    pub patience: u64,
    /// `plateau`: relative improvement that counts.
    pub threshold: f64,
}

impl Default for LrScheduleSpec {
    fn default() -> Self {
        Self {
            kind: LrScheduleKind::Constant,
            warmup_steps: 0,
            warmup_start_factor: 0.01,
            step_size: 1,
            milestones: Vec::new(),
            gamma: 0.1,
            min_factor: 0.0,
            pct_start: 0.3,
            div_factor: 25.0,
            final_div_factor: 1e4,
            patience: 10,
            threshold: 1e-4,
        }
    }
}
