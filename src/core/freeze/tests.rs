//! The rules' language on a small ResNet.

use super::*;
use crate::core::tree::samples::{small_resnet, tree_of};
use crate::core::tree::{Learning, Tree};

fn resolve(tree: &Tree, rules: &[&str]) -> Resolution {
    Plan::parse(rules).unwrap().resolve(tree).unwrap()
}

fn error(tree: &Tree, rules: &[&str]) -> String {
    let text = match Plan::parse(rules) {
        Ok(plan) => plan.resolve(tree).unwrap_err().to_string(),
        Err(e) => e.to_string(),
    };
    assert!(!text.contains('\n'), "{text}");
    text
}

fn state(tree: &Tree, resolution: &Resolution, name: &str) -> ParamState {
    resolution.params[tree.parameter(name).unwrap()].state
}

fn reason<'r>(tree: &Tree, resolution: &'r Resolution, name: &str) -> &'r str {
    &resolution.params[tree.parameter(name).unwrap()].reason
}

/// Top-level modules of which everything learns.
fn learning(tree: &Tree, rules: &[&str]) -> Vec<String> {
    let states = resolve(tree, rules).states();
    let all = tree.all_totals(&states);
    let learns = tree.children(0).into_iter().filter(|&c| all[c].learning() == Learning::Trainable);
    learns.map(|c| tree.modules[c].path.clone()).collect()
}

#[test]
fn without_rules_everything_is_trainable() {
    let tree = small_resnet();
    let resolution = resolve(&tree, &[]);
    assert_eq!(resolution, Resolution::all_trainable(&tree));
    assert_eq!(resolution.trainable(), tree.parameters.len());
}

#[test]
fn the_last_rule_that_matches_wins_and_is_the_reason() {
    let tree = small_resnet();
    let r = resolve(&tree, &["freeze **", "train layer4", "freeze layer4.0.bn1", "train fc"]);
    assert_eq!(state(&tree, &r, "conv1.weight"), ParamState::Frozen);
    assert_eq!(state(&tree, &r, "layer4.0.conv1.weight"), ParamState::Trainable);
    assert_eq!(state(&tree, &r, "layer4.0.bn1.weight"), ParamState::Frozen);
    assert_eq!(state(&tree, &r, "fc.bias"), ParamState::Trainable);
    assert_eq!(reason(&tree, &r, "fc.bias"), "rule 4 `train fc`");
    assert_eq!(reason(&tree, &r, "conv1.weight"), "rule 1 `freeze **`");
    assert_eq!(learning(&tree, &["train fc", "freeze **"]), [""; 0]);
}

#[test]
fn globs_name_parameters_and_modules() {
    let tree = small_resnet();
    assert_eq!(learning(&tree, &["freeze *", "train layer?"]), ["layer1", "layer2", "layer3", "layer4"]);
    assert_eq!(learning(&tree, &["freeze **", "train layer2.**"]), ["layer2"]);
    assert_eq!(resolve(&tree, &["freeze **", "train **.bias"]).trainable(), 18);
    assert_eq!(resolve(&tree, &["freeze **", "train layer*.0"]).trainable(), 4 * 6);
    assert_eq!(resolve(&tree, &["freeze **", "train *.weight"]).trainable(), 3);
}

#[test]
fn kinds_select_modules_by_class() {
    let tree = small_resnet();
    assert_eq!(resolve(&tree, &["freeze kind:BatchNorm2d"]).counts().frozen, 17 * 2);
    assert_eq!(resolve(&tree, &["freeze kind:Batch*"]).counts().frozen, 17 * 2);
    assert_eq!(learning(&tree, &["freeze **", "train kind:Linear"]), ["fc"]);
}

