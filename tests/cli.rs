//! The command line in one process: real runs on the embedded digits, trained by the fake engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "cli/support.rs"]
mod support;

use frostline::core::checkpoint::{CheckpointStore, load_path};
use frostline::core::weights;
use serde_json::Value;
use support::Bench;

#[test]
fn train_prints_the_id_alone_on_the_first_line_and_progress_to_stderr() {
    let bench = Bench::new();
    let run = bench.run(&["train", "recipe.toml"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(run.out, format!("{}\n", bench.last()));
    assert!(run.err.contains("val/loss") && run.err.contains("checkpoint at step"), "{}", run.err);
    assert!(run.err.lines().last().unwrap().starts_with("finished: step"), "{}", run.err);
}

#[test]
fn quiet_says_nothing_of_a_run_that_goes_well() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["train", "recipe.toml", "--quiet"]).err, "");
}

#[test]
fn a_run_that_early_stopping_ends_says_so_everywhere() {
    let bench = Bench::new();
    // A rate with which nothing gets better for long.
    let sets =
        ["train.epochs=40", "train.early_stopping_patience=1", "train.validate_every_steps=1", "optimizer.lr=0.3"];
    let args = [&["train", "recipe.toml"][..], &sets.map(|set| ["--set", set]).concat()].concat();
    let ran = bench.run(&args);
    let words = "val/loss did not improve in 1 validation (train.early_stopping_patience)";
    let said = ran.err.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{}", ran.err));
    assert!(ran.code == 0 && said.starts_with("warning: stopped early, at step "), "{said}");
    assert!(bench.ok(&["show", "last"]).contains(words));
    let log = std::fs::read_to_string(bench.path("home/runs").join(bench.last()).join("log.txt")).unwrap();
    assert!(log.contains(words), "{log}");
}

