//! What a component asks of its host: the names it imports and exports, and the
//! memory that a fresh instance takes.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wasmparser::{Parser, Payload};

/// What there is to say of a component or a core module.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Its file's size.
    pub size_bytes: u64,
    /// Initial pages of all memories of all core modules in it, together.
    pub memory_pages: u64,
    /// Names of the outermost component's imports.
    pub imports: Vec<String>,
    /// Names of the outermost component's exports.
    pub exports: Vec<String>,
}

impl Summary {
    /// The summary as `tether-componentize inspect` prints it.
    pub fn to_json(&self) -> Value {
        json!({
            "size_bytes": self.size_bytes,
            "memory_pages": self.memory_pages,
            "imports": self.imports,
            "exports": self.exports,
        })
    }
}

/// Reads a binary through, nested components and modules included.
pub fn inspect(binary: &[u8]) -> Result<Summary> {
    let mut summary = Summary { size_bytes: binary.len() as u64, ..Summary::default() };
    // `parse_all` enters nested modules and components by itself: each begins
    // with a `Version` and finishes with an `End`.
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(binary) {
        match payload.context("not a WebAssembly binary")? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::MemorySection(memories) => {
                for memory in memories {
                    summary.memory_pages += memory?.initial;
                }
            }
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    summary.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    summary.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(summary)
}
