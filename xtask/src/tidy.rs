//! House rules that no other tool checks: every module says its purpose, nothing
//! is left to do later, and `unsafe` stays where it belongs.

use std::path::Path;

use anyhow::Result;

use crate::source::{Source, read_all, words};

const FOLDERS: [&str; 5] = ["src", "tests", "xtask", "guest-tests", "fuzz"];

/// Where `unsafe` may stand: at raw memory, and where the collector meets the
/// outside; in the guest that is linked with it; and in the benchmark, where its peers
/// do. A folder ends with `/`.
const UNSAFE_ALLOWED: &[&str] = &[
    "src/memory/linear.rs",
    "src/door.rs",
    "src/door/",
    "guest-tests/ledger/src/core_door.rs",
    "guest-tests/bench/allocators/",
];

/// Macros that stand for work not done.
const UNDONE: [&str; 2] = ["todo", "unimplemented"];

/// The same in comments. In two parts, or this file would break its own rule.
const UNDONE_MARK: &str = concat!("FIX", "ME");

/// Checks every file. Gives the problems, one line each.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for folder in FOLDERS {
        for source in read_all(root, folder)? {
            problems.extend(check_source(&source));
        }
    }
    Ok(problems)
}

fn check_source(source: &Source) -> Vec<String> {
    let path = &source.path;
    let mut problems = Vec::new();
    if !source.text.starts_with("//!") {
        problems.push(format!("{path}:1: does not start with `//!`"));
    }
    for (index, line) in source.text.lines().enumerate() {
        if line.contains(UNDONE_MARK) {
            problems.push(format!("{path}:{}: holds {UNDONE_MARK}", index + 1));
        }
    }
    let words = words(&source.text);
    for (index, word) in words.iter().enumerate() {
        let is_macro = words.get(index + 1).is_some_and(|next| next.text == "!");
        if is_macro && UNDONE.contains(&word.text) {
            problems.push(format!("{path}:{}: calls {}!", word.line, word.text));
        }
        if word.text == "unsafe" && !may_be_unsafe(path) {
            problems.push(format!(
                "{path}:{}: `unsafe` outside linear memory and the doors",
                word.line
            ));
        }
    }
    problems
}

fn may_be_unsafe(path: &str) -> bool {
    UNSAFE_ALLOWED
        .iter()
        .any(|allowed| path == *allowed || (allowed.ends_with('/') && path.starts_with(allowed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        check_source(&Source { path: path.to_owned(), text: text.to_owned() })
    }

    #[test]
    fn a_tidy_module_passes() {
        let text = "//! Purpose. Nothing unsafe, no todo!\nfn f() { g(\"unsafe\") }\n";
        assert_eq!(problems("src/heap.rs", text), [""; 0]);
    }

    #[test]
    fn a_module_says_its_purpose_first() {
        for text in ["", "use a;\n//! late", "// a licence\n//! late", "\n//! late"] {
            assert_eq!(
                problems("xtask/src/a.rs", text),
                ["xtask/src/a.rs:1: does not start with `//!`"]
            );
        }
    }

    #[test]
    fn work_left_undone_is_found() {
        let text = format!("//! a\nfn f() {{ todo!() }}\n// {UNDONE_MARK}: b\nunimplemented!();");
        assert_eq!(
            problems("src/a.rs", &text),
            [
                format!("src/a.rs:3: holds {UNDONE_MARK}"),
                "src/a.rs:2: calls todo!".to_owned(),
                "src/a.rs:4: calls unimplemented!".to_owned(),
            ]
        );
    }

    #[test]
    fn unsafe_code_stays_where_it_belongs() {
        let text = "//! a\nunsafe { b() }";
        for path in ["src/memory/linear.rs", "src/door.rs", "src/door/component.rs"] {
            assert_eq!(problems(path, text), [""; 0]);
        }
        for path in ["src/heap.rs", "src/memory/model.rs", "src/doorway.rs"] {
            assert_eq!(problems(path, text).len(), 1, "{path}");
        }
    }
}
