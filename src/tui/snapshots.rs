//! The screens as text, in their empty, usual and crowded states, and at small sizes.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::glyphs::Glyphs;
use super::hits::Hits;
use super::look::Look;
use super::screens;
use super::theme::{Depth, Theme};
use crate::app::action::Action;
use crate::app::form::Tensor;
use crate::app::keys::Keymap;
use crate::app::message::{DraftReady, RecipeEntry, StartedRun};
use crate::app::model::Subject;
use crate::app::overlay::{Ask, Input, Overlay, Purpose};
use crate::app::place::Screen;
use crate::app::pointer::Target;
use crate::app::run_view::Level;
use crate::app::sample::{self, NOW};
use crate::app::values::{Drifted, Moved};
use crate::app::{Message, Model, update};
use crate::core::event::Event;
use crate::core::recipe::Recipe;
use crate::core::run::RunStatus;
use crate::core::run::spark::Spark;
use crate::core::series::Series;
use crate::core::tensor::HostTensor;
use crate::core::tree::{ParamInfo, Tree};
use crate::core::weights::ValueStats;

fn picture(model: &Model, width: u16, height: u16, glyphs: Glyphs) -> String {
    let look = Look { theme: Theme::embedded("frost-dark", Depth::None), glyphs, hits: Hits::default() };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|f| screens::draw(f, model, &look)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut out = String::new();
    for y in 0..height {
        let mut skip = 0;
        let mut line = String::new();
        for x in 0..width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            skip = super::widgets::text::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

macro_rules! snapshot {
    ($name:literal, $model:expr, $width:expr, $height:expr) => {
        let mut model = $model;
        update(&mut model, Message::Resize { width: $width, height: $height });
        insta::assert_snapshot!($name, picture(&model, $width, $height, Glyphs::UNICODE));
    };
}

fn empty() -> Model {
    let (mut model, _) = Model::new(Keymap::default(), "/home/me/.local/share/frostline".to_owned(), false);
    update(&mut model, Message::Now(NOW));
    model
}

fn no_runs() -> Model {
    let mut model = empty();
    update(&mut model, Message::Runs(Ok(Vec::new())));
    model
}

fn with_runs(n: u64) -> Model {
    let mut model = empty();
    let statuses = [RunStatus::Running, RunStatus::Finished, RunStatus::Stopped, RunStatus::Failed, RunStatus::Crashed];
    let names = ["digits-head", "flowers with a very long name that goes on and on", "氷の層を溶かす実験"];
    let runs = (1..=n).map(|i| sample::run(i % 100, names[i as usize % 3], statuses[i as usize % 5])).collect();
    let effects = update(&mut model, Message::Runs(Ok(runs)));
    for effect in effects {
        if let crate::app::Effect::ReadSparks(jobs) = effect {
            let curve = crate::core::series::Series::from_points((1..=40).map(|x| (f64::from(x), 1.0 / f64::from(x))));
            let of = |job| (job, Spark { rate: Some(2.0), ..Spark::of("val/loss", &curve, 32) });
            update(&mut model, Message::Sparks(jobs.into_iter().map(of).collect()));
        }
    }
    model
}

fn key(model: &mut Model, text: &str) {
    for key in text.split_whitespace() {
        update(model, Message::Key(key.parse().unwrap()));
    }
}

fn draft(large: bool) -> Model {
    let mut model = with_runs(3);
    let mut recipe = Recipe::default();
    recipe.freeze.rules = vec!["freeze **".to_owned(), "train fc".to_owned()];
    let tree = if large { sample::large_tree(40) } else { sample::tree() };
    model.screen = Screen::Model;
    let ready = DraftReady { path: "/work/flowers.toml".into(), recipe, tree, checksum: String::new(), kept: None };
    update(&mut model, Message::Draft(Ok(Box::new(ready))));
    model
}

fn opened(status: RunStatus, points: u64) -> Model {
    let mut model = with_runs(3);
    let opened = sample::opened(1, status, points);
    model.opening = Some(opened.summary.id.to_string());
    update(&mut model, Message::Opened(Ok(Box::new(opened))));
    model
}

fn live() -> Model {
    let mut model = with_runs(3);
    let started = StartedRun { opened: sample::opened(1, RunStatus::Running, 200), tree: sample::tree() };
    update(&mut model, Message::Started(Ok(Box::new(started))));
    for n in 0..40_u64 {
        let event = Event::Step {
            epoch: 5,
            metrics: [("train/loss".to_owned(), 0.2), ("lr".to_owned(), 5e-4), ("grad_norm".to_owned(), 1.25)].into(),
        };
        update(&mut model, Message::Records(vec![sample::record(201 + n, 40_000 - 1000 * n, event)]));
    }
    model
}

fn history(n: u64) -> Model {
    let mut model = opened(RunStatus::Stopped, 200);
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::Checkpoints { run: run.clone(), rows: sample::checkpoints(n) });
    model.screen = Screen::Checkpoints;
    if n > 2 {
        key(&mut model, "V j");
        update(
            &mut model,
            Message::Verified { run: run.clone(), name: "step-00000040".to_owned(), damage: Vec::new() },
        );
        let damage = vec!["weights.safetensors: checksum differs from state.json's".to_owned()];
        let name = format!("step-{:08}", (n - 1) * 40);
        update(&mut model, Message::Verified { run, name, damage });
        update(&mut model, Message::Now(NOW + 60_000));
    }
    model
}

#[test]
fn the_run_list() {
    snapshot!("runs_reading", empty(), 80, 24);
    snapshot!("runs_empty", no_runs(), 80, 24);
    snapshot!("runs_usual", with_runs(5), 100, 24);
    let mut crowded = with_runs(150);
    key(&mut crowded, "pgdn pgdn j");
    snapshot!("runs_crowded", crowded, 80, 24);
    snapshot!("runs_tiny", with_runs(5), 20, 5);
}

#[test]
fn the_layer_tree() {
    let mut nothing = no_runs();
    key(&mut nothing, "2");
    snapshot!("layers_nothing", nothing, 80, 24);
    snapshot!("layers_draft", draft(false), 80, 24);
    let mut staged = live();
    key(&mut staged, "2 g j space j j space");
    snapshot!("layers_staged", staged.clone(), 80, 24);
    snapshot!("layers_tiny", staged, 20, 5);
    let mut crowded = draft(true);
    key(&mut crowded, "j j l l");
    snapshot!("layers_crowded", crowded, 110, 24);
    let mut no_grad = draft(false);
    key(&mut no_grad, "j j j o j o");
    snapshot!("layers_no_grad", no_grad, 80, 24);
    let mut filtered = draft(true);
    filter(&mut filtered, "bn1");
    key(&mut filtered, "n n");
    snapshot!("layers_filter", filtered, 80, 24);
}

/// A checkpoint's layers, as its file alone tells them.
fn past() -> Model {
    let mut model = history(4);
    key(&mut model, "t");
    let known = sample::tree();
    let tensors = known.parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice(), p.dtype));
    let tree = Tree::from_tensors(tensors);
    let (run, name) = (model.shown.clone().unwrap(), "step-00000120".to_owned());
    let result = Ok((tree, vec!["freeze **".to_owned(), "train fc".to_owned()]));
    update(&mut model, Message::CheckpointTree { run, name, result });
    model
}

