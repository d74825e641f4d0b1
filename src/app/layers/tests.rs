//! Edits, folds and the frost line on a small tree.

use super::*;
use crate::app::sample::tree;

fn layers(rules: &[&str]) -> Layers {
    let (layers, problem) = Layers::new(tree(), rules.iter().map(|r| (*r).to_owned()).collect());
    assert_eq!(problem, None);
    layers
}

fn go_to(layers: &mut Layers, path: &str) {
    layers.cursor = layers.nodes.iter().position(|n| n.path == path).unwrap();
}

fn state(layers: &Layers, path: &str) -> NodeState {
    let node = layers.nodes.iter().position(|n| n.path == path).unwrap();
    layers.row(node, &layers.nodes[node], false).state
}

#[test]
fn space_freezes_a_module_and_a_second_one_takes_it_back() {
    let mut layers = layers(&[]);
    go_to(&mut layers, "layer1");
    assert_eq!(layers.toggle(), Ok(None));
    assert_eq!(layers.staged(), ["freeze layer1"]);
    assert_eq!(state(&layers, "layer1"), NodeState::All(ParamState::Frozen));
    assert_eq!(state(&layers, ""), NodeState::Mixed);
    assert_eq!(layers.toggle(), Ok(None));
    assert_eq!(layers.staged(), Vec::<String>::new());
    assert_eq!(layers.totals().staged, 0);
}

#[test]
fn a_mixed_module_is_trained_whole() {
    let mut layers = layers(&["freeze layer1.0.conv1"]);
    go_to(&mut layers, "layer1");
    assert_eq!(state(&layers, "layer1"), NodeState::Mixed);
    layers.toggle().unwrap();
    assert_eq!(state(&layers, "layer1"), NodeState::All(ParamState::Trainable));
}

#[test]
fn an_edit_of_a_module_replaces_the_edits_inside_it() {
    let mut layers = layers(&[]);
    go_to(&mut layers, "layer1.0.conv1.weight");
    layers.toggle().unwrap();
    go_to(&mut layers, "layer1");
    layers.toggle().unwrap(); // mixed: trained whole, which is what is in force
    assert_eq!(layers.staged(), Vec::<String>::new());
    layers.toggle().unwrap();
    assert_eq!(layers.staged(), ["freeze layer1"]);
}

#[test]
fn undo_goes_back_edit_by_edit_and_brings_discarded_edits_back() {
    let mut layers = layers(&[]);
    go_to(&mut layers, "conv1");
    layers.toggle().unwrap();
    go_to(&mut layers, "layer1");
    layers.toggle().unwrap();
    assert_eq!(layers.discard(), 2);
    assert_eq!(layers.staged(), Vec::<String>::new());
    assert!(layers.undo());
    assert_eq!(layers.staged(), ["freeze conv1", "freeze layer1"]);
    assert!(layers.undo() && layers.undo() && !layers.undo());
    assert_eq!(layers.totals().staged, 0);
}

#[test]
fn what_no_grad_holds_is_not_thawed_from_below_and_says_why() {
    let mut layers = layers(&["no_grad layer1"]);
    go_to(&mut layers, "layer1.0.conv1.weight");
    let said = layers.toggle().unwrap_err();
    assert!(said.contains("no_grad layer1"), "{said}");
    assert_eq!(layers.staged(), Vec::<String>::new());
    go_to(&mut layers, "layer1");
    layers.toggle().unwrap();
    assert_eq!(state(&layers, "layer1"), NodeState::All(ParamState::Trainable));
}

#[test]
fn edits_that_leave_nothing_to_learn_are_not_sent() {
    let mut layers = layers(&[]);
    go_to(&mut layers, "");
    layers.toggle().unwrap();
    assert_eq!(layers.staged(), ["freeze **"]);
    assert!(layers.begin_apply().unwrap_err().contains("nothing would learn"));
    assert!(!layers.applying());
}