#[test]
fn before_and_after_follow_the_order_of_registration() {
    let tree = small_resnet();
    assert_eq!(learning(&tree, &["freeze before:layer4"]), ["layer4", "fc"]);
    assert_eq!(learning(&tree, &["freeze **", "train after:layer2"]), ["layer3", "layer4", "fc"]);
    let r = resolve(&tree, &["freeze before:layer2.1"]);
    assert_eq!(state(&tree, &r, "layer2.0.bn2.bias"), ParamState::Frozen);
    assert_eq!(state(&tree, &r, "layer2.1.conv1.weight"), ParamState::Trainable);
}

#[test]
fn presets_choose_sensibly() {
    let tree = small_resnet();
    assert_eq!(learning(&tree, &["freeze preset:all", "train preset:head"]), ["fc"]);
    assert_eq!(learning(&tree, &["freeze preset:all", "train preset:last:3"]), ["layer3", "layer4", "fc"]);
    assert_eq!(resolve(&tree, &["freeze **", "train preset:last:99"]).trainable(), tree.parameters.len());
    assert_eq!(resolve(&tree, &["freeze preset:all", "train preset:biases"]).trainable(), 18);
    assert_eq!(resolve(&tree, &["freeze preset:all", "train preset:norms"]).trainable(), 34);
    assert_eq!(resolve(&tree, &["freeze preset:all", "train preset:none"]).trainable(), 0);
    for preset in PLAN_PRESETS {
        assert_eq!(resolve(&tree, preset.rules).trainable() > 0, preset.name != "none", "{}", preset.name);
    }
}

#[test]
fn last_blocks_looks_into_a_wrapper_and_norms_leaves_containers_alone() {
    let tree = tree_of(&[
        ("", "Wrapper", &[], &[]),
        ("model", "Net", &[], &[]),
        ("model.stem", "Conv2d", &["weight"], &[]),
        ("model.body", "PreNorm", &[], &[]),
        ("model.body.norm", "LayerNorm", &["weight", "bias"], &[]),
        ("model.body.fn", "Linear", &["weight"], &[]),
        ("model.head", "Linear", &["weight"], &[]),
    ]);
    let r = resolve(&tree, &["freeze **", "train preset:last:1"]);
    assert_eq!(r.trainable(), 1);
    assert_eq!(state(&tree, &r, "model.head.weight"), ParamState::Trainable);
    assert_eq!(resolve(&tree, &["freeze **", "train preset:norms"]).trainable(), 2);
}

#[test]
fn last_blocks_looks_into_what_holds_the_blocks() {
    let tree = tree_of(&[
        ("", "VisionTransformer", &["class_token"], &[]),
        ("encoder", "Encoder", &["pos_embedding"], &[]),
        ("encoder.layers", "Sequential", &[], &[]),
        ("encoder.layers.encoder_layer_0", "EncoderBlock", &["weight"], &[]),
        ("encoder.layers.encoder_layer_1", "EncoderBlock", &["weight"], &[]),
        ("encoder.ln", "LayerNorm", &["weight"], &[]),
        ("heads", "Sequential", &[], &[]),
        ("heads.head", "Linear", &["weight"], &[]),
    ]);
    let r = resolve(&tree, &["freeze **", "train preset:last:3"]);
    assert_eq!(r.trainable(), 3);
    assert_eq!(state(&tree, &r, "encoder.layers.encoder_layer_1.weight"), ParamState::Trainable);
    assert_eq!(state(&tree, &r, "encoder.layers.encoder_layer_0.weight"), ParamState::Frozen);
}

