//! How large the artifacts are, and the limits that they must keep.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::build::{LIBRARY, names};
use crate::cli::tether;
use crate::process::output;
use crate::workspace::Workspace;

/// Users load these over a network: what counts is their compressed size, in bytes.
pub const GZIP_LIMITS: [(&str, u64); 4] = [
    ("tether-gc.wasm", 21_780),
    ("tether_gc.core.wasm", 17_820),
    ("tether_gc.core-lean.wasm", 14_960),
    ("tether_gc.lowered.wasm", 19_460),
];
const MEMORY_LIMIT_PAGES: u64 = 4;

/// One artifact, measured.
#[derive(Debug, PartialEq, Eq)]
pub struct Measured {
    name: String,
    size_bytes: u64,
    /// The size after `gzip -9`; none for the library, which nobody loads.
    gzip_bytes: Option<u64>,
    memory_pages: u64,
}

/// Every artifact's size and memory, in the order in which they are made.
pub fn measure(workspace: &Workspace) -> Result<Vec<Measured>> {
    let names: Vec<String> = names().collect();
    let paths = names.iter().map(|name| workspace.artifact(name));
    let inspected = output(
        tether(workspace, "inspect").arg("--table").args(paths),
        "inspecting the artifacts",
    )?;
    let table = String::from_utf8_lossy(&inspected.stdout);
    let mut measured: Vec<Measured> =
        names.iter().zip(table.lines()).filter_map(|(name, line)| measured(name, line)).collect();
    ensure!(measured.len() == names.len(), "`tether inspect` gave no table of the artifacts");
    let library = fs::metadata(workspace.artifact(LIBRARY)).context("the library is missing")?;
    measured.push(Measured {
        name: LIBRARY.to_owned(),
        size_bytes: library.len(),
        gzip_bytes: None,
        // It has no memory of its own.
        memory_pages: 0,
    });
    Ok(measured)
}

/// An artifact's line in the table: bytes, bytes after `gzip -9`, pages.
fn measured(name: &str, line: &str) -> Option<Measured> {
    let mut figures = line.split_whitespace().map(|figure| figure.parse().ok());
    let mut next = || figures.next().flatten();
    Some(Measured {
        name: name.to_owned(),
        size_bytes: next()?,
        gzip_bytes: Some(next()?),
        memory_pages: next()?,
    })
}

/// What breaks a limit, in words.
pub fn broken_limits(measured: &[Measured]) -> Vec<String> {
    let mut broken = Vec::new();
    for artifact in measured {
        let name = &artifact.name;
        let limit = GZIP_LIMITS.iter().find(|(limited, _)| limited == name);
        if let (Some(gzip_bytes), Some((_, limit))) = (artifact.gzip_bytes, limit)
            && gzip_bytes > *limit
        {
            broken.push(format!("{name} has {gzip_bytes} bytes after gzip -9, more than {limit}"));
        }
        if name.starts_with("tether-gc") && artifact.memory_pages > MEMORY_LIMIT_PAGES {
            broken.push(format!(
                "{name} starts with {} pages of memory, more than {MEMORY_LIMIT_PAGES}",
                artifact.memory_pages
            ));
        }
    }
    broken
}

/// The figures as lines for people.
pub fn table(workspace: &Workspace, measured: &[Measured]) -> String {
    let mut table = format!("{:<46}{:>10}{:>10}{:>8}\n", "artifact", "bytes", "gzip -9", "pages");
    for artifact in measured {
        table += &format!(
            "{:<46}{:>10}{:>10}{:>8}\n",
            workspace.display(&workspace.artifact(&artifact.name)),
            artifact.size_bytes,
            artifact.gzip_bytes.map_or("-".to_owned(), |bytes| bytes.to_string()),
            artifact.memory_pages
        );
    }
    table
}

/// The figures, and what went wrong, for scripts.
pub fn to_json(workspace: &Workspace, measured: &[Measured], errors: &[String]) -> Value {
    let artifacts: Vec<Value> = measured
        .iter()
        .map(|artifact| {
            json!({
                "name": artifact.name,
                "path": workspace.display(&workspace.artifact(&artifact.name)),
                "size_bytes": artifact.size_bytes,
                "gzip_bytes": artifact.gzip_bytes,
                "memory_pages": artifact.memory_pages,
            })
        })
        .collect();
    json!({ "artifacts": artifacts, "errors": errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(name: &str, gzip_bytes: u64, memory_pages: u64) -> Measured {
        let size_bytes = 2 * gzip_bytes;
        Measured { name: name.to_owned(), size_bytes, gzip_bytes: Some(gzip_bytes), memory_pages }
    }

    #[test]
    fn artifacts_at_their_limits_pass() {
        let measured = [
            artifact("tether-gc.wasm", 21_780, 4),
            artifact("tether_gc.core.wasm", 17_820, 17),
            artifact("tether-gc-wasi.wasm", 90_000, 4),
            artifact("ledger.wasm", 90_000, 17),
        ];
        assert!(broken_limits(&measured).is_empty());
    }

    #[test]
    fn an_artifact_that_is_too_large_is_named() {
        let broken = broken_limits(&[artifact("tether_gc.core-lean.wasm", 14_961, 1)]);
        assert_eq!(
            broken,
            ["tether_gc.core-lean.wasm has 14961 bytes after gzip -9, more than 14960"]
        );
    }

    #[test]
    fn a_collector_that_starts_with_too_much_memory_is_named() {
        let broken = broken_limits(&[artifact("tether-gc-push.wasm", 1, 5)]);
        assert_eq!(broken, ["tether-gc-push.wasm starts with 5 pages of memory, more than 4"]);
    }

    #[test]
    fn a_line_of_the_table_has_three_figures() {
        assert_eq!(measured("a.wasm", "  20 10 1  some/a.wasm"), Some(artifact("a.wasm", 10, 1)));
        assert_eq!(measured("a", "20 10"), None);
        assert_eq!(measured("a", "error: x"), None);
    }
}
