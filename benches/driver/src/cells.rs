//! The unit of measuring is a cell: a workload of a peer on an engine.

use std::fmt;

/// An engine that runs programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// wasmtime, with the settings of a user: Cranelift for speed.
    Wasmtime,
    /// V8, in Node 24.
    V8,
    /// wasmtime as Tether's documentation advises: with calls between components inlined.
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

    /// The name in the tables and on the command line.
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
    /// The guest of the component door, linked with the collector into one module.
    TetherLinked,
    /// The linked guest, in batches.
    TetherLinkedBatched,
    /// The composition of the component door, with its components fused into one module.
    TetherFused,
    /// The fused composition, in batches.
    TetherFusedBatched,
    /// A component that acquires and releases handles, and does nothing else.
    Crossings,
}

impl Peer {
    /// Every peer, in the order of the tables. Cells are measured in this order, so peers that a
    /// target compares stand close together.
    pub const ALL: [Peer; 17] = [
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
        Peer::TetherLinked,
        Peer::TetherLinkedBatched,
        Peer::TetherFused,
        Peer::TetherFusedBatched,
        Peer::Crossings,
    ];

    /// The name in the tables and on the command line.
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
            Peer::TetherLinked => "tether-linked",
            Peer::TetherLinkedBatched => "tether-linked-batched",
            Peer::TetherFused => "tether-fused",
            Peer::TetherFusedBatched => "tether-fused-batched",
            Peer::Crossings => "crossings",
        }
    }

    /// A description of the peer, for the report.
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
            Peer::TetherComponent => "Tether, component door, composed, a call for each operation",
            Peer::TetherBatched => "Tether, component door, composed, in batches",
            Peer::TetherLinked => "Tether, imported by WIT and linked, a call for each operation",
            Peer::TetherLinkedBatched => "Tether, imported by WIT and linked, in batches",
            Peer::TetherFused => "Tether, composed and fused, a call for each operation",
            Peer::TetherFusedBatched => "Tether, composed and fused, in batches",
            Peer::Crossings => "a component that acquires and releases handles, and no more",
        }
    }

    /// Whether it is Tether, by one of its doors.
    pub fn is_tether(self) -> bool {
        self == Peer::Tether || self.is_component() && self != Peer::Crossings
    }

    /// Whether its program is a component. On V8 alone it is that component's core module.
    pub fn is_component(self) -> bool {
        self.is_composed() || self.is_one_module()
    }

    /// Whether its program is two components, the guest and the collector, which call each other.
    pub fn is_composed(self) -> bool {
        matches!(self, Peer::TetherComponent | Peer::TetherBatched | Peer::Crossings)
    }

    /// Whether its program is a component of one module, made of a guest that imports the
    /// collector's WIT.
    pub fn is_one_module(self) -> bool {
        matches!(
            self,
            Peer::TetherLinked
                | Peer::TetherLinkedBatched
                | Peer::TetherFused
                | Peer::TetherFusedBatched
        )
    }

    /// Whether it calls the collector once for many operations.
    fn is_batched(self) -> bool {
        matches!(self, Peer::TetherBatched | Peer::TetherLinkedBatched | Peer::TetherFusedBatched)
    }

    /// The peer that has the same program: a call for each operation and batches are exports of one.
    pub fn with_its_program(self) -> Peer {
        match self {
            Peer::TetherBatched | Peer::Crossings => Peer::TetherComponent,
            Peer::TetherLinkedBatched => Peer::TetherLinked,
            Peer::TetherFusedBatched => Peer::TetherFused,
            other => other,
        }
    }

    /// The function of its program that does a workload.
    pub fn export(self, workload: &Workload) -> String {
        match self {
            Peer::Crossings => "crossings".to_owned(),
            _ if self.is_batched() => format!("{}-batched", workload.export),
            _ => workload.export.to_owned(),
        }
    }

    /// Whether an engine can run its program, and is one on which its figures say something.
    pub fn runs_on(self, engine: Engine) -> bool {
        match self {
            _ if self.is_composed() => engine != Engine::V8,
            // A call that crosses no component costs the same on every jco.
            _ if self.is_one_module() => engine != Engine::Jco1_10_2,
            Peer::WasmGcDrc => engine == Engine::Wasmtime,
            Peer::JavaScript => engine == Engine::V8,
            Peer::Tether => !engine.is_jco(),
            _ => matches!(engine, Engine::Wasmtime | Engine::V8),
        }
    }

    /// Whether its program has a workload.
    pub fn has(self, workload: &Workload) -> bool {
        if workload.is_of_components() {
            return match workload.kind {
                _ if self.is_batched() => matches!(workload.export, "w1" | "w6"),
                Kind::Handles => self.is_component() || self == Peer::Tether,
                _ => self.is_tether(),
            };
        }
        if self.is_component() {
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
            Kind::Time => true,
        }
    }
}

/// The figure that a workload gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A checksum; the time that it takes is what matters.
    Time,
    /// A checksum, as for `Time`; and the handles that it acquires must come back.
    Handles,
    /// The nanoseconds of one full collection, with this many objects live.
    Pause {
        /// How many objects are live.
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
    /// The unit of the program's own figure.
    pub unit: Unit,
}

/// The unit of a program's own figure.
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
    /// The name in the tables and on the command line.
    pub id: String,
    /// The module's function.
    pub export: &'static str,
    /// A description of the workload, for the report.
    pub title: String,
    /// The function's argument.
    pub n: u32,
    /// The figure that it gives.
    pub kind: Kind,
}

impl Workload {
    /// Whether it is done by guests that import the collector's WIT; the core door stands beside
    /// them.
    pub fn is_of_components(&self) -> bool {
        self.id.starts_with("w8")
    }

    /// Whether it is of the small size for calls between components on the current jco.
    fn is_small_for_jco(&self) -> bool {
        self.id.ends_with("-jco")
    }

    /// Whether it is for a peer on an engine that can run the peer. Node has no limit on a memory.
    pub fn suits(&self, peer: Peer, engine: Engine) -> bool {
        if matches!(self.kind, Kind::Cliff(_)) {
            return engine == Engine::Wasmtime;
        }
        if !self.is_of_components() {
            return matches!(engine, Engine::Wasmtime | Engine::V8);
        }
        if self.is_small_for_jco() {
            return engine.is_jco();
        }
        // The current jco takes microseconds for each call between components.
        engine != Engine::Jco || !peer.is_composed()
    }
}

/// A workload of a peer on an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The workload.
    pub workload: Workload,
    /// The peer.
    pub peer: Peer,
    /// The engine.
    pub engine: Engine,
}

impl Cell {
    /// Whether a peer that is one module runs without the component around it: on V8, which knows
    /// no components, and on the plain wasmtime, where the core door's program is a module, too.
    pub fn is_bare(&self) -> bool {
        self.peer.is_one_module() && matches!(self.engine, Engine::V8 | Engine::Wasmtime)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.workload.id, self.peer.name(), self.engine.name())
    }
}
