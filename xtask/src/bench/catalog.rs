//! What there is to measure: the workloads, the peers, and the engines on which
//! each peer runs. A cell is one of each.

use std::fmt;

use super::cliffs;

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// wasmtime, with the settings of a user: Cranelift for speed.
    Wasmtime,
    /// V8, in Node 24.
    V8,
    /// wasmtime, with calls between a composition's components inlined.
    WasmtimeInlined,
    /// The current jco, on Node 24.
    Jco,
    /// jco 1.10.2, on Node 24.
    Jco1_10_2,
}

impl Engine {
    /// Every engine, in the order of the tables.
    pub const ALL: [Engine; 5] =
        [Engine::Wasmtime, Engine::V8, Engine::WasmtimeInlined, Engine::Jco, Engine::Jco1_10_2];

    /// As it is called in the tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Wasmtime => "wasmtime",
            Engine::V8 => "v8",
            Engine::WasmtimeInlined => "wasmtime-inlined",
            Engine::Jco => "jco",
            Engine::Jco1_10_2 => "jco@1.10.2",
        }
    }

    /// Whether it is wasmtime, with any settings.
    pub fn is_wasmtime(self) -> bool {
        matches!(self, Engine::Wasmtime | Engine::WasmtimeInlined)
    }

    /// Whether it is jco, of some version.
    pub fn is_jco(self) -> bool {
        matches!(self, Engine::Jco | Engine::Jco1_10_2)
    }
}

/// A program that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Tether's core door.
    Tether,
    /// Boehm's collector, by its ordinary functions.
    Boehm,
    /// AssemblyScript's incremental collector.
    AsIncremental,
    /// AssemblyScript's collector that runs when it is called.
    AsMinimal,
    /// The engine's collector: wasmtime's copying one, or V8's.
    WasmGc,
    /// wasmtime's deferred reference counting.
    WasmGcDrc,
    /// dlmalloc, of Rust's standard library.
    Dlmalloc,
    /// talc.
    Talc,
    /// wasi-libc's dlmalloc.
    WasiLibc,
    /// Plain JavaScript.
    JavaScript,
    /// Tether's component door, a call for each operation.
    TetherComponent,
    /// Tether's component door, in batches.
    TetherBatched,
    /// A component that acquires and releases handles, and does nothing else.
    Crossings,
}

impl Peer {
    /// Every peer, in the order of the tables. What a target compares stands close
    /// together, because cells are measured in this order.
    pub const ALL: [Peer; 13] = [
        Peer::Tether,
        Peer::Boehm,
        Peer::WasmGc,
        Peer::Dlmalloc,
        Peer::AsIncremental,
        Peer::AsMinimal,
        Peer::WasmGcDrc,
        Peer::Talc,
        Peer::WasiLibc,
        Peer::JavaScript,
        Peer::TetherComponent,
        Peer::TetherBatched,
        Peer::Crossings,
    ];

    /// As it is called in the tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Tether => "tether",
            Peer::Boehm => "boehm",
            Peer::AsIncremental => "as-incremental",
            Peer::AsMinimal => "as-minimal",
            Peer::WasmGc => "wasm-gc",
            Peer::WasmGcDrc => "wasm-gc-drc",
            Peer::Dlmalloc => "dlmalloc",
            Peer::Talc => "talc",
            Peer::WasiLibc => "wasi-libc",
            Peer::JavaScript => "javascript",
            Peer::TetherComponent => "tether-component",
            Peer::TetherBatched => "tether-batched",
            Peer::Crossings => "crossings",
        }
    }

    /// What it is, for the report.
    pub fn describe(self) -> &'static str {
        match self {
            Peer::Tether => "Tether, core door (libtether_gc.a), default options",
            Peer::Boehm => "Boehm's collector 8.3, defaults, `GC_MALLOC`",
            Peer::AsIncremental => "AssemblyScript, `--runtime incremental`",
            Peer::AsMinimal => {
                "AssemblyScript, `--runtime minimal`, collected when as much was allocated as lives"
            }
            Peer::WasmGc => "Wasm GC: wasmtime's copying collector, V8's own",
            Peer::WasmGcDrc => "Wasm GC on wasmtime's deferred reference counting",
            Peer::Dlmalloc => "explicit lifetimes, the crate dlmalloc",
            Peer::Talc => "explicit lifetimes, the crate talc",
            Peer::WasiLibc => "explicit lifetimes, wasi-libc's dlmalloc",
            Peer::JavaScript => "plain JavaScript",
            Peer::TetherComponent => "Tether, component door, a call for each operation",
            Peer::TetherBatched => "Tether, component door, in batches",
            Peer::Crossings => "a component that acquires and releases handles, and no more",
        }
    }

    /// Whether it is Tether, by one of its doors.
    pub fn is_tether(self) -> bool {
        matches!(self, Peer::Tether | Peer::TetherComponent | Peer::TetherBatched)
    }

    /// Whether its program is a component.
    pub fn is_component(self) -> bool {
        matches!(self, Peer::TetherComponent | Peer::TetherBatched | Peer::Crossings)
    }

    /// The function of its program that does a workload.
    pub fn export(self, workload: &Workload) -> String {
        match self {
            Peer::TetherBatched => format!("{}-batched", workload.export),
            Peer::Crossings => "crossings".to_owned(),
            _ => workload.export.to_owned(),
        }
    }

    fn runs_on(self, engine: Engine) -> bool {
        match self {
            Peer::TetherComponent | Peer::TetherBatched | Peer::Crossings => engine != Engine::V8,
            Peer::WasmGcDrc => engine == Engine::Wasmtime,
            Peer::JavaScript => engine == Engine::V8,
            _ => matches!(engine, Engine::Wasmtime | Engine::V8),
        }
    }

    fn has(self, workload: &Workload) -> bool {
        if self.is_component() != workload.is_of_components() {
            return false;
        }
        match workload.kind {
            Kind::Pause { .. } => matches!(self, Peer::Tether | Peer::Boehm),
            Kind::Cliff(_) => self == Peer::Tether,
            Kind::Handles if workload.export == "w6_small" => self == Peer::Tether,
            // Wasm GC has no finalizers.
            Kind::Handles => !matches!(self, Peer::WasmGc | Peer::WasmGcDrc),
            Kind::Time if workload.id == "w3-21" => {
                matches!(self, Peer::Tether | Peer::Boehm | Peer::WasmGc)
            }
            Kind::Time => self != Peer::Crossings,
        }
    }
}

