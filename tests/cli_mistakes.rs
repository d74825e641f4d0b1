//! What is easily mistaken on the command line: refused, or said, in the words of what was meant.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "cli/support.rs"]
#[allow(dead_code)]
mod support;

use support::Bench;

#[test]
fn a_checkpoint_is_evaluated_as_the_model_that_it_is() {
    let bench = Bench::trained();
    bench.inputs(2);
    for set in ["model.arch=resnet14", "optimizer.lr=5", "model.weights=other.pth", "freeze.rules=[\"freeze zzz\"]"] {
        for args in [&["evaluate", "last"][..], &["predict", "last", "x.safetensors", "-o", "p.csv"]] {
            let ran = bench.run(&[args, &["--set", set]].concat());
            let key = set.split('=').next().unwrap();
            assert!(
                ran.code == 3 && ran.err.contains(&format!("--set {key}: a checkpoint is evaluated")),
                "{}",
                ran.err
            );
        }
    }
    let evaluated = bench.json(&["evaluate", "last", "--json", "--set", "train.batch_size=7"]);
    assert_eq!(evaluated["warnings"], serde_json::json!([]));
    // A recipe's own model has learned nothing.
    let words = "warning: model.weights is not set: the weights are random";
    let ran = bench.run(&["evaluate", "recipe.toml"]);
    assert!(ran.code == 0 && ran.err.contains(words), "{}", ran.err);
    let ran = bench.run(&["predict", "recipe.toml", "x.safetensors", "-o", "q.csv"]);
    assert!(ran.code == 0 && ran.err.contains(words), "{}", ran.err);
}

#[test]
fn a_loss_that_does_not_go_with_the_data_is_said_as_such() {
    let bench = Bench::new();
    for args in [&["train", "recipe.toml"][..], &["train", "recipe.toml", "--dry-run"]] {
        let ran = bench.run(&[args, &["--set", "loss.kind=mse"]].concat());
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(
            ran.err.contains("loss.kind") && ran.err.contains("the data has classes; use \"cross-entropy\""),
            "{}",
            ran.err
        );
    }
    assert_eq!(bench.json(&["ls", "--json"]), serde_json::json!([]));
}

#[test]
fn numbers_beyond_all_machines_are_refused() {
    let bench = Bench::new();
    for set in [
        "train.batch_size=9223372036854775807",
        "train.accumulate_grad_batches=9223372036854775807",
        "data.image_size=100000",
        "train.threads=100000",
        "data.workers=100000",
    ] {
        let ran = bench.run(&["train", "recipe.toml", "--dry-run", "--set", set]);
        assert!(ran.code == 3 && ran.err.contains("a whole number of at most"), "{set}: {}", ran.err);
    }
    // As long as one likes: nobody waits for the end.
    bench.ok(&["train", "recipe.toml", "--dry-run", "--set", "train.epochs=9223372036854775807"]);
}

#[test]
fn unknown_keys_and_values_that_are_ignored_are_refused_at_once() {
    let sets = ["--set", "train.epoch=3", "--set", "optimizer.momentum=0.9", "--set", "lr_schedule.knd=step"];
    let sets = [&sets[..], &["--set", "lr_schedule.gamma=0.5"]].concat();
    let ran = Bench::new().run(&[&["train", "recipe.toml", "--dry-run"][..], &sets].concat());
    assert!(ran.code == 3 && ran.err.contains("train.epoch: unknown key; did you mean `epochs`?"), "{}", ran.err);
    assert!(ran.err.contains("optimizer.momentum: has no meaning with optimizer.kind"), "{}", ran.err);
    assert!(ran.err.contains("lr_schedule.knd: unknown key"), "{}", ran.err);
    assert!(!ran.err.contains("lr_schedule.gamma: has"), "it may belong to the kind that was mistyped: {}", ran.err);
}

#[test]
fn what_will_never_come_is_said_before_the_first_step() {
    let bench = Bench::new();
    let sets = [
        ("checkpoint.monitor=val/acc", "checkpoint.monitor = \"val/acc\": this run has no such metric"),
        ("lr_schedule.warmup_steps=100000", "lr_schedule.warmup_steps = 100000: the run has "),
        (
            "freeze.schedule=[{ at = \"epoch 50\", rules = [\"freeze fc\"] }]",
            "freeze.schedule[0] at \"epoch 50\" never comes",
        ),
        ("train.batch_size=100000", "train.batch_size = 100000: there are "),
        (
            "model.hidden=[32]",
            "model.hidden has no meaning with model.arch = \"resnet8\", only with \"mlp\"; leave it out",
        ),
        ("model.load.head=new", "model.load.head has no meaning without model.weights; leave it out"),
        ("model.load.drop=['fc']", "model.load.drop has no meaning without model.weights; leave it out"),
        (
            "train.early_stopping_patience=3",
            "train.early_stopping_patience = 3: there is no validation data for val/loss",
        ),
    ];
    for (set, words) in sets {
        let data = format!("data.val_fraction={}", if words.contains("validation data") { "0" } else { "0.2" });
        for args in [&["train", "recipe.toml", "--dry-run"][..], &["train", "recipe.toml", "--set", "train.epochs=1"]] {
            let ran = bench.run(&[args, &["--set", set, "--set", &data]].concat());
            assert!(ran.code == 0 && ran.err.contains(&format!("warning: {words}")), "{set}: {} {}", ran.out, ran.err);
        }
    }
}

#[test]
fn a_live_plan_takes_overrides_too() {
    let bench = Bench::trained();
    let ran = bench.run(&["freeze", "last", "train =fc.bias"]);
    assert!(!ran.err.contains("begin with"), "{}", ran.err);
    let ran = bench.run(&["freeze", "last", "train ="]);
    assert!(ran.code == 3 && ran.err.contains("needs a parameter's full name"), "{}", ran.err);
}
