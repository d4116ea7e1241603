//! The benchmark: Tether against its peers, on wasmtime and on V8. `cargo xtask bench` starts
//! it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use lexopt::{Arg, Parser, ValueExt};
use xtask::build;
use xtask::process::progress;
use xtask::workspace::Workspace;

mod catalog;
mod cells;
mod cliff_tables;
mod cliffs;
mod files;
mod markdown;
mod measure;
mod peers;
mod plot;
mod report;
mod results;
mod targets;

use catalog::{cells, matches};
use cells::{Cell, Kind, Peer};
use measure::{Hosts, Repetitions, measure};
use peers::{Builder, Source};
use results::Results;

const HELP: &str = "\
Measures Tether and its peers.

Usage: cargo xtask bench [options]

Builds every peer from sources and registry packages, runs every workload in a
process of its own on wasmtime and on Node 24's V8, compares the checksums of all
peers, and prints tables with medians, ratios and the targets.
A full run also writes docs/benchmarks/.

The cliffs are small workloads at which a collector may become steep. Each stands beside
its level: that work without the condition that makes it steep. Tether alone runs them,
on wasmtime. A run that takes more than a minute is given up, and reported as such.

Options:
      --quick            small workloads, one run each: whether all peers work and
                         agree, not how fast they are, but for the cliffs
      --only FILTER...   only the cells that a FILTER takes, as w1 or
                         w1,w3/tether,boehm/wasmtime: its parts, divided by /, must
                         each name the cell's workload, peer or engine; words
                         divided by , are alternatives; w7 is all pauses and
                         w7-list one shape, w8 is the guests that import Tether's
                         WIT, cliffs are all cliffs and cliffs-wraps is one, with
                         its level
      --runs N           timed runs of a cell in a process (5)
      --passes N         how often all processes are run (2; 1 with --quick)
      --no-build         take the collector as the last `cargo xtask build` made it
      --no-instructions  do not count Wasm instructions
      --list             print the cells and run nothing
      --json             print one JSON object instead
  -h, --help             print this
";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Options {
    quick: bool,
    only: Vec<String>,
    runs: u32,
    passes: u32,
    instructions: bool,
    builds: bool,
    list: bool,
    json: bool,
}

