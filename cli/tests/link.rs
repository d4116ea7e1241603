//! The requests of a guest that `tether link` takes, and the errors for those that it refuses.
//! The modules are written out here. The real guests, on the hosts, test what wasm-merge and
//! wasm-opt make of a module.

use std::fs;
use std::path::PathBuf;

use tether_cli::inspect::{function, inspect};
use tether_cli::link::contract::{Door, GIVE_LISTS};
use tether_cli::link::inline::QUICK;
use tether_cli::link::steps::{Release, finish, prepare, trim};
use tether_cli::module::{Item, Outside};
use tether_cli::world::World;
use wasm_encoder::{
    CodeSection, ConstExpr, CustomSection, DataSection, EntityType, ExportKind, ExportSection,
    Function, FunctionSection, GlobalSection, GlobalType, ImportSection, MemorySection, MemoryType,
    Module, NameMap, NameSection, RefType, TableType, TypeSection, ValType,
};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, Type, TypeDefKind, WorldItem};

/// A module in the making. Functions it exports do nothing and give 0.
#[derive(Clone, Default)]
struct Draft {
    imports: Vec<(&'static str, &'static str, Import)>,
    memory_pages: Option<u64>,
    data: Vec<(i32, usize)>,
    functions: Vec<(&'static str, usize)>,
    globals: Vec<(&'static str, i32)>,
    /// The names of functions, for the section of names.
    names: Vec<(u32, &'static str)>,
}

#[derive(Clone, Copy)]
enum Import {
    /// A function of so many `i32` parameters, and one result.
    Function(usize),
    Memory(u64),
    State,
    Table,
}

const PARAMETERS_MAX: usize = 4;

impl Draft {
    fn import(mut self, module: &'static str, name: &'static str, import: Import) -> Self {
        self.imports.push((module, name, import));
        self
    }

    fn memory(mut self, pages: u64) -> Self {
        self.memory_pages = Some(pages);
        self
    }

    fn data(mut self, begin: i32, size_bytes: usize) -> Self {
        self.data.push((begin, size_bytes));
        self
    }

    fn function(mut self, name: &'static str, parameters: usize) -> Self {
        self.functions.push((name, parameters));
        self
    }

    fn global(mut self, name: &'static str, value: i32) -> Self {
        self.globals.push((name, value));
        self
    }

    fn name(mut self, function: u32, name: &'static str) -> Self {
        self.names.push((function, name));
        self
    }

    fn module(self) -> Module {
        let mut types = TypeSection::new();
        for parameters in 0..=PARAMETERS_MAX {
            types.ty().function(vec![ValType::I32; parameters], [ValType::I32]);
        }
        let mut imports = ImportSection::new();
        let mut imported_functions = 0;
        let mut imported_globals = 0;
        for (module, name, import) in self.imports {
            imports.import(
                module,
                name,
                match import {
                    Import::Function(parameters) => {
                        imported_functions += 1;
                        EntityType::Function(parameters as u32)
                    }
                    Import::Memory(pages) => EntityType::Memory(memory_type(pages)),
                    Import::State => {
                        imported_globals += 1;
                        EntityType::Global(constant_type())
                    }
                    Import::Table => EntityType::Table(TableType {
                        element_type: RefType::FUNCREF,
                        table64: false,
                        minimum: 1,
                        maximum: None,
                        shared: false,
                    }),
                },
            );
        }
        let mut functions = FunctionSection::new();
        let mut exports = ExportSection::new();
        let mut code = CodeSection::new();
        for (index, (name, parameters)) in self.functions.into_iter().enumerate() {
            functions.function(parameters as u32);
            exports.export(name, ExportKind::Func, imported_functions + index as u32);
            let mut body = Function::new([]);
            body.instructions().i32_const(0).end();
            code.function(&body);
        }
        let mut memories = MemorySection::new();
        if let Some(pages) = self.memory_pages {
            memories.memory(memory_type(pages));
            exports.export("memory", ExportKind::Memory, 0);
        }
        let mut globals = GlobalSection::new();
        for (index, (name, value)) in self.globals.into_iter().enumerate() {
            globals.global(constant_type(), &ConstExpr::i32_const(value));
            exports.export(name, ExportKind::Global, imported_globals + index as u32);
        }
        let mut data = DataSection::new();
        for (begin, size_bytes) in self.data {
            data.active(0, &ConstExpr::i32_const(begin), vec![7; size_bytes]);
        }
        let mut module = Module::new();
        module
            .section(&types)
            .section(&imports)
            .section(&functions)
            .section(&memories)
            .section(&globals)
            .section(&exports)
            .section(&code)
            .section(&data);
        if !self.names.is_empty() {
            let mut functions = NameMap::new();
            for (function, name) in self.names {
                functions.append(function, name);
            }
            let mut names = NameSection::new();
            names.functions(&functions);
            module.section(&names);
        }
        module
    }

    fn bytes(self) -> Vec<u8> {
        self.module().finish()
    }
}

fn memory_type(pages: u64) -> MemoryType {
    MemoryType {
        minimum: pages,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    }
}

fn constant_type() -> GlobalType {
    GlobalType { val_type: ValType::I32, mutable: false, shared: false }
}

const COLLECTOR_PAGES: u64 = 18;

fn collector() -> Vec<u8> {
    Draft::default()
        .import("tether:host", "tether_release", Import::Function(2))
        .memory(COLLECTOR_PAGES)
        .global("tether_state", 1 << 20)
        .function("tether_push", 1)
        .function("tether_wrap", 3)
        .bytes()
}

/// A guest in the common form.
fn guest() -> Draft {
    Draft::default()
        .import("tether_gc", "memory", Import::Memory(1))
        .import("tether_gc", "tether_push", Import::Function(1))
        .import("tether_gc", "tether_state", Import::State)
        .function("run", 0)
}

/// A guest into which wasm-ld has put the collector.
fn linked_guest() -> Draft {
    Draft::default().memory(COLLECTOR_PAGES).function("run", 0)
}

fn refusal(guest: Vec<u8>) -> String {
    format!("{:#}", prepare(&guest, &collector()).unwrap_err())
}

fn assert_told(guest: Draft, words: &[&str]) {
    let message = refusal(guest.bytes());
    for word in words {
        assert!(message.contains(word), "{word:?} in {message:?}");
    }
}

fn imports(module: &[u8]) -> Vec<(String, String)> {
    let outside = Outside::read(module).unwrap();
    outside.imports.into_iter().map(|import| (import.module, import.name)).collect()
}

fn exports(module: &[u8]) -> Vec<String> {
    Outside::read(module).unwrap().exports.into_iter().map(|export| export.name).collect()
}

// ---- Taken ----

#[test]
fn released_handles_wait_where_the_guest_takes_none() {
    let prepared = prepare(&guest().bytes(), &collector()).unwrap();
    assert_eq!(prepared.release, Release::Queue);
    assert_eq!(prepared.functions, ["tether_push"]);
    let collector = prepared.collector.unwrap();
    assert_eq!(imports(&collector), [("tether:link".into(), "tether:release".into())]);
    assert_eq!(exports(&prepared.supplied.unwrap()), ["tether:release"]);
    // The optimiser may leave out the functions that the guest does not use.
    assert_eq!(exports(&collector), ["tether_push", "memory", "tether_state"]);
}

#[test]
fn a_guest_that_exports_tether_release_gets_them() {
    let prepared = prepare(&guest().function("tether_release", 2).bytes(), &collector()).unwrap();
    assert_eq!(prepared.release, Release::Guest);
    assert_eq!(
        imports(&prepared.collector.unwrap()),
        [("tether:guest".into(), "tether_release".into())]
    );
    assert!(prepared.supplied.is_none());
}

#[test]
fn a_memory_from_the_linker_becomes_the_collectors() {
    let linked = Draft::default()
        .import("env", "memory", Import::Memory(2))
        .import("tether_gc", "tether_push", Import::Function(1))
        .data(65_536, 100)
        .function("run", 0);
    let prepared = prepare(&linked.bytes(), &collector()).unwrap();
    let outside = Outside::read(&prepared.guest).unwrap();
    assert_eq!((&*outside.imports[0].module, &*outside.imports[0].name), ("tether_gc", "memory"));
    let Item::Memory(memory) = outside.imports[0].item else { panic!("{outside:?}") };
    assert_eq!(memory.initial, COLLECTOR_PAGES);
}

#[test]
fn a_memory_of_the_guests_own_gives_way_to_the_collectors() {
    let own = Draft::default()
        .import("tether_gc", "tether_push", Import::Function(1))
        .memory(2)
        .data(64, 8)
        .function("run", 0);
    let prepared = prepare(&own.clone().bytes(), &collector()).unwrap();
    let outside = Outside::read(&prepared.guest).unwrap();
    assert!(outside.own_memories.is_empty());
    assert_eq!(imports(&prepared.guest)[1], ("tether_gc".into(), "memory".into()));
    // The collector exports the one memory.
    assert_eq!(exports(&prepared.guest), ["run"]);
    let large = Draft { memory_pages: Some(17), ..own };
    assert_told(large, &["17 pages", "stack-size"]);
}

// ---- The component door ----

const HEAP: &str = "tether:gc/heap@0.1.0";

fn lowered() -> Vec<u8> {
    Draft::default()
        .import("tether:guest", "cabi_realloc", Import::Function(4))
        .memory(COLLECTOR_PAGES)
        .function("tether:gc/heap@0.1.0 get", 3)
        .function("tether:gc/heap@0.1.0 read-bytes", 4)
        .function("tether:gc/roots@0.1.0 depth", 0)
        .bytes()
}

/// A guest with bindings of `tether:gc`.
fn bound_guest() -> Draft {
    Draft::default().import(HEAP, "get", Import::Function(3)).memory(2).function("run", 0)
}

fn assert_told_lowered(guest: Draft, words: &[&str]) {
    let message = format!("{:#}", prepare(&guest.bytes(), &lowered()).unwrap_err());
    for word in words {
        assert!(message.contains(word), "{word:?} in {message:?}");
    }
}

#[test]
fn what_a_guest_imports_by_wit_comes_from_the_lowered_door() {
    let prepared = prepare(&bound_guest().bytes(), &lowered()).unwrap();
    assert_eq!(prepared.door, Door::Component);
    assert_eq!(prepared.release, Release::Queue);
    assert_eq!(prepared.functions, ["tether:gc/heap@0.1.0 get"]);
    assert_eq!(
        imports(&prepared.guest),
        [
            ("tether_gc".into(), "tether:gc/heap@0.1.0 get".into()),
            ("tether_gc".into(), "memory".into())
        ]
    );
    let collector = prepared.collector.unwrap();
    assert_eq!(exports(&collector), ["tether:gc/heap@0.1.0 get", "memory"]);
    // Nothing that the guest imports gives a list.
    assert_eq!(imports(&collector), [("tether:link".into(), "tether:realloc".into())]);
    assert_eq!(exports(&prepared.supplied.unwrap()), ["tether:realloc"]);
}

#[test]
fn lists_are_in_memory_of_the_guests_own() {
    let guest = bound_guest().import(HEAP, "read-bytes", Import::Function(4));
    assert_told_lowered(guest.clone(), &["`read-bytes`", "`cabi_realloc`"]);
    let prepared = prepare(&guest.clone().function("cabi_realloc", 4).bytes(), &lowered()).unwrap();
    let from_guest = ("tether:guest".into(), "cabi_realloc".into());
    assert_eq!(imports(&prepared.collector.unwrap()), [from_guest]);
    assert!(prepared.supplied.is_none());
    assert_told_lowered(
        guest.function("cabi_realloc", 3),
        &["`cabi_realloc` must be (i32, i32, i32, i32) -> (i32)"],
    );
}

#[test]
fn a_guest_may_export_the_interfaces_that_it_imports() {
    let guest = bound_guest().function("tether:gc/heap@0.1.0#get", 2);
    let prepared = prepare(&guest.bytes(), &lowered()).unwrap();
    assert_eq!(exports(&prepared.guest), ["run", "tether:gc/heap@0.1.0#get"]);
}

#[test]
fn an_import_that_the_lowered_door_does_not_have_is_named() {
    let known = "its interfaces are tether:gc/heap@0.1.0, tether:gc/roots@0.1.0";
    let newer = Draft::default().import("tether:gc/heap@0.9.0", "get", Import::Function(3));
    assert_told_lowered(newer.memory(1), &["`tether:gc/heap@0.9.0` `get`", known]);
    let other = bound_guest().import(HEAP, "move", Import::Function(1));
    assert_told_lowered(other, &["`tether:gc/heap@0.1.0` `move`", known]);
    let wrong = Draft::default().import(HEAP, "get", Import::Function(2)).memory(1);
    assert_told_lowered(wrong, &["(i32, i32) -> (i32)", "(i32, i32, i32) -> (i32)"]);
    let both = bound_guest().import("tether_gc", "tether_push", Import::Function(1));
    assert_told_lowered(both, &["`tether_push`", "`get`", "two doors"]);
}

#[test]
fn a_guest_with_the_library_of_the_lowered_door_is_left_as_it_is() {
    let linked = linked_guest().data(3 << 20, 10).name(1, "__wasm_import_tether_gc_heap_get");
    let prepared = prepare(&linked.bytes(), &lowered()).unwrap();
    assert_eq!((prepared.door, prepared.release), (Door::Component, Release::Queue));
    assert!(prepared.collector.is_none() && prepared.supplied.is_none());
    // A function that is only imported under such a name is not the library's.
    let unlinked = linked_guest()
        .import("mine", "get", Import::Function(3))
        .name(0, "__wasm_import_tether_gc_heap_get");
    assert_told_lowered(unlinked, &["has no names of functions"]);
}

#[test]
fn the_functions_that_are_named_are_those_of_the_wit() {
    let mut resolve = Resolve::default();
    let wit = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(&wit).unwrap();
    let world = resolve.select_world(&[package], Some("mutator")).unwrap();
    let mut lists = Vec::new();
    for item in resolve.worlds[world].imports.values() {
        let WorldItem::Interface { id, .. } = item else { continue };
        for function in resolve.interfaces[*id].functions.values() {
            if function.result.is_some_and(|ty| has_list(&resolve, ty)) {
                lists.push(&*function.name);
            }
        }
    }
    assert_eq!(lists, GIVE_LISTS);
    for (interface, function) in QUICK {
        let mut interfaces = resolve.interfaces.iter().map(|(_, interface)| interface);
        let found = interfaces.find(|other| other.name.as_deref() == Some(interface)).unwrap();
        assert!(found.functions.contains_key(function), "{interface} {function}");
    }
}

fn has_list(resolve: &Resolve, ty: Type) -> bool {
    let Type::Id(id) = ty else { return false };
    match &resolve.types[id].kind {
        TypeDefKind::List(_) => true,
        TypeDefKind::Result(result) => result.ok.is_some_and(|ty| has_list(resolve, ty)),
        TypeDefKind::Option(ty) | TypeDefKind::Type(ty) => has_list(resolve, *ty),
        _ => false,
    }
}

// ---- The core door ----

#[test]
fn the_states_address_can_be_had_from_a_function() {
    let rust = Draft::default()
        .import("env", "memory", Import::Memory(2))
        .import("tether_gc", "tether_state", Import::Function(0))
        .function("tether_release", 2);
    let prepared = prepare(&rust.bytes(), &collector()).unwrap();
    let supplied = prepared.supplied.unwrap();
    assert_eq!(imports(&supplied), [("tether_gc".into(), "tether_state".into())]);
    assert!(exports(&supplied).contains(&"tether:state".to_owned()));
    assert_eq!(imports(&prepared.guest)[1], ("tether:link".into(), "tether:state".into()));
}

#[test]
fn a_module_with_its_own_collector_is_left_as_it_is() {
    // wasm-ld imports from `env` whatever nothing defines.
    for module in ["tether:host", "env"] {
        let linked = linked_guest()
            .import(module, "tether_release", Import::Function(2))
            .data(3 << 20, 10)
            .name(1, "tether_push");
        let prepared = prepare(&linked.bytes(), &collector()).unwrap();
        assert!(prepared.collector.is_none());
        assert_eq!(prepared.release, Release::Queue);
        assert_eq!(imports(&prepared.guest), [("tether:link".into(), "tether:release".into())]);
        assert_eq!(exports(&prepared.guest), ["run", "memory"]);
        assert!(prepared.supplied.is_some());
    }
}

#[test]
fn imports_of_the_guests_own_stay_as_they_are() {
    // The two functions that are imported below come before the guest's own.
    for guest in [guest(), linked_guest().name(2, "tether_push")] {
        let before = guest
            .import("env", "log_number", Import::Function(1))
            .import("env", "level", Import::State)
            .import("env", "__indirect_function_table", Import::Table)
            .import("guest", "run", Import::Function(0))
            .bytes();
        assert_eq!(imports(&prepare(&before, &collector()).unwrap().guest), imports(&before));
    }
    // A guest linked with `--import-memory`: its host brings the memory.
    let memory = Draft::default().import("env", "memory", Import::Memory(20));
    let before = memory.function("run", 0).name(0, "tether_push").bytes();
    assert_eq!(imports(&prepare(&before, &collector()).unwrap().guest), imports(&before));
}

#[test]
fn all_addresses_below_the_bound_are_the_guests() {
    let draft = guest().data(0, 16).data((1 << 20) - 16, 16).global("__heap_base", 1 << 20);
    assert!(prepare(&draft.bytes(), &collector()).is_ok());
}

// ---- Refused ----

#[test]
fn what_is_no_core_module_is_named_so() {
    assert!(refusal(b"(module)".to_vec()).contains("the guest: is not a WebAssembly module"));
    let component = wasm_encoder::Component::new().finish();
    assert!(refusal(component).contains("is a component"));
    let mut cut_off = guest().bytes();
    cut_off.truncate(40);
    assert!(refusal(cut_off).contains("is not a WebAssembly module"));
    let two_memories = guest().import("js", "heap", Import::Memory(1));
    assert_told(two_memories, &["is not valid WebAssembly 2.0", "multiple memories"]);
    let error = prepare(&guest().bytes(), b"").unwrap_err();
    assert!(format!("{error:#}").contains("the collector's core module"), "{error:#}");
}

#[test]
fn an_import_that_the_collector_does_not_have_is_named() {
    let draft = guest().import("tether_gc", "tether_pusch", Import::Function(1));
    assert_told(draft, &["`tether_pusch`", "does not have"]);
    let draft = guest().import("tether_gc", "tether_wrap", Import::Function(2));
    assert_told(draft, &["`tether_wrap`", "(i32, i32) -> (i32)", "(i32, i32, i32) -> (i32)"]);
    let draft = guest().import("tether_gc", "tether_push", Import::State);
    assert_told(draft, &["`tether_push`", "another kind"]);
}

#[test]
fn a_name_of_the_collectors_from_env_is_refused() {
    for draft in [guest(), linked_guest()] {
        let open = draft.clone().import("env", "tether_push", Import::Function(1));
        assert_told(open, &["`env` `tether_push`", "libtether_gc.a", "wasm_import_module"]);
        let misspelt = draft.clone().import("env", "tether_pusch", Import::Function(1));
        assert_told(misspelt, &["has no `tether_pusch`", "docs/core-abi.md"]);
        let release = draft.import("env", "tether_release", Import::Function(1));
        assert_told(release, &["`env` `tether_release`"]);
    }
}

#[test]
fn a_guest_without_a_collector_is_refused() {
    // `tether_release` is a function of the guest's own, which the library calls.
    for name in ["run", "tether_release"] {
        assert_told(linked_guest().name(0, name), &["has no collector", "libtether_gc.a"]);
    }
    let memoryless = Draft::default().function("run", 0);
    assert_told(memoryless, &["no names of functions", "without -s"]);
}

#[test]
fn what_wasm_ld_was_told_wrongly_is_named() {
    let object = Draft::default().import("env", "__linear_memory", Import::Memory(0));
    assert_told(object, &["is an object file"]);
    let mut shared = linked_guest().module();
    shared.section(&CustomSection { name: "dylink.0".into(), data: b""[..].into() });
    assert!(refusal(shared.finish()).contains("without -shared and -pie"));
    let constructed = linked_guest().name(0, "run.command_export");
    assert_told(constructed, &["each call of `run`", "constructors", "`_initialize`"]);
}

#[test]
fn data_above_the_bound_is_named_with_its_address() {
    let begin = (1 << 20) - 8;
    let draft = guest().data(64, 8).data(begin, 9);
    assert_told(draft, &["data segment 1", "1048568 (0xffff8)", "1048577 (0x100001)", "1 MiB"]);
    let draft = guest().global("__heap_base", 1_100_000);
    assert_told(draft, &["end at 1100000", "stack-size"]);
    let draft = Draft::default().import("env", "memory", Import::Memory(17)).import(
        "tether_gc",
        "tether_push",
        Import::Function(1),
    );
    assert_told(draft, &["17 pages", "1114112", "stack-size"]);
}

#[test]
fn a_memory_that_is_not_the_collectors_is_refused() {
    let none = Draft::default().import("tether_gc", "tether_push", Import::Function(1));
    assert_told(none, &["has no memory"]);
    let other = Draft::default().import("tether_gc", "tether_push", Import::Function(1)).import(
        "js",
        "heap",
        Import::Memory(1),
    );
    assert_told(other, &["`js` `heap`"]);
}

#[test]
fn exports_that_clash_are_named() {
    assert_told(guest().function("tether_push", 1), &["exports `tether_push`"]);
    assert_told(guest().function("memory", 0), &["exports `memory`", "taken"]);
    let draft = guest().function("tether_release", 1);
    assert_told(draft, &["`tether_release`", "(i32, i32) -> (i32)"]);
}

// ---- The end ----

#[test]
fn after_merging_only_the_guests_functions_and_the_memory_are_exported() {
    let guest = guest().function("tether_release", 2).global("__data_end", 9).bytes();
    let merged = Draft::default()
        .memory(COLLECTOR_PAGES)
        .function("run", 0)
        .function("tether_release", 2)
        .function("tether_push", 1)
        .global("__data_end", 9)
        .bytes();
    assert_eq!(exports(&trim(&merged, &guest, true).unwrap()), ["run", "memory"]);
    assert_eq!(exports(&trim(&merged, &guest, false).unwrap()), ["run", "memory", "__data_end"]);
}

const WIT: &str = "package t:t; world one { export run: func() -> u32; } world two {}";

fn wit_file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path
}

fn linked() -> Vec<u8> {
    Draft::default().memory(COLLECTOR_PAGES).function("run", 0).bytes()
}

#[test]
fn a_component_is_made_for_the_world_that_is_named() {
    let path = wit_file("worlds.wit", WIT);
    let world = World { wit: &path, name: Some("one") };
    let component = finish(&linked(), &guest().bytes(), Some(world), false).unwrap();
    assert_eq!(inspect(&component).unwrap().exports, ["run"]);
}

#[test]
fn a_component_is_made_for_the_world_that_the_guest_carries() {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("t.wit", WIT).unwrap();
    let world = resolve.select_world(&[package], Some("one")).unwrap();
    let mut guest = guest().bytes();
    embed_component_metadata(&mut guest, &resolve, world, StringEncoding::UTF8, false).unwrap();
    let prepared = prepare(&guest, &collector()).unwrap();
    assert!(prepared.has_world);
    // The tools in between need not carry it.
    assert!(Outside::read(&prepared.guest).unwrap().customs.is_empty());
    let component = finish(&linked(), &guest, None, false).unwrap();
    assert_eq!(inspect(&component).unwrap().exports, ["run"]);
}

#[test]
fn a_world_that_is_missing_or_does_not_fit_is_named() {
    let told = |wit: &str, name: Option<&str>| {
        let path = wit_file(&format!("{}.wit", name.unwrap_or("none")), wit);
        let world = World { wit: &path, name };
        format!("{:#}", finish(&linked(), &guest().bytes(), Some(world), false).unwrap_err())
    };
    let message = told(WIT, None);
    assert!(message.contains("--world is missing") && message.contains("one, two"), "{message}");
    let message = told(WIT, Some("three"));
    assert!(message.contains("no world `three`; it has one, two"), "{message}");
    let message = told("package t:t;", None);
    assert!(message.contains("has no world"), "{message}");
    let message = told("package t:t; world w { export walk: func(); }", Some("w"));
    assert!(message.contains("walk"), "{message}");
    let importing = linked_guest().import("env", "log_number", Import::Function(0)).bytes();
    let path = wit_file("log.wit", "package t:t; world w { import log-number: func(); }");
    let world = World { wit: &path, name: None };
    let message = format!("{:#}", finish(&importing, &importing, Some(world), false).unwrap_err());
    assert!(message.contains("`env` `log_number`") && message.contains("`$root`"), "{message}");
    let message = told("no wit", Some("x"));
    assert!(message.contains("cannot read WIT"), "{message}");
}

#[test]
fn names_stay_where_they_are_wanted() {
    let path = wit_file("names.wit", WIT);
    let mut module = linked();
    let section = CustomSection { name: "some-names".into(), data: b"kept"[..].into() };
    wasm_encoder::Section::append_to(&section, &mut module);
    for keeps_names in [true, false] {
        let world = World { wit: &path, name: Some("one") };
        let component = finish(&module, &guest().bytes(), Some(world), keeps_names).unwrap();
        let text = b"some-names";
        let is_there = component.windows(text.len()).any(|window| window == text);
        assert_eq!(is_there, keeps_names);
    }
}

#[test]
fn a_functions_code_is_counted() {
    let shape = function(&guest().bytes(), "run").unwrap();
    assert_eq!((shape.instructions, shape.calls.len()), (1, 0));
    assert!(function(&guest().bytes(), "walk").unwrap_err().to_string().contains("`walk`"));
}