/// What a workload gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A checksum; the time that it takes is what matters.
    Time,
    /// The same, and handles are acquired, which must come back.
    Handles,
    /// The nanoseconds of one full collection, with this many objects live.
    Pause {
        /// How many objects live.
        live: u32,
    },
    /// A count of operations; the figure that matters is measured by the program.
    Cliff(Cliff),
}

/// How a cliff, or its level, is run and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cliff {
    /// The most Wasm pages to which memory may grow.
    pub most_pages: Option<u32>,
    /// What the program measures.
    pub unit: Unit,
}

/// Of what a program's own figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Nanoseconds,
    /// Bytes.
    Bytes,
}

/// A workload, at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// As it is called in the tables and on the command line.
    pub id: String,
    /// The module's function.
    pub export: &'static str,
    /// What it does, for the report.
    pub title: String,
    /// The function's argument.
    pub n: u32,
    /// What it gives.
    pub kind: Kind,
}

impl Workload {
    /// Whether it is done by compositions of components.
    pub fn is_of_components(&self) -> bool {
        self.id.starts_with("w8")
    }

    /// jco takes microseconds for each call, so it has sizes of its own. Node has no limit
    /// on a memory.
    fn runs_on(&self, engine: Engine) -> bool {
        if matches!(self.kind, Kind::Cliff(_)) {
            return engine == Engine::Wasmtime;
        }
        !self.is_of_components() || engine.is_jco() == self.id.ends_with("jco")
    }
}

const SHAPES: [(&str, &str, &str); 4] = [
    ("list", "w7_list", "a list"),
    ("tree", "w7_tree", "a balanced tree"),
    ("array", "w7_array", "an array of two-word objects"),
    ("strings", "w7_strings", "an array of leaves of 8 to 40 bytes"),
];

/// The workloads: as the report wants them, or small ones that take no time.
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
        timed("w8-w1", "w1", "w1 through the component door", 16, 10, Kind::Time),
        timed("w8-w6", "w6", "w6 through the component door", 2000, 100, Kind::Handles),
        timed("w8-w1-jco", "w1", "w1 through the component door, depth 10", 10, 5, Kind::Time),
        timed("w8-w6-jco", "w6", "w6 through the component door, 0.1 M", 100, 5, Kind::Handles),
    ]);
    all.extend(cliffs::workloads(quick));
    all
}

/// A workload's program on an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What it does.
    pub workload: Workload,
    /// With which allocator.
    pub peer: Peer,
    /// Where.
    pub engine: Engine,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.workload.id, self.peer.name(), self.engine.name())
    }
}

/// Every cell, in the order of measuring: a workload's peers one after the other.
pub fn cells(quick: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for workload in workloads(quick) {
        for engine in Engine::ALL {
            for peer in Peer::ALL {
                if peer.runs_on(engine) && workload.runs_on(engine) && peer.has(&workload) {
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
    fn components_have_workloads_of_their_own() {
        assert_eq!(
            names("w8-w6/wasmtime-inlined"),
            [
                "w8-w6/tether-component/wasmtime-inlined",
                "w8-w6/tether-batched/wasmtime-inlined",
                "w8-w6/crossings/wasmtime-inlined"
            ]
        );
        assert_eq!(names("w8/w8-w1-jco/jco").len(), 2);
        assert_eq!(names("w1/tether-component"), [""; 0]);
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
