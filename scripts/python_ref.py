#!/usr/bin/env python3
"""Provides Python's PyTorch to the tests that compare with it: makes `.python-ref` a link to a scratch environment.

The environment is made once, in the cache folder of libtorch.py, and shared by all checkouts. FROSTLINE_PYTHON names an
interpreter of your own instead (with the packages below); FROSTLINE_PYTHON=none leaves it out, and the tests that need
it say that they are skipped. Python 3.10, no packages; pip of the running Python installs into the new environment.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import libtorch

PACKAGES = ["torch==2.11.0", "torchvision==0.26.0", "numpy", "safetensors", "pillow"]
ROOM = 9_000_000_000


def say(text):
    print(f"python-ref: {text}", file=sys.stderr, flush=True)


def fail(text):
    say(f"error: {text}")
    sys.exit(1)


def folder():
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return libtorch.cache_folder() / f"python{version}-torch-{libtorch.VERSION}-{libtorch.machine()}"


def works(python):
    """Whether the packages are there; importing torch would take seconds."""
    code = "import importlib.metadata as m; [m.version(p) for p in ('torch', 'torchvision', 'numpy', 'safetensors', 'pillow')]"
    return python.exists() and subprocess.run([python, "-c", code], capture_output=True).returncode == 0


def make(place):
    if sys.version_info < (3, 10):
        fail(f"PyTorch {libtorch.VERSION} needs Python 3.10 or newer; set FROSTLINE_PYTHON to one, or to none to go without")
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
        fail("pip is missing: install it (Debian, Ubuntu: apt-get install python3-pip), or set FROSTLINE_PYTHON=none to go without")
    place.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place.parent).free
    if free < ROOM:
        fail(f"{place.parent}: {free // 10**9} GB free, and {ROOM // 10**9} are needed; FROSTLINE_LIBTORCH_CACHE chooses another disk")
    say(f"installing {', '.join(PACKAGES)} into {place} (once; some gigabytes)")
    made = Path(tempfile.mkdtemp(prefix=".python-ref-", dir=place.parent))
    try:
        # Without pip of its own: Debian's Python lacks ensurepip, and a pip can install for another interpreter.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", made / "bin" / "python", "install", "--quiet",
             "--disable-pip-version-check", "--no-warn-script-location", *PACKAGES],
            check=True,
        )
        if place.exists():
            shutil.rmtree(place)
        made.rename(place)
    except subprocess.CalledProcessError as e:
        fail(f"{e}; without a network set FROSTLINE_PYTHON to a Python that has {' '.join(PACKAGES)}, or to none to go without")
    finally:
        shutil.rmtree(made, ignore_errors=True)


def main():
    link = libtorch.PROJECT / ".python-ref"
    own = os.environ.get("FROSTLINE_PYTHON")
    if own:
        if own != "none" and not works(Path(shutil.which(own) or own)):
            fail(f"FROSTLINE_PYTHON={own} lacks some of {' '.join(PACKAGES)}; install them or unset it")
        return
    place = folder()
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.parent / ".python-ref.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not works(place / "bin" / "python"):
            make(place)
    if not (link.is_symlink() and os.readlink(link) == str(place)):
        if link.is_symlink():
            link.unlink()
        link.symlink_to(place)


if __name__ == "__main__":
    main()
