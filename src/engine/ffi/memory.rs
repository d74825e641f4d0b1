//! Safe functions over `memory.cpp`: what memory work takes on a device.

use super::{Result, c_text, check, raw};

/// Does something and tells the most bytes that it held on a device beyond what was held before.
pub fn measured<T>(device: &str, body: impl FnOnce() -> T) -> Result<(T, u64)> {
    struct Meter(raw::M);
    impl Meter {
        fn stop(&mut self) -> Result<u64> {
            let mut peak = 0;
            let meter = std::mem::replace(&mut self.0, std::ptr::null_mut());
            if !meter.is_null() {
                // SAFETY: a live meter of this thread, which the call frees.
                check(unsafe { raw::fl_meter_stop(meter, &raw mut peak) })?;
            }
            Ok(peak)
        }
    }
    impl Drop for Meter {
        fn drop(&mut self) {
            // After a panic: the guard must not stay on this thread.
            let _ = self.stop();
        }
    }
    let name = c_text(device)?;
    let mut meter = Meter(std::ptr::null_mut());
    // SAFETY: a valid string; the pointer receives an owned meter on success.
    check(unsafe { raw::fl_meter_start(name.as_ptr(), &raw mut meter.0) })?;
    let done = body();
    let peak = meter.stop()?;
    Ok((done, peak))
}

/// Gives the cached memory of a GPU back to its driver.
pub fn empty_cache(device: &str) -> Result<()> {
    let name = c_text(device)?;
    // SAFETY: a valid string.
    check(unsafe { raw::fl_empty_cache(name.as_ptr()) })
}
