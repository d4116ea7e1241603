//! Runs a composition of the ledger and the collector on wasmtime, and prints
//! one JSON object. `cargo xtask run` calls it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use lexopt::{Arg, Parser, ValueExt};
use tether_runner::ledger::{Program, Settings, Surroundings};
use tether_runner::report::{Circumstances, Ending, of_no_run, of_run};

const HELP: &str = "\
Runs a composition of the ledger and the collector on wasmtime, or the one component
that they are linked to.

Usage: tether-runner COMPOSITION.wasm DOCUMENT.json [options]

Options:
  --wrap-capacity N    entries of the wrap table at the start
  --wrap-limit N       entries to which it may grow
  --keep-decimals      keep the decimal of every number
  --pack-numbers       put numbers that stand together into one object
  --door NAME          how the ledger comes to the collector, for the report: component
                       (default), linked, fused or core
  --heap-limit N       bytes that the collector may take
  --gc-options TEXT    the environment variable TETHER_GC
  --echo-trace         copy the collector's trace to stderr
  -h, --help           print this

Prints one JSON object. Exit code 0 for success, 1 for an error that the object
names, 2 for a trap.
";

struct Options {
    composition: PathBuf,
    document: PathBuf,
    settings: Settings,
    door: String,
    gc_options: Option<String>,
    echo_trace: bool,
}

fn main() -> ExitCode {
    match parse(Parser::from_env()).and_then(|options| options.map_or(Ok(ExitCode::SUCCESS), run)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tether-runner: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<ExitCode> {
    let around = Circumstances {
        host: "wasmtime",
        door: &options.door,
        document: &options.document.display().to_string(),
        packs_numbers: options.settings.pack_numbers && !options.settings.keep_decimals,
    };
    let document = match std::fs::read(&options.document) {
        Ok(document) => document,
        Err(error) => {
            let message = format!("cannot read {}: {error}", options.document.display());
            println!("{}", of_no_run(&around, "document", &message));
            return Ok(ExitCode::from(1));
        }
    };
    let run = Program::load(&options.composition)?.run(
        &document,
        options.settings,
        Surroundings { gc_options: options.gc_options.as_deref(), echo_trace: options.echo_trace },
    )?;
    let (report, ending) = of_run(&run, &around);
    println!("{report}");
    Ok(ExitCode::from(match ending {
        Ending::Success => 0,
        Ending::Failure => 1,
        Ending::Trap => 2,
    }))
}

/// The command line's options; none if the command line only asks for help.
fn parse(mut parser: Parser) -> Result<Option<Options>> {
    let mut files: Vec<OsString> = Vec::new();
    let mut settings = Settings {
        heap_limit_bytes: 0,
        wrap_capacity: 0,
        wrap_limit: 0,
        keep_decimals: false,
        pack_numbers: false,
    };
    let mut door = "component".to_owned();
    let mut gc_options = None;
    let mut echo_trace = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("wrap-capacity") => settings.wrap_capacity = parser.value()?.parse()?,
            Arg::Long("wrap-limit") => settings.wrap_limit = parser.value()?.parse()?,
            Arg::Long("keep-decimals") => settings.keep_decimals = true,
            Arg::Long("pack-numbers") => settings.pack_numbers = true,
            Arg::Long("door") => door = parser.value()?.string()?,
            Arg::Long("heap-limit") => settings.heap_limit_bytes = parser.value()?.parse()?,
            Arg::Long("gc-options") => gc_options = Some(parser.value()?.string()?),
            Arg::Long("echo-trace") => echo_trace = true,
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(None);
            }
            Arg::Value(file) => files.push(file),
            other => return Err(other.unexpected().into()),
        }
    }
    let [composition, document] = <[OsString; 2]>::try_from(files)
        .ok()
        .context("give a composition and a document; see --help")?;
    Ok(Some(Options {
        composition: composition.into(),
        document: document.into(),
        settings,
        door,
        gc_options,
        echo_trace,
    }))
}
