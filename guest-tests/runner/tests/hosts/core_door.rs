//! The core door on every host: the ledger, linked with the collector instead of
//! composed, a runtime in WAT by hand, and programs in C; each one component.

use serde_json::{Value, json};
use tether_cli::inspect::{function, inspect};
use tether_model::call::Code;
use tether_runner::ledger::Settings;

use crate::guests::{Guest, module};
use crate::oracle::{assert_all_released, assert_report, findings};
use crate::support::{
    DEFAULTS, Door, Host, default_document, on_every_host, run_through, small_document,
};

on_every_host![
    the_ledgers_findings_are_the_same,
    the_default_document_goes_through_the_same_table,
    keeping_decimals_fills_the_table,
    keeping_decimals_works_in_a_table_that_grows,
    a_small_heap_is_out_of_memory,
    lists_and_trees_in_wat_survive_collections,
    tickets_in_wat_come_back_once,
    words_in_c_are_counted_and_their_entries_closed_once,
    words_in_c_are_counted_through_the_component_door,
    nothing_that_only_c_variables_hold_is_lost,
];

const PACKED: Settings = Settings { pack_numbers: true, ..DEFAULTS };
const KEEP: Settings = Settings { keep_decimals: true, ..DEFAULTS };

const WAT: Guest =
    Guest { artifact: "wat-guest.wasm", interface: ["tether:wat-guest", "lists", "0.1.0"] };
const C: Guest = dictionary("c-guest.wasm");

/// The dictionary in C by a guest that imports the collector: composed, composed and fused, linked
/// by `tether link`, and linked by wasm-ld.
const C_BOUND: [Guest; 4] = [
    dictionary("c-bound-composed.wasm"),
    dictionary("c-bound-fused.wasm"),
    dictionary("c-bound-linked.wasm"),
    dictionary("c-bound-library.wasm"),
];

const fn dictionary(artifact: &'static str) -> Guest {
    Guest { artifact, interface: ["tether:c-guest", "words", "0.1.0"] }
}

fn unrooted(artifact: &'static str) -> Guest {
    Guest { artifact, interface: ["tether:c-guest", "holding", "0.1.0"] }
}

fn run(host: Host, document: &[u8], settings: Settings) -> Value {
    run_through(Door::Core, host, document, settings)
}

fn figure(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("no {field} in {report}"))
}

// ---- The ledger ----

