#!/bin/sh
# Builds what gpu_checks.py runs and puts it, stripped, with the script into one folder: it runs from there, and on a machine
# with a GPU and a Python with PyTorch 2.11 for CUDA, but without Rust. The first argument is cargo's target folder, the
# others go to cargo.
set -eu
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=$1
shift
out=$target/gpu-bundle

$cargo build --release --bin frostline --example throughput "$@"
# The library's own tests, for the one of NCCL; their file has a name that only cargo knows.
tests=$($cargo test --release --lib --no-run --message-format=json-render-diagnostics "$@" | python3 -c '
import json, sys
for line in sys.stdin:
    fact = json.loads(line) if line.startswith("{") else {}
    if fact.get("executable") and fact["profile"]["test"]:
        print(fact["executable"])')

[ -n "$tests" ] || exit 1
rm -rf "$out"
mkdir -p "$out"
strip -o "$out/frostline" "$target/release/frostline"
strip -o "$out/throughput" "$target/release/examples/throughput"
strip -o "$out/library-tests" "$tests"
cp scripts/gpu_checks.py "$out"
git describe --always --dirty >"$out/commit" 2>/dev/null || rm -f "$out/commit"
if grep -q 'was built without NCCL' "$out/frostline"; then nccl=without; else nccl=with; fi
echo "$out: $(du -sm "$out" | cut -f1) MB, $nccl NCCL"
