//! Alerts at the terminal that a run is followed in.

use super::io::Io;
use super::output::harmless;
use crate::core::alerts::{Alerts, Watch};
use crate::core::event::Record;
use crate::core::run::RunDir;

/// Rings for one run.
pub struct Bell {
    alerts: Alerts,
    watch: Watch,
    name: String,
}

impl Bell {
    /// `None` where the run's own description cannot be read.
    pub fn new(run: &RunDir, alerts: &Alerts) -> Option<Self> {
        let meta = run.meta().ok()?;
        let watch = Watch::new(&meta.recipe.checkpoint.monitor, meta.recipe.monitor_mode(), alerts.plateau);
        Some(Self { alerts: alerts.clone(), watch, name: meta.name })
    }

    /// Looks at one more record, and rings where it deserves that.
    pub fn take(&mut self, record: &Record, io: &mut Io) {
        if let Some(alert) = self.watch.fold(record).filter(|a| self.alerts.tells(a.kind)) {
            let words = harmless(&format!("{}: {}", self.name, alert.message));
            io.ring(&self.alerts.to_terminal(&words));
        }
    }
}
