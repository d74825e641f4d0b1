//! Devices: which can be used, and why not. The CUDA back end is loaded at run time, on first use; what devices do is read by
//! `telemetry`.

mod cuda;

#[cfg(test)]
pub use cuda::asked;
pub use cuda::{Cuda, cuda};
use tch::Device;

use super::api::{DeviceInfo, EngineError};
use super::telemetry::Telemetry;
use crate::core::device::{DeviceKind, Gpu, Gpus, Reading, choose, cuda_index};

/// All devices, the CPU first; an unusable GPU with the reason.
pub fn discover() -> Vec<DeviceInfo> {
    let survey = Telemetry::open().survey();
    let info = |r: &Reading, unusable: Option<String>| DeviceInfo {
        name: r.name.clone(),
        model: match r.threads {
            Some(threads) => format!("{}, {threads} threads", r.model),
            None => r.model.clone(),
        },
        memory_total: r.memory_total,
        memory_free: r.memory_free,
        unusable,
    };
    let gpus: Vec<&Reading> = survey.devices.iter().filter(|d| d.kind == DeviceKind::Cuda && !d.is_absent()).collect();
    let mut all: Vec<DeviceInfo> = survey.get("cpu").map(|cpu| info(cpu, None)).into_iter().collect();
    match cuda() {
        Cuda::Absent => {}
        // NVML may count others than CUDA does, where CUDA cannot use one of them.
        Cuda::Ready(n) => all.extend((0..*n).map(|i| match gpus.get(i) {
            Some(reading) => info(reading, None),
            None => nameless(i, None),
        })),
        Cuda::Unusable(why) if gpus.is_empty() => all.push(nameless(0, Some(why.clone()))),
        Cuda::Unusable(why) => all.extend(gpus.iter().map(|r| info(r, r.unusable.clone().or(Some(why.clone()))))),
    }
    all
}

fn nameless(index: usize, unusable: Option<String>) -> DeviceInfo {
    let name = format!("cuda:{index}");
    DeviceInfo { name, model: "NVIDIA GPU".to_owned(), memory_total: 0, memory_free: 0, unusable }
}

/// Turns a recipe's `devices` into usable names, as [`choose`] does.
pub fn resolve(asked: &[String]) -> Result<Vec<String>, EngineError> {
    choose(asked, &gpus(asked), None).map_err(EngineError::Refused)
}

/// The driver's lasting name of a GPU, where it is known.
pub fn uuid(name: &str) -> Option<String> {
    let name = format!("cuda:{}", cuda_index(name)?);
    Telemetry::open().survey().get(&name)?.uuid.clone().filter(|uuid| !uuid.is_empty())
}

/// The GPUs that can be used. Nothing is loaded for names that mean the CPU.
fn gpus(asked: &[String]) -> Gpus {
    let cpu = |name: &String| name == "cpu" || name.starts_with("cpu:");
    if !asked.is_empty() && asked.iter().all(cpu) {
        return Gpus::Usable(Vec::new());
    }
    match cuda() {
        Cuda::Absent => match Telemetry::open().gpus() {
            Gpus::Absent(why) => Gpus::Absent(why),
            _ => Gpus::Absent("no NVIDIA GPU on this machine".to_owned()),
        },
        Cuda::Unusable(why) => Gpus::Unusable(why.clone()),
        Cuda::Ready(n) => {
            let mut list = match Telemetry::open().gpus() {
                Gpus::Usable(list) => list,
                _ => Vec::new(),
            };
            list.resize(*n, Gpu::default());
            Gpus::Usable(list)
        }
    }
}

/// tch's device of a resolved name.
pub fn parse(name: &str) -> Device {
    cuda_index(name).map_or(Device::Cpu, Device::Cuda)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_taken_as_it_is() {
        assert_eq!(resolve(&["cpu".to_owned()]).unwrap(), ["cpu"]);
        assert_eq!(resolve(&["cpu:0".to_owned(), "cpu:1".to_owned()]).unwrap(), ["cpu:0", "cpu:1"]);
        assert!(discover()[0].model.ends_with(" threads"));
    }

    #[test]
    fn unknown_and_absent_devices_are_refused_in_words() {
        let words = |name: &str| resolve(&[name.to_owned()]).unwrap_err().to_string();
        assert!(words("gpu").contains("unknown device `gpu`"));
        assert!(words("cuda:").contains("unknown device"));
        if matches!(cuda(), Cuda::Absent) {
            assert!(words("cuda:0").contains("no NVIDIA GPU"));
        }
        assert!(resolve(&[]).unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn names_become_devices() {
        assert_eq!(parse("cpu"), Device::Cpu);
        assert_eq!(parse("cuda:3"), Device::Cuda(3));
        assert_eq!(parse("cuda"), Device::Cuda(0));
        assert_eq!(parse("cpu:1"), Device::Cpu);
    }
}
