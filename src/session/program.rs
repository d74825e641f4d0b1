//! Starting this program again, as a process of its own that hosts a run in the background.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How this program is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    /// Before all others.
    args: Vec<OsString>,
}

impl Program {
    /// The one that runs.
    pub fn this() -> Self {
        // Where the file was replaced by a newer build, this process's own image is still to be had.
        let path = std::env::current_exe().ok().filter(|p| p.exists());
        Self { path: path.unwrap_or_else(|| PathBuf::from("/proc/self/exe")), args: Vec::new() }
    }

    /// Another one, as for tests, which host runs in their own binary.
    pub fn new(path: impl Into<PathBuf>, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { path: path.into(), args: args.into_iter().map(Into::into).collect() }
    }

    /// A command that starts it with these arguments.
    pub fn command(&self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0("frostline").args(&self.args).args(args.into_iter().map(Into::into));
        command
    }
}

/// What a process in the background says on its stdout when it has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It hosts the run.
    Started {
        /// The run.
        run: String,
        /// Its process id.
        pid: u32,
    },
    /// There was nothing to do: the run had ended before.
    AlreadyFinished {
        /// The run.
        run: String,
    },
}

impl Begun {
    /// Says it.
    pub fn say(&self, mut out: impl Write) -> std::io::Result<()> {
        // On a line of its own, whatever was printed before.
        match self {
            Self::Started { run, pid } => writeln!(out, "\nstarted {run} {pid}")?,
            Self::AlreadyFinished { run } => writeln!(out, "\nfinished {run}")?,
        }
        out.flush()
    }

    /// Reads a line of it.
    pub fn parse(line: &str) -> Option<Self> {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["started", run, pid] => Some(Self::Started { run: (*run).to_owned(), pid: pid.parse().ok()? }),
            ["finished", run] => Some(Self::AlreadyFinished { run: (*run).to_owned() }),
            _ => None,
        }
    }
}

/// Why there is no process in the background.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The system refuses.
    #[error("a process in the background cannot be started: {0}")]
    Io(#[from] std::io::Error),
    /// It ended before it had begun. It has said why on its stderr.
    #[error("{}", if said.is_empty() { "the process in the background ended before it had begun" } else { said })]
    Ended {
        /// Its exit code; `None` where a signal ended it.
        code: Option<i32>,
        /// What it said, where its stderr was to be kept.
        said: String,
    },
}

/// How a process in the background comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Somebody waits for it at the terminal, whose signals end it until it hosts its run; what it says on stderr goes
    /// there.
    Watched,
    /// It takes a run over, which must not depend on the terminal at any moment; what it says on stderr goes into the
    /// error.
    Alone,
}

/// Starts the program in the background and waits until it hosts its run. Then at the latest it is a session of its own.
///
/// # Errors
/// Where it ends before that.
pub fn launch(
    program: &Program,
    args: impl IntoIterator<Item = impl Into<OsString>>,
    manner: Manner,
) -> Result<Begun, LaunchError> {
    let mut command = program.command(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    if manner == Manner::Alone {
        command.stderr(Stdio::piped());
        in_a_session_of_its_own(&mut command);
    }
    let mut child = command.spawn()?;
    // Both pipes end when it has begun, or with it.
    let said = child.stderr.take().map(|mut err| {
        std::thread::spawn(move || {
            let mut said = String::new();
            let _ = err.read_to_string(&mut said);
            said
        })
    });
    let lines = child.stdout.take().map(|out| BufReader::new(out).lines().map_while(Result::ok));
    if let Some(begun) = lines.into_iter().flatten().find_map(|l| Begun::parse(&l)) {
        // It is not waited for: it outlives this process, and where it does not, it is a zombie until this one ends.
        return Ok(begun);
    }
    let code = child.wait()?.code();
    let said = said.and_then(|s| s.join().ok()).unwrap_or_default();
    let said = said.lines().filter(|l| !l.is_empty()).map(|l| l.trim_start_matches("error: ")).collect::<Vec<_>>();
    Err(LaunchError::Ended { code, said: said.join("; ") })
}

#[allow(unsafe_code, reason = "what runs between fork and exec must be safe to run there: it is one system call")]
fn in_a_session_of_its_own(command: &mut Command) {
    // SAFETY: `setsid` is async-signal-safe, and nothing is allocated.
    unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?)) };
}

