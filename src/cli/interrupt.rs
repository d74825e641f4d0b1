//! Ctrl-C and the like: the first asks for an orderly end, the second ends the process at once. A terminal that goes away
//! ends nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// Whether somebody asked the running command to stop. Clones share the wish.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
    hung_up: Arc<AtomicBool>,
    /// A signal came since the last look, where that is for us to judge.
    again: Arc<AtomicBool>,
    patient: Arc<AtomicBool>,
    /// Whether signals of this process are to be listened to.
    of_process: bool,
}

impl Interrupt {
    /// One that listens to this process's signals once [`Interrupt::listen`] is called.
    pub fn of_process() -> Self {
        Self { of_process: true, ..Self::default() }
    }

    /// Whether it is about this process's signals.
    pub fn is_of_process(&self) -> bool {
        self.of_process
    }

    /// From now on the first SIGINT, SIGTERM or SIGUSR1 is only noted, and the second kills the process as it would have without us.
    /// SIGHUP is noted apart from them. Commands that have nothing to finish never call this: there the first one kills.
    pub fn listen(&self) -> std::io::Result<()> {
        if !self.of_process {
            return Ok(());
        }
        // Handlers run in the order in which they were registered: the second signal finds the flag set, the first does not.
        // SIGUSR1 is a scheduler's warning, and the SIGTERM after it the deadline that it warned of, not impatience: the
        // checkpoint may still be on its way, so that each of the two has a flag of its own.
        let (ended, warned) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for (signal, flag) in [(SIGINT, &ended), (SIGTERM, &ended), (SIGUSR1, &warned)] {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(flag))?;
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::flag::register_usize(signal, Arc::clone(&self.signal), signal as usize)?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&self.hung_up))?;
        Ok(())
    }

    /// The same for a process that another one looks after. A scheduler signals both of them, and the other one hands its
    /// signals on: what comes twice within a second came once.
    pub fn listen_patiently(&self) -> std::io::Result<()> {
        if !self.of_process {
            return Ok(());
        }
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            signal_hook::flag::register_usize(signal, Arc::clone(&self.signal), signal as usize)?;
            signal_hook::flag::register(signal, Arc::clone(&self.again))?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&self.hung_up))?;
        self.patient.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Of a process that listens patiently: ends it if it was signalled since the last call, as the signal does by itself.
    pub fn again(&self) {
        let again = self.again.swap(false, Ordering::SeqCst);
        if again && self.patient.load(Ordering::SeqCst) && self.of_process {
            let signal = self.signal.load(Ordering::SeqCst) as i32;
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    }

    /// Forgets what came within the second.
    pub fn settle(&self) {
        self.again.store(false, Ordering::SeqCst);
    }

    /// Asks as a signal would.
    pub fn raise(&self, signal: i32) {
        match signal {
            SIGHUP => self.hung_up.store(true, Ordering::SeqCst),
            _ => self.signal.store(signal as usize, Ordering::SeqCst),
        }
    }

    /// The reason to stop, if there is one: `Ctrl-C`, `SIGTERM`, `SIGUSR1`.
    pub fn asked(&self) -> Option<&'static str> {
        match self.signal.load(Ordering::SeqCst) as i32 {
            0 => None,
            SIGTERM => Some("SIGTERM"),
            SIGUSR1 => Some("SIGUSR1"),
            _ => Some("Ctrl-C"),
        }
    }

    /// Whether the terminal has gone away.
    pub fn hung_up(&self) -> bool {
        self.hung_up.load(Ordering::SeqCst)
    }
}
