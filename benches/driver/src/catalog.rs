//! The workloads and their sizes, all cells, and the filters that choose among the cells.

use crate::cells::{Cell, Engine, Kind, Peer, Workload};
use crate::cliffs;

const SHAPES: [(&str, &str, &str); 4] = [
    ("list", "w7_list", "a list"),
    ("tree", "w7_tree", "a balanced tree"),
    ("array", "w7_array", "an array of two-word objects"),
    ("strings", "w7_strings", "an array of leaves of 8 to 40 bytes"),
];

/// The workloads: in the sizes of the report, or small ones for a quick run.
pub fn workloads(quick: bool) -> Vec<Workload> {
    let timed = |id: &str, export, title: &str, full, small, kind| Workload {
        id: id.to_owned(),
        export,
        title: title.to_owned(),
        n: if quick { small } else { full },
        kind,
    };
    let mut all = vec![
        timed("w1", "w1", "binary trees, depth 16", 16, 12, Kind::Time),
        timed("w2", "w2", "GCBench, depth 18", 18, 14, Kind::Time),
        timed("w3", "w3", "1 M live list nodes, then 20 M short-lived ones", 20, 2, Kind::Time),
        timed(
            "w3-21",
            "w3",
            "the same with 1.05 M and 21 M, at which wasmtime's copying collector has room",
            21,
            2,
            Kind::Time,
        ),
        timed("w4", "w4", "64 Ki slots of leaf blocks, 1 M replacements", 1000, 200, Kind::Time),
        timed("w5", "w5", "20 M leaves of 16 bytes", 20, 2, Kind::Time),
        timed("w6", "w6", "2 M host handles, wrapped and dropped", 2000, 200, Kind::Handles),
        timed(
            "w6-small",
            "w6_small",
            "the same, through a wrap table of 490",
            2000,
            200,
            Kind::Handles,
        ),
    ];
    let sizes: &[(u32, &str)] = match quick {
        true => &[(10_000, "10k")],
        false => &[(10_000, "10k"), (100_000, "100k"), (1_000_000, "1m"), (10_000_000, "10m")],
    };
    for (shape, export, words) in SHAPES {
        for &(live, label) in sizes {
            all.push(Workload {
                id: format!("w7-{shape}-{label}"),
                export,
                title: format!("one full collection, {words}, {live} objects live"),
                n: live,
                kind: Kind::Pause { live },
            });
        }
    }
    all.extend([
        timed("w8-w1", "w1", "w1 through Tether's WIT", 16, 10, Kind::Time),
        timed("w8-w2", "w2", "w2 through Tether's WIT", 18, 10, Kind::Time),
        timed("w8-w3", "w3", "w3 through Tether's WIT", 20, 1, Kind::Time),
        timed("w8-w6", "w6", "w6 through Tether's WIT", 2000, 100, Kind::Handles),
        timed("w8-w1-jco", "w1", "w1 through Tether's WIT, depth 10", 10, 5, Kind::Time),
        timed("w8-w2-jco", "w2", "w2 through Tether's WIT, depth 10", 10, 6, Kind::Time),
        timed("w8-w6-jco", "w6", "w6 through Tether's WIT, 0.1 M", 100, 5, Kind::Handles),
    ]);
    all.extend(cliffs::workloads(quick));
    all
}

/// Every cell, in the order of measuring: a workload's peers one after the other.
pub fn cells(quick: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for workload in workloads(quick) {
        for engine in Engine::ALL {
            for peer in Peer::ALL {
                let suits = peer.runs_on(engine) && workload.suits(peer, engine);
                if suits && peer.has(&workload) {
                    cells.push(Cell { workload: workload.clone(), peer, engine });
                }
            }
        }
    }
    cells
}

