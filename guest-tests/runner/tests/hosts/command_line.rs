//! The runner as a program: exit codes, and one JSON object whatever happens.

use std::process::Command;

use serde_json::Value;

use crate::oracle::assert_all_released;
use crate::support::{artifact, jco_harness, run_json, small_document, temporary};

/// Each host's program, up to the document.
fn programs() -> Vec<Command> {
    let mut runner = Command::new(env!("CARGO_BIN_EXE_tether-runner"));
    runner.arg(artifact("ledger-composed.wasm"));
    let mut programs = vec![runner];
    for version in ["current", "1.10.2"] {
        let mut node = jco_harness("run.mjs", version);
        node.arg(artifact("ledger-composed.wasm"));
        programs.push(node);
    }
    programs
}

#[test]
fn success_is_exit_code_0_and_a_whole_report() {
    let path = temporary("small.json");
    std::fs::write(&path, small_document()).unwrap();
    for mut program in programs() {
        let (code, report) = run_json(program.arg(&path));
        assert_eq!(code, 0, "{report}");
        for field in [
            "host",
            "door",
            "document",
            "numbers",
            "sum",
            "wrappers_registered",
            "handles_released",
            "handles_unreleased_at_end",
            "unreleased_peak",
            "wrap_table_capacity",
            "wrap_table_peak",
            "collections",
            "heap_peak_bytes",
            "seconds",
        ] {
            assert!(!report[field].is_null(), "{field}: {report}");
        }
        assert_all_released(&report);
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_full_table_is_exit_code_1_and_a_named_error() {
    let path = temporary("numbers.json");
    std::fs::write(&path, format!("[1{}]", ",1".repeat(5000))).unwrap();
    for mut program in programs() {
        let (code, report) = run_json(program.arg(&path).arg("--keep-decimals"));
        assert_eq!(code, 1, "{report}");
        assert_eq!(report["error"]["reason"], "wrap-table-full");
        assert_all_released(&report);
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_missing_file_is_exit_code_1_and_is_named() {
    for mut program in programs() {
        let (code, report) = run_json(program.arg("no/such/document.json"));
        assert_eq!(code, 1, "{report}");
        assert_eq!(report["error"]["kind"], "document");
        let message = report["error"]["message"].as_str().unwrap();
        assert!(message.contains("no/such/document.json"), "{message}");
        assert_eq!(report["sum"], Value::Null);
    }
}

#[test]
fn an_unknown_option_is_exit_code_1_and_a_message() {
    for mut program in programs() {
        let output = program.args(["a.json", "--no-such-option"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains("no-such-option"), "{message}");
    }
}