#[test]
fn a_checkpoints_layers() {
    snapshot!("layers_checkpoint", past(), 80, 24);
    let mut edited = past();
    key(&mut edited, "j space");
    assert!(edited.toasts.back().unwrap().text.contains("history"));
    key(&mut edited, "esc esc");
    assert_eq!((edited.screen, edited.subject), (Screen::Checkpoints, Subject::Run));
}

fn filter(model: &mut Model, text: &str) {
    key(model, "/");
    update(model, Message::Paste(text.to_owned()));
    key(model, "enter");
}

fn asked(keys: &str, text: &str) -> Model {
    let mut model = draft(false);
    key(&mut model, keys);
    update(&mut model, Message::Paste(text.to_owned()));
    model
}

#[test]
fn rules_that_are_typed() {
    snapshot!("rule_empty", asked("f", ""), 80, 24);
    snapshot!("rule_preview", asked("f", "train kind:BatchNorm2d"), 80, 24);
    snapshot!("rule_problem", asked("f", "train layr1"), 80, 24);
    snapshot!("rule_plan", asked("f tab tab tab", ""), 80, 24);
    snapshot!("rule_tiny", asked("f", "train layr1"), 20, 5);
    snapshot!("filter_preview", asked("/", "conv layer"), 80, 24);
}

