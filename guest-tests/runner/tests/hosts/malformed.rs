//! Documents that the ledger does not take. Each is refused with the place of its mistake, none
//! traps, and every handle that was made before the mistake is released.

use serde_json::Value;

use crate::oracle::assert_all_released;
use crate::support::{DEFAULTS, Host, on_every_host, run};

on_every_host![
    mistakes_are_found_where_they_are,
    a_mistake_far_in_releases_what_was_made,
    nesting_too_deep_is_refused,
];

/// A document, and the line and column of its first mistake.
const MISTAKES: &[(&[u8], u32, u32)] = &[
    (b"", 1, 1),
    (b" \n\t ", 2, 3),
    (b"[", 1, 2),
    (b"[1, 2", 1, 6),
    (b"{", 1, 2),
    (b"]", 1, 1),
    (b"[1,, 2]", 1, 4),
    (b"[1 2]", 1, 4),
    (b"[1, 2,]", 1, 7),
    (b"[1}", 1, 3),
    (b"{\"a\" 1}", 1, 6),
    (b"{\"a\":}", 1, 6),
    (b"{\"a\": 1,}", 1, 9),
    (b"{\"a\": 1]", 1, 8),
    (b"{a: 1}", 1, 2),
    (b"{1: 1}", 1, 2),
    (b"[1]\n\n [", 3, 2),
    (b"[\r\n  1,\r\n  oops]", 3, 3),
    (b"[1, +2]", 1, 5),
    (b"[1, .5]", 1, 5),
    (b"\"tab\tin a string\"", 1, 5),
    (b"'quoted'", 1, 1),
    (b"[1, NaN]", 1, 5),
    (b"[1] // comment", 1, 5),
];

/// A document, and the line of its first mistake. The column is the lexer's choice: it may name
/// the start of the token, or a place in it.
const MISTAKES_IN_TOKENS: &[(&[u8], u32)] = &[
    (b"\n[01]", 2),
    (b"\n[-]", 2),
    (b"\n[1.]", 2),
    (b"\n[1.5e]", 2),
    (b"\n[1e100001]", 2),
    (b"\n[1e-100001]", 2),
    (b"\n[1e99999999999999999999]", 2),
    (b"\n[nul]", 2),
    (b"\n[truE]", 2),
    (b"\n\"unended", 2),
    (b"\n\"\\x\"", 2),
    (b"\n\"\\u12G4\"", 2),
    (b"\n\"\\ud800\"", 2),
    (b"\n\"\\udc00\"", 2),
    (b"\n\"not UTF-8: \xff\"", 2),
    (b"\n\"cut off: \xe2\x82\"", 2),
    (b"\n\xef\xbb\xbf[]", 2),
];

fn mistakes_are_found_where_they_are(host: Host) {
    for (document, line, column) in MISTAKES {
        let report = run(host, document, DEFAULTS);
        let place = (&report["error"]["line"], &report["error"]["column"]);
        assert_refused(&report, document);
        assert_eq!(
            place,
            (&Value::from(*line), &Value::from(*column)),
            "{}: {report}",
            document.escape_ascii()
        );
    }
    for (document, line) in MISTAKES_IN_TOKENS {
        let report = run(host, document, DEFAULTS);
        assert_refused(&report, document);
        assert_eq!(report["error"]["line"], *line, "{}", document.escape_ascii());
    }
}

fn a_mistake_far_in_releases_what_was_made(host: Host) {
    let document = format!("[\n{}\n!]", "1.5, 2.5,\n".repeat(20_000));
    let report = run(host, document.as_bytes(), DEFAULTS);
    assert_refused(&report, b"a long one");
    assert_eq!(report["error"]["line"], 20_003);
    assert_eq!(report["error"]["column"], 1);
}

fn nesting_too_deep_is_refused(host: Host) {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let document = open.repeat(100_000) + "1" + &close.repeat(100_000);
        let report = run(host, document.as_bytes(), DEFAULTS);
        assert_refused(&report, b"100,000 deep");
        assert_eq!(report["error"]["line"], 1);
    }
}

fn assert_refused(report: &Value, document: &[u8]) {
    let document = document.escape_ascii();
    assert_eq!(report["error"]["kind"], "malformed", "{document}: {report}");
    let message = report["error"]["message"].as_str().unwrap();
    assert!(!message.is_empty(), "{document}: {report}");
    assert_eq!(report["sum"], Value::Null, "{document}");
    assert_all_released(report);
}
