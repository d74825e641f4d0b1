//! A view takes over what an older one of the same run had, or what the files say newer.

use super::overlap::Overlap;
use super::{OpenedRun, RunView};

impl RunView {
    /// The run's files say more than before; what the user did on its screens stays.
    pub fn refresh(&mut self, opened: OpenedRun) {
        let overlap = Overlap::of(&opened);
        let new = Self::new(opened, false);
        let old = std::mem::replace(self, new);
        self.keep_places(&old);
        self.smooth(old.smoothing);
        self.attached = old.attached;
        self.watch = old.watch;
        if self.attached.is_some() {
            // The stream knows better how the run fares at this moment.
            (self.overlap, self.status, self.pace) = (overlap, old.status, old.pace);
            if old.step > self.step {
                self.step = old.step;
                self.latest.extend(old.latest);
            }
            let told = self.lines.iter().map(|l| l.time_ms).max().unwrap_or(0);
            self.lines.extend(old.lines.into_iter().filter(|l| l.time_ms > told));
            for (name, series) in old.series {
                let new = self.series.entry(name).or_default();
                let end = new.last().map_or(f64::MIN, |(step, _)| step);
                series.points().filter(|(step, _)| *step > end).for_each(|(step, value)| new.push(step, value));
            }
        }
        self.heard_ms = old.heard_ms;
        self.gradients = old.gradients;
        self.layers = old.layers;
        self.layers_problem = old.layers_problem;
        if let Some(layers) = self.layers.as_mut().filter(|l| l.rules() != self.rules) {
            self.layers_problem = layers.set_rules(self.rules.clone()).err();
        }
    }

    /// Takes over what the user did on the screens of an older view of the same run.
    pub fn keep_places(&mut self, old: &Self) {
        self.checkpoints.clone_from(&old.checkpoints);
        self.health.clone_from(&old.health);
    }

    /// Takes over the layers of an older view: their folds, and the edits that are staged on them.
    pub fn keep_layers(&mut self, old: &Self) {
        let (Some(new), Some(kept)) = (&self.layers, &old.layers) else { return };
        if new.tree() != kept.tree() {
            return;
        }
        let mut layers = kept.clone();
        layers.end_apply();
        self.layers_problem = layers.set_rules(self.rules.clone()).err();
        if !self.states.is_empty() {
            layers.set_states(&self.states);
        }
        self.layers = Some(layers);
    }
}
