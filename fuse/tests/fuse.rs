//! The shape of what fusing makes, and what it refuses. That fused components do what the
//! compositions do is tested where there is a host, in `guest-tests/runner/tests/hosts/fused.rs`.

use std::env;
use std::path::{Path, PathBuf};

use tether_cli::binaryen::Binaryen;
use tether_fuse::{Fused, Request, fuse};
use wasmparser::{CanonicalFunction, CanonicalOption, Parser, Payload};

/// Binaryen's tools, as `cargo xtask build` puts them into the artifacts' folder.
fn binaryen() -> Binaryen {
    let artifacts = env::var_os("TETHER_ARTIFACTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tether"),
        PathBuf::from,
    );
    Binaryen::find(None, &[artifacts])
}

fn fuse_with(text: &str, request: &Request) -> anyhow::Result<Fused> {
    fuse(&wat::parse_str(text).unwrap(), request, &binaryen())
}

fn fused(text: &str) -> Fused {
    fuse_with(text, &Request::default()).unwrap()
}

fn refusal(text: &str) -> String {
    format!("{:#}", fuse_with(text, &Request::default()).unwrap_err())
}

/// A module with a memory, a `realloc`, and what else is given.
fn memory_and(rest: &str) -> String {
    format!(
        r#"(memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        {rest}"#
    )
}

/// Two parts: the second gives a list, and the first hands it on. Each also exports a list itself
/// if `both`, and asks the host for one if `asks`.
fn lists(both: bool, asks: bool) -> String {
    let lift = |name: &str| {
        format!(
            r#"(func (export "{name}") (result (list u32))
                (canon lift (core func $instance "list")
                    (memory (core memory $instance "memory")) (realloc (core func $instance "realloc"))))"#
        )
    };
    let export = r#"(func (export "list") (result i32) (i32.const 8))"#;
    let (import, lower, core_import, with) = if asks {
        (
            r#"(import "host" (func $host (result (list u32))))"#,
            r#"(core func $core-host (canon lower (func $host)
                (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))"#,
            r#"(import "host" "host" (func (param i32)))"#,
            r#"(with "host" (instance (export "host" (func $core-host))))"#,
        )
    } else {
        ("", "", "", "")
    };
    let host_arg = if asks { r#"(with "host" (func $host))"# } else { "" };
    let second = memory_and("");
    let exports = if both { r#"(export "other" (func $second "list"))"# } else { "" };
    let second_list = lift("list");
    let first_list = lift("list");
    format!(
        r#"(component
            {import}
            (component $second
                {import}
                (core module $memory-module {second})
                (core instance $memory (instantiate $memory-module))
                {lower}
                (core module $module {core_import}
                    (import "" "memory" (memory $memory 1))
                    (import "" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
                    (export "memory" (memory $memory))
                    (export "realloc" (func $realloc))
                    {export})
                (core instance $instance (instantiate $module (with "" (instance $memory)) {with}))
                {second_list})
            (component $first
                {import}
                (import "list" (func $list (result (list u32))))
                (core module $memory-module {second})
                (core instance $memory (instantiate $memory-module))
                {lower}
                (core func $core-list (canon lower (func $list)
                    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
                (core module $module {core_import}
                    (import "" "memory" (memory $memory 1))
                    (import "" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
                    (import "list" "list" (func $list (param i32)))
                    (export "memory" (memory $memory))
                    (export "realloc" (func $realloc))
                    (func (export "list") (result i32) (call $list (i32.const 8)) (i32.const 8)))
                (core instance $instance (instantiate $module (with "" (instance $memory))
                    (with "list" (instance (export "list" (func $core-list)))) {with}))
                {first_list})
            (instance $second (instantiate $second {host_arg}))
            (instance $first (instantiate $first (with "list" (func $second "list")) {host_arg}))
            (export "list" (func $first "list"))
            {exports})"#
    )
}

/// How many core modules a component has, and how many memories the first of them.
fn modules_and_memories(component: &[u8]) -> (usize, u32) {
    let mut modules = 0;
    let mut memories = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } => modules += 1,
            Payload::MemorySection(section) if modules == 1 => memories = section.count(),
            _ => {}
        }
    }
    (modules, memories)
}

/// The memories that lifts name.
fn lifted_memories(component: &[u8]) -> Vec<u32> {
    let mut memories = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::ComponentCanonicalSection(section) = payload.unwrap() {
            for function in section {
                if let CanonicalFunction::Lift { options, .. } = function.unwrap() {
                    memories.extend(options.iter().filter_map(|option| match option {
                        CanonicalOption::Memory(memory) => Some(*memory),
                        _ => None,
                    }));
                }
            }
        }
    }
    memories
}

#[test]
fn two_parts_become_one_module_with_two_memories() {
    let fused = fused(&lists(false, false));
    assert_eq!(modules_and_memories(&fused.binary), (1, 2));
    assert_eq!((fused.parts.len(), fused.memories), (2, 2));
    assert_eq!(lifted_memories(&fused.binary).len(), 1);
}

