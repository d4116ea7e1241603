//! The ledger over random documents, with small tables: its findings must not depend on when
//! the collector runs.

use serde_json::{Map, Value};
use tether_runner::ledger::Settings;

use crate::oracle::{assert_report, findings};
use crate::support::{DEFAULTS, Host, run};

#[test]
fn random_documents_agree_with_an_independent_computation() {
    for seed in 1..=60 {
        let mut random = Random(seed);
        let document = random.node(6).to_string();
        let settings = Settings {
            // Room for the ledger's batches, but hardly more.
            wrap_capacity: if seed % 2 == 0 { 4096 } else { 2048 },
            keep_decimals: seed % 3 == 0,
            wrap_limit: 1_000_000,
            ..DEFAULTS
        };
        let report = run(Host::Wasmtime, document.as_bytes(), settings);
        assert_report(&report, &findings(document.as_bytes()));
    }
}

/// xorshift64. Every run makes the same documents.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn node(&mut self, depth: u32) -> Value {
        let kinds = if depth == 0 { 4 } else { 8 };
        match self.below(kinds) {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 0),
            2 => Value::String(self.string()),
            3 => self.number(),
            4 | 5 => self.array(depth),
            _ => self.object(depth),
        }
    }

    fn array(&mut self, depth: u32) -> Value {
        let length = self.below(9);
        Value::Array((0..length).map(|_| self.node(depth - 1)).collect())
    }

    fn object(&mut self, depth: u32) -> Value {
        let length = self.below(9);
        let members: Map<String, Value> =
            (0..length).map(|_| (self.string(), self.node(depth - 1))).collect();
        Value::Object(members)
    }

    fn number(&mut self) -> Value {
        let digits = self.below(10_u64.pow(self.0 as u32 % 18 + 1));
        let sign = if self.below(2) == 0 { "-" } else { "" };
        let text = match self.below(4) {
            0 => format!("{sign}{digits}"),
            1 => format!("{sign}{digits}.{:03}", self.below(1000)),
            2 => format!("{sign}{digits}e-{}", self.below(40)),
            _ => format!("{sign}{digits}E+{}", self.below(40)),
        };
        serde_json::from_str(&text).expect("this is a number")
    }

    fn string(&mut self) -> String {
        const CHARACTERS: [char; 9] = ['a', 'Z', '/', '~', '"', '\\', '\n', 'é', '😀'];
        let length = self.below(12);
        (0..length).map(|_| CHARACTERS[self.below(9) as usize]).collect()
    }
}
