//! The layer check: a module of the collector imports only modules of lower layers, or modules
//! that stand before it in its own layer. So no two modules need each other, and the table is an
//! order in which to read them.
//!
//! A module here is one that `lib.rs` declares, with all that lies beneath it. Within itself a
//! module may name anything. `lib.rs` and tests are exempt. The check reads lines, not Rust: it
//! sees paths that begin with `crate::`, or with as many `super::` as lead out of the file's
//! module.

use std::path::Path;

use anyhow::Result;

use crate::source::{Source, read_all};

/// The modules of each layer of `src/`, the lowest layer first.
const LAYERS: &[&[&str]] = &[
    &["units", "error", "config", "observer"],
    &["memory"],
    &["buffer", "index", "table", "metadata", "layout"],
    &["blocks", "large", "roots", "pins", "ranges", "wrap_table"],
    &["mark", "verify"],
    &["heap"],
];

/// Checks every file of the collector. Gives the problems, one line each.
pub fn check(root: &Path) -> Result<Vec<String>> {
    Ok(read_all(&root.join("src"))?.iter().flat_map(check_source).collect())
}

fn check_source(Source { path, text }: &Source) -> Vec<String> {
    let modules: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    let own = modules[0];
    if path == "lib.rs" || modules.iter().any(|module| module.ends_with("tests")) {
        return Vec::new();
    }
    let Some(own_rank) = rank(own) else {
        return vec![format!("src/{path}: `{own}` has no layer; xtask/src/layers.rs has them")];
    };
    let to_the_root = "super::".repeat(modules.len());
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate().take_while(|(_, line)| *line != "mod tests {") {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for path_behind in line.replace(&to_the_root, "crate::").split("crate::").skip(1) {
            let end = path_behind.find(|character: char| !is_name(character));
            let name = &path_behind[..end.unwrap_or(path_behind.len())];
            if name != own && rank(name).is_none_or(|rank| rank > own_rank) {
                problems.push(format!(
                    "src/{path}:{}: `crate::{name}` is no module below `{own}`",
                    index + 1
                ));
            }
        }
    }
    problems
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// A module's place in the table.
fn rank(module: &str) -> Option<usize> {
    LAYERS.concat().iter().position(|name| *name == module)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        check_source(&Source { path: path.to_owned(), text: text.to_owned() })
    }

    #[test]
    fn what_stands_lower_may_be_imported() {
        for (path, text) in [
            ("blocks.rs", "use crate::metadata::Byte;"),
            ("heap/program.rs", "use super::Heap; fn f(x: crate::error::Error) {}"),
            ("heap/program.rs", "use super::super::mark::Marker;"),
            ("error.rs", "use crate::units::Reference;"),
            ("memory/model.rs", "use crate::memory::extents; pub(crate) fn f() {}"),
            ("lib.rs", "pub use crate::heap::x;"),
            ("units.rs", "/// See [`crate::heap`].\nmod tests {\n    use crate::heap::Heap;\n}"),
            ("units/tests.rs", "use crate::heap::Heap;"),
        ] {
            assert_eq!(problems(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn what_stands_higher_may_not() {
        for (path, text, wrong) in [
            ("units.rs", "//! x\n\nuse crate::heap::Heap;", "src/units.rs:3: `crate::heap`"),
            ("roots.rs", "fn f(x: &crate::pins::Pins) {}", "src/roots.rs:1: `crate::pins`"),
            ("memory/linear.rs", "use super::super::door::x;", "`crate::door`"),
            ("large.rs", "use super::mark::Marker;", "`crate::mark`"),
            // The crate's re-exports and grouped imports are checked too.
            ("mark.rs", "use crate::Heap;", "`crate::Heap`"),
            ("mark.rs", "use crate::{error::Error, heap::Heap};", "`crate::`"),
            ("attic/old.rs", "", "`attic` has no layer"),
        ] {
            let problems = problems(path, text);
            assert_eq!(problems.len(), 1, "{path}: {text}: {problems:?}");
            assert!(problems[0].contains(wrong), "{problems:?}");
        }
    }
}
