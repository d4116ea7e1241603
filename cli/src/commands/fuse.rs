//! `tether fuse`, which is a program of its own, `tether-fuse`: what it is made of is too heavy for
//! this one.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context, Result, bail};
use lexopt::Parser;

/// The program.
const PROGRAM: &str = "tether-fuse";

/// Runs the program with the arguments that are left, and ends as it ends.
pub(super) fn run(mut parser: Parser) -> Result<()> {
    let program = find(&folders())?;
    let arguments: Vec<OsString> = parser.raw_args()?.collect();
    let status = Command::new(&program)
        .args(arguments)
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !status.success() {
        // The program has said what went wrong.
        process::exit(status.code().unwrap_or(1));
    }
    Ok(())
}

/// The folder of this program, and then those of PATH.
fn folders() -> Vec<PathBuf> {
    let executable = env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let path = env::var_os("PATH").unwrap_or_default();
    beside.into_iter().chain(env::split_paths(&path)).collect()
}

fn find(folders: &[PathBuf]) -> Result<PathBuf> {
    let file = format!("{PROGRAM}{}", env::consts::EXE_SUFFIX);
    let mut candidates = folders.iter().map(|folder| folder.join(&file));
    let Some(program) = candidates.find(|path| path.is_file()) else {
        bail!(
            "there is no {PROGRAM}, the program behind `tether fuse`, beside this command or on \
             the PATH: make it in Tether's repository, with `cargo build --package {PROGRAM}`, or \
             with `cargo install --path fuse`, which puts it on the PATH"
        )
    };
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_told_with_what_to_do() {
        let error = find(&["/no/where".into()]).unwrap_err().to_string();
        for word in [PROGRAM, "cargo build --package", "cargo install --path fuse"] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
