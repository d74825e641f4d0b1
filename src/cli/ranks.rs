//! This process among several that train together, under `torchrun`, Slurm or MPI: rank 0 runs the command, the others take
//! part in what it does.

use super::context::Context;
use super::error::{CliError, Done};
use super::follow::FollowArgs;
use crate::engine::seat::Seat;

/// Waits for the other processes if this is rank 0 of several; takes part in its run, to the end, if this is another one.
pub fn take_part(args: &FollowArgs, cx: &mut Context<'_>) -> Result<Option<Done>, CliError> {
    let Some(seat) = Seat::of_process()? else { return Ok(None) };
    let flags = [("--watch", args.watch), ("--detach", args.detach), ("--retries", args.retries.is_some())];
    if let Some((flag, _)) = flags.iter().find(|(_, set)| *set) {
        return Err(CliError::Usage(format!(
            "{flag} does not go with several processes (this is one of {}): the run belongs to what started them; leave it \
             out, and look at the run from another terminal",
            seat.size
        )));
    }
    let engine = cx.engine()?;
    // Whatever started the processes signals all of them, perhaps more than once. Rank 0 decides what becomes of it.
    cx.io.interrupt.listen_patiently().map_err(|e| CliError::Failed(format!("cannot listen to signals: {e}")))?;
    if seat.rank == 0 {
        cx.set_engine(engine.lead(&seat)?);
        return Ok(None);
    }
    engine.follow(&seat)?;
    Ok(Some(Done::Ok))
}

/// Whether this is a process of several, and not the one that speaks.
pub fn is_silent() -> Result<bool, CliError> {
    Ok(Seat::of_process()?.is_some_and(|seat| seat.rank > 0))
}
