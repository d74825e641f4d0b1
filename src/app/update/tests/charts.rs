//! Keys of the charts.

use super::*;
use crate::app::charts::{Axis, Chart};
use crate::app::pointer::{Pointer, Target};
use crate::core::series::Series;

/// A live run with 400 steps of four charts.
fn charted() -> Model {
    let mut model = model();
    let mut opened = sample::opened(7, RunStatus::Running, 400);
    for name in ["lr", "grad_norm", "custom/f1"] {
        let points = (1..=400).map(|i| (f64::from(i), 1.0 / f64::from(i)));
        opened.series.push((name.to_owned(), Series::from_points(points)));
    }
    update(&mut model, Message::Started(Ok(Box::new(StartedRun { opened, tree: sample::tree() }))));
    update(&mut model, Message::Resize { width: 160, height: 50 });
    model
}

fn focus(model: &Model) -> String {
    let shown = model.charts.shown(model.shown().unwrap());
    shown[model.charts.focus(&shown)].name.clone()
}

fn window(model: &Model, chart: &str) -> (f64, f64) {
    let span = model.charts.span(model.shown().unwrap()).unwrap();
    model.charts.look(chart).window.over(span)
}

#[test]
fn the_focus_goes_from_chart_to_chart_and_stays_on_its_own_when_others_come() {
    let mut model = charted();
    assert_eq!(focus(&model), "loss");
    keys(&mut model, "h");
    assert_eq!(focus(&model), "loss");
    keys(&mut model, "l l");
    assert_eq!(focus(&model), "grad_norm");
    keys(&mut model, "l l");
    assert_eq!(focus(&model), "grad_norm", "it stops at the last");
    keys(&mut model, "g");
    assert_eq!(focus(&model), "loss");
    keys(&mut model, "G h");
    assert_eq!(focus(&model), "lr");
    let event = Event::Validation { epoch: 0, metrics: [("val/top1".to_owned(), 0.5)].into() };
    update(&mut model, Message::Records(vec![sample::record(401, 0, event)]));
    assert_eq!(focus(&model), "lr");
}

#[test]
fn zoom_and_pan_move_all_charts_or_one_alone_and_zero_resets() {
    let mut model = charted();
    keys(&mut model, "+ +");
    assert_eq!(window(&model, "lr"), (300.25, 400.0));
    keys(&mut model, "[");
    assert_eq!(window(&model, "loss"), (275.3125, 375.0625));
    keys(&mut model, "] - -");
    assert_eq!(window(&model, "loss"), (1.0, 400.0));
    keys(&mut model, "C +");
    assert_eq!((window(&model, "loss"), window(&model, "lr")), ((200.5, 400.0), (1.0, 400.0)));
    keys(&mut model, "C");
    assert_eq!(window(&model, "lr"), (200.5, 400.0), "what the focus shows is what all show");
    keys(&mut model, "c 0");
    assert_eq!((window(&model, "lr"), model.charts.look("lr").cursor), ((1.0, 400.0), None));
}

#[test]
fn the_cursor_goes_from_point_to_point_and_the_window_moves_along() {
    let mut model = charted();
    keys(&mut model, "+ + + + + c h");
    let cursor = model.charts.look("loss").cursor.unwrap();
    assert_eq!(cursor.fract(), 0.0, "on a point");
    assert_eq!(cursor, 399.0, "at least one point on");
    keys(&mut model, &"h ".repeat(40));
    let cursor = model.charts.look("loss").cursor.unwrap();
    let (from, to) = window(&model, "loss");
    assert!((from..=to).contains(&cursor) && cursor < 370.0, "{cursor} in {from} to {to}");
    assert_eq!(focus(&model), "loss");
    keys(&mut model, "esc l");
    assert_eq!((model.charts.look("loss").cursor, focus(&model).as_str()), (None, "lr"));
}

#[test]
fn the_cursor_stays_in_the_data_whatever_is_pressed() {
    let mut model = charted();
    keys(&mut model, "c l l");
    assert_eq!(model.charts.look("loss").cursor, Some(400.0));
    keys(&mut model, &"h ".repeat(900));
    assert_eq!(model.charts.look("loss").cursor, Some(1.0));
}

#[test]
fn esc_leaves_the_cursor_then_the_full_screen_then_the_screen() {
    let mut model = charted();
    keys(&mut model, "f c esc");
    assert!(model.charts.full);
    keys(&mut model, "esc");
    assert!(!model.charts.full && model.screen == Screen::Train);
    keys(&mut model, "esc");
    assert_eq!(model.screen, Screen::Runs);
}

#[test]
fn smoothing_is_the_same_at_each_zoom_and_holds_for_what_comes() {
    let mut model = charted();
    keys(&mut model, "> > > >");
    let value = |model: &Model| model.shown().unwrap().series["train/loss"].nearest(350.0).unwrap();
    let whole = value(&model);
    assert!(whole.smooth != whole.value);
    keys(&mut model, "+ + + [");
    assert_eq!(value(&model), whole);
    step(&mut model, 401, 5.0);
    let newest = model.shown().unwrap().series["train/loss"].nearest(401.0).unwrap();
    assert!(newest.value == 5.0 && newest.smooth < 1.0, "{newest:?}");
    keys(&mut model, "< < < < < <");
    assert_eq!(value(&model).smooth, whole.value);
}

#[test]
fn charts_are_added_and_removed() {
    let mut model = charted();
    let names = |model: &Model| -> Vec<String> {
        model.charts.shown(model.shown().unwrap()).into_iter().map(|c: Chart| c.name).collect()
    };
    assert_eq!(names(&model), ["loss", "lr", "grad_norm"]);
    keys(&mut model, "a G enter g j enter esc");
    assert_eq!(names(&model), ["loss", "grad_norm", "custom/f1"]);
}