#[test]
fn no_grad_takes_the_module_and_only_a_rule_on_it_lifts_it() {
    let tree = small_resnet();
    let layer1 = tree.module("layer1").unwrap();

    let r = resolve(&tree, &["no_grad layer1", "train layer1.0.conv1"]);
    assert_eq!(r.no_grad_modules, [layer1]);
    assert_eq!(state(&tree, &r, "layer1.0.conv1.weight"), ParamState::NoGrad);
    assert_eq!(
        reason(&tree, &r, "layer1.0.conv1.weight"),
        "rule 1 `no_grad layer1` on layer1; rule 2 `train layer1.0.conv1` below it does not lift it"
    );
    assert_eq!(reason(&tree, &r, "layer1.1.conv1.weight"), "rule 1 `no_grad layer1` on layer1");

    for lifted in
        [["no_grad layer1", "train layer1"], ["no_grad layer1.0", "train layer1"], ["no_grad layer1", "train **"]]
    {
        let r = resolve(&tree, &lifted);
        assert_eq!((r.no_grad_modules.len(), r.trainable()), (0, tree.parameters.len()), "{lifted:?}");
    }
    let r = resolve(&tree, &["no_grad layer1", "train layer1.**"]);
    assert_eq!(r.no_grad_modules, [layer1], "what lies below layer1 is not layer1");
    let r = resolve(&tree, &["no_grad layer1", "freeze layer1"]);
    assert_eq!((r.no_grad_modules.len(), r.counts().frozen), (0, 12), "the last rule wins");
}

#[test]
fn no_grad_on_a_parameter_means_its_layer() {
    let tree = small_resnet();
    let r = resolve(&tree, &["no_grad bn1.weight"]);
    assert_eq!(r.no_grad_modules, [tree.module("bn1").unwrap()]);
    assert_eq!(state(&tree, &r, "bn1.bias"), ParamState::NoGrad);

    let mut plan = Plan::default();
    plan.override_param("conv1.weight", Action::NoGrad);
    assert_eq!(plan.resolve(&tree).unwrap().no_grad_modules, [tree.module("conv1").unwrap()]);
}

#[test]
fn no_grad_on_a_containers_own_parameter_freezes_that_parameter_alone() {
    let tree = tree_of(&[("", "ViT", &["class_token"], &[]), ("encoder", "Encoder", &["weight"], &[])]);
    for rule in ["no_grad class_token", "no_grad before:encoder"] {
        let r = resolve(&tree, &[rule]);
        assert!(r.no_grad_modules.is_empty());
        assert_eq!(r.states(), [ParamState::Frozen, ParamState::Trainable]);
        assert_eq!(
            reason(&tree, &r, "class_token"),
            format!("rule 1 `{rule}`, frozen by itself: its module contains others")
        );
    }
    let r = resolve(&tree, &["no_grad **"]);
    assert_eq!(r.no_grad_modules, [0]);
    assert_eq!(reason(&tree, &r, "class_token"), "rule 1 `no_grad **` on the whole model");
}

#[test]
fn overrides_come_after_all_rules() {
    let tree = small_resnet();
    let mut plan = Plan::parse(&["train =conv1.weight", "freeze **"]).unwrap();
    plan.override_param("fc.bias", Action::Train);
    let r = plan.resolve(&tree).unwrap();
    assert_eq!(r.trainable(), 2);
    assert_eq!(reason(&tree, &r, "fc.bias"), "override `train =fc.bias`");
    assert_eq!(plan.rules(), ["freeze **", "train =conv1.weight", "train =fc.bias"]);
    plan.clear_override("fc.bias");
    assert_eq!(plan.resolve(&tree).unwrap().trainable(), 1);
}

#[test]
fn toggles_do_what_the_eye_expects() {
    let tree = small_resnet();
    let mut plan = Plan::default();
    plan.toggle_param("fc.bias", ParamState::Trainable);
    assert_eq!(plan.rules(), ["freeze =fc.bias"]);
    plan.toggle_module("fc", Learning::Mixed);
    assert_eq!(plan.rules(), ["train fc"], "the override below would hide the edit");
    plan.toggle_module("fc", Learning::Trainable);
    assert_eq!(plan.rules(), ["freeze fc"], "no heap of rules about one module");
    plan.toggle_module("", Learning::Mixed);
    assert_eq!(plan.rules(), ["freeze fc", "train preset:all"]);
    assert_eq!(plan.resolve(&tree).unwrap().trainable(), tree.parameters.len());
    while plan.undo() {}
    assert!(plan.is_empty());
}