fn main() -> ExitCode {
    match run(Parser::from_env()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(parser: Parser) -> Result<ExitCode> {
    let Some(options) = parse(parser)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let chosen = choose(&options)?;
    if options.list {
        chosen.iter().for_each(|cell| println!("{cell}"));
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = Workspace::find();
    let mut errors = Vec::new();
    let results = run_all(&workspace, &options, &chosen, &mut errors)?;
    errors.extend(results.disagreements());
    let judged = targets::judge(&results);
    // Small workloads say nothing about speed.
    let judged = if options.quick { Vec::new() } else { judged };
    if options.json {
        println!("{}", report::to_json(&results, &judged, &errors));
    } else {
        println!("{}{}", report::workload_tables(&results), report::target_table(&judged));
    }
    errors.iter().for_each(|error| eprintln!("error: {error}"));
    if options.quick || !options.only.is_empty() {
        eprintln!("note: docs/benchmarks/ is written by a full run only");
    } else if errors.is_empty() {
        files::write(&workspace, &results, &judged)?;
    } else {
        eprintln!("note: docs/benchmarks/ is not written if something failed");
    }
    Ok(if errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn choose(options: &Options) -> Result<Vec<Cell>> {
    let mut chosen = cells(options.quick);
    if !options.only.is_empty() {
        chosen.retain(|cell| options.only.iter().any(|filter| matches(filter, cell)));
        ensure!(!chosen.is_empty(), "no cell is named by {}", options.only.join(" "));
    }
    Ok(chosen)
}

/// Builds the programs of the cells and runs them. If a peer or cell fails, that is an error, and
/// the others go on.
fn run_all(
    workspace: &Workspace,
    options: &Options,
    chosen: &[Cell],
    errors: &mut Vec<String>,
) -> Result<Results> {
    if options.builds && chosen.iter().any(|cell| cell.peer.is_tether()) {
        build::build(workspace)?;
    }
    let programs = build_peers(workspace, chosen, errors)?;
    let hosts = Hosts::prepare(workspace, chosen)?;
    let mut results = Results::default();
    // A workload's passes follow each other, so that cells that are compared were measured at
    // about one time.
    for same_workload in chosen.chunk_by(|left, right| left.workload == right.workload) {
        for pass in 0..options.passes {
            for cell in same_workload {
                let Some(program) = programs.get(&program_of(cell)) else { continue };
                progress(&format!("{cell}, pass {} of {}", pass + 1, options.passes));
                // A pause is a median already, and its instructions are not of interest.
                let is_pause = matches!(cell.workload.kind, Kind::Pause { .. });
                // A cliff is far steeper than the effect of warming up.
                let is_cliff = matches!(cell.workload.kind, Kind::Cliff(_));
                let times = Repetitions {
                    warm_up: u32::from(!is_cliff),
                    runs: if is_pause { options.runs.min(2) } else { options.runs },
                    instructions: options.instructions && pass == 0 && !is_pause,
                };
                match measure(&hosts, cell, program, times) {
                    Ok(measured) => results.add(cell.clone(), measured),
                    Err(error) => errors.push(format!("{error:#}")),
                }
            }
        }
    }
    Ok(results)
}

fn build_peers(
    workspace: &Workspace,
    chosen: &[Cell],
    errors: &mut Vec<String>,
) -> Result<HashMap<(Peer, Source), PathBuf>> {
    let builder = Builder::new(workspace)?;
    let mut programs = HashMap::new();
    for peer in Peer::ALL {
        for source in Source::ALL {
            let key = (peer, source);
            if !chosen.iter().any(|cell| program_of(cell) == key) {
                continue;
            }
            match builder.build(peer, source) {
                Ok(program) => drop(programs.insert(key, program)),
                Err(error) => errors.push(format!("{}: {error:#}", peer.name())),
            }
        }
    }
    Ok(programs)
}

/// The program that a cell runs.
fn program_of(cell: &Cell) -> (Peer, Source) {
    let source = match cell.workload.kind {
        _ if cell.is_bare() => Source::CoreModule,
        Kind::Handles if !cell.peer.is_component() => Source::Handles,
        Kind::Cliff(_) => Source::Cliffs,
        _ => Source::Workloads,
    };
    (cell.peer.with_its_program(), source)
}

/// The command line's options; none if the command line only asks for help.
fn parse(mut parser: Parser) -> Result<Option<Options>> {
    let mut options = Options {
        quick: false,
        only: Vec::new(),
        runs: 0,
        passes: 0,
        instructions: true,
        builds: true,
        list: false,
        json: false,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("quick") => options.quick = true,
            Arg::Long("only") => {
                for filter in parser.values()? {
                    options.only.push(filter.string()?);
                }
            }
            Arg::Long("runs") => options.runs = count("--runs", &mut parser)?,
            Arg::Long("passes") => options.passes = count("--passes", &mut parser)?,
            Arg::Long("no-instructions") => options.instructions = false,
            Arg::Long("no-build") => options.builds = false,
            Arg::Long("list") => options.list = true,
            Arg::Long("json") => options.json = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.runs == 0 {
        options.runs = if options.quick { 1 } else { 5 };
    }
    if options.passes == 0 {
        options.passes = if options.quick { 1 } else { 2 };
    }
    Ok(Some(options))
}

fn count(name: &str, parser: &mut Parser) -> Result<u32> {
    let text = parser.value()?.string()?;
    let count = text.parse().with_context(|| format!("{name} takes a number, not `{text}`"))?;
    ensure!(count > 0, "{name} must be at least 1");
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Options> {
        parse(Parser::from_args(words.iter().map(|word| word.to_string()))).map(Option::unwrap)
    }

    #[test]
    fn a_full_run_has_five_runs_twice() {
        let options = parsed(&[]).unwrap();
        assert_eq!((options.runs, options.passes, options.quick), (5, 2, false));
    }

    #[test]
    fn filters_add_up() {
        let options = parsed(&["--only", "w1", "w2/v8", "--only", "w3", "--runs", "3"]).unwrap();
        assert_eq!(options.only, ["w1", "w2/v8", "w3"]);
        assert_eq!(options.runs, 3);
    }

    #[test]
    fn mistakes_are_refused() {
        for words in [&["--only"][..], &["--runs", "0"], &["--passes", "some"], &["w1"]] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
        assert!(choose(&parsed(&["--only", "w99"]).unwrap()).is_err());
    }
}
