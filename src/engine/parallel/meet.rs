//! The rendezvous, in which nothing can wake a rank that waits for another one: it is waited for on a thread of its own, and left
//! alone once it is of no use.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::MEET;
use crate::engine::api::EngineError;
use crate::engine::ffi::c10d::Group;

/// How often it is looked whether the others still come.
const LOOK: Duration = Duration::from_millis(20);

/// Of a rank other than 0 that cannot join: another one may have kept it from that, which others know better.
pub fn perhaps_an_echo(error: EngineError) -> EngineError {
    EngineError::Lost(error.to_string())
}

/// Joins a group, unless it is known before (`useless`) that it will not come about. The thread (`rendezvous`) then waits on for
/// as long as c10d does, with nothing in its hands.
pub fn meet(
    join: impl FnOnce() -> Result<Group, EngineError> + Send + 'static,
    mut useless: impl FnMut() -> Option<EngineError>,
) -> Result<Group, EngineError> {
    let failed = |what: String| EngineError::Failed(format!("the ranks cannot join: {what}"));
    let (say, joined) = channel();
    let body = move || drop(say.send(join()));
    let thread = std::thread::Builder::new().name("rendezvous".to_owned()).spawn(body);
    thread.map_err(|e| failed(e.to_string()))?;
    let deadline = Instant::now() + MEET;
    loop {
        match joined.recv_timeout(LOOK) {
            Ok(group) => return group.map_err(|e| failed(e.to_string())),
            Err(RecvTimeoutError::Disconnected) => return Err(failed("a thread broke down; this is a bug".to_owned())),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(error) = useless() {
            return Err(error);
        }
        if Instant::now() > deadline {
            return Err(failed(format!("not all came within {} s", MEET.as_secs())));
        }
    }
}
