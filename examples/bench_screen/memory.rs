//! Keys to frames without a terminal: a run streams a thousand events a second, and the run home holds 10,000 runs.

use std::time::{Duration, Instant};

use frostline::app::keys::Keymap;
use frostline::app::message::OpenedRun;
use frostline::app::{Message, Model, update};
use frostline::core::event::{Event, Metrics, Record};
use frostline::core::recipe::Mode;
use frostline::core::run::{Lineage, RunId, RunStatus, RunSummary};
use frostline::core::series::Series;
use frostline::tui::Canvas;

use crate::terminal::Result;

const KEYS: usize = 2000;
const NAMES: [&str; 6] = ["train/loss", "val/loss", "val/top1", "lr", "grad_norm", "samples_per_s"];
/// Records of one frame's time at a thousand a second.
const AT_ONCE: u64 = 33;

/// Every key is preceded by what came in a frame's time, and followed by a frame.
pub fn keys((width, height): (u16, u16)) -> Result<()> {
    let mut model = model()?;
    update(&mut model, Message::Resize { width, height });
    let mut canvas = Canvas::new(width, height);
    for (screen, keys) in [("4", "l h + - > <"), ("1", "j k G g pgdn pgup"), ("?", "j k G g")] {
        press(&mut model, screen);
        let mut times = Vec::new();
        let mut step = 1_000_000;
        for key in keys.split(' ').cycle().take(KEYS) {
            let records = (0..AT_ONCE).map(|_| {
                step += 1;
                let metrics: Metrics = NAMES.iter().map(|n| ((*n).to_owned(), 0.5)).collect();
                Record { time_ms: step, step, event: Event::Step { epoch: 0, metrics } }
            });
            let records = records.collect();
            let pressed = Instant::now();
            update(&mut model, Message::Heard(records));
            press(&mut model, key);
            canvas.draw(&model);
            times.push(crate::ms(pressed.elapsed()));
        }
        let name = match screen {
            "4" => "Train, 6 charts",
            "1" => "Runs, 10,000 of them",
            _ => "Help",
        };
        crate::report(&format!("events and a key to frame, {name}"), times);
        if screen == "?" {
            press(&mut model, "esc");
        }
    }
    Ok(())
}

fn press(model: &mut Model, keys: &str) {
    for key in keys.split_whitespace().filter_map(|k| k.parse().ok()) {
        update(model, Message::Key(key));
    }
}

fn model() -> Result<Model> {
    let mut created = jiff::Timestamp::now();
    let mut runs = Vec::new();
    for i in 0..10_000 {
        runs.push(summary(created, i));
        created -= Duration::from_secs(3600);
    }
    let live = runs.first().cloned().ok_or("no run")?;
    let (mut model, _) = Model::new(Keymap::default(), String::new(), false);
    update(&mut model, Message::Runs(Ok(runs)));
    model.opening = Some(live.id.to_string());
    let series = NAMES.map(|name| {
        let points = (1..=100_000).map(|i| (f64::from(i), 2.0 / f64::from(i).sqrt()));
        (name.to_owned(), Series::from_points(points.collect::<Vec<_>>()))
    });
    let opened = OpenedRun {
        optimizer: Default::default(),
        batches: frostline::core::fit::BatchSizes::new(32, 1, 1),
        summary: live,
        lr: 1e-3,
        rules: Vec::new(),
        monitor: "val/loss".to_owned(),
        mode: Mode::Min,
        records: Vec::new(),
        series: series.into(),
        times: (1..=100_000).map(|i| (i, i)).collect(),
        latest: Metrics::new(),
        notes: Vec::new(),
    };
    update(&mut model, Message::Opened(Ok(Box::new(opened))));
    // It is followed as one of another process is.
    model.attached = model.shown.clone();
    Ok(model)
}

fn summary(created: jiff::Timestamp, i: u64) -> RunSummary {
    RunSummary {
        id: RunId::new(created),
        name: format!("run-{i}"),
        status: if i == 0 { RunStatus::Running } else { RunStatus::Finished },
        step: 100_000,
        steps: 200_000,
        epoch: 0,
        epochs: 1,
        best: Some(0.5),
        monitor: "val/loss".to_owned(),
        mode: Mode::Min,
        created,
        updated: created,
        tags: vec!["demo".to_owned()],
        note: String::new(),
        host: "box".to_owned(),
        model: "mlp".to_owned(),
        message: None,
        pid: None,
        lineage: Lineage::default(),
        problem: None,
    }
}