#[test]
fn a_bad_recipe_is_refused_with_file_line_and_key_and_makes_no_run() {
    let bench = Bench::new();
    std::fs::write(bench.path("recipe.toml"), "[optimizer]\nlrr = 1\n").unwrap();
    let run = bench.run(&["train", "recipe.toml"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("recipe.toml:2") && run.err.contains("lrr"), "{}", run.err);
    assert_eq!(bench.json(&["ls", "--json"]), Value::Array(Vec::new()));
}

#[test]
fn a_plan_under_which_nothing_learns_is_refused() {
    let bench = Bench::new();
    let run = bench.run(&["train", "recipe.toml", "--set", r#"freeze.rules=["freeze **"]"#]);
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(run.err.contains("nothing"), "{}", run.err);
}

#[test]
fn dry_run_says_what_would_happen_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let plan = bench.json(&["train", "recipe.toml", "--dry-run", "--json"]);
    assert!(plan["steps"].as_u64().unwrap() > 0 && plan["tensors"].as_u64().unwrap() > 0);
    assert!(bench.run(&["train", "recipe.toml", "--dry-run"]).out.contains("steps"));
    assert!(!bench.path("home").join("runs").exists());
}

#[test]
fn ctrl_c_stops_after_a_checkpoint_with_130_and_resume_ends_with_the_bits_of_a_run_left_alone() {
    let bench = Bench::new();
    let stopped = bench.interrupted(&["train", "recipe.toml", "--set", "train.epochs=4"]);
    assert_eq!(stopped.code, 130, "{}", stopped.err);
    let id = bench.last();
    assert!(stopped.err.contains(&format!("frostline resume {id}")), "{}", stopped.err);
    let summary = &bench.json(&["ls", "--json"])[0];
    assert_eq!(summary["status"], "stopped");
    assert!(summary["step"].as_u64().unwrap() < summary["steps"].as_u64().unwrap());

    let resumed = bench.run(&["resume", &id]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    assert_eq!(resumed.out, format!("{id}\n"));
    bench.ok(&["train", "recipe.toml", "--set", "train.epochs=4"]);
    let drift = bench.json(&["diff", &format!("{id}@last"), "last@last", "--json"]);
    assert!(drift["tensors"].as_array().unwrap().iter().all(|t| t["bit_equal"] == true));
}

#[test]
fn resume_of_a_finished_run_says_so_and_longer_goes_on() {
    let bench = Bench::trained();
    let again = bench.run(&["resume", "last"]);
    assert_eq!(again.code, 0);
    assert!(again.err.contains("finished already"), "{}", again.err);
    assert_eq!(again.out, format!("{}\n", bench.last()));
    bench.ok(&["resume", "last", "--set", "train.epochs=3"]);
    assert_eq!(bench.json(&["ls", "--json"])[0]["epoch"], 3);
    let shorter = bench.run(&["resume", "last", "--set", "train.epochs=1"]);
    assert!(shorter.code == 3 && shorter.err.contains("would end at"), "{}", shorter.err);
    let refused = bench.run(&["resume", "last", "--set", "optimizer.lr=1"]);
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.err.contains("fork"), "{}", refused.err);
}

#[test]
fn a_fork_begins_at_step_zero_with_the_checkpoints_weights_and_its_own_plan() {
    let bench = Bench::trained();
    let parent = bench.last();
    bench.ok(&["fork", &parent, "--from", "best", "--set", r#"freeze.rules=["freeze **", "train fc"]"#]);
    let child = bench.json(&["show", "last", "--json"]);
    assert!(child["forked_from"].as_str().unwrap().starts_with(&parent));
    let drift = bench.json(&["diff", &format!("{parent}@best"), "last@last", "--json"]);
    let moved: Vec<&str> = drift["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|t| t["bit_equal"] == false)
        .map(|t| t["name"].as_str().unwrap())
        .collect();
    assert!(!moved.is_empty() && moved.iter().all(|n| n.starts_with("fc.")), "{moved:?}");
    let audit = bench.json(&["audit", "last", "--json"]);
    let tensors = audit["tensors"].as_array().unwrap();
    assert!(tensors.iter().all(|t| t["ok"] == true));
    assert!(tensors.iter().filter(|t| t["moved"] == true).all(|t| t["meant"] == "always"));
}

#[test]
fn ls_filters_sorts_and_keeps_its_field_names() {
    let bench = Bench::trained();
    bench.ok(&["train", "recipe.toml", "--set", "optimizer.lr=0.5", "--set", "name=hot"]);
    let all = bench.json(&["ls", "--json"]);
    for field in ["id", "name", "status", "step", "steps", "epoch", "epochs", "best", "created", "tags", "host"] {
        assert!(all[0].get(field).is_some(), "{field}");
    }
    assert_eq!(all[0]["name"], "hot");
    let names = |args: &[&str]| -> Vec<String> {
        let runs = bench.json(&[&["ls", "--json"], args].concat());
        runs.as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["cfg.optimizer.lr>=0.1"]), ["hot"]);
    assert_eq!(names(&["-hot"]), ["recipe"]);
    assert_eq!(names(&["hot|recipe", "--sort", "created"]), ["recipe", "hot"]);
    assert_eq!(names(&["--sort", "-created"]), ["hot", "recipe"]);
    for wrong in ["besst<0.3", "best<abc", "status:nonsense", "cfg.optimzer.lr=1"] {
        assert_eq!(bench.run(&["ls", wrong]).code, 2, "{wrong}");
    }
    let typo = bench.run(&["ls", "--home", "nowhere"]);
    assert!(typo.code == 0 && typo.out.is_empty() && typo.err.contains("nowhere does not exist"), "{}", typo.err);
    assert!(bench.run(&["ls"]).out.starts_with("id"));
}

#[test]
fn checkpoints_say_why_they_are_kept_and_verify_finds_one_flipped_byte() {
    let bench = Bench::trained();
    let list = bench.json(&["checkpoints", "last", "--json"]);
    for field in ["step", "epoch", "path", "bytes", "metrics", "kept", "verified"] {
        assert!(list[0].get(field).is_some(), "{field}");
    }
    let entries = list.as_array().unwrap();
    assert!(entries.iter().all(|c| c["verified"] == true && !c["kept"].as_array().unwrap().is_empty()));
    assert_eq!(bench.run(&["verify", "last"]).code, 0);

    let path = std::path::PathBuf::from(entries[0]["path"].as_str().unwrap()).join("weights.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let verify = bench.run(&["verify", "last"]);
    assert_eq!(verify.code, 1);
    assert!(verify.out.contains("weights.safetensors") && verify.out.contains("damaged"), "{}", verify.out);
    assert_eq!(bench.json(&["checkpoints", "last", "--json"])[0]["verified"], false);
    let step = entries[0]["step"].as_u64().unwrap();
    let export = bench.run(&["export", &format!("last@{step}"), "-o", "x.safetensors"]);
    assert_eq!(export.code, 3);
    assert!(export.err.contains("weights.safetensors"), "{}", export.err);
}

#[test]
fn export_selects_renames_and_casts_and_never_overwrites_unasked() {
    let bench = Bench::trained();
    let file = bench.path("out.safetensors");
    let file = file.to_str().unwrap();
    bench.ok(&["export", "last", "-o", file, "--only", "fc", "--rename", "fc=head", "--dtype", "fp16"]);
    let listing = bench.json(&["inspect", file, "--json"]);
    let tensors: Vec<(&str, &str)> = listing["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| (t["name"].as_str().unwrap(), t["dtype"].as_str().unwrap()))
        .collect();
    assert!(tensors.contains(&("head.weight", "float16")) && tensors.len() == 2, "{tensors:?}");
    assert_eq!(listing["metadata"]["format"], "pt");
    assert_eq!(bench.run(&["export", "last", "-o", file]).code, 3);
    bench.ok(&["export", "last", "-o", file, "--force"]);
    assert_eq!(bench.run(&["export", "last", "-o", "x.onnx"]).code, 3);
    let refused = bench.run(&["export", "last", "-o", "x.pt", "--only", "fc"]);
    assert!(refused.code == 3 && refused.err.contains("--only"), "{}", refused.err);
    assert_eq!(bench.run(&["export", "last", "-o", "y.safetensors", "--only", "nope.**"]).code, 3);
}

#[test]
fn evaluate_agrees_with_the_runs_last_validation() {
    let bench = Bench::trained();
    let evaluated = bench.json(&["evaluate", "last", "--json"]);
    let checkpoints = bench.json(&["checkpoints", "last", "--json"]);
    let last = checkpoints.as_array().unwrap().last().unwrap();
    assert_eq!(evaluated["metrics"]["val/loss"], last["metrics"]["val/loss"]);
    assert!(evaluated["samples"].as_u64().unwrap() > 0);
}

#[test]
fn predict_writes_the_same_outputs_in_every_format() {
    let bench = Bench::trained();
    bench.inputs(3);
    let (csv, jsonl, st, npz) =
        (bench.path("p.csv"), bench.path("p.jsonl"), bench.path("p.safetensors"), bench.path("p.npz"));
    for file in [&csv, &jsonl, &st, &npz] {
        bench.ok(&["predict", "last", "x.safetensors", "-o", file.to_str().unwrap()]);
    }
    let mut rows = csv::Reader::from_path(&csv).unwrap();
    assert_eq!(rows.headers().unwrap().iter().take(4).collect::<Vec<_>>(), ["name", "class", "label", "output_0"]);
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    let lines: Vec<Value> =
        std::fs::read_to_string(&jsonl).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let archive = std::fs::read(&npz).unwrap();
    let mut archive = npyz::npz::NpzArchive::new(std::io::Cursor::new(archive)).unwrap();
    let values: Vec<f32> = archive.by_name("output").unwrap().unwrap().into_vec().unwrap();
    let width = values.len() / 3;
    for (i, (row, line)) in rows.iter().zip(&lines).enumerate() {
        assert_eq!(row[1].parse::<u64>().unwrap(), line["class"].as_u64().unwrap());
        let first: f32 = row[3].parse().unwrap();
        assert_eq!(first, line["output"][0].as_f64().unwrap() as f32);
        assert_eq!(first, values[i * width]);
    }
    let tensors = bench.json(&["inspect", st.to_str().unwrap(), "--json"]);
    assert_eq!(tensors["tensors"].as_array().unwrap().len(), 2);
    assert_eq!(bench.run(&["predict", "last", "x.safetensors", "-o", csv.to_str().unwrap()]).code, 3, "no overwriting");
    assert_eq!(bench.run(&["predict", "last", "x.safetensors", "-o", "p.txt"]).code, 3);
}

#[test]
fn metrics_come_out_as_csv_and_jsonl_with_a_row_a_step() {
    let bench = Bench::trained();
    let steps = bench.json(&["ls", "--json"])[0]["step"].as_u64().unwrap();
    let text = bench.ok(&["metrics", "last", "--format", "csv", "--only", "train/loss"]);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().unwrap(), vec!["step", "time_ms", "train/loss"]);
    assert_eq!(reader.records().count() as u64, steps);
    let lines = bench.ok(&["metrics", "last", "--format", "jsonl"]);
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["step"], 1);
    assert!(first["train/loss"].is_f64());
    assert_eq!(bench.run(&["metrics", "last", "--only", "nope"]).code, 3);
}

#[test]
fn tree_takes_a_recipe_a_zoo_name_a_checkpoint_and_a_file_and_tries_rules() {
    let bench = Bench::trained();
    let recipe = bench.json(&["tree", "recipe.toml", "--json", "--freeze", "freeze **", "--freeze", "train fc"]);
    let states: Vec<(&str, &str)> = recipe["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["name"].as_str().unwrap(), p["state"].as_str().unwrap()))
        .collect();
    assert!(states.contains(&("fc.weight", "trainable")) && states.contains(&("conv1.weight", "frozen")), "{states:?}");
    for field in ["path", "kind", "params", "trainable", "output_shape"] {
        assert!(recipe["modules"][0].get(field).is_some(), "{field}");
    }
    for field in ["name", "shape", "dtype", "state", "reason"] {
        assert!(recipe["parameters"][0].get(field).is_some(), "{field}");
    }
    let names = |what: &str| -> Vec<String> {
        let tree = bench.json(&["tree", what, "--json"]);
        let mut names: Vec<String> =
            tree["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let file = bench.path("w.safetensors");
    bench.ok(&["export", "last", "-o", file.to_str().unwrap()]);
    let expected = names("recipe.toml");
    assert_eq!(names("last"), expected);
    assert_eq!(names("resnet8"), expected);
    assert_eq!(names(file.to_str().unwrap()), expected);
    let text = bench.ok(&["tree", "recipe.toml", "--params", "--filter", "fc"]);
    assert!(text.contains("fc") && !text.contains("conv1"), "{text}");
    let wrong = bench.run(&["tree", "recipe.toml", "--freeze", "train layr1"]);
    assert_eq!(wrong.code, 3);
    assert!(wrong.err.contains("`layer1`"), "{}", wrong.err);
}

#[test]
fn audit_of_a_recipe_shows_what_gradients_reach() {
    let bench = Bench::new();
    let all = bench.json(&["audit", "recipe.toml", "--json"]);
    assert!(all.as_array().unwrap().iter().all(|p| p["state"] == "trainable" && p["gradient"].as_f64().unwrap() > 0.0));
    let recipe = std::fs::read_to_string(bench.path("recipe.toml")).unwrap();
    let frozen = recipe.clone() + "[freeze]\nrules = ['freeze conv1']\n";
    std::fs::write(bench.path("frozen.toml"), frozen).unwrap();
    let audit = bench.json(&["audit", "frozen.toml", "--json"]);
    let conv = audit.as_array().unwrap().iter().find(|p| p["name"] == "conv1.weight").unwrap();
    assert_eq!((&conv["state"], &conv["gradient"]), (&"frozen".into(), &Value::Null));
    std::fs::write(bench.path("nothing.toml"), recipe + "[freeze]\nrules = ['freeze **']\n").unwrap();
    assert_eq!(bench.run(&["audit", "nothing.toml"]).code, 3);
}

#[test]
fn compare_shows_the_keys_that_differ_and_no_others() {
    let bench = Bench::trained();
    bench.ok(&["train", "recipe.toml", "--set", "optimizer.lr=0.5", "--set", "name=hot"]);
    let both = bench.json(&["compare", "recipe", "hot", "--json"]);
    assert_eq!(both["runs"].as_array().unwrap().len(), 2);
    assert_eq!(both["differences"], serde_json::json!({ "optimizer.lr": [0.01, 0.5] }));
    let text = bench.ok(&["compare", "recipe", "hot"]);
    assert!(text.contains("optimizer.lr") && !text.contains("batch_size"), "{text}");
    assert!(text.contains("val/loss best") && text.contains("rule 1"), "{text}");
    assert!(both["metrics"]["val/loss"][1]["best"].is_number(), "{both}");
    assert!(both["freeze"][0]["trainable"].as_u64().unwrap() > 0, "{both}");
    assert!(bench.ok(&["compare", "recipe", "hot", "--all"]).contains("train.batch_size"));
    bench.ok(&["fork", "hot", "--set", "name=child", "--set", "optimizer.lr=0.1"]);
    let drift = &bench.json(&["compare", "hot", "child", "--drift", "--json"])["drift"];
    assert_eq!(drift.as_array().unwrap().len(), 1, "{drift}");
    assert!(drift[0]["relative_l2"].as_f64().unwrap() > 0.0, "{drift}");
    assert_eq!(bench.run(&["compare", "recipe"]).code, 2);
}

#[test]
fn tree_sums_folds_and_filters() {
    let bench = Bench::trained();
    let tree = |args: &[&str]| bench.json(&[&["tree", "recipe.toml", "--json"], args].concat());
    let all = tree(&["--freeze", "freeze layer1", "--freeze", "no_grad conv1"]);
    let module = |path: &str| all["modules"].as_array().unwrap().iter().find(|m| m["path"] == path).unwrap().clone();
    let states = ["", "conv1", "layer1", "layer1.0.bn1", "fc"].map(|path| module(path)["state"].clone());
    assert_eq!(states, ["mixed", "no_grad", "frozen", "frozen", "trainable"]);
    let root = module("");
    let sum =
        |field: &str, of: &str| -> u64 { all[of].as_array().unwrap().iter().map(|p| p[field].as_u64().unwrap()).sum() };
    assert_eq!(root["params"], sum("count", "parameters"));
    assert_eq!(root["bytes"], sum("bytes", "parameters"));
    assert_eq!(root["buffer_bytes"], sum("bytes", "buffers"));
    assert_eq!(root["tensors"], all["parameters"].as_array().unwrap().len());

    let count = |document: &Value, of: &str| document[of].as_array().unwrap().len();
    let folded = tree(&["--depth", "1"]);
    assert!(folded["modules"].as_array().unwrap().iter().all(|m| !m["path"].as_str().unwrap().contains('.')));
    assert_eq!(folded["modules"][0]["params"], root["params"], "folding leaves the sums");
    let biases = tree(&["--filter", "**.bias"]);
    assert_eq!((count(&biases, "modules"), count(&biases, "parameters")), (0, 4));

    let text = |args: &[&str]| bench.ok(&[&["tree", "recipe.toml"], args].concat());
    let rows = |args: &[&str]| text(args).lines().count();
    assert_eq!(rows(&["--depth", "0"]), 2, "the header and the model");
    assert!(rows(&["--depth", "1"]) < rows(&["--depth", "2"]));
    let named = text(&["--filter", "**.bias"]);
    assert!(named.contains("layer1.0.bn1.bias") && !named.contains("conv1"), "{named}");
}

#[test]
fn export_writes_state_dicts_for_torch_load_and_means() {
    let bench = Bench::new();
    bench.ok(&["train", "recipe.toml", "--set", "checkpoint.every_steps=2"]);
    let at = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let checkpoints = bench.json(&["checkpoints", "last", "--json"]);
    let steps: Vec<String> = (0..2).map(|i| format!("last@{}", checkpoints[i]["step"])).collect();
    bench.ok(&["export", &steps[0], "-o", &at("a.pth")]);
    let read = |name: &str| weights::read(&bench.path(name), None).unwrap().into_tensors().unwrap();
    let first = read("a.pth");
    assert_eq!(first, load_path(std::path::Path::new(checkpoints[0]["path"].as_str().unwrap())).unwrap().weights);
    bench.ok(&["export", &steps[1], "-o", &at("b.bin"), "--format", "pth"]);
    bench.ok(&["export", "--average", &steps[0], &steps[1], "-o", &at("mean.pth")]);
    let mean = read("mean.pth");
    let second = read("b.bin");
    for ((a, b), m) in first.iter().zip(&second).zip(&mean) {
        let Some(values) = m.to_f32() else { continue };
        let (a, b) = (a.to_f32().unwrap(), b.to_f32().unwrap());
        let exact = |i: usize| ((f64::from(a[i]) + f64::from(b[i])) / 2.0) as f32;
        assert!(values.iter().enumerate().all(|(i, v)| *v == exact(i)), "{}", m.name);
    }
    let twice = bench.run(&["export", &steps[0], "--average", &steps[0], "-o", &at("c.pth")]);
    assert!(twice.code == 3 && twice.err.contains("twice"), "{}", twice.err);
    assert_eq!(bench.run(&["export", "-o", &at("c.pth")]).code, 2);
}

#[test]
fn tree_of_a_checkpoint_without_its_model_is_what_its_names_say() {
    let bench = Bench::new();
    bench.ok(&["train", "recipe.toml", "--set", r#"freeze.rules=["freeze kind:BatchNorm2d"]"#]);
    let known = bench.json(&["tree", "last@last", "--json"]);
    let checkpoint = bench.json(&["checkpoints", "last", "--json"])[0]["path"].as_str().unwrap().to_owned();
    let mut loaded = load_path(std::path::Path::new(&checkpoint)).unwrap();
    loaded.state.recipe.model.arch = "of-another-program".into();
    std::fs::create_dir(bench.path("foreign")).unwrap();
    let store = CheckpointStore::new(&bench.path("foreign"));
    let foreign = store.write(&loaded.state, &loaded.weights, &loaded.optimizer).unwrap().path;
    let ran = bench.run(&["tree", foreign.to_str().unwrap(), "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("shapes are unknown") && ran.err.contains("what learned is not shown"), "{}", ran.err);
    let guessed: Value = serde_json::from_str(&ran.out).unwrap();
    let bn = |tree: &Value| tree["modules"].as_array().unwrap().iter().find(|m| m["path"] == "bn1").unwrap().clone();
    assert_eq!((&bn(&guessed)["kind"], &bn(&known)["kind"]), (&"BatchNorm".into(), &"BatchNorm2d".into()));
    assert_eq!(bn(&guessed)["buffer_bytes"], bn(&known)["buffer_bytes"]);
    assert_eq!(guessed["modules"][0]["params"], known["modules"][0]["params"]);
}

#[test]
fn tags_notes_names_and_pins_are_kept() {
    let bench = Bench::trained();
    bench.ok(&["tag", "last", "good", "keep"]);
    bench.ok(&["tag", "last", "-d", "keep"]);
    bench.ok(&["note", "last", "first", "try"]);
    bench.ok(&["rename", "last", "winner"]);
    let run = &bench.json(&["ls", "tag:good", "--json"])[0];
    assert_eq!(
        (&run["name"], &run["note"], &run["tags"]),
        (&"winner".into(), &"first try".into(), &serde_json::json!(["good"]))
    );
    assert_eq!(bench.ok(&["tag", "winner"]), "good\n");
    assert_eq!(bench.ok(&["note", "winner"]), "first try\n");
    assert_eq!(bench.run(&["rename", "winner", "a@b"]).code, 3);
    bench.ok(&["pin", "winner@last"]);
    let list = bench.json(&["checkpoints", "winner", "--json"]);
    let kept = list.as_array().unwrap().last().unwrap()["kept"].to_string();
    assert!(kept.contains("pin"), "{kept}");
}

#[test]
fn rm_asks_nobody_in_a_pipe_and_deletes_nothing_when_one_name_is_wrong() {
    let bench = Bench::trained();
    let id = bench.last();
    assert_eq!(bench.run(&["rm", &id]).code, 2);
    assert_eq!(bench.run(&["rm", &id, "nope", "--yes"]).code, 3);
    assert_eq!(bench.json(&["ls", "--json"]).as_array().unwrap().len(), 1);
    for more in [&["--yes"][..], &[]] {
        let newest = bench.run(&[&["rm", "last@last"], more].concat());
        assert_eq!(newest.code, 3, "{more:?}: {}", newest.err);
        assert!(newest.err.contains("is not deleted: it is the newest good one"), "{}", newest.err);
    }
    assert_eq!(bench.ok(&["rm", &id, "--yes"]), format!("{id}\n"));
    assert_eq!(bench.json(&["ls", "--json"]).as_array().unwrap().len(), 0);
}

#[test]
fn a_run_that_is_not_there_is_refused_with_the_close_names() {
    let bench = Bench::trained();
    let run = bench.run(&["show", "recipi"]);
    assert_eq!(run.code, 3);
    assert_eq!(run.err, "error: no run `recipi`; did you mean `recipe`?\n");
    assert_eq!(bench.run(&["evaluate", "last@77777"]).code, 3);
}

#[test]
fn show_prints_the_resolved_recipe_and_the_facts() {
    let bench = Bench::trained();
    let recipe = bench.ok(&["show", "last", "--recipe"]);
    assert!(recipe.contains("batch_size") && recipe.contains("keep_last"), "{recipe}");
    let text = bench.ok(&["show", "last"]);
    assert!(text.contains("finished") && text.contains(&bench.last()), "{text}");
}

#[test]
fn new_writes_a_recipe_that_trains_and_never_overwrites_one() {
    let bench = Bench::new();
    bench.ok(&["new", "first.toml"]);
    assert_eq!(bench.run(&["new", "first.toml"]).code, 3);
    bench.ok(&["train", "first.toml", "--dry-run"]);
}

#[test]
fn devices_are_listed() {
    let bench = Bench::new();
    let devices = bench.json(&["devices", "--json"]);
    assert_eq!(devices[0]["name"], "cpu");
    assert!(bench.ok(&["devices"]).contains("cpu"));
}

#[test]
fn what_is_said_cannot_speak_to_the_terminal() {
    let bench = Bench::trained();
    let refused = bench.run(&["rename", "last", "a\u{1b}[2J@b"]);
    assert!(refused.code == 3 && refused.err.contains("\\u{1b}") && !refused.err.contains('\u{1b}'), "{}", refused.err);
    let refused = bench.run(&["tree", "resnet8", "--freeze", "freeze \u{1b}]0;x"]);
    assert!(refused.code == 3 && !refused.err.contains('\u{1b}'), "{}", refused.err);
}

#[test]
fn a_checkpoint_where_a_run_is_wanted_is_told() {
    let bench = Bench::trained();
    let refused = bench.run(&["checkpoints", "last@best"]);
    assert!(refused.code == 3 && refused.err.contains("give `last`"), "{}", refused.err);
}

#[test]
fn the_fields_of_a_listing_are_always_there() {
    let bench = Bench::trained();
    let run = &bench.json(&["ls", "--json"])[0];
    for field in ["best", "message", "pid", "resumed_from", "forked_from"] {
        assert!(run.get(field).is_some(), "{field}: {run}");
    }
    let audit = bench.json(&["audit", "last", "--json"]);
    assert!(audit["tensors"].as_array().unwrap().iter().all(|t| t.get("meant").is_some()), "{audit}");
}

#[test]
fn a_class_without_samples_has_no_share() {
    let table = Bench::new().ok(&["evaluate", "recipe.toml", "--per-class", "--set", "data.val_fraction=0.002"]);
    let empty = table.lines().find(|line| line.split_whitespace().nth(2) == Some("0")).unwrap();
    assert_eq!(empty.split_whitespace().nth(3), Some("-"), "{table}");
}

#[test]
fn a_rate_of_zero_excuses_standing_still() {
    let bench = Bench::new();
    bench.ok(&["train", "recipe.toml", "--set", "optimizer.lr=0.0"]);
    assert_eq!(bench.json(&["audit", "last", "--wrong", "--json"])["tensors"], serde_json::json!([]));
    bench.ok(&["train", "recipe.toml", "--set", "optimizer.groups=[{ match = 'kind:Conv2d', lr = 0.0 }]"]);
    let audit = bench.json(&["audit", "last", "--json"]);
    let tensors = audit["tensors"].as_array().unwrap();
    let conv = tensors.iter().find(|t| t["name"] == "conv1.weight").unwrap();
    assert_eq!((&conv["meant"], &conv["moved"], &conv["ok"]), (&"always".into(), &false.into(), &true.into()));
}

#[test]
fn weights_files_of_every_kind_are_compared() {
    let bench = Bench::trained();
    let (pth, file) = (bench.path("m.pth"), bench.path("m.safetensors"));
    let (pth, file) = (pth.to_str().unwrap(), file.to_str().unwrap());
    bench.ok(&["export", "last", "-o", pth]);
    bench.ok(&["export", "last", "-o", file]);
    for other in [pth, file] {
        let drift = bench.json(&["diff", "last@last", other, "--json"]);
        assert!(drift["tensors"].as_array().unwrap().iter().all(|t| t["bit_equal"] == true), "{drift}");
    }
    // By its content, whatever its name.
    let odd = ["m.ts", "weird.dat", "x@1", "noending"].map(|name| bench.path(name));
    for other in &odd {
        std::fs::copy(file, other).unwrap();
        let other = other.to_str().unwrap();
        let drift = bench.json(&["diff", other, pth, "--json"]);
        assert!(drift["tensors"].as_array().unwrap().iter().all(|t| t["bit_equal"] == true), "{drift}");
        assert!(bench.run(&["tree", other]).err.contains("tensors"), "{other}");
    }
    std::fs::write(bench.path("notes.txt"), "none").unwrap();
    let none = bench.run(&["tree", "notes.txt"]);
    assert!(none.code == 3 && !none.err.contains("no architecture"), "{}", none.err);
    let missing = bench.run(&["diff", "last@last", "missing.pth"]);
    assert!(missing.code == 3 && missing.err.contains("missing.pth: cannot read"), "{}", missing.err);
}

#[test]
fn an_empty_name_finds_no_run() {
    let bench = Bench::trained();
    for args in [&["rm", "", "--yes"][..], &["show", " "], &["evaluate", "@last"], &["resume", ""]] {
        let refused = bench.run(args);
        assert!(refused.code == 3 && refused.err.contains("is empty"), "{args:?}: {}", refused.err);
    }
    assert_eq!(bench.json(&["ls", "--json"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_checkpoints_folder_that_cannot_be_read_is_not_an_empty_one() {
    let bench = Bench::trained();
    let run = bench.path("home").join("runs").join(bench.last());
    let folder = run.join("checkpoints");
    std::fs::rename(&folder, run.join("elsewhere")).unwrap();
    // What every user meets: a folder that is none. Root reads all the others.
    std::fs::write(&folder, "").unwrap();
    let steps = bench.json(&["ls", "--json"])[0]["step"].clone();
    for args in [&["resume", "last", "--set", "train.epochs=3"][..], &["checkpoints", "last"], &["evaluate", "last"]] {
        let failed = bench.run(args);
        assert!(failed.code == 1 && failed.err.contains("cannot read"), "{args:?}: {}", failed.err);
    }
    let damaged = bench.run(&["verify", "last"]);
    assert!(damaged.code == 1 && damaged.out.contains("cannot read"), "{}", damaged.out);
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(run.join("elsewhere"), &folder).unwrap();
    assert_eq!(bench.json(&["ls", "--json"])[0]["step"], steps, "nothing was started anew");
    bench.ok(&["resume", "last", "--set", "train.epochs=3"]);
}

#[test]
fn a_dry_run_says_that_no_run_could_be_made() {
    let bench = Bench::new();
    std::fs::write(bench.path("home"), "").unwrap();
    let failed = bench.run(&["train", "recipe.toml", "--dry-run"]);
    assert!(failed.code == 1 && failed.err.contains("a file stands where"), "{}", failed.err);
}

#[test]
fn damaged_images_are_told_and_have_no_row() {
    let bench = Bench::new();
    for (class, shade) in [("dark", 10), ("light", 240)] {
        std::fs::create_dir_all(bench.path("images").join(class)).unwrap();
        for i in 0..10u8 {
            let image = image::GrayImage::from_pixel(8, 8, image::Luma([shade + i]));
            image.save(bench.path("images").join(class).join(format!("{i}.png"))).unwrap();
        }
    }
    let data = format!("data.path={:?}", bench.path("images").display().to_string());
    bench.ok(&[
        "train",
        "recipe.toml",
        "--set",
        "data.source=image-folder",
        "--set",
        &data,
        "--set",
        "train.batch_size=4",
    ]);
    let images = bench.path("images").display().to_string();
    let sound = bench.run(&["predict", "last", &images, "-o", "sound.csv"]);
    assert!(sound.err.ends_with(": 20 predictions\n") && !sound.err.contains("damaged"), "{}", sound.err);
    std::fs::write(bench.path("images/dark/7.png"), "junk").unwrap();
    std::fs::write(bench.path("images/light/2.png"), "").unwrap();

    let every = ["evaluate", "last", "--set", "data.val_fraction=0.9"];
    let ran = bench.run(&every);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err.contains("warning: 2 damaged images are skipped: ") && ran.err.contains("7.png: it is neither"),
        "{}",
        ran.err
    );
    assert!(ran.err.ends_with("16 validation samples, without 2 damaged images\n"), "{}", ran.err);
    let told: Value = serde_json::from_str(&bench.run(&[&every[..], &["--json"]].concat()).out).unwrap();
    assert_eq!((&told["samples"], told["skipped"].as_array().unwrap().len()), (&16.into(), 2));

    let ran = bench.run(&["predict", "last", &images, "-o", "some.csv"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.err.matches("warning: 2 damaged images are skipped: ").count(), 1, "{}", ran.err);
    assert!(ran.err.ends_with(": 18 predictions, none for 2 damaged images\n"), "{}", ran.err);
    let rows = std::fs::read_to_string(bench.path("some.csv")).unwrap();
    assert!(rows.lines().count() == 19 && !rows.contains("dark/7.png") && !rows.contains("light/2.png"), "{rows}");
    let stop = bench.run(&["predict", "last", &images, "-o", "none.csv", "--set", "data.on_bad_image=stop"]);
    assert!(stop.code == 3 && stop.err.contains("damaged image") && !bench.path("none.csv").exists(), "{}", stop.err);
    let one = bench.path("images/dark/7.png").display().to_string();
    assert_eq!(bench.run(&["predict", "last", &one, "-o", "none.csv"]).code, 3);
}
