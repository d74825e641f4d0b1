//! The C functions of the `script_*.cpp` files.

use std::ffi::{c_char, c_int, c_void};

use super::raw::{G, T};

/// `fl::Script*`.
pub type S = *mut c_void;
/// Takes bytes over; `to` is what it was given with.
pub type Sink = unsafe extern "C" fn(to: *mut c_void, bytes: *const u8, n: usize);
/// A message to free, or null.
type E = *mut c_char;

unsafe extern "C" {
    pub fn fl_script_load(path: *const c_char, device: *const c_char, run: c_int, out: *mut S) -> E;
    pub fn fl_script_free(script: S);
    pub fn fl_script_describe(script: S, out: *mut *mut c_char) -> E;
    pub fn fl_script_tensor(script: S, module: usize, name: *const c_char, out: *mut T) -> E;
    pub fn fl_script_forward(
        script: S,
        x: T,
        training: *const u8,
        no_grad: *const u8,
        n: usize,
        own: G,
        out: *mut T,
        seen: *mut *mut c_char,
    ) -> E;
    pub fn fl_script_save(script: S, training: c_int, sink: Sink, to: *mut c_void) -> E;
    #[allow(clippy::too_many_arguments)]
    pub fn fl_script_write(
        modules: usize,
        names: *const *const c_char,
        kinds: *const *const c_char,
        parents: *const usize,
        sources: *const *const c_char,
        tensors: usize,
        owners: *const usize,
        tensor_names: *const *const c_char,
        values: *const T,
        parameter: *const u8,
        training: c_int,
        sink: Sink,
        to: *mut c_void,
    ) -> E;
}
