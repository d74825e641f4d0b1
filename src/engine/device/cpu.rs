//! The CPU, from `/proc`.

use crate::engine::api::DeviceInfo;

/// The CPU with its memory; zeros where the system does not tell.
pub fn cpu() -> DeviceInfo {
    let field = |text: &str, key: &str| -> Option<String> {
        text.lines().find(|l| l.starts_with(key)).and_then(|l| l.split_once(':')).map(|(_, v)| v.trim().to_owned())
    };
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let bytes = |key| {
        field(&memory, key).and_then(|v| v.split(' ').next().and_then(|n| n.parse::<u64>().ok())).unwrap_or(0) * 1024
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let model = field(&info, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    DeviceInfo {
        name: "cpu".to_owned(),
        model: format!("{model}, {threads} threads"),
        memory_total: bytes("MemTotal"),
        memory_free: bytes("MemAvailable"),
        unusable: None,
    }
}
