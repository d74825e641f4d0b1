#!/usr/bin/env python3
"""Provides libtorch to this checkout: makes `.libtorch` a link to a folder that torch-sys can use.

Sources, in this order: the folder that LIBTORCH names, what `.libtorch` already points to, the copy
in the user's cache folder, the PyTorch of the active Python, PyTorch's wheel fetched by pip.

The cache folder is FROSTLINE_LIBTORCH_CACHE, else XDG_CACHE_HOME/frostline, else ~/.cache/frostline:

    libtorch-2.11.0-x86_64/site/   the wheels' files, laid out as in site-packages, so that the
                                   libraries' own RPATH ($ORIGIN/../../nvidia/...) finds CUDA
    libtorch-2.11.0-x86_64/link/   lib, include, build-version: links into site/, without the CUDA
                                   back end, which the program loads at run time where it is
    borrowed-<hash>/               the same links, into a libtorch that somebody else installed
    cuda-headers-2.11.0-x86_64/    headers that the back end over NCCL needs and such a libtorch lacks,
                                   which `nvidia` in the link folder leads to

`.libtorch` and the RPATH of the programs name such a link folder. Python 3.8, no packages.
"""

import argparse
import ctypes
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "2.11.0"
PROJECT = Path(__file__).resolve().parent.parent
# Of those that build.rs asks for, the ones that PyTorch's own dependencies do not bring, and the wheels that do.
CUDA_HEADERS = {"crt/host_config.h": "nvidia-cuda-crt", "nv/target": "nvidia-cuda-cccl"}
WHEEL_LISTS = {"cpu": "libtorch-cpu.txt", "cuda": "libtorch-cuda.txt"}
# Bytes free that a fetch needs at its worst moment: the largest wheel beside what is unpacked.
ROOM = {"cpu": 1_300_000_000, "cuda": 5_500_000_000}
# Not needed to run libtorch without a GPU. torch-sys links libtorch_cuda if it sees it, and Python's
# own parts would need libpython.
NOT_CPU = re.compile(r"lib(torch_cuda|c10_cuda|caffe2_nvrtc|torch_nvshmem|torch_python|shm|torch_hip|c10_hip|torch_xpu|c10_xpu)\b|libtorch_cuda_")
PYTHON_PARTS = re.compile(r"lib(torch_python|shm)\.so")
# NVIDIA libraries that no library of PyTorch names: other flavours of nvrtc, other APIs.
NVIDIA_SPARE = re.compile(r"\.alt\.so|lib(cusolverMg|cufftw|nvblas|nvperf_\w+|pcsamplingutil|checkpoint)\.so")


class SetupError(Exception):
    """What is wrong and what to do, in one line."""


def say(text):
    print(f"libtorch: {text}", file=sys.stderr, flush=True)


# ---------------------------------------------------------------- what is there


def cache_folder():
    if os.environ.get("FROSTLINE_LIBTORCH_CACHE"):
        return Path(os.environ["FROSTLINE_LIBTORCH_CACHE"]).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base).absolute() / "frostline"


def machine():
    if sys.platform != "linux":
        raise SetupError(f"Frostline builds on Linux, not on {sys.platform}: use a Linux machine or container")
    name = platform.machine()
    if name not in ("x86_64", "aarch64"):
        raise SetupError(f"PyTorch has no wheel for {name} (only x86_64 and aarch64): set LIBTORCH to a libtorch {VERSION} of your own")
    return name


def own_copy():
    return cache_folder() / f"libtorch-{VERSION}-{machine()}"


def version_of(folder):
    """The version of a libtorch folder, or None; read from files, since importing torch takes seconds."""
    for name, pattern in (
        # The header is first: it tells the truth about a borrowed folder whose owner upgraded it.
        ("include/torch/headeronly/version.h", r"VERSION_MAJOR (\d+)[\s\S]*VERSION_MINOR (\d+)[\s\S]*VERSION_PATCH (\d+)"),
        ("build-version", r"(\d+)\.(\d+)\.(\d+)"),
        ("version.py", r"__version__ = '(\d+)\.(\d+)\.(\d+)"),
    ):
        try:
            found = re.search(pattern, (folder / name).read_text())
        except OSError:
            continue
        if found:
            return ".".join(found.groups())
    return None


def is_complete(folder):
    """Whether a link folder serves: right version, no broken link."""
    needed = ("lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/autograd/engine.h")
    return version_of(folder) == VERSION and all((folder / path).is_file() for path in needed)


