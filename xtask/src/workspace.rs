//! The paths of the repository, of its build folder and of the artifacts.

use std::env;
use std::path::{Path, PathBuf};

/// The repository and its build folder.
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The workspace that this tool was built in.
    pub fn find() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("xtask lies in the workspace's folder")
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            // Cargo takes a relative path from where it is started, and so do we.
            Some(folder) => env::current_dir().unwrap_or_default().join(folder),
            None => root.join("target"),
        };
        Workspace { root, target }
    }

    /// The repository's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's build folder.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The folder with the artifacts of `cargo xtask build`.
    pub fn artifacts(&self) -> PathBuf {
        self.target.join("tether")
    }

    /// One artifact.
    pub fn artifact(&self, name: &str) -> PathBuf {
        self.artifacts().join(name)
    }

    /// A native tool of this workspace, as the dev profile builds it.
    pub fn tool(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }

    /// A path for a person to read: from the repository's folder on, if it lies there.
    pub fn display(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}
