//! The ledger's host: supplies its imports to a composition of ledger and
//! collector, runs it, and checks that every handle came back.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};

use crate::decimals::{Decimals, Faults};
use crate::engine::{compile, engine};
use crate::wasi::{self, HasWasi, Wasi};

#[expect(missing_docs, reason = "generated; the texts in wit/ are there")]
mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit", "../ledger/wit"],
        world: "tether:ledger/ledger",
    });
}

use bindings::Ledger;
pub use bindings::exports::tether::ledger::program::{Failure, Outcome, Report, Settings};
pub use bindings::tether::gc::diagnostics::Statistics;
pub use bindings::tether::gc::types::ErrorCode;
use bindings::tether::ledger::decimals::{self, Refused};
use bindings::tether::ledger::document;

/// A composition, compiled once and run as often as wanted.
pub struct Program {
    engine: Engine,
    component: Component,
}

/// The result of a run.
pub struct Run {
    /// What the program returned, or the message of the trap that ended it.
    pub outcome: std::result::Result<Outcome, String>,
    /// What was wrong with the handles at the end, if anything.
    pub handles: std::result::Result<(), Faults>,
    /// Decimals that the host made, all together.
    pub decimals_made: u64,
    /// Decimals still held at the end.
    pub decimals_left: u64,
    /// The most decimals that the host held at one time.
    pub decimals_peak: u64,
    /// What a collector built for WASI wrote to stderr.
    pub trace: Vec<u8>,
    /// How long the program ran, start-up and compilation apart.
    pub elapsed: Duration,
}

/// The surroundings of a run: all that its settings do not say.
#[derive(Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The environment variable `TETHER_GC`, for a collector built for WASI.
    pub gc_options: Option<&'a str>,
    /// Whether the collector's trace also goes to this process's stderr.
    pub echo_trace: bool,
}

impl Program {
    /// Compiles a composition.
    pub fn load(path: &Path) -> Result<Self> {
        let engine = engine().map_err(|error| anyhow!("cannot set up wasmtime: {error:?}"))?;
        let component = compile(&engine, path)?;
        Ok(Program { engine, component })
    }

    /// Runs the program over a document, in a store of its own.
    pub fn run(
        &self,
        document: &[u8],
        settings: Settings,
        surroundings: Surroundings<'_>,
    ) -> Result<Run> {
        let mut store = Store::new(&self.engine, Host::new(document, surroundings));
        let ledger = Ledger::instantiate(&mut store, &self.component, &self.linker()?)
            .map_err(|error| anyhow!("{error:?}"))
            .context("cannot instantiate the composition")?;
        let started = Instant::now();
        let outcome = ledger
            .tether_ledger_program()
            .call_run(&mut store, settings)
            .map_err(|trap| format!("{trap:?}"));
        let elapsed = started.elapsed();
        Ok(store.into_data().into_run(outcome, elapsed))
    }

    fn linker(&self) -> Result<Linker<Host>> {
        let mut linker = Linker::new(&self.engine);
        decimals::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)
            .and_then(|()| document::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host))
            .and_then(|()| wasi::add_to_linker(&mut linker))
            .map_err(|error| anyhow!("cannot set up the ledger's imports: {error:?}"))?;
        Ok(linker)
    }
}

struct Host {
    decimals: Decimals,
    document: Vec<u8>,
    read: usize,
    wasi: Wasi,
}

impl Host {
    fn new(document: &[u8], surroundings: Surroundings<'_>) -> Self {
        let mut wasi = Wasi::new(surroundings.gc_options);
        wasi.echo = surroundings.echo_trace;
        Host { decimals: Decimals::default(), document: document.to_vec(), read: 0, wasi }
    }

    fn into_run(self, outcome: std::result::Result<Outcome, String>, elapsed: Duration) -> Run {
        Run {
            outcome,
            handles: self.decimals.check(),
            decimals_made: self.decimals.made(),
            decimals_left: self.decimals.live() as u64,
            decimals_peak: self.decimals.peak() as u64,
            trace: self.wasi.stderr,
            elapsed,
        }
    }
}

impl HasWasi for Host {
    fn wasi(&mut self) -> &mut Wasi {
        &mut self.wasi
    }
}

impl decimals::Host for Host {
    fn parse_many(
        &mut self,
        texts: Vec<u8>,
        ends: Vec<u32>,
    ) -> std::result::Result<Vec<u32>, Refused> {
        let mut made = Vec::with_capacity(ends.len());
        let mut begin = 0;
        for (index, end) in ends.iter().map(|end| *end as usize).enumerate() {
            let text = texts.get(begin..end).unwrap_or_default();
            let Some(decimal) = self.decimals.parse(text) else {
                // The guest never sees the decimals that this batch made before the refused one.
                made.iter().for_each(|made| self.decimals.release(*made));
                return Err(Refused { index: index as u32 });
            };
            made.push(decimal);
            begin = end;
        }
        Ok(made)
    }

    fn running_sums(&mut self, start: u32, addends: Vec<u32>) -> Vec<u32> {
        self.decimals.running_sums(start, &addends)
    }

    fn to_text(&mut self, value: u32) -> String {
        self.decimals.to_text(value)
    }

    fn drop_many(&mut self, values: Vec<u32>) {
        values.iter().for_each(|value| self.decimals.release(*value));
    }
}

impl document::Host for Host {
    fn read(&mut self, max: u32) -> Vec<u8> {
        let end = self.document.len().min(self.read + max as usize);
        let chunk = self.document[self.read..end].to_vec();
        self.read = end;
        chunk
    }
}
