//! Whole runs against the stand-in for collector and host.

use alloc::string::String;
use alloc::vec::Vec;
use std::format;

use serde_json::Value;

use crate::fake::{Conditions, Fake};
use crate::imports::{ErrorCode, Failure, Outcome, Report, Settings};
use crate::lexer::PART_MAX_BYTES;
use crate::run::run;

const SETTINGS: Settings = Settings {
    heap_limit_bytes: 0,
    wrap_capacity: 0,
    wrap_limit: 0,
    keep_decimals: false,
    pack_numbers: false,
};

const KEEP_DECIMALS: Settings = Settings { keep_decimals: true, ..SETTINGS };
const PACK_NUMBERS: Settings = Settings { pack_numbers: true, ..SETTINGS };

/// Every form that the tree can have.
const FORMS: [Settings; 3] = [SETTINGS, KEEP_DECIMALS, PACK_NUMBERS];

/// A document with a bit of everything.
const MIXED: &str = r#" {
    "a": [1, -2.5, 1e3, 0.125],
    "b": {"null": null, "yes": true, "no": false, "empty": {}, "none": []},
    "deep": [[], [[{"x/y": {"~": ["first"]}}, {"z": {"": ["second"]}}]]],
    "same": ["longest one", "not longer!", "é€😀"],
    "number": 12345678
} "#;

/// A document in which most bytes matter.
const TERSE: &str =
    r#"{"é\u00e9\uD83D\uDE00": [-0.5E+1, 10, true, null, "a\n"], "": {"b": false}}"#;

/// Runs, and checks that every decimal was dropped.
fn run_on(fake: &Fake, settings: &Settings) -> Outcome {
    let outcome = run(fake, settings);
    assert_eq!(fake.decimals_left(), 0, "decimals are left");
    outcome
}

/// The report. Fails the test if it depends on whether numbers are packed.
fn report_of(document: &str) -> Report {
    let conditions = Conditions { collect_every: 64, ..Conditions::default() };
    let report = |settings| {
        let fake = Fake::new(document.as_bytes(), conditions);
        run_on(&fake, &settings).report.unwrap()
    };
    let plain = report(SETTINGS);
    assert_eq!(format!("{:?}", report(PACK_NUMBERS)), format!("{plain:?}"));
    plain
}

fn malformed(document: &str) -> (u32, u32, String) {
    let fake = Fake::new(document.as_bytes(), Conditions::default());
    match run_on(&fake, &SETTINGS).report {
        Err(Failure::Malformed(malformed)) => {
            (malformed.at.line, malformed.at.column, malformed.message)
        }
        other => panic!("{document:?}: {other:?}"),
    }
}

#[test]
fn a_document_is_reported() {
    for chunk_bytes in [1, 5, 64 * 1024] {
        for settings in FORMS {
            let conditions = Conditions { chunk_bytes, ..Conditions::default() };
            let fake = Fake::new(MIXED.as_bytes(), conditions);
            let outcome = run_on(&fake, &settings);
            // Zero, and for each number its decimal and a partial sum.
            assert_eq!(outcome.statistics.wrappers_registered, 1 + 2 * 5);
            assert_eq!(fake.decimals_made(), 1 + 2 * 5);

            let report = outcome.report.unwrap();
            assert_eq!(report.sum, "12346676.625");
            assert_eq!(report.nulls, 1);
            assert_eq!(report.booleans, 2);
            assert_eq!(report.numbers, 5);
            assert_eq!(report.strings, 5);
            assert_eq!(report.arrays, 9);
            assert_eq!(report.objects, 7);
            assert_eq!(report.longest_string, "longest one");
            assert_eq!(report.longest_string_chars, 11);
            assert_eq!(report.deepest_path, "/deep/1/0/0/x~1y/~0/0");
            assert_eq!(report.depth, 7);
        }
    }
}

