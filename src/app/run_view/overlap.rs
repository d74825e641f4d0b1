//! Where a stream and the files that were read after its beginning say the same.

use crate::app::message::OpenedRun;
use crate::core::event::{Event, Record};

/// What the files held already when the stream began: the stream may say it again.
#[derive(Debug, Clone, Default)]
pub struct Overlap {
    step: u64,
    records: Vec<Record>,
}

/// Milliseconds that the files may be ahead of a stream that has just begun.
const AHEAD_MS: u64 = 60_000;

impl Overlap {
    /// Of a run's files.
    pub fn of(opened: &OpenedRun) -> Self {
        let newest = opened.records.last().map_or(0, |r| r.time_ms);
        let recent = opened.records.iter().filter(|r| r.time_ms + AHEAD_MS >= newest);
        let steps = opened.series.iter().filter_map(|(_, s)| s.last()).map(|(step, _)| step as u64);
        Self { step: steps.max().unwrap_or(0), records: recent.cloned().collect() }
    }

    /// Whether the files hold this record of the stream; a rare one is asked for once.
    pub fn holds(&mut self, record: &Record) -> bool {
        if matches!(record.event, Event::Step { .. }) {
            return record.step <= self.step;
        }
        match self.records.iter().position(|r| r == record) {
            Some(at) => {
                self.records.remove(at);
                true
            }
            None => false,
        }
    }
}
