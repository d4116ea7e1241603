//! The host with wasmtime in it, which takes longest to build.

use anyhow::Result;

use crate::process::{cargo, progress, run};
use crate::workspace::Workspace;

/// Says how long the first build takes, before it begins.
pub fn announce_first_build(workspace: &Workspace, duration: &str) {
    if !workspace.tool("tether-runner").exists() {
        progress(&format!(
            "the first time builds everything, wasmtime too: {duration} on two cores; after that \
             only what has changed"
        ));
    }
}

/// Builds the program that runs compositions on wasmtime.
pub fn build_runner(workspace: &Workspace) -> Result<()> {
    progress("building the host with wasmtime");
    run(cargo(workspace).args(["build", "--package", "tether-runner"]), "building tether-runner")
}
