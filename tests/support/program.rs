//! The whole program as a process, on the fake engine: the test binary itself, which takes what follows `--` as its
//! command line. A test file that uses it has a test named `child` which calls [`be`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use frostline::cli::{self, io::Io};
use frostline::core::run::{RunDir, RunHome, RunStatus};
use frostline::engine::Engine;
use frostline::engine::fake::FakeEngine;
use frostline::session::Program;

/// Makes the test binary the program.
pub const CHILD: [&str; 5] = ["--exact", "child", "--nocapture", "--test-threads=1", "--"];

/// Nothing takes so long; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const RECIPE: &str = r#"
name = "mlp"
[model]
arch = "mlp"
hidden = [16]
[data]
source = "digits"
classes = [0, 1, 2]
workers = 0
[optimizer]
lr = 0.01
[train]
steps = 100000000
batch_size = 24
devices = ["cpu"]
threads = 1
[checkpoint]
every_steps = 20
keep_last = 3
"#;

/// The program, where this process was started to be it; else nothing.
pub fn be() {
    let args: Vec<OsString> = std::env::args_os().skip_while(|a| a != "--").skip(1).collect();
    if args.is_empty() {
        return;
    }
    let delay = std::env::var("FAKE_DELAY_MS").ok().and_then(|d| d.parse().ok()).unwrap_or(2);
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let mut engine = FakeEngine::new(1).with_delay(Duration::from_millis(delay));
    if let Some(step) = number("FAKE_PANIC_AT") {
        engine = engine.with_panic_at(step);
    }
    if let Some(step) = number("FAKE_NAN_AT") {
        engine = engine.with_nan_at(step);
    }
    let mut io = Io::process();
    io.program = Program::new(std::env::current_exe().unwrap(), CHILD);
    let args = std::iter::once("frostline".into()).chain(args);
    let code = cli::run(args, io, Box::new(move || Ok(Arc::new(engine) as Arc<dyn Engine>)));
    std::process::exit(i32::from(code));
}

/// A folder with a recipe and a run home. What still runs in it at the end is killed.
pub struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("r.toml"), RECIPE).unwrap();
        Self { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn home(&self) -> RunHome {
        RunHome::open(self.path().join("home"))
    }

    /// The newest run.
    pub fn run(&self) -> RunDir {
        self.home().find("last").unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(CHILD).args(args).current_dir(self.path()).env("FROSTLINE_HOME", self.path().join("home"));
        command.env("FROSTLINE_CONFIG", self.path().join("config")).env_remove("RUST_BACKTRACE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    /// Starts a run that is to be seen stepping.
    pub fn training(&self, args: &[&str]) -> Child {
        let child = self.start(args);
        wait_until("the first steps", || self.home().find("last").is_ok_and(|run| run.summary().step > 2));
        child
    }

    pub fn call(&self, args: &[&str]) -> Ran {
        Ran::of(&self.start(args).wait_with_output().unwrap())
    }

    /// A command that must work.
    pub fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.call(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
        ran
    }

    pub fn status(&self) -> RunStatus {
        self.run().summary().status
    }

    /// Waits until the newest run has taken more steps.
    pub fn steps_on(&self) {
        let step = self.run().summary().step;
        wait_until("more steps", || self.run().summary().step > step + 5);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for run in self.home().runs().unwrap_or_default() {
            if let Some(owner) = run.owner() {
                signal(owner.pid, "KILL");
                let gone = Instant::now() + Duration::from_secs(10);
                while run.owner().is_some() && Instant::now() < gone {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    /// stdout without what the test harness printed before.
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let out = out.split_once("test child ... ").map_or(out.clone(), |(_, own)| own.to_owned());
        Self { code: output.status.code(), out, err: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    pub fn ended(child: Child) -> Self {
        Self::of(&child.wait_with_output().unwrap())
    }
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what}: waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Milliseconds of CPU time that the threads of this name have used.
pub fn cpu_ms(pid: u32, thread: &str) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let stats = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("stat")).ok());
    stats.filter_map(|s| ticks(&s, thread)).sum::<u64>() * 10
}

fn ticks(stat: &str, thread: &str) -> Option<u64> {
    let (name, rest) = (stat.split_once('(')?.1.rsplit_once(')')?.0, stat.rsplit_once(") ")?.1);
    let fields: Vec<&str> = rest.split(' ').collect();
    (name == thread).then(|| Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?))?
}

pub fn log(run: &RunDir) -> String {
    std::fs::read_to_string(run.log_path()).unwrap_or_default()
}

pub fn exe() -> PathBuf {
    std::env::current_exe().unwrap()
}
