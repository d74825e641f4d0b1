//! `frostline metrics`: a run's metrics, read out for other programs.

use std::io::Write;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Done};
use crate::cli::io::closed;
use crate::core::run::MetricsReader;
use crate::core::run::MetricsTable;

/// Arguments of `frostline metrics`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run
    pub run: String,
    /// csv: a column a metric, an empty cell where a step has none; jsonl: an object a step
    #[arg(long, value_enum, default_value = "csv")]
    pub format: Format,
    /// Only these metrics (repeatable)
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
}

/// Ways to write metrics.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated, with a header.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// Streams the metrics to stdout.
pub fn run(args: &Args, cx: &mut Context<'_>) -> Result<Done, CliError> {
    let run = cx.home().find(&args.run)?;
    let (table, dropped) = MetricsReader::read_all(&run.metrics_path())?;
    if let Some(dropped) = dropped {
        cx.io.say(&format!("warning: run {}: {dropped}", run.id()));
    }
    let all = table.names();
    if let Some(unknown) = args.only.iter().find(|n| !all.contains(&n.as_str())) {
        return Err(CliError::Refused(format!(
            "run {} has no metric `{unknown}`; it has: {}",
            run.id(),
            all.join(", ")
        )));
    }
    let names: Vec<&str> = if args.only.is_empty() { all } else { args.only.iter().map(String::as_str).collect() };
    match args.format {
        Format::Csv => csv(&table, &names, cx.io.out()),
        Format::Jsonl => jsonl(&table, &names, cx.io.out()).map_err(closed),
    }?;
    Ok(Done::Ok)
}

fn csv(table: &MetricsTable, names: &[&str], out: &mut dyn Write) -> Result<(), CliError> {
    let mut writer = csv::Writer::from_writer(out);
    let failed = |e: csv::Error| match e.into_kind() {
        csv::ErrorKind::Io(e) => closed(e),
        other => CliError::Failed(format!("cannot write CSV: {other:?}")),
    };
    writer.write_record(["step", "time_ms"].iter().chain(names)).map_err(failed)?;
    for row in table.rows() {
        let cells = names.iter().map(|n| row.get(n));
        if cells.clone().all(|c| c.is_none()) {
            continue;
        }
        let head = [row.step.to_string(), row.time_ms.to_string()];
        let cells = cells.map(|c| c.map_or_else(String::new, |v| v.to_string()));
        writer.write_record(head.into_iter().chain(cells)).map_err(failed)?;
    }
    writer.flush().map_err(closed)
}

/// Not-a-number and infinities, which JSON has no word for, are null.
fn jsonl(table: &MetricsTable, names: &[&str], out: &mut dyn Write) -> std::io::Result<()> {
    for row in table.rows() {
        let mut object = serde_json::Map::new();
        object.insert("step".into(), row.step.into());
        object.insert("time_ms".into(), row.time_ms.into());
        let before = object.len();
        for (name, value) in row.values().filter(|(n, _)| names.contains(n)) {
            object.insert(name.to_owned(), value.into());
        }
        if object.len() > before {
            serde_json::to_writer(&mut *out, &object)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}