/// A run with values read, as the side pane shows them.
fn explained() -> Model {
    let mut model = live();
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::Checkpoints { run, rows: sample::checkpoints(3) });
    update(&mut model, Message::Resize { width: 150, height: 45 });
    key(&mut model, "2 g j j space");
    let look = model.seen.clone().unwrap().look;
    let values: Vec<f32> = (0..144).map(|i| ((i * 37 % 144) as f32 / 72.0 - 1.0).powi(3)).collect();
    let stats = ValueStats::of(&[HostTensor::from_f32("w", &[144], &values)], 96);
    update(&mut model, Message::Values { look, stats: Ok(stats) });
    let tree = sample::tree();
    let moved = tree.parameters.iter().enumerate().map(|(i, p)| {
        let by = if i == 9 { Moved::By(Some(0.034)) } else { Moved::Not };
        (p.name.clone(), by)
    });
    let drifted = Drifted { pair: model.wanted_pair().unwrap(), moved: moved.collect() };
    update(&mut model, Message::Drift(drifted));
    model
}

#[test]
fn the_side_pane() {
    snapshot!("layers_explained", explained(), 150, 45);
    snapshot!("layers_explained_110", explained(), 110, 24);
    let mut narrow = explained();
    update(&mut narrow, Message::Resize { width: 80, height: 24 });
    key(&mut narrow, "i");
    snapshot!("layers_explained_narrow", narrow.clone(), 80, 24);
    snapshot!("layers_explained_tiny", narrow, 20, 5);
    let mut draft = draft(false);
    update(&mut draft, Message::Resize { width: 120, height: 30 });
    snapshot!("layers_explained_draft", draft, 120, 30);
}

fn devices(gpus: u64) -> Model {
    let mut model = with_runs(2);
    key(&mut model, "3");
    update(&mut model, Message::Devices(Ok(Vec::new())));
    for i in 0..30 {
        let mut survey = sample::survey(gpus);
        for device in &mut survey.devices {
            device.load = device.load.map(|l| if i < 29 { l * f64::from(i) / 29.0 } else { l });
        }
        update(&mut model, Message::Survey(survey));
    }
    model
}

/// Eight GPUs, one lost, one hot, one that the engine cannot use.
fn troubled() -> Model {
    let mut model = devices(8);
    let mut survey = sample::survey(8);
    survey.devices[3].problem =
        Some("the GPU does not answer any more (lost); dmesg tells of it under NVRM: Xid".to_owned());
    survey.devices[3].load = None;
    survey.devices[4].temperature = Some(91.0);
    survey.devices[6].unusable = Some("libtorch's CUDA libraries are not installed".to_owned());
    survey.notes = vec!["CUDA_VISIBLE_DEVICES = \"0,1,2,3,4,5,6,7\" hides 2 GPUs of 10".to_owned()];
    update(&mut model, Message::Survey(survey));
    model
}

