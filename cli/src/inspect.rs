//! Looks at a component or a core module: the names that it imports and exports, the memory that
//! a fresh instance takes, its size, and how much code a function of a core module is.

use std::collections::HashMap;
use std::io::Write as _;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use wasmparser::{Encoding, ExternalKind, Operator, Parser, Payload, TypeRef};

use crate::module::function_names;

/// The kind of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A core module.
    #[default]
    Module,
    /// A component.
    Component,
}

/// The facts about a component or a core module.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Its kind.
    pub kind: Kind,
    /// Its file's size.
    pub size_bytes: u64,
    /// Its size as `gzip -9` compresses it.
    pub gzip_bytes: u64,
    /// Initial pages of all memories of all core modules in it, together.
    pub memory_pages: u64,
    /// The imports: of the outermost component by name, of a core module by module and name.
    pub imports: Vec<String>,
    /// The names of the outermost exports.
    pub exports: Vec<String>,
}

/// Reads a binary through, nested components and modules included.
pub fn inspect(binary: &[u8]) -> Result<Summary> {
    let mut summary = Summary {
        size_bytes: binary.len() as u64,
        gzip_bytes: gzip_bytes(binary)?,
        ..Summary::default()
    };
    // `parse_all` enters nested modules and components by itself: each begins
    // with a `Version` and finishes with an `End`.
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(binary) {
        match payload.context("not a WebAssembly binary")? {
            Payload::Version { encoding, .. } => {
                depth += 1;
                if depth == 1 && encoding == Encoding::Component {
                    summary.kind = Kind::Component;
                }
            }
            Payload::End(_) => depth -= 1,
            Payload::MemorySection(memories) => {
                for memory in memories {
                    summary.memory_pages += memory?.initial;
                }
            }
            Payload::ImportSection(imports) if depth == 1 => {
                for import in imports.into_imports() {
                    let import = import?;
                    summary.imports.push(format!("{} {}", import.module, import.name));
                }
            }
            Payload::ExportSection(exports) if depth == 1 => {
                for export in exports {
                    summary.exports.push(export?.name.to_owned());
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

/// How many bytes `gzip -9` makes of a file, its name left out.
fn gzip_bytes(binary: &[u8]) -> Result<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(binary)?;
    Ok(encoder.finish()?.len() as u64)
}

/// The code of one function.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Instructions, the `end` of blocks and of the function left out.
    pub instructions: u32,
    /// The functions that it calls, in the code's order: by name if the module has the name, or
    /// else by index.
    pub calls: Vec<String>,
}

/// Reads the code of a function that a core module exports.
pub fn function(module: &[u8], export: &str) -> Result<Shape> {
    let mut imported = 0;
    let mut index = None;
    let mut bodies = Vec::new();
    let mut names = HashMap::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.context("not a WebAssembly binary")? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::ExportSection(exports) => {
                for item in exports {
                    let item = item?;
                    if item.name == export && item.kind == ExternalKind::Func {
                        index = Some(item.index);
                    }
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body),
            Payload::CustomSection(section) => names.extend(function_names(&section)?),
            _ => {}
        }
    }
    let place = index.and_then(|index| index.checked_sub(imported));
    let Some(body) = place.and_then(|place| bodies.get(place as usize)) else {
        bail!("no function of the module's own is exported as `{export}`");
    };
    let mut shape = Shape::default();
    for operator in body.get_operators_reader()? {
        match operator? {
            Operator::End => continue,
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                let name = names.get(&function_index);
                shape.calls.push(name.cloned().unwrap_or_else(|| function_index.to_string()));
            }
            Operator::CallIndirect { .. } | Operator::ReturnCallIndirect { .. } => {
                shape.calls.push("(indirect)".to_owned());
            }
            _ => {}
        }
        shape.instructions += 1;
    }
    Ok(shape)
}