#[test]
fn every_failure_of_the_collector_is_reported_and_leaves_no_decimal() {
    for settings in FORMS {
        let fake = Fake::new(MIXED.as_bytes(), Conditions::default());
        run_on(&fake, &settings).report.unwrap();
        let operations = fake.operations();
        for fail_at in 0..operations {
            let conditions = Conditions { fail_at: Some(fail_at), ..Conditions::default() };
            let fake = Fake::new(MIXED.as_bytes(), conditions);
            match run_on(&fake, &settings).report {
                Err(Failure::Collector(failure)) => {
                    assert_eq!(failure.reason.code, ErrorCode::OutOfMemory);
                }
                other => panic!("operation {fail_at} of {operations}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_number_that_the_host_refuses_is_named() {
    for settings in FORMS {
        let conditions = Conditions { refuse_at: Some(1), ..Conditions::default() };
        let fake = Fake::new(b"[\"a\", 3.75]", conditions);
        match run_on(&fake, &settings).report {
            Err(Failure::Malformed(malformed)) => {
                assert_eq!(malformed.message, "the host refuses the number 3.75");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn scalars_are_documents() {
    for (document, sum, counts) in [
        ("null", "0", [1, 0, 0, 0]),
        ("true", "0", [0, 1, 0, 0]),
        (" -1.50 ", "-1.5", [0, 0, 1, 0]),
        ("\"\"", "0", [0, 0, 0, 1]),
    ] {
        let report = report_of(document);
        assert_eq!(report.sum, sum, "{document}");
        let found = [report.nulls, report.booleans, report.numbers, report.strings];
        assert_eq!(found, counts, "{document}");
        assert_eq!((&*report.deepest_path, report.depth), ("", 0));
    }
    let fake = Fake::new(b"7", Conditions::default());
    assert_eq!(run_on(&fake, &KEEP_DECIMALS).report.unwrap().sum, "7");
}

/// Containers of every size around those at which children go into chunks.
#[test]
fn children_keep_their_order_in_chunks() {
    for count in [15, 16, 17, 31, 32, 255, 256, 257, 300, 4096, 4100] {
        let elements: Vec<String> = (0..count).map(|index| format!("{index}")).collect();
        let document = format!("[{},[{}]]", elements.join(","), count - 1);
        let report = report_of(&document);
        assert_eq!(report.deepest_path, format!("/{count}/0"));
        assert_eq!(report.numbers, count + 1);
        let sum = count * (count - 1) / 2 + count - 1;
        assert_eq!(report.sum, format!("{sum}"));

        let members: Vec<String> =
            (0..count).map(|index| format!("\"key {index}\":{}", index % 3)).collect();
        let report = report_of(&format!("{{{},\"last\":[null]}}", members.join(",")));
        assert_eq!(report.deepest_path, "/last/0");
        assert_eq!(report.objects, 1);
        assert_eq!(report.numbers, count);
        let first_of_the_longest = format!("key {}", 10u32.pow((count - 1).ilog10()));
        assert_eq!(report.longest_string, first_of_the_longest);
    }
}

/// Arrays that begin in a run and go on beyond it, at several levels, with values in between
/// that cannot be packed.
#[test]
fn runs_end_where_they_must() {
    let numbers = |count: usize| (0..count).map(|at| format!("{at}")).collect::<Vec<_>>().join(",");
    let long_number = format!("1e{}1", "0".repeat(100));
    for count in [1, 60, 80, 100, 120, 1000] {
        let numbers = numbers(count);
        for document in [
            format!("[{numbers}]"),
            format!("[[[{numbers}],[{numbers}]],[[[{numbers}]]]]"),
            format!("[[1,[2,[{numbers},\"text\",[3]],4],5],{{\"a\":[{numbers}],\"b\":6}},7]"),
            format!("[[{long_number},[{numbers}]],null,[true,[false]]]"),
        ] {
            let value: Value = serde_json::from_str(&document).unwrap();
            let mut expected = Expected::default();
            expected.see(&value, 0, "");
            let report = report_of(&document);
            assert_eq!(report.numbers, expected.counts[2], "{document}");
            assert_eq!(report.arrays, expected.counts[4], "{document}");
            assert_eq!(report.deepest_path, expected.path, "{document}");
        }
    }
}

/// The work of a collection grows with the number of objects. Packed, a document of numbers has
/// few of them.
#[test]
fn packed_numbers_are_few_objects() {
    let document = format!("[{}]", ["[1, 22]"; 10_000].join(","));
    let objects = |settings: Settings| {
        let conditions = Conditions { collect_every: u32::MAX, ..Conditions::default() };
        let fake = Fake::new(document.as_bytes(), conditions);
        run_on(&fake, &settings).report.unwrap();
        fake.objects_made()
    };
    let of_numbers = 2 * 20_000;
    assert!(objects(SETTINGS) > of_numbers + 30_000);
    assert!(objects(PACK_NUMBERS) < of_numbers + 500);
}

#[test]
fn kept_decimals_fill_the_table() {
    let elements: Vec<String> = (0..100).map(|index| format!("{index}")).collect();
    let document = format!("[{}]", elements.join(","));
    let settings = Settings { wrap_limit: 64, ..KEEP_DECIMALS };
    let fake = Fake::new(document.as_bytes(), Conditions::default());
    match run_on(&fake, &settings).report {
        Err(Failure::Collector(failure)) => {
            assert_eq!(failure.reason.code, ErrorCode::WrapTableFull);
            assert_eq!(failure.reason.value, 64);
        }
        other => panic!("{other:?}"),
    }

    let settings = Settings { keep_decimals: false, ..settings };
    let fake = Fake::new(document.as_bytes(), Conditions::default());
    assert_eq!(run_on(&fake, &settings).report.unwrap().sum, "4950");
}

#[test]
fn the_smallest_table_that_suffices_has_three_entries() {
    for (wrap_limit, suffices) in [(2, false), (3, true)] {
        let settings = Settings { wrap_limit, ..SETTINGS };
        let fake = Fake::new(b"[1, 2, 3, 4]", Conditions::default());
        assert_eq!(run_on(&fake, &settings).report.is_ok(), suffices);
    }
}

#[test]
fn long_texts_come_in_pieces() {
    for bytes in [PART_MAX_BYTES - 4, PART_MAX_BYTES, 40 * PART_MAX_BYTES] {
        let characters = (bytes / 2) as u32;
        let long = "é".repeat(bytes / 2);
        let shown = "é".repeat(64);
        let report = report_of(&format!("[\"short\", \"{long}\", \"{long}\"]"));
        assert_eq!(report.strings, 3);
        assert_eq!(report.longest_string_chars, characters);
        assert_eq!(report.longest_string, shown);

        let report = report_of(&format!("{{\"{long}\": \"{long}x\"}}"));
        assert_eq!(report.longest_string_chars, characters + 1);
        let is_one_leaf = bytes < PART_MAX_BYTES;
        let path = if is_one_leaf { format!("/{long}") } else { format!("/{shown}…") };
        assert_eq!(report.deepest_path, path);
    }
}

#[test]
fn nesting_has_a_bound() {
    let nest = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let report = report_of(&nest(1_000));
    assert_eq!(report.depth, 999);
    assert_eq!(report.arrays, 1_000);
    for depth in [1_001, 100_000] {
        let (line, column, message) = malformed(&nest(depth));
        assert_eq!((line, column), (1, 1_001));
        assert_eq!(message, "nested deeper than 1,000 levels");
    }
}

/// Each level waits with as many children as it can without a chunk.
#[test]
fn deep_documents_with_many_children_fit_the_shadow_stack() {
    let before = "0,".repeat(15);
    let document = format!("[{before}").repeat(999) + "[]" + &"]".repeat(999);
    let conditions = Conditions { collect_every: u32::MAX, ..Conditions::default() };
    let fake = Fake::new(document.as_bytes(), conditions);
    let report = run_on(&fake, &SETTINGS).report.unwrap();
    assert_eq!(report.depth, 999);
    assert!(report.deepest_path == "/15".repeat(998) + "/0");
    assert!(fake.roots_peak() >= 15 * 999);
}

#[test]
fn what_is_wrong_has_its_place() {
    for (document, line, column, message) in [
        ("", 1, 1, "the document is empty"),
        (" \n ", 2, 2, "the document is empty"),
        ("[1 2]", 1, 4, "expected `,` or `]`, found a number"),
        ("[1,]", 1, 4, "expected a value, found `]`"),
        ("[,", 1, 2, "expected a value or `]`, found `,`"),
        ("{\"a\" 1}", 1, 6, "expected `:`, found a number"),
        ("{1:2}", 1, 2, "expected a key or `}`, found a number"),
        ("{\"a\":1,}", 1, 8, "expected a key, found `}`"),
        ("{\"a\":1]", 1, 7, "expected `,` or `}`, found `]`"),
        ("[1\n", 2, 1, "expected `,` or `]`, found the end of the document"),
        ("1 1", 1, 3, "expected the end of the document, found a number"),
        ("[]]", 1, 3, "expected the end of the document, found `]`"),
        ("[\n'a']", 2, 1, "expected a value or `]`, found `'`"),
        ("\u{1}", 1, 1, "expected a value, found the byte 0x01"),
        ("[01]", 1, 2, "a number may not have leading zeros"),
        ("[1e999999]", 1, 2, "an exponent beyond ±100,000"),
        ("[\"\\ud800\"]", 1, 3, "half of a surrogate pair, \\uD800, without the other"),
    ] {
        let found = malformed(document);
        assert_eq!(found, (line, column, message.into()), "{document:?}");
    }
}

#[test]
fn no_part_of_a_document_up_to_a_place_is_one() {
    for end in (0..MIXED.trim_end().len()).filter(|&end| MIXED.is_char_boundary(end)) {
        malformed(&MIXED[..end]);
    }
}

/// Marsaglia's xorshift. Every run makes the same documents.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn text(&mut self) -> String {
        const CHARACTERS: [char; 8] = ['a', '/', '~', '"', '\n', 'é', '€', '😀'];
        (0..self.below(6)).map(|_| CHARACTERS[self.below(CHARACTERS.len())]).collect()
    }

    fn value(&mut self, depth_left: usize) -> Value {
        let kinds = if depth_left == 0 { 5 } else { 8 };
        let kind = self.below(kinds);
        let children = if self.below(8) == 0 { self.below(40) } else { self.below(5) };
        match kind {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 0),
            2 => Value::from(self.below(1000)),
            3 => Value::from(self.below(1000) as f64 / -8.0),
            4 => Value::from(self.text()),
            5 | 6 => (0..children).map(|_| self.value(depth_left - 1)).collect(),
            _ => (0..children)
                .map(|index| (format!("{index}{}", self.text()), self.value(depth_left - 1)))
                .collect(),
        }
    }
}

/// The expected report of a value, by plain recursion.
#[derive(Default)]
struct Expected {
    sum: f64,
    counts: [u32; 6],
    longest: String,
    depth: usize,
    path: String,
}

impl Expected {
    fn see(&mut self, value: &Value, depth: usize, path: &str) {
        if depth > self.depth {
            self.depth = depth;
            self.path = path.into();
        }
        let kind = match value {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Number(number) => {
                self.sum += number.as_f64().unwrap();
                2
            }
            Value::String(text) => {
                self.text(text);
                3
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.see(element, depth + 1, &format!("{path}/{index}"));
                }
                4
            }
            Value::Object(members) => {
                for (key, member) in members {
                    self.text(key);
                    let key = key.replace('~', "~0").replace('/', "~1");
                    self.see(member, depth + 1, &format!("{path}/{key}"));
                }
                5
            }
        };
        self.counts[kind] += 1;
    }

    fn text(&mut self, text: &str) {
        if text.chars().count() > self.longest.chars().count() {
            self.longest = text.into();
        }
    }
}

#[test]
fn reports_agree_with_a_plain_recursion() {
    let mut random = Random(2463534242);
    for round in 0..300 {
        let value = random.value(7);
        let document = serde_json::to_string_pretty(&value).unwrap();
        let mut expected = Expected::default();
        expected.see(&value, 0, "");

        let conditions = Conditions { collect_every: 50, ..Conditions::default() };
        let settings = FORMS[round % FORMS.len()];
        let fake = Fake::new(document.as_bytes(), conditions);
        let report = run_on(&fake, &settings).report.unwrap();
        // Eighths of small numbers are exact as `f64` too.
        assert_eq!(report.sum.parse::<f64>().unwrap(), expected.sum);
        let counts = [
            report.nulls,
            report.booleans,
            report.numbers,
            report.strings,
            report.arrays,
            report.objects,
        ];
        assert_eq!(counts, expected.counts);
        assert_eq!(report.longest_string, expected.longest);
        assert_eq!(report.deepest_path, expected.path);
        assert_eq!(report.depth as usize, expected.depth);
    }
}

#[test]
fn what_is_json_agrees_with_serde_json() {
    const BYTES: &[u8] = b"{}[]:,\"\\/ue01-+.Eftn \n\x01\x80\xC3\xA9\xED\xA0\xEF\xF4";
    let mut random = Random(88172645463325252);
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut document = Vec::from(TERSE);
        for _ in 0..=random.below(3) {
            let at = random.below(document.len());
            let byte = BYTES[random.below(BYTES.len())];
            match random.below(3) {
                0 => document[at] = byte,
                1 => document.insert(at, byte),
                _ => drop(document.remove(at)),
            }
        }
        let is_json = serde_json::from_slice::<Value>(&document).is_ok();
        let conditions = Conditions { collect_every: u32::MAX, ..Conditions::default() };
        let fake = Fake::new(&document, conditions);
        let settings = if taken % 2 == 0 { SETTINGS } else { PACK_NUMBERS };
        let report = run_on(&fake, &settings).report;
        assert_eq!(report.is_ok(), is_json, "{}: {report:?}", document.escape_ascii());
        taken += u32::from(is_json);
    }
    assert!(taken > 1_000, "too few of the documents are JSON: {taken}");
}