#[test]
fn devices_and_what_they_do() {
    let mut reading = no_runs();
    key(&mut reading, "3");
    snapshot!("devices_reading", reading, 80, 24);
    snapshot!("devices_cpu", devices(0), 80, 24);
    let mut usual = devices(2);
    key(&mut usual, "j j space");
    update(&mut usual, Message::Now(NOW + 60_000));
    snapshot!("devices_usual", usual.clone(), 80, 24);
    snapshot!("devices_wide", usual.clone(), 120, 30);
    snapshot!("devices_tiny", usual, 20, 5);
    let mut crowded = troubled();
    key(&mut crowded, "j j");
    snapshot!("devices_crowded", crowded.clone(), 120, 30);
    key(&mut crowded, "j j j j");
    snapshot!("devices_crowded_80", crowded.clone(), 80, 24);
    snapshot!("devices_crowded_tiny", crowded, 20, 5);
    let mut refused = devices(2);
    key(&mut refused, "j space k space");
    snapshot!("devices_refused", refused, 80, 24);
    let mut none = no_runs();
    key(&mut none, "3");
    update(&mut none, Message::Survey(sample::survey(0)));
    update(&mut none, Message::Devices(Err("this frostline was built without libtorch".to_owned())));
    snapshot!("devices_no_engine", none, 80, 24);
    let mut drafted = draft(false);
    update(&mut drafted, Message::Survey(sample::survey(2)));
    key(&mut drafted, "3");
    snapshot!("devices_draft", drafted.clone(), 80, 24);
    let mut short = sample::survey(1);
    short.devices[1].memory_free = 20_000;
    update(&mut drafted, Message::Survey(short));
    snapshot!("devices_draft_short", drafted, 80, 24);
    let mut running = live();
    update(&mut running, Message::Survey(sample::survey(2)));
    key(&mut running, "3");
    snapshot!("devices_live", running, 80, 24);
}

#[test]
fn training() {
    let mut nothing = no_runs();
    key(&mut nothing, "4");
    snapshot!("train_nothing", nothing, 80, 24);
    snapshot!("train_live", live(), 80, 24);
    snapshot!("train_wide", live(), 140, 40);
    snapshot!("train_fresh", opened(RunStatus::Running, 0), 80, 24);
    snapshot!("train_tiny", live(), 20, 5);
    snapshot!("train_low", live(), 60, 9);
}

/// A run with everything that a long one has.
fn charted() -> Model {
    let mut model = with_runs(3);
    let mut opened = sample::opened(1, RunStatus::Running, 200);
    let curve = |f: fn(f64) -> f64| Series::from_points((1..=200).map(|i| (f64::from(i), f(f64::from(i)))));
    let val = |f: fn(f64) -> f64| Series::from_points((1..=5).map(|e| (f64::from(e) * 40.0, f(f64::from(e)))));
    opened.series.extend([
        ("val/top1".to_owned(), val(|e| 0.97 - 0.5 / e)),
        ("val/top5".to_owned(), val(|e| 0.99 - 0.2 / e)),
        ("lr".to_owned(), curve(|i| 5e-4 * (1.0 + (i / 64.0).cos()))),
        ("grad_norm".to_owned(), curve(|i| if i == 1.0 { 5e4 } else { 1.5 + (i * 0.7).sin() / i.sqrt() })),
        ("samples_per_s".to_owned(), curve(|i| if i == 90.0 { f64::NAN } else { 480.0 + 20.0 * (i / 9.0).sin() })),
        ("device/cuda:0/load".to_owned(), curve(|i| 0.9 + 0.05 * (i / 5.0).sin())),
        ("device/cuda:0/memory".to_owned(), curve(|_| 3.2e9)),
    ]);
    let started = StartedRun { opened, tree: sample::tree() };
    update(&mut model, Message::Started(Ok(Box::new(started))));
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::Checkpoints { run, rows: sample::checkpoints(4) });
    model
}

fn pressed(keys: &str) -> Model {
    let mut model = charted();
    key(&mut model, keys);
    model
}

fn overlaid() -> Model {
    let mut model = charted();
    for n in [2, 3] {
        let opened = sample::opened(n, RunStatus::Finished, 60 * n);
        let run = opened.summary.id.to_string();
        update(&mut model, Message::Curves { run, result: Ok(Box::new(opened)) });
    }
    model
}