#[test]
fn applied_edits_are_in_force_and_refused_ones_stay_staged() {
    let mut layers = layers(&["freeze conv1"]);
    go_to(&mut layers, "layer1");
    layers.toggle().unwrap();
    let sent = layers.begin_apply().unwrap();
    assert_eq!(sent, ["freeze layer1"]);
    assert!(layers.toggle().is_err(), "no edit while the answer is awaited");
    layers.end_apply();
    assert_eq!(layers.staged(), ["freeze layer1"], "a refusal changes nothing");
    layers.begin_apply().unwrap();
    layers.set_rules(vec!["freeze conv1".to_owned(), "freeze layer1".to_owned()]).unwrap();
    layers.end_apply();
    assert_eq!(layers.staged(), Vec::<String>::new());
    assert_eq!(state(&layers, "layer1"), NodeState::All(ParamState::Frozen));
    assert!(!layers.undo(), "what is in force is not undone by forgetting it");
}

#[test]
fn the_frost_line_lies_above_the_first_layer_that_learns() {
    let line = |rules: &[&str]| {
        let layers = layers(rules);
        let (line, frozen) = layers.frost_line();
        let path = match line {
            FrostLine::Above(row) => layers.rows()[row].node.path.clone(),
            FrostLine::None => "none".to_owned(),
            FrostLine::Below => "below".to_owned(),
        };
        (path, frozen > 0)
    };
    assert_eq!(line(&[]), ("none".to_owned(), false));
    assert_eq!(line(&["freeze **"]), ("below".to_owned(), true));
    assert_eq!(line(&["freeze **", "train fc"]), ("fc".to_owned(), true));
    assert_eq!(line(&["freeze **", "train layer1.0.bn1", "train fc"]), ("layer1.0.bn1".to_owned(), true));
}

#[test]
fn the_frost_line_stays_visible_when_its_layer_is_folded_away() {
    let mut layers = layers(&["freeze **", "train layer1.0.bn1"]);
    go_to(&mut layers, "layer1");
    layers.fold();
    let FrostLine::Above(row) = layers.frost_line().0 else { panic!("no line") };
    assert_eq!(layers.rows()[row].node.path, "layer1");
}

#[test]
fn folding_hides_what_is_below_and_left_goes_up() {
    let mut layers = layers(&[]);
    let all = layers.rows().len();
    go_to(&mut layers, "layer1");
    layers.fold();
    assert!(layers.rows().len() < all);
    layers.fold();
    assert_eq!(layers.selected().unwrap().node.path, "");
    layers.go(1_000);
    assert_eq!(layers.position().0 + 1, layers.position().1);
    layers.go(-1_000);
    assert_eq!(layers.position().0, 0);
}

#[test]
fn next_staged_unfolds_down_to_it() {
    let mut layers = layers(&[]);
    assert!(!layers.next_staged());
    go_to(&mut layers, "layer1.0.conv1");
    layers.toggle().unwrap();
    layers.fold_all();
    go_to(&mut layers, "");
    assert!(layers.next_staged());
    assert_eq!(layers.selected().unwrap().node.path, "layer1.0.conv1.weight");
    assert!(layers.rows().iter().any(|r| r.node.path == "layer1.0.conv1.weight"));
}

#[test]
fn a_starved_parameter_keeps_its_name_in_the_reason() {
    let mut layers = layers(&[]);
    let mut states = layers.base.states();
    states[0] = ParamState::Starved;
    layers.set_states(&states);
    go_to(&mut layers, "conv1.weight");
    assert!(layers.reason().unwrap().contains("no gradient reaches it"));
    assert_eq!(state(&layers, "conv1.weight"), NodeState::All(ParamState::Starved));
}

#[test]
fn rules_that_do_not_fit_the_tree_are_said() {
    let (layers, problem) = Layers::new(tree(), vec!["freeze nowhere".to_owned()]);
    assert!(problem.unwrap().contains("nowhere"));
    assert!(!layers.rows().is_empty());
}