def has_cuda(link):
    """The CUDA back end lies beside the real libtorch_cpu.so; the program looks for it there too."""
    return (link / "lib/libtorch_cpu.so").resolve().with_name("libtorch_cuda.so").is_file()


def driver_is_present():
    if os.path.exists("/proc/driver/nvidia/version"):
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
        return True
    except OSError:
        return False


# ---------------------------------------------------------------- link folders


def make_link_folder(folder, source, relative):
    """Fills `folder` with lib, include and build-version that point into the libtorch folder `source`."""

    def link(target, path):
        path.symlink_to(os.path.relpath(target, path.parent) if relative else target)

    (folder / "lib").mkdir(parents=True)
    site = source.parent
    libraries = sorted((source / "lib").glob("*.so*")) + sorted(site.glob("torch.libs/*.so*"))
    # $ORIGIN of a library that is reached through a link is the link's folder, so what the CPU
    # libraries name must be reachable there too.
    libraries += sorted(p for name in ("libcudart.so*", "libcupti.so*") for p in site.glob(f"nvidia/*/lib/{name}"))
    for library in libraries:
        place = folder / "lib" / library.name
        if not NOT_CPU.match(library.name) and not os.path.lexists(place):
            link(library, place)
    # torch-sys links with -lgomp: give it the OpenMP runtime that libtorch itself loads.
    gomp = sorted((folder / "lib").glob("libgomp*.so*"))
    if gomp and not os.path.lexists(folder / "lib/libgomp.so"):
        (folder / "lib/libgomp.so").symlink_to(gomp[0].name)
    link(source / "include", folder / "include")
    (folder / "build-version").write_text(VERSION + "\n")


def probe(link):
    """Links and runs a program that calls libtorch, and returns the reason why that failed, or None."""
    compiler = os.environ.get("CXX") or "c++"
    program = "namespace at { int get_num_threads(); } int main() { return at::get_num_threads() < 1; }"
    lib = link / "lib"
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "probe")
        command = [*compiler.split(), "-x", "c++", "-", "-o", binary, f"-L{lib}", f"-Wl,-rpath,{lib}", "-Wl,--disable-new-dtags"]
        environment = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
        try:
            built = subprocess.run(command + ["-ltorch_cpu", "-lc10", "-lgomp"], input=program, env=environment, capture_output=True, text=True)
        except OSError as error:
            raise SetupError(f"no C++ compiler ({compiler}: {error.strerror}): install g++ (Debian, Ubuntu: apt-get install g++) or set CXX")
        if built.returncode != 0:
            return last_line(built.stderr) or f"{compiler} failed"
        ran = subprocess.run([binary], env=environment, capture_output=True, text=True)
        if ran.returncode != 0:
            return last_line(ran.stderr) or f"a program linked with it ended with {ran.returncode}"
    return None


