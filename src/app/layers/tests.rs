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
    assert!(layers.undo().is_some());
    assert_eq!(layers.staged(), ["freeze conv1", "freeze layer1"]);
    assert!(layers.undo().is_some() && layers.undo().is_some());
    assert_eq!(layers.undo(), None);
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
    assert_eq!(layers.undo(), None, "what is in force is not undone by forgetting it");
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

#[test]
fn a_parameters_edit_is_an_override_and_a_modules_edit_goes_over_those_in_force() {
    let mut layers = layers(&["train =fc.bias"]);
    go_to(&mut layers, "fc.weight");
    layers.toggle().unwrap();
    assert_eq!(layers.staged(), ["freeze =fc.weight"]);
    go_to(&mut layers, "fc");
    layers.toggle().unwrap(); // mixed: all of it learns again, as in force
    assert_eq!(layers.staged(), Vec::<String>::new());
    layers.toggle().unwrap();
    assert_eq!(layers.staged(), ["freeze fc", "freeze =fc.bias"]);
    assert_eq!(state(&layers, "fc"), NodeState::All(ParamState::Frozen));
}

#[test]
fn no_grad_is_put_on_a_module_and_lifted_by_the_same_key() {
    let mut layers = layers(&["freeze layer2"]);
    go_to(&mut layers, "layer2.0.conv1.weight");
    assert!(layers.toggle_no_grad().unwrap_err().contains("modules"));
    go_to(&mut layers, "layer2");
    layers.toggle_no_grad().unwrap();
    assert_eq!(layers.staged(), ["no_grad layer2"]);
    assert_eq!(state(&layers, "layer2"), NodeState::All(ParamState::NoGrad));
    go_to(&mut layers, "layer2.0");
    assert!(layers.toggle_no_grad().unwrap_err().contains("layer2, which is under no_grad"));
    go_to(&mut layers, "layer2");
    layers.toggle_no_grad().unwrap();
    assert_eq!(layers.staged(), Vec::<String>::new(), "as it was before: frozen");
    assert_eq!(state(&layers, "layer2"), NodeState::All(ParamState::Frozen));
}

#[test]
fn no_grad_in_force_is_lifted_by_a_rule_and_a_module_without_parameters_may_have_it() {
    let mut layers = layers(&["no_grad layer1"]);
    go_to(&mut layers, "layer1");
    layers.toggle_no_grad().unwrap();
    assert_eq!(layers.staged(), ["train layer1"]);
    go_to(&mut layers, "relu");
    layers.toggle_no_grad().unwrap();
    assert!(layers.selected().unwrap().no_grad);
    assert_eq!(layers.staged(), ["train layer1", "no_grad relu"]);
}

#[test]
fn rules_are_tried_while_they_are_typed_and_staged_as_one_edit() {
    let mut layers = layers(&[]);
    let said = layers.preview_rules("freeze layr1").unwrap_err();
    assert!(said.contains("did you mean `layer1`?"), "{said}");
    assert!(layers.preview_rules("thaw fc").unwrap_err().contains("did you mean `train`?"));
    let preview = layers.preview_rules(" freeze  ** ;train fc; ").unwrap();
    assert_eq!(preview.rules, ["freeze **", "train fc"]);
    assert_eq!((preview.names.len(), preview.totals.trainable_tensors, preview.changes), (11, 2, true));
    layers.stage("freeze **; train fc").unwrap();
    assert_eq!(layers.staged(), ["freeze **", "train fc"]);
    assert!(layers.undo().unwrap().contains("train fc"));
    assert_eq!(layers.staged(), Vec::<String>::new());
    let head = layers.preview_rules("head only").unwrap();
    assert_eq!(head.totals.trainable_tensors, 2);
    assert!(!layers.preview_rules("train **").unwrap().changes);
}

#[test]
fn a_starved_parameter_is_not_staged_by_an_edit_elsewhere() {
    let mut layers = layers(&[]);
    let mut states = layers.base.states();
    states[0] = ParamState::Starved;
    layers.set_states(&states);
    go_to(&mut layers, "fc");
    layers.toggle().unwrap();
    assert_eq!(layers.totals().staged, 2);
    assert_eq!(state(&layers, "conv1.weight"), NodeState::All(ParamState::Starved));
}

fn shown(layers: &Layers) -> Vec<&str> {
    layers.visible().into_iter().map(|i| layers.nodes[i].path.as_str()).collect()
}