#[test]
fn syntax_errors_say_what_is_expected() {
    let tree = small_resnet();
    assert_eq!(
        error(&tree, &["frezze fc"]),
        "freeze rule `frezze fc`: unknown action `frezze` (train, freeze or no_grad); did you mean `freeze`?"
    );
    assert!(error(&tree, &["no-grad fc"]).contains("did you mean `no_grad`?"));
    assert!(error(&tree, &["freeze"]).contains("the pattern is missing"));
    assert!(error(&tree, &["layer1"]).contains("the action is missing"));
    assert!(error(&tree, &[" "]).contains("empty"));
    assert!(error(&tree, &["freeze layer1 layer2"]).contains("more than an action and a pattern"));
    assert!(error(&tree, &["freeze layer1..conv"]).contains("empty segment"));
    assert!(error(&tree, &["freeze preset:heads"]).contains("unknown preset `heads`"));
    assert!(error(&tree, &["freeze preset:last:0"]).contains("from 1"));
    assert!(error(&tree, &["freeze kinds:Linear"]).contains("unknown word `kinds:`"));
    assert!(error(&tree, &["freeze before:layer*"]).contains("not a glob"));
    assert!(error(&tree, &["freeze ="]).contains("full name"));
}

#[test]
fn a_rule_that_matches_nothing_names_close_matches() {
    let tree = small_resnet();
    let close = |rule: &str| error(&tree, &["freeze **", rule]);
    assert_eq!(
        close("train layr4.0.conv1"),
        "freeze rule 2 `train layr4.0.conv1` matches nothing in the model; did you mean `layer4.0.conv1`?"
    );
    assert!(close("train layer*.0.bn3").contains("did you mean `layer*.0.bn1` or `layer*.0.bn2`"));
    assert!(close("train **.wieght").contains("`**.weight`"));
    assert!(close("train bn2").contains("`layer1.0.bn2`"), "{}", close("train bn2"));
    assert!(close("train kind:Batchnorm2d").contains("`kind:BatchNorm2d`"));
    assert!(close("train before:layr4").contains("`before:layer4`"));
    assert!(close("train =fc.wieght").contains("override `train =fc.wieght`"));
    assert!(close("train zzzzzzzz").contains("`frostline tree` lists the names"));
    assert!(error(&tree, &["freeze relu"]).contains("owns no parameters"));
    assert_eq!(resolve(&tree, &["no_grad relu"]).no_grad_modules, [tree.module("relu").unwrap()]);
}

#[test]
fn starved_parameters_keep_their_reason_and_do_not_count() {
    let tree = small_resnet();
    let mut r = resolve(&tree, &["no_grad layer1", "freeze bn1"]);
    let before = r.counts();
    r.mark_starved(0..4, "no gradient reaches it");
    assert_eq!(state(&tree, &r, "conv1.weight"), ParamState::Starved);
    assert_eq!(state(&tree, &r, "bn1.weight"), ParamState::Frozen);
    assert_eq!(reason(&tree, &r, "conv1.weight"), "no rule: trainable; no gradient reaches it");
    assert_eq!(r.trainable(), before.trainable - 1);
    assert_eq!(r.counts().starved, 1);
}

