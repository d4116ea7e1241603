//! House rules that no lint knows: every file says its purpose first, and nothing is marked
//! as left to do.

use std::path::Path;

use anyhow::Result;

use crate::source::{Source, read_all};

/// The mark is written in two parts, or this file would break its own rule.
const UNDONE_MARK: &str = concat!("FIX", "ME");

/// Checks every file. Gives the problems, one line each.
pub fn check(root: &Path) -> Result<Vec<String>> {
    Ok(read_all(root)?.iter().flat_map(check_source).collect())
}

fn check_source(Source { path, text }: &Source) -> Vec<String> {
    let purpose =
        (!text.starts_with("//!")).then(|| format!("{path}:1: does not start with `//!`"));
    let marked = text.lines().enumerate().filter(|(_, line)| line.contains(UNDONE_MARK));
    let undone = marked.map(|(index, _)| format!("{path}:{}: holds {UNDONE_MARK}", index + 1));
    purpose.into_iter().chain(undone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        check_source(&Source { path: "a.rs".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn a_file_says_its_purpose_first() {
        assert_eq!(problems("//! Purpose.\n"), [""; 0]);
        for text in ["", "use a;\n//! late", "// a licence\n//! late", "\n//! late"] {
            assert_eq!(problems(text), ["a.rs:1: does not start with `//!`"]);
        }
    }

    #[test]
    fn work_left_undone_is_found() {
        assert_eq!(
            problems(&format!("//! a\n\n// {UNDONE_MARK}: b\n")),
            [format!("a.rs:3: holds {UNDONE_MARK}")]
        );
    }
}
