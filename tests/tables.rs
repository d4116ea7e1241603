//! Lists that stand in several languages say the same: the errors, the invariants, the options,
//! and the structs of the core door.
//!
//! | list | its source |
//! |---|---|
//! | errors | `Error` and `Error::code`, in `src/error.rs` |
//! | invariants | `Invariant`, in `src/verify.rs` |
//! | options | `Options` and its default, in `src/config.rs`; their order in memory is that of `OptionWords`, in `doors/shared` |
//! | other structs of the core door | `doors/core/tether_gc.h` |
//!
//! A name has one form in each language: `OutOfMemory` is `out-of-memory` in WIT and
//! `TETHER_OUT_OF_MEMORY` in C.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use tether_door::OptionWords;
use tether_gc::{Error, Invariant, OptionName, Options, Sizing, StressModes};
use tether_model::call::{Code, Failure};

const HEADER: &str = "doors/core/tether_gc.h";
const CORE_ABI: &str = "docs/core-abi.md";
const ARCHITECTURE: &str = "ARCHITECTURE.md";
const HEAP_WIT: &str = "wit/heap.wit";

// ---- Reading ----

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text between two others.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, behind) = text.split_once(begin).unwrap_or_else(|| panic!("no `{begin}`"));
    behind.split_once(end).unwrap_or_else(|| panic!("no `{end}` behind `{begin}`")).0
}

/// A file as one line of prose, without the marks of comments.
fn prose(path: &str) -> String {
    let text = read(path);
    let words = text.split_whitespace().filter(|word| !matches!(*word, "///" | "//!" | "*" | ";;"));
    words.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn assert_says(path: &str, sentence: &str) {
    assert!(prose(path).contains(sentence), "{path} does not say: {sentence}");
}

/// The variant's name, without its fields.
fn name(variant: impl Debug) -> String {
    format!("{variant:?}").split(' ').next().unwrap().to_owned()
}

/// `OutOfMemory` and `out_of_memory` as `out-of-memory`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(if letter == '_' { '-' } else { letter.to_ascii_lowercase() });
    }
    kebab
}

/// `OutOfMemory` as `out_of_memory`.
fn snake(name: &str) -> String {
    kebab(name).replace('-', "_")
}

/// `out_of_memory` as `outOfMemory`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

/// The variants of a public enum of Rust.
fn variants(path: &str, name: &str) -> Vec<String> {
    let text = read(path);
    let body = between(&text, &format!("pub enum {name} {{\n"), "\n}\n");
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    lines
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| line.split([',', ' ']).next().unwrap().to_owned())
        .collect()
}

/// The fields of a struct of Rust.
fn rust_fields(path: &str, begin: &str) -> Vec<String> {
    let text = read(path);
    let lines = between(&text, begin, "}").lines().map(str::trim);
    lines
        .filter(|line| !line.starts_with("//"))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim_start_matches("pub ").to_owned())
        .collect()
}

/// The members of a block of WIT, with their texts.
fn wit_members(path: &str, begin: &str) -> Vec<(String, String)> {
    let text = read(path);
    let mut members = Vec::new();
    let mut about = String::new();
    for line in between(&text, begin, "\n    }").lines().map(str::trim) {
        match line.strip_prefix("///") {
            Some(more) => about = about + more.trim() + " ",
            None if line.is_empty() => {}
            None => {
                let name = line.split([':', ',', '(']).next().unwrap();
                members.push((name.to_owned(), std::mem::take(&mut about)));
            }
        }
    }
    members
}

fn names(members: &[(String, String)]) -> Vec<&str> {
    members.iter().map(|(name, _)| name.as_str()).collect()
}

/// The rows of the table of Markdown with this head.
fn rows(path: &str, head: &str) -> Vec<Vec<String>> {
    let text = read(path);
    let (_, behind) = text.split_once(head).unwrap_or_else(|| panic!("{path}: no `{head}`"));
    let lines = behind.lines().skip(2);
    lines
        .map(|line| line.trim_start_matches("///").trim_start_matches("    ///").trim())
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('`', "")).collect()
        })
        .collect()
}

