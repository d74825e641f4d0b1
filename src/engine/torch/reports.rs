//! Reports of steps, on their way from the device. Nobody waits for one: they are taken when they are there, in order, and
//! only where too many steps are under way does the next one wait for the oldest.

use std::collections::VecDeque;
use std::sync::Arc;

use super::learner::Result;
use crate::engine::api::{LossScale, StepReport};
use crate::engine::ffi::transfer::Arrival;

/// Steps under way at once: a GPU works at one while the CPU readies the next. More would hold more batches in pinned
/// memory, and bring the reports later, for nothing.
const AHEAD: usize = 2;

/// Numbers that come when they come.
pub trait Arriving {
    /// Whether they are there.
    fn ready(&self) -> Result<bool>;
    /// Waits for them.
    fn values(&self) -> Result<Vec<f32>>;
}

impl Arriving for Arrival {
    fn ready(&self) -> Result<bool> {
        Ok(self.ready()?)
    }
    fn values(&self) -> Result<Vec<f32>> {
        Ok(self.values()?)
    }
}

/// A step whose numbers are on their way: `[loss, norm, found_inf]`, with loss scaling `[…, skip, scale]`, and the norm of
/// each gradient.
struct Pending<A> {
    step: u64,
    numbers: A,
    /// Of the parameters that got the gradients.
    names: Arc<[String]>,
}

impl<A: Arriving> Pending<A> {
    /// Waits for the numbers.
    fn report(&self) -> Result<StepReport> {
        let values = self.numbers.values()?;
        let (scalars, norms) = values.split_at(values.len().saturating_sub(self.names.len()));
        Ok(report(self.step, scalars, norms, &self.names))
    }
}

/// See the module.
pub struct Reports<A = Arrival> {
    pending: VecDeque<Pending<A>>,
    done: Vec<StepReport>,
}

impl<A> Default for Reports<A> {
    fn default() -> Self {
        Self { pending: VecDeque::new(), done: Vec::new() }
    }
}

impl<A: Arriving> Reports<A> {
    /// Before a step: waits until it is not too far ahead of the device.
    pub fn make_room(&mut self) -> Result<()> {
        while self.pending.len() >= AHEAD {
            self.take_oldest()?;
        }
        Ok(())
    }

    /// A step is queued. `names`: of the parameters whose gradients' norms come last.
    pub fn push(&mut self, step: u64, numbers: A, names: Arc<[String]>) {
        self.pending.push_back(Pending { step, numbers, names });
    }

    /// Those that are there, in order; with `wait` all.
    pub fn take(&mut self, wait: bool) -> Result<Vec<StepReport>> {
        while let Some(oldest) = self.pending.front()
            && (wait || oldest.numbers.ready()?)
        {
            self.take_oldest()?;
        }
        Ok(std::mem::take(&mut self.done))
    }

    fn take_oldest(&mut self) -> Result<()> {
        if let Some(oldest) = self.pending.pop_front() {
            self.done.push(oldest.report()?);
        }
        Ok(())
    }
}

fn report(step: u64, scalars: &[f32], norms: &[f32], names: &[String]) -> StepReport {
    let nan = f32::NAN;
    let (loss, norm, found, scaling) = match *scalars {
        [loss, norm, found, ref scaling @ ..] => (loss, norm, found, scaling),
        // Never: it is `[loss, norm, found_inf]` at least.
        _ => (nan, nan, 1.0, &[][..]),
    };
    let loss_scale = match *scaling {
        [skip, scale] => Some(LossScale { scale: scale.into(), overflow: skip != 0.0 && found == 0.0 }),
        _ => None,
    };
    let bad = names.iter().zip(norms).filter(|(_, norm)| found != 0.0 && !norm.is_finite());
    StepReport {
        step,
        loss: loss.into(),
        grad_norm: norm.into(),
        applied: found == 0.0 && loss_scale.is_none_or(|s| !s.overflow),
        loss_scale,
        non_finite: bad.map(|(name, _)| name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// A device that has done so many steps, and how often it was waited for.
    #[derive(Default)]
    struct Gpu {
        done: Cell<u64>,
        waits: Cell<u64>,
    }

    struct Later {
        gpu: Rc<Gpu>,
        step: u64,
    }

    impl Arriving for Later {
        fn ready(&self) -> Result<bool> {
            Ok(self.gpu.done.get() > self.step)
        }
        fn values(&self) -> Result<Vec<f32>> {
            if !self.ready()? {
                self.gpu.waits.set(self.gpu.waits.get() + 1);
                self.gpu.done.set(self.step + 1);
            }
            Ok(vec![self.step as f32, 1.0, 0.0])
        }
    }

    fn queue(reports: &mut Reports<Later>, gpu: &Rc<Gpu>, step: u64) {
        reports.make_room().unwrap();
        reports.push(step, Later { gpu: gpu.clone(), step }, Arc::new([]));
    }

    fn steps(reports: &[StepReport]) -> Vec<u64> {
        reports.iter().map(|r| r.step).collect()
    }

    #[test]
    fn a_report_is_taken_as_soon_as_it_is_there() {
        let (mut reports, gpu) = (Reports::default(), Rc::new(Gpu::default()));
        for step in 0..20 {
            queue(&mut reports, &gpu, step);
            // The device is one step behind.
            gpu.done.set(step);
            let there: Vec<u64> = step.checked_sub(1).into_iter().collect();
            assert_eq!(steps(&reports.take(false).unwrap()), there);
        }
        assert_eq!(gpu.waits.get(), 0, "nothing was waited for");
        assert_eq!(steps(&reports.take(true).unwrap()), [19]);
        assert_eq!(gpu.waits.get(), 1);
    }

    #[test]
    fn a_slow_device_is_never_more_than_two_steps_behind() {
        let (mut reports, gpu) = (Reports::default(), Rc::new(Gpu::default()));
        let mut told = Vec::new();
        for step in 0..10 {
            queue(&mut reports, &gpu, step);
            told.extend(steps(&reports.take(false).unwrap()));
            assert_eq!(told.len() as u64, (step + 1).saturating_sub(2), "after step {step}");
        }
        assert_eq!(gpu.done.get(), 8, "none was waited for that is newer than need be");
        told.extend(steps(&reports.take(true).unwrap()));
        assert_eq!(told, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn who_does_not_ask_finds_all_reports_later() {
        let (mut reports, gpu) = (Reports::default(), Rc::new(Gpu::default()));
        (0..5).for_each(|step| queue(&mut reports, &gpu, step));
        assert_eq!(steps(&reports.take(true).unwrap()), [0, 1, 2, 3, 4]);
        assert!(reports.take(true).unwrap().is_empty());
    }

    #[test]
    fn gradients_are_named_only_where_they_are_why_nothing_was_applied() {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        let norms = [1.0, f32::INFINITY, f32::NAN];
        let bad = report(3, &[f32::NAN, f32::NAN, 1.0], &norms, &names);
        assert_eq!((bad.applied, &bad.non_finite[..]), (false, &names[1..]));
        // `on_nan = "ignore"`, and an overflow that loss scaling is there for.
        assert_eq!(report(3, &[0.5, f32::NAN, 0.0], &norms, &names).non_finite, [""; 0]);
        let overflow = report(3, &[0.5, f32::NAN, 0.0, 1.0, 1024.0], &norms, &names);
        assert_eq!((overflow.applied, overflow.non_finite.len()), (false, 0));
        assert_eq!(overflow.loss_scale, Some(LossScale { scale: 1024.0, overflow: true }));
    }
}