#[test]
fn other_runs_are_drawn_over_this_one_at_most_four() {
    let mut model = charted();
    let effects = keys(&mut model, "O enter");
    let Some(Effect::ReadCurves(id)) = effects.first().cloned() else { panic!("{effects:?}") };
    let mut opened = sample::opened(1, RunStatus::Finished, 900);
    opened.summary.id = id.parse().unwrap();
    update(&mut model, Message::Curves { run: id.clone(), result: Ok(Box::new(opened)) });
    assert_eq!(model.charts.span(model.shown().unwrap()), Some((1.0, 900.0)));
    let again = [(RunStatus::Running, 900), (RunStatus::Running, 901)].map(|(status, step)| {
        let mut run = sample::run(1, "new", status);
        (run.id, run.step) = (id.parse().unwrap(), step);
        update(&mut model, Message::Runs(Ok(vec![run])))
    });
    assert_eq!(again, [vec![], vec![Effect::ReadCurves(id.clone())]], "read again where it went on");
    // Smoothed with all others.
    keys(&mut model, "esc > O");
    assert!(model.charts.overlaid[0].series["train/loss"].is_smoothed());
    assert_eq!(keys(&mut model, "enter"), [], "taken away again");
    assert_eq!(model.charts.overlaid.len(), 0);
    update(&mut model, Message::Curves { run: id, result: Err("no such run".to_owned()) });
    assert_eq!(said(&model), "no such run");
}

#[test]
fn the_axis_counts_steps_epochs_where_they_are_known_or_time() {
    let mut model = charted();
    let mut seen = Vec::new();
    for _ in 0..3 {
        keys(&mut model, "x");
        seen.push(model.charts.axis);
    }
    assert_eq!(seen, [Axis::Epoch, Axis::Time, Axis::Step]);
    let run = model.shown().unwrap();
    for axis in [Axis::Step, Axis::Epoch, Axis::Time] {
        for step in [1.0, 17.0, 250.5, 400.0] {
            assert!((axis.step(run, axis.of_step(run, step)) - step).abs() < 1e-6, "{axis:?} {step}");
        }
    }
    model.shown_mut().unwrap().steps_per_epoch = 0;
    keys(&mut model, "x");
    assert_eq!(model.charts.axis, Axis::Time);
}

#[test]
fn the_learning_rate_is_asked_for_checked_and_told() {
    let mut model = charted();
    keys(&mut model, "r ctrl-u");
    type_text(&mut model, "3e-x");
    assert_eq!(keys(&mut model, "enter"), []);
    let Some(Overlay::Ask(ask)) = model.overlays.last() else { panic!("{:?}", model.overlays) };
    assert!(ask.preview.clone().unwrap_err().contains("no learning rate"), "{:?}", ask.preview);
    assert_eq!(keys(&mut model, "backspace 4 enter"), [Effect::Send(Command::SetLr { lr: 3e-4 })]);
    update(&mut model, Message::Records(vec![sample::record(401, 0, Event::LrChanged { lr: 3e-4 })]));
    assert_eq!(model.shown().unwrap().lr, 3e-4);
    let mut model = super::model();
    keys(&mut model, "4 r");
    assert!(model.overlays.is_empty() && said(&model).contains("no run is open"), "{}", said(&model));
}

fn point(model: &mut Model, what: Pointer, cell: u16) {
    let target = Some(Target::Plot { chart: 2, cell, cells: 100 });
    update(model, Message::Pointer { what, target });
}

#[test]
fn the_mouse_reads_values_zooms_to_what_it_is_dragged_over_and_turns_nearer_and_farther() {
    let mut model = charted();
    let third = model.charts.shown(model.shown().unwrap())[2].name.clone();
    point(&mut model, Pointer::Click, 49);
    assert_eq!((focus(&model), model.charts.look(&third).cursor), (third.clone(), Some(199.0)));
    point(&mut model, Pointer::Release, 49);
    assert_eq!(window(&model, &third), (1.0, 400.0), "a click zooms nothing");

    point(&mut model, Pointer::Click, 75);
    point(&mut model, Pointer::Drag, 60);
    // Over another chart it stays where it was.
    let other = Some(Target::Plot { chart: 0, cell: 0, cells: 100 });
    update(&mut model, Message::Pointer { what: Pointer::Drag, target: other });
    point(&mut model, Pointer::Drag, 25);
    assert!(model.charts.drag.is_some());
    update(&mut model, Message::Pointer { what: Pointer::Release, target: None });
    let (from, to) = window(&model, &third);
    assert!((from - 102.745).abs() < 0.01 && (to - 302.245).abs() < 0.01, "{from} to {to}");
    assert_eq!((model.charts.look(&third).cursor, model.charts.drag.clone()), (None, None));

    keys(&mut model, "0");
    point(&mut model, Pointer::Wheel(-1), 0);
    let (from, to) = window(&model, &third);
    assert!(from < 4.0 && to - from < 200.0, "{from} to {to}: around the pointer");
    point(&mut model, Pointer::Wheel(1), 0);
    assert_eq!(window(&model, &third), (1.0, 400.0));

    let heading = Some(Target::Chart(0));
    update(&mut model, Message::Pointer { what: Pointer::Click, target: heading });
    assert_eq!((focus(&model).as_str(), model.charts.full), ("loss", false));
    update(&mut model, Message::Pointer { what: Pointer::Click, target: heading });
    assert!(model.charts.full, "a second click opens what the first chose");
}