#[test]
fn the_core_module_alone_has_the_memories_and_the_exports() {
    let request = Request { is_core: true, ..Request::default() };
    let fused = fuse_with(&lists(true, true), &request).unwrap();
    assert!(!Parser::is_component(&fused.binary));
    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(&fused.binary) {
        if let Payload::ExportSection(section) = payload.unwrap() {
            exports.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
        }
    }
    for name in ["memory", "memory:2"] {
        assert!(exports.iter().any(|export| export == name), "{name}: {exports:?}");
    }
}

#[test]
fn each_export_names_the_memory_of_its_part() {
    let memories = lifted_memories(&fused(&lists(true, false)).binary);
    assert_eq!(memories.len(), 2);
    assert_ne!(memories[0], memories[1]);
}

#[test]
fn flags_that_nothing_reads_are_left_out() {
    let has_globals = |text: &str| {
        let component = fused(text).binary;
        let mut payloads = Parser::new(0).parse_all(&component);
        payloads.any(|payload| matches!(payload.unwrap(), Payload::GlobalSection(_)))
    };
    let text = lists(false, true);
    assert!(!has_globals(&text));
    // A `realloc` of which nothing is known, because what it calls may be another module's.
    let unknown = text.replace(
        "(func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 1024))",
        "(type $realloc (func (param i32 i32 i32 i32) (result i32)))
         (table $functions 1 funcref)
         (func (export \"fill\") (param funcref)
             (table.set $functions (i32.const 0) (local.get 0)))
         (func (export \"realloc\") (param i32 i32 i32 i32) (result i32)
             (call_indirect $functions (type $realloc)
                 (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 0)))",
    );
    assert_ne!(unknown, text);
    assert!(has_globals(&unknown));
}

#[test]
fn the_same_composition_gives_the_same_bytes() {
    let text = lists(true, true);
    assert_eq!(fused(&text), fused(&text));
}

#[test]
fn names_are_left_out_unless_they_are_asked_for() {
    let text =
        lists(false, false).replace("(func (export \"list\")", "(func $named (export \"list\")");
    let has_name = |keeps_names| {
        let request = Request { level: None, keeps_names, ..Request::default() };
        let component = fuse_with(&text, &request).unwrap().binary;
        component.windows(5).any(|bytes| bytes == b"named")
    };
    assert!(has_name(true) && !has_name(false));
}

#[test]
fn a_part_is_named_by_its_number_and_its_exports() {
    let told = refusal(
        r#"(component
            (component $part
                (type $resource (resource (rep i32)))
                (core func $new (canon resource.new $resource))
                (core module $module
                    (import "" "new" (func $new (param i32) (result i32)))
                    (func (export "thing#make") (result i32) (call $new (i32.const 1))))
                (core instance $instance (instantiate $module
                    (with "" (instance (export "new" (func $new))))))
                (func $make (result (own $resource))
                    (canon lift (core func $instance "thing#make")))
                (export $exported "resource" (type $resource))
                (export "make" (func $make) (func (result (own $exported)))))
            (instance $part (instantiate $part))
            (export "part" (instance $part)))"#,
    );
    assert!(told.contains("part 1 (which exports thing) defines a resource"), "{told}");
}

#[test]
fn what_cannot_be_fused_is_refused_by_name() {
    let part = |module: &str| {
        format!(
            r#"(component
                (core module $module {module} (func (export "f")))
                (core instance $instance (instantiate $module))
                (func (export "f") (canon lift (core func $instance "f"))))"#
        )
    };
    for (module, told) in [
        ("(tag)", "exceptions"),
        ("(type (struct))", "gc"),
        ("(memory 1 1 shared)", "threads"),
        ("(memory i64 1)", "64-bit"),
    ] {
        let refused = refusal(&part(module));
        assert!(refused.contains(told), "{module}: {refused}");
        assert!(refused.contains("run the composed component as it is"), "{refused}");
    }
    let asynchronous = r#"(component
        (import "f" (func $f async))
        (core func $lowered (canon lower (func $f) async))
        (core module $module (import "" "f" (func (result i32))) (func (export "g")))
        (core instance $instance (instantiate $module
            (with "" (instance (export "f" (func $lowered))))))
        (func (export "g") (canon lift (core func $instance "g"))))"#;
    assert!(refusal(asynchronous).contains("async"));
    assert!(refusal("(component)").contains("exports no function"));
    assert!(refusal("(module)").contains("`tether link`"));
    assert!(refusal(&part("")).contains("has one part"));
    let error = fuse(b"no component", &Request::default(), &binaryen()).unwrap_err();
    assert!(format!("{error:#}").contains("not a valid component"), "{error:#}");
    let modules = r#"(component (import "m" (core module $m (export "f" (func))))
        (core instance $i (instantiate $m)) (func (export "f") (canon lift (core func $i "f"))))"#;
    assert!(refusal(modules).contains("imports the core module `m`"));
}
