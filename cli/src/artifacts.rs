//! Finds the collector's core modules: `cargo xtask build` writes them, and a release has them
//! beside the command.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The environment variable that names the folder.
pub const VARIABLE: &str = "TETHER_ARTIFACTS";

/// The folders that may hold the collector, the first choice first: the one that
/// `TETHER_ARTIFACTS` names, and no other; without the variable, those near the executable.
pub fn folders() -> Vec<PathBuf> {
    let variable = env::var_os(VARIABLE).filter(|folder| !folder.is_empty());
    folders_of(variable.map(PathBuf::from), env::current_exe().ok().as_deref())
}

fn folders_of(variable: Option<PathBuf>, executable: Option<&Path>) -> Vec<PathBuf> {
    if let Some(folder) = variable {
        return vec![folder];
    }
    let Some(beside) = executable.and_then(Path::parent) else {
        return Vec::new();
    };
    // Cargo's build folder has the command in `debug/`, and `tether/` next to that.
    let next_to_it = beside.parent().map(|folder| folder.join("tether"));
    [beside.to_path_buf()].into_iter().chain(next_to_it).collect()
}

/// Finds one of the collector's core modules in one of the folders.
pub fn find_collector(folders: &[PathBuf], file: &str) -> Result<PathBuf> {
    let mut candidates = folders.iter().map(|folder| folder.join(file));
    if let Some(path) = candidates.find(|path| path.is_file()) {
        return Ok(path);
    }
    let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    bail!(
        "there is no {file}, the collector's core module, in {}: run `cargo xtask build` in \
         Tether's repository to make it, or name the file with --collector FILE, or its folder \
         with the environment variable {VARIABLE}",
        if looked.is_empty() { "any folder".to_owned() } else { looked.join(" or ") }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collector_is_looked_for_near_the_command() {
        let command = Path::new("/t/target/debug/tether");
        assert_eq!(
            folders_of(None, Some(command)),
            [Path::new("/t/target/debug"), Path::new("/t/target/tether")]
        );
        assert_eq!(folders_of(Some("/a".into()), Some(command)), [Path::new("/a")]);
        assert!(folders_of(None, None).is_empty());
    }

    #[test]
    fn a_collector_that_is_missing_is_told_with_what_to_do() {
        let error = find_collector(&["/no/where".into()], "a.wasm").unwrap_err().to_string();
        for word in ["a.wasm", "/no/where", "cargo xtask build", "--collector", VARIABLE] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
