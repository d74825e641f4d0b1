//! Where a run stands, in optimizer steps, and how fast it goes.

use std::time::{Duration, Instant};

/// Where a run stands: between two optimizer steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Optimizer steps done.
    pub step: u64,
    /// Epoch in progress, from 0.
    pub epoch: u64,
    /// Optimizer steps done in it.
    pub step_in_epoch: u64,
    /// Training samples seen.
    pub samples_seen: u64,
}

impl Position {
    /// One more step. Whether it was its epoch's last.
    pub fn advance(&mut self, samples: u64, steps_per_epoch: u64) -> bool {
        self.step += 1;
        self.step_in_epoch += 1;
        self.samples_seen += samples;
        self.wrap(steps_per_epoch)
    }

    /// Goes to the next epoch where this one is over. Whether it was.
    pub fn wrap(&mut self, steps_per_epoch: u64) -> bool {
        let over = self.step_in_epoch >= steps_per_epoch;
        if over {
            self.epoch += 1;
            self.step_in_epoch = 0;
        }
        over
    }

    /// Number, within the epoch, of the first batch of the next step.
    pub fn first_batch(&self, accumulate: usize) -> usize {
        usize::try_from(self.step_in_epoch).unwrap_or(usize::MAX).saturating_mul(accumulate.max(1))
    }

    /// The step that ends the run, if it has so many epochs.
    pub fn end_of(&self, epochs: u64, steps_per_epoch: u64) -> u64 {
        let began = self.step - self.step_in_epoch.min(self.step);
        began.saturating_add(epochs.saturating_sub(self.epoch).saturating_mul(steps_per_epoch))
    }
}

/// Samples a second, over windows long enough to be worth a division.
#[derive(Debug)]
pub struct Rate {
    since: Instant,
    samples: u64,
    last: Option<f64>,
}

const WINDOW: Duration = Duration::from_millis(100);

impl Rate {
    /// Starts now.
    pub fn new() -> Self {
        Self { since: Instant::now(), samples: 0, last: None }
    }

    /// Starts a new window now: what was done in between was not training.
    pub fn restart(&mut self) {
        (self.since, self.samples) = (Instant::now(), 0);
    }

    /// Takes in what was done since the last call, in one step or several; the newest rate.
    pub fn add(&mut self, samples: u64) -> f64 {
        self.add_at(samples, Instant::now())
    }

    fn add_at(&mut self, samples: u64, at: Instant) -> f64 {
        self.samples += samples;
        let passed = at.saturating_duration_since(self.since);
        let now = || self.samples as f64 / passed.as_secs_f64().max(1e-9);
        if passed < WINDOW {
            return self.last.unwrap_or_else(now);
        }
        let rate = now();
        self.last = Some(rate);
        (self.since, self.samples) = (at, 0);
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_all_steps_that_come_together() {
        let mut rate = Rate::new();
        let begun = rate.since;
        let at = |ms| begun + Duration::from_millis(ms);
        // 1000 samples a second, told of after 40, 1040 and 1050 ms.
        for (samples, ms) in [(40, 40), (1000, 1040), (10, 1050), (190, 1240)] {
            let rate = rate.add_at(samples, at(ms));
            assert!((rate - 1000.0).abs() < 1e-6, "after {ms} ms: {rate}");
        }
    }

    #[test]
    fn positions_follow_epochs() {
        let mut at = Position::default();
        let ends: Vec<bool> = (0..6).map(|_| at.advance(4, 3)).collect();
        assert_eq!(ends, [false, false, true, false, false, true]);
        assert_eq!(at, Position { step: 6, epoch: 2, step_in_epoch: 0, samples_seen: 24 });
        assert_eq!(at.end_of(4, 3), 12);
        at.advance(4, 3);
        assert_eq!(at.end_of(4, 3), 12);
        assert_eq!(at.end_of(4, 5), 16, "the data has grown: the epochs to come are longer");
    }
}
