//! How large each parameter's gradient is, told while somebody looks.

use std::time::{Duration, Instant};

use super::trainer::Trainer;
use crate::core::event::Metrics;

/// Time between two looks: the norms of a large model take milliseconds.
const PERIOD: Duration = Duration::from_secs(1);

/// When it was last looked whether somebody wants to know.
#[derive(Default)]
pub struct Last(Option<Instant>);

impl Trainer<'_> {
    /// Tells the norms of the last step if they are wanted and it is time.
    pub(super) fn offer_gradients(&mut self) {
        let now = Instant::now();
        if !self.paused && self.last_gradients.0.is_some_and(|at| now.duration_since(at) < PERIOD) {
            return;
        }
        self.last_gradients.0 = Some(now);
        if !self.out.wants_gradients(self.paused) {
            return;
        }
        // A device that fails here fails in the next step too, which is the place to say so.
        let Ok(norms) = self.built.learner.gradient_norms() else { return };
        let parameters = &self.built.learner.tree().parameters;
        let norms: Metrics =
            parameters.iter().zip(norms).filter_map(|(p, norm)| Some((p.name.clone(), norm?))).collect();
        if !norms.is_empty() {
            self.out.gradients(self.now.at.step, norms);
        }
    }
}