def last_line(text):
    """The line of a compiler's or loader's output that says most: the last error, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line and "ld returned" not in line] or [l for l in lines if "ld returned" not in l]
    return (errors or lines or [""])[-1]


def point_project_at(link):
    """Makes `.libtorch` a link to `link`, in one step."""
    place = PROJECT / ".libtorch"
    if same_folder(place, link):
        return
    if place.exists() and not place.is_symlink():
        raise SetupError(f"{place} is not a link: remove it and run `make setup` again")
    if place.is_symlink():
        # build.rs watches this file: its age tells cargo that the libraries are others now.
        os.utime(link / "build-version")
    temporary = PROJECT / f".libtorch.{os.getpid()}"
    temporary.symlink_to(link)
    os.replace(temporary, place)


def same_folder(one, other):
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def remove(path):
    """Removes a folder so that its name disappears at once."""
    if os.path.lexists(path):
        doomed = path.with_name(f"{path.name}.old-{os.getpid()}")
        os.replace(path, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


# ---------------------------------------------------------------- a libtorch of somebody else's


def borrow(source, whose):
    """A link folder for a libtorch that is already installed, or a SetupError that says why not."""
    source = source.resolve()
    if not (source / "lib/libtorch_cpu.so").is_file() or not (source / "include").is_dir():
        raise SetupError(f"{whose} ({source}) is no libtorch: it needs lib/libtorch_cpu.so and include/")
    version = version_of(source)
    if version != VERSION:
        raise SetupError(f"{whose} ({source}) is libtorch {version or 'of an unknown version'}, but Frostline needs {VERSION}")
    folder = cache_folder() / f"borrowed-{hashlib.sha256(str(source).encode()).hexdigest()[:12]}"
    with locked(folder.name):
        if is_complete(folder):
            return folder
        temporary = folder.with_name(folder.name + ".partial")
        shutil.rmtree(temporary, ignore_errors=True)
        make_link_folder(temporary, source, relative=False)
        reason = None if is_complete(temporary) else "headers or libraries are missing"
        reason = reason or probe(temporary)
        if reason:
            shutil.rmtree(temporary, ignore_errors=True)
            raise SetupError(f"{whose} ({source}) does not work: {reason}")
        remove(folder)
        os.replace(temporary, folder)
    return folder


def torch_of_active_python():
    """The torch folder of the active virtual or conda environment or of this Python, if it is the right version."""
    places = [Path(p) for p in sys.path if p]
    for variable in ("CONDA_PREFIX", "VIRTUAL_ENV"):
        if os.environ.get(variable):
            places = sorted(Path(os.environ[variable]).glob("lib/python3*/site-packages")) + places
    for place in places:
        if (place / "torch/lib/libtorch_cpu.so").is_file() and version_of(place / "torch") == VERSION:
            return place / "torch"
    return None


# ---------------------------------------------------------------- the wheels


def locked(name):
    """A lock that other runs of this script wait for; it ends with the process at the latest."""
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        handle = open(cache_folder() / f".{name}.lock", "w")
    except OSError as error:
        raise SetupError(f"the cache folder {cache_folder()} cannot be written ({error.strerror}): set FROSTLINE_LIBTORCH_CACHE to another")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say("another set-up is at work; waiting for it")
        fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def wheels(flavour):
    """The (name, requirement) pairs of a wheel list."""
    text = (PROJECT / "scripts" / WHEEL_LISTS[flavour]).read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    return [(line.split()[0], line) for line in lines if line and not line.startswith("#")]


def pip_command():
    candidates = [[sys.executable, "-m", "pip"], ["pip3"], ["/usr/bin/python3", "-m", "pip"]]
    for command in candidates:
        try:
            answer = subprocess.run(command + ["--version"], capture_output=True, text=True)
        except OSError:
            continue
        found = re.match(r"pip (\d+)\.(\d+)", answer.stdout)
        if answer.returncode == 0 and found:
            if (int(found.group(1)), int(found.group(2))) < (20, 3):
                raise SetupError(f"pip {found.group(1)}.{found.group(2)} is too old (20.3 or newer is needed): python3 -m pip install --user --upgrade pip")
            return command
    raise SetupError("python3 has no pip: install it (Debian, Ubuntu: apt-get install python3-pip), or set LIBTORCH to a libtorch you have")


def download(pip, requirement, folder):
    """Has pip fetch one wheel and check its hash; returns the wheel's path."""
    name = requirement.split()[0]
    arch = machine()
    # Each wheel names the oldest glibc that it runs on, some of them 2.5: offer all up to PyTorch's own.
    tags = [f"manylinux_2_{minor}_{arch}" for minor in range(28, 4, -1)] + [f"manylinux2014_{arch}"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    listing = folder / "requirement.txt"
    listing.write_text(requirement + "\n")
    command = [*pip, "download", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "--implementation", "cp", "--abi", "cp312", "--abi", "abi3", "--abi", "none"]
    command += [word for tag in tags for word in ("--platform", tag)]
    command += ["--dest", str(folder), "--requirement", str(listing)]
    # TMPDIR: a wheel is half a gigabyte, and /tmp may be a small disk of its own.
    environment = dict(os.environ, PIP_REQUIRE_VIRTUALENV="0", PIP_NO_INPUT="1", TMPDIR=str(folder))
    # pip draws its progress on stdout; ours is for results, so it goes to stderr.
    result = subprocess.run(command, env=environment, stdout=sys.stderr.fileno(), stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise SetupError(pip_failure(name, result.stderr))
    return next(folder.glob("*.whl"))


def pip_failure(name, output):
    """pip's many lines about a failure, as one that says what to do."""
    if "DO NOT MATCH THE HASHES" in output:
        return f"the {name} that was downloaded is not the one that Frostline was made with (its hash differs): check your package index or proxy"
    if "No space left" in output:
        return f"no space left while {name} was downloaded: free some, or set FROSTLINE_LIBTORCH_CACHE to a larger disk"
    if re.search(r"Retrying|from versions: none|ConnectionError|timed out|ConnectTimeout|ProxyError|SSLError", output):
        return f"the package index cannot be reached, so {name} is not downloaded: check the network or pip's proxy settings, or set LIBTORCH to a libtorch {VERSION} you have"
    return f"pip could not download {name}: {last_line(output)}"


def wanted(member, flavour):
    """Whether a file of a wheel is kept."""
    name = member.rsplit("/", 1)[-1]
    if ".dist-info/licenses/" in member or re.search(r"\.dist-info/(LICENSE|NOTICE|License)", member):
        return True
    if member.startswith("torch/include/") or member == "torch/version.py":
        return True
    if re.match(r"torch(\.libs|/lib)/[^/]+\.so", member):
        return not (PYTHON_PARTS if flavour == "cuda" else NOT_CPU).match(name)
    if re.match(r"nvidia/\w+/lib/[^/]+\.so", member):
        return not NVIDIA_SPARE.search(name) if flavour == "cuda" else bool(re.match(r"lib(cudart|cupti)\.so", name))
    return flavour == "cuda" and bool(re.match(r"nvidia/\w+/include/", member))


def unpack(wheel, site, flavour):
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.is_dir() or not wanted(member.filename, flavour):
                continue
            archive.extract(member, site)
            mode = (member.external_attr >> 16) & 0o777
            if mode:
                os.chmod(site / member.filename, mode | 0o600)


def check_room(flavour):
    free = shutil.disk_usage(cache_folder()).free
    if free < ROOM[flavour]:
        need, have = (f"{size / 1e9:.1f} GB" for size in (ROOM[flavour], free))
        raise SetupError(f"{cache_folder()} has {have} free, and {need} are needed: free some, or set FROSTLINE_LIBTORCH_CACHE to a larger disk")


def check_glibc():
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(int(n) for n in version.split(".")[:2]) < (2, 28):
        raise SetupError(f"PyTorch's wheels need glibc 2.28 or newer, and this machine has {name or 'another C library'} {version}: set LIBTORCH to a libtorch {VERSION} of your own")


def fetch(flavour):
    """The user's own copy, downloaded unless another run has just done so. Returns its link folder."""
    arch = machine()
    check_glibc()
    final = own_copy()
    with locked(final.name):
        if is_complete(final / "link") and (flavour == "cpu" or has_cuda(final / "link")):
            return final / "link"
        pip = pip_command()
        # What a broken-off run unpacked is kept under this name; only the rename below makes it count.
        stage = final.with_name(f"{final.name}.partial-{flavour}")
        if not stage.exists():
            check_room(flavour)
        stage.mkdir(exist_ok=True)
        todo = wheels("cpu") + (wheels("cuda") if flavour == "cuda" else [])
        say(f"fetching PyTorch {VERSION} for {arch}{' with CUDA' if flavour == 'cuda' else ''} into {final}")
        for number, (name, requirement) in enumerate(todo, 1):
            mark = stage / "done" / name
            if mark.exists():
                continue
            say(f"[{number}/{len(todo)}] {name}")
            wheel = download(pip, requirement, stage / "wheel")
            say(f"[{number}/{len(todo)}] unpacking {wheel.stat().st_size / 1e6:.0f} MB")
            unpack(wheel, stage / "site", flavour)
            shutil.rmtree(stage / "wheel")
            mark.parent.mkdir(exist_ok=True)
            mark.touch()
        shutil.rmtree(stage / "link", ignore_errors=True)
        make_link_folder(stage / "link", stage / "site/torch", relative=True)
        reason = probe(stage / "link")
        if reason:
            raise SetupError(f"the libtorch in {stage} does not work here: {reason}")
        shutil.rmtree(stage / "done")
        os.sync()
        if is_complete(final / "link"):
            add_files(stage / "site", final / "site")
            shutil.rmtree(stage)
        else:
            remove(final)
            os.replace(stage, final)
    say(f"ready in {final} ({folder_size(final) / 1e6:.0f} MB)")
    return final / "link"


def add_files(source, target):
    """Moves the files that `target` lacks into it; libtorch_cuda.so last, since programs look for that one."""
    files = [p for p in source.rglob("*") if p.is_file()]
    for path in sorted(files, key=lambda p: p.name == "libtorch_cuda.so"):
        place = target / path.relative_to(source)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)


def folder_size(folder):
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


# ---------------------------------------------------------------- the back end over NCCL


def missing_headers(link):
    """The names of the wheels whose headers are neither beside the libtorch behind `link` nor in `link`/nvidia."""
    places = (link.joinpath("include").resolve().parent.with_name("nvidia"), link / "nvidia")
    folders = [f for place in places for pattern in ("*/include", "*/include/cccl") for f in place.glob(pattern)]
    return [wheel for header, wheel in CUDA_HEADERS.items() if not any((f / header).is_file() for f in folders)]


def add_headers(link):
    """Gives a link folder the headers that its libtorch lacks, so that the back end over NCCL can be compiled."""
    missing = missing_headers(link)
    if not missing:
        return
    runtime = link.joinpath("include").resolve().parent.with_name("nvidia") / "cu13/include/cuda_runtime.h"
    if not runtime.is_file():
        # Of another CUDA, or no wheel at all: headers of 13.0 beside it would not do.
        say(f"NCCL is left out, and several GPUs will talk by Gloo: no {runtime}; `make cuda FETCH=1` fetches a copy that has it")
        return
    shared = cache_folder() / f"cuda-headers-{VERSION}-{machine()}"
    with locked(shared.name):
        for name, requirement in wheels("cuda"):
            wheel = name.split("==")[0]
            if wheel not in missing:
                continue
            if not (shared / name).exists():
                say(f"fetching {name}: headers for NCCL, which the PyTorch in use lacks")
                stage = shared / f"{name}.partial"
                unpack(download(pip_command(), requirement, stage / "wheel"), stage / "site", "cuda")
                os.replace(stage / "site", shared / name)
                shutil.rmtree(stage)
            place = link / "nvidia" / wheel
            place.parent.mkdir(exist_ok=True)
            if not os.path.lexists(place):
                place.symlink_to(shared / name / "nvidia/cu13")
    # build.rs watches this file.
    os.utime(link / "build-version")


def provide_headers(link, options, chosen_before):
    """Headers for NCCL where they are of use; without a word from the user the first time alone, since it costs a while offline."""
    if not has_cuda(link) or options.cpu or not (options.cuda or (driver_is_present() and not chosen_before)):
        return
    try:
        add_headers(link)
    except SetupError as error:
        if options.cuda:
            raise
        say(f"without NCCL for now, since {error}; `make cuda` tries again")


# ---------------------------------------------------------------- the choice


def choose(options):
    """The link folder to use."""
    named = os.environ.get("LIBTORCH")
    project_link = PROJECT / ".libtorch"
    if named and not same_folder(named, project_link):
        return borrow(Path(named), "the folder that LIBTORCH names")
    cuda = options.cuda or (not options.cpu and driver_is_present())

    if not options.fetch and is_complete(project_link):
        link = project_link.resolve()
        borrowed = link != (own_copy() / "link").resolve()
        # A libtorch that somebody chose is not replaced because a driver appeared.
        if not cuda or has_cuda(link) or (borrowed and not options.cuda):
            return link
    if not options.fetch and not is_complete(own_copy() / "link"):
        torch = torch_of_active_python()
        if torch and (not cuda or (torch / "lib/libtorch_cuda.so").is_file()):
            try:
                link = borrow(torch, "the active Python's PyTorch")
                say(f"using the PyTorch {VERSION} in {torch.parent} (`make setup FETCH=1` fetches a copy of our own)")
                return link
            except SetupError as error:
                say(f"{error}; fetching another")
    try:
        return fetch("cuda" if cuda else "cpu")
    except SetupError as error:
        if cuda and not options.cuda and is_complete(own_copy() / "link"):
            say(f"without CUDA for now, since {error}; `make cuda` tries again")
            return own_copy() / "link"
        raise


def main():
    parser = argparse.ArgumentParser(description="Provides libtorch to this checkout.")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--cuda", action="store_true", help="the CUDA libraries too, even if no NVIDIA driver is found")
    kind.add_argument("--cpu", action="store_true", help="no CUDA libraries, even if an NVIDIA driver is found")
    parser.add_argument("--fetch", action="store_true", help="a copy of our own, even if another libtorch is there")
    options = parser.parse_args()
    try:
        link = choose(options)
        chosen_before = same_folder(PROJECT / ".libtorch", link)
        point_project_at(link)
        provide_headers(link, options, chosen_before)
    except SetupError as error:
        say(f"error: {error}")
        return 1
    except OSError as error:
        say(f"error: {error.filename or 'the system'}: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        say("stopped; what was fetched is kept, and `make setup` goes on from there")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
