//! The command `tether`. All that it does stands in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match tether_cli::commands::run(lexopt::Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
