//! `frostline devices`: what can compute, what it does at the moment, and why something cannot be used.

use std::time::Duration;

use crate::app::format::{bytes, degrees, percent, watts};
use crate::cli::args::DevicesArgs;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::io::Io;
use crate::cli::output::Listing;
use crate::core::device::{Reading, Survey};
use crate::session::Telemetry;

/// The CPU's load is that of so long.
const LOOK: Duration = Duration::from_millis(250);

/// Lists the devices.
pub fn run(args: &DevicesArgs, cx: &mut Context<'_>) -> Result<Done, CliError> {
    // What devices do can be told without libtorch.
    let engine = cx.engine();
    let own = engine.as_ref().ok().and_then(|e| e.telemetry());
    let mut telemetry = own.unwrap_or_else(Telemetry::open);
    telemetry.survey();
    std::thread::sleep(LOOK);
    let mut survey = telemetry.survey();
    let last = match engine {
        Ok(engine) => {
            survey.heed(&engine.devices());
            engine.name()
        }
        Err(problem) => format!("nothing can be trained here: {problem}"),
    };
    if args.json {
        return cx.print_json(&survey.devices).map(|()| Done::Ok);
    }
    table(&survey, cx.io).print(cx.io)?;
    if survey.devices.iter().any(|d| !d.processes.is_empty()) {
        cx.io.print("")?;
        processes(&survey, cx.io).print(cx.io)?;
    }
    survey.notes.iter().for_each(|note| cx.io.say(note));
    cx.io.say(&last);
    Ok(Done::Ok)
}

fn table(survey: &Survey, io: &Io) -> Listing {
    let headers = ["device", "model", ">load", ">used", ">free", ">memory", ">temperature", ">power", "state"];
    let mut listing = Listing::new(io, &headers, "no devices");
    for d in &survey.devices {
        let (known, dash) = (d.problem.is_none() && d.memory_total > 0, || "-".to_owned());
        let size = |n: u64, known: bool| if known { bytes(n) } else { dash() };
        listing.row([
            d.name.clone(),
            model(d),
            d.load.map_or_else(dash, percent),
            size(d.memory_used, known),
            size(d.memory_free, known),
            size(d.memory_total, d.memory_total > 0),
            d.temperature.map_or_else(dash, degrees),
            d.power.map_or_else(dash, |now| watts(now, d.power_limit)),
            state(d),
        ]);
    }
    listing
}

fn model(d: &Reading) -> String {
    match (d.threads, &d.capability) {
        (Some(1), _) => format!("{}, 1 thread", d.model),
        (Some(threads), _) => format!("{}, {threads} threads", d.model),
        (None, Some(capability)) => format!("{} ({capability})", d.model),
        (None, None) if d.model.is_empty() => "-".to_owned(),
        (None, None) => d.model.clone(),
    }
}

fn state(d: &Reading) -> String {
    match (&d.unusable, &d.problem) {
        (Some(why), _) if d.is_absent() => format!("none: {why}"),
        (Some(why), _) => format!("unusable: {why}"),
        (None, Some(problem)) => format!("in trouble: {problem}"),
        (None, None) => "usable".to_owned(),
    }
}

fn processes(survey: &Survey, io: &Io) -> Listing {
    let mut listing = Listing::new(io, &["device", ">pid", "process", ">memory"], "no processes");
    for (d, p) in survey.devices.iter().flat_map(|d| d.processes.iter().map(move |p| (d, p))) {
        let name = p.name.clone().unwrap_or_else(|| "-".to_owned());
        let name = if p.own { format!("{name} (this one)") } else { name };
        listing.row([d.name.clone(), p.pid.to_string(), name, p.memory.map_or_else(|| "-".to_owned(), bytes)]);
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::telemetry::{Environment, FakeGpu, FakeGpus};

    fn printed(gpus: Vec<FakeGpu>) -> String {
        let mut telemetry = Telemetry::with(Ok(Box::new(FakeGpus::new(gpus))), &Environment::default()).without_cpu();
        let survey = telemetry.survey();
        let (mut io, captured) = Io::captured();
        table(&survey, &io).print(&mut io).unwrap();
        processes(&survey, &io).print(&mut io).unwrap();
        io.flush().unwrap();
        captured.stdout()
    }

    #[test]
    fn gpus_in_every_state_are_listed() {
        let mut dead = FakeGpu::idle(2);
        dead.dies_after = Some(0);
        let text = printed(vec![FakeGpu::idle(0), FakeGpu::busy(1, 79, 1.0), dead]);
        insta::assert_snapshot!("devices_every_state", text);
    }

    #[test]
    fn devices_are_told_where_nothing_can_be_trained_too() {
        let (io, captured) = Io::captured();
        let none = || Err(crate::engine::EngineError::Failed("built without libtorch".to_owned()));
        let code = crate::cli::run(["frostline", "devices"], io, Box::new(none));
        assert_eq!((code, captured.stdout().starts_with("device")), (0, true), "{}", captured.stderr());
        assert!(captured.stderr().contains("nothing can be trained here: built without libtorch"));
    }

    #[test]
    fn a_machine_without_gpus_says_why() {
        let text = printed(Vec::new());
        assert!(text.contains("none: no NVIDIA GPU on this machine"), "{text}");
    }
}
