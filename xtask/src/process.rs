//! Runs other programs, with errors that say what was being done.

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Cargo, in the repository, as the Cargo that started this tool.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(workspace.root()).env("CARGO_TARGET_DIR", workspace.target());
    command
}

/// Names the next step on stderr.
pub fn progress(message: &str) {
    eprintln!("==> {message}");
}

/// Runs a program to its end. All that it prints goes to stderr, because stdout is for figures
/// alone.
pub fn run(command: &mut Command, doing: &str) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .with_context(|| not_started(command, doing))?;
    if !status.success() {
        bail!("{doing} failed ({status}); what went wrong stands above");
    }
    Ok(())
}

/// Runs a program whose stdout is this tool's own.
pub fn run_visibly(command: &mut Command, doing: &str) -> Result<()> {
    let status =
        command.stdin(Stdio::null()).status().with_context(|| not_started(command, doing))?;
    if !status.success() {
        bail!("{doing} failed ({status})");
    }
    Ok(())
}

/// Runs a program and takes its stdout. Its stderr stays visible.
pub fn output(command: &mut Command, doing: &str) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| not_started(command, doing))
}

fn not_started(command: &Command, doing: &str) -> String {
    format!("{doing}: cannot start `{}`", command.get_program().display())
}
