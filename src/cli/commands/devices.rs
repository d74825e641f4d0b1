//! `frostline devices`: what can compute, and why something cannot.

use crate::app::format::bytes;
use crate::cli::args::DevicesArgs;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::output::Listing;

/// Lists the devices.
pub fn run(args: &DevicesArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let engine = cx.engine()?;
    let devices = engine.devices();
    if args.json {
        return cx.print_json(&devices).map(|()| Done::Ok);
    }
    let mut listing = Listing::new(cx.io, &["device", "model", ">memory", ">free", "state"], "no devices");
    for d in &devices {
        let state = d.unusable.as_ref().map_or_else(|| "usable".to_owned(), |why| format!("unusable: {why}"));
        listing.row([d.name.clone(), d.model.clone(), bytes(d.memory_total), bytes(d.memory_free), state]);
    }
    listing.print(cx.io)?;
    cx.io.say(&engine.name());
    Ok(Done::Ok)
}
