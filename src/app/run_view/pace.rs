//! How fast a run steps.

use std::collections::VecDeque;

use crate::core::event::Record;

/// Steps and when they were, to tell the pace of the last ten seconds.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    seen: VecDeque<(u64, u64)>,
}

impl Pace {
    const WINDOW_MS: u64 = 10_000;
    const MOST: usize = 256;

    /// Takes in a step.
    pub fn take(&mut self, record: &Record) {
        // A point every 50 ms is enough, whatever the rate.
        if self.seen.back().is_some_and(|(_, t)| record.time_ms < t + 50) {
            return;
        }
        self.seen.push_back((record.step, record.time_ms));
        while self.seen.len() > 2
            && self
                .seen
                .front()
                .is_some_and(|(_, t)| t + Self::WINDOW_MS < record.time_ms || self.seen.len() > Self::MOST)
        {
            self.seen.pop_front();
        }
    }

    /// The run stands still.
    pub fn pause(&mut self) {
        self.seen.clear();
    }

    /// Steps a second.
    pub fn rate(&self) -> Option<f64> {
        let ((s0, t0), (s1, t1)) = (self.seen.front()?, self.seen.back()?);
        (t1 > t0 && s1 > s0).then(|| (s1 - s0) as f64 * 1000.0 / (t1 - t0) as f64)
    }
}