#[test]
fn charts() {
    snapshot!("charts_usual", charted(), 80, 24);
    snapshot!("charts_crowded", charted(), 160, 50);
    snapshot!("charts_full", pressed("f"), 80, 24);
    snapshot!("charts_zoomed", pressed("+ + [ x"), 100, 30);
    snapshot!("charts_cursor", pressed("f c h h h h h h h h h h"), 80, 24);
    snapshot!("charts_log", pressed("L f"), 80, 24);
    snapshot!("charts_smooth", pressed("> > > > f"), 80, 24);
    snapshot!("charts_outliers_cut", pressed("l l l f"), 80, 24);
    snapshot!("charts_outliers", pressed("l l l f o"), 80, 24);
    snapshot!("charts_gap", pressed("G h h f"), 80, 24);
    snapshot!("charts_by_time", pressed("x x"), 80, 24);
    snapshot!("charts_overlaid", overlaid(), 100, 30);
    snapshot!("charts_choose", pressed("a j j j enter"), 80, 24);
    snapshot!("charts_overlay_list", pressed("O"), 80, 24);
    snapshot!("charts_none", pressed("a enter j enter j enter j enter j enter j enter j enter esc"), 80, 24);
    let mut ascii = overlaid();
    key(&mut ascii, "c [");
    update(&mut ascii, Message::Resize { width: 100, height: 30 });
    insta::assert_snapshot!("charts_ascii", picture(&ascii, 100, 30, Glyphs::ASCII));
}

#[test]
fn checkpoints() {
    let mut nothing = no_runs();
    key(&mut nothing, "5");
    snapshot!("checkpoints_nothing", nothing, 80, 24);
    snapshot!("checkpoints_none", history(0), 80, 24);
    snapshot!(
        "checkpoints_none_live",
        {
            let mut model = live();
            let run = model.shown.clone().unwrap();
            update(&mut model, Message::Checkpoints { run, rows: Vec::new() });
            key(&mut model, "5");
            model
        },
        80,
        24
    );
    snapshot!("checkpoints_usual", history(4), 100, 24);
    snapshot!("checkpoints_80", history(4), 80, 24);
    let mut arranged = history(90);
    key(&mut arranged, "o o g j j space /");
    update(&mut arranged, Message::Paste("val/loss<0.4 -pinned".to_owned()));
    snapshot!("checkpoints_filtering", arranged.clone(), 80, 24);
    key(&mut arranged, "enter");
    snapshot!("checkpoints_filtered", arranged.clone(), 100, 24);
    key(&mut arranged, "/");
    key(&mut arranged, "space n o n e enter");
    snapshot!("checkpoints_filtered_out", arranged, 80, 24);
    snapshot!("checkpoints_details", detailed(140, 36), 140, 36);
    snapshot!("checkpoints_details_narrow", detailed(80, 24), 80, 24);
    snapshot!("checkpoints_details_tiny", detailed(80, 24), 20, 5);
    let mut delete = history(4);
    key(&mut delete, "j D");
    snapshot!("checkpoints_delete", delete.clone(), 80, 24);
    snapshot!("checkpoints_delete_tiny", delete, 20, 5);
    snapshot!("checkpoints_crowded", history(90), 80, 24);
    snapshot!("checkpoints_tiny", history(4), 20, 5);
}

/// A damaged checkpoint explained, or a good one where there is room beside the list.
fn detailed(width: u16, height: u16) -> Model {
    let mut model = history(6);
    update(&mut model, Message::Resize { width, height });
    let mut runs = model.runs.clone().unwrap();
    runs[1].lineage.forked_from = Some(format!("{}@160", model.shown.clone().unwrap()));
    update(&mut model, Message::Runs(Ok(runs)));
    key(&mut model, if width >= 110 { "j" } else { "i" });
    let (run, row) = (model.shown.clone().unwrap(), model.selected_checkpoint().unwrap());
    let (name, facts) = (row.name.clone(), sample::facts(row.step));
    update(&mut model, Message::Facts { run, name, result: Ok(Box::new(facts)) });
    model
}

