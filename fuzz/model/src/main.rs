//! The soak's native part. It runs programs of new seeds until the time is over, then refuses each
//! growth of one program in turn, then forges references. Prints one JSON object; `cargo xtask
//! soak` calls it.

use std::collections::BTreeMap;
use std::panic;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};
use tether_model::faults::{self, Refusals};
use tether_model::model::Counts;
use tether_model::run::run_seed;

const HELP: &str = "\
Runs programs on the native collector and compares it with the model.

Usage: tether-soak [options]

Options:
      --seconds N     how long to go on with new seeds (10)
      --operations N  go on until so many operations were made, however long it takes
      --seed N        the first seed (0)
      --runs N        so many seeds and no more: to repeat one that failed, 1
      --steps N       steps of each program (3000)
      --growing N     steps of the program whose growths are refused (5000)
      --forged N      forged references (10000000)
  -h, --help          print this

Prints one JSON object. If a program fails, its seed stands in the error.
";

#[derive(Debug)]
struct Options {
    seconds: u64,
    operations: u64,
    seed: u64,
    runs: u64,
    steps: u32,
    growing: u32,
    forged: u64,
}

fn main() -> ExitCode {
    match parse(Parser::from_env()).and_then(|options| options.map_or(Ok(()), |o| run(&o))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tether-soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    let (seeds, counts) = soak(options)?;
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("==> refusing each growth of a program of {} steps in turn", options.growing);
    let refused = faults::refuse_each_growth(options.seed, options.growing, 1, faults::native);
    eprintln!("==> forging {} references", options.forged);
    let named = faults::forge(options.seed, 5_000, options.forged);
    println!(
        "{}",
        json!({
            "first_seed": options.seed,
            "seeds": seeds,
            "steps": options.steps,
            "seconds": seconds,
            "operations": counts.total(),
            "collections": counts.collections,
            "handles_registered": counts.registered,
            "handles_released": counts.released,
            "growths_refused": counts.refusals,
            "references_forged": counts.forged,
            "given_up": counts.given_up,
            "failures": counts.failures.iter().map(|(code, count)| {
                (format!("{code:?}"), json!(count))
            }).collect::<BTreeMap<String, Value>>(),
            "by_operation": counts.operations.iter().map(|(name, (calls, failed))| {
                (name.text().to_owned(), json!({ "calls": calls, "failed": failed }))
            }).collect::<BTreeMap<String, Value>>(),
            "each_growth_refused": refusals(&refused),
            "forged": { "references": options.forged, "that_named_an_object": named },
        })
    );
    Ok(())
}

/// Runs seeds until it is time to stop. Returns how many it ran.
fn soak(options: &Options) -> Result<(u64, Counts)> {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut told = Instant::now();
    let mut counts = Counts::default();
    let mut seeds = 0;
    while seeds < options.runs {
        let enough = counts.total() >= options.operations && Instant::now() >= end;
        if enough {
            break;
        }
        let seed = options.seed + seeds;
        let Ok(more) = panic::catch_unwind(|| run_seed(seed, options.steps)) else {
            bail!(
                "the program of seed {seed} failed, see above; \
                 again: tether-soak --seed {seed} --runs 1 --steps {}",
                options.steps
            );
        };
        counts.add(&more);
        seeds += 1;
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            eprintln!("==> {} operations, {} collections", counts.total(), counts.collections);
        }
    }
    Ok((seeds, counts))
}

fn refusals(refused: &Refusals) -> Value {
    json!({
        "growths": refused.growths,
        "runs": refused.runs,
        "not_started": refused.not_started,
        "operations": refused.counts.total(),
    })
}

/// Returns the command line's options; none if it only asks for help.
fn parse(mut parser: Parser) -> Result<Option<Options>> {
    let mut options = Options {
        seconds: 10,
        operations: 0,
        seed: 0,
        runs: u64::MAX,
        steps: 3_000,
        growing: 5_000,
        forged: 10_000_000,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("seconds") => options.seconds = parser.value()?.parse()?,
            Arg::Long("operations") => options.operations = parser.value()?.parse()?,
            Arg::Long("seed") => options.seed = parser.value()?.parse()?,
            Arg::Long("runs") => options.runs = parser.value()?.parse()?,
            Arg::Long("steps") => options.steps = parser.value()?.parse()?,
            Arg::Long("growing") => options.growing = parser.value()?.parse()?,
            Arg::Long("forged") => options.forged = parser.value()?.parse()?,
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(None);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}