#[test]
fn a_filter_keeps_what_matches_and_what_is_above_it() {
    let mut layers = layers(&["freeze **", "train fc"]);
    assert_eq!(layers.set_filter("bn1 layer").unwrap(), 2);
    assert_eq!(shown(&layers), ["", "layer1", "layer1.0", "layer1.0.bn1", "layer2", "layer2.0", "layer2.0.bn1"]);
    assert_eq!(layers.selected().unwrap().node.path, "layer1.0.bn1");
    layers.unfold();
    assert!(shown(&layers).contains(&"layer1.0.bn1.bias"), "what lies in a match can be looked into");
    assert!(layers.set_filter("nowhere").unwrap_err().contains("nothing matches"));
    assert_eq!(layers.filter().unwrap().0, "bn1 layer", "what was shown stays");
    for (text, found) in [
        ("**.bias", vec!["bn1.bias", "layer1.0.bn1.bias", "layer2.0.bn1.bias", "fc.bias"]),
        ("kind:conv*", vec!["conv1", "layer1.0.conv1", "layer2.0.conv1"]),
        ("trainable", vec!["fc"]),
        ("after:layer2 frozen", vec![]),
        ("BatchNorm before:layer1", vec!["bn1"]),
        ("mixed", vec![""]),
    ] {
        let n = layers.set_filter(text).unwrap_or(0);
        assert_eq!(n, found.len(), "{text}");
        let matches = layers.filter.as_ref().map(|f| f.matches.clone()).unwrap_or_default();
        let paths: Vec<&str> = matches.iter().map(|i| layers.nodes[*i].path.as_str()).collect();
        assert!(n == 0 || paths == found, "{text}: {paths:?}");
    }
    layers.set_filter("").unwrap();
    assert_eq!(layers.visible().len(), layers.nodes.len());
}

#[test]
fn matches_are_visited_in_a_ring() {
    let mut layers = layers(&[]);
    assert!(!layers.go_to_match(true));
    layers.set_filter("conv1").unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(layers.selected().unwrap().node.path.clone());
        layers.go_to_match(true);
    }
    assert_eq!(seen, ["conv1", "layer1.0.conv1", "layer2.0.conv1", "conv1"]);
    layers.go_to_match(false);
    assert_eq!(layers.filter(), Some(("conv1", 1, 3)));
}

#[test]
fn folds_come_back_when_the_filter_goes() {
    let mut layers = layers(&[]);
    go_to(&mut layers, "layer1");
    layers.fold();
    let before = layers.folded.clone();
    layers.set_filter("fc").unwrap();
    layers.set_filter("conv").unwrap();
    go_to(&mut layers, "fc");
    layers.set_filter("").unwrap();
    assert_eq!(layers.folded, before);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// What there is to undo: rules, staged rules, states and modules under no_grad.
    fn content(layers: &Layers) -> (Vec<String>, Vec<String>, Resolution) {
        (layers.rules.clone(), layers.staged.clone(), layers.preview.clone())
    }

    const TYPED: [&str; 6] =
        ["head only", "freeze kind:Conv2d", "no_grad before:layer2", "train **", "nonsense", "all"];

    fn edit(layers: &mut Layers, (what, at): (u8, usize)) {
        layers.cursor = at % layers.nodes.len();
        match what {
            0..=3 => drop(layers.toggle()),
            4 | 5 => drop(layers.toggle_no_grad()),
            6 => drop(layers.stage(TYPED[at % TYPED.len()])),
            _ => drop(layers.discard()),
        }
    }

    proptest! {
        #[test]
        fn any_edits_undone_restore_exactly_and_redone_come_back(
            rules in proptest::sample::subsequence(vec!["freeze layer1", "no_grad conv1", "train =fc.bias"], 0..=3),
            edits in proptest::collection::vec((0..8_u8, 0..100_usize), 0..25),
        ) {
            let mut layers = layers(&rules);
            let mut past = vec![content(&layers)];
            for e in edits {
                let before = layers.history.len();
                edit(&mut layers, e);
                prop_assert!(layers.history.len() <= before + 1);
                if layers.history.len() > before {
                    past.push(content(&layers));
                } else {
                    prop_assert_eq!(&content(&layers), past.last().unwrap(), "no trace without a change");
                }
            }
            for was in past.iter().rev().skip(1) {
                prop_assert!(layers.undo().is_some());
                prop_assert_eq!(&content(&layers), was);
            }
            prop_assert_eq!(layers.undo(), None);
            for was in past.iter().skip(1) {
                prop_assert!(layers.redo().is_some());
                prop_assert_eq!(&content(&layers), was);
            }
            prop_assert_eq!(layers.redo(), None);
        }
    }
}
