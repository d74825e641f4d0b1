//! The rules of the run list as a whole: what a summary says over a run's life.

use super::*;
use crate::core::event::{Event, Metrics, Record};
use crate::core::recipe::{Mode, Recipe};

fn home() -> (tempfile::TempDir, RunHome) {
    let dir = tempfile::tempdir().unwrap();
    let home = RunHome::open(dir.path());
    (dir, home)
}

fn recipe() -> Recipe {
    let mut recipe =
        Recipe { name: Some("demo".into()), tags: vec!["a".into()], note: "n".into(), ..Recipe::default() };
    recipe.model.arch = "mlp".into();
    recipe
}

fn say(log: &mut EventLog, step: u64, event: Event) {
    log.append(&Record { time_ms: 1_800_000_000_000 + step, step, event }).unwrap();
}

fn started(resumed_from: Option<u64>) -> Event {
    Event::Started { steps: 40, steps_per_epoch: 10, devices: vec!["cpu".into()], resumed_from }
}

fn validation(loss: f64) -> Event {
    Event::Validation { epoch: 0, metrics: Metrics::from([("val/loss".to_owned(), loss)]) }
}

#[test]
fn a_summary_follows_a_run_through_its_life() {
    let (_dir, home) = home();
    let run = home.create(&recipe(), Lineage::default()).unwrap();
    assert_eq!(run.summary().status, RunStatus::Crashed, "made, and its process gone before it said anything");

    let lock = run.lock().unwrap();
    let mut log = run.event_log().unwrap();
    let mut metrics = run.metrics_writer(None).unwrap();
    say(&mut log, 0, started(None));
    for step in 1..=12 {
        metrics.append(step, step, &[("train/loss", 1.0)]).unwrap();
    }
    say(&mut log, 10, validation(0.5));
    let live = run.summary();
    assert_eq!((live.status, live.step, live.steps), (RunStatus::Running, 12, 40));
    assert_eq!((live.epoch, live.epochs, live.best), (1, 4, Some(0.5)));
    assert_eq!(live.pid, Some(std::process::id()));
    assert_eq!((live.name.as_str(), live.model.as_str(), live.monitor.as_str()), ("demo", "mlp", "val/loss"));
    say(&mut log, 12, Event::Paused);
    assert_eq!(run.summary().status, RunStatus::Paused);
    drop((lock, log, metrics));
    assert_eq!((run.summary().status, run.summary().step), (RunStatus::Crashed, 12));

    let lock = run.lock().unwrap();
    let mut log = run.event_log().unwrap();
    let _metrics = run.metrics_writer(Some(5)).unwrap();
    say(&mut log, 5, started(Some(5)));
    let resumed = run.summary();
    assert_eq!((resumed.status, resumed.step, resumed.best), (RunStatus::Running, 5, None));
    say(&mut log, 8, Event::Stopped { reason: "user".into() });
    drop((lock, log));
    let stopped = run.summary();
    assert_eq!((stopped.status, stopped.step, stopped.message.as_deref()), (RunStatus::Stopped, 8, Some("user")));
    assert_eq!(run.summary(), stopped, "the same through the cache");
}

#[test]
fn the_summarys_json_has_the_contracts_fields() {
    let (_dir, home) = home();
    let lineage = Lineage { forked_from: Some("20261125-014503-k3f9@120".into()), ..Lineage::default() };
    let json = serde_json::to_value(home.create(&recipe(), lineage).unwrap().summary()).unwrap();
    for key in ["id", "name", "status", "step", "steps", "epoch", "epochs", "best", "created", "tags", "host"] {
        assert!(json.get(key).is_some(), "{key}");
    }
    assert_eq!(json["best"], serde_json::Value::Null);
    assert_eq!(json["status"], "crashed");
    assert_eq!(json["forked_from"], "20261125-014503-k3f9@120");
    assert!(json["created"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
}

#[test]
fn a_damaged_run_is_listed_with_its_problem() {
    let (_dir, home) = home();
    let run = home.create(&recipe(), Lineage::default()).unwrap();
    std::fs::write(run.path().join("run.toml"), "name = ").unwrap();
    let summary = run.summary();
    assert_eq!(summary.id, *run.id());
    let problem = summary.problem.unwrap();
    assert!(problem.contains("run.toml is damaged") && !problem.contains('\n'), "{problem}");
}

#[test]
fn the_best_value_goes_by_the_recipes_mode_or_the_metrics_name() {
    for (monitor, mode, best) in [("val/loss", None, 0.1), ("val/top1", None, 0.9), ("val/top1", Some(Mode::Min), 0.1)]
    {
        let (_dir, home) = home();
        let mut recipe = recipe();
        recipe.checkpoint.monitor = monitor.into();
        recipe.checkpoint.mode = mode;
        let run = home.create(&recipe, Lineage::default()).unwrap();
        let mut log = run.event_log().unwrap();
        for value in [0.5, 0.1, f64::NAN, 0.9] {
            let metrics = Metrics::from([(monitor.to_owned(), value)]);
            say(&mut log, 1, Event::Validation { epoch: 0, metrics });
        }
        assert_eq!(run.summary().best, Some(best), "{monitor}");
    }
}

#[test]
fn tags_and_notes_are_changed_in_run_toml_alone() {
    let (_dir, home) = home();
    let run = home.create(&recipe(), Lineage::default()).unwrap();
    let mut meta = run.meta().unwrap();
    meta.tags.push("good".into());
    meta.name = "renamed".into();
    run.save_meta(&meta).unwrap();
    assert_eq!(run.summary().tags, ["a", "good"]);
    assert_eq!(home.find("renamed").unwrap(), run);
}

#[test]
fn a_new_owner_clears_away_half_written_files() {
    let (_dir, home) = home();
    let run = home.create(&recipe(), Lineage::default()).unwrap();
    let half = run.path().join(".tmp-run.toml-1-0");
    std::fs::write(&half, "x").unwrap();
    run.lock().unwrap();
    assert!(!half.exists());
}

#[test]
fn all_summaries_come_in_the_order_of_the_runs() {
    let (_dir, home) = home();
    for _ in 0..70 {
        home.create(&recipe(), Lineage::default()).unwrap();
    }
    let ids: Vec<RunId> = home.summaries().unwrap().into_iter().map(|s| s.id).collect();
    assert_eq!(ids, home.runs().unwrap().iter().map(|r| r.id().clone()).collect::<Vec<_>>());
    assert_eq!(ids.len(), 70);
}
