//! Curves and paces for the rows of the run list that can be seen, read in the background and kept.

use std::collections::{HashMap, HashSet};

use super::effect::SparkJob;
use crate::core::run::spark::Spark;
use crate::core::run::{RunStatus, RunSummary};

/// Points of a curve.
pub const POINTS: usize = 32;

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Sparks {
    known: HashMap<String, Known>,
    asked: HashSet<String>,
}

#[derive(Debug, Clone)]
struct Known {
    spark: Spark,
    /// The run's step and status at the reading: another one is worth another look.
    at: (u64, RunStatus),
}

impl Sparks {
    /// A run's curve, if it was read.
    pub fn get(&self, run: &str) -> Option<&Spark> {
        self.known.get(run).map(|k| &k.spark)
    }

    /// Of these runs, what is to be read; nothing is asked for twice.
    pub fn wanted<'a>(&mut self, runs: impl Iterator<Item = &'a RunSummary>) -> Vec<SparkJob> {
        let mut jobs = Vec::new();
        for run in runs {
            let id = run.id.as_str();
            let at = (run.step, run.status);
            if self.known.get(id).is_some_and(|k| k.at == at) || self.asked.contains(id) {
                continue;
            }
            self.asked.insert(id.to_owned());
            jobs.push(SparkJob { run: id.to_owned(), monitor: run.monitor.clone(), at });
        }
        jobs
    }

    /// Curves were read.
    pub fn take(&mut self, read: Vec<(SparkJob, Spark)>) {
        for (job, spark) in read {
            self.asked.remove(&job.run);
            self.known.insert(job.run, Known { spark, at: job.at });
        }
    }
}

/// Seconds until a run's end, at the pace at which it went last.
pub fn seconds_left(run: &RunSummary, rate: f64) -> Option<f64> {
    let left = run.steps.checked_sub(run.step).filter(|_| run.steps > 0 && rate > 0.0)?;
    Some(left as f64 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;

    #[test]
    fn a_curve_is_read_once_and_again_when_the_run_went_on() {
        let mut sparks = Sparks::default();
        let mut run = sample::run(1, "a", RunStatus::Running);
        let jobs = sparks.wanted([&run].into_iter());
        assert_eq!(jobs.len(), 1);
        assert_eq!(sparks.wanted([&run].into_iter()), [], "it is on its way");
        sparks.take(jobs.into_iter().map(|j| (j, Spark::default())).collect());
        assert_eq!(sparks.wanted([&run].into_iter()), []);
        run.step += 1;
        assert_eq!(sparks.wanted([&run].into_iter()).len(), 1);
        assert!(sparks.get(run.id.as_str()).is_some(), "the old one stands until the new one is there");
    }

    #[test]
    fn time_left_follows_from_the_pace() {
        let run = sample::run(2, "a", RunStatus::Running);
        assert_eq!(seconds_left(&run, 10.0), Some(32.0));
        assert_eq!(seconds_left(&run, 0.0), None);
    }
}
