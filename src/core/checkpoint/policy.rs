//! When to write a checkpoint and which to keep: decisions only, the trainer and the store carry them out.

use serde::{Deserialize, Serialize};

use super::CheckpointInfo;
use crate::core::recipe::{CheckpointSpec, Mode};

/// Why a checkpoint is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Every so many steps.
    EverySteps,
    /// Every so many epochs.
    EveryEpochs,
    /// Every so many minutes.
    EveryMinutes,
    /// The run reached its end.
    End,
    /// The run is being stopped.
    Stop,
    /// The user asked for it.
    Save,
    /// Gradients were not finite.
    Nan,
    /// Memory did not suffice for the next step.
    OutOfMemory,
    /// The run goes over to other devices.
    Devices,
}

impl Reason {
    /// The word in events and in `state.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EverySteps => "every_steps",
            Self::EveryEpochs => "every_epochs",
            Self::EveryMinutes => "every_minutes",
            Self::End => "end",
            Self::Stop => "stop",
            Self::Save => "save",
            Self::Nan => "nan",
            Self::OutOfMemory => "out_of_memory",
            Self::Devices => "devices",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether a checkpoint is due after `step` optimizer steps. `epochs_done` is set where an epoch just ended: how many
/// have. `minutes` is the time since the last checkpoint, or since the start.
pub fn due(spec: &CheckpointSpec, step: u64, epochs_done: Option<u64>, minutes: f64) -> Option<Reason> {
    let hits = |every: Option<u64>, n: u64| every.is_some_and(|e| e > 0 && n > 0 && n.is_multiple_of(e));
    if hits(spec.every_steps, step) {
        Some(Reason::EverySteps)
    } else if epochs_done.is_some_and(|n| hits(spec.every_epochs, n)) {
        Some(Reason::EveryEpochs)
    } else if spec.every_minutes.is_some_and(|every| every > 0.0 && minutes >= every) {
        Some(Reason::EveryMinutes)
    } else {
        None
    }
}

/// The checkpoints with the best values of a metric, best first; of equal ones the older first. Those without a finite
/// value are left out.
pub fn ranked<'a>(infos: &'a [CheckpointInfo], monitor: &str, mode: Mode) -> Vec<&'a CheckpointInfo> {
    let value = |i: &CheckpointInfo| i.metrics.get(monitor).copied().filter(|v| v.is_finite());
    let mut with: Vec<(f64, &CheckpointInfo)> = infos.iter().filter_map(|i| Some((value(i)?, i))).collect();
    with.sort_by(|(a, i), (b, j)| {
        let order = match mode {
            Mode::Min => a.total_cmp(b),
            Mode::Max => b.total_cmp(a),
        };
        order.then(i.step.cmp(&j.step))
    });
    with.into_iter().map(|(_, i)| i).collect()
}

/// The best checkpoint by a metric.
pub fn best<'a>(infos: &'a [CheckpointInfo], monitor: &str, mode: Mode) -> Option<&'a CheckpointInfo> {
    ranked(infos, monitor, mode).into_iter().next()
}

/// Why each checkpoint is kept, in words; empty for those that go at the next pruning. `infos` oldest first. The newest
/// and the best by the monitored metric are kept whatever the recipe says, and so are pinned ones and the one that the
/// newest needs.
pub fn kept_reasons(infos: &[CheckpointInfo], spec: &CheckpointSpec) -> Vec<Vec<String>> {
    let ranks: Vec<(&str, usize, Vec<&str>)> = spec
        .bests()
        .map(|(metric, mode, keep)| {
            let best = ranked(infos, metric, mode).into_iter().take(keep).map(|i| i.name.as_str());
            (metric, keep, best.collect())
        })
        .collect();
    let needed = infos.last().and_then(|newest| newest.needs);
    let reason = |(at, info): (usize, &CheckpointInfo)| {
        let from_end = infos.len() - 1 - at;
        let mut reasons = Vec::new();
        if from_end == 0 {
            reasons.push("newest".to_owned());
        }
        if from_end < spec.keep_last {
            reasons.push(format!("last {}", spec.keep_last));
        }
        for (metric, keep, best) in &ranks {
            match best.iter().position(|n| *n == info.name) {
                Some(0) => reasons.push(format!("best {metric}")),
                Some(_) => reasons.push(format!("best {keep} {metric}")),
                None => {}
            }
        }
        if let Some(every) = spec.keep_every.filter(|every| info.nth > 0 && info.nth.is_multiple_of(*every)) {
            reasons.push(format!("one in {every}"));
        }
        if needed == Some(info.step) {
            reasons.push("best of the phase".to_owned());
        }
        if info.pinned {
            reasons.push("pinned".to_owned());
        }
        reasons
    };
    infos.iter().enumerate().map(reason).collect()
}

/// Why a checkpoint is not deleted, whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// Somebody said that it is to be kept for ever.
    Pinned,
    /// The run goes on from it.
    Newest,
    /// It is the best by this metric.
    Best(String),
    /// The newest one goes back to it.
    Needed,
}

