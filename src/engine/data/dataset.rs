//! An opened data set: the source with its classes chosen, its split made and its preprocessing fixed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::DataError;
use super::loader::{Job, Loader};
use super::preprocess::Preprocessing;
use super::sampler::{self, EpochPlan, Share};
use super::source::{Labels, Source, Store};
use super::{classes, split};
use crate::core::recipe::{Augment, DataSpec, OnBadImage};
use crate::engine::Batch;

/// The facts about a data set that models, checkpoints and screens need.
#[derive(Debug, Clone, PartialEq)]
pub struct DataInfo {
    /// Training samples.
    pub train_len: usize,
    /// Validation samples.
    pub val_len: usize,
    /// Shape of the model's input without the batch, `[C, H, W]` or `[F…]`.
    pub sample_shape: Vec<usize>,
    /// Classes, or values of one target.
    pub outputs: usize,
    /// Targets are values, not classes.
    pub regression: bool,
    /// Names by class number; empty for regression.
    pub class_names: Vec<String>,
    /// BLAKE3 over the source's names and sizes.
    pub fingerprint: String,
    /// A [`Preprocessing`] as JSON: what `evaluate` and `predict` need to treat inputs alike.
    pub preprocessing: serde_json::Value,
}

/// A data set, ready to be iterated over. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Dataset {
    inner: Arc<Inner>,
    share: Share,
}

/// What loaders and their workers share.
pub(super) struct Inner {
    pub info: DataInfo,
    pub store: Store,
    pub labels: Labels,
    pub train: Arc<[usize]>,
    pub val: Arc<[usize]>,
    pub prep: Preprocessing,
    pub augment: Vec<Augment>,
    pub workers: usize,
    pub on_bad: OnBadImage,
    bad: Mutex<BTreeMap<String, String>>,
}

impl Inner {
    /// Remembers a damaged image; each is counted once, however often it is met.
    pub fn note_bad(&self, path: &Path, why: &str) {
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        bad.entry(path.display().to_string()).or_insert_with(|| why.to_string());
    }
}

impl Dataset {
    pub(super) fn assemble(
        spec: &DataSpec,
        channels: Option<usize>,
        seed: u64,
        mut source: Source,
    ) -> Result<Self, DataError> {
        let class_names = keep_classes(spec, &mut source)?;
        let (train, val) = parts(spec, seed, &source, class_names.len())?;
        if train.is_empty() {
            return Err(DataError::Refused(
                "the data has no training samples; check data.path, data.classes and data.val_fraction".into(),
            ));
        }
        let prep = Preprocessing::new(spec, channels, &source.store)?;
        check_augment(spec, &source.store, &prep)?;
        let (outputs, regression) = match &source.labels {
            Labels::Classes(_) => (class_names.len(), false),
            Labels::Values { width, .. } => (*width, true),
        };
        let info = DataInfo {
            train_len: train.len(),
            val_len: val.len(),
            sample_shape: prep.sample_shape(),
            outputs,
            regression,
            class_names,
            fingerprint: source.fingerprint,
            preprocessing: serde_json::to_value(&prep)
                .map_err(|e| DataError::Refused(format!("the preprocessing cannot be written as JSON: {e}")))?,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                info,
                store: source.store,
                labels: source.labels,
                train: train.into(),
                val: val.into(),
                prep,
                augment: spec.augment.clone(),
                workers: spec.workers,
                on_bad: spec.on_bad_image,
                bad: Mutex::default(),
            }),
            share: Share::WHOLE,
        })
    }

    /// The same data as rank `rank` of `ranks` sees it: of each batch its share, which may be empty. In a training pass a
    /// sample stands in for an empty one ([`Batch::indices`]).
    pub fn share(&self, rank: usize, ranks: usize) -> Self {
        Self { inner: Arc::clone(&self.inner), share: Share { rank, ranks } }
    }

    /// Samples of some batches of a training pass, on all ranks together; damaged ones count.
    pub fn samples_of(&self, batches: std::ops::Range<usize>, batch_size: usize) -> usize {
        batches.map(|b| sampler::span(self.inner.train.len(), batch_size, b).len()).sum()
    }

    /// Whether batches are shared with other ranks.
    pub fn is_shared(&self) -> bool {
        !self.share.is_whole()
    }

    /// The facts.
    pub fn info(&self) -> &DataInfo {
        &self.inner.info
    }

    /// Batches of a training epoch.
    pub fn batches_per_epoch(&self, batch_size: usize, drop_last: bool) -> usize {
        sampler::batches(self.inner.train.len(), batch_size, drop_last)
    }

    /// A training pass from `plan.start_batch` on. Order and augmentation depend on (seed, epoch, sample) alone. A
    /// batch that loses samples to damaged images is smaller, but never empty.
    pub fn train(&self, plan: EpochPlan) -> Loader {
        self.pass(plan, usize::MAX)
    }

    fn pass(&self, plan: EpochPlan, end: usize) -> Loader {
        let order: Arc<[usize]> =
            if plan.shuffle { sampler::order(&self.inner.train, &plan).into() } else { Arc::clone(&self.inner.train) };
        let end = sampler::batches(order.len(), plan.batch_size, plan.drop_last).min(end);
        let training = Some((plan.seed, plan.epoch));
        let job = Job { order, batch_size: plan.batch_size, training, share: self.share };
        Loader::new(Arc::clone(&self.inner), job, plan.start_batch, end)
    }

    /// The first batch of such a pass, alone; `None` where it has none.
    pub fn train_one(&self, plan: EpochPlan) -> Option<Result<Batch, DataError>> {
        self.pass(plan, plan.start_batch.saturating_add(1)).next()
    }

    /// All validation samples in the data set's order, without augmentation.
    pub fn val(&self, batch_size: usize) -> Loader {
        let order = Arc::clone(&self.inner.val);
        let end = sampler::batches(order.len(), batch_size, false);
        Loader::new(Arc::clone(&self.inner), Job { order, batch_size, training: None, share: self.share }, 0, end)
    }

    /// Damaged images met so far: how many, and each as `path: why`.
    pub fn skipped(&self) -> (u64, Vec<String>) {
        let bad = self.inner.bad.lock().unwrap_or_else(PoisonError::into_inner);
        (bad.len() as u64, bad.iter().map(|(path, why)| format!("{path}: {why}")).collect())
    }
}

