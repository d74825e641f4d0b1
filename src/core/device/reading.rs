//! What devices do at one moment.

use serde::{Deserialize, Serialize};

use super::DeviceInfo;

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// An Apple GPU.
    Mps,
}

/// A process that holds memory of a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceProcess {
    /// Its id. In a container it may be one that is not known here.
    pub pid: u32,
    /// Its name, where that can be told.
    pub name: Option<String>,
    /// Bytes that it holds.
    pub memory: Option<u64>,
    /// Whether it is this process.
    pub own: bool,
}

/// A device at one moment. What nobody tells is `None`. The field names are those of `frostline devices --json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Reading {
    /// PyTorch's name (`cpu`, `cuda:0`); `cuda` or `mps` where there is no such device, and `unusable` says why.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// What it is called.
    pub model: String,
    /// Total memory in bytes; 0 where nobody knows.
    pub memory_total: u64,
    /// Free memory in bytes; 0 where nobody knows.
    pub memory_free: u64,
    /// Memory in use, in bytes.
    pub memory_used: u64,
    /// Memory that this process holds, in bytes.
    pub memory_own: Option<u64>,
    /// Busy part, 0 to 1.
    pub load: Option<f64>,
    /// Threads that the CPU runs at once.
    pub threads: Option<usize>,
    /// CUDA's compute capability, as `9.0`.
    pub capability: Option<String>,
    /// Degrees Celsius.
    pub temperature: Option<f64>,
    /// Watts.
    pub power: Option<f64>,
    /// Watts that it may take.
    pub power_limit: Option<f64>,
    /// Who holds memory of it.
    pub processes: Vec<DeviceProcess>,
    /// The driver's lasting name of it.
    pub uuid: Option<String>,
    /// Its place on the PCI bus.
    pub pci: Option<String>,
    /// Why it cannot be used, if so.
    pub unusable: Option<String>,
    /// What could not be read this time.
    pub problem: Option<String>,
}

impl Reading {
    /// A kind of device that is not there, and why.
    pub fn absent(kind: DeviceKind, name: &str, why: impl Into<String>) -> Self {
        Self { name: name.to_owned(), kind, unusable: Some(why.into()), ..Self::default() }
    }

    /// Whether it stands for a kind of which there is no device.
    pub fn is_absent(&self) -> bool {
        self.kind != DeviceKind::Cpu && self.model.is_empty()
    }

    /// Memory in use, 0 to 1.
    pub fn memory_part(&self) -> Option<f64> {
        (self.memory_total > 0).then(|| self.memory_used as f64 / self.memory_total as f64)
    }
}

/// All devices at one moment, and what there is to know about them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Survey {
    /// The CPU first, then GPUs in CUDA's order, then what is absent.
    pub devices: Vec<Reading>,
    /// What a user should know: GPUs that are hidden, numbers that may mean others.
    pub notes: Vec<String>,
}

impl Survey {
    /// Takes the engine's word on what can be used: it has tried. Devices that it alone knows are added.
    pub fn heed(&mut self, infos: &[DeviceInfo]) {
        for info in infos {
            match self.devices.iter_mut().find(|d| d.name == info.name) {
                Some(device) => device.unusable.clone_from(&info.unusable),
                None => {
                    // What was thought to be absent is there after all.
                    let kind = if info.name.starts_with("cuda") { DeviceKind::Cuda } else { DeviceKind::Cpu };
                    self.devices.retain(|d| !(d.is_absent() && d.kind == kind));
                    self.devices.push(Reading {
                        name: info.name.clone(),
                        kind,
                        model: info.model.clone(),
                        memory_total: info.memory_total,
                        memory_free: info.memory_free,
                        memory_used: info.memory_total.saturating_sub(info.memory_free),
                        unusable: info.unusable.clone(),
                        ..Reading::default()
                    });
                }
            }
        }
    }

    /// A device by its name.
    pub fn get(&self, name: &str) -> Option<&Reading> {
        self.devices.iter().find(|d| d.name == name)
    }
}
