//! Runs one cell of the benchmark on wasmtime and prints one JSON object.
//! `cargo xtask bench` calls it, each cell in a process of its own.
//!
//! A run is a fresh instance, so that every run begins with an empty heap.
//! Compiling and instantiating are not timed.

use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::json;

mod component;
mod host;
mod inline;
mod module;

use crate::component::Composition;
use crate::inline::Inline;
use crate::module::{Collector, Module, Run};

const HELP: &str = "\
Runs one workload of the benchmark on wasmtime.

Usage: tether-bench FILE.wasm EXPORT N [options]

Options:
  --runs COUNT       timed runs (5)
  --budget SECONDS   no run begins later than this after the first (10)
  --warm-up COUNT    runs before them (1)
  --collector NAME   wasmtime's own for Wasm GC: copying (default) or drc
  --component        the file is a component
  --inline WHICH     inline small calls: no (default); between, those between a
                     component's modules; or yes, those within a module too
  --fuel             count instructions in one more run
  --most-pages N     the most Wasm pages to which a module's memory may grow
  --time-out SECONDS give up if a run takes longer (but the run that counts
                     instructions may)
  -h, --help         print this

Prints one JSON object: seconds and CPU seconds of each run, the checksum, the
memory's pages at the end, counts of host handles, the module's own
statistics and figures, and with --fuel the instructions. If a run takes longer
than the time-out, the object has nothing but `over_seconds`.
";

struct Options {
    file: PathBuf,
    export: String,
    n: i32,
    runs: usize,
    budget: Duration,
    warm_up: u32,
    kind: Kind,
    inline: Inline,
    fuel: bool,
    most_pages: Option<usize>,
    time_out: Option<Duration>,
}

/// The kind of the file.
#[derive(Clone, Copy)]
enum Kind {
    Module(Collector),
    Component,
}

/// The file, compiled.
enum Program {
    Module(Module),
    Component(Composition),
}

impl Program {
    fn load(options: &Options, has_fuel: bool) -> Result<Self> {
        Ok(match options.kind {
            Kind::Module(collector) => {
                let Options { file, inline, most_pages, .. } = options;
                Program::Module(Module::load(file, collector, *inline, has_fuel, *most_pages)?)
            }
            Kind::Component => {
                Program::Component(Composition::load(&options.file, options.inline, has_fuel)?)
            }
        })
    }

    fn run(&self, options: &Options) -> Result<Run> {
        match self {
            Program::Module(module) => module.run(&options.export, options.n),
            Program::Component(composition) => composition.run(&options.export, options.n),
        }
    }

    /// Runs the program, and ends this process if the run takes too long.
    fn run_in_time(&self, options: &Options) -> Result<Run> {
        let _run_is_over = options.time_out.map(give_up_after);
        self.run(options)
    }
}

/// Ends this process after some time, unless the sender is dropped before. A thread ends it; if
/// the engine did, the measured code would have checks in it.
fn give_up_after(time_out: Duration) -> mpsc::Sender<()> {
    let (run_is_over, waits) = mpsc::channel();
    thread::spawn(move || {
        if waits.recv_timeout(time_out) == Err(RecvTimeoutError::Timeout) {
            println!("{}", json!({ "over_seconds": time_out.as_secs() }));
            process::exit(0);
        }
    });
    run_is_over
}

fn main() -> ExitCode {
    match parse(Parser::from_env()) {
        Ok(Some(options)) => match run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("tether-bench: {error:#}");
                ExitCode::FAILURE
            }
        },
        Ok(None) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("tether-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let program = Program::load(options, false)?;
    for _ in 0..options.warm_up {
        program.run_in_time(options)?;
    }
    let mut runs: Vec<Run> = Vec::new();
    let started = Instant::now();
    while runs.len() < options.runs && (runs.is_empty() || started.elapsed() < options.budget) {
        runs.push(program.run_in_time(options)?);
    }
    let instructions = match options.fuel {
        true => Program::load(options, true)?.run(options)?.instructions,
        false => None,
    };
    let last = runs.last().context("--runs must be at least 1")?;
    println!(
        "{}",
        json!({
            "seconds": runs.iter().map(|run| run.seconds).collect::<Vec<_>>(),
            "cpu_seconds": runs.iter().map(|run| run.cpu_seconds).collect::<Vec<_>>(),
            "results": runs.iter().map(|run| run.result.to_string()).collect::<Vec<_>>(),
            "memory_pages": runs.iter().filter_map(|run| run.memory_pages).max(),
            "gc_heap_bytes": runs.iter().filter_map(|run| run.gc_heap_bytes).max(),
            "acquired": last.counts.acquired,
            "released": last.counts.released,
            "unreleased_peak": runs.iter().map(|run| run.counts.unreleased_peak).max(),
            "wrong_releases": runs.iter().map(|run| run.counts.wrong_releases).sum::<u64>(),
            "collections": last.collections,
            "figures": runs.iter().filter_map(|run| run.figure).collect::<Vec<_>>(),
            "instructions": instructions,
        })
    );
    Ok(())
}

fn parse(mut parser: Parser) -> Result<Option<Options>> {
    let mut words = Vec::new();
    let (mut runs, mut warm_up, mut budget) = (5, 1, 10);
    let mut collector = Collector::Copying;
    let (mut fuel, mut is_component, mut inline) = (false, false, Inline::No);
    let (mut most_pages, mut time_out) = (None, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("runs") => runs = parser.value()?.parse()?,
            Arg::Long("budget") => budget = parser.value()?.parse()?,
            Arg::Long("warm-up") => warm_up = parser.value()?.parse()?,
            Arg::Long("collector") => collector = parser.value()?.parse()?,
            Arg::Long("fuel") => fuel = true,
            Arg::Long("most-pages") => most_pages = Some(parser.value()?.parse()?),
            Arg::Long("time-out") => {
                time_out = Some(Duration::from_secs(parser.value()?.parse()?));
            }
            Arg::Long("component") => is_component = true,
            Arg::Long("inline") => inline = parser.value()?.parse()?,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(word) => words.push(word),
            other => return Err(other.unexpected().into()),
        }
    }
    let [file, export, n] = <[_; 3]>::try_from(words)
        .map_err(|_| anyhow::anyhow!("FILE.wasm, EXPORT and N are needed; see --help"))?;
    Ok(Some(Options {
        file: file.into(),
        export: export.string()?,
        n: n.parse()?,
        runs,
        budget: Duration::from_secs(budget),
        warm_up,
        kind: match is_component {
            true => Kind::Component,
            false => Kind::Module(collector),
        },
        inline,
        fuel,
        most_pages,
        time_out,
    }))
}
