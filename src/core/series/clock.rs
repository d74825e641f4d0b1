//! When each step was, in time that the run was running.

/// Points kept at most; between two of them time is taken to pass evenly.
const MOST: usize = 1 << 14;

/// Steps and the seconds that the run had been running when they were done. Standing still (paused, stopped, crashed)
/// does not count, so that a run that was resumed after a week has no gap of a week.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Clock {
    points: Vec<(f64, f64)>,
    /// Seconds at `since_ms`.
    seconds: f64,
    /// When it was last set going; `None` while it stands.
    since_ms: Option<u64>,
}

impl Clock {
    /// The run is set going, from this step.
    pub fn start(&mut self, step: u64, time_ms: u64) {
        self.points.retain(|(s, _)| *s <= step as f64);
        self.seconds = self.points.last().map_or(0.0, |(_, t)| *t);
        self.since_ms = Some(time_ms);
    }

    /// It stands still.
    pub fn pause(&mut self, time_ms: u64) {
        self.seconds = self.at(time_ms);
        self.since_ms = None;
    }

    /// It goes on.
    pub fn go_on(&mut self, time_ms: u64) {
        if self.since_ms.is_none() {
            self.since_ms = Some(time_ms);
        }
    }

    fn at(&self, time_ms: u64) -> f64 {
        let passed = self.since_ms.map_or(0, |since| time_ms.saturating_sub(since));
        self.seconds + passed as f64 / 1000.0
    }

    /// A step was done.
    pub fn push(&mut self, step: u64, time_ms: u64) {
        self.go_on(time_ms);
        let (step, seconds) = (step as f64, self.at(time_ms));
        self.points.retain_from(step);
        // A clock that was set back does not run backwards.
        let seconds = seconds.max(self.points.last().map_or(0.0, |(_, t)| *t));
        self.points.push((step, seconds));
        if self.points.len() >= MOST {
            let newest = self.points.len() - 1;
            let mut at = 0;
            self.points.retain(|_| {
                at += 1;
                (at - 1) % 2 == 0 || at - 1 == newest
            });
        }
    }

    /// Seconds at a step; beyond the ends at the pace of the whole.
    pub fn seconds(&self, step: f64) -> f64 {
        between(&self.points, step, |p| *p)
    }

    /// The step that was done at these seconds.
    pub fn step(&self, seconds: f64) -> f64 {
        between(&self.points, seconds, |(s, t)| (*t, *s))
    }
}

trait RetainFrom {
    fn retain_from(&mut self, step: f64);
}

impl RetainFrom for Vec<(f64, f64)> {
    /// Takes back points at and after a step, which is done again.
    fn retain_from(&mut self, step: f64) {
        while self.last().is_some_and(|(s, _)| *s >= step) {
            self.pop();
        }
    }
}

/// The straight line through the two points around `x`.
fn between(points: &[(f64, f64)], x: f64, of: impl Fn(&(f64, f64)) -> (f64, f64)) -> f64 {
    let (Some(first), Some(last)) = (points.first().map(&of), points.last().map(&of)) else { return x };
    let after = points.partition_point(|p| of(p).0 < x);
    let (a, b) = match (after.checked_sub(1).and_then(|i| points.get(i)), points.get(after)) {
        (Some(a), Some(b)) => (of(a), of(b)),
        _ => (first, last),
    };
    if b.0 <= a.0 {
        // One point alone: a step a second.
        return a.1 + (x - a.0);
    }
    a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_still_takes_no_time_and_steps_done_again_count_once() {
        let mut clock = Clock::default();
        clock.start(0, 1_000);
        clock.push(1, 2_000);
        clock.push(2, 3_000);
        clock.pause(3_000);
        clock.go_on(63_000);
        clock.push(3, 64_000);
        assert_eq!((clock.seconds(2.0), clock.seconds(3.0)), (2.0, 3.0));
        // Killed, and resumed from step 2 a day later.
        clock.start(2, 90_000_000);
        clock.push(3, 90_002_000);
        assert_eq!((clock.seconds(2.0), clock.seconds(3.0)), (2.0, 4.0));
        assert_eq!((clock.step(1.0), clock.step(3.0)), (1.0, 2.5));
    }

    #[test]
    fn a_clock_without_points_and_one_that_is_thinned_still_tell() {
        assert_eq!(Clock::default().seconds(7.0), 7.0);
        let mut clock = Clock::default();
        clock.start(0, 0);
        (1..100_000).for_each(|i| clock.push(i, i * 10));
        assert!(clock.points.len() < MOST);
        for step in [1.0, 777.0, 50_000.0, 99_999.0] {
            assert!((clock.seconds(step) - step / 100.0).abs() < 1e-6, "{step}");
            assert!((clock.step(step / 100.0) - step).abs() < 1e-6, "{step}");
        }
    }
}
