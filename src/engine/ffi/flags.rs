//! Flags that libtorch keeps once for the process and reads at each call of an operator.
//!
//! They are a matter of who computes, and so each learner sets its own before it does. Two that compute at once, on two
//! threads and with different flags, would disturb each other; see [`Flags::set`].

use super::{Result, check, raw};

/// How operators on CUDA compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// Only operators that give the same bits each time; others raise an error that names them.
    pub deterministic: bool,
    /// cuDNN tries its algorithms and takes the fastest.
    pub benchmark: bool,
    /// TF32 matrix units for float32 products and convolutions.
    pub tf32: bool,
}

impl Flags {
    /// Puts them into force, which costs next to nothing where they are.
    ///
    /// Nothing of ours computes with others meanwhile: a process has one live run at a time (the workbench starts the next
    /// one when the last is over), its ranks share the recipe and the kind of device, and what is built beside it for its
    /// layers alone computes nothing.
    pub fn set(self) -> Result<()> {
        // SAFETY: plain flags.
        check(unsafe { raw::fl_set_flags(self.deterministic.into(), self.benchmark.into(), self.tf32.into()) })
    }

    /// Those in force.
    pub fn in_force() -> Result<Self> {
        let (mut deterministic, mut benchmark, mut tf32) = (0, 0, 0);
        // SAFETY: three numbers of ours.
        check(unsafe { raw::fl_flags(&raw mut deterministic, &raw mut benchmark, &raw mut tf32) })?;
        Ok(Self { deterministic: deterministic != 0, benchmark: benchmark != 0, tf32: tf32 != 0 })
    }
}
