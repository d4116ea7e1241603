//! Components made and composed from core modules that are written out here.

use std::borrow::Cow;

use tether_cli::inspect::{Kind, inspect};
use tether_cli::{compose, encode};
use wasm_encoder::{
    CodeSection, CustomSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, MemorySection, MemoryType, Module, TypeSection, ValType,
};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WIT: &str = "
    package t:t@1.0.0;
    interface types { record pair { left-hand: u32, right-hand: u32 } }
    interface numbers { use types.{pair}; twist: func(p: pair) -> u32; }
    interface other { twist: func(p: u32) -> u32; }
    interface program { use types.{pair}; run: func(p: pair) -> u32; }
    world plug { export types; export numbers; }
    world socket { import numbers; export program; }
    world stranger { export other; }
";

/// As above, but with another type behind the same name.
const OTHER_WIT: &str = "
    package t:t@1.0.0;
    interface types { record pair { left-hand: u32, right-hand: u64 } }
    interface numbers { use types.{pair}; twist: func(p: pair) -> u32; }
    world plug { export types; export numbers; }
";

/// A core module that exports one function, which takes `parameters` and gives a number. It may
/// import one function of that signature.
fn core(import: Option<(&str, &str)>, export: &str, parameters: &[ValType]) -> Module {
    let mut types = TypeSection::new();
    types.ty().function(parameters.iter().copied(), [ValType::I32]);
    let mut imports = ImportSection::new();
    if let Some((module, name)) = import {
        imports.import(module, name, EntityType::Function(0));
    }
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 3,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export(export, ExportKind::Func, u32::from(import.is_some()));
    exports.export("memory", ExportKind::Memory, 0);
    let mut body = Function::new([]);
    body.instructions().i32_const(7).end();
    let mut code = CodeSection::new();
    code.function(&body);

    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&memories)
        .section(&exports)
        .section(&code)
        .section(&CustomSection {
            name: "a-debug-section".into(),
            data: Cow::Borrowed(b"left out"),
        });
    module
}

/// The module, with a world's description in it.
fn with_world(module: Module, wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("t.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut bytes = module.finish();
    embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8, false).unwrap();
    bytes
}

const PAIR: [ValType; 2] = [ValType::I32, ValType::I32];

fn plug() -> Vec<u8> {
    let module = core(None, "t:t/numbers@1.0.0#twist", &PAIR);
    encode(&with_world(module, WIT, "plug"), None).unwrap()
}

fn socket() -> Vec<u8> {
    let import = Some(("t:t/numbers@1.0.0", "twist"));
    let module = core(import, "t:t/program@1.0.0#run", &PAIR);
    encode(&with_world(module, WIT, "socket"), None).unwrap()
}

fn occurrences(binary: &[u8], text: &str) -> usize {
    binary.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

#[test]
fn a_component_says_what_it_imports_and_exports_and_has_no_debug_sections() {
    let plug = plug();
    let summary = inspect(&plug).unwrap();
    assert_eq!(summary.kind, Kind::Component);
    assert_eq!(summary.imports, [""; 0]);
    assert_eq!(summary.exports, ["t:t/types@1.0.0", "t:t/numbers@1.0.0"]);
    assert_eq!(summary.memory_pages, 3);
    assert_eq!(summary.size_bytes, plug.len() as u64);
    assert!((100..summary.size_bytes).contains(&summary.gzip_bytes), "{summary:?}");
    assert_eq!(occurrences(&plug, "a-debug-section"), 0);
}

#[test]
fn a_composition_imports_nothing_that_was_supplied() {
    let composed = compose(&socket(), &plug()).unwrap();
    let summary = inspect(&composed).unwrap();
    assert_eq!(summary.imports, [""; 0]);
    // And its export may name `pair`, because `types` is exported too.
    assert_eq!(summary.exports, ["t:t/types@1.0.0", "t:t/program@1.0.0"]);
    assert_eq!(summary.memory_pages, 6);
}

#[test]
fn components_with_nothing_in_common_are_not_composed() {
    let module = core(None, "t:t/other@1.0.0#twist", &[ValType::I32]);
    let stranger = encode(&with_world(module, WIT, "stranger"), None).unwrap();
    let error = compose(&socket(), &stranger).unwrap_err();
    assert!(error.to_string().contains("imports nothing"), "{error:#}");
}

#[test]
fn types_that_differ_are_an_error_that_names_the_interface() {
    let module = core(None, "t:t/numbers@1.0.0#twist", &[ValType::I32, ValType::I64]);
    let other = encode(&with_world(module, OTHER_WIT, "plug"), None).unwrap();
    let error = compose(&socket(), &other).unwrap_err();
    assert!(error.to_string().contains("t:t/"), "{error:#}");
}

#[test]
fn what_is_no_component_is_an_error() {
    assert!(encode(b"no module", None).is_err());
    assert!(encode(&core(None, "run", &[]).finish(), None).is_ok_and(|component| {
        // Without a world it has no imports and no exports.
        inspect(&component).is_ok_and(|summary| summary.exports.is_empty())
    }));
    let importing = core(Some(("host", "log")), "run", &[]).finish();
    let error = format!("{:#}", encode(&importing, None).unwrap_err());
    assert!(error.contains("--wit") && error.contains("host"), "{error}");
    assert!(compose(b"no component", &plug()).is_err());
    assert!(inspect(b"nothing").is_err());
}

#[test]
fn a_core_module_is_inspected_too() {
    let module = core(Some(("host", "log")), "run", &[]).finish();
    let summary = inspect(&module).unwrap();
    assert_eq!(summary.kind, Kind::Module);
    assert_eq!(summary.imports, ["host log"]);
    assert_eq!(summary.exports, ["run", "memory"]);
    assert_eq!(summary.memory_pages, 3);
}
