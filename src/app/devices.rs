//! What the Devices screen knows.

use crate::core::device::DeviceInfo;

/// The list of devices.
#[derive(Debug, Clone, Default)]
pub struct Devices {
    /// The devices, the CPU first, or why they cannot be told; `None` until they were looked for.
    pub list: Option<Result<Vec<DeviceInfo>, String>>,
    /// Line under the cursor.
    pub cursor: usize,
}

impl Devices {
    /// The devices, if they are known.
    pub fn rows(&self) -> &[DeviceInfo] {
        self.list.as_ref().and_then(|l| l.as_ref().ok()).map_or(&[], Vec::as_slice)
    }

    /// The device under the cursor.
    pub fn selected(&self) -> Option<&DeviceInfo> {
        self.rows().get(self.cursor)
    }

    /// They were looked for.
    pub fn take(&mut self, found: Result<Vec<DeviceInfo>, String>) {
        self.list = Some(found);
        self.cursor = self.cursor.min(self.rows().len().saturating_sub(1));
    }
}
