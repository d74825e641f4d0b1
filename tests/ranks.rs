//! Several processes are one run, as `torchrun` starts them: it trains as threads do, stops in order, and when a process is
//! lost the others say which.

#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use frostline::core::run::{MetricsReader, RunDir, RunHome};
use frostline::engine::Engine;
use frostline::engine::torch::TorchEngine;
use rustix::process::{Pid, Signal, kill_process};
use support::Place;

/// Long before the 30 s that are promised, with room for a busy machine.
const SOON: Duration = Duration::from_secs(25);

const RECIPE: &str = "
[model]
arch = 'mlp'
hidden = [16]
dropout = 0.2
[data]
source = 'digits'
classes = [0, 1, 2]
workers = 0
[optimizer]
kind = 'sgd'
lr = 0.02
momentum = 0.9
[train]
steps = 22
batch_size = 25
accumulate_grad_batches = 2
devices = ['cpu']
threads = 1
[checkpoint]
every_steps = 4
keep_last = 100
";

/// A rank's process, ended with the test.
struct Rank {
    child: Child,
    rank: usize,
}

impl Rank {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Exit code, stdout, stderr; it must end by itself.
    fn end(&mut self) -> (Option<i32>, String, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < SOON, "rank {} does not end", self.rank);
            std::thread::sleep(Duration::from_millis(20));
        };
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (status.code(), out, err)
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Ranks {
    folder: tempfile::TempDir,
    port: u16,
}

