//! Finds libtorch for the linker and compiles the C++ shim (feature `torch`).
//!
//! `.cargo/config.toml` points `LIBTORCH` to `.libtorch`, a link that `make setup` lays to a folder
//! outside of the checkout. Programs get that folder as their RPATH, so that they start from anywhere and
//! without `LD_LIBRARY_PATH`, and go on to do so when the checkout is gone.

use std::env;
use std::path::{Path, PathBuf};

const FOLDER: &str = "src/engine/ffi";
/// The shim's C++ files. Not the whole folder is watched: its Rust files need no C++ compiler.
const SHIM: &[&str] = &[
    "shim.cpp",
    "precision.cpp",
    "memory.cpp",
    "transfer.cpp",
    "kept.cpp",
    "script_load.cpp",
    "script_run.cpp",
    "script_describe.cpp",
    "script_write.cpp",
    "c10d.cpp",
];
const HEADERS: &[&str] = &["shim.h", "script.h", "c10d.h"];
/// The PyTorch release that the `tch` of Cargo.toml binds.
const LIBTORCH_VERSION: &str = "2.11.0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(frostline_nccl)");
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    // The same variables as torch-sys reads, so that both take the same libtorch.
    for name in ["LIBTORCH", "LIBTORCH_LIB", "LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    match find_libtorch() {
        Ok(libtorch) => {
            link(&libtorch);
            compile_shim(&libtorch);
            compile_nccl(&libtorch);
        }
        Err(message) => println!("cargo::error={message}"),
    }
}

struct Libtorch {
    root: PathBuf,
    lib: PathBuf,
    include: PathBuf,
}

/// The folders of libtorch, or one line on what is wrong with them.
fn find_libtorch() -> Result<Libtorch, String> {
    let root = env::var("LIBTORCH").map_or_else(|_| PathBuf::from(".libtorch"), PathBuf::from);
    let part = |name: &str| env::var(name).map_or_else(|_| root.clone(), PathBuf::from);
    let version_file = root.join("build-version");
    // `make setup` renews this file when it lays the link to another libtorch.
    println!("cargo::rerun-if-changed={}", version_file.display());

    let lib = part("LIBTORCH_LIB").join("lib");
    // The link is resolved, not the libraries in the folder behind it: those links have the names
    // that programs look for.
    let lib = lib
        .canonicalize()
        .ok()
        .filter(|lib| lib.join("libtorch_cpu.so").exists())
        .ok_or_else(|| format!("libtorch is missing (no {}/libtorch_cpu.so): run `make setup`", lib.display()))?;
    if let Ok(version) = std::fs::read_to_string(&version_file) {
        let version = version.trim();
        if version.split('+').next() != Some(LIBTORCH_VERSION) {
            return Err(format!(
                "{} is libtorch {version}, but Frostline needs {LIBTORCH_VERSION}: run `make setup FETCH=1`, or set LIBTORCH to another",
                root.display()
            ));
        }
    }
    let include = part("LIBTORCH_INCLUDE").join("include");
    Ok(Libtorch { root, lib, include })
}

/// The RPATH of binaries, tests, benches and examples.
fn link(libtorch: &Libtorch) {
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", libtorch.lib.display());
    // RPATH instead of RUNPATH, as PyTorch's libraries have it: a LD_LIBRARY_PATH that leads to
    // another PyTorch must not mix its libraries with ours.
    println!("cargo::rustc-link-arg=-Wl,--disable-new-dtags");
}

