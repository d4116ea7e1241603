//! The program `tether-fuse`, which the command `tether fuse` runs. All that it does stands in the
//! library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match tether_fuse::command::run(lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
