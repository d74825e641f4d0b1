//! What a recipe asks for that will never come, said before the first step: each of these is allowed, and seldom meant.

use super::build::Built;
use crate::core::recipe::{FreezeSchedule, LrScheduleKind, When};

impl Built {
    /// In words, for a run that ends at step `total`.
    pub fn never_comes(&self, total: u64) -> Vec<String> {
        let (recipe, info) = (&self.recipe, self.data.info());
        let mut words = recipe.model.ignored();
        let known: Vec<&str> = match (info.val_len > 0, info.regression) {
            (false, _) => vec!["train/loss"],
            (true, true) => vec!["train/loss", "val/loss"],
            (true, false) => vec!["train/loss", "val/loss", "val/top1", "val/top5"],
        };
        // A run without validation data is told of that.
        let unknown = |metric: &str| info.val_len > 0 && !known.contains(&metric);
        let monitors = recipe.checkpoint.best.iter().map(|b| ("checkpoint.best", b.metric.as_str()));
        for (key, metric) in [("checkpoint.monitor", recipe.checkpoint.monitor.as_str())].into_iter().chain(monitors) {
            if unknown(metric) {
                words.push(format!(
                    "{key} = \"{metric}\": this run has no such metric, so that no checkpoint will be the best; it has {}",
                    known.join(", ")
                ));
            }
        }
        let (patience, monitor) = (recipe.train.early_stopping_patience, &recipe.checkpoint.monitor);
        if patience > 0 && info.val_len == 0 && monitor.starts_with("val/") {
            words.push(format!(
                "train.early_stopping_patience = {patience}: there is no validation data for {monitor}, and nothing ends the \
                 run early; set data.val_fraction, or checkpoint.monitor = \"train/loss\""
            ));
        }
        let warmup = recipe.lr_schedule.warmup_steps;
        if recipe.lr_schedule.kind != LrScheduleKind::OneCycle && warmup > 0 && warmup >= total {
            words.push(format!(
                "lr_schedule.warmup_steps = {warmup}: the run has {total} steps, and never comes to optimizer.lr"
            ));
        }
        if let FreezeSchedule::Phases(phases) = &recipe.freeze.schedule {
            let per_epoch = self.steps_per_epoch();
            for (i, phase) in phases.iter().enumerate() {
                let at = match phase.at {
                    When::Epoch(n) => n.saturating_mul(per_epoch),
                    When::Step(n) => n,
                    When::Plateau => 0,
                };
                if at > 0 && at >= total {
                    words.push(format!(
                        "freeze.schedule[{i}] at \"{}\" never comes: the run ends at step {total}, of {per_epoch} an epoch",
                        phase.at
                    ));
                }
            }
        }
        let batch = recipe.train.batch_size;
        if batch > info.train_len {
            words.push(format!(
                "train.batch_size = {batch}: there are {} training samples, and a batch has no more",
                info.train_len
            ));
        }
        words
    }
}