/// The fields of a struct of the header: type, offset and name.
fn header_fields(begin: &str, end: &str) -> Vec<(&'static str, u32, String)> {
    let text = read(HEADER);
    let mut bare = String::new();
    for part in between(&text, begin, end).split("/*") {
        bare += part.split_once("*/").map_or(part, |(_, code)| code);
    }
    let mut fields = Vec::new();
    let mut offset = 0;
    for declaration in bare.split(';').map(str::trim).filter(|text| !text.is_empty()) {
        let (declared, list) = declaration.split_once(char::is_whitespace).unwrap();
        let (size, declared) = match declared {
            "uint32_t" => (4, "u32"),
            "uint64_t" => (8, "u64"),
            // An address.
            "void" => (4, "u32"),
            other => panic!("the header has a field of the type {other}"),
        };
        for field in list.split(',') {
            assert_eq!(offset % size, 0, "{field} is not aligned");
            fields.push((declared, offset, field.trim().trim_start_matches('*').to_owned()));
            offset += size;
        }
    }
    fields
}

fn field_names(fields: &[(&'static str, u32, String)]) -> Vec<String> {
    fields.iter().map(|(_, _, name)| name.clone()).collect()
}

fn option_fields() -> Vec<(&'static str, u32, String)> {
    header_fields("the field's default. */\ntypedef struct {", "} tether_options;")
}

/// A number with commas between thousands.
fn thousands(number: u32) -> String {
    match number {
        1_000.. => format!("{},{:03}", thousands(number / 1_000), number % 1_000),
        _ => number.to_string(),
    }
}

/// Bytes in the largest unit.
fn bytes(bytes: u64) -> String {
    match (bytes >> 20, bytes >> 10) {
        (mib @ 1.., _) if mib << 20 == bytes => format!("{mib} MiB"),
        (_, kib @ 1..) if kib << 10 == bytes => format!("{kib} KiB"),
        _ => bytes.to_string(),
    }
}

// ---- Errors ----

/// The figure that each error below has, if it has one. It is a position of an option too.
const FIGURE: u32 = OptionName::Sizing as u32;

/// Those that only the component's operations give.
const OF_THE_COMPONENT: [&str; 2] = ["ReferenceSlot", "InvalidInstruction"];

/// Every error once, in the order of the enum.
fn errors() -> Vec<Error> {
    let errors = vec![
        Error::OutOfMemory { needed_bytes: FIGURE },
        Error::WrapTableFull { capacity: FIGURE },
        Error::RootStackFull { capacity: FIGURE },
        Error::NoSuchRoot { index: FIGURE },
        Error::NoScope,
        Error::InvalidRef { reference: FIGURE },
        Error::InvalidLayout { layout: FIGURE },
        Error::OutOfBounds { size_bytes: FIGURE },
        Error::ReferenceSlot { offset_bytes: FIGURE },
        Error::AlreadyRegistered { reference: FIGURE },
        Error::NotRegistered { reference: FIGURE },
        Error::NotPinned { reference: FIGURE },
        Error::InvalidInstruction { word: FIGURE },
        Error::InvalidOption { option: OptionName::Sizing },
        Error::AlreadyStarted,
        Error::Busy,
        Error::Closed,
    ];
    let listed: Vec<String> = errors.iter().map(name).collect();
    assert_eq!(listed, variants("src/error.rs", "Error"), "this list is of all errors");
    errors
}

/// The core door's errors: code, name, and whether there is a figure.
fn core_errors() -> Vec<(u32, String, bool)> {
    let errors = errors().into_iter().filter(|error| !OF_THE_COMPONENT.contains(&&*name(error)));
    let errors =
        errors.map(|error| (error.code(), snake(&name(error)).to_uppercase(), error.value() != 0));
    std::iter::once((0, "OK".to_owned(), false)).chain(errors).collect()
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn errors_are_numbered_from_1_in_the_order_of_the_enum() {
    let codes: Vec<u32> = errors().into_iter().map(Error::code).collect();
    assert_eq!(codes, (1..=codes.len() as u32).collect::<Vec<_>>());
    for error in errors() {
        assert!([0, FIGURE].contains(&error.value()), "{error:?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn the_model_has_the_errors_under_their_names() {
    assert_eq!(Code::ALL.len(), errors().len());
    for error in errors() {
        let failure = Failure::from(error);
        assert_eq!((name(failure.code), failure.value), (name(error), error.value()));
        assert_eq!(failure.code.text(), kebab(&name(error)));
    }
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn wit_has_the_errors_in_their_order() {
    let cases = wit_members("wit/types.wit", "enum error-code {");
    let expected: Vec<String> = errors().iter().map(|error| kebab(&name(error))).collect();
    assert_eq!(names(&cases), expected);
    for (error, (case, about)) in errors().iter().zip(cases) {
        assert_eq!(about.contains("`value`"), error.value() != 0, "{case}: {about}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn the_header_and_its_documentation_have_the_errors_of_the_core_door() {
    let table = rows(CORE_ABI, "| code | name | value | means |");
    let documented: Vec<(u32, String, bool)> = table
        .iter()
        .map(|row| (row[0].parse().unwrap(), row[1].clone(), !matches!(row[2].as_str(), "" | "0")))
        .collect();
    assert_eq!(documented, core_errors(), "{CORE_ABI}");

    let text = prose(HEADER);
    let list = format!("{},", between(&text, "---- Error codes ---- */ enum { ", " };"));
    let declared: Vec<(u32, String, String)> = list
        .split("TETHER_")
        .skip(1)
        .map(|entry| {
            let (name, behind) = entry.split_once(" = ").unwrap();
            let (code, comment) = behind.split_once(',').unwrap();
            let comment = comment.trim().trim_matches(',').trim_matches(['/', '*', ' ']);
            let value = comment.strip_prefix("value: ").unwrap_or("");
            (code.parse().unwrap(), name.to_owned(), value.to_owned())
        })
        .collect();
    let expected: Vec<(u32, String, String)> = table
        .iter()
        .zip(core_errors())
        .map(|(row, (code, name, has_figure))| {
            (code, name, if has_figure { row[2].clone() } else { String::new() })
        })
        .collect();
    assert_eq!(declared, expected, "{HEADER}");

    // Vera's glue tells these two from the others by their codes.
    let [memory, table] = [Code::OutOfMemory, Code::WrapTableFull].map(|code| code as u32);
    let vera = "guest-tests/vera/tether_vera/glue.wat";
    assert_says(vera, &format!("{memory} out of memory, {table} wrap table full:"));

    let others = errors().into_iter().filter(|error| OF_THE_COMPONENT.contains(&&*name(error)));
    let others: Vec<String> = others.map(|error| error.code().to_string()).collect();
    assert_says(CORE_ABI, &format!("The codes {} are the component door's.", others.join(" and ")));
}

// ---- Invariants ----

const INVARIANTS: [Invariant; 11] = [
    Invariant::BlockMap,
    Invariant::Metadata,
    Invariant::Tiling,
    Invariant::References,
    Invariant::Colours,
    Invariant::Hole,
    Invariant::LargeTable,
    Invariant::WrapTable,
    Invariant::Accounting,
    Invariant::Roots,
    Invariant::Pins,
];

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn invariants_have_one_number() {
    assert_eq!(INVARIANTS.map(name).to_vec(), variants("src/verify.rs", "Invariant"));
    let numbered: Vec<(String, String)> =
        (1..).zip(INVARIANTS).map(|(number, each)| (format!("{number}"), name(each))).collect();
    for (each, (number, _)) in INVARIANTS.iter().zip(&numbered) {
        assert_eq!((*each as u32).to_string(), *number, "{each:?}");
    }
    let table = rows(ARCHITECTURE, "| number | name | invariant |");
    let explained: Vec<(String, String)> =
        table.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(explained, numbered, "{ARCHITECTURE}");
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn prose_names_the_invariants_by_their_numbers() {
    let [references, roots, wrap_table] =
        [Invariant::References, Invariant::Roots, Invariant::WrapTable].map(|each| each as u32);
    assert_says(ARCHITECTURE, &format!("It names {references} and {roots} only if all"));
    assert_says(
        "docs/guide/wat-compiler.md",
        &format!("It names invariants {references} and {roots} for words"),
    );
    assert_says(
        "guest-tests/vera/tether_vera/host.py",
        &format!("_STRICTER_THAN_NEEDED = ({references}, {roots})"),
    );
    let guide = "docs/guide/missing-roots.md";
    assert_says(guide, &format!("invariant {references} does not hold after a collection"));
    assert_says(guide, &format!("is an address for invariant {references} (a slot)"));
    assert_says(guide, &format!("index of the shadow stack for {roots}"));
    assert_says(guide, &format!("position in the wrap table for {wrap_table}"));
}

// ---- Options ----

/// The fields of a value that `Debug` prints.
fn debug_fields(value: impl Debug) -> Vec<String> {
    let text = format!("{value:?}");
    let fields = between(&text, " { ", " }").split(", ");
    fields.map(|field| field.split_once(": ").unwrap().0.to_owned()).collect()
}

/// The options of WIT, by their names in Rust.
fn wit_options() -> Vec<(String, String)> {
    let members = wit_members(HEAP_WIT, "record options {");
    members.into_iter().map(|(name, about)| (name.replace('-', "_"), about)).collect()
}

fn positions() -> [OptionName; 6] {
    let all = [
        OptionName::HeapLimitBytes,
        OptionName::RootCapacity,
        OptionName::WrapCapacity,
        OptionName::WrapLimit,
        OptionName::Sizing,
        OptionName::Stress,
    ];
    assert_eq!(all.map(name).to_vec(), variants("src/error.rs", "OptionName"));
    all
}

#[test]
fn each_option_word_sets_the_option_of_its_name() {
    let default = OptionWords::default().options();
    assert_eq!(default, Ok(Options::DEFAULT), "0 stands for the default");

    let words = OptionWords {
        heap_limit_bytes: 1,
        root_capacity: 2,
        stack_base: 3,
        wrap_capacity: 4,
        wrap_limit: 5,
        handle_floor: 6,
        weight_floor_bytes: 7,
        sizing: 1,
        sizing_value: 8,
        stress: 9,
        interior_pointers: 1,
    };
    let options = Options {
        heap_limit_bytes: 1,
        root_capacity: 2,
        wrap_capacity: 4,
        wrap_limit: 5,
        handle_floor: 6,
        weight_floor_bytes: 7,
        sizing: Sizing::Fixed { budget_bytes: 8 },
        least_freed_percent: Options::DEFAULT.least_freed_percent,
        interior_pointers: true,
        stress: 9,
    };
    assert_eq!(words.options(), Ok(options));
    // A wrap table does not grow by default.
    let grown = OptionWords { wrap_capacity: 9, ..OptionWords::default() };
    assert_eq!(grown.options().unwrap().wrap_limit, 9);
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn sizings_have_one_number_and_one_order() {
    let of = |sizing| OptionWords { sizing, sizing_value: 7, ..OptionWords::default() }.options();
    let sizings: Vec<Sizing> = (0..4).map(|number| of(number).unwrap().sizing).collect();
    assert_eq!(of(4), Err(Error::InvalidOption { option: OptionName::Sizing }));
    let names_of_sizings: Vec<String> = sizings.iter().map(name).collect();
    assert_eq!(names_of_sizings, variants("src/config.rs", "Sizing"));

    let listed = names_of_sizings.iter().enumerate();
    let declared = listed.clone().map(|(number, sizing)| {
        // The header names 0 by what it stands for.
        let sizing = if number == 0 { "DEFAULT".to_owned() } else { snake(sizing).to_uppercase() };
        format!("TETHER_SIZING_{sizing} = {number}")
    });
    assert_says(HEADER, &format!("enum {{ {} }};", declared.collect::<Vec<_>>().join(", ")));
    let documented =
        listed.map(|(number, sizing)| format!("{number} {}", kebab(sizing).replace('-', " ")));
    let sentence = documented.collect::<Vec<_>>().join(", ");
    assert_says(CORE_ABI, &format!("| `sizing` | {sentence} |"));
    let cases = wit_members(HEAP_WIT, "variant sizing {");
    let expected: Vec<String> = names_of_sizings[1..].iter().map(|name| kebab(name)).collect();
    assert_eq!(names(&cases), expected);
    let vera = read("guest-tests/vera/tether_vera/swap.py");
    for (number, name) in [(0, "BALANCED"), (2, "FACTOR")] {
        assert_eq!(names_of_sizings[number].to_uppercase(), name);
        assert!(vera.contains(&format!("\n_SIZING_{name} = {number}\n")), "{name}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn options_have_one_order_in_memory() {
    let words = debug_fields(OptionWords::default());
    let fields = option_fields();
    assert_eq!(field_names(&fields), words, "{HEADER}");
    let rows = rows(CORE_ABI, "| offset | field | unit | default |");
    let documented: Vec<(String, String)> =
        rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let expected: Vec<(String, String)> =
        fields.into_iter().map(|(_, offset, name)| (offset.to_string(), name)).collect();
    assert_eq!(documented, expected, "{CORE_ABI}");
    let size_bytes = size_of::<OptionWords>();
    assert_says(CORE_ABI, &format!("`tether_options` has {size_bytes} bytes."));
    assert_says("docs/guide/wat-compiler.md", &format!("…{size_bytes} bytes…"));

    let ledger = rust_fields("guest-tests/ledger/src/core_door.rs", "pub struct Options {");
    assert_eq!(ledger, words, "the ledger's core door");
    let text = read("guest-tests/vera/tether_vera/swap.py");
    let vera: Vec<&str> = between(&text, "options = {", "        }\n")
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split('"').next())
        .collect();
    assert_eq!(vera, words, "the options that programs of Vera start with");
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn wit_has_the_options_of_the_crate() {
    const OF_THE_CORE_DOOR: [&str; 3] = ["stack_base", "sizing_value", "interior_pointers"];
    let mut words = debug_fields(OptionWords::default());
    words.retain(|word| !OF_THE_CORE_DOOR.contains(&word.as_str()));
    let options = wit_options();
    assert_eq!(names(&options), words);
    let component = rust_fields("doors/component/src/types.rs", "pub struct Options {");
    assert_eq!(component, words, "the component door");
    // `heap.set-least-freed` is an operation.
    let known: BTreeSet<String> = debug_fields(Options::DEFAULT).into_iter().collect();
    let more = ["interior_pointers", "least_freed_percent"].map(str::to_owned);
    assert_eq!(known, words.iter().cloned().chain(more).collect());

    for option in positions() {
        assert_eq!(options[option as usize].0, snake(&name(option)));
    }
    let listed: Vec<String> =
        positions().iter().map(|&each| format!("{} {}", each as u32, snake(&name(each)))).collect();
    let sentence = format!("the option: {}", listed.join(", "));
    let rows = rows(CORE_ABI, "| code | name | value | means |");
    let row = rows.iter().find(|row| row[1] == "INVALID_OPTION").unwrap();
    assert_eq!(row[2], sentence);

    let jco = read("guest-tests/runner/src/differential.rs");
    for word in words.iter().map(|word| camel(word)) {
        assert!(jco.contains(&format!("\"{word}\"")), "the traces for jco set no {word}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn defaults_are_what_the_documentation_says() {
    let Options {
        heap_limit_bytes,
        root_capacity,
        wrap_capacity,
        wrap_limit,
        handle_floor,
        weight_floor_bytes,
        sizing,
        least_freed_percent,
        interior_pointers,
        stress,
    } = Options::DEFAULT;
    assert_eq!((heap_limit_bytes, wrap_limit), (u64::MAX, wrap_capacity));
    assert_eq!((sizing, stress, interior_pointers), (Sizing::Balanced, 0, false));

    let unlimited = "as much as the address space gives";
    let (root_slots, entries) = (thousands(root_capacity), thousands(wrap_capacity));
    let (handles, weight) = (thousands(handle_floor), bytes(weight_floor_bytes.into()));
    let expected = [
        ("heap_limit_bytes", unlimited),
        ("root_capacity", &root_slots),
        ("stack_base", "the collector takes the words"),
        ("wrap_capacity", &entries),
        ("wrap_limit", "wrap_capacity: it does not grow"),
        ("handle_floor", &handles),
        ("weight_floor_bytes", &weight),
        ("sizing", "balanced"),
        ("sizing_value", ""),
        ("stress", "0: never"),
        ("interior_pointers", "0"),
    ]
    .map(|(field, default)| (field.to_owned(), default.to_owned()));
    let rows = rows(CORE_ABI, "| offset | field | unit | default |");
    let documented: Vec<(String, String)> =
        rows.iter().map(|row| (row[1].clone(), row[3].clone())).collect();
    assert_eq!(documented, expected);

    let root_bytes = bytes(u64::from(root_capacity) * 4);
    let entry_bytes = bytes(u64::from(wrap_capacity) * 16);
    let options = wit_options();
    for (field, sentence) in [
        ("heap_limit_bytes", format!("Default: {unlimited}.")),
        ("root_capacity", format!("Default: {root_slots} ({root_bytes}).")),
        ("wrap_capacity", format!("Default: {entries} ({entry_bytes}).")),
        ("wrap_limit", "Default: `wrap-capacity`, so that the table does not grow.".to_owned()),
        ("handle_floor", format!("Default: {handles}.")),
        ("weight_floor_bytes", format!("Default: {weight}.")),
        ("stress", "0 for never.".to_owned()),
    ] {
        let (_, about) = options.iter().find(|(name, _)| name == field).unwrap();
        assert!(about.contains(&sentence), "{HEAP_WIT}, {field}: {sentence}");
    }
    assert_says(
        CORE_ABI,
        &format!("takes {root_bytes} for the shadow stack, {entry_bytes} for the wrap table"),
    );
    assert_says("README.md", &format!("`handle-floor` is {handles} by default."));
    assert_says(
        "xtask/src/run.rs",
        &format!("entries of the wrap table at the start ({wrap_capacity})"),
    );
    assert_says(
        "guest-tests/ledger/src/run.rs",
        &format!("const WRAP_CAPACITY_DEFAULT: u32 = {wrap_capacity};"),
    );

    assert_says(HEAP_WIT, &format!("At first it is {least_freed_percent}."));
    for path in [CORE_ABI, HEADER] {
        assert_says(path, &format!("At first `percent` is {least_freed_percent}"));
    }
    assert_says(ARCHITECTURE, &format!("less than {least_freed_percent} percent"));
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn pacing_is_what_the_documentation_says() {
    const MIB: u32 = 1 << 20;
    // Little that is live grows by a part of it, and much by a part of a root.
    let tenths = |live_mib: u32, unit_mib: u32| {
        let budget = Sizing::Balanced.budget_bytes(live_mib * MIB, 0) * 10;
        let tenths = budget.div_ceil(u64::from(unit_mib * MIB));
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    let (factor, root) = (tenths(8, 8), tenths(256, 16));
    let growth = format!("`{factor} · live`, but at most `{root} · √(live · 1 MiB)`");
    assert_says(HEAP_WIT, &growth);
    assert_says("src/config.rs", &growth.replace("live`,", "live` more,"));
    assert_says(ARCHITECTURE, &format!("min({factor} · live, {root} · sqrt(live · 1 MiB))"));

    let (least, most) = (bytes(Sizing::LEAST_FLOOR_BYTES), bytes(Sizing::MOST_FLOOR_BYTES));
    let floor = format!("at least {least} and at most {most}");
    for path in [HEAP_WIT, CORE_ABI, ARCHITECTURE] {
        assert_says(path, &floor);
    }
    assert_eq!(Options::MOST_FUTILE, 8);
    assert_says(HEAP_WIT, "If the next eight are futile too");
    assert_says(CORE_ABI, "If the next eight collections are futile too");
    for path in [HEAP_WIT, CORE_ABI] {
        assert_says(path, &format!("({} times r)", Options::REFUSALS));
    }
    assert_says(ARCHITECTURE, &format!("up to {} between two collections", Options::REFUSALS));
    let poison = StressModes::POISON;
    assert_says(HEADER, &format!("#define TETHER_POISON_WORD {poison:#x}u"));
    assert_says("docs/guide/missing-roots.md", &format!("look for `{poison:#x}`"));
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn settings_of_the_environment_are_those_documented() {
    let text = read("doors/collector-wasi/src/lib.rs");
    let arms: Vec<(&str, &str)> =
        text.split("            \"").filter_map(|arm| arm.split_once("\" => ")).collect();
    let understood: BTreeSet<&str> = arms.iter().map(|&(name, _)| name).collect();

    let told = between(&text, "is not understood (", ")").split(", ");
    let told: BTreeSet<&str> = told.map(|setting| setting.split('=').next().unwrap()).collect();
    assert_eq!(told, understood, "what the collector tells of settings");

    let rows = rows("wit/worlds.wit", "| setting | what it sets |");
    let documented: Vec<(&str, &str)> = rows
        .iter()
        .flat_map(|row| row[0].split(", ").map(|setting| (setting, row[1].as_str())))
        .map(|(setting, about)| (setting.split('=').next().unwrap(), about))
        .collect();
    let settings: BTreeSet<&str> = documented.iter().map(|&(setting, _)| setting).collect();
    assert_eq!(settings, understood, "wit/worlds.wit");

    let options = wit_options();
    for (setting, about) in documented {
        let option = if about == "the options of these names" {
            setting
        } else if let Some((_, behind)) = about.split_once("heap.options.") {
            behind.split(':').next().unwrap()
        } else {
            continue;
        };
        let option = option.replace('-', "_");
        assert!(names(&options).contains(&&*option), "{HEAP_WIT} has no {option}");
        let (_, code) = arms.iter().find(|(name, _)| *name == setting).unwrap();
        assert!(code.contains(&format!("options.{option} = ")), "{setting} does not set {option}");
    }
}

// ---- Structs ----

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn structs_of_the_core_door_have_one_order() {
    let ledger = "guest-tests/ledger/src/core_door.rs";
    let state = header_fields("\nstruct tether_state {", "};");
    let documented = rows(CORE_ABI, "| offset | name | what it is | written by |");
    let documented: Vec<(String, String)> =
        documented.into_iter().map(|mut row| (row.remove(0), row.remove(0))).collect();
    let expected: Vec<(String, String)> =
        state.iter().map(|(_, offset, name)| (offset.to_string(), name.clone())).collect();
    assert_eq!(documented, expected, "{CORE_ABI}");
    // In Rust the name says what the word is.
    let renamed = |name: &String| if name == "sp" { "stack_top".to_owned() } else { name.clone() };
    let words: Vec<String> = field_names(&state).iter().map(renamed).collect();
    assert_eq!(rust_fields("doors/core/src/state.rs", "pub struct State {"), words);
    let read_by_ledger = rust_fields(ledger, "pub struct State {");
    assert_eq!(read_by_ledger, words[..read_by_ledger.len()], "{ledger}");

    let statistics =
        header_fields("/* ---- Looking at it ---- */\n\ntypedef struct {", "} tether_statistics;");
    let documented = rows(CORE_ABI, "| offset | type | field | what it is |");
    let documented: Vec<(String, String, String)> = documented
        .into_iter()
        .map(|mut row| (row.remove(1), row.remove(0), row.remove(0)))
        .collect();
    let expected: Vec<(String, String, String)> = statistics
        .iter()
        .map(|(declared, offset, name)| ((*declared).to_owned(), offset.to_string(), name.clone()))
        .collect();
    assert_eq!(documented, expected, "{CORE_ABI}");
    let counts = field_names(&statistics);
    let door = rust_fields("doors/core/src/diagnostics.rs", "struct CoreStatistics {");
    assert_eq!(door, counts);
    assert_eq!(rust_fields(ledger, "pub struct Statistics {"), counts, "{ledger}");
    let component = rust_fields("doors/component/src/types.rs", "pub struct Statistics {");
    let wit = wit_members("wit/diagnostics.wit", "record statistics {");
    let wit: Vec<String> = wit.into_iter().map(|(name, _)| name.replace('-', "_")).collect();
    assert_eq!(component, wit, "the component door");
}
