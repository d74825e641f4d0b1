//! The binary on libtorch as a script meets it: signals, kills, resume.
#![cfg(all(feature = "torch", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/python.rs"]
mod python;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const RECIPE: &str = r#"
[model]
arch = "mlp"
hidden = [16]
dropout = 0.2
[data]
source = "digits"
[train]
epochs = 3
batch_size = 64
accumulate_grad_batches = 2
devices = ["cpu"]
threads = 1
[checkpoint]
every_steps = 5
keep_last = 2
"#;

fn frostline(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("frostline"));
    command.args(args).current_dir(home).env("FROSTLINE_HOME", home).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(home: &Path, args: &[&str]) -> Output {
    frostline(home, args).output().unwrap()
}

fn json(home: &Path, args: &[&str]) -> serde_json::Value {
    let output = run(home, args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn bench() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("r.toml"), RECIPE).unwrap();
    home
}

fn checkpoints(home: &Path) -> Vec<PathBuf> {
    let runs = std::fs::read_dir(home.join("runs")).into_iter().flatten().flatten();
    let folders = runs.flat_map(|r| std::fs::read_dir(r.path().join("checkpoints")).into_iter().flatten().flatten());
    folders.map(|e| e.path()).filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("step-")).collect()
}

/// A training that is long enough to be caught in the middle, with a checkpoint already written.
fn caught(home: &Path) -> Child {
    let child = frostline(home, &["train", "r.toml", "--set", "train.epochs=100000"]).spawn().unwrap();
    while checkpoints(home).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn sigint_sigterm_and_sigusr1_end_after_a_checkpoint_with_130() {
    for (signal, name) in [(Signal::INT, "Ctrl-C"), (Signal::TERM, "SIGTERM"), (Signal::USR1, "SIGUSR1")] {
        let home = bench();
        let child = caught(home.path());
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{err}");
        assert!(err.contains(name) && err.contains("frostline resume"), "{err}");
        let summary = &json(home.path(), &["ls", "--json"])[0];
        assert_eq!(summary["status"], "stopped");
        let last = json(home.path(), &["checkpoints", "last", "--json"]);
        assert_eq!(last.as_array().unwrap().last().unwrap()["step"], summary["step"]);
    }
}

#[test]
fn a_killed_run_is_called_crashed_and_resumes_to_the_bits_of_a_run_left_alone() {
    let home = bench();
    let mut child = caught(home.path());
    child.kill().unwrap();
    child.wait().unwrap();
    let crashed = &json(home.path(), &["ls", "--json"])[0];
    assert_eq!(crashed["status"], "crashed");
    let id = crashed["id"].as_str().unwrap().to_owned();
    // Few epochs more than it has had, so that the run that is left alone is short.
    let epochs = crashed["epoch"].as_u64().unwrap() + 2;
    let set = format!("train.epochs={epochs}");
    let resumed = run(home.path(), &["resume", &id, "--set", &set]);
    assert_eq!(resumed.status.code(), Some(0), "{}", String::from_utf8_lossy(&resumed.stderr));
    assert_eq!(String::from_utf8_lossy(&resumed.stdout), format!("{id}\n"));
    assert_eq!(run(home.path(), &["train", "r.toml", "--set", &set]).status.code(), Some(0));
    let drift = json(home.path(), &["diff", &format!("{id}@last"), "last@last", "--json"]);
    let tensors = drift["tensors"].as_array().unwrap();
    assert!(!tensors.is_empty() && tensors.iter().all(|t| t["bit_equal"] == true), "{drift}");
}

#[test]
fn a_live_run_belongs_to_its_process() {
    let home = bench();
    let child = caught(home.path());
    let summary = &json(home.path(), &["ls", "--json"])[0];
    assert_eq!(summary["status"], "running");
    assert_eq!(summary["pid"].as_u64(), Some(u64::from(child.id())));
    let second = run(home.path(), &["resume", "last"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains(&child.id().to_string()));
    assert_eq!(run(home.path(), &["rm", "last", "--yes"]).status.code(), Some(1));
    send(&child, Signal::TERM);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn a_reader_that_takes_the_id_and_leaves_does_not_stop_the_run() {
    use std::io::{BufRead, BufReader};
    let home = bench();
    let mut child = frostline(home.path(), &["train", "r.toml"]).spawn().unwrap();
    let mut id = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut id).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(json(home.path(), &["show", id.trim(), "--json"])["status"], "finished");
}

#[test]
fn a_torchscript_file_has_the_tree_of_its_model() {
    let home = bench();
    let at = home.path();
    let ok = |args: &[&str]| {
        let output = run(at, args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    };
    ok(&["train", "r.toml", "--set", "train.steps=2", "--quiet"]);
    ok(&["export", "last", "-o", "model.pt"]);
    let own = json(at, &["tree", "r.toml", "--json"]);
    for what in ["model.pt", "torchscript:model.pt"] {
        // Nothing says what the data is: it is tried.
        let tree = json(at, &["tree", what, "--json"]);
        for key in ["parameters", "buffers"] {
            assert_eq!(tree[key], own[key], "{what}: {key}");
        }
        let of = |tree: &serde_json::Value, key: &str| -> Vec<serde_json::Value> {
            tree["modules"].as_array().unwrap().iter().map(|m| m[key].clone()).collect()
        };
        for key in ["path", "kind", "detail", "state", "params", "flops"] {
            assert_eq!(of(&tree, key), of(&own, key), "{what}: {key}");
        }
    }
    let shaped = json(at, &["tree", "model.pt", "--input", "1,8,8", "--json"]);
    assert_eq!(shaped["modules"], own["modules"]);
    // A shape that it does not take: the names are in the file all the same; asked for as a model it is refused.
    let wrong = run(at, &["tree", "model.pt", "--input", "3,9,9", "--json"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("does not take a sample of shape [3, 9, 9]"));
    assert_eq!(wrong.status.code(), Some(0));
    assert_eq!(run(at, &["tree", "torchscript:model.pt", "--input", "3,9,9"]).status.code(), Some(3));
    assert_eq!(run(at, &["tree", "torchscript:gone.pt"]).status.code(), Some(3));
}

#[test]
fn an_export_that_cannot_be_written_says_what_to_do() {
    let home = bench();
    let at = home.path();
    assert_eq!(run(at, &["train", "r.toml", "--set", "train.steps=2", "--quiet"]).status.code(), Some(0));
    std::fs::write(at.join("file"), "").unwrap();
    for ending in ["safetensors", "pth", "pt"] {
        let said = |to: &str| {
            let output = run(at, &["export", "last", "-o", &format!("{to}.{ending}")]);
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.code(), err.lines().count(), err)
        };
        assert_eq!(said("a").0, Some(0));
        let (code, lines, err) = said("a");
        assert!(code == Some(3) && lines == 1 && err.contains("--force"), "{err}");
        for to in ["none/a", "file/a"] {
            let (code, lines, err) = said(to);
            assert!(code == Some(3) && lines == 1 && err.contains("make the folder"), "{err}");
        }
    }
    let named = |name: &str| run(at, &["export", "last", "-o", name]).status.code();
    assert_eq!((named("a.onnx"), named("a")), (Some(3), Some(3)));
}

/// A limit on addresses stands for a machine whose memory ends: libtorch's allocator fails, where the kernel would kill.
#[test]
#[cfg(target_os = "linux")]
fn a_run_that_is_really_out_of_memory_saves_and_goes_on_with_half_the_batch() {
    let home = bench();
    let limited = |args: &[&str]| {
        let program = assert_cmd::cargo::cargo_bin("frostline");
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 4194304; exec \"$@\"", "sh"]).arg(program).args(args);
        let output = command.current_dir(home.path()).env("FROSTLINE_HOME", home.path()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // One activation alone is 1.1 GiB, and a step holds several.
    let sets = ["model.hidden=[200000]", "train.batch_size=1436", "train.accumulate_grad_batches=1", "train.steps=1"];
    let more = ["train.probe=false", "optimizer.kind=sgd"];
    let sets: Vec<&str> = sets.iter().chain(&more).flat_map(|s| ["--set", s]).collect();
    let (mut code, mut said) = limited(&[&["train", "r.toml"], &sets[..]].concat());
    assert!(said.contains("step 1: out of memory on cpu with a batch of 1436 (you tried to allocate"), "{said}");
    assert_eq!(checkpoints(home.path()).len(), 1);
    let mut halvings = 0;
    while code == Some(1) && halvings < 7 {
        let remedy = said.split("frostline resume ").nth(1).unwrap_or_else(|| panic!("{said}"));
        let args: Vec<&str> = remedy.split_whitespace().take(5).collect();
        (code, said) = limited(&[&["resume"], &args[..]].concat());
        halvings += 1;
    }
    assert_eq!(code, Some(0), "{said}");
    assert!(halvings > 0);
}

#[test]
fn a_live_run_stays_where_it_is_when_the_device_is_not_there() {
    let home = bench();
    let child = caught(home.path());
    let set = |value: &str| {
        let output = run(home.path(), &["set", "last", value]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, words) = set("devices=cuda:99");
    assert_eq!(code, Some(3), "{words}");
    assert!(words.contains("`cuda:99`") && words.contains("the run stays on cpu"), "{words}");
    let (code, words) = set("devices=gpu");
    assert!(code == Some(3) && words.contains("\"gpu\" is no device"), "{words}");
    let (code, words) = set("devices=[\"cpu\"]");
    assert!(code == Some(0) && words.contains("it is on cpu already"), "{words}");
    send(&child, Signal::TERM);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn a_state_dict_comes_in_the_models_order_as_in_python() {
    let Some(python) = python::python() else { return };
    let home = bench();
    let at = home.path();
    let ok = |args: &[&str]| {
        let output = run(at, args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let recipe = "model = { arch = 'resnet18' }\ndata = { source = 'digits', image_size = 32, val_fraction = 0 }\n\
                  train = { steps = 2, batch_size = 4, devices = ['cpu'] }\ncheckpoint = { every_steps = 1, keep_last = 2 }\n";
    std::fs::write(at.join("resnet.toml"), recipe).unwrap();
    ok(&["train", "resnet.toml"]);
    ok(&["export", "last", "-o", "one.pth"]);
    ok(&["export", "--average", "last@1", "last@2", "-o", "mean.pth"]);
    ok(&["export", "last", "-o", "named.pth", "--rename", "layer1=first", "--drop", "fc"]);
    let script = "import sys, torch, torchvision\n\
        wanted = list(torchvision.models.resnet18().state_dict())\n\
        keys = lambda name: list(torch.load(sys.argv[1] + '/' + name, weights_only=True))\n\
        assert keys('one.pth') == wanted, keys('one.pth')[:6]\n\
        assert keys('mean.pth') == wanted, keys('mean.pth')[:6]\n\
        named = [k.replace('layer1', 'first') for k in wanted if not k.startswith('fc.')]\n\
        assert keys('named.pth') == named, keys('named.pth')[:6]\n\
        print('alike')";
    let out = Command::new(python).args(["-B", "-c", script]).arg(at).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "alike", "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn the_tree_of_a_recipe_for_a_gpu_is_shown_without_one() {
    let home = bench();
    let tree = |sets: &[&str]| json(home.path(), &[&["tree", "r.toml", "--json"], sets].concat());
    let gpu = ["--set", "train.precision=tf32", "--set", "train.devices=[\"cuda:0\"]"];
    assert_eq!(tree(&gpu), tree(&[]));
}
