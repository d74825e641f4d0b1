//! Devices as plain data: what they are and do, which of them a process sees, which of them a recipe means.

mod choose;
mod reading;
pub mod visible;

pub use choose::{Gpu, Gpus, choose, cuda_index, emptiest};
pub use reading::{DeviceKind, DeviceProcess, Reading, Survey};

/// One device.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DeviceInfo {
    /// PyTorch's name (`cpu`, `cuda:0`).
    pub name: String,
    /// What it is called.
    pub model: String,
    /// Total memory in bytes; 0 where nobody knows.
    pub memory_total: u64,
    /// Free memory in bytes; 0 where nobody knows.
    pub memory_free: u64,
    /// Why it cannot be used, if so.
    pub unusable: Option<String>,
}
