//! Data parallelism: one learner a rank, all with the same model, each with a share of every batch.
//!
//! The trainer stays one, on rank 0. It sees a [`Leader`], a learner like any other, which has its own rank's learner and
//! tells the other ranks (`peer`) what to do (`op`); they do it in order (`serve`). So a freeze plan, a learning rate, a pause or
//! a stop reaches all ranks at the same step. Ranks are threads of this process (`threads`), or processes (`world` on rank 0,
//! `follow` on the others), which find each other (`arrivals`, `greet`, `meet`), talk over TCP (`wire`, `line`) and watch over each other
//! (`alarm`). What goes between ranks for the sake of the computation itself (gradients, losses, buffers) goes through c10d
//! (`torch::team`), not through here; `nccl` decides by which way.
//!
//! Imports the engine's border, `data`, `torch`, `device`, `ffi::c10d` and `ffi::nccl`; called by `torch` alone.

mod alarm;
mod arrivals;
mod follow;
mod greet;
mod leader;
mod line;
mod meet;
mod nccl;
mod op;
mod peer;
mod serve;
#[cfg(test)]
mod tests;
mod threads;
mod wire;
mod world;

use std::time::Duration;

pub use follow::follow;
pub use leader::Leader;
pub use threads::threads;
pub use world::LeadingEngine;

use super::api::EngineError;
use super::device;
use super::seat::Seat;

/// How long a rank waits for another one that lives: as long as PyTorch does. One that is gone is noticed at once.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How long ranks wait for each other at the start, as long as PyTorch does.
const MEET: Duration = Duration::from_secs(300);

/// All ranks must be of one version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The name of this machine.
fn here() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// The device of a process among those on its machine: the one at its place in the list, or the GPU with its number.
fn device_of(seat: &Seat, asked: &[String]) -> Result<String, EngineError> {
    let one = |name: &str| device::resolve(&[name.to_owned()]).and_then(|names| first(names, name));
    let (local, size) = (seat.local_rank, seat.local_size);
    let variable = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    match asked {
        [name] if matches!(name.as_str(), "auto" | "all") => match one("auto")? {
            cpu if cpu.starts_with("cpu") => Ok(cpu),
            _ => {
                let visible = device::resolve(&["all".to_owned()])?.len();
                one(&format!("cuda:{}", gpu_of(local, visible, variable.as_deref())))
            }
        },
        [name] if is_shared(name, size, variable.as_deref()) => Err(EngineError::Refused(format!(
            "train.devices = [\"{name}\"]: {size} processes on this machine cannot share one GPU; use [\"all\"], and each takes \
             the GPU with its LOCAL_RANK"
        ))),
        [name] => one(name),
        several => {
            let all = device::resolve(several)?;
            all.into_iter().nth(local).ok_or_else(|| {
                EngineError::Refused(format!(
                    "train.devices names {} devices, and LOCAL_RANK is {local}: name as many as there are processes on a machine",
                    several.len()
                ))
            })
        }
    }
}

/// The number of the GPU that a process takes of those that it sees: its own number, or the one that its launcher shows to it
/// alone (`srun --gpus-per-task=1`). One that all see by chance is not shared: the number is then one that is not there.
fn gpu_of(local: usize, visible: usize, variable: Option<&str>) -> usize {
    if visible == 1 && shows_one(variable) { 0 } else { local }
}

/// Whether the name means one GPU to all processes of this machine: not where the launcher shows another one to each.
fn is_shared(name: &str, size: usize, variable: Option<&str>) -> bool {
    name.starts_with("cuda") && size > 1 && !shows_one(variable)
}

/// Whether `CUDA_VISIBLE_DEVICES` has one entry.
fn shows_one(variable: Option<&str>) -> bool {
    variable.is_some_and(|list| !list.trim().is_empty() && !list.contains(','))
}

/// Two of these that are the same GPU, by the driver's names.
fn same_gpu(gpus: &[Option<String>]) -> Option<(usize, usize)> {
    gpus.iter().enumerate().find_map(|(i, gpu)| {
        let first = gpus.iter().position(|other| other.is_some() && other == gpu)?;
        (first < i).then_some((first, i))
    })
}

fn first(names: Vec<String>, asked: &str) -> Result<String, EngineError> {
    names.into_iter().next().ok_or_else(|| EngineError::Failed(format!("`{asked}` is no device; this is a bug")))
}
