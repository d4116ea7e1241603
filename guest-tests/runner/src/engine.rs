//! The wasmtime engine that everything here runs on.

use wasmtime::component::Component;
use wasmtime::{Config, Engine, Inlining, Result};

/// An engine for components. Calls between two components of a
/// composition are inlined across their modules (0.9 ns a call instead of 4),
/// and the bookkeeping for concurrent tasks, which no world here uses, is off.
/// Inlining within a module, too, makes some programs faster and others slower
/// (docs/benchmarks/log.md, 36).
pub fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config.compiler_inlining(Inlining::InterModule).concurrency_support(false);
    Engine::new(&config)
}

/// Compiles a component, naming its file in the error.
pub fn compile(engine: &Engine, path: &std::path::Path) -> anyhow::Result<Component> {
    Component::from_file(engine, path)
        .map_err(|error| anyhow::anyhow!("cannot compile {}: {error:?}", path.display()))
}
