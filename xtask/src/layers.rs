//! The layer check: a module of the collector imports only from lower layers,
//! or from its own what stands before it in the table here. So no two modules
//! need each other, and the table is an order in which to read them.
//!
//! A module here is one that `lib.rs` declares, with all that lies beneath it;
//! within itself it may name whatever it likes. `lib.rs` is exempt: it shows the
//! crate to its users. Items for tests alone are exempt too.

use std::path::Path;

use anyhow::Result;

use crate::source::{Source, Word, program_words, read_all};

/// The modules of each layer of `src/`, the lowest layer first.
const LAYERS: &[&[&str]] = &[
    &["units", "error", "config", "observer"],
    &["memory"],
    &["region", "index", "table", "metadata", "layout"],
    &["blocks", "large", "roots", "pins", "ranges", "wrap_table"],
    &["mark", "verify"],
    &["heap"],
    &["door"],
];

/// A module's layer, and its place in that layer.
type Rank = (usize, usize);

/// Checks every file of the collector. Gives the problems, one line each.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let sources = read_all(root, "src")?;
    Ok(sources.iter().flat_map(check_source).collect())
}

fn check_source(source: &Source) -> Vec<String> {
    let modules = module_path(&source.path);
    let Some(own) = modules.first() else {
        return Vec::new();
    };
    let Some(own_rank) = rank(own) else {
        return vec![format!(
            "{}: the module `{own}` has no layer; give it one in xtask/src/layers.rs",
            source.path
        )];
    };
    if modules.iter().any(|module| *module == "tests" || module.ends_with("_tests")) {
        return Vec::new();
    }
    imports(&program_words(&source.text), &modules)
        .into_iter()
        .filter(|import| import.text != *own)
        .filter_map(|import| {
            let reason = match rank(import.text) {
                None => "which is no module; name the one that it comes from",
                Some(rank) if rank >= own_rank => "which is not below it",
                Some(_) => return None,
            };
            Some(format!(
                "{}:{}: imports from `{}`, {reason}",
                source.path, import.line, import.text
            ))
        })
        .collect()
}

fn rank(module: &str) -> Option<Rank> {
    LAYERS.iter().enumerate().find_map(|(layer, modules)| {
        let place = modules.iter().position(|name| *name == module)?;
        Some((layer, place))
    })
}

/// `src/heap/build.rs` is the module `heap`, `build`; `lib.rs` is the crate's root.
fn module_path(path: &str) -> Vec<&str> {
    let mut modules: Vec<&str> =
        path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    if matches!(modules.last(), Some(&"mod" | &"lib")) {
        modules.pop();
    }
    modules
}

/// The crate's modules that the paths in a file begin with: the word after
/// `crate::`, or after as many `super::` as lead to the crate's root.
fn imports<'a>(words: &[Word<'a>], modules: &[&str]) -> Vec<Word<'a>> {
    let mut imports = Vec::new();
    // Modules written out in the file, each with the depth of its braces.
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0;
    for (index, word) in words.iter().enumerate() {
        match word.text {
            "{" => {
                depth += 1;
                if index >= 2 && words[index - 2].text == "mod" {
                    inline.push(depth);
                }
            }
            "}" => {
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
                depth = depth.saturating_sub(1);
            }
            "crate" => imports.extend(heads(&words[index + 1..])),
            "super" if !follows_a_path(words, index) => {
                let (above, rest) = climb(&words[index..]);
                if above == modules.len() + inline.len() {
                    imports.extend(heads(rest));
                }
            }
            _ => {}
        }
    }
    imports
}

fn follows_a_path(words: &[Word<'_>], index: usize) -> bool {
    index >= 2 && words[index - 1].text == ":" && words[index - 2].text == ":"
}

/// How many `super` a path begins with, and what follows the last of them.
fn climb<'w, 'a>(mut words: &'w [Word<'a>]) -> (usize, &'w [Word<'a>]) {
    let mut above = 0;
    loop {
        above += 1;
        words = &words[1..];
        match words {
            [colon, second, next, ..]
                if (colon.text, second.text, next.text) == (":", ":", "super") =>
            {
                words = &words[2..];
            }
            _ => return (above, words),
        }
    }
}

/// The first names behind `::`: one, or one for each path of a `{…}` group.
fn heads<'a>(words: &[Word<'a>]) -> Vec<Word<'a>> {
    let [colon, second, first, rest @ ..] = words else {
        return Vec::new();
    };
    if (colon.text, second.text) != (":", ":") {
        return Vec::new();
    }
    if first.text != "{" {
        return vec![*first];
    }
    let mut heads = Vec::new();
    let mut depth = 0_u32;
    let mut at_head = true;
    for word in rest {
        match word.text {
            "{" => depth += 1,
            "}" if depth == 0 => break,
            "}" => depth -= 1,
            "," if depth == 0 => at_head = true,
            _ if at_head => {
                heads.push(*word);
                at_head = false;
            }
            _ => {}
        }
    }
    heads
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
            ("src/blocks.rs", "use crate::metadata::Byte;"),
            ("src/heap.rs", "use crate::{mark::Marker, roots::{self, Roots}};"),
            ("src/heap/build.rs", "use super::Heap; fn f(x: crate::error::Error) {}"),
            ("src/heap/build.rs", "use super::super::mark::Marker;"),
            ("src/memory/mod.rs", "use crate::memory::model; pub(crate) fn f() {}"),
            ("src/error.rs", "use crate::units::Reference;"),
            ("src/lib.rs", "pub use crate::door::x; mod heap;"),
            ("src/units.rs", "use core::crate_like; // crate::heap::Heap"),
        ] {
            assert_eq!(problems(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn what_stands_higher_may_not() {
        for (path, text, wrong) in [
            ("src/units.rs", "use crate::heap::Heap;", "heap"),
            ("src/roots.rs", "fn f(x: &crate::pins::Pins) {}", "pins"),
            ("src/mark.rs", "use crate::{error::Error, heap::{a, b}};", "heap"),
            ("src/memory/linear.rs", "use super::super::door::host;", "door"),
            ("src/large.rs", "use super::mark::Marker;", "mark"),
            ("src/large.rs", "mod inner { use super::super::mark::Marker; }", "mark"),
        ] {
            let problems = problems(path, text);
            assert_eq!(problems.len(), 1, "{path}: {text}: {problems:?}");
            assert!(problems[0].contains(&format!("`{wrong}`")), "{problems:?}");
        }
    }

    #[test]
    fn a_problem_names_its_line() {
        assert_eq!(
            problems("src/units.rs", "//! x\n\nuse crate::heap::Heap;\n"),
            ["src/units.rs:3: imports from `heap`, which is not below it"]
        );
    }

    #[test]
    fn names_that_the_crates_root_shows_are_no_way_around() {
        assert_eq!(
            problems("src/mark.rs", "use crate::Heap;"),
            ["src/mark.rs:1: imports from `Heap`, which is no module; \
              name the one that it comes from"]
        );
    }

    #[test]
    fn tests_may_import_anything() {
        let text = "#[cfg(test)] mod tests { use crate::heap::Heap; }";
        assert_eq!(problems("src/units.rs", text), [""; 0]);
        assert_eq!(problems("src/units/tests.rs", "use crate::heap::Heap;"), [""; 0]);
    }

    #[test]
    fn a_module_without_a_layer_is_a_problem() {
        assert_eq!(problems("src/attic.rs", "").len(), 1);
        assert_eq!(problems("src/attic/old.rs", "").len(), 1);
    }
}
