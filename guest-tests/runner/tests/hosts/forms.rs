//! The ledger that imports the collector by its WIT, in its other forms: linked with the collector,
//! and composed with it and fused. Its findings are those of the composition.

use tether_runner::ledger::Settings;

use crate::oracle::{assert_all_released, assert_report, findings};
use crate::support::{
    DEFAULTS, Door, Host, default_document, on_every_host, run_through, small_document,
};

on_every_host![
    the_ledgers_findings_are_the_same_linked,
    the_ledgers_findings_are_the_same_fused,
    a_small_heap_is_out_of_memory,
];

const PACKED: Settings = Settings { pack_numbers: true, ..DEFAULTS };
const KEEP: Settings = Settings { keep_decimals: true, wrap_limit: 2_000_000, ..DEFAULTS };

fn the_ledgers_findings_are_the_same_linked(host: Host) {
    the_ledgers_findings_are_the_same(Door::Linked, host);
}

fn the_ledgers_findings_are_the_same_fused(host: Host) {
    the_ledgers_findings_are_the_same(Door::Fused, host);
}

fn the_ledgers_findings_are_the_same(door: Door, host: Host) {
    let long = "\u{e4}\u{20ac}\u{1f600}x".repeat(3000);
    let texts = [
        "0",
        "[]",
        "[1e100000, -1e100000, 1e-100000]",
        &format!(r#"[1, "{long}", {{"{long}": 2}}, [[3]]]"#),
    ];
    for text in texts {
        let report = run_through(door, host, text.as_bytes(), DEFAULTS);
        assert_report(&report, &findings(text.as_bytes()));
    }
    let (small, large) = (small_document(), default_document());
    for (document, settings) in
        [(&small, DEFAULTS), (&small, PACKED), (&small, KEEP), (&large, PACKED)]
    {
        assert_report(&run_through(door, host, document, settings), &findings(document));
    }
}

fn a_small_heap_is_out_of_memory(host: Host) {
    let document = default_document();
    for door in [Door::Linked, Door::Fused] {
        let settings = Settings { heap_limit_bytes: 1 << 20, ..DEFAULTS };
        let report = run_through(door, host, &document, settings);
        assert_eq!(report["error"]["reason"], "out-of-memory", "{report}");
        assert_all_released(&report);
    }
}
