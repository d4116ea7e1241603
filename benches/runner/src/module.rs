//! Core modules on wasmtime: loaded once, run in a fresh instance each time.

use std::path::Path;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use cpu_time::ProcessTime;
use wasmtime::{Caller, Config, Engine, Extern, Instance, Linker, Store, StoreLimitsBuilder};

use crate::component::HOST;
use crate::host::{Counts, Host};
use crate::inline::Inline;

const WASI: &str = "wasi_snapshot_preview1";

const PAGE_BYTES: usize = 65_536;

/// The numbers by which a module's `statistic` is asked.
const COLLECTIONS: i32 = 0;
const FIGURE: i32 = 2;

/// Which of wasmtime's collectors manages Wasm GC objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collector {
    /// Semi-space copying.
    Copying,
    /// Deferred reference counting, which does not free cycles.
    ReferenceCounting,
}

impl FromStr for Collector {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "copying" => Ok(Collector::Copying),
            "drc" => Ok(Collector::ReferenceCounting),
            _ => bail!("there is no collector `{name}`: copying and drc are"),
        }
    }
}

/// A compiled module and what it imports.
pub struct Module {
    engine: Engine,
    module: wasmtime::Module,
    linker: Linker<Host>,
    has_fuel: bool,
    most_pages: Option<usize>,
}

/// The figures of one run.
pub struct Run {
    /// The seconds of the export alone.
    pub seconds: f64,
    /// The CPU seconds of the export, over all threads.
    pub cpu_seconds: f64,
    /// The result of the export: a checksum, or nanoseconds.
    pub result: i64,
    /// The linear memory's size at the end; it never shrinks. None without a memory.
    pub memory_pages: Option<u64>,
    /// The size of the engine's own heap for Wasm GC at the end, if it has one.
    pub gc_heap_bytes: Option<u64>,
    /// Counts of host handles.
    pub counts: Counts,
    /// Collections, if the module counts them.
    pub collections: Option<i64>,
    /// The module's own figure, in nanoseconds or bytes, if it measures one.
    pub figure: Option<i64>,
    /// Wasm instructions, as fuel counts them.
    pub instructions: Option<u64>,
}

/// Both clocks, of the wall and of the processor.
pub struct Stopwatch {
    processor: ProcessTime,
    wall: Instant,
}

impl Stopwatch {
    /// Starts both.
    pub fn start() -> Self {
        Stopwatch { processor: ProcessTime::now(), wall: Instant::now() }
    }

    /// Seconds, and CPU seconds of all threads.
    pub fn stop(self) -> (f64, f64) {
        (self.wall.elapsed().as_secs_f64(), self.processor.elapsed().as_secs_f64())
    }
}

impl Module {
    /// Compiles a module as a user would: Cranelift, optimising for speed. Its memory
    /// may grow to `most_pages`, if that is given.
    pub fn load(
        path: &Path,
        collector: Collector,
        inline: Inline,
        has_fuel: bool,
        most_pages: Option<usize>,
    ) -> Result<Self> {
        let mut config = Config::new();
        config.wasm_gc(true).wasm_function_references(true).consume_fuel(has_fuel);
        config.collector(match collector {
            Collector::Copying => wasmtime::Collector::Copying,
            Collector::ReferenceCounting => wasmtime::Collector::DeferredReferenceCounting,
        });
        inline.configure(&mut config);
        let engine = Engine::new(&config).map_err(in_anyhow)?;
        let module = wasmtime::Module::from_file(&engine, path)
            .map_err(|error| anyhow!("cannot compile {}: {error:?}", path.display()))?;
        let mut linker = Linker::new(&engine);
        import_host(&mut linker).map_err(in_anyhow)?;
        import_wasi(&mut linker).map_err(in_anyhow)?;
        linker.define_unknown_imports_as_traps(&module).map_err(in_anyhow)?;
        Ok(Module { engine, module, linker, has_fuel, most_pages })
    }

