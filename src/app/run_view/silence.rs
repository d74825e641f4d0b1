//! A run that should step on and says nothing: its process may have been stopped (SIGSTOP), or hang.

use super::RunView;
use crate::core::run::RunStatus;

/// So long a silence is not worth a word.
const SILENT_MS: u64 = 10_000;

impl RunView {
    /// The stream stands, or has said something.
    pub fn hear(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
    }

    /// Seconds without a word. A slow run has time for some steps.
    pub fn silent_for(&self, now_ms: u64) -> Option<u64> {
        if self.status != RunStatus::Running || self.heard_ms == 0 || !self.is_followed() {
            return None;
        }
        let steps_ms = self.pace.rate().map_or(0.0, |rate| 5_000.0 / rate);
        let silent = now_ms.saturating_sub(self.heard_ms);
        (silent >= SILENT_MS && silent as f64 > steps_ms).then_some(silent / 1000)
    }
}