/// Compiles the shim.
fn compile_shim(libtorch: &Libtorch) {
    let folder = Path::new(FOLDER);
    let files = SHIM.iter().map(|name| folder.join(name));
    for file in files.clone().chain(HEADERS.iter().map(|name| folder.join(name))) {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    compiler(libtorch).files(files).compile("frostline_shim");
}

/// Compiles the back end over NCCL into a library of its own, which the program carries in itself and loads after
/// libtorch_cuda.so: where the headers of CUDA and NCCL are, as NVIDIA's wheels lay them beside PyTorch.
fn compile_nccl(libtorch: &Libtorch) {
    let source = Path::new(FOLDER).join("nccl.cpp");
    println!("cargo::rerun-if-changed={}", source.display());
    let headers = match cuda_headers(libtorch) {
        Ok(headers) => headers,
        Err(missing) => {
            // Beside the real file, as the program looks for it.
            let real = libtorch.lib.join("libtorch_cpu.so").canonicalize().unwrap_or_default();
            if real.with_file_name("libtorch_cuda.so").exists() {
                println!(
                    "cargo::warning=NCCL is left out ({missing} is missing; `make cuda` fetches headers): several GPUs will talk by Gloo"
                );
            }
            return;
        }
    };
    let mut compiler = compiler(libtorch);
    compiler.define("USE_CUDA", None).define("USE_C10D_NCCL", None);
    for folder in headers {
        compiler.flag("-isystem").flag(folder.display().to_string());
    }
    let library = PathBuf::from(env::var("OUT_DIR").unwrap_or_default()).join("libfrostline_nccl.so");
    let mut command = compiler.get_compiler().to_command();
    // The program carries it: without names for a debugger.
    command.args(["-shared", "-g0", "-Wl,-s", "-o"]).arg(&library).arg(&source);
    match command.status() {
        Ok(status) if status.success() => {
            println!("cargo::rustc-cfg=frostline_nccl");
            println!("cargo::rustc-env=FROSTLINE_NCCL={}", library.display());
        }
        // Everything else works without it.
        _ => println!("cargo::warning=the back end over NCCL cannot be compiled: several GPUs will talk by Gloo"),
    }
}

/// The header folders of CUDA and NCCL, or the header that is in none of them.
fn cuda_headers(libtorch: &Libtorch) -> Result<Vec<PathBuf>, &'static str> {
    // `site-packages/nvidia` beside `site-packages/torch/include`, as that is behind the links; and what the set-up has put
    // into the link folder of a PyTorch that lacks some.
    let include = libtorch.include.canonicalize().unwrap_or_default();
    let beside = include.parent().filter(|torch| torch.ends_with("torch")).map(|torch| torch.with_file_name("nvidia"));
    let mut folders = Vec::new();
    for place in beside.into_iter().chain([libtorch.root.join("nvidia")]) {
        let Ok(there) = std::fs::read_dir(&place) else { continue };
        // Not of a folder that is missing: cargo would take it as changed each time.
        println!("cargo::rerun-if-changed={}", place.display());
        folders.extend(there.flatten().map(|e| e.path().join("include")));
    }
    folders.sort();
    folders.extend(folders.clone().iter().map(|f| f.join("cccl")));
    folders.retain(|f| f.is_dir());
    let needed =
        ["nccl.h", "cuda_runtime.h", "crt/host_config.h", "nv/target", "cublas_v2.h", "cusparse.h", "cusolverDn.h"];
    match needed.into_iter().find(|header| !folders.iter().any(|f| f.join(header).is_file())) {
        Some(missing) => Err(missing),
        None => Ok(folders),
    }
}

/// A compiler with the flags with which torch-sys compiles its own.
fn compiler(libtorch: &Libtorch) -> cc::Build {
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    let mut compiler = cc::Build::new();
    compiler
        .cpp(true)
        .std("c++17")
        .flag(format!("-D_GLIBCXX_USE_CXX11_ABI={abi}"))
        .define("GLOG_USE_GLOG_EXPORT", None)
        // Stand-ins for headers that PyTorch's wheel leaves out.
        .flag("-isystem")
        .flag(Path::new(FOLDER).join("gloo").display().to_string())
        // PyTorch's headers are not ours to warn about; -isystem silences them and nothing else.
        .flag("-isystem")
        .flag(libtorch.include.display().to_string())
        .flag("-isystem")
        .flag(libtorch.include.join("torch/csrc/api/include").display().to_string())
        .flag_if_supported("-Wno-unused-parameter")
        // GCC 12's false alarm about libtorch's own headers, where it optimises.
        .flag_if_supported("-Wno-stringop-overflow");
    compiler
}
