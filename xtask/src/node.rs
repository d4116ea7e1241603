//! Which Node runs a component on jco.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::npm;
use crate::process::{output, progress};
use crate::workspace::Workspace;

/// A script that ends with success if its Node runs modules with two memories. The bytes are the
/// smallest such module.
const PROBE: &str = "process.exit(WebAssembly.validate(Uint8Array.of(\
0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 5, 2, 0, 0, 0, 0)) ? 0 : 1)";

/// What a module with two memories is to a component on jco. Node runs such modules from version
/// 22 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwoMemories {
    /// The component has one memory.
    Unused,
    /// jco copies lists between two components, and calls JavaScript for each word if no module
    /// may have both memories.
    Faster,
    /// The component has such a module.
    Needed,
}

/// The Node for a component: the machine's, or Node 24 from npm if the machine's lacks what the
/// component uses.
pub fn choose(workspace: &Workspace, memories: TwoMemories) -> Result<PathBuf> {
    let machines = PathBuf::from("node");
    if memories == TwoMemories::Unused || runs_two_memories()? {
        return Ok(machines);
    }
    progress("taking Node 24: the machine's Node runs no module with two memories");
    let fetched = npm::fetch_node_24(workspace);
    match memories {
        TwoMemories::Needed => fetched.context(
            "this door's module has two memories, which Node 22 and later run; the machine's Node \
             is older, and Node 24 cannot be had from npm: install Node 22 or later, or choose \
             another --door",
        ),
        _ => Ok(fetched.unwrap_or_else(|error| {
            eprintln!(
                "note: Node 24 cannot be had ({error:#}); on the machine's Node, jco takes longer \
                 for calls between components"
            );
            machines
        })),
    }
}

/// Whether the machine's Node runs modules with two memories.
fn runs_two_memories() -> Result<bool> {
    let ran = output(Command::new("node").args(["-e", PROBE]), "asking Node what it runs")?;
    Ok(ran.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_with_one_memory_takes_the_machines_node() {
        assert_eq!(choose(&Workspace::find(), TwoMemories::Unused).unwrap(), PathBuf::from("node"));
    }

    #[test]
    fn the_probe_agrees_with_nodes_version() {
        let asked = output(
            Command::new("node").args(["-p", "process.versions.node"]),
            "asking Node for its version",
        )
        .unwrap();
        let version = String::from_utf8(asked.stdout).unwrap();
        let major: u32 = version.split('.').next().unwrap().parse().unwrap();
        assert_eq!(runs_two_memories().unwrap(), major >= 22, "Node {version}");
    }
}
