//! The ledger over documents that it takes, on every host: its findings, how far it gets with
//! its table, and that no handle is lost.

use serde_json::{Value, json};
use tether_runner::ledger::Settings;

use crate::oracle::{assert_all_released, assert_report, findings};
use crate::support::{DEFAULTS, Host, default_document, on_every_host, run, small_document};

on_every_host![
    findings_agree_with_an_independent_computation,
    the_default_document_goes_through_a_table_of_4096,
    keeping_decimals_fills_the_table,
    keeping_decimals_of_the_default_document_works_in_a_table_that_grows,
    repeated_keys_all_count,
    the_deepest_nesting_that_is_taken,
    a_small_heap_is_out_of_memory,
    options_that_contradict_each_other_are_refused,
];

const KEEP: Settings = Settings { keep_decimals: true, ..DEFAULTS };

fn findings_agree_with_an_independent_computation(host: Host) {
    let long = "ä€😀x".repeat(3000);
    let texts = [
        "0",
        "-0.0",
        "null",
        "\"\"",
        "[]",
        "{}",
        " [ 1 , 2.50 , -3e2 , 4E-3 , 0.1 , 0.2 ] ",
        "[true, false, null, [true, [null]], {\"\": {\"\": 1}}]",
        "[9007199254740993, 123456789012345678901234567890.000000000000000000000000000001]",
        "[1e100000, -1e100000, 1e-100000]",
        r#"{"a/b": {"m~n": [[1]]}, "~/": {"/~0~1": [[2]]}}"#,
        r#"["ab", "cd", "é\u00e9\ud83d\ude00", "\"\\\/\b\f\n\r\t", "longest of all"]"#,
        r#"{"a key that is the longest": "short", "b": "as long as the other one!"}"#,
        &format!(r#"[1, "{long}", {{"{long}": 2}}, [[3]]]"#),
    ];
    for text in texts {
        let report = run(host, text.as_bytes(), DEFAULTS);
        assert_report(&report, &findings(text.as_bytes()));
    }
    let small = small_document();
    assert_report(&run(host, &small, DEFAULTS), &findings(&small));
}

fn the_default_document_goes_through_a_table_of_4096(host: Host) {
    let document = default_document();
    let expected = findings(&document);
    let report = run(host, &document, DEFAULTS);
    assert_report(&report, &expected);
    assert_eq!(expected.numbers(), 963_872);
    assert_eq!(report["wrap_table_capacity"], 4096);
    let peak = figure(&report, "wrap_table_peak");
    assert!((1024..=4096).contains(&peak), "{report}");
    // Handles that are registered or wait to be drained: the bound that the interface states,
    // if few are live.
    assert!(figure(&report, "unreleased_peak") <= 2 * 4096, "{report}");
}

fn keeping_decimals_fills_the_table(host: Host) {
    let report = run(host, &default_document(), KEEP);
    assert_eq!(report["error"]["kind"], "collector", "{report}");
    assert_eq!(report["error"]["reason"], "wrap-table-full");
    assert_eq!(report["error"]["figure"], 4096);
    // The table took every batch but the last, for which there was no room.
    let peak = figure(&report, "wrap_table_peak");
    assert!((3072..=4096).contains(&peak), "{report}");
    assert_eq!(report["sum"], Value::Null);
    assert_all_released(&report);
}

fn keeping_decimals_of_the_default_document_works_in_a_table_that_grows(host: Host) {
    let document = default_document();
    let settings = Settings { wrap_limit: 2_000_000, ..KEEP };
    let expected = findings(&document);
    let report = run(host, &document, settings);
    assert_report(&report, &expected);
    let peak = figure(&report, "wrap_table_peak");
    assert!(peak >= u64::from(expected.numbers()), "{report}");
    assert!(figure(&report, "wrap_table_capacity") >= peak, "{report}");
}

/// JSON leaves the meaning of repeated keys open. For the ledger each of them is a member.
fn repeated_keys_all_count(host: Host) {
    let report = run(host, br#"{"a": 1, "a": {"a": 2, "a": 3}}"#, DEFAULTS);
    assert_eq!(report["error"], Value::Null, "{report}");
    assert_eq!(report["sum"], "6");
    assert_eq!(report["numbers"], 3);
    assert_eq!(report["objects"], 2);
    assert_eq!(report["deepest_path"], "/a/a");
    assert_all_released(&report);
}

fn the_deepest_nesting_that_is_taken(host: Host) {
    let document = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    let report = run(host, document.as_bytes(), DEFAULTS);
    assert_eq!(report["error"], Value::Null, "{report}");
    assert_eq!(report["depth"], 1000);
    assert_eq!(report["deepest_path"], json!("/0".repeat(1000)));
    assert_eq!(report["sum"], "1");
    assert_all_released(&report);
}

fn a_small_heap_is_out_of_memory(host: Host) {
    let too_small_for_the_tree = Settings { heap_limit_bytes: 4 << 20, ..DEFAULTS };
    let too_small_for_the_wrappers =
        Settings { heap_limit_bytes: 24 << 20, wrap_limit: 2_000_000, ..KEEP };
    for settings in [too_small_for_the_tree, too_small_for_the_wrappers] {
        let report = run(host, &default_document(), settings);
        assert_eq!(report["error"]["kind"], "collector", "{report}");
        assert_eq!(report["error"]["reason"], "out-of-memory");
        let peak = figure(&report, "heap_peak_bytes");
        assert!(peak <= settings.heap_limit_bytes.into(), "{report}");
        let registered = figure(&report, "wrappers_registered");
        assert_eq!(registered > 0, settings.keep_decimals, "{report}");
        assert_all_released(&report);
    }
}

fn options_that_contradict_each_other_are_refused(host: Host) {
    let settings = Settings { wrap_capacity: 1000, wrap_limit: 10, ..DEFAULTS };
    let report = run(host, b"[1]", settings);
    assert_eq!(report["error"]["reason"], "invalid-option", "{report}");
    assert_eq!(report["handles_unreleased_at_end"], 0);
}

fn figure(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("no {field} in {report}"))
}
