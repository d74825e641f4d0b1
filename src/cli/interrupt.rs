//! Ctrl-C and the like: the first asks for an orderly end, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Whether somebody asked the running command to stop. Clones share the wish.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
    /// Whether signals of this process are to be listened to.
    of_process: bool,
}

impl Interrupt {
    /// One that listens to this process's signals once [`Interrupt::listen`] is called.
    pub fn of_process() -> Self {
        Self { of_process: true, ..Self::default() }
    }

    /// From now on the first SIGINT, SIGTERM or SIGHUP is only noted, and the second kills the process as it would have without us.
    /// Commands that have nothing to finish never call this: there the first one kills.
    pub fn listen(&self) -> std::io::Result<()> {
        if !self.of_process {
            return Ok(());
        }
        let asked = Arc::new(AtomicBool::new(false));
        // Handlers run in the order in which they were registered: the second signal finds the flag set, the first does not.
        // A hang-up is no impatience, and whoever sends it may send SIGTERM right after it.
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_default(signal, asked.clone())?;
            signal_hook::flag::register(signal, asked.clone())?;
        }
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_usize(signal, self.signal.clone(), signal as usize)?;
        }
        Ok(())
    }

    /// Asks as a signal would.
    pub fn raise(&self, signal: i32) {
        self.signal.store(signal as usize, Ordering::SeqCst);
    }

    /// The reason to stop, if there is one: `Ctrl-C`, `SIGTERM`, `SIGHUP`.
    pub fn asked(&self) -> Option<&'static str> {
        match self.signal.load(Ordering::SeqCst) as i32 {
            0 => None,
            SIGTERM => Some("SIGTERM"),
            SIGHUP => Some("SIGHUP"),
            _ => Some("Ctrl-C"),
        }
    }
}
