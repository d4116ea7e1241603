//! `cargo xtask`. All that it does stands in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::run_command()
}
