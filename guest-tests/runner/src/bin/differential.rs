//! Compares the collectors on traces of the model, and prints one JSON object.
//! `cargo xtask soak` calls it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};
use tether_model::faults::Refusals;
use tether_runner::differential::{Collectors, Covered, Program};

const HELP: &str = "\
Compares the native collector, the core module and the component on wasmtime, and the
component on jco, on traces of the model; then refuses each growth of the Wasm memory in turn.

Usage: tether-differential --artifacts DIR [options]

Options:
      --artifacts DIR  the folder in which `cargo xtask build` put the collectors
      --seed N         the first seed (0)
      --steps N        operations of a trace (2000)
      --seconds N      how long to go on with new seeds (10)
      --growing N      operations of the program whose growths are refused (5000)
      --every N        refuse every Nth growth only (1)
  -h, --help           print this
";

/// Traces that are compared between two looks at the clock. jco starts once for each.
const BATCH: u64 = 4;

struct Options {
    artifacts: PathBuf,
    seed: u64,
    steps: u32,
    seconds: u64,
    growing: u32,
    every: u64,
}

fn main() -> ExitCode {
    match parse(Parser::from_env()).and_then(|options| options.map_or(Ok(()), |o| run(&o))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tether-differential: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let collectors = Collectors::load(&options.artifacts)?;
    let mut report = json!({ "first_seed": options.seed, "steps": options.steps });
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut all = [Covered::default(); 3];
    let mut seed = options.seed;
    loop {
        for (program, covered) in Program::ALL.into_iter().zip(&mut all) {
            let seeds = seed..seed + BATCH;
            let more = collectors.compare(program, seeds, options.steps, &["current", "1.10.2"])?;
            covered.traces += more.traces;
            covered.steps += more.steps;
            covered.collections += more.collections;
            covered.handles += more.handles;
            covered.compared += more.compared;
        }
        seed += BATCH;
        if Instant::now() >= end {
            break;
        }
    }
    for (program, covered) in Program::ALL.into_iter().zip(all) {
        report[format!("{program:?}").to_lowercase()] = json!({
            "traces": covered.traces,
            "steps": covered.steps,
            "steps_compared": covered.compared,
            "collections": covered.collections,
            "handles": covered.handles,
        });
    }
    let (growing, every) = (options.growing, options.every);
    eprintln!("==> refusing each growth of the core module's memory in turn");
    let core = collectors.refuse_growths_of_core(options.seed, growing, every);
    eprintln!("==> refusing each growth of the component's memory in turn");
    let component = collectors.refuse_growths_of_component(options.seed, growing, every);
    report["core_refusals"] = refusals(&core);
    report["component_refusals"] = refusals(&component);
    println!("{report}");
    Ok(())
}

fn refusals(refusals: &Refusals) -> Value {
    json!({
        "growths": refusals.growths,
        "runs": refusals.runs,
        "not_started": refusals.not_started,
        "operations": refusals.counts.total(),
    })
}

/// The command line's options; none if the command line only asks for help.
fn parse(mut parser: Parser) -> Result<Option<Options>> {
    let mut artifacts = None;
    let mut options = Options {
        artifacts: PathBuf::new(),
        seed: 0,
        steps: 2_000,
        seconds: 10,
        growing: 5_000,
        every: 1,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("artifacts") => artifacts = Some(PathBuf::from(parser.value()?)),
            Arg::Long("seed") => options.seed = parser.value()?.parse()?,
            Arg::Long("steps") => options.steps = parser.value()?.parse()?,
            Arg::Long("seconds") => options.seconds = parser.value()?.parse()?,
            Arg::Long("growing") => options.growing = parser.value()?.parse()?,
            Arg::Long("every") => options.every = parser.value()?.parse()?,
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(None);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    options.artifacts = artifacts.context("--artifacts is missing; see --help")?;
    Ok(Some(options))
}
