//! NVIDIA GPUs through NVML, `libnvidia-ml.so.1` of the driver.

use std::collections::{HashMap, HashSet};

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;

use super::off::{self, Traces, Trouble};
use super::{GpuReading, GpuSource, Identity};
use crate::core::device::DeviceProcess;

/// Processes of one GPU that are listed at most.
const PROCESSES: usize = 64;
/// Names that are kept at most.
const NAMES: usize = 1024;

/// The driver's library, loaded.
pub struct NvmlGpus {
    nvml: Nvml,
    /// Names of processes: asking for them reads files, and they do not change.
    names: HashMap<u32, Option<String>>,
}

impl NvmlGpus {
    /// Loads the library and speaks to the driver; or why that cannot be done.
    pub fn open() -> Result<Self, String> {
        match Nvml::init() {
            Ok(nvml) => Ok(Self { nvml, names: HashMap::new() }),
            Err(e) => Err(off::words(&trouble(&e), Traces::here())),
        }
    }

    fn processes(&mut self, index: u32) -> Vec<DeviceProcess> {
        let Ok(device) = self.nvml.device_by_index(index) else { return Vec::new() };
        let listed = [device.running_compute_processes(), device.running_graphics_processes()];
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for process in listed.into_iter().flatten().flatten().filter(|p| seen.insert(p.pid)).take(PROCESSES) {
            let name = self.names.entry(process.pid).or_insert_with(|| {
                let path = self.nvml.sys_process_name(process.pid, 256).ok()?;
                let file = path.rsplit('/').next().unwrap_or_default().trim_end_matches('\0').to_owned();
                Some(file).filter(|f| !f.is_empty())
            });
            all.push(DeviceProcess {
                pid: process.pid,
                name: name.clone(),
                memory: match process.used_gpu_memory {
                    UsedGpuMemory::Used(bytes) => Some(bytes),
                    UsedGpuMemory::Unavailable => None,
                },
                own: process.pid == std::process::id(),
            });
        }
        if self.names.len() > NAMES {
            self.names.clear();
        }
        all.sort_by_key(|p| std::cmp::Reverse(p.memory));
        all
    }
}

impl GpuSource for NvmlGpus {
    fn identities(&mut self) -> Result<Vec<Identity>, String> {
        let count = self.nvml.device_count().map_err(|e| words(&e))?;
        let identity = |index| {
            let Ok(device) = self.nvml.device_by_index(index) else {
                // It is listed all the same, and says what is wrong when it is read.
                return Identity { model: "NVIDIA GPU".to_owned(), ..Identity::default() };
            };
            Identity {
                model: device.name().unwrap_or_else(|_| "NVIDIA GPU".to_owned()),
                uuid: device.uuid().unwrap_or_default(),
                pci: device.pci_info().map(|p| p.bus_id).unwrap_or_default(),
                capability: device
                    .cuda_compute_capability()
                    .ok()
                    .and_then(|c| Some((u32::try_from(c.major).ok()?, u32::try_from(c.minor).ok()?))),
                memory: device.memory_info().map_or(0, |m| m.total),
                power_limit: device.enforced_power_limit().ok().map(|mw| f64::from(mw) / 1000.0),
            }
        };
        Ok((0..count).map(identity).collect())
    }

    fn read(&mut self, index: usize) -> Result<GpuReading, String> {
        let index = u32::try_from(index).map_err(|_| "no such GPU".to_owned())?;
        let processes = self.processes(index);
        let device = self.nvml.device_by_index(index).map_err(|e| words(&e))?;
        let memory = device.memory_info().map_err(|e| words(&e))?;
        Ok(GpuReading {
            // Slices of a GPU (MIG) have no load of their own.
            load: device.utilization_rates().ok().map(|u| f64::from(u.gpu) / 100.0),
            used: memory.used,
            free: memory.free,
            temperature: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
            power: device.power_usage().ok().map(|mw| f64::from(mw) / 1000.0),
            processes,
        })
    }

    fn unusable(&self) -> Option<String> {
        let driver = self.nvml.sys_driver_version().unwrap_or_else(|_| "in use".to_owned());
        off::too_old(&driver, self.nvml.sys_cuda_driver_version().unwrap_or(0))
    }
}

fn trouble(error: &NvmlError) -> Trouble {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => Trouble::NoLibrary,
        NvmlError::DriverNotLoaded => Trouble::NotLoaded,
        NvmlError::LibRmVersionMismatch => Trouble::Mismatch,
        NvmlError::NoPermission => Trouble::NoPermission,
        other => Trouble::Other(other.to_string()),
    }
}

/// Why a GPU gives no reading.
fn words(error: &NvmlError) -> String {
    match error {
        NvmlError::GpuLost => "the GPU does not answer any more (lost); dmesg tells of it under NVRM: Xid".to_owned(),
        NvmlError::ResetRequired => {
            "the GPU must be reset before it can be used again (`nvidia-smi --gpu-reset`)".to_owned()
        }
        NvmlError::NoPermission => "this user may not read the GPU".to_owned(),
        other => format!("the GPU gives no reading: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_library_become_words() {
        assert_eq!(trouble(&NvmlError::DriverNotLoaded), Trouble::NotLoaded);
        assert_eq!(trouble(&NvmlError::LibraryNotFound), Trouble::NoLibrary);
        assert!(words(&NvmlError::GpuLost).contains("Xid"));
        assert!(words(&NvmlError::Unknown).contains("no reading"));
    }

    /// Runs on machines with and without a GPU.
    #[test]
    fn this_machine_has_gpus_or_says_why_not() {
        match NvmlGpus::open() {
            Ok(mut gpus) => {
                let all = gpus.identities().unwrap();
                for index in 0..all.len() {
                    let _ = gpus.read(index);
                }
            }
            Err(why) => assert!(!why.is_empty() && !why.contains('\n'), "{why}"),
        }
    }
}
