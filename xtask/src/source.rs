//! The repository's Rust files, for checks that read them as text.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// One file.
pub struct Source {
    /// Its path from the folder that was read, with `/` between names.
    pub path: String,
    /// The file's text.
    pub text: String,
}

/// Reads every Rust file under a folder, in the order of their paths. Folders with
/// files that are built or fetched are left out.
pub fn read_all(folder: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    collect(folder, "", &mut sources)?;
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(sources)
}

fn collect(folder: &Path, prefix: &str, sources: &mut Vec<Source>) -> Result<()> {
    let context = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
                collect(&entry.path(), &format!("{path}/"), sources)?;
            }
        } else if name.ends_with(".rs") {
            let text =
                fs::read_to_string(entry.path()).with_context(|| format!("cannot read {path}"))?;
            sources.push(Source { path, text });
        }
    }
    Ok(())
}
