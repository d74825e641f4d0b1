#!/bin/sh
# The whole suite: the build with libtorch, the documentation's examples, the build without libtorch.
# Arguments go to cargo. A failure does not hide the parts after it.
cd "$(dirname "$0")/.." || exit 1
cargo=${CARGO:-cargo}
status=0

run() {
    echo "+ $*" >&2
    "$@" || status=1
}

if $cargo nextest --version >/dev/null 2>&1; then
    # nextest runs no documentation examples; cargo test runs them with the rest.
    run $cargo nextest run --no-fail-fast --no-tests=pass "$@"
    run $cargo test --doc --no-fail-fast "$@"
    run $cargo nextest run --no-fail-fast --no-tests=pass --no-default-features "$@"
else
    run $cargo test --no-fail-fast "$@"
    run $cargo test --no-fail-fast --no-default-features "$@"
fi
exit $status
