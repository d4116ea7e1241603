//! Tells `wasm-opt` which of the collector's functions to copy to where they are called.
//!
//! The quick case of a common operation is some dozens of instructions, and calls the rest only if
//! it cannot do what is wanted. `wasm-opt` copies no function that calls another, unless the function
//! says that it is to be copied: by an annotation `@binaryen.inline`, which a module has in a custom
//! section. An older `wasm-opt` passes the section by, and the operations are calls.

use anyhow::{Context, Result};
use wasm_encoder::{CustomSection, Encode, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload};

const SECTION: &str = "binaryen.inline";

/// The value that stands for *always*.
const ALWAYS: u8 = 127;

/// The operations that have a quick case in line: interface and function.
pub const QUICK: [(&str, &str); 7] = [
    ("heap", "allocate"),
    ("heap", "get"),
    ("heap", "set"),
    ("roots", "push"),
    ("roots", "pop"),
    ("wrappers", "register"),
    ("wrappers", "wrap"),
];

/// Whether an export of the collector's has a quick case: `tether:gc/heap@0.1.0 get`.
fn is_quick(export: &str) -> bool {
    QUICK.iter().any(|(interface, name)| {
        export.starts_with(&format!("tether:gc/{interface}@"))
            && export.ends_with(&format!(" {name}"))
    })
}

/// The module with the hint for each exported function that has a quick case.
pub(super) fn hint(module: &[u8]) -> Result<Vec<u8>> {
    let hinted = quick_exports(module)?;
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

/// The indices of the exported functions that have a quick case, in order.
fn quick_exports(module: &[u8]) -> Result<Vec<u32>> {
    let mut quick = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(section) = payload.context("the collector's core module")? {
            for export in section {
                let export = export?;
                if export.kind == ExternalKind::Func && is_quick(export.name) {
                    quick.push(export.index);
                }
            }
        }
    }
    quick.sort_unstable();
    quick.dedup();
    Ok(quick)
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
        CodeSection, ExportKind, ExportSection, Function, FunctionSection, TypeSection,
    };

    #[test]
    fn functions_with_a_quick_case_are_hinted() {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut functions = FunctionSection::new();
        let mut exports = ExportSection::new();
        let mut code = CodeSection::new();
        let names = [
            "tether:gc/heap@0.1.0 set",
            "tether:gc/heap@0.1.0 collect",
            "tether:gc/roots@0.1.0 set",
            "tether:gc/roots@0.1.0 pop",
        ];
        for (index, name) in names.into_iter().enumerate() {
            functions.function(0);
            let mut body = Function::new([]);
            body.instructions().end();
            code.function(&body);
            exports.export(name, ExportKind::Func, index as u32);
        }
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&exports).section(&code);
        let hinted = hint(&module.finish()).unwrap();
        let section =
            Parser::new(0).parse_all(&hinted).find_map(|payload| match payload.unwrap() {
                Payload::CustomSection(section) => Some((section.name(), section.data())),
                _ => None,
            });
        assert_eq!(section, Some((SECTION, &[2, 0, 1, 0, 1, 127, 3, 1, 0, 1, 127][..])));
    }
}
