//! `[freeze]`, `[train]` and `[checkpoint]`.

use serde::{Deserialize, Serialize};

use super::FreezeSchedule;

/// What frozen batch norms do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchNormMode {
    /// A norm layer none of whose parameters learns uses its running statistics and keeps them.
    #[default]
    EvalWhenFrozen,
    /// PyTorch's plain behaviour: statistics move in train mode, frozen or not.
    Pytorch,
}

/// What dropout does in a part of the model that is frozen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FrozenDropout {
    /// PyTorch's plain behaviour: it drops in train mode, frozen or not.
    #[default]
    On,
    /// It lets everything pass, as in eval mode.
    Off,
}

/// What becomes of the optimizer state of a parameter that stops learning during the training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerState {
    /// It is kept, in host memory and in the checkpoints: thawed, the parameter goes on with it.
    #[default]
    Keep,
    /// It is dropped: thawed, the parameter starts anew.
    Drop,
}

/// What learns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FreezeSpec {
    /// Ordered rules; the last that matches wins.
    pub rules: Vec<String>,
    /// What frozen batch norms do.
    pub batch_norm: BatchNormMode,
    /// What dropout does in a part that is frozen.
    pub frozen_dropout: FrozenDropout,
    /// What becomes of the optimizer state of a parameter that stops learning.
    pub optimizer_state: OptimizerState,
    /// Validations without improvement of the monitored metric that make a plateau, for `schedule`.
    pub patience: u64,
    /// How the plan changes by itself.
    pub schedule: FreezeSchedule,
}

impl Default for FreezeSpec {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            batch_norm: BatchNormMode::default(),
            frozen_dropout: FrozenDropout::default(),
            optimizer_state: OptimizerState::default(),
            patience: 3,
            schedule: FreezeSchedule::default(),
        }
    }
}

/// Number formats of the forward and backward pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    Fp32,
    /// Single precision with TF32 matrix units (CUDA).
    Tf32,
    /// bfloat16 autocast.
    Bf16,
    /// float16 autocast with loss scaling.
    Fp16,
}

/// What a non-finite loss or gradient does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNan {
    /// The update is not applied, a checkpoint is written, the run fails with the parameters named.
    #[default]
    Stop,
    /// The update is not applied and counted; the run goes on.
    Skip,
    /// The update is applied, as a plain loop would.
    Ignore,
}

/// `train.batch_size = "auto"`, which no batch can have as its size.
pub const AUTO_BATCH: usize = 0;

/// How long, in what batches, where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainSpec {
    /// Epochs; exactly one of `epochs` and `steps` is set. 10 when neither is given.
    // Absent must read as none, not as the default of the whole section: a run by steps is stored without epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Optimizer steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Samples of an optimizer step, before accumulation; [`AUTO_BATCH`] asks for as many as fit. A run's own recipe has the
    /// number that was found.
    #[serde(with = "auto")]
    pub batch_size: usize,
    /// Batches of one optimizer step.
    pub accumulate_grad_batches: usize,
    /// Gradients are scaled down to this global norm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_norm: Option<f64>,
    /// Number format.
    pub precision: Precision,
    /// Images and the weights of convolutions lie in memory as NHWC.
    pub channels_last: bool,
    /// cuDNN tries its algorithms and takes the fastest (CUDA).
    pub cudnn_benchmark: bool,
    /// Seed of weights, order, augmentation and dropout.
    pub seed: u64,
    /// Devices, PyTorch's names, or `auto`.
    pub devices: Vec<String>,
    /// A new order each epoch.
    pub shuffle: bool,
    /// Leave out an epoch's last, smaller batch.
    pub drop_last: bool,
    /// What a non-finite gradient does.
    pub on_nan: OnNan,
    /// One forward and backward before the first step and after each change of the freeze plan, to find what no gradient
    /// reaches.
    pub probe: bool,
    /// The audit of what moved is also made after so many steps; 0 leaves it to the end.
    pub audit_after_steps: u64,
    /// Only operators that give the same bits each time (CUDA).
    pub deterministic: bool,
    /// Threads of one operator on the CPU; 0 leaves libtorch's choice.
    pub threads: usize,
    /// Validations without improvement of the monitored metric before the run ends; 0 never.
    pub early_stopping_patience: u64,
    /// Epochs between two validations.
    pub validate_every_epochs: u64,
    /// Optimizer steps between two validations, besides those at epochs' ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_every_steps: Option<u64>,
}