impl Ranks {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("r.toml"), RECIPE).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, port }
    }

    fn home(&self) -> std::path::PathBuf {
        self.folder.path().join("home")
    }

    fn frostline(&self, args: &[&str]) -> Command {
        let mut command = self.with_environment(Command::new(env!("CARGO_BIN_EXE_frostline")));
        command.args(args);
        command
    }

    fn with_environment(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path());
        command.env("FROSTLINE_HOME", self.home()).env("FROSTLINE_CONFIG", self.folder.path().join("config"));
        command.env("OMP_NUM_THREADS", "1");
        for name in ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_USE_AGENT_STORE"] {
            command.env_remove(name);
        }
        // Of a launcher that runs the tests.
        for (name, _) in std::env::vars_os() {
            if ["SLURM_", "OMPI_", "PMI_"].iter().any(|p| name.to_string_lossy().starts_with(p)) {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self, size: usize, args: &[&str], heartbeat: &str) -> Vec<Rank> {
        self.start_with(size, args, heartbeat, |_| None)
    }

    /// With one more variable for some ranks.
    fn start_with(
        &self,
        size: usize,
        args: &[&str],
        heartbeat: &str,
        more: fn(usize) -> Option<(&'static str, &'static str)>,
    ) -> Vec<Rank> {
        let start = |rank: usize| {
            let mut command = self.frostline(args);
            Rank { child: self.place(&mut command, rank, size, heartbeat).envs(more(rank)).spawn().unwrap(), rank }
        };
        (0..size).map(start).collect()
    }

    /// What torchrun sets for a rank.
    fn place<'c>(&self, command: &'c mut Command, rank: usize, size: usize, heartbeat: &str) -> &'c mut Command {
        command.env("RANK", rank.to_string()).env("WORLD_SIZE", size.to_string());
        command.env("LOCAL_RANK", rank.to_string()).env("LOCAL_WORLD_SIZE", size.to_string());
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", self.port.to_string());
        command.env("FROSTLINE_HEARTBEAT", heartbeat)
    }

    /// The one run, once it has taken so many steps.
    fn run_at(&self, steps: u64) -> RunDir {
        let began = Instant::now();
        loop {
            let runs = RunHome::open(self.home()).runs().unwrap_or_default();
            let there = runs.iter().find(|r| r.checkpoints().list().iter().any(|c| c.step >= steps));
            if let Some(run) = there {
                return run.clone();
            }
            assert!(began.elapsed() < Duration::from_secs(60), "the run does not come to step {steps}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn losses(run: &RunDir) -> Vec<(u64, u64)> {
    let (table, _) = MetricsReader::read_all(&run.metrics_path()).unwrap();
    let loss = |name: &&str| *name == "train/loss";
    table.rows().filter_map(|r| Some((r.step, r.values().find(|(n, _)| loss(n))?.1.to_bits()))).collect()
}

fn files_below(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |all| all.flatten().count())
}

const LONG: &[&str] =
    &["train", "r.toml", "--quiet", "--set", "train.steps=1000000", "--set", "checkpoint.keep_last=2"];

#[test]
fn slurm_and_mpi_need_no_variables_of_torchruns() {
    let ranks = Ranks::new();
    let port = ranks.port.to_string();
    let slurm = |rank: usize| {
        let own =
            [("SLURM_PROCID", rank.to_string()), ("SLURM_LOCALID", rank.to_string()), ("MASTER_PORT", port.clone())];
        let step = [("NUM_TASKS", "2"), ("TASKS_PER_NODE", "2"), ("NODELIST", "localhost"), ("ID", "0")];
        let step = step.map(|(name, value)| (format!("SLURM_STEP_{name}"), value.to_owned()));
        let own = own.map(|(name, value)| (name.to_owned(), value));
        own.into_iter().chain(step).chain([("SLURM_NODEID".to_owned(), "0".to_owned())]).collect::<Vec<_>>()
    };
    let mpi = |rank: usize| {
        let values = [("RANK", rank.to_string()), ("SIZE", "2".to_owned())];
        let local = values.clone().map(|(name, value)| (format!("OMPI_COMM_WORLD_LOCAL_{name}"), value));
        let all = values.map(|(name, value)| (format!("OMPI_COMM_WORLD_{name}"), value));
        local.into_iter().chain(all).chain([("MASTER_PORT".to_owned(), port.clone())]).collect::<Vec<_>>()
    };
    for launcher in [&slurm as &dyn Fn(usize) -> Vec<(String, String)>, &mpi] {
        let before = files_below(&ranks.home().join("runs"));
        let start = |rank| {
            let mut command = ranks.frostline(&["train", "r.toml", "--quiet"]);
            Rank { child: command.envs(launcher(rank)).spawn().unwrap(), rank }
        };
        let mut all = [start(0), start(1)];
        let (code, out, err) = all[0].end();
        assert_eq!(code, Some(0), "{err}");
        assert_eq!(all[1].end(), (Some(0), String::new(), String::new()));
        let run = RunHome::open(ranks.home()).find(out.trim()).unwrap();
        assert_eq!((losses(&run).len(), files_below(&ranks.home().join("runs"))), (22, before + 1));
    }
}

#[test]
fn processes_train_as_threads_do_and_resume_on_another_number() {
    let ranks = Ranks::new();
    let mut all = ranks.start(2, &["train", "r.toml"], "30");
    let (code, out, err) = all[0].end();
    assert_eq!(code, Some(0), "{err}");
    let (code, other_out, other_err) = all[1].end();
    assert_eq!((code, other_out.as_str(), other_err.as_str()), (Some(0), "", ""));
    assert_eq!(files_below(&ranks.home().join("runs")), 1);
    let run = RunHome::open(ranks.home()).find(out.trim()).unwrap();

    let place = Place::new(&["train.batch_size=25", "train.devices=['cpu:0', 'cpu:1']"]);
    let torch: Arc<dyn Engine> = Arc::new(TorchEngine);
    assert_eq!(losses(&run), losses(&place.finished(&torch)));

    let longer = ["resume", out.trim(), "--set", "train.steps=30"];
    for mut rank in ranks.start(3, &longer, "30") {
        let (code, _, err) = rank.end();
        assert_eq!(code, Some(0), "rank {}: {err}", rank.rank);
    }
    assert_eq!(run.checkpoints().newest_good().unwrap().0.state.step, 30);
    let alone = ranks.frostline(&["resume", out.trim(), "--set", "train.steps=34"]).output().unwrap();
    assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stderr));
    assert_eq!(losses(&run).len(), 34);
}