/// Whether this process leads its session, and has no shell above it.
pub fn leads_its_session() -> bool {
    // In a container whose session was begun outside of it the session is 0, for which rustix's `getsid` has no value.
    #[cfg(target_os = "linux")]
    return session_in(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default()) == Some(std::process::id());
    #[cfg(not(target_os = "linux"))]
    return rustix::process::getsid(None).is_ok_and(|session| session == rustix::process::getpid());
}

/// The session of a process by its `/proc/PID/stat`: the fourth field after its name in brackets, which may hold anything.
#[cfg(target_os = "linux")]
fn session_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse().ok()
}

/// Cuts this process's ties to the terminal that it was started from: a session of its own, input from nowhere, output to
/// the run's log.
pub fn leave_terminal(log: &Path) {
    // Fails where it leads a session already.
    let _ = rustix::process::setsid();
    redirect_to(log);
}

/// Input from nowhere, output to a log.
pub fn redirect_to(log: &Path) {
    let null = || std::fs::File::options().read(true).write(true).open("/dev/null");
    let file = std::fs::File::options().create(true).append(true).open(log).or_else(|_| null());
    let _ = std::io::stdout().flush();
    if let Ok(file) = file {
        let _ = rustix::stdio::dup2_stdout(&file);
        let _ = rustix::stdio::dup2_stderr(&file);
    }
    if let Ok(null) = null() {
        let _ = rustix::stdio::dup2_stdin(&null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("/bin/sh", ["-c", script, "sh"])
    }

    /// A terminal that closes takes the processes of its session with it.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_takes_a_run_over_is_no_part_of_the_session() {
        // The sixth field of /proc/self/stat is the session.
        let script = "read -r _ _ _ _ _ session _ < /proc/self/stat; echo started r $session; echo >&2";
        let sessions = [Manner::Watched, Manner::Alone].map(|manner| match launch(&shell(script), ["x"], manner) {
            Ok(Begun::Started { pid, .. }) => pid,
            other => panic!("{other:?}"),
        });
        let own = session_in(&std::fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        assert_eq!(sessions[0], own);
        assert_ne!(sessions[1], own);
        assert_ne!(sessions[1], 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_session_is_read_whatever_the_process_is_called() {
        assert_eq!(session_in("71 (a (b) 7 8) S 1 70 69 34816 71 4194304"), Some(69));
        assert_eq!(session_in("1 (frostline) R 0 0 0 0 -1"), Some(0));
        assert_eq!(session_in(""), None);
    }

    #[test]
    fn what_has_begun_is_told_from_what_ended() {
        for begun in
            [Begun::Started { run: "r".into(), pid: 7 }, Begun::AlreadyFinished { run: "20261125-032042-8b6a".into() }]
        {
            let mut line = Vec::new();
            begun.say(&mut line).unwrap();
            assert_eq!(String::from_utf8(line).unwrap().lines().find_map(Begun::parse), Some(begun));
        }
        let begun =
            launch(&shell("echo running 1 test; echo started $1 5; exec sleep 0.1"), ["r"], Manner::Alone).unwrap();
        assert_eq!(begun, Begun::Started { run: "r".into(), pid: 5 });
        match launch(&shell("echo 'error: no such recipe' >&2; exit 3"), ["x"], Manner::Alone) {
            Err(LaunchError::Ended { code: Some(3), said }) => assert_eq!(said, "no such recipe"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(launch(&Program::new("/nowhere", [""; 0]), ["x"], Manner::Watched), Err(LaunchError::Io(_))));
    }
}
