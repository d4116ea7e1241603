//! Fused compositions against the compositions that they are made of: the same calls give the
//! same answers, the host sees the same, and what traps in one traps in the other.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use tether_cli::world::World;
use tether_cli::{compose, encode};
use tether_runner::engine::engine;
use wasmtime::component::{Component, Func, Instance, Linker, Val};
use wasmtime::{AsContextMut, Engine, Store};

use crate::support::{artifacts, temporary};

/// Fuses with the program `tether-fuse`, as `cargo xtask build` has built it, and with its options.
/// (As a library it would have wasmtime built a second time.)
pub(crate) fn fused(composed: &[u8], options: &[&str]) -> Vec<u8> {
    let (from, to) = (temporary("composed.wasm"), temporary("fused.wasm"));
    fs::write(&from, composed).unwrap();
    let program = artifacts().join("../debug/tether-fuse");
    let ran = Command::new(&program)
        .arg(&from)
        .arg("-o")
        .arg(&to)
        .args(options)
        .env("TETHER_ARTIFACTS", artifacts())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask build`", program.display()));
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let fused = fs::read(&to).unwrap();
    for file in [from, to] {
        fs::remove_file(file).unwrap();
    }
    fused
}

/// One of the parts in `fused/`.
fn part(name: &str) -> Vec<u8> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/fused");
    let module = wat::parse_file(sources.join(format!("{name}.wat"))).unwrap();
    let wit = sources.join("parts.wit");
    encode(&module, Some(World { wit: &wit, name: Some(name) })).unwrap()
}

/// A composition, and what is made of it, each compiled.
struct Both {
    engine: Engine,
    composed: Component,
    fused: Vec<Component>,
}

impl Both {
    /// Fuses a composition with and without optimising.
    fn of(composed: &[u8]) -> Both {
        let engine = engine().unwrap();
        let options = [&[][..], &["--no-optimise"]];
        let compile = |bytes: &[u8]| Component::new(&engine, bytes).unwrap();
        let fused = options.map(|options| compile(&fused(composed, options))).into();
        Both { composed: compile(composed), fused, engine }
    }

    /// Runs the same calls on all of them, each on a new instance. Gives what happened.
    fn run(&self, calls: &[Call<'_>]) -> Happened {
        let happened = run(&self.engine, &self.composed, calls);
        for fused in &self.fused {
            assert_eq!(run(&self.engine, fused, calls), happened, "{calls:?}");
        }
        happened
    }
}

/// A call of a function of an interface, or of the component itself.
type Call<'a> = (Option<&'a str>, &'a str, Vec<Val>);

/// The answers, with nothing for a trap, and what the host saw.
#[derive(Debug, Default, PartialEq)]
struct Happened {
    answers: Vec<Option<Vec<Val>>>,
    seen: Vec<String>,
}

/// The host's state.
#[derive(Default)]
struct Host {
    seen: Vec<String>,
    counted: u32,
    /// What the host calls from inside a call.
    reenters: Option<Func>,
}

fn run(engine: &Engine, component: &Component, calls: &[Call<'_>]) -> Happened {
    let mut store = Store::new(engine, Host::default());
    let instance = linker(engine).instantiate(&mut store, component).unwrap();
    let mut happened = Happened::default();
    for (interface, name, arguments) in calls {
        let function = function(&mut store, &instance, *interface, name);
        let mut results = vec![Val::Bool(false); function.ty(&store).results().len()];
        let answer = function.call(&mut store, arguments, &mut results);
        happened.answers.push(answer.is_ok().then_some(results));
    }
    happened.seen = store.into_data().seen;
    happened
}

fn function(
    store: &mut Store<Host>,
    instance: &Instance,
    interface: Option<&str>,
    name: &str,
) -> Func {
    let interface =
        interface.map(|interface| instance.get_export_index(&mut *store, None, interface).unwrap());
    let index = instance.get_export_index(&mut *store, interface.as_ref(), name).unwrap();
    instance.get_func(store, index).unwrap()
}

fn linker(engine: &Engine) -> Linker<Host> {
    let mut linker: Linker<Host> = Linker::new(engine);
    let mut root = linker.root();
    root.func_new("note", |mut store, _, arguments, results| {
        store.data_mut().seen.push(format!("root {arguments:?}"));
        let Val::String(text) = &arguments[0] else { panic!("{arguments:?}") };
        results[0] = Val::String(format!("{text}!"));
        Ok(())
    })
    .unwrap();
    let mut log = root.instance("test:fused/log").unwrap();
    log.func_new("note", |mut store, _, arguments, results| {
        store.data_mut().seen.push(format!("{arguments:?}"));
        results[0] = Val::List(vec![Val::String("noted".to_owned()); 3]);
        Ok(())
    })
    .unwrap();
    log.func_new("count", |mut store, _, arguments, results| {
        let Val::U32(by) = arguments[0] else { panic!("{arguments:?}") };
        store.data_mut().counted += by;
        store.data_mut().seen.push(format!("count {by}"));
        results[0] = Val::U32(store.data().counted);
        if let Some(function) = store.data_mut().reenters.take() {
            function.call(store.as_context_mut(), &[Val::U32(1)], &mut [Val::Bool(false)])?;
        }
        Ok(())
    })
    .unwrap();
    linker
}

const FRONT: Option<&str> = Some("test:fused/front");

/// The three parts of `fused/`, each of which calls the next and the host.
fn three_parts() -> &'static Both {
    static THREE: OnceLock<Both> = OnceLock::new();
    THREE.get_or_init(|| {
        let composed = compose(&part("second"), &part("last")).unwrap();
        Both::of(&compose(&part("first"), &composed).unwrap())
    })
}

fn text(text: &str) -> Val {
    Val::String(text.to_owned())
}

fn point(x: u8, y: i64) -> Val {
    Val::Record(vec![("x".to_owned(), Val::U8(x)), ("y".to_owned(), Val::S64(y))])
}

fn variant(name: &str, value: Option<Val>) -> Val {
    Val::Variant(name.to_owned(), value.map(Box::new))
}

#[test]
fn strings_and_lists_pass_through_three_parts_and_to_the_host() {
    let long = "\u{1f333}tree".repeat(2_000);
    for word in ["", "a", "Grüße, 世界 \u{1f333}", &long] {
        let happened = three_parts().run(&[(FRONT, "text", vec![text(word)])]);
        assert_eq!(happened.answers, [Some(vec![text(&format!("{word}!"))])]);
        assert_eq!(happened.seen.len(), 5, "two parts call one function, three the other");
    }
    let points: Vec<Val> = (0..500).map(|i| point(i as u8, i64::from(i) << 40)).collect();
    for count in [0, 1, 2, 500] {
        let points = Val::List(points[..count].to_vec());
        let happened = three_parts().run(&[(FRONT, "points", vec![points.clone()])]);
        let Val::List(points) = points else { unreachable!() };
        let rest = points.get(1..).unwrap_or_default();
        assert_eq!(happened.answers, [Some(vec![Val::List(rest.to_vec())])]);
    }
}

#[test]
fn options_results_variants_and_records_pass_both_ways() {
    let text_ok = Val::Result(Ok(Some(Box::new(text("fine")))));
    let text_error = Val::Result(Err(Some(Box::new(Val::U32(4)))));
    let mut answers = Vec::new();
    for word in [None, Some(0), Some(u64::MAX)] {
        for said in [&text_ok, &text_error] {
            for mood in [
                variant("calm", None),
                variant("loud", Some(text("hey"))),
                variant("counted", Some(Val::U64(u64::MAX))),
            ] {
                let word = Val::Option(word.map(|word| Box::new(Val::U64(word))));
                let arguments = vec![word, said.clone(), point(200, i64::MIN), mood];
                answers.extend(three_parts().run(&[(FRONT, "mixed", arguments)]).answers);
            }
        }
    }
    assert!(answers.iter().all(Option::is_some));
    let shown = format!("{answers:?}");
    for value in ["\"fine\"", "\"hey\"", "\"none\"", "-9223372036854775808"] {
        assert!(shown.contains(value), "{value}: {shown}");
    }
}

#[test]
fn more_parameters_than_fit_flat_pass() {
    let strings = Val::List(vec![text("e"), text(""), text("ee")]);
    let arguments = |option: bool| {
        vec![
            Val::U64(1),
            text("b"),
            Val::U8(2),
            Val::Float64(0.5),
            strings.clone(),
            Val::U16(4),
            Val::S8(-1),
            Val::Option(option.then(|| Box::new(text("h")))),
            Val::U32(9),
            Val::U64(8),
            Val::Bool(true),
            Val::Char('\u{10ffff}'),
            Val::Option(option.then(|| Box::new(Val::List(vec![Val::U16(7); 40])))),
        ]
    };
    for option in [false, true] {
        let happened = three_parts().run(&[(FRONT, "many", arguments(option))]);
        let answer = Val::Tuple(vec![text("b"), strings.clone(), Val::U64(15)]);
        assert_eq!(happened.answers, [Some(vec![answer])]);
    }
}

#[test]
fn many_calls_of_one_instance_agree() {
    let mut calls = Vec::new();
    for round in 0..200_usize {
        calls.push((FRONT, "text", vec![text(&"ab".repeat(round))]));
        calls.push((FRONT, "deep", vec![Val::U32(round as u32 % 90)]));
        calls.push((FRONT, "points", vec![Val::List(vec![point(1, 2); round])]));
    }
    let happened = three_parts().run(&calls);
    assert!(happened.answers.iter().all(Option::is_some));
}

#[test]
fn bad_addresses_trap_in_both() {
    const PAGE: u32 = 65536;
    let raw = |kind: u32, address: u32, length: u32| {
        let words = [kind, address, length].map(Val::U32).to_vec();
        three_parts().run(&[(FRONT, "raw", words)]).answers[0].is_none()
    };
    // Text at the end of the memory, and behind it.
    assert!(!raw(0, PAGE - 4, 4));
    for (address, length) in [(PAGE - 4, 5), (PAGE, 1), (u32::MAX, 2), (4, u32::MAX), (8, 1 << 31)]
    {
        assert!(raw(0, address, length), "{length} bytes at {address}");
    }
    // Points, of 16 bytes: misaligned, behind the end, and so many that the size overflows.
    assert!(!raw(1, PAGE - 16, 1));
    for (address, length) in [(PAGE - 12, 1), (1, 1), (PAGE - 16, 2), (16, 1 << 28), (16, u32::MAX)]
    {
        assert!(raw(1, address, length), "{length} points at {address}");
    }
}

#[test]
fn a_realloc_that_calls_out_traps_in_both() {
    let deep = |by| (FRONT, "deep", vec![Val::U32(by)]);
    let say = (FRONT, "text", vec![text("a")]);
    let happened = three_parts().run(&[deep(98), say.clone(), deep(99), say]);
    let answered: Vec<bool> = happened.answers.iter().map(Option::is_some).collect();
    assert_eq!(answered, [true, true, true, false]);
}

#[test]
fn a_host_that_calls_back_finds_the_same_in_both() {
    let both = three_parts();
    let mut found = both.fused.iter().chain([&both.composed]).map(|component| {
        let mut store = Store::new(&both.engine, Host::default());
        let instance = linker(&both.engine).instantiate(&mut store, component).unwrap();
        let deep = function(&mut store, &instance, FRONT, "deep");
        store.data_mut().reenters = Some(deep);
        let mut results = [Val::Bool(false)];
        let is_answered = deep.call(&mut store, &[Val::U32(1)], &mut results).is_ok();
        (is_answered, results, store.into_data().seen)
    });
    let first = found.next().unwrap();
    assert!(found.all(|other| other == first), "{first:?}");
}

/// A component in text.
fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn a_part_that_is_there_twice_has_two_states() {
    let both = Both::of(&component(include_str!("fused/twice.wat")));
    let call = || (None, "run", vec![]);
    let happened = both.run(&[call(), call(), call()]);
    let numbers = [1, 102, 203].map(|number| Some(vec![Val::U32(number)]));
    assert_eq!(happened.answers, numbers);
}

/// The encodings of strings, the option that names each, and how many bytes a string of `$units`
/// has.
const ENCODINGS: [(&str, &str); 3] = [
    ("utf8", "(local.get $units)"),
    ("utf16", "(i32.shl (local.get $units) (i32.const 1))"),
    (
        "latin1+utf16",
        "(select (i32.shl (local.get $units) (i32.const 1)) (local.get $units) \
         (i32.and (local.get $units) (i32.const 0x80000000)))",
    ),
];

#[test]
fn strings_change_their_encoding_as_on_wasmtime() {
    let template = include_str!("fused/encodings.wat");
    let texts = [
        "",
        "a",
        "0123456789abcdef",
        "é",
        "ÿþ and more",
        "Ā",
        "latin é then Ā",
        "日本語",
        "é日\u{1f333}",
        "\u{1f333}",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u{10ffff}",
        "\u{7ff}\u{800}\u{ffff}",
    ];
    // Bytes that are not well-formed in some encoding.
    let bytes: [&[u8]; 16] = [
        b"\x80",
        b"\xC0\x80",
        b"\xC2",
        b"\xC2a",
        b"\xE0\x80\x80",
        b"\xED\xA0\x80",
        b"\xE2\x82",
        b"\xF0\x80\x80\x80",
        b"\xF4\x90\x80\x80",
        b"\xF8\x88\x80\x80",
        b"\x00\xD8",
        b"\x00\xDC\x00\xD8",
        b"\x00\xD8a\x00",
        b"a\x00\x00\xD8",
        b"abcdefgh\xFF1234567",
        b"\xE9\x00\xE8\x00",
    ];
    for (caller, caller_bytes) in ENCODINGS {
        for (callee, _) in ENCODINGS {
            let wat = template
                .replace("CALLER", caller)
                .replace("CALLEE", callee)
                .replace("BYTES", caller_bytes);
            let both = Both::of(&component(&wat));
            for word in texts {
                let happened = both.run(&[(None, "text", vec![text(word)])]);
                assert_eq!(happened.answers, [Some(vec![text(word)])], "{caller} to {callee}");
            }
            for bytes in bytes {
                let list = Val::List(bytes.iter().copied().map(Val::U8).collect());
                let half = bytes.len() as u32 / 2;
                for units in [bytes.len() as u32, half, half | 1 << 31] {
                    both.run(&[(None, "raw", vec![list.clone(), Val::U32(units)])]);
                }
            }
        }
    }
}
