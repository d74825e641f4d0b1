//! A whole run, timed: what Frostline's trainer takes for a step.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use frostline::core::recipe::Recipe;
use frostline::core::run::{MetricsReader, RunHome};
use frostline::core::tensor::{DType, HostTensor};
use frostline::core::weights::write_safetensors;
use frostline::engine::Engine;
use frostline::session::{Outcome, Session, Start};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Samples and their classes in a folder, for `data.path = "data.safetensors"`.
pub fn write_data(folder: &Path, x: &[f32], shape: &[usize], y: &[i64]) -> Result<()> {
    let shape = [&[y.len()][..], shape].concat();
    let classes = HostTensor {
        name: "y".to_owned(),
        dtype: DType::Int64,
        shape: vec![y.len()],
        data: y.iter().flat_map(|v| v.to_le_bytes()).collect(),
    };
    let tensors = [HostTensor::from_f32("x", &shape, x), classes];
    write_safetensors(&folder.join("data.safetensors"), &tensors, &Default::default(), true)?;
    Ok(())
}

/// Seconds a step, by the run's own clock, without the first eighth of its steps.
pub fn seconds_a_step(engine: Arc<dyn Engine>, recipe: &Recipe, folder: &Path) -> Result<f64> {
    let home = RunHome::open(folder.join("home"));
    let handle = Session::start(engine, &home, Start::Fresh { recipe: recipe.clone() })?;
    let run = handle.dir().clone();
    while !handle.is_over() {
        handle.wait(Duration::from_millis(500));
        handle.drain();
    }
    if let Outcome::Failed { message, .. } = handle.join() {
        return Err(message.into());
    }
    let (table, _) = MetricsReader::read_all(&run.metrics_path())?;
    let times: Vec<(u64, u64)> = table.rows().map(|row| (row.step, row.time_ms)).collect();
    match (times.get(times.len() / 8), times.last()) {
        (Some(a), Some(b)) if b.0 > a.0 => Ok((b.1 - a.1) as f64 / 1e3 / (b.0 - a.0) as f64),
        _ => Err("the run took no steps".into()),
    }
}
