#!/bin/sh
# Checks that the tools are there, then provides libtorch. `make setup` calls this; its arguments go
# to libtorch.py.
set -eu
cd "$(dirname "$0")/.."

missing() {
    echo "set-up: error: $1" >&2
    exit 1
}

command -v cargo >/dev/null || missing "cargo is not on the PATH: install Rust with rustup, then open a new shell"
command -v "${CXX:-c++}" >/dev/null || missing "no C++ compiler (${CXX:-c++}): install g++ (Debian, Ubuntu: apt-get install g++) or set CXX"
command -v python3 >/dev/null || missing "python3 is not on the PATH: install Python 3.8 or newer with pip (Debian, Ubuntu: apt-get install python3-pip)"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' || missing "$(python3 --version 2>&1) does not do: Python 3.8 or newer is needed"

exec python3 scripts/libtorch.py "$@"
