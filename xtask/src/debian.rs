//! Packages of Debian: the C compiler and linker for Wasm, a C library, and the compiler's own
//! run-time library.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{progress, run};
use crate::workspace::Workspace;

/// The packages, in the order of the command that installs them.
const PACKAGES: [&str; 4] = ["clang-19", "lld-19", "wasi-libc", "libclang-rt-19-dev-wasm32"];

const WASI_LIBRARY: &str = "/usr/lib/wasm32-wasi";
const WASI_HEADERS: &str = "/usr/include/wasm32-wasi";

/// The C toolchain for Wasm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CTools {
    /// The compiler, with every Wasm target.
    pub clang: PathBuf,
    /// The linker.
    pub wasm_ld: PathBuf,
    /// The folder of wasi-libc's libraries. clang finds it and its headers by
    /// itself for `--target=wasm32-wasi --sysroot=/usr`.
    pub wasi_library: PathBuf,
}

/// The toolchain, installed with apt if it is missing and the user may install it.
///
/// # Errors
///
/// Names the command to run if it cannot be installed from here.
pub fn ensure_c_toolchain(workspace: &Workspace) -> Result<CTools> {
    if let Some(tools) = find() {
        return Ok(tools);
    }
    let by_hand = format!(
        "the C toolchain for Wasm is missing; install it with \
         `apt-get update && apt-get install --no-install-recommends {}`",
        PACKAGES.join(" ")
    );
    ensure!(may_install(workspace), "{by_hand}");
    progress(&format!("installing {} with apt-get: about a minute", PACKAGES.join(", ")));
    apt_get(&["update"]).with_context(|| by_hand.clone())?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(PACKAGES);
    apt_get(&install).with_context(|| by_hand.clone())?;
    match find() {
        Some(tools) => Ok(tools),
        None => bail!("apt-get installed the C toolchain, but not where it is looked for"),
    }
}

fn find() -> Option<CTools> {
    let library = Path::new(WASI_LIBRARY);
    let is_complete = library.join("libc.a").is_file() && Path::new(WASI_HEADERS).is_dir();
    is_complete.then_some(())?;
    Some(CTools {
        clang: on_path("clang-19")?,
        wasm_ld: on_path("wasm-ld-19")?,
        wasi_library: library.to_path_buf(),
    })
}

/// A program's path, if it stands in one of the `PATH`'s folders.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Whether apt-get is there, and this user may run it.
fn may_install(workspace: &Workspace) -> bool {
    let is_root = Command::new("id")
        .arg("-u")
        .current_dir(workspace.root())
        .output()
        .is_ok_and(|ran| ran.stdout.trim_ascii() == b"0");
    is_root && on_path("apt-get").is_some()
}

fn apt_get(words: &[&str]) -> Result<()> {
    run(
        Command::new("apt-get").args(words).env("DEBIAN_FRONTEND", "noninteractive"),
        &format!("apt-get {}", words[0]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_path_only() {
        assert!(on_path("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(on_path("no-program-has-this-name"), None);
    }
}
