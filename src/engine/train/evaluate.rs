//! Sums over batches in eval mode, and the metrics that they come to.

use crate::core::event::Metrics;
use crate::engine::EvalSums;

/// Adds a batch's sums.
pub fn add(total: &mut EvalSums, batch: &EvalSums) {
    let first = total.samples == 0;
    let sum = |a: Option<u64>, b: Option<u64>| if first { b } else { a.zip(b).map(|(a, b)| a + b) };
    total.top1 = sum(total.top1, batch.top1);
    total.top5 = sum(total.top5, batch.top5);
    total.samples += batch.samples;
    total.loss += batch.loss;
    if total.per_class.len() < batch.per_class.len() {
        total.per_class.resize(batch.per_class.len(), (0, 0));
    }
    for (sum, (samples, right)) in total.per_class.iter_mut().zip(&batch.per_class) {
        sum.0 += samples;
        sum.1 += right;
    }
}

/// `val/loss`, `val/top1`, `val/top5`; nothing where there was no sample.
pub fn metrics(sums: &EvalSums) -> Metrics {
    let mut metrics = Metrics::new();
    if sums.samples == 0 {
        return metrics;
    }
    let share = |n: f64| n / sums.samples as f64;
    metrics.insert("val/loss".to_owned(), share(sums.loss));
    for (name, right) in [("val/top1", sums.top1), ("val/top5", sums.top5)] {
        if let Some(right) = right {
            metrics.insert(name.to_owned(), share(right as f64));
        }
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_samples_and_not_over_batches() {
        let mut total = EvalSums::default();
        let batch = |samples, loss, top1| EvalSums { samples, loss, top1: Some(top1), ..EvalSums::default() };
        add(&mut total, &batch(3, 3.0, 3));
        add(&mut total, &batch(1, 5.0, 0));
        let metrics = metrics(&total);
        assert_eq!((metrics["val/loss"], metrics["val/top1"]), (2.0, 0.75));
        assert!(!metrics.contains_key("val/top5"));
    }
}