    /// Runs an export, `(n: i32) -> i64`, in an instance of its own.
    pub fn run(&self, export: &str, n: i32) -> Result<Run> {
        let mut store = Store::new(&self.engine, Host::new());
        if let Some(pages) = self.most_pages {
            store.data_mut().limits =
                StoreLimitsBuilder::new().memory_size(pages * PAGE_BYTES).build();
            store.limiter(|host| &mut host.limits);
        }
        if self.has_fuel {
            store.set_fuel(u64::MAX).map_err(in_anyhow)?;
        }
        let instance = self.linker.instantiate(&mut store, &self.module).map_err(in_anyhow)?;
        if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut store, "_initialize") {
            initialize.call(&mut store, ()).map_err(in_anyhow)?;
        }
        let workload = instance
            .get_typed_func::<i32, i64>(&mut store, export)
            .map_err(|error| anyhow!("no workload `{export}`: {error}"))?;
        let fuel_before = store.get_fuel().ok();
        let stopwatch = Stopwatch::start();
        let result = workload.call(&mut store, n);
        let (seconds, cpu_seconds) = stopwatch.stop();
        let result = result.map_err(|error| anyhow!("{export}({n}): {error:?}"))?;
        let instructions =
            fuel_before.zip(store.get_fuel().ok()).map(|(before, after)| before - after);
        let counts = store.data().counts;
        Ok(Run {
            seconds,
            cpu_seconds,
            result,
            memory_pages: memory_pages(&mut store, &instance),
            gc_heap_bytes: u64::try_from(store.gc_heap_capacity()).ok().filter(|&size| size > 0),
            counts,
            collections: statistic(&mut store, &instance, COLLECTIONS)?,
            figure: statistic(&mut store, &instance, FIGURE)?,
            instructions,
        })
    }
}

/// wasmtime's errors as anyhow's, with their causes.
pub fn in_anyhow(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}

fn memory_pages(store: &mut Store<Host>, instance: &Instance) -> Option<u64> {
    instance.get_memory(&mut *store, "memory").map(|memory| memory.size(&*store))
}

/// A figure that a module counted or measured, by its number for `statistic`; none if the module
/// has no such figure.
fn statistic(store: &mut Store<Host>, instance: &Instance, which: i32) -> Result<Option<i64>> {
    let Ok(statistic) = instance.get_typed_func::<i32, i64>(&mut *store, "statistic") else {
        return Ok(None);
    };
    let count = statistic.call(store, which).map_err(in_anyhow)?;
    Ok((count >= 0).then_some(count))
}

/// The host's functions, as the programs in C and AssemblyScript import them; and those of the
/// component's world, for the core module of one.
fn import_host(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap("bench", "now", |caller: Caller<'_, Host>| caller.data().now())?;
    for module in ["bench", HOST] {
        linker
            .func_wrap(module, "acquire", |mut caller: Caller<'_, Host>| {
                caller.data_mut().acquire()
            })?
            .func_wrap(module, "release", |mut caller: Caller<'_, Host>, handle: i32| {
                caller.data_mut().release(handle);
            })?;
    }
    Ok(())
}

/// The few imports that wasi-libc and AssemblyScript have: no environment, no
/// arguments, and nothing is written anywhere but to stderr, which is an error.
fn import_wasi(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker
        .func_wrap(WASI, "environ_sizes_get", |mut caller: Caller<'_, Host>, a: i32, b: i32| {
            write_zero(&mut caller, a);
            write_zero(&mut caller, b);
            0i32
        })?
        .func_wrap(WASI, "environ_get", |_: i32, _: i32| 0i32)?
        .func_wrap("env", "abort", |_: i32, _: i32, line: i32, _: i32| -> wasmtime::Result<()> {
            Err(wasmtime::Error::msg(format!("the program aborted in line {line}")))
        })?;
    Ok(())
}

fn write_zero(caller: &mut Caller<'_, Host>, at: i32) {
    if let Some(Extern::Memory(memory)) = caller.get_export("memory") {
        let _ = memory.write(caller, at as u32 as usize, &[0; 4]);
    }
}