/// Whether a filter of the command line takes a cell. Its parts, divided by `/`,
/// must each match one of the cell's three names; a part is words divided by `,`,
/// of which one must be the name; `w7`, `w8`, `cliffs`, and what begins with them, are all
/// whose names go on with `-`.
pub fn matches(filter: &str, cell: &Cell) -> bool {
    let names = [cell.workload.id.as_str(), cell.peer.name(), cell.engine.name()];
    let is_group = |word: &str| ["w7", "w8", "cliffs"].iter().any(|group| word.starts_with(group));
    let is_named = |word: &str| {
        names.iter().any(|name| {
            *name == word
                || is_group(word)
                    && name.strip_prefix(word).is_some_and(|rest| rest.starts_with('-'))
        })
    };
    filter.split('/').all(|part| part.split(',').any(is_named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(filter: &str) -> Vec<String> {
        cells(false).iter().filter(|cell| matches(filter, cell)).map(Cell::to_string).collect()
    }

    #[test]
    fn a_filter_takes_what_all_its_parts_name() {
        assert_eq!(names("w1/tether,boehm/wasmtime"), ["w1/tether/wasmtime", "w1/boehm/wasmtime"]);
        assert_eq!(names("v8/w2/wasm-gc"), ["w2/wasm-gc/v8"]);
        assert_eq!(names("w9"), [""; 0]);
    }

    #[test]
    fn a_filter_may_name_a_shape_or_all_pauses() {
        assert_eq!(names("w7-list/tether/v8").len(), 4);
        assert_eq!(names("w7/tether/v8").len(), 16);
        assert_eq!(names("w6/tether/v8"), ["w6/tether/v8"]);
    }

    #[test]
    fn what_a_peer_cannot_do_is_no_cell() {
        assert_eq!(names("w6/wasm-gc"), [""; 0]);
        assert_eq!(names("wasm-gc-drc/v8"), [""; 0]);
        assert_eq!(names("javascript/wasmtime"), [""; 0]);
    }

    #[test]
    fn a_cliffs_filter_takes_its_level() {
        assert_eq!(
            names("cliffs-turns"),
            ["cliffs-turns/tether/wasmtime", "cliffs-turns-level/tether/wasmtime"]
        );
        assert!(names("cliffs").len() > 30);
    }

    #[test]
    fn guests_that_import_the_wit_have_workloads_of_their_own() {
        let rows = |engine| names(&format!("w8-w6/{engine}")).join(" ");
        assert_eq!(
            rows("wasmtime-inlined").replace("w8-w6/", "").replace("/wasmtime-inlined", ""),
            "tether tether-component tether-batched tether-linked tether-linked-batched \
             tether-fused tether-fused-batched crossings"
        );
        assert_eq!(
            rows("wasmtime").replace("w8-w6/", "").replace("/wasmtime", ""),
            "tether tether-component tether-batched tether-linked tether-linked-batched \
             tether-fused tether-fused-batched crossings"
        );
        assert_eq!(
            rows("v8").replace("w8-w6/", "").replace("/v8", ""),
            "tether tether-linked tether-linked-batched tether-fused tether-fused-batched"
        );
        assert_eq!(names("w1/tether-component"), [""; 0]);
        assert_eq!(names("w8-w3/tether-linked-batched"), [""; 0]);
    }

    #[test]
    fn compositions_have_small_sizes_on_the_current_jco() {
        let sizes = |peer, engine| names(&format!("w8-w1/{peer}/{engine}")).len();
        assert_eq!(
            names("w8-w1/tether-component/jco"),
            ["w8-w1-jco/tether-component/jco"],
            "the small size alone"
        );
        assert_eq!(sizes("tether-component", "jco@1.10.2"), 2);
        // The one-module peers stand beside the compositions at the small size too.
        assert_eq!(sizes("tether-linked", "jco"), 2);
        assert_eq!(sizes("tether-fused", "jco"), 2);
        assert_eq!(sizes("tether-component", "wasmtime"), 1);
    }

    #[test]
    fn no_two_cells_have_one_name() {
        for quick in [true, false] {
            let mut names: Vec<String> = cells(quick).iter().map(Cell::to_string).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}
