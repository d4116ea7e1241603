//! Makes a file or folder again only if something that it is made from has changed.
//!
//! A stamp lies beside each result. It has a hash of the contents of files and of words, such as
//! a tool's options.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Has `make` make a file or folder, unless it is there and was made from equal files and words.
pub fn make_if_changed(
    result: &Path,
    files: &[&Path],
    words: &impl Hash,
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let stamp = path_beside(result);
    let wanted = hash(files, words)?;
    if result.exists() && fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    // The old stamp goes first: an interrupted run must not look like a finished one.
    let _ = fs::remove_file(&stamp);
    make()?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

fn path_beside(result: &Path) -> PathBuf {
    let name = result.file_name().unwrap_or_default().to_string_lossy();
    result.with_file_name(format!(".{name}.made-from"))
}

fn hash(files: &[&Path], words: &impl Hash) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    for file in files {
        let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        content.hash(&mut hasher);
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_made_again_if_its_inputs_change_or_it_is_gone() {
        let folder = std::env::temp_dir().join(format!("tether-stamp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (input, result) = (folder.join("input"), folder.join("result"));
        fs::write(&input, "a").unwrap();
        let is_made = |words: &str| {
            let mut is_made = false;
            make_if_changed(&result, &[&input], &words, || {
                is_made = true;
                Ok(fs::write(&result, "made")?)
            })
            .unwrap();
            is_made
        };
        assert!(is_made("-O"));
        assert!(!is_made("-O"));
        assert!(is_made("-Oz"), "other words");
        fs::write(&input, "b").unwrap();
        assert!(is_made("-Oz"), "another input");
        fs::remove_file(&result).unwrap();
        assert!(is_made("-Oz"), "no result");
        fs::write(&input, "c").unwrap();
        let failed = make_if_changed(&result, &[&input], &"-Oz", || anyhow::bail!("interrupted"));
        assert!(failed.is_err() && is_made("-Oz"), "not made to its end");
        assert!(make_if_changed(&result, &[&folder.join("none")], &"", || Ok(())).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