fn diffed(keys: &str) -> Model {
    let mut model = history(4);
    key(&mut model, "d");
    if let Some(Overlay::Diff(view)) = model.overlays.last_mut() {
        view.take(Ok(Box::new(sample::drift())));
    }
    key(&mut model, keys);
    model
}

/// The form of an export, with the checkpoint's tensors known.
fn exporting(keys: &str) -> Model {
    let mut model = history(4);
    key(&mut model, "x");
    let tree = sample::tree();
    let tensor = |p: &ParamInfo| Tensor {
        name: p.name.clone(),
        elements: p.shape.iter().product::<usize>() as u64,
        dtype: p.dtype,
    };
    let (run, row) = (model.shown.clone().unwrap(), model.selected_checkpoint().unwrap());
    let (name, result) = (row.name.clone(), Ok(tree.parameters.iter().map(tensor).collect()));
    update(&mut model, Message::Tensors { run, name, result });
    key(&mut model, keys);
    model
}

/// The form of a fork, with the recipe known.
fn forking(keys: &str) -> Model {
    let mut model = history(4);
    let run = model.shown.clone().unwrap();
    update(&mut model, Message::TreeReady { run: run.clone(), tree: Ok(sample::tree()) });
    key(&mut model, "f");
    let base = sample::recipe(&["freeze **", "train fc"]);
    let name = model.selected_checkpoint().unwrap().name.clone();
    update(&mut model, Message::ForkBase { run, name, result: Ok(Box::new(base)) });
    key(&mut model, keys);
    model
}

#[test]
fn exports_and_forks() {
    let mut reading = history(4);
    key(&mut reading, "x");
    snapshot!("export_reading", reading, 80, 24);
    snapshot!("export", exporting("tab tab right right tab f c"), 80, 24);
    snapshot!("export_wrong", exporting("tab tab tab l a y r"), 100, 24);
    snapshot!("export_tiny", exporting("tab tab tab l a y r"), 20, 5);
    let mut busy = exporting("enter");
    update(&mut busy, Message::Exporting { done: 30_000_000, total: 120_000_000 });
    snapshot!("export_goes_on", busy, 80, 24);
    let mut reading = history(4);
    key(&mut reading, "f");
    snapshot!("fork_reading", reading, 80, 24);
    snapshot!("fork", forking("- b tab ctrl-u 1 e - 4"), 80, 24);
    snapshot!("fork_wrong", forking("tab tab tab ; space t r a i n space l a y r"), 100, 24);
    snapshot!("fork_tiny", forking("tab"), 20, 5);
}

#[test]
fn two_checkpoints_compared() {
    let mut reading = history(4);
    key(&mut reading, "d");
    snapshot!("diff_reading", reading.clone(), 80, 24);
    if let Some(Overlay::Diff(view)) = reading.overlays.last_mut() {
        view.take(Err(
            "checkpoint step-00000080 is damaged: weights.safetensors: its checksum does not match".to_owned()
        ));
    }
    snapshot!("diff_damaged", reading, 80, 24);
    snapshot!("diff_layers", diffed("j j"), 100, 24);
    snapshot!("diff_tensors", diffed("t a o"), 80, 24);
    snapshot!("diff_tiny", diffed("j j j"), 20, 5);
}

#[test]
fn the_mouse_finds_what_was_drawn() {
    let look = |model: &Model| {
        let glyphs = Glyphs::UNICODE;
        let look = Look { theme: Theme::embedded("frost-dark", Depth::None), glyphs, hits: Hits::default() };
        let mut terminal = Terminal::new(TestBackend::new(100, 24)).unwrap();
        terminal.draw(|f| screens::draw(f, model, &look)).unwrap();
        look
    };
    let mut model = with_runs(5);
    update(&mut model, Message::Resize { width: 100, height: 24 });
    let seen = look(&model);
    assert_eq!(seen.hits.at(1, 0), Some(Target::Tab(Screen::Runs)));
    assert_eq!(seen.hits.at(10, 0), Some(Target::Tab(Screen::Model)));
    assert_eq!(seen.hits.at(20, 3), Some(Target::Row(0)));
    assert_eq!(seen.hits.at(20, 5), Some(Target::Row(2)));
    assert_eq!(seen.hits.at(20, 20), None);
    assert_eq!(seen.hits.at(2, 23), Some(Target::Hint(Action::OpenRun)));
    key(&mut model, ":");
    let seen = look(&model);
    assert!(matches!(seen.hits.at(50, 11), Some(Target::TopRow(_))), "what lies on top hides what is below");
    assert_eq!(seen.hits.at(2, 5), Some(Target::Row(2)), "update knows that something lies on top");
}

