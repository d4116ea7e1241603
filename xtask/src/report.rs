//! A run's report, worded for a person. The hosts give figures and names. The words are here, so
//! that every host's report has the same words.

use serde_json::{Map, Value, json};

/// A report that only says why there was no run.
pub fn of_no_run(host: &str, door: &str, document: &str, kind: &str, message: &str) -> Value {
    json!({
        "host": host,
        "door": door,
        "document": document,
        "error": { "kind": kind, "message": message },
    })
}

/// The report with every field that all reports have, in one order; null for a field that it
/// lacks. Its other fields and the error's message follow.
pub fn complete(report: Value) -> Value {
    let Value::Object(mut given) = report else {
        return report;
    };
    let mut fields = Map::new();
    for name in FIELDS {
        let value = given.shift_remove(name).unwrap_or(Value::Null);
        fields.insert(name.to_owned(), value);
    }
    if let Some(error) = given.get_mut("error") {
        error["message"] = json!(message(error));
    }
    fields.extend(given);
    Value::Object(fields)
}

const FIELDS: [&str; 14] = [
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
];

/// The text that `cargo xtask run` prints: the document's findings and the collector's counts.
pub fn text(report: &Value) -> String {
    let mut lines = vec![format!("document    {}", plain(&report["document"]))];
    if report["error"].is_null() {
        lines.extend(document_lines(report));
    }
    if !report["wrappers_registered"].is_null() {
        lines.extend(collector_lines(report));
    }
    lines.push(format!("host        {}", host_line(report)));
    lines.join("\n")
}

fn document_lines(report: &Value) -> Vec<String> {
    let count = |name: &str| grouped(&report[name]);
    vec![
        format!("  sum       {}  (of {} numbers, exact)", plain(&report["sum"]), count("numbers")),
        format!(
            "  nodes     {} objects, {} arrays, {} strings, {} numbers, {} booleans, {} nulls",
            count("objects"),
            count("arrays"),
            count("strings"),
            count("numbers"),
            count("booleans"),
            count("nulls")
        ),
        format!(
            "  longest   {} ({} characters)",
            report["longest_string"],
            count("longest_string_chars")
        ),
        format!("  deepest   {} (depth {})", report["deepest_path"], count("depth")),
    ]
}

fn collector_lines(report: &Value) -> Vec<String> {
    let count = |name: &str| grouped(&report[name]);
    vec![
        "collector".to_owned(),
        format!(
            "  wrappers  {} registered, through a table of {} (at most {} of its entries used)",
            count("wrappers_registered"),
            count("wrap_table_capacity"),
            count("wrap_table_peak")
        ),
        format!(
            "  handles   {} released, {} unreleased at the end, never more than {} at one time",
            count("handles_released"),
            count("handles_unreleased_at_end"),
            count("unreleased_peak")
        ),
        format!(
            "  heap      {} collections, {} at most",
            count("collections"),
            mebibytes(&report["heap_peak_bytes"])
        ),
    ]
}

fn host_line(report: &Value) -> String {
    let host = match report["door"].as_str() {
        Some("component") | None => plain(&report["host"]),
        Some("core") => format!("{}, core door", plain(&report["host"])),
        Some(door) => format!("{}, {door}", plain(&report["host"])),
    };
    match report["seconds"].as_f64() {
        Some(seconds) => format!("{host}, {seconds:.2} s"),
        None => host,
    }
}

/// An error object as one message.
pub fn message(error: &Value) -> String {
    let own = plain(&error["message"]);
    match error["kind"].as_str() {
        Some("malformed") => format!(
            "the document is not JSON that the ledger takes: line {}, column {}: {own}",
            error["line"], error["column"]
        ),
        Some("collector") => collector_message(error),
        Some("handles") => format!("the host's check of its handles failed: {}", error["handles"]),
        Some("counts") => "the collector did not release as many handles as it took".to_owned(),
        Some("trap") => format!("the program trapped, which must never happen: {own}"),
        _ => own,
    }
}

fn collector_message(error: &Value) -> String {
    let reason = plain(&error["reason"]);
    let figure = &error["figure"];
    let advice = match reason.as_str() {
        "wrap-table-full" => format!(
            "all {} entries of the wrap table are live; raise --wrap-limit",
            grouped(figure)
        ),
        "out-of-memory" => format!(
            "{} bytes could not be had; raise --heap-limit, or leave it out",
            grouped(figure)
        ),
        "root-stack-full" => format!("the shadow stack of {} slots is full", grouped(figure)),
        "invalid-option" => "the collector does not take these options together; --wrap-limit may \
             not be below --wrap-capacity"
            .to_owned(),
        _ => format!("the collector refused ({figure})"),
    };
    format!("{reason} while {}: {advice}", plain(&error["during"]))
}

/// A string without quotes; anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A count with its digits in groups of three.
fn grouped(value: &Value) -> String {
    let digits = plain(value);
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn mebibytes(value: &Value) -> String {
    format!("{:.1} MiB", value.as_f64().unwrap_or(0.0) / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_every_field_in_order_and_null_for_the_unknown() {
        let report = complete(of_no_run("jco", "core", "a.json", "document", "cannot read a.json"));
        let names: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names[..14], FIELDS);
        assert_eq!(names[14..], ["error"]);
        assert_eq!(report["host"], "jco");
        assert_eq!(report["sum"], Value::Null);
        assert_eq!(report["error"]["message"], "cannot read a.json");
    }

    #[test]
    fn the_host_is_named_with_the_door() {
        for (door, line) in [
            ("component", "jco, 0.25 s"),
            ("linked", "jco, linked, 0.25 s"),
            ("fused", "jco, fused, 0.25 s"),
            ("core", "jco, core door, 0.25 s"),
        ] {
            assert_eq!(host_line(&json!({ "host": "jco", "door": door, "seconds": 0.25 })), line);
        }
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1927744, "1,927,744")] {
            assert_eq!(grouped(&json!(count)), text);
        }
    }

    #[test]
    fn errors_are_worded_with_their_figures() {
        let full = json!({ "kind": "collector", "reason": "wrap-table-full", "figure": 4096,
            "during": "registering decimals" });
        assert_eq!(
            message(&full),
            "wrap-table-full while registering decimals: all 4,096 entries of the wrap table \
             are live; raise --wrap-limit"
        );
        let malformed =
            json!({ "kind": "malformed", "line": 3, "column": 7, "message": "no comma" });
        assert_eq!(
            message(&malformed),
            "the document is not JSON that the ledger takes: line 3, column 7: no comma"
        );
    }
}