#[cfg(test)]
impl Dataset {
    /// How many loaders, workers and handles share the data.
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.inner)
    }

    /// Appends a training sample whose number is beyond the store, which no input can cause.
    pub(super) fn with_a_sample_that_does_not_exist(self) -> Self {
        let mut inner = Arc::into_inner(self.inner).unwrap();
        inner.train = inner.train.iter().copied().chain([usize::MAX / 128]).collect();
        Self { inner: Arc::new(inner), share: self.share }
    }
}

/// Renumbers the labels by `data.classes` and gives the kept classes' names.
fn keep_classes(spec: &DataSpec, source: &mut Source) -> Result<Vec<String>, DataError> {
    let Labels::Classes(labels) = &mut source.labels else {
        if spec.classes.is_empty() {
            return Ok(Vec::new());
        }
        return Err(DataError::Refused("data.classes: the targets are values, not classes; leave it out".into()));
    };
    let kept = classes::select(&spec.classes, &source.class_names)?;
    let mut renumbered = vec![-1i64; source.class_names.len()];
    for (new, old) in kept.iter().enumerate() {
        renumbered[*old] = new as i64;
    }
    for label in labels.iter_mut() {
        *label = usize::try_from(*label).ok().and_then(|old| renumbered.get(old).copied()).unwrap_or(-1);
    }
    Ok(kept.into_iter().map(|old| source.class_names[old].clone()).collect())
}

/// Numbers of the training and of the validation samples.
fn parts(spec: &DataSpec, seed: u64, source: &Source, classes: usize) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let kept: Vec<usize> = match &source.labels {
        Labels::Classes(labels) => (0..labels.len()).filter(|&i| labels[i] >= 0).collect(),
        values => (0..values.len()).collect(),
    };
    if let Some(first_val) = source.own_val {
        return Ok(kept.into_iter().partition(|&i| i < first_val));
    }
    if !(0.0..1.0).contains(&spec.val_fraction) {
        return Err(DataError::Refused(format!(
            "data.val_fraction = {}: give a part from 0 up to, but not including, 1",
            spec.val_fraction
        )));
    }
    let groups = match &source.labels {
        Labels::Classes(labels) => {
            let mut groups = vec![Vec::new(); classes];
            kept.into_iter().for_each(|i| groups[labels[i] as usize].push(i));
            groups
        }
        Labels::Values { .. } => vec![kept],
    };
    Ok(split::split(&groups, spec.val_fraction, seed))
}

/// Which augmentations a source can bear.
fn check_augment(spec: &DataSpec, store: &Store, prep: &Preprocessing) -> Result<(), DataError> {
    let Store::Floats { image: false, .. } = store else { return Ok(()) };
    let refuse = |words: &str| Err(DataError::Refused(format!("data.augment: {words}")));
    if spec.augment.is_empty() {
        Ok(())
    } else if prep.shape.len() != 3 {
        refuse("augmentations change images, and x has no samples of shape [C, H, W]; leave data.augment out")
    } else if spec.augment.contains(&Augment::ColorJitter) {
        refuse("color-jitter needs pixels in 0..1, which tensors do not promise; leave it out")
    } else {
        Ok(())
    }
}