#[test]
fn what_lies_on_top() {
    let mut help = draft(false);
    key(&mut help, "?");
    snapshot!("help", help.clone(), 80, 24);
    snapshot!("help_tiny", help, 20, 5);
    let mut leave = live();
    key(&mut leave, "q");
    snapshot!("leave", leave.clone(), 80, 24);
    snapshot!("leave_tiny", leave, 20, 5);
    let mut recipes = with_runs(2);
    key(&mut recipes, "n");
    snapshot!("recipes_reading", recipes.clone(), 80, 24);
    let entry = |name: &str, summary: Result<&str, &str>| RecipeEntry {
        path: name.into(),
        summary: summary.map(str::to_owned).map_err(str::to_owned),
    };
    let entries = vec![
        entry("digits.toml", Ok("resnet8 on digits, 10 epochs")),
        entry("broken.toml", Err("broken.toml:3: optimizer.lrr: unknown key; did you mean `lr`?")),
    ];
    update(&mut recipes, Message::Recipes(entries));
    snapshot!("recipes", recipes, 80, 24);
    let mut themes = with_runs(2);
    let names = ["ember-dark", "frost-dark", "frost-light"].map(str::to_owned).to_vec();
    update(&mut themes, Message::Themes { names, current: "frost-dark".to_owned() });
    snapshot!("themes", themes, 80, 24);
    let mut palette = live();
    key(&mut palette, ": s t o");
    snapshot!("palette", palette, 80, 24);
    let mut said = live();
    said.say(
        Level::Error,
        "the disk is full: no checkpoint was written at step 240; the run goes on, old checkpoints stand",
    );
    said.say(Level::Good, "checkpoint step-00000240 written");
    snapshot!("toasts", said.clone(), 80, 24);
    key(&mut said, "m");
    snapshot!("messages", said, 80, 24);
}

fn compared(n: u64) -> Model {
    let mut model = with_runs(n.max(2));
    key(&mut model, "space ".repeat(n as usize).as_str());
    key(&mut model, "c");
    let runs = model.compare.runs.clone();
    if n > 0 {
        update(&mut model, Message::Compared { runs, result: Ok(Box::new(sample::comparison(n))) });
    }
    model
}

#[test]
fn runs_side_by_side() {
    let mut nothing = no_runs();
    key(&mut nothing, "6");
    snapshot!("compare_nothing", nothing, 80, 24);
    snapshot!("compare_usual", compared(2), 80, 24);
    let mut crowded = compared(9);
    key(&mut crowded, "a pgdn l l ]");
    snapshot!("compare_crowded", crowded, 120, 40);
    snapshot!("compare_tiny", compared(2), 20, 5);
    let mut model = compared(3);
    update(&mut model, Message::Resize { width: 80, height: 24 });
    insta::assert_snapshot!("compare_ascii", picture(&model, 80, 24, Glyphs::ASCII));
}