#[test]
fn a_killed_process_is_named_and_the_state_before_it_is_kept() {
    let ranks = Ranks::new();
    let mut all = ranks.start(3, LONG, "30");
    let run = ranks.run_at(8);
    let pid = all[1].child.id();
    let killed = Instant::now();
    all[1].signal(Signal::KILL);
    let (code, _, err) = all[0].end();
    assert!(killed.elapsed() < SOON);
    assert_eq!(code, Some(1), "{err}");
    let name = format!("rank 1 (process {pid} on ");
    assert!(err.contains(&name) && err.contains("its process ended without a word"), "{err}");
    eprintln!("rank 0: {err}");
    let step = run.checkpoints().newest_good().unwrap().0.state.step;
    assert!(err.contains(&format!("step-{step:08}")), "{err}");
    let (code, _, err) = all[2].end();
    assert_eq!(code, Some(1));
    assert!(err.starts_with("error: rank 2: stopped, because of rank 1") && err.lines().count() == 1, "{err}");
    // It goes on from there.
    let end = format!("train.steps={}", step + 3);
    let alone = ranks.frostline(&["resume", "last", "--set", &end]).output().unwrap();
    assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stderr));
    assert_eq!(losses(&run).len() as u64, step + 3);
}

#[test]
fn a_paused_run_notices_too() {
    let ranks = Ranks::new();
    let mut all = ranks.start(2, LONG, "30");
    let run = ranks.run_at(4);
    let paused = ranks.frostline(&["pause", run.id().as_str()]).output().unwrap();
    assert!(paused.status.success(), "{}", String::from_utf8_lossy(&paused.stderr));
    all[1].signal(Signal::KILL);
    let (code, _, err) = all[0].end();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("rank 1 (process"), "{err}");
}

#[test]
fn the_others_end_with_rank_0() {
    let ranks = Ranks::new();
    let mut all = ranks.start(2, LONG, "30");
    ranks.run_at(4);
    all[0].signal(Signal::KILL);
    let (code, out, err) = all[1].end();
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("error: rank 1: stopped, because of rank 0: its process ended"), "{err}");
}

#[test]
fn a_silent_process_is_lost() {
    let ranks = Ranks::new();
    let mut all = ranks.start(2, LONG, "1");
    ranks.run_at(4);
    all[1].signal(Signal::STOP);
    let (code, _, err) = all[0].end();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("rank 1 (process") && err.contains("no heartbeat for 1 s"), "{err}");
}

/// A limit on addresses stands for a device whose memory ends.
#[test]
#[cfg(target_os = "linux")]
fn a_rank_whose_memory_ends_is_named_with_the_remedy() {
    let ranks = Ranks::new();
    // One activation alone is 0.5 GiB, and a step holds several.
    let sets = ["model.hidden=[200000]", "train.batch_size=1436", "train.steps=1", "train.accumulate_grad_batches=1"];
    let more = ["train.probe=false", "data.classes=[]", "optimizer.momentum=0.0"];
    let sets = sets.iter().chain(&more).flat_map(|s| ["--set", s]);
    let args: Vec<&str> = ["train", "r.toml", "--quiet"].into_iter().chain(sets).collect();
    let start = |rank: usize| {
        let mut command = ranks.frostline(&args);
        if rank == 1 {
            let limited = ["-c", "ulimit -v 3145728; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_frostline")];
            command = ranks.with_environment(Command::new("sh"));
            command.args(limited).args(&args);
        }
        Rank { child: ranks.place(&mut command, rank, 2, "30").spawn().unwrap(), rank }
    };
    let mut all = [start(0), start(1)];
    let (code, _, err) = all[0].end();
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("step 1: out of memory on rank 1 (process") && err.contains("with a batch of 718"), "{err}");
    assert!(err.contains("checkpoint step-00000000 holds the state before it"), "{err}");
    let remedy = "--set train.batch_size=718 --set train.accumulate_grad_batches=2";
    assert!(err.contains(&format!("frostline resume {} {remedy}", ranks.run_at(0).id())), "{err}");
    let (code, _, err) = all[1].end();
    assert!(code == Some(1) && err.starts_with("error: rank 1: out of memory"), "{err}");
}

#[test]
fn a_rank_0_that_cannot_join_tells_the_others_why() {
    let ranks = Ranks::new();
    let no_network = |rank: usize| (rank == 0).then_some(("GLOO_SOCKET_IFNAME", "nosuch0"));
    let mut all = ranks.start_with(3, &["train", "r.toml"], "30", no_network);
    let (code, _, err) = all[0].end();
    assert!(code == Some(1) && err.contains("the ranks cannot join: ") && err.contains("nosuch0"), "{code:?} {err}");
    for rank in &mut all[1..] {
        let (code, _, err) = rank.end();
        let start = format!("error: rank {}: stopped, because of rank 0: the ranks cannot join: ", rank.rank);
        assert!(code == Some(1) && err.starts_with(&start) && err.contains("nosuch0"), "{code:?} {err}");
    }
}

