//! The binary as a script meets it: usage, refusals, streams, signals that need no training.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use assert_cmd::Command;
use predicates::prelude::*;

fn frostline(home: &std::path::Path) -> Command {
    let mut command = Command::cargo_bin("frostline").unwrap();
    command.env("FROSTLINE_HOME", home).env_remove("RUST_BACKTRACE").current_dir(home);
    command
}

#[test]
fn help_and_version_are_results() {
    let home = tempfile::tempdir().unwrap();
    let help = frostline(home.path()).arg("--help").assert().code(0).stderr("");
    help.stdout(predicate::str::contains("train").and(predicate::str::contains("Exit codes")));
    frostline(home.path()).arg("--version").assert().code(0).stdout(predicate::str::starts_with("frostline "));
}

#[test]
fn wrong_usage_is_exit_code_2_and_a_near_command_is_named() {
    let home = tempfile::tempdir().unwrap();
    let near = frostline(home.path()).arg("trian").assert().code(2).stdout("");
    near.stderr(predicate::str::contains("'train'"));
    frostline(home.path()).args(["ls", "--nope"]).assert().code(2);
    frostline(home.path()).args(["train"]).assert().code(2);
}

#[test]
fn the_empty_home_lists_nothing_and_is_not_made() {
    let home = tempfile::tempdir().unwrap();
    frostline(home.path()).args(["ls", "--json"]).assert().code(0).stdout("[]\n").stderr("");
    frostline(home.path()).arg("ls").assert().code(0).stdout("").stderr(predicate::str::contains("frostline new"));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn input_that_cannot_be_used_is_exit_code_3_in_one_line() {
    let home = tempfile::tempdir().unwrap();
    let one_line = |text: &str| text.starts_with("error: ") && text.trim_end().lines().count() == 1;
    for args in [
        vec!["show", "last"],
        vec!["train", "missing.toml"],
        vec!["inspect", "missing.safetensors"],
        vec!["evaluate", "nobody@best"],
        vec!["tree", "missing.toml"],
        vec!["verify", "a/b"],
    ] {
        frostline(home.path()).args(&args).assert().code(3).stdout("").stderr(predicate::function(one_line));
    }
}

#[test]
fn new_and_inspect_need_no_engine() {
    let home = tempfile::tempdir().unwrap();
    frostline(home.path()).args(["new", "first.toml"]).assert().code(0).stdout("");
    std::fs::write(home.path().join("bad.safetensors"), b"\xff\xff\xff\xff\xff\xff\xff\x7f{}").unwrap();
    let bad = frostline(home.path()).args(["inspect", "bad.safetensors"]).assert().code(3);
    bad.stderr(predicate::str::contains("bad.safetensors"));
}

#[cfg(not(feature = "torch"))]
#[test]
fn without_libtorch_training_is_refused_in_words() {
    let home = tempfile::tempdir().unwrap();
    frostline(home.path()).args(["new", "first.toml"]).assert().code(0);
    let refused = frostline(home.path()).args(["train", "first.toml"]).assert().code(predicate::ne(0)).stdout("");
    refused.stderr(predicate::str::contains("libtorch"));
}

#[test]
fn plain_frostline_without_a_terminal_says_what_to_use_instead() {
    let home = tempfile::tempdir().unwrap();
    frostline(home.path()).assert().code(2).stdout("").stderr(predicate::str::contains("screen"));
}

#[cfg(unix)]
#[test]
fn a_closed_stdout_is_no_panic() {
    use std::process::{Command as Process, Stdio};
    let home = tempfile::tempdir().unwrap();
    let program = assert_cmd::cargo::cargo_bin("frostline");
    let mut child = Process::new(program)
        .args(["--help"])
        .env("FROSTLINE_HOME", home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_file_where_the_run_home_should_be_is_told() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    frostline(&file)
        .current_dir(home.path())
        .arg("ls")
        .assert()
        .code(1)
        .stderr(predicate::str::contains("a file stands where"));
}

/// A pseudo-terminal has no size until somebody gives it one (`script`, pexpect, `docker run -t`).
#[cfg(unix)]
#[test]
fn a_terminal_without_a_size_gets_whole_lines() {
    use portable_pty::{CommandBuilder, PtySize, native_pty_system};
    use std::io::Read;
    let home = tempfile::tempdir().unwrap();
    let pair = native_pty_system().openpty(PtySize { rows: 0, cols: 0, pixel_width: 0, pixel_height: 0 }).unwrap();
    let mut command = CommandBuilder::new(assert_cmd::cargo::cargo_bin("frostline"));
    command.args(["devices"]);
    command.env("FROSTLINE_HOME", home.path());
    command.cwd(home.path());
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut said = Vec::new();
    // Linux ends a pseudo-terminal whose other side is gone with an error.
    let _ = reader.read_to_end(&mut said);
    assert!(child.wait().unwrap().success());
    let said = String::from_utf8_lossy(&said);
    let first = said.lines().next().unwrap_or_default();
    assert!(first.starts_with("device") && first.trim_end().ends_with("state"), "{said}");
}
