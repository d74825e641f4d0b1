//! The CPU, its memory, and this process's part of it.

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::core::device::{DeviceKind, Reading};

/// What is read of the CPU.
pub struct Cpu {
    system: System,
    own: Pid,
    model: String,
    threads: usize,
    /// Load is that between two readings.
    read_before: bool,
}

impl Cpu {
    pub fn new() -> Self {
        let mut system = System::new();
        // Names the processor too.
        system.refresh_cpu_usage();
        let brand = system.cpus().first().map(|c| c.brand().trim().to_owned()).filter(|b| !b.is_empty());
        Self {
            own: Pid::from_u32(std::process::id()),
            model: brand.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            system,
            read_before: false,
        }
    }

    pub fn read(&mut self) -> Reading {
        let system = &mut self.system;
        system.refresh_cpu_usage();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let own = ProcessesToUpdate::Some(&[self.own]);
        system.refresh_processes_specifics(own, true, ProcessRefreshKind::nothing().with_memory());
        let load = f64::from(system.global_cpu_usage()) / 100.0;
        let (mut total, mut free) = (system.total_memory(), system.available_memory());
        // A container's limit is what counts there. Pages of files are given back when memory is short.
        if let Some(limits) = system.cgroup_limits().filter(|l| l.total_memory > 0 && l.total_memory < total) {
            total = limits.total_memory;
            free = free.min(total.saturating_sub(limits.rss));
        }
        Reading {
            name: "cpu".to_owned(),
            kind: DeviceKind::Cpu,
            model: self.model.clone(),
            memory_total: total,
            memory_free: free,
            memory_used: total.saturating_sub(free),
            memory_own: system.process(self.own).map(sysinfo::Process::memory),
            load: std::mem::replace(&mut self.read_before, true).then_some(load.clamp(0.0, 1.0)),
            threads: Some(self.threads),
            ..Reading::default()
        }
    }
}
