//! The findings that the ledger must have of a document, computed without the ledger: by
//! serde_json, which keeps each number's text, and by a decimal library.
//!
//! Two kinds of documents are for tests that know the answer: documents with repeated keys,
//! because objects here hold each key once; and documents that are deeper than serde_json goes.

use bigdecimal::BigDecimal;
use serde_json::{Value, json};

/// The fields of a report that say what the document holds.
#[derive(Default)]
pub struct Findings {
    sum: BigDecimal,
    nulls: u32,
    booleans: u32,
    numbers: u32,
    strings: u32,
    arrays: u32,
    objects: u32,
    longest: String,
    longest_chars: usize,
    deepest: String,
    depth: usize,
}

/// Reads a document and computes its findings.
pub fn findings(document: &[u8]) -> Findings {
    let value: Value = serde_json::from_slice(document).expect("the document is JSON");
    let mut findings = Findings::default();
    findings.visit(&value, &mut Vec::new());
    findings
}

/// Asserts that a report is of success, has these findings, and that every
/// handle was released.
pub fn assert_report(report: &Value, expected: &Findings) {
    assert_eq!(report["error"], Value::Null, "{report}");
    let sum = expected.sum.normalized().to_plain_string();
    let longest: String = expected.longest.chars().take(64).collect();
    for (field, value) in [
        ("sum", json!(sum)),
        ("nulls", json!(expected.nulls)),
        ("booleans", json!(expected.booleans)),
        ("numbers", json!(expected.numbers)),
        ("strings", json!(expected.strings)),
        ("arrays", json!(expected.arrays)),
        ("objects", json!(expected.objects)),
        ("longest_string", json!(longest)),
        ("longest_string_chars", json!(expected.longest_chars)),
        ("deepest_path", json!(expected.deepest)),
        ("depth", json!(expected.depth)),
    ] {
        assert_eq!(report[field], value, "{field}");
    }
    assert_all_released(report);
    let wrappers = report["wrappers_registered"].as_u64().unwrap();
    assert!(
        wrappers >= 2 * u64::from(expected.numbers),
        "each number and each partial sum has a wrapper: {report}"
    );
}

/// Asserts that no handle was left, released twice or used after its release,
/// by the host's count and by the collector's.
pub fn assert_all_released(report: &Value) {
    assert_eq!(report["handles_unreleased_at_end"], 0, "{report}");
    assert_eq!(report["error"]["handles"], Value::Null, "{report}");
    assert_eq!(report["wrappers_registered"], report["handles_released"], "{report}");
}

impl Findings {
    /// Numbers in the document.
    pub fn numbers(&self) -> u32 {
        self.numbers
    }

    fn visit(&mut self, value: &Value, path: &mut Vec<String>) {
        if path.len() > self.depth {
            self.depth = path.len();
            self.deepest = pointer(path);
        }
        match value {
            Value::Null => self.nulls += 1,
            Value::Bool(_) => self.booleans += 1,
            Value::Number(number) => {
                self.numbers += 1;
                self.sum += number.as_str().parse::<BigDecimal>().unwrap();
            }
            Value::String(string) => {
                self.strings += 1;
                self.see_string(string);
            }
            Value::Array(elements) => {
                self.arrays += 1;
                for (index, element) in elements.iter().enumerate() {
                    self.visit_at(index.to_string(), element, path);
                }
            }
            Value::Object(members) => {
                self.objects += 1;
                for (key, member) in members {
                    self.see_string(key);
                    self.visit_at(key.clone(), member, path);
                }
            }
        }
    }

    fn visit_at(&mut self, step: String, value: &Value, path: &mut Vec<String>) {
        path.push(step);
        self.visit(value, path);
        path.pop();
    }

    fn see_string(&mut self, string: &str) {
        let chars = string.chars().count();
        if chars > self.longest_chars {
            self.longest_chars = chars;
            string.clone_into(&mut self.longest);
        }
    }
}

/// A JSON Pointer (RFC 6901).
fn pointer(path: &[String]) -> String {
    path.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}