impl Default for TrainSpec {
    fn default() -> Self {
        Self {
            epochs: Some(10),
            steps: None,
            batch_size: 32,
            accumulate_grad_batches: 1,
            clip_grad_norm: None,
            precision: Precision::Fp32,
            channels_last: false,
            cudnn_benchmark: false,
            seed: 0,
            devices: vec!["auto".to_owned()],
            shuffle: true,
            drop_last: false,
            on_nan: OnNan::Stop,
            probe: true,
            audit_after_steps: 100,
            deterministic: false,
            threads: 0,
            early_stopping_patience: 0,
            validate_every_epochs: 1,
            validate_every_steps: None,
        }
    }
}

impl TrainSpec {
    /// Samples of a batch where nothing is trained, whatever the recipe leaves open.
    pub fn plain_batch_size(&self) -> usize {
        if self.batch_size == AUTO_BATCH { Self::default().batch_size } else { self.batch_size }
    }
}

/// A number, or [`AUTO_BATCH`] as `"auto"`.
mod auto {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::AUTO_BATCH;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(usize),
        Word(String),
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(size: &usize, serializer: S) -> Result<S::Ok, S::Error> {
        match *size {
            AUTO_BATCH => "auto".serialize(serializer),
            size => size.serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Number(size) => Ok(size),
            Written::Word(word) if word == "auto" => Ok(AUTO_BATCH),
            Written::Word(word) => Err(D::Error::custom(format!("{word:?} is no batch size; a number or \"auto\""))),
        }
    }
}

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Smaller is better.
    #[default]
    Min,
    /// Larger is better.
    Max,
}

impl Mode {
    /// Which way a metric of this name is better: losses and errors small, everything else large.
    pub fn of(metric: &str) -> Self {
        let name = metric.rsplit('/').next().unwrap_or_default();
        let small = ["loss", "error", "mse", "rmse", "mae", "perplexity"].iter().any(|s| name.contains(s));
        if small { Self::Min } else { Self::Max }
    }
}

/// When checkpoints are written and which are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointSpec {
    /// Every so many optimizer steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_steps: Option<u64>,
    /// Every so many epochs; 1 when no `every_*` key is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_epochs: Option<u64>,
    /// Every so many minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_minutes: Option<f64>,
    /// The newest so many are kept.
    pub keep_last: usize,
    /// The best so many are kept.
    pub keep_best: usize,
    /// Every so many of those that were due by an `every_*` key one is kept for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_every: Option<u64>,
    /// The metric that "best", early stopping and the plateau schedule look at.
    pub monitor: String,
    /// Which way it is better; by the metric's name when left out (loss: min, else max).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The best by other metrics, which are kept besides.
    pub best: Vec<BestSpec>,
}

/// The best checkpoints by one more metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestSpec {
    /// The metric (`val/top1`).
    pub metric: String,
    /// Which way it is better; by the metric's name when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The best so many are kept.
    #[serde(default = "one")]
    pub keep: usize,
}

fn one() -> usize {
    1
}

impl CheckpointSpec {
    /// Which way the monitored metric is better: as the recipe says, else by the metric's name.
    pub fn monitor_mode(&self) -> Mode {
        self.mode.unwrap_or_else(|| Mode::of(&self.monitor))
    }

    /// Every metric by which the best are kept, with which way is better and how many; the monitored one first.
    pub fn bests(&self) -> impl Iterator<Item = (&str, Mode, usize)> {
        // The best by the monitored metric is kept whatever the recipe says.
        let monitored = (self.monitor.as_str(), self.monitor_mode(), self.keep_best.max(1));
        let others = self.best.iter().map(|b| {
            let mode = b.mode.unwrap_or_else(|| Mode::of(&b.metric));
            (b.metric.as_str(), mode, b.keep.max(1))
        });
        std::iter::once(monitored).chain(others)
    }
}

impl Default for CheckpointSpec {
    fn default() -> Self {
        Self {
            every_steps: None,
            every_epochs: None,
            every_minutes: None,
            keep_last: 3,
            keep_best: 1,
            keep_every: None,
            monitor: "val/loss".to_owned(),
            mode: None,
            best: Vec::new(),
        }
    }
}
