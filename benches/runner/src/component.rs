//! Components on wasmtime: a guest composed with the collector, or made one module with it.

use std::path::Path;

use anyhow::{Result, anyhow};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store, StoreContextMut};

use crate::host::Host;
use crate::inline::Inline;
use crate::module::{Run, Stopwatch, in_anyhow};

/// The interface of the host in the guest's world.
pub const HOST: &str = "tether:bench/host@0.1.0";

/// A compiled composition and what it imports.
pub struct Composition {
    engine: Engine,
    component: Component,
    linker: Linker<Host>,
    has_fuel: bool,
}

impl Composition {
    /// Compiles a composition. No world here is concurrent, so the bookkeeping for
    /// that is off, as Tether's documentation advises.
    pub fn load(path: &Path, inline: Inline, has_fuel: bool) -> Result<Self> {
        let mut config = Config::new();
        config.concurrency_support(false).consume_fuel(has_fuel);
        inline.configure(&mut config);
        let engine = Engine::new(&config).map_err(in_anyhow)?;
        let component = Component::from_file(&engine, path)
            .map_err(|error| anyhow!("cannot compile {}: {error:?}", path.display()))?;
        let mut linker = Linker::new(&engine);
        import_host(&mut linker).map_err(in_anyhow)?;
        Ok(Composition { engine, component, linker, has_fuel })
    }

    /// Runs an export, `func(n: s32) -> s64`, in an instance of its own.
    pub fn run(&self, export: &str, n: i32) -> Result<Run> {
        let mut store = Store::new(&self.engine, Host::new());
        if self.has_fuel {
            store.set_fuel(u64::MAX).map_err(in_anyhow)?;
        }
        let instance = self.linker.instantiate(&mut store, &self.component).map_err(in_anyhow)?;
        let workload = instance
            .get_typed_func::<(i32,), (i64,)>(&mut store, export)
            .map_err(|error| anyhow!("no workload `{export}`: {error}"))?;
        let fuel_before = store.get_fuel().ok();
        let stopwatch = Stopwatch::start();
        let result = workload.call(&mut store, (n,));
        let (seconds, cpu_seconds) = stopwatch.stop();
        let (result,) = result.map_err(|error| anyhow!("{export}({n}): {error:?}"))?;
        let instructions =
            fuel_before.zip(store.get_fuel().ok()).map(|(before, after)| before - after);
        Ok(Run {
            seconds,
            cpu_seconds,
            result,
            memory_pages: None,
            gc_heap_bytes: None,
            counts: store.data().counts,
            collections: None,
            figure: None,
            instructions,
        })
    }
}

fn import_host(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut host = linker.instance(HOST)?;
    host.func_wrap("acquire", |mut store: StoreContextMut<'_, Host>, ()| {
        Ok((store.data_mut().acquire() as u32,))
    })?;
    host.func_wrap("release", |mut store: StoreContextMut<'_, Host>, (handle,): (u32,)| {
        store.data_mut().release(handle as i32);
        Ok(())
    })?;
    Ok(())
}
