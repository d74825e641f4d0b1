//! `scripts/gpu_checks.py` with stand-ins for the programs and the GPU, and what `scripts/libtorch.py` does about headers for NCCL.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const DEVICE: &str =
    r#"{"name": "cuda:0", "model": "Stand-in", "memory_total": 8, "memory_free": 4, "unusable": null}"#;
const NO_DEVICE: &str =
    r#"{"name": "cuda", "model": "", "memory_total": 0, "memory_free": 0, "unusable": "no NVIDIA GPU"}"#;

fn program(path: &Path, body: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder as `make gpu-bundle` makes it, whose `frostline` knows one device and what `more` adds (branches of a `case`).
fn bundle(device: &str, more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let known = format!("--version) echo 'frostline 0' ;;\ndevices) echo '[{device}]' ;;");
    program(&folder.path().join("frostline"), &format!("case $1 in\n{known}\n{more}\nesac"));
    folder
}

fn checks(folder: &Path, args: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/gpu_checks.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg("--bin").arg(folder).args(args);
    if !args.contains(&"--python") {
        command.args(["--python", "/none"]);
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn without_a_gpu_each_check_is_skipped_in_words() {
    let folder = bundle(NO_DEVICE, "");
    let done = checks(folder.path(), &[]);
    let table = text(&done.stdout);
    assert!(done.status.success(), "{table}{}", text(&done.stderr));
    let rows: Vec<_> = table.lines().filter(|line| line.contains("| skipped |")).collect();
    assert!(rows.len() > 10 && rows.iter().all(|row| row.contains("no NVIDIA GPU")), "{table}");
}

#[test]
fn a_program_that_is_missing_or_does_not_start_is_told_in_a_line() {
    let empty = tempfile::tempdir().unwrap();
    let broken = tempfile::tempdir().unwrap();
    program(&broken.path().join("frostline"), "echo 'no libtorch_cpu.so' >&2; exit 127");
    for (folder, words) in [(&empty, "is missing"), (&broken, "no libtorch_cpu.so")] {
        let done = checks(folder.path(), &[]);
        let said = text(&done.stderr);
        assert!(done.status.code() == Some(1) && said.contains(words) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn checks_are_chosen_by_words_of_their_names() {
    let folder = bundle(DEVICE, "");
    let listed = |words: &[&str]| text(&checks(folder.path(), &[&["--list"], words].concat()).stdout);
    assert!(listed(&[]).lines().count() > 10);
    assert_eq!(listed(&["--only", "nccl", "--only", "THROUGHPUT b"]), "throughput bf16\nNCCL\n");
    let done = checks(folder.path(), &["--only", "speed"]);
    assert!(!done.status.success() && text(&done.stderr).contains("no check is called 'speed'"));
}

#[test]
fn a_run_that_could_not_be_moved_is_stopped_and_the_table_is_in_the_file() {
    let detached = r#"train) mkdir -p $FROSTLINE_HOME/runs/r
$0-run 1000 >/dev/null 2>&1 </dev/null &
echo $! >$(dirname $0)/pid
echo "{\"pid\": $!}" >$FROSTLINE_HOME/runs/r/lock; echo r ;;
set) echo 'error: it will not move' >&2; exit 1 ;;"#;
    let folder = bundle(DEVICE, detached);
    // Not a script: the name of what runs is looked at.
    let sleep = Command::new("sh").args(["-c", "command -v sleep"]).output().unwrap();
    std::os::unix::fs::symlink(text(&sleep.stdout).trim(), folder.path().join("frostline-run")).unwrap();
    let out = folder.path().join("table.md");
    let done = checks(folder.path(), &["--only", "another device", "--out", out.to_str().unwrap()]);
    let table = std::fs::read_to_string(&out).unwrap();
    assert_eq!(done.status.code(), Some(1), "{table}");
    assert!(
        table.contains("Stand-in") && table.contains("| FAILED  |") && table.contains("it will not move"),
        "{table}"
    );
    assert_eq!(text(&done.stdout), table);
    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // Its parent has gone, and who takes over may leave a zombie.
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn a_throughput_below_the_goal_fails_and_pinned_memory_is_told() {
    let folder = bundle(DEVICE, "");
    let facts = r#"{"PyTorch": "2.11.0", "torchvision": "", "CUDA": "13.0", "cuDNN": "", "NCCL": "", "lib": "/none"}"#;
    let python = folder.path().join("python");
    program(&python, &format!("case $2 in *json.dumps*) echo '{facts}' ;; *) echo 100; echo 200 ;; esac"));
    for (ours, result) in [(97, "| FAILED "), (99, "| passed ")] {
        program(&folder.path().join("throughput"), &format!("echo {ours}"));
        let done = checks(folder.path(), &["--only", "throughput", "--python", python.to_str().unwrap()]);
        let table = text(&done.stdout);
        assert_eq!(table.matches(result).count(), 2, "{table}");
        assert!(table.contains(&format!("0.{ours}0 of it (0.{}5 of 200.0 with pinned", ours / 2)), "{table}");
        assert!(table.contains("PyTorch 2.11.0, CUDA 13.0"), "{table}");
    }
}

#[test]
fn a_batch_that_fits_at_once_shows_nothing_of_out_of_memory() {
    let remedy = r#"train) echo r; echo $* >$(dirname $0)/asked
test $size = fits || { echo 'error: out of memory on cuda:0; frostline resume r --set train.batch_size=512 --set train.accumulate=2' >&2; exit 1; } ;;
checkpoints) echo '[{}]' ;;
resume) test "$*" = "resume r --set train.batch_size=512 --set train.accumulate=2 --quiet" ;;"#;
    for (size, code, words) in [("fits", 1, "nothing ran out"), ("large", 0, "after 1 halvings")] {
        // 150 GB, as of an H200.
        let device = DEVICE.replace(r#""memory_total": 8"#, r#""memory_total": 150000000000"#);
        let folder = bundle(&device, &remedy.replace("$size", size));
        let done = checks(folder.path(), &["--only", "out of memory"]);
        assert_eq!(done.status.code(), Some(code), "{}", text(&done.stdout));
        assert!(text(&done.stdout).contains(words), "{}", text(&done.stdout));
        let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
        assert!(asked.contains("data.image_size=384") && asked.contains("train.batch_size=1024"), "{asked}");
    }
}

#[test]
fn headers_that_a_borrowed_pytorch_lacks_are_fetched_beside_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import libtorch
root = pathlib.Path(sys.argv[2])
site, link, fetched = root / "site", root / "link", []
for path in ("site/torch/include/a.h", "site/nvidia/cu13/include/cuda_runtime.h", "link/build-version"):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).touch()
(link / "include").symlink_to(site / "torch/include")

def unpack(wheel, place, flavour):
    for header in ("crt/host_config.h", "cccl/nv/target"):
        if ("crt" in wheel) == ("crt" in header):
            path = place / "nvidia/cu13/include" / header
            path.parent.mkdir(parents=True)
            path.touch()

libtorch.pip_command = lambda: []
libtorch.download = lambda pip, requirement, folder: fetched.append(requirement) or folder.mkdir(parents=True) or requirement.split()[0]
libtorch.unpack = unpack
for _ in range(2):
    libtorch.add_headers(link)
assert len(fetched) == 2 and all("--hash=sha256:" in f for f in fetched), fetched
assert not libtorch.missing_headers(link)
assert (link / "nvidia/nvidia-cuda-crt/include/crt/host_config.h").is_file()
# Another checkout's link to the same PyTorch finds them in the cache.
(root / "other").mkdir()
(root / "other/build-version").touch()
(root / "other/include").symlink_to(site / "torch/include")
libtorch.add_headers(root / "other")
assert len(fetched) == 2 and not libtorch.missing_headers(root / "other")
# Beside headers of another CUDA these would not do.
(site / "nvidia/cu13/include/cuda_runtime.h").unlink()
for wheel in (root / "other/nvidia").iterdir():
    wheel.unlink()
libtorch.add_headers(root / "other")
assert len(libtorch.missing_headers(root / "other")) == 2
"#;
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut command = Command::new("python3");
    command.args(["-B", "-c", script]).arg(scripts).arg(folder.path());
    let done = command.env("FROSTLINE_LIBTORCH_CACHE", folder.path().join("cache")).output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("cuda_runtime.h"), "{}", text(&done.stderr));
}