#[test]
fn what_is_kept_about_runs() {
    let mut marked = with_runs(5);
    key(&mut marked, "space j space");
    snapshot!("runs_marked", marked.clone(), 80, 24);
    key(&mut marked, "D");
    snapshot!("delete", marked, 80, 24);
    let mut tags = with_runs(3);
    key(&mut tags, "t");
    snapshot!("tags", tags.clone(), 80, 24);
    key(&mut tags, "ctrl-u - x");
    snapshot!("tags_wrong", tags, 80, 24);
    let mut form = with_runs(2);
    key(&mut form, "T");
    snapshot!("form", form.clone(), 80, 24);
    key(&mut form, "down down down x tab tab right backtab backtab");
    snapshot!("form_wrong", form.clone(), 110, 24);
    snapshot!("form_tiny", form, 20, 5);
    let mut family = with_runs(4);
    let mut runs = family.runs.clone().unwrap();
    for (child, parent) in [(0, 2), (1, 2), (2, 3)] {
        runs[child].lineage.forked_from = Some(format!("{}@80", runs[parent].id));
    }
    runs[3].lineage.forked_from = Some("20250101-000000-aaaa@7".to_owned());
    update(&mut family, Message::Runs(Ok(runs)));
    key(&mut family, "j j L");
    snapshot!("lineage", family, 80, 24);
}

fn all() -> Vec<Model> {
    let mut prompt = history(4);
    prompt.overlays.push(Overlay::Ask(Box::new(Ask {
        title: "Another name".to_owned(),
        input: Input::with("氷".repeat(90)),
        purpose: Purpose::RenameRun(String::new()),
        preview: Ok(vec!["a line".to_owned(); 30]),
    })));
    let mut models =
        vec![empty(), no_runs(), with_runs(120), draft(false), draft(true), live(), history(0), history(30)];
    models.push(prompt);
    models.extend([compared(0), compared(2), compared(12)]);
    models.extend([devices(0), devices(2), troubled()]);
    for keys in ["space", "D", "t", "R", "N", "L", "T", "T tab tab x tab x"] {
        let mut model = with_runs(4);
        key(&mut model, keys);
        models.push(model);
    }
    models.extend([asked("f", "train layr1"), asked("f", ""), asked("/", "conv"), explained(), past()]);
    let mut narrow = explained();
    update(&mut narrow, Message::Resize { width: 80, height: 24 });
    key(&mut narrow, "i");
    models.push(narrow);
    let mut said = live();
    said.say(Level::Error, "a long message that must be wrapped ".repeat(9));
    models.push(said);
    models.push(charted());
    models.push(overlaid());
    models.extend([exporting("tab tab tab l a y r"), forking("tab x"), exporting("enter")]);
    models.extend([detailed(140, 36), detailed(80, 24), diffed(""), diffed("t o")]);
    for keys in ["D", "d", "space /", "o", "i"] {
        let mut model = history(30);
        key(&mut model, keys);
        models.push(model);
    }
    for keys in ["a", "O", "f", "f c h h +", "C + c [", "L l L l L o", "> > > x", "x x G", "+ + + + + + + +", "r"] {
        models.push(pressed(keys));
    }
    for keys in ["?", "m", ":", "q", "n", "2", "2 j space", "5"] {
        let mut model = live();
        key(&mut model, keys);
        models.push(model);
    }
    models
}

#[test]
fn no_size_and_no_state_breaks_the_drawing() {
    let sizes =
        [(0, 0), (1, 1), (2, 3), (5, 2), (7, 30), (19, 4), (20, 5), (33, 8), (47, 11), (80, 24), (300, 7), (500, 200)];
    for mut model in all() {
        for (width, height) in sizes {
            for glyphs in [Glyphs::UNICODE, Glyphs::ASCII] {
                update(&mut model, Message::Resize { width, height });
                key(&mut model, "j pgdn");
                picture(&model, width, height, glyphs);
            }
        }
    }
}

#[test]
fn a_locale_without_utf8_sees_ascii_alone() {
    for model in all() {
        let text = picture(&model, 100, 30, Glyphs::ASCII);
        // Names are the user's own.
        let own: String = text.chars().filter(|c| !"氷の層を溶かす実験".contains(*c)).collect();
        assert!(own.is_ascii(), "{text}");
    }
}

#[test]
fn drawing_changes_nothing() {
    let model = live();
    let before = format!("{model:?}");
    picture(&model, 80, 24, Glyphs::UNICODE);
    assert_eq!(format!("{model:?}"), before);
}
