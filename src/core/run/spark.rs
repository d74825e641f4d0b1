//! A run's curve in a few points, and its pace: what the run list shows beside the summary.

use super::RunDir;
use super::metrics::Sample;
use crate::core::event::Event;
use crate::core::series::{Series, edges};

/// The curve as the run list shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spark {
    /// Which metric it is.
    pub metric: String,
    /// Values at even distances, oldest first; `None` where nothing was measured.
    pub points: Vec<Option<f64>>,
    /// Steps a second over the last while.
    pub rate: Option<f64>,
}

/// The metric that a run without two values of its own one is drawn with.
pub const FALLBACK: &str = "train/loss";

/// Places of a large metrics file that are looked at.
const PLACES: u64 = 24;
/// An event log up to this size is searched for the monitored metric, where the metrics file is too large to be.
const LOG: u64 = 1 << 20;

impl Spark {
    /// From a run's files: the monitored metric, or the training loss as long as there are not two values of it.
    pub fn read(run: &RunDir, monitor: &str, points: usize) -> Self {
        let sample = Sample::read(&run.metrics_path(), PLACES);
        let mut curve = sample.column(monitor);
        let small = || std::fs::metadata(run.events_path()).is_ok_and(|m| m.len() <= LOG);
        if sample.is_sparse && monitor.starts_with("val/") && small() {
            curve = validations(run, monitor);
        }
        let (metric, curve) = if curve.len() >= 2 { (monitor, curve) } else { (FALLBACK, sample.column(FALLBACK)) };
        let series = Series::from_points(curve.into_iter().map(|(step, value)| (step as f64, value)));
        Self { rate: sample.rate(), ..Self::of(metric, &series, points) }
    }

    /// From a series in memory.
    pub fn of(metric: &str, series: &Series, points: usize) -> Self {
        let mut values = Vec::new();
        if let Some((x0, x1)) = series.span().filter(|_| points > 0) {
            // Fewer values than places stand side by side, so that no hole is between them.
            let width = points.min(series.len());
            let columns = series.columns(&edges((x0, x1.max(x0 + 1.0)), width));
            let mut last = None;
            for column in columns {
                last = column.range.map(|r| r.last).or(last);
                values.push(last);
            }
        }
        Self { metric: metric.to_owned(), points: values, rate: None }
    }
}

/// The rare events have every validation.
fn validations(run: &RunDir, monitor: &str) -> Vec<(u64, f64)> {
    let mut curve: Vec<(u64, f64)> = Vec::new();
    for record in run.events().map(|(records, _)| records).unwrap_or_default() {
        match record.event {
            Event::Started { resumed_from, .. } => curve.retain(|(step, _)| resumed_from.is_some_and(|at| *step <= at)),
            Event::Validation { metrics, .. } => curve.extend(metrics.get(monitor).map(|v| (record.step, *v))),
            _ => {}
        }
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Record;
    use crate::core::recipe::Recipe;
    use crate::core::run::{Lineage, RunHome};

    fn run() -> (tempfile::TempDir, RunDir) {
        let dir = tempfile::tempdir().unwrap();
        let run = RunHome::open(dir.path()).create(&Recipe::default(), Lineage::default()).unwrap();
        (dir, run)
    }

    #[test]
    fn the_training_loss_stands_in_until_the_monitored_metric_has_two_values() {
        let (_dir, run) = run();
        assert_eq!(Spark::read(&run, "val/loss", 8).points, []);
        let mut writer = run.metrics_writer(None).unwrap();
        for step in 1..=4 {
            writer.append(step, step * 100, &[("train/loss", step as f64)]).unwrap();
        }
        writer.append(4, 400, &[("val/loss", 9.0)]).unwrap();
        writer.flush().unwrap();
        let spark = Spark::read(&run, "val/loss", 8);
        assert_eq!((spark.metric.as_str(), spark.points.len(), spark.rate), ("train/loss", 4, Some(10.0)));
        writer.append(8, 800, &[("val/loss", 3.0)]).unwrap();
        writer.flush().unwrap();
        let spark = Spark::read(&run, "val/loss", 8);
        assert_eq!((spark.metric.as_str(), spark.points), ("val/loss", vec![Some(9.0), Some(3.0)]));
    }

    #[test]
    fn of_a_long_run_the_validations_come_from_the_events() {
        let (_dir, run) = run();
        let mut writer = run.metrics_writer(None).unwrap();
        for step in 1..=20_000 {
            writer.append(step, step, &[("train/loss", 1.0)]).unwrap();
        }
        writer.flush().unwrap();
        let mut log = run.event_log().unwrap();
        for step in [1000, 2000, 3000] {
            let metrics = [("val/loss".to_owned(), step as f64)].into();
            log.append(&Record { time_ms: step, step, event: Event::Validation { epoch: 1, metrics } }).unwrap();
        }
        let spark = Spark::read(&run, "val/loss", 8);
        assert_eq!(spark.points, [Some(1000.0), Some(2000.0), Some(3000.0)]);
        let spark = Spark::read(&run, "val/top1", 8);
        assert_eq!((spark.metric.as_str(), spark.points.len()), ("train/loss", 8));
    }
}
