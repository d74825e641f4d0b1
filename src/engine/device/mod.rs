//! Devices: what there is, what can be used, and why not. The CUDA back end is loaded at run time, on first use.

mod cpu;
mod cuda;

pub use cpu::cpu;
pub use cuda::{Cuda, cuda};
use tch::Device;

use super::api::{DeviceInfo, EngineError};

/// The key that asks for the CPU, as error messages name it.
const ASK_CPU: &str = "set train.devices = [\"cpu\"] to train on the CPU";

/// All devices, the CPU first.
pub fn discover() -> Vec<DeviceInfo> {
    let mut all = vec![cpu()];
    match cuda() {
        Cuda::Absent => {}
        Cuda::Ready(n) => all.extend((0..*n).map(|i| cuda::info(i, None))),
        Cuda::Unusable(why) => all.push(cuda::info(0, Some(why.clone()))),
    }
    all
}

/// Turns a recipe's `devices` into usable names. `auto` is the first GPU, the CPU where there is none, and an error
/// where there is one that cannot be used.
pub fn resolve(asked: &[String]) -> Result<Vec<String>, EngineError> {
    let refuse = |text: String| Err(EngineError::Refused(text));
    let [name] = asked else {
        return refuse(match asked.len() {
            0 => format!("train.devices is empty; {ASK_CPU}"),
            n => format!("train.devices names {n} devices; training on several at once is not supported yet: name one"),
        });
    };
    match name.as_str() {
        "cpu" | "cpu:0" => Ok(vec!["cpu".to_owned()]),
        "auto" => match cuda() {
            Cuda::Absent => Ok(vec!["cpu".to_owned()]),
            Cuda::Ready(_) => Ok(vec!["cuda:0".to_owned()]),
            Cuda::Unusable(why) => {
                refuse(format!("train.devices = [\"auto\"]: the NVIDIA GPU cannot be used: {why}; or {ASK_CPU}"))
            }
        },
        "all" => match cuda() {
            Cuda::Ready(1) => Ok(vec!["cuda:0".to_owned()]),
            Cuda::Absent => Ok(vec!["cpu".to_owned()]),
            Cuda::Ready(n) => {
                refuse(format!("train.devices = [\"all\"]: training on {n} GPUs is not supported yet: name one"))
            }
            Cuda::Unusable(why) => {
                refuse(format!("train.devices = [\"all\"]: the NVIDIA GPU cannot be used: {why}; or {ASK_CPU}"))
            }
        },
        other => match cuda_index(other) {
            None => refuse(format!("train.devices: unknown device `{other}`; use cpu, cuda:0 or auto")),
            Some(i) => match cuda() {
                Cuda::Absent => refuse(format!("train.devices: `{other}`: no NVIDIA GPU on this machine; {ASK_CPU}")),
                Cuda::Unusable(why) => refuse(format!("train.devices: `{other}` cannot be used: {why}")),
                Cuda::Ready(n) if i >= *n => {
                    refuse(format!("train.devices: `{other}`: only {n} GPU(s) here, numbered from cuda:0"))
                }
                Cuda::Ready(_) => Ok(vec![format!("cuda:{i}")]),
            },
        },
    }
}

fn cuda_index(name: &str) -> Option<usize> {
    match name.strip_prefix("cuda")? {
        "" => Some(0),
        rest => rest.strip_prefix(':')?.parse().ok(),
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
    }
}
