//! Tells `wasm-opt` which of the collector's functions to copy to where they are called.
//!
//! The quick case of an operation is some dozens of instructions, and calls the rest only if it
//! cannot do what is wanted. `wasm-opt` copies no function that calls another, unless the function
//! says that it is to be copied: by an annotation `@binaryen.inline`, which a module has in a custom
//! section. An older `wasm-opt` passes the section by, and the operations are calls.

use anyhow::{Context, Result};
use wasm_encoder::{CustomSection, Encode, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

const SECTION: &str = "binaryen.inline";

/// The value that stands for *always*.
const ALWAYS: u8 = 127;

/// The most code of a function that is copied, in bytes. The largest quick case, `allocate`, has
/// some 320.
const MOST_CODE_BYTES: usize = 400;

/// The module with the hint for each exported function that is small enough.
pub(super) fn hint(module: &[u8]) -> Result<Vec<u8>> {
    let hinted = small_exports(module)?;
    let mut changed = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.context("the collector's core module")?;
        if let Payload::CodeSectionStart { .. } = payload {
            let data = hints(&hinted).into();
            changed.section(&CustomSection { name: SECTION.into(), data });
        }
        if let Some((id, range)) = payload.as_section() {
            let data = &module[range.start as usize..range.end as usize];
            changed.section(&RawSection { id, data });
        }
    }
    Ok(changed.finish())
}

/// The indices of the exported functions that are small enough, in order.
fn small_exports(module: &[u8]) -> Result<Vec<u32>> {
    let mut imported = 0;
    let mut exported = Vec::new();
    let mut sizes = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.context("the collector's core module")? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind == ExternalKind::Func {
                        exported.push(export.index);
                    }
                }
            }
            Payload::CodeSectionEntry(body) => sizes.push(body.as_bytes().len()),
            _ => {}
        }
    }
    let size_of = |index: u32| sizes.get(index.checked_sub(imported)? as usize).copied();
    exported.retain(|&index| size_of(index).is_some_and(|size| size <= MOST_CODE_BYTES));
    exported.sort_unstable();
    exported.dedup();
    Ok(exported)
}

/// The section's content: a hint for each function as a whole, which stands at offset 0.
fn hints(functions: &[u32]) -> Vec<u8> {
    let mut data = Vec::new();
    functions.len().encode(&mut data);
    for function in functions {
        function.encode(&mut data);
        let (count, offset, size_bytes) = (1_u32, 0_u32, 1_u32);
        count.encode(&mut data);
        offset.encode(&mut data);
        size_bytes.encode(&mut data);
        data.push(ALWAYS);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        CodeSection, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
        TypeSection,
    };

    #[test]
    fn small_functions_that_are_exported_are_hinted() {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import("a", "b", wasm_encoder::EntityType::Function(0));
        let mut functions = FunctionSection::new();
        let mut exports = ExportSection::new();
        let mut code = CodeSection::new();
        for (index, size) in [3, MOST_CODE_BYTES, 5, 7].into_iter().enumerate() {
            functions.function(0);
            let mut body = Function::new([]);
            for _ in 0..size {
                body.instructions().nop();
            }
            body.instructions().end();
            code.function(&body);
            if index != 2 {
                exports.export(&format!("f{index}"), ExportKind::Func, 1 + index as u32);
            }
        }
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions);
        module.section(&exports).section(&code);
        let module = module.finish();
        assert_eq!(small_exports(&module).unwrap(), [1, 4]);
        let hinted = hint(&module).unwrap();
        let section =
            Parser::new(0).parse_all(&hinted).find_map(|payload| match payload.unwrap() {
                Payload::CustomSection(section) => Some((section.name(), section.data())),
                _ => None,
            });
        assert_eq!(section, Some((SECTION, &[2, 1, 1, 0, 1, 127, 4, 1, 0, 1, 127][..])));
    }
}
