//! A run as one JSON object: what `cargo xtask run --json` prints.
//!
//! The harness for jco prints the same fields. If a run ended before a
//! field had a value, the field is null.

use serde_json::{Map, Value, json};

use crate::ledger::{Failure, Outcome, Report, Run, Statistics};
use crate::subject::code;

/// The facts for a report that stand outside the run itself.
pub struct Circumstances<'a> {
    /// Which host ran it.
    pub host: &'a str,
    /// Through which of the collector's doors.
    pub door: &'a str,
    /// The document's path, as the user gave it.
    pub document: &'a str,
    /// Whether numbers that stand together share a node.
    pub packs_numbers: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a report, and every handle released.
    Success,
    /// With an error that the report names.
    Failure,
    /// With a trap, which must never happen.
    Trap,
}

/// The report of a run, and how it ended.
pub fn of_run(run: &Run, around: &Circumstances<'_>) -> (Value, Ending) {
    let mut fields = empty(around);
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("handles_unreleased_at_end", json!(run.decimals_left));
    set("host_handles_made", json!(run.decimals_made));
    set("host_handles_peak", json!(run.decimals_peak));
    set("seconds", json!(run.elapsed.as_secs_f64()));
    if let Ok(Outcome { report, statistics }) = &run.outcome {
        add_statistics(&mut fields, statistics);
        if let Ok(report) = report {
            add_report(&mut fields, report);
        }
    }
    let (error, ending) = match error_of(run) {
        None => return (Value::Object(fields), Ending::Success),
        Some(error) => error,
    };
    fields.insert("error".to_owned(), error);
    (Value::Object(fields), ending)
}

/// The report of a run that did not begin, with the reason.
pub fn of_no_run(around: &Circumstances<'_>, kind: &str, message: &str) -> Value {
    let mut fields = empty(around);
    fields.insert("error".to_owned(), json!({ "kind": kind, "message": message }));
    Value::Object(fields)
}

/// Every field that a report always has, in order. A field whose value is not known yet is
/// null.
fn empty(around: &Circumstances<'_>) -> Map<String, Value> {
    const UNKNOWN: [&str; 11] = [
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
    let mut fields = Map::new();
    fields.insert("host".to_owned(), json!(around.host));
    fields.insert("door".to_owned(), json!(around.door));
    fields.insert("document".to_owned(), json!(around.document));
    for name in UNKNOWN {
        fields.insert(name.to_owned(), Value::Null);
    }
    fields.insert("numbers_packed".to_owned(), json!(around.packs_numbers));
    fields
}

fn add_statistics(fields: &mut Map<String, Value>, statistics: &Statistics) {
    let mut set = |name: &str, value: u64| fields.insert(name.to_owned(), json!(value));
    set("wrappers_registered", statistics.wrappers_registered);
    set("handles_released", statistics.handles_released);
    set("unreleased_peak", statistics.unreleased_peak.into());
    set("wrap_table_capacity", statistics.wrap_table_capacity.into());
    set("wrap_table_peak", statistics.wrap_table_peak.into());
    set("collections", statistics.collections.into());
    set("heap_peak_bytes", statistics.heap_peak_bytes.into());
    set("collections_for_handles", statistics.collections_for_handles.into());
    set("allocated_bytes", statistics.allocated_bytes);
    set("roots_peak", statistics.roots_peak.into());
    set("pause_longest_ns", statistics.pause_longest_ns);
    set("pause_total_ns", statistics.pause_total_ns);
}

fn add_report(fields: &mut Map<String, Value>, report: &Report) {
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("sum", json!(report.sum));
    set("numbers", json!(report.numbers));
    set("nulls", json!(report.nulls));
    set("booleans", json!(report.booleans));
    set("strings", json!(report.strings));
    set("arrays", json!(report.arrays));
    set("objects", json!(report.objects));
    set("longest_string", json!(report.longest_string));
    set("longest_string_chars", json!(report.longest_string_chars));
    set("deepest_path", json!(report.deepest_path));
    set("depth", json!(report.depth));
}

/// The `error` object of a run, if something went wrong. Its `kind` is the first of: a trap; the
/// program's own error; wrong handles. The counts of wrong handles are always a part of the
/// object.
fn error_of(run: &Run) -> Option<(Value, Ending)> {
    let handles = run.handles.err().map(|faults| {
        json!({
            "double_releases": faults.double_releases,
            "unknown_handles": faults.unknown_handles,
            "uses_after_release": faults.uses_after_release,
            "unreleased": faults.unreleased,
        })
    });
    let (mut error, ending) = match &run.outcome {
        Err(trap) => (json!({ "kind": "trap", "message": trap }), Ending::Trap),
        Ok(Outcome { report: Err(failure), .. }) => (of_failure(failure), Ending::Failure),
        Ok(outcome) => match (&handles, counts_agree(&outcome.statistics)) {
            (Some(_), _) => (json!({ "kind": "handles" }), Ending::Failure),
            (None, false) => (json!({ "kind": "counts" }), Ending::Failure),
            (None, true) => return None,
        },
    };
    if let Some(handles) = handles {
        error["handles"] = handles;
    }
    Some((error, ending))
}

/// Whether the collector, by its own count, released each handle that it took.
fn counts_agree(statistics: &Statistics) -> bool {
    statistics.wrappers_registered == statistics.handles_released
}

fn of_failure(failure: &Failure) -> Value {
    match failure {
        Failure::Malformed(malformed) => json!({
            "kind": "malformed",
            "line": malformed.at.line,
            "column": malformed.at.column,
            "message": malformed.message,
        }),
        Failure::Collector(failure) => {
            json!({
                "kind": "collector",
                "reason": code(failure.reason.code as u32).text(),
                "figure": failure.reason.value,
                "during": failure.during,
            })
        }
    }
}
