//! The `frostline` binary: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    frostline::cli::main()
}