#[test]
fn a_norm_is_frozen_when_none_of_its_parameters_is_trainable() {
    let tree = tree_of(&[
        ("", "Net", &[], &[]),
        ("a", "Sequential", &[], &[]),
        ("a.conv", "Conv2d", &["weight"], &[]),
        ("a.bn", "BatchNorm2d", &["weight", "bias"], &["running_mean"]),
        ("a.plain", "BatchNorm2d", &[], &["running_mean"]),
        ("b", "Linear", &["weight"], &[]),
        ("c", "LayerNorm", &[], &[]),
    ]);
    let frozen = |rules: &[&str]| -> Vec<String> {
        let norms = resolve(&tree, rules).frozen_norms(&tree);
        norms.into_iter().map(|m| tree.modules[m].path.clone()).collect()
    };
    assert_eq!(frozen(&[]), [""; 0]);
    assert_eq!(frozen(&["freeze a.bn"]), ["a.bn"]);
    assert_eq!(frozen(&["freeze a.bn.weight"]), [""; 0], "a half-frozen norm learns");
    assert_eq!(frozen(&["freeze a"]), ["a.bn", "a.plain"]);
    assert_eq!(frozen(&["no_grad a"]), ["a.bn", "a.plain"]);
    assert_eq!(frozen(&["no_grad a.plain"]), ["a.plain"]);
    assert_eq!(frozen(&["freeze **"]), ["a.bn", "a.plain", "c"]);
}

#[test]
fn a_dropout_is_frozen_when_nothing_around_it_is_trainable() {
    let tree = tree_of(&[
        ("", "Net", &[], &[]),
        ("a", "Sequential", &[], &[]),
        ("a.fc", "Linear", &["weight", "bias"], &[]),
        ("a.inner", "Sequential", &[], &[]),
        ("a.inner.drop", "Dropout2d", &[], &[]),
        ("b", "Linear", &["weight"], &[]),
        ("drop", "Dropout", &[], &[]),
    ]);
    let frozen = |rules: &[&str]| -> Vec<String> {
        let dropouts = resolve(&tree, rules).frozen_dropouts(&tree);
        dropouts.into_iter().map(|m| tree.modules[m].path.clone()).collect()
    };
    assert_eq!(frozen(&[]), [""; 0]);
    assert_eq!(frozen(&["freeze a"]), ["a.inner.drop"], "a holds the nearest parameters");
    assert_eq!(frozen(&["freeze a.fc.weight"]), [""; 0], "a half-frozen part learns");
    assert_eq!(frozen(&["freeze **"]), ["a.inner.drop", "drop"]);
    assert_eq!(frozen(&["no_grad a.inner"]), ["a.inner.drop"]);
    let mut starved = resolve(&tree, &["freeze a.fc.bias"]);
    starved.mark_starved([0], "no gradient reaches it");
    assert_eq!(starved.frozen_dropouts(&tree), [4], "a starved parameter is not trainable");
}

#[test]
fn plans_and_resolutions_survive_serde() {
    let tree = small_resnet();
    let mut plan = Plan::parse(&["freeze **", "train fc"]).unwrap();
    plan.override_param("conv1.weight", Action::Train);
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(text, r#"["freeze **","train fc","train =conv1.weight"]"#);
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    assert!(serde_json::from_str::<Plan>(r#"["thaw fc"]"#).is_err());
    let r = plan.resolve(&tree).unwrap();
    assert_eq!(serde_json::from_str::<Resolution>(&serde_json::to_string(&r).unwrap()).unwrap(), r);
}

#[test]
fn the_rules_in_the_manual_are_rules() {
    let tree = small_resnet();
    let manual = include_str!("../../../docs/freezing.md");
    let examples: Vec<&str> = manual.lines().filter(|l| l.starts_with("rules = ")).collect();
    assert!(examples.len() >= 12);
    for line in examples {
        let table: toml::Table = line.parse().unwrap();
        let rules: Vec<String> = table["rules"].clone().try_into().unwrap();
        Plan::parse(&rules).unwrap().resolve(&tree).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
    let patterns = manual.lines().filter_map(|l| l.strip_prefix("| `")).filter_map(|l| l.split_once('`'));
    for (pattern, _) in patterns.filter(|(p, _)| p.parse::<Action>().is_err()) {
        Plan::parse(&[format!("freeze {pattern}")]).unwrap().resolve(&tree).unwrap_or_else(|e| panic!("{e}"));
    }
}
