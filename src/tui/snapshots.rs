//! The screens as text, in their empty, usual and crowded states, and at small sizes.

mod models;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::glyphs::Glyphs;
use super::hits::Hits;
use super::look::Look;
use super::screens;
use super::theme::{Depth, Theme};
use crate::app::action::Action;
use crate::app::effect::Effect;
use crate::app::message::RecipeEntry;
use crate::app::model::{Exporting, Starting, Subject};
use crate::app::overlay::Overlay;
use crate::app::place::Screen;
use crate::app::pointer::Target;
use crate::app::run_view::Level;
use crate::app::sample::{self, NOW};
use crate::app::{Message, Model, update};
use crate::core::run::RunStatus;
use models::{
    all, asked, charted, compared, detailed, devices, diffed, draft, empty, explained, exporting, filter, forking,
    history, key, live, no_runs, opened, overlaid, past, pressed, steep, troubled, with_runs,
};

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

#[test]
fn a_checkpoints_layers() {
    snapshot!("layers_checkpoint", past(), 80, 24);
    let mut edited = past();
    key(&mut edited, "j space");
    assert!(edited.toasts.back().unwrap().text.contains("history"));
    key(&mut edited, "esc esc");
    assert_eq!((edited.screen, edited.subject), (Screen::Checkpoints, Subject::Run));
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

#[test]
fn gradient_norms_of_a_live_run() {
    snapshot!("layers_gradients", steep(), 100, 24);
    snapshot!("layers_gradients_explained", steep(), 140, 24);
    let mut model = steep();
    let asks = update(&mut model, Message::Key("4".parse().unwrap()));
    assert!(asks.contains(&Effect::Gradients(None)), "{asks:?}");
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

#[test]
fn exports_and_forks() {
    let mut reading = history(4);
    key(&mut reading, "x");
    snapshot!("export_reading", reading, 80, 24);
    snapshot!("export", exporting("tab tab right right tab f c"), 80, 24);
    snapshot!("export_wrong", exporting("tab tab tab l a y r"), 100, 24);
    snapshot!("export_tiny", exporting("tab tab tab l a y r"), 20, 5);
    let mut busy = exporting("enter");
    update(&mut busy, Message::Exporting(Exporting::Reading { done: 120_000_000, total: 500_000_000 }));
    snapshot!("export_reads", busy.clone(), 80, 6);
    update(&mut busy, Message::Exporting(Exporting::Writing { done: 30_000_000, total: 120_000_000 }));
    snapshot!("export_goes_on", busy.clone(), 80, 24);
    // Other things that take a while go on beside it.
    busy.busy.building = Some("/work/flowers.toml".into());
    busy.busy.starting = Some(Starting::default());
    snapshot!("export_beside_others", busy.clone(), 100, 6);
    snapshot!("export_beside_others_80", busy, 80, 6);
    snapshot!("export_sent", exporting("enter"), 80, 24);
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
    assert_eq!(seen.hits.at(0, 5), Some(Target::Row(2)), "update knows that something lies on top");
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
