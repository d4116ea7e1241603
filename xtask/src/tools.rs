//! Tools that do not come with a stable toolchain: the Wasm target, nightly's components, and
//! programs from crates.io. Each is fetched if it is missing.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{output, progress, run};
use crate::workspace::Workspace;

/// The target for which everything on Wasm is built.
pub const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Has rustup fetch the Wasm target if it is missing.
pub fn ensure_wasm_target(workspace: &Workspace) -> Result<()> {
    let listed = output(
        Command::new("rustup")
            .args(["target", "list", "--installed"])
            .current_dir(workspace.root()),
        "asking rustup for its targets",
    )
    .context(NO_RUSTUP)?;
    let installed = String::from_utf8_lossy(&listed.stdout);
    if installed.lines().any(|line| line.trim() == WASM_TARGET) {
        return Ok(());
    }
    progress(&format!("adding the target {WASM_TARGET} with rustup"));
    run(
        Command::new("rustup").args(["target", "add", WASM_TARGET]).current_dir(workspace.root()),
        "adding the Wasm target",
    )
    .context(NO_TARGET)
}

const NO_RUSTUP: &str = "rustup is needed for the Wasm target; install it, or put it on the PATH";
const NO_TARGET: &str = "rustup cannot fetch wasm32-unknown-unknown; check the network, then run \
     `rustup target add wasm32-unknown-unknown` yourself (Debian's rustc-web carries it too)";

/// The target of this machine, as nightly names it.
pub fn host_target(workspace: &Workspace) -> Result<String> {
    let told = output(nightly(workspace, "rustc").arg("-vV"), "asking nightly's rustc")?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name its host")?.to_owned())
}

/// A program of the nightly toolchain.
pub fn nightly(workspace: &Workspace, program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]).current_dir(workspace.root());
    // The cargo that started this tool has set these variables for stable.
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS"] {
        command.env_remove(variable);
    }
    let tools = workspace.target().join("tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(tools).chain(std::env::split_paths(&path));
    if let Ok(joined) = std::env::join_paths(paths) {
        command.env("PATH", joined);
    }
    command
}

/// Has rustup fetch the nightly toolchain and components of it, if they are missing.
pub fn ensure_nightly(workspace: &Workspace, components: &[&str]) -> Result<()> {
    let wanted = format!("rustup toolchain install nightly -c {}", components.join(" -c "));
    let listed = output(
        Command::new("rustup")
            .args(["component", "list", "--installed", "--toolchain", "nightly"])
            .current_dir(workspace.root()),
        "asking rustup for nightly's components",
    )
    .with_context(|| format!("rustup is needed; then run `{wanted}`"))?;
    let installed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let has = |component: &&str| installed.lines().any(|line| line.starts_with(*component));
    if listed.status.success() && components.iter().all(has) {
        return Ok(());
    }
    progress(&format!("adding {} to the nightly toolchain with rustup", components.join(", ")));
    let mut add = Command::new("rustup");
    if listed.status.success() {
        add.args(["component", "add", "--toolchain", "nightly"]).args(components);
    } else {
        add.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
        for component in components {
            add.args(["-c", component]);
        }
    }
    run(add.current_dir(workspace.root()), "adding nightly's components")
        .with_context(|| format!("check the network, then run `{wanted}` yourself"))
}

/// A program of crates.io, installed into the build folder if it is missing.
pub fn ensure_program(workspace: &Workspace, name: &str, version: &str) -> Result<PathBuf> {
    let root = workspace.target().join("tools");
    let program = root.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if program.is_file() {
        return Ok(program);
    }
    progress(&format!("installing {name} {version} from crates.io: some minutes"));
    run(
        crate::process::cargo(workspace)
            .args(["install", name, "--version", version, "--locked", "--root"])
            .arg(&root),
        &format!("installing {name}"),
    )
    .with_context(|| format!("{name} cannot be had; check the network"))?;
    Ok(program)
}
