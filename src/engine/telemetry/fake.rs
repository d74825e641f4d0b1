//! GPUs that are not there, for tests and pictures.

use super::{GpuReading, GpuSource, Identity};
use crate::core::device::DeviceProcess;

/// One of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FakeGpu {
    /// What it is.
    pub identity: Identity,
    /// What it does.
    pub now: GpuReading,
    /// After so many readings it is lost.
    pub dies_after: Option<usize>,
}

impl FakeGpu {
    /// An idle GPU of 80 GiB.
    pub fn idle(index: u32) -> Self {
        let (used, memory) = (612 << 20, 80 << 30);
        Self {
            identity: Identity {
                model: "NVIDIA H100 80GB HBM3".to_owned(),
                uuid: format!("GPU-{index:08x}-5eed"),
                pci: format!("00000000:{:02X}:00.0", 0x19 + 0x11 * index),
                capability: Some((9, 0)),
                memory,
                power_limit: Some(700.0),
            },
            now: GpuReading {
                load: Some(0.0),
                used,
                free: memory - used,
                temperature: Some(31.0),
                power: Some(72.0),
                processes: Vec::new(),
            },
            dies_after: None,
        }
    }

    /// One on which somebody trains; `gib` of its memory are taken.
    pub fn busy(index: u32, gib: u64, load: f64) -> Self {
        let mut gpu = Self::idle(index);
        let used = (gib << 30).min(gpu.identity.memory);
        gpu.now = GpuReading {
            load: Some(load),
            used,
            free: gpu.identity.memory - used,
            temperature: Some(64.0),
            power: Some(120.0 + 560.0 * load),
            processes: vec![DeviceProcess {
                pid: 4200 + index,
                name: Some("python3".to_owned()),
                memory: Some(used),
                own: false,
            }],
        };
        gpu
    }
}

/// All of them, in the order of the bus.
#[derive(Debug, Clone, Default)]
pub struct FakeGpus {
    gpus: Vec<FakeGpu>,
    reads: Vec<usize>,
    unusable: Option<String>,
}

impl FakeGpus {
    /// These.
    pub fn new(gpus: Vec<FakeGpu>) -> Self {
        Self { reads: vec![0; gpus.len()], gpus, unusable: None }
    }

    /// With a driver that is too old for them.
    #[must_use]
    pub fn unusable(mut self, why: &str) -> Self {
        self.unusable = Some(why.to_owned());
        self
    }
}

impl GpuSource for FakeGpus {
    fn identities(&mut self) -> Result<Vec<Identity>, String> {
        Ok(self.gpus.iter().map(|g| g.identity.clone()).collect())
    }

    fn read(&mut self, index: usize) -> Result<GpuReading, String> {
        let (Some(gpu), Some(reads)) = (self.gpus.get(index), self.reads.get_mut(index)) else {
            return Err("no such GPU".to_owned());
        };
        *reads += 1;
        match gpu.dies_after {
            Some(last) if *reads > last => {
                Err("the GPU does not answer any more (lost); dmesg tells of it under NVRM: Xid".to_owned())
            }
            _ => Ok(gpu.now.clone()),
        }
    }

    fn unusable(&self) -> Option<String> {
        self.unusable.clone()
    }
}