impl std::fmt::Display for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pinned => f.write_str("it is pinned; unpin it first"),
            Self::Newest => f.write_str("it is the newest good one, from which the run goes on"),
            Self::Best(metric) => write!(f, "it is the best by {metric}"),
            Self::Needed => f.write_str("the newest one goes back to it, as the best of the phase"),
        }
    }
}

/// Why each checkpoint is not to be deleted. `infos` oldest first, those that are known to be damaged left out.
pub fn guards(infos: &[CheckpointInfo], spec: &CheckpointSpec) -> Vec<Option<Guard>> {
    let best =
        |(metric, mode, _): (&str, Mode, usize)| Some((metric.to_owned(), best(infos, metric, mode)?.name.clone()));
    let bests: Vec<(String, String)> = spec.bests().filter_map(best).collect();
    let newest = infos.last();
    let guard = |info: &CheckpointInfo| {
        if info.pinned {
            return Some(Guard::Pinned);
        }
        if newest.is_some_and(|n| n.name == info.name) {
            return Some(Guard::Newest);
        }
        let by = bests.iter().find(|(_, name)| *name == info.name).map(|(metric, _)| Guard::Best(metric.clone()));
        by.or_else(|| (newest?.needs == Some(info.step)).then_some(Guard::Needed))
    };
    infos.iter().map(guard).collect()
}

/// Why one is not to be deleted: as [`guards`].
pub fn guard(infos: &[CheckpointInfo], spec: &CheckpointSpec, name: &str) -> Option<Guard> {
    let at = infos.iter().position(|i| i.name == name)?;
    guards(infos, spec).into_iter().nth(at)?
}

/// Names of the newest one and the best ones, which guard themselves. `infos` oldest first.
pub fn guarding(infos: &[CheckpointInfo], spec: &CheckpointSpec) -> Vec<String> {
    let best = spec.bests().filter_map(|(metric, mode, _)| best(infos, metric, mode));
    infos.last().into_iter().chain(best).map(|i| i.name.clone()).collect()
}

/// Names of the checkpoints to remove. `infos` oldest first.
pub fn to_remove(infos: &[CheckpointInfo], spec: &CheckpointSpec) -> Vec<String> {
    let kept = kept_reasons(infos, spec);
    infos.iter().zip(kept).filter(|(_, reasons)| reasons.is_empty()).map(|(i, _)| i.name.clone()).collect()
}