#[test]
fn other_devices_are_refused_before_anything_is_done() {
    let ranks = Ranks::new();
    let mut all = ranks.start(2, LONG, "30");
    let run = ranks.run_at(4);
    let ask = |args: &[&str]| {
        let out = ranks.frostline(args).output().unwrap();
        (out.status.success(), String::from_utf8(out.stderr).unwrap())
    };
    let id = run.id().as_str();
    let (paused, err) = ask(&["pause", id]);
    assert!(paused, "{err}");
    let (moved, err) = ask(&["set", id, "devices=['cpu:0']"]);
    assert!(!moved && err.contains("the devices of a run of several processes stay as they are"), "{err}");
    let reasons = run.checkpoints().list();
    assert!(reasons.iter().all(|c| c.reason != "devices"), "{reasons:?}");
    all[0].signal(Signal::TERM);
    assert_eq!(all[0].end().0, Some(130));
}

#[test]
fn a_signal_to_all_stops_them_after_a_checkpoint() {
    let ranks = Ranks::new();
    let mut all = ranks.start(2, LONG, "30");
    let run = ranks.run_at(4);
    // As torchrun does on Ctrl-C: the terminal's signal, then its own.
    for signal in [Signal::INT, Signal::TERM] {
        all.iter().for_each(|rank| rank.signal(signal));
    }
    let (code, _, err) = all[0].end();
    assert_eq!(code, Some(130), "{err}");
    let (code, _, err) = all[1].end();
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let step = run.checkpoints().newest_good().unwrap().0.state.step;
    assert_eq!(losses(&run).len() as u64, step, "the checkpoint is of the last step");
}

#[test]
fn what_cannot_be_is_said_in_words() {
    let ranks = Ranks::new();
    let refused = |args: &[&str], env: &[(&str, &str)]| {
        let out = ranks.frostline(args).envs(env.iter().copied()).output().unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, err) = refused(&["train", "r.toml"], &[("WORLD_SIZE", "2")]);
    assert!(code == Some(3) && err.contains("WORLD_SIZE=2") && err.contains("no RANK"), "{code:?} {err}");
    let whole = [("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")];
    let (code, err) = refused(&["train", "r.toml", "--detach"], &whole);
    assert!(code == Some(2) && err.contains("--detach"), "{code:?} {err}");
    let (code, err) = refused(&["train", "r.toml"], &whole[..3]);
    assert!(code == Some(3) && err.contains("MASTER_PORT"), "{code:?} {err}");
    // A recipe that rank 0 refuses: the others have nothing to do.
    let mut all = ranks.start(2, &["train", "r.toml", "--set", "train.batch_size=1"], "30");
    let (code, _, err) = all[0].end();
    assert!(code == Some(3) && err.contains("train.batch_size = 1"), "{code:?} {err}");
    all[1].end();
    assert_eq!(files_below(&ranks.home().join("runs")), 0);
}

#[test]
fn torchrun_starts_them() {
    let Some(python) = support::python::python() else { return };
    let ranks = Ranks::new();
    let mut command = Command::new(python);
    command.args(["-m", "torch.distributed.run", "--no-python", "--nproc-per-node=2", "--master-addr=127.0.0.1"]);
    command.arg(format!("--master-port={}", ranks.port)).arg(env!("CARGO_BIN_EXE_frostline"));
    command.args(["train", "r.toml"]).current_dir(ranks.folder.path());
    command.env("FROSTLINE_HOME", ranks.home()).env("OMP_NUM_THREADS", "1").stdin(Stdio::null());
    // It leaves folders of its own there.
    command.env("TMPDIR", ranks.folder.path());
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let id = String::from_utf8(out.stdout).unwrap();
    let run = RunHome::open(ranks.home()).find(id.trim()).unwrap();
    assert_eq!(losses(&run).len(), 22);
}
