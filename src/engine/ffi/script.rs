//! TorchScript models: load, describe, run, save, and write one from source. Safe functions over the `script_*.cpp` files.

use std::ffi::{CString, c_char, c_void};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tch::Tensor;

use super::script_raw as raw;
use super::{Generator, Result, ShimError, TensorList, c_text, check, ptr, take_text};

/// A TorchScript model in memory. Its tensors are those that it computes with.
#[derive(Debug)]
pub struct Script(raw::S);

// SAFETY: the model is reference-counted C++ data without thread affinity.
unsafe impl Send for Script {}
// SAFETY: the only function that changes it, the forward, holds a lock of the model's own.
unsafe impl Sync for Script {}

/// How the modules work in one forward, one entry a module.
#[derive(Debug, Clone, Copy)]
pub struct Modes<'a> {
    /// `module.training`.
    pub training: &'a [bool],
    /// Forward without recording gradients.
    pub no_grad: &'a [bool],
}

impl Script {
    /// Loads an archive onto a device, to be run: its methods are made to obey [`Modes`].
    pub fn load(path: &Path, device: &str) -> Result<Self> {
        Self::open(path, device, true)
    }

    /// Loads an archive as it is, to be saved again.
    pub fn load_to_save(path: &Path) -> Result<Self> {
        Self::open(path, "cpu", false)
    }

    fn open(path: &Path, device: &str, run: bool) -> Result<Self> {
        let (path, device) = (c_path(path)?, c_text(device)?);
        let mut out = std::ptr::null_mut();
        // SAFETY: valid strings; `out` receives an owned pointer on success.
        check(unsafe { raw::fl_script_load(path.as_ptr(), device.as_ptr(), run.into(), &raw mut out) })?;
        Ok(Self(out))
    }

    /// Its modules, names and hyper-parameters, as JSON.
    pub fn describe(&self) -> Result<String> {
        let mut out = std::ptr::null_mut();
        // SAFETY: a live script; `out` receives an owned text on success.
        check(unsafe { raw::fl_script_describe(self.0, &raw mut out) })?;
        Ok(take_text(out))
    }

    /// A parameter or buffer of a module, by the module's number and the name in it.
    pub fn tensor(&self, module: usize, name: &str) -> Result<Tensor> {
        let name = c_text(name)?;
        let mut out = std::ptr::null_mut();
        // SAFETY: a live script; `out` receives a new owned tensor on success.
        check(unsafe { raw::fl_script_tensor(self.0, module, name.as_ptr(), &raw mut out) })?;
        // SAFETY: the shim made it with `new`, which is what tch frees.
        Ok(unsafe { Tensor::from_ptr(out.cast()) })
    }

    /// The forward of a batch. Random numbers come from the generator; without one they are the same each time. With
    /// `trace` the second value is `[[module, input sizes, output sizes]…]` as JSON.
    pub fn forward(
        &self,
        x: &Tensor,
        modes: Modes<'_>,
        generator: Option<&Generator>,
        trace: bool,
    ) -> Result<(Tensor, Option<String>)> {
        if modes.training.len() != modes.no_grad.len() {
            return Err(ShimError("flags of different lengths".to_owned()));
        }
        let bytes = |flags: &[bool]| flags.iter().map(|&f| u8::from(f)).collect::<Vec<u8>>();
        let (training, no_grad) = (bytes(modes.training), bytes(modes.no_grad));
        let (mut out, mut seen) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: live script, tensor and generator (null: none); both lists have the length given, which the shim
        // compares with the number of modules; the outputs receive owned values on success.
        check(unsafe {
            raw::fl_script_forward(
                self.0,
                ptr(x),
                training.as_ptr(),
                no_grad.as_ptr(),
                training.len(),
                generator.map_or(std::ptr::null_mut(), |g| g.0),
                &raw mut out,
                if trace { &raw mut seen } else { std::ptr::null_mut() },
            )
        })?;
        // SAFETY: the shim made it with `new`, which is what tch frees.
        let y = unsafe { Tensor::from_ptr(out.cast()) };
        Ok((y, trace.then(|| take_text(seen))))
    }