/// The most checkpoints that a run keeps at a time: as many as the recipe asks for, or as many as it writes. Pins and saves
/// on request are not foreseen, and of those that are due by the minute only what `keep_last` and the best keep.
pub fn most_kept(spec: &CheckpointSpec, steps: u64, steps_per_epoch: u64) -> u64 {
    let epochs = steps.checked_div(steps_per_epoch).unwrap_or(0);
    let by = |every: Option<u64>, n: u64| every.and_then(|e| n.checked_div(e)).unwrap_or(0);
    let due = by(spec.every_steps, steps).saturating_add(by(spec.every_epochs, epochs));
    let best: u64 = spec.bests().map(|(_, _, keep)| keep as u64).sum();
    let kept = (spec.keep_last.max(1) as u64).saturating_add(best).saturating_add(by(spec.keep_every, due));
    // And one at the end.
    let written = if spec.every_minutes.is_some() { u64::MAX } else { due.saturating_add(1) };
    kept.min(written)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::checkpoint::CheckpointStore;
    use crate::core::event::Metrics;
    use crate::core::recipe::BestSpec;

    fn info(step: u64, loss: f64, pinned: bool) -> CheckpointInfo {
        CheckpointInfo {
            name: CheckpointStore::name_of(step),
            step,
            epoch: 0,
            step_in_epoch: 0,
            path: "x".into(),
            bytes: 1,
            metrics: Metrics::from([("val/loss".to_owned(), loss)]),
            reason: "save".into(),
            time_ms: 0,
            nth: 0,
            needs: None,
            pinned,
        }
    }

    #[test]
    fn a_checkpoint_is_due_at_multiples_and_after_minutes() {
        let steps = CheckpointSpec { every_steps: Some(10), ..CheckpointSpec::default() };
        assert_eq!(due(&steps, 0, None, 0.0), None);
        assert_eq!(due(&steps, 20, None, 0.0), Some(Reason::EverySteps));
        assert_eq!(due(&steps, 21, Some(3), 99.0), None);
        let epochs = CheckpointSpec { every_epochs: Some(2), ..CheckpointSpec::default() };
        assert_eq!(due(&epochs, 7, Some(1), 0.0), None);
        assert_eq!(due(&epochs, 7, Some(2), 0.0), Some(Reason::EveryEpochs));
        assert_eq!(due(&epochs, 7, None, 0.0), None);
        let minutes = CheckpointSpec { every_minutes: Some(0.5), ..CheckpointSpec::default() };
        assert_eq!(due(&minutes, 7, None, 0.4), None);
        assert_eq!(due(&minutes, 7, None, 0.5), Some(Reason::EveryMinutes));
    }

    #[test]
    fn reasons_are_said_in_words() {
        let infos = [info(1, 0.1, false), info(2, 0.5, false), info(3, 0.3, true), info(4, f64::NAN, false)];
        let spec = CheckpointSpec { keep_last: 1, keep_best: 2, ..CheckpointSpec::default() };
        let reasons = kept_reasons(&infos, &spec);
        assert_eq!(reasons[0], ["best val/loss"]);
        assert!(reasons[1].is_empty());
        assert_eq!(reasons[2], ["best 2 val/loss", "pinned"]);
        assert_eq!(reasons[3], ["newest", "last 1"]);
        assert_eq!(to_remove(&infos, &spec), ["step-00000002"]);
        assert_eq!(best(&infos, "val/loss", Mode::Max).map(|i| i.step), Some(2));
    }

    #[test]
    fn the_best_by_each_metric_either_way_are_kept() {
        let mut infos: Vec<CheckpointInfo> = (1..=5).map(|step| info(step, step as f64, false)).collect();
        for (info, top1) in infos.iter_mut().zip([0.1, 0.9, 0.3, 0.9, 0.2]) {
            info.metrics.insert("val/top1".to_owned(), top1);
        }
        let best = |metric: &str, mode, keep| BestSpec { metric: metric.to_owned(), mode, keep };
        let spec = CheckpointSpec {
            keep_last: 1,
            best: vec![best("val/top1", None, 2), best("val/top1", Some(Mode::Min), 1), best("train/loss", None, 3)],
            ..CheckpointSpec::default()
        };
        let reasons = kept_reasons(&infos, &spec);
        assert_eq!(reasons[0], ["best val/loss", "best val/top1"]);
        assert_eq!(reasons[1], ["best val/top1"], "of equal ones the older");
        assert!(reasons[2].is_empty());
        assert_eq!(reasons[3], ["best 2 val/top1"]);
    }

    #[test]
    fn each_nth_that_was_due_is_kept_for_ever_and_what_the_newest_needs_as_long_as_it_does() {
        let mut infos: Vec<CheckpointInfo> = (1..=6).map(|step| info(step, f64::NAN, false)).collect();
        // The third was asked for by the user, between two that were due.
        for (info, nth) in infos.iter_mut().zip([1, 2, 0, 3, 4, 5]) {
            info.nth = nth;
        }
        let spec = CheckpointSpec { keep_last: 1, keep_every: Some(2), ..CheckpointSpec::default() };
        assert_eq!(to_remove(&infos, &spec), ["step-00000001", "step-00000003", "step-00000004"]);
        assert_eq!(kept_reasons(&infos, &spec)[1], ["one in 2"]);
        infos[5].needs = Some(3);
        assert_eq!(kept_reasons(&infos, &spec)[2], ["best of the phase"]);
    }

    #[test]
    fn a_run_keeps_no_more_than_it_is_asked_to_and_no_more_than_it_writes() {
        let spec = CheckpointSpec { every_steps: Some(10), keep_last: 3, keep_best: 2, ..CheckpointSpec::default() };
        assert_eq!(most_kept(&spec, 1000, 50), 5);
        assert_eq!(most_kept(&spec, 25, 50), 3, "at 10, 20 and the end");
        let forever = CheckpointSpec { keep_every: Some(20), ..spec.clone() };
        assert_eq!(most_kept(&forever, 1000, 50), 10);
        let epochs = CheckpointSpec { every_steps: None, every_epochs: Some(2), ..spec.clone() };
        assert_eq!((most_kept(&epochs, 1000, 50), most_kept(&epochs, 100, 50), most_kept(&epochs, 100, 0)), (5, 2, 1));
        let minutes = CheckpointSpec { every_steps: None, every_minutes: Some(1.0), ..spec };
        assert_eq!(most_kept(&minutes, 3, 50), 5);
    }

    proptest! {
        #[test]
        fn the_newest_the_best_and_pinned_ones_are_never_removed(
            values in prop::collection::vec((0..9u8, any::<bool>()), 0..12),
            keep_last in 0..4usize,
            keep_best in 0..3usize,
        ) {
            let infos: Vec<CheckpointInfo> =
                values.iter().enumerate().map(|(i, (v, p))| info(i as u64 + 1, f64::from(*v), *p)).collect();
            let spec = CheckpointSpec { keep_last, keep_best, ..CheckpointSpec::default() };
            let gone = to_remove(&infos, &spec);
            prop_assert!(infos.last().is_none_or(|i| !gone.contains(&i.name)));
            prop_assert!(best(&infos, "val/loss", Mode::Min).is_none_or(|i| !gone.contains(&i.name)));
            prop_assert!(infos.iter().filter(|i| i.pinned).all(|i| !gone.contains(&i.name)));
            let pinned = infos.iter().filter(|i| i.pinned).count();
            prop_assert!(infos.len() - gone.len() <= keep_last.max(1) + keep_best.max(1) + pinned);
        }
    }
}