fn the_ledgers_findings_are_the_same(host: Host) {
    let long = "ä€😀x".repeat(3000);
    let texts = [
        "0",
        "null",
        "\"\"",
        "[]",
        " [ 1 , 2.50 , -3e2 , 4E-3 , 0.1 , 0.2 ] ",
        "[true, false, null, [true, [null]], {\"\": {\"\": 1}}]",
        "[1e100000, -1e100000, 1e-100000]",
        r#"{"a/b": {"m~n": [[1]]}, "~/": {"/~0~1": [[2]]}}"#,
        &format!(r#"[1, "{long}", {{"{long}": 2}}, [[3]]]"#),
    ];
    for text in texts {
        let report = run(host, text.as_bytes(), PACKED);
        assert_report(&report, &findings(text.as_bytes()));
    }
    for settings in [DEFAULTS, PACKED, KEEP] {
        let small = small_document();
        assert_report(&run(host, &small, settings), &findings(&small));
    }
}

fn the_default_document_goes_through_the_same_table(host: Host) {
    let document = default_document();
    let expected = findings(&document);
    let report = run(host, &document, PACKED);
    assert_report(&report, &expected);
    assert_eq!(expected.numbers(), 963_872);
    assert_eq!(report["door"], "core");
    assert_eq!(report["numbers_packed"], true);
    assert_eq!(report["wrap_table_capacity"], 4096);
    assert!(figure(&report, "unreleased_peak") <= 2 * 4096, "{report}");
    // The handles start the collections, whether numbers are packed or not.
    assert!(figure(&report, "collections") >= 470, "{report}");
}

fn keeping_decimals_fills_the_table(host: Host) {
    let report = run(host, &default_document(), KEEP);
    assert_eq!(report["error"]["reason"], "wrap-table-full", "{report}");
    assert_eq!(report["error"]["figure"], 4096);
    assert_all_released(&report);
}

fn keeping_decimals_works_in_a_table_that_grows(host: Host) {
    let document = format!("[0{}]", ",1.5".repeat(20_000));
    let settings = Settings { wrap_limit: 100_000, ..KEEP };
    let report = run(host, document.as_bytes(), settings);
    assert_report(&report, &findings(document.as_bytes()));
    assert!(figure(&report, "wrap_table_peak") >= 20_000, "{report}");
}

fn a_small_heap_is_out_of_memory(host: Host) {
    let settings = Settings { heap_limit_bytes: 4 << 20, ..DEFAULTS };
    let report = run(host, &default_document(), settings);
    assert_eq!(report["error"]["reason"], "out-of-memory", "{report}");
    assert!(figure(&report, "heap_peak_bytes") <= 4 << 20, "{report}");
    assert_all_released(&report);
}

// ---- WAT ----

/// The expected result of `sum`.
fn weighted_sum(length: u64) -> u64 {
    const WEIGHTS: [u64; 8] = [3, 1, 4, 1, 5, 9, 2, 6];
    (0..length).map(|place| place * WEIGHTS[place as usize % 8]).sum()
}

fn lists_and_trees_in_wat_survive_collections(host: Host) {
    const LENGTH: u64 = 1_000_000;
    let (rounds, depth) = (200, 14);
    let calls = json!([["sum", 0], ["sum", LENGTH], ["churn", rounds, depth], ["sum", 9]]);
    let seen = WAT.call(host, &calls);
    let nodes = rounds * ((1 << depth) - 1);
    assert_eq!(
        seen.answers,
        [
            json!(0),
            json!(weighted_sum(LENGTH)),
            json!(nodes + weighted_sum(1000)),
            json!(weighted_sum(9)),
        ]
    );
}

fn tickets_in_wat_come_back_once(host: Host) {
    for count in [1, 100, 50_000] {
        let seen = WAT.call(host, &json!([["tickets", count], ["finish"]]));
        assert_eq!(seen.answers, [json!(count), json!(0)]);
        assert_eq!((seen.issued, seen.returned, seen.unknown), (count, count, 0));
    }
}

/// The inline path of an allocation is loads, stores and arithmetic. If an object does not fit
/// the window, the path calls the collector, which is not inlined.
#[test]
fn an_allocation_of_two_words_calls_the_slow_path_alone() {
    const INSTRUCTIONS: u32 = 32;
    let cell = function(&module("core/wat-guest.wasm"), "allocate-cell").unwrap();
    assert_eq!(cell.calls.len(), 1, "{cell:?}");
    assert_eq!(cell.instructions, INSTRUCTIONS, "docs/guide/core-door.md has the figure too");
}

/// Nothing of `tether_gc` is left over, inside or out.
#[test]
fn a_linked_guest_is_one_component_that_imports_what_its_world_says() {
    for (artifact, imports, exports) in [
        (WAT.artifact, &["tether:wat-guest/tickets@0.1.0"][..], "tether:wat-guest/lists@0.1.0"),
        (C.artifact, &["tether:c-guest/entries@0.1.0"], "tether:c-guest/words@0.1.0"),
        ("c-unrooted-O2.wasm", &[], "tether:c-guest/holding@0.1.0"),
    ] {
        let summary = inspect(&module(artifact)).unwrap();
        assert_eq!(summary.imports, imports, "{artifact}");
        assert_eq!(summary.exports, [exports], "{artifact}");
    }
}

// ---- C ----

fn words_in_c_are_counted_and_their_entries_closed_once(host: Host) {
    count_words(C, host);
}

fn words_in_c_are_counted_through_the_component_door(host: Host) {
    for guest in C_BOUND {
        count_words(guest, host);
    }
}

fn count_words(guest: Guest, host: Host) {
    let text = "to be or not to be\nthat is the question";
    let many: String = (0..5_000).map(|number| format!("w{} ", number % 2_500)).collect();
    let calls = json!([
        ["count", "to"],
        ["add", text],
        ["add", text],
        ["count", "to"],
        ["count", "question"],
        ["count", "answer"],
        ["add", many],
        ["count", "w2499"],
        ["forget"],
        ["count", "to"],
        ["add", "to"],
        ["finish"],
        ["add", "late"],
    ]);
    let seen = guest.call(host, &calls);
    assert_eq!(
        seen.answers,
        [
            json!(0),
            json!(8),
            json!(8),
            json!(4),
            json!(2),
            json!(0),
            json!(2_508),
            json!(2),
            Value::Null,
            json!(0),
            json!(1),
            json!(0),
            json!({ "error": Code::Closed as u32 }),
        ]
    );
    // One entry for each different word, and one more for the word that came again.
    assert_eq!((seen.issued, seen.returned, seen.unknown), (2_509, 2_509, 0));
}

fn nothing_that_only_c_variables_hold_is_lost(host: Host) {
    let (rounds, depth) = (5, 9);
    let sound = rounds * ((1 << depth) - 1 + depth + 1);
    for artifact in ["c-unrooted-O0.wasm", "c-unrooted-O2.wasm"] {
        let calls = json!([["hold", rounds, depth, 1], ["collections"], ["live-bytes"]]);
        let seen = unrooted(artifact).call(host, &calls);
        assert_eq!(seen.answers[0], sound, "{artifact}");
        // Every allocation that came to the collector started a collection.
        assert!(seen.answers[1].as_u64().unwrap() > rounds as u64 * 100, "{artifact}");
        // Words that the last round left on the C stack may keep its tree, and nothing else.
        assert!(seen.answers[2].as_u64().unwrap() < 16 * 1024, "{artifact}: {seen:?}");
    }
}

/// The test above would see it if a pointer were not found.
#[test]
fn without_spilling_what_c_variables_hold_is_lost() {
    let seen =
        unrooted("c-unrooted-unspilled.wasm").call(Host::Wasmtime, &json!([["hold", 5, 9, 1]]));
    assert!(seen.answers[0].as_u64().unwrap() < 100, "{seen:?}");
}
