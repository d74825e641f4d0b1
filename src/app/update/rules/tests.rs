//! Rules and filters typed into the screen, and what becomes of a draft.

use super::*;
use crate::app::keys::Keymap;
use crate::app::message::{DraftReady, Message};
use crate::app::overlay::Overlay;
use crate::app::place::Screen;
use crate::app::sample;
use crate::app::update::update;
use crate::core::recipe::Recipe;

fn draft(rules: &[&str], kept: Option<KeptDraft>) -> Model {
    let (mut model, _) = Model::new(Keymap::default(), String::new(), false);
    update(&mut model, Message::Now(sample::NOW));
    let mut recipe = Recipe::default();
    recipe.freeze.rules = rules.iter().map(|r| (*r).to_owned()).collect();
    let path = std::path::PathBuf::from("/work/flowers.toml");
    let ready = DraftReady { recipe, tree: sample::tree(), checksum: "abc".to_owned(), kept };
    model.busy.building = Some(path.clone());
    update(&mut model, Message::Draft { path, result: Ok(Box::new(ready)) });
    model.screen = Screen::Model;
    model
}

fn keys(model: &mut Model, text: &str) -> Vec<Effect> {
    text.split_whitespace().flat_map(|k| update(model, Message::Key(k.parse().unwrap()))).collect()
}

fn type_text(model: &mut Model, text: &str) {
    update(model, Message::Paste(text.to_owned()));
}

fn shown(model: &Model) -> Result<Vec<String>, String> {
    let Some(Overlay::Ask(ask)) = model.overlays.last() else { panic!("no field") };
    ask.preview.clone()
}

fn staged(model: &Model) -> Vec<String> {
    model.layers().unwrap().staged().to_vec()
}

fn said(model: &Model) -> &str {
    model.toasts.back().map_or("", |t| &t.text)
}

#[test]
fn rules_are_typed_with_a_preview_and_refused_with_names_that_look_like_them() {
    let mut model = draft(&[], None);
    keys(&mut model, "f");
    assert!(shown(&model).unwrap()[2].contains("head only"));
    type_text(&mut model, "freeze layr1");
    assert!(shown(&model).unwrap_err().contains("did you mean `layer1`?"));
    keys(&mut model, "enter");
    assert_eq!((staged(&model), model.overlays.len()), (Vec::new(), 1), "refused there and then");
    keys(&mut model, "ctrl-w");
    type_text(&mut model, "layer1");
    let lines = shown(&model).unwrap();
    assert!(lines[0].starts_with("matches 3 of 11 tensors"), "{lines:?}");
    assert!(lines[1].contains("layer1.0.conv1.weight"), "{lines:?}");
    let effects = keys(&mut model, "enter");
    assert_eq!(staged(&model), ["freeze layer1"]);
    assert!(matches!(&effects[..], [Effect::KeepDraft(kept)] if kept.staged == ["freeze layer1"]), "{effects:?}");
    assert_eq!(keys(&mut model, "u"), [Effect::ForgetDraft("/work/flowers.toml".into())]);
}

#[test]
fn tab_goes_through_the_plans_and_completes_names() {
    let mut model = draft(&[], None);
    keys(&mut model, "f tab tab tab");
    assert!(shown(&model).unwrap()[0].starts_with("head only"), "{:?}", shown(&model));
    keys(&mut model, "enter");
    assert_eq!(staged(&model), ["freeze preset:all", "train preset:head"]);
    for (typed, completed) in [
        ("fr", "freeze "),
        ("freeze la", "freeze layer"),
        ("freeze layer1.0.c", "freeze layer1.0.conv1"),
        ("freeze **; train kind:Bat", "freeze **; train kind:BatchNorm2d"),
        ("train before:f", "train before:fc"),
        ("freeze =fc.b", "freeze =fc.bias"),
    ] {
        assert_eq!(complete(&model, typed).as_deref(), Some(completed), "{typed}");
    }
    assert_eq!(complete(&model, "freeze zz"), None);
}

