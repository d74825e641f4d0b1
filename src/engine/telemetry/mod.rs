//! What the devices do: the CPU through `sysinfo`, NVIDIA GPUs through NVML, the driver's own library, which is loaded at run time
//! and may be absent. Needs no libtorch: builds without it show the same.
//!
//! Imports `core` only; `nvml-wrapper` and `sysinfo` are named nowhere else. Called by the trainer (metrics of a run), by
//! `device` (which GPU `auto` means), and through `session` by the command line and the workbench. A [`Telemetry`] belongs to
//! the thread that reads it and keeps nothing running between two readings.

mod cpu;
mod fake;
mod nvml;
mod off;

pub use fake::{FakeGpu, FakeGpus};

use cpu::Cpu;

use crate::core::device::{DeviceKind, DeviceProcess, Gpu, Gpus, Reading, Survey, visible};

/// What stays the same of a GPU.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Identity {
    /// What it is called.
    pub model: String,
    /// The driver's lasting name of it.
    pub uuid: String,
    /// Its place on the PCI bus.
    pub pci: String,
    /// CUDA's compute capability.
    pub capability: Option<(u32, u32)>,
    /// Total memory in bytes.
    pub memory: u64,
    /// Watts that it may take.
    pub power_limit: Option<f64>,
}

/// What a GPU does at one moment. What it does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GpuReading {
    /// Busy part, 0 to 1.
    pub load: Option<f64>,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Degrees Celsius.
    pub temperature: Option<f64>,
    /// Watts.
    pub power: Option<f64>,
    /// Who holds memory of it.
    pub processes: Vec<DeviceProcess>,
}

/// Where readings of GPUs come from.
pub trait GpuSource: Send {
    /// All GPUs of the machine, in the order of the PCI bus.
    ///
    /// # Errors
    /// In words, where they cannot be told.
    fn identities(&mut self) -> Result<Vec<Identity>, String>;

    /// What the GPU at this place does.
    ///
    /// # Errors
    /// In words, where it does not answer.
    fn read(&mut self, index: usize) -> Result<GpuReading, String>;

    /// Why none of them can compute, if so: a driver that is too old.
    fn unusable(&self) -> Option<String> {
        None
    }
}

/// What the user's environment says of GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    /// `CUDA_VISIBLE_DEVICES`.
    pub visible: Option<String>,
    /// `CUDA_DEVICE_ORDER`.
    pub order: Option<String>,
}

impl Environment {
    /// This process's.
    pub fn here() -> Self {
        let of = |name| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned());
        Self { visible: of("CUDA_VISIBLE_DEVICES"), order: of("CUDA_DEVICE_ORDER") }
    }
}

/// Reads the devices.
pub struct Telemetry {
    cpu: Option<Cpu>,
    /// What there is, or why there is nothing.
    gpus: Result<Seen, String>,
    notes: Vec<String>,
}

struct Seen {
    source: Box<dyn GpuSource>,
    /// Place in the source and identity of `cuda:0`, `cuda:1`, …
    devices: Vec<(usize, Identity)>,
    unusable: Option<String>,
}

impl Telemetry {
    /// This machine's devices. Loads the driver's library (some milliseconds).
    pub fn open() -> Self {
        Self::with(nvml::NvmlGpus::open().map(|gpus| Box::new(gpus) as _), &Environment::here())
    }

    /// The CPU and these GPUs; or why there are none.
    pub fn with(source: Result<Box<dyn GpuSource>, String>, env: &Environment) -> Self {
        let (gpus, notes) = match source.and_then(|mut s| Ok((s.identities()?, s))) {
            Ok((all, _)) if all.is_empty() => (Err(off::NO_GPU.to_owned()), Vec::new()),
            Ok((all, source)) => number(all, source, env),
            Err(why) => (Err(why), Vec::new()),
        };
        Self { cpu: Some(Cpu::new()), gpus, notes }
    }

    /// Without the CPU, for snapshots that must not differ from machine to machine.
    #[must_use]
    pub fn without_cpu(mut self) -> Self {
        self.cpu = None;
        self
    }

