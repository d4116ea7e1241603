//! The command `tether`, as this repository builds it. It links, composes, encodes and
//! inspects: all the work that needs a Wasm library.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::npm;
use crate::process::{cargo, output, run};
use crate::workspace::Workspace;

/// The collector for guests of the core door, as `tether link` looks for it.
pub const COLLECTOR: &str = "tether_gc.core.wasm";

/// The collector for guests of the component door, as `tether link` looks for it.
pub const LOWERED: &str = "tether_gc.lowered.wasm";

/// Builds the command.
pub fn build(workspace: &Workspace) -> Result<()> {
    run(cargo(workspace).args(["build", "--package", "tether-cli"]), "building `tether`")
}

/// Builds `tether fuse`, which is a program of its own.
pub fn build_fuse(workspace: &Workspace) -> Result<()> {
    run(cargo(workspace).args(["build", "--package", "tether-fuse"]), "building `tether fuse`")
}

/// The command, which must have been built. It uses this workspace's collector.
pub fn tether(workspace: &Workspace, subcommand: &str) -> Command {
    let mut command = Command::new(workspace.tool("tether"));
    command.arg(subcommand).env("TETHER_ARTIFACTS", workspace.artifacts());
    command
}

/// `tether link`, with the Binaryen that npm has for this repository.
pub fn tether_link(workspace: &Workspace) -> Result<Command> {
    let wasm_opt = npm::fetch_wasm_opt(workspace)?;
    let mut command = tether(workspace, "link");
    command.arg("--binaryen").args(wasm_opt.parent());
    Ok(command)
}

/// Runs the command for its files alone: its report of success is left out.
pub fn run_quietly(command: &mut Command, doing: &str) -> Result<()> {
    let ran = output(command, doing)?;
    ensure!(ran.status.success(), "{doing} failed; what went wrong stands above");
    Ok(())
}
