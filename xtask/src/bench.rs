//! `cargo xtask bench`: builds and starts the benchmark, which is a program of its own.

use std::ffi::OsString;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::process::cargo;
use crate::workspace::Workspace;

/// Runs the benchmark with the words that follow on the command line.
pub fn command(words: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    let status = cargo(&Workspace::find())
        .args(["run", "--quiet", "--package", "tether-bench-driver", "--"])
        .args(words)
        .stdin(Stdio::null())
        .status()
        .context("cannot start cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