    /// Reads all. The load of the CPU is that since the reading before, and unknown at the first.
    pub fn survey(&mut self) -> Survey {
        let mut devices: Vec<Reading> = self.cpu.iter_mut().map(Cpu::read).collect();
        match &mut self.gpus {
            Ok(seen) => devices.extend(seen.read()),
            Err(why) => devices.push(Reading::absent(DeviceKind::Cuda, "cuda", why.as_str())),
        }
        devices.push(Reading::absent(DeviceKind::Mps, "mps", off::no_mps()));
        Survey { devices, notes: self.notes.clone() }
    }

    /// The GPUs, as far as a choice among them needs it.
    pub fn gpus(&mut self) -> Gpus {
        match &mut self.gpus {
            Err(why) => Gpus::Absent(why.clone()),
            Ok(Seen { unusable: Some(why), .. }) => Gpus::Unusable(why.clone()),
            Ok(seen) => Gpus::Usable(seen.read().map(|r| gpu(&r)).collect()),
        }
    }
}

/// A reading, as far as a choice needs it. One that failed leaves memory and load unknown.
fn gpu(reading: &Reading) -> Gpu {
    let known = reading.problem.is_none();
    let total = (reading.memory_total > 0).then_some(reading.memory_total);
    // Not the first choice, and never said to be full.
    Gpu { free: Some(if known { reading.memory_free } else { 0 }), total, load: reading.load }
}

/// Gives the GPUs that CUDA shows to this process their numbers.
fn number(all: Vec<Identity>, source: Box<dyn GpuSource>, env: &Environment) -> (Result<Seen, String>, Vec<String>) {
    let uuids: Vec<String> = all.iter().map(|g| g.uuid.clone()).collect();
    let variable = env.visible.as_deref();
    let seen = visible::visible(variable, &uuids);
    let hidden = visible::hidden_words(variable, all.len(), seen.len());
    if seen.is_empty() {
        return (Err(hidden.unwrap_or_else(|| off::NO_GPU.to_owned())), Vec::new());
    }
    let mut notes: Vec<String> = hidden.into_iter().collect();
    // CUDA numbers the fastest first unless it is told otherwise; which that is, is known to CUDA alone. Equal GPUs keep the
    // order of the bus, and UUIDs name what they mean.
    let by_number = variable.is_none_or(|v| !v.trim_start().starts_with("GPU-"));
    let mixed = all.iter().any(|g| g.model != all[0].model);
    if mixed && by_number && env.order.as_deref() != Some("PCI_BUS_ID") {
        notes.push(
            "these GPUs are not alike, and CUDA numbers the fastest first: set CUDA_DEVICE_ORDER=PCI_BUS_ID, so that cuda:0 \
             surely is the one that is listed so here"
                .to_owned(),
        );
    }
    let unusable = source.unusable();
    let devices = seen.into_iter().map(|i| (i, all[i].clone())).collect();
    (Ok(Seen { source, devices, unusable }), notes)
}

impl Seen {
    fn read(&mut self) -> impl Iterator<Item = Reading> + '_ {
        let Self { source, devices, unusable } = self;
        devices.iter().enumerate().map(|(number, (place, identity))| {
            let fixed = Reading {
                name: format!("cuda:{number}"),
                kind: DeviceKind::Cuda,
                model: identity.model.clone(),
                memory_total: identity.memory,
                capability: identity.capability.map(|(major, minor)| format!("{major}.{minor}")),
                power_limit: identity.power_limit,
                uuid: Some(identity.uuid.clone()),
                pci: Some(identity.pci.clone()),
                unusable: unusable.clone(),
                ..Reading::default()
            };
            match source.read(*place) {
                Ok(now) => Reading {
                    memory_free: now.free,
                    memory_used: now.used,
                    memory_own: now.processes.iter().find(|p| p.own).and_then(|p| p.memory),
                    load: now.load,
                    temperature: now.temperature,
                    power: now.power,
                    processes: now.processes,
                    ..fixed
                },
                Err(problem) => Reading { problem: Some(problem), ..fixed },
            }
        })
    }
}

#[cfg(test)]
mod tests;
