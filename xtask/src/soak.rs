//! `cargo xtask soak`: the model for as long as one likes, natively and on the hosts.

use std::process::{Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};

use crate::process::{cargo, progress, run};
use crate::workspace::Workspace;
use crate::{build, npm};

const HELP: &str = "\
Runs random programs on the collector, compares it with the model, and tells how much they
covered.

Usage: cargo xtask soak [options]

  1. natively: new programs for three quarters of the time; then each growth of memory
     refused in turn for a program of 5,000 steps; then 10 million forged references
  2. differentially: programs recorded natively and replayed on the native collector, the core
     module and the component on wasmtime, and the component on both versions of jco, for
     a quarter of the time; then each growth of the Wasm memories refused in turn
These fixed parts take some minutes, whatever the time.

Options:
      --minutes N      how long (1)
      --operations N   go on natively until so many operations were made, too
      --seed N         the first seed (the time, so that each soak sees others)
      --json           print one JSON object instead
  -h, --help           print this
";

/// Runs the command.
pub fn command(mut parser: Parser) -> Result<ExitCode> {
    let (mut minutes, mut operations, mut as_json) = (1_u64, 0_u64, false);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Below 2^32, and far enough from the next soak's.
    let mut seed = now % 1_000_000 * 1_000;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("minutes") => minutes = parser.value()?.parse()?,
            Arg::Long("operations") => operations = parser.value()?.parse()?,
            Arg::Long("seed") => seed = parser.value()?.parse()?,
            Arg::Long("json") => as_json = true,
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let workspace = Workspace::find();
    build::build(&workspace)?;
    npm::install_jco(&workspace)?;
    run(
        cargo(&workspace).args([
            "build",
            "--package",
            "tether-model",
            "--package",
            "tether-runner",
        ]),
        "building the model and the hosts",
    )?;
    let seconds = minutes * 60;
    let seed_text = seed.to_string();
    progress(&format!("native programs from seed {seed} on, for {} seconds", seconds * 3 / 4));
    let native = figures(
        Command::new(workspace.tool("tether-soak"))
            .args(["--seconds", &(seconds * 3 / 4).to_string()])
            .args(["--operations", &operations.to_string(), "--seed", &seed_text]),
    )?;
    progress(&format!("the same programs on every host, for {} seconds", seconds / 4));
    let hosts = figures(
        Command::new(workspace.tool("tether-differential"))
            .arg("--artifacts")
            .arg(workspace.artifacts())
            .args(["--seconds", &(seconds / 4).to_string(), "--seed", &seed_text]),
    )?;
    let report = json!({ "native": native, "hosts": hosts });
    if as_json {
        println!("{report}");
    } else {
        print_text(&report);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a program that prints one JSON object. Its stderr stays visible.
fn figures(command: &mut Command) -> Result<Value> {
    let ran = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !ran.status.success() {
        bail!("a difference was found, see above");
    }
    serde_json::from_slice(&ran.stdout).context("it printed no figures")
}

fn print_text(report: &Value) {
    let native = &report["native"];
    println!("native, compared with the model");
    for (name, field) in [
        ("seeds", "seeds"),
        ("first seed", "first_seed"),
        ("operations", "operations"),
        ("collections", "collections"),
        ("handles", "handles_released"),
        ("growths refused", "growths_refused"),
        ("forged references", "references_forged"),
        ("given up", "given_up"),
    ] {
        println!("  {name:<20}{}", native[field]);
    }
    print_refusals("each growth refused", &native["each_growth_refused"]);
    println!("  {:<20}{}", "forged in one heap", native["forged"]["references"]);
    let hosts = &report["hosts"];
    println!("differential: native, core module, component, jco");
    for program in ["common", "core", "component"] {
        let of = &hosts[program];
        println!(
            "  {program:<20}{} traces, {} steps, {} compared, {} collections, {} handles",
            of["traces"], of["steps"], of["steps_compared"], of["collections"], of["handles"]
        );
    }
    print_refusals("core module's growths", &hosts["core_refusals"]);
    print_refusals("component's growths", &hosts["component_refusals"]);
}

fn print_refusals(name: &str, of: &Value) {
    println!(
        "  {name:<20} {} in as many runs ({} could not start), {} operations",
        of["runs"], of["not_started"], of["operations"]
    );
}