    /// Writes it in train or eval mode.
    pub fn save(&self, training: bool, to: &mut dyn Write) -> Result<()> {
        let mut kept = Kept { to, failed: None };
        // SAFETY: a live script; `sink` is called with `kept` alone, before this returns.
        check(unsafe { raw::fl_script_save(self.0, training.into(), sink, kept.at()) })?;
        kept.result()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // SAFETY: owned, freed once. Tensors that were handed out hold their own references.
        unsafe { raw::fl_script_free(self.0) }
    }
}

/// Where an archive goes, and the first error there. libtorch's writer must hear of none: once a write has failed, its
/// destructor throws, which ends the process.
struct Kept<'a> {
    to: &'a mut dyn Write,
    failed: Option<io::Error>,
}

impl Kept<'_> {
    fn at(&mut self) -> *mut c_void {
        (&raw mut *self).cast()
    }

    fn result(self) -> Result<()> {
        self.failed.map_or(Ok(()), |e| Err(ShimError(format!("cannot write: {e}"))))
    }
}

/// # Safety
/// `to` is a [`Kept`] that nobody else uses now, and `bytes` has `n` of them.
unsafe extern "C" fn sink(to: *mut c_void, bytes: *const u8, n: usize) {
    // SAFETY: as said above.
    let (kept, bytes) = unsafe { (&mut *to.cast::<Kept<'_>>(), std::slice::from_raw_parts(bytes, n)) };
    if kept.failed.is_none() {
        kept.failed = kept.to.write_all(bytes).err();
    }
}

/// A module to compile.
#[derive(Debug)]
pub struct Source<'a> {
    /// Name below the parent.
    pub name: &'a str,
    /// Class name.
    pub kind: &'a str,
    /// Number of the parent, which comes before; of the root, anything.
    pub parent: usize,
    /// Definition of `forward`.
    pub forward: String,
}

/// A tensor of a module to compile.
#[derive(Debug)]
pub struct Attribute<'a> {
    /// Number of its module.
    pub owner: usize,
    /// Name in it.
    pub name: &'a str,
    /// Its values.
    pub tensor: &'a Tensor,
    /// A parameter, as against a buffer.
    pub parameter: bool,
}

/// Compiles modules, the root first and parents before children, and writes them as one TorchScript archive.
pub fn write(modules: &[Source<'_>], attributes: &[Attribute<'_>], training: bool, to: &mut dyn Write) -> Result<()> {
    let texts = |list: Vec<&str>| list.into_iter().map(c_text).collect::<Result<Vec<CString>>>();
    let pointers = |list: &[CString]| list.iter().map(|t| t.as_ptr()).collect::<Vec<*const c_char>>();
    let names = texts(modules.iter().map(|m| m.name).collect())?;
    let kinds = texts(modules.iter().map(|m| m.kind).collect())?;
    let sources = texts(modules.iter().map(|m| m.forward.as_str()).collect())?;
    let parents: Vec<usize> = modules.iter().map(|m| m.parent).collect();
    let owners: Vec<usize> = attributes.iter().map(|a| a.owner).collect();
    let tensor_names = texts(attributes.iter().map(|a| a.name).collect())?;
    let parameter: Vec<u8> = attributes.iter().map(|a| u8::from(a.parameter)).collect();
    let tensors = TensorList::new(attributes.iter().map(|a| a.tensor));
    let mut kept = Kept { to, failed: None };
    let (names_at, kinds_at) = (pointers(&names), pointers(&kinds));
    let (sources_at, tensor_names_at) = (pointers(&sources), pointers(&tensor_names));
    // SAFETY: all lists of modules and all lists of tensors have the lengths given, and live until the call returns, as
    // `kept` does, which `sink` alone uses until then.
    check(unsafe {
        raw::fl_script_write(
            modules.len(),
            names_at.as_ptr(),
            kinds_at.as_ptr(),
            parents.as_ptr(),
            sources_at.as_ptr(),
            attributes.len(),
            owners.as_ptr(),
            tensor_names_at.as_ptr(),
            tensors.at(),
            parameter.as_ptr(),
            training.into(),
            sink,
            kept.at(),
        )
    })?;
    kept.result()
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| ShimError(format!("a NUL byte in {}", path.display())))
}