#[test]
fn a_filter_is_in_force_while_it_is_typed_and_escape_brings_the_old_one_back() {
    let mut model = draft(&[], None);
    keys(&mut model, "/");
    type_text(&mut model, "bn1");
    assert_eq!(model.layers().unwrap().filter(), Some(("bn1", 1, 3)));
    type_text(&mut model, "zzz");
    assert!(shown(&model).unwrap_err().contains("nothing matches"));
    assert_eq!(model.layers().unwrap().filter().unwrap().0, "bn1", "what stood stays");
    keys(&mut model, "ctrl-w");
    type_text(&mut model, "conv1");
    keys(&mut model, "enter n");
    assert_eq!(model.layers().unwrap().filter(), Some(("conv1", 2, 3)));
    keys(&mut model, "/");
    type_text(&mut model, " layer2");
    keys(&mut model, "esc");
    assert_eq!(model.layers().unwrap().filter(), Some(("conv1", 2, 3)));
    keys(&mut model, "esc");
    assert_eq!((model.layers().unwrap().filter(), model.screen), (None, Screen::Model));
}

#[test]
fn a_plan_is_written_once_and_edits_can_be_taken_back_after_it() {
    let mut model = draft(&["freeze **", "train fc"], None);
    assert_eq!(keys(&mut model, "w"), []);
    assert!(said(&model).contains("already"));
    keys(&mut model, "j space"); // conv1
    let rules: Vec<String> = ["freeze **", "train fc", "train conv1"].map(str::to_owned).to_vec();
    let path = std::path::PathBuf::from("/work/flowers.toml");
    let sent = Effect::WriteRules { path: path.clone(), rules: rules.clone(), checksum: "abc".to_owned() };
    assert_eq!(keys(&mut model, "w"), [sent]);
    let done = Message::RulesWritten { path: path.clone(), rules: rules.clone(), result: Ok("def".to_owned()) };
    assert_eq!(update(&mut model, done), [Effect::ForgetDraft(path.clone())]);
    let draft = model.draft.as_ref().unwrap();
    assert_eq!((staged(&model), draft.is_unwritten(), draft.checksum.as_str()), (Vec::new(), false, "def"));
    let effects = keys(&mut model, "u");
    assert_eq!(model.layers().unwrap().plan(), ["freeze **", "train fc"]);
    assert!(matches!(&effects[..], [Effect::KeepDraft(kept)] if kept.in_file == rules), "{effects:?}");
    let refused = Message::RulesWritten { path, rules, result: Err("flowers.toml has been changed".to_owned()) };
    update(&mut model, refused);
    assert!(said(&model).contains("has been changed"));
}

#[test]
fn the_written_plan_leaves_out_what_says_nothing_any_more() {
    let mut model = draft(&["freeze layer1", "train fc"], None);
    keys(&mut model, "f");
    type_text(&mut model, "head only");
    keys(&mut model, "enter");
    assert_eq!(model.layers().unwrap().plan(), ["freeze preset:all", "train preset:head"]);
    assert_eq!(model.layers().unwrap().all_rules().len(), 4);
}

fn kept(in_file: &[&str], staged: &[&str]) -> KeptDraft {
    let rules = |of: &[&str]| of.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>();
    KeptDraft {
        path: "/work/flowers.toml".into(),
        in_file: rules(in_file),
        rules: rules(in_file),
        staged: rules(staged),
        time_ms: sample::NOW - 3_600_000,
    }
}

#[test]
fn edits_of_an_earlier_session_are_taken_up_and_said() {
    let model = draft(&["freeze **"], Some(kept(&["freeze **"], &["train fc"])));
    assert_eq!(staged(&model), ["train fc"]);
    assert!(said(&model).contains("taken up"), "{}", said(&model));

    let mut model = draft(&["freeze conv1"], Some(kept(&["freeze **"], &["freeze fc"])));
    assert_eq!(model.layers().unwrap().all_rules(), ["freeze conv1", "freeze fc"]);
    assert!(said(&model).contains("has got since"), "{}", said(&model));
    keys(&mut model, "u");
    assert_eq!(staged(&model), Vec::<String>::new());

    let model = draft(&[], Some(kept(&[], &["freeze gone"])));
    assert_eq!(staged(&model), Vec::<String>::new());
    assert!(said(&model).contains("do not fit") && said(&model).contains("freeze gone"), "{}", said(&model));
}

#[test]
fn what_was_left_is_said_at_the_start() {
    let mut model = draft(&[], None);
    update(&mut model, Message::KeptDrafts(vec![kept(&[], &["freeze fc"])]));
    assert!(said(&model).contains("/work/flowers.toml"), "{}", said(&model));
}
