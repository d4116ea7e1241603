//! Tether's build tool: every command that a developer types, or CI runs, starts here as
//! `cargo xtask COMMAND`.
//!
//! The tool stays light, so that it builds in seconds: a part that needs a Wasm library is a
//! crate of its own, and is run as a program. The benchmark is such a crate, and uses this one
//! as a library.
//! Figures go to stdout (with `--json` as one object), everything else to stderr.

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::{Arg, Parser, ValueExt};

mod artifacts;
mod bench;
pub mod build;
mod check;
pub mod cli;
pub mod debian;
mod fuzz;
mod guests;
mod help;
mod layers;
mod miri;
mod mutants;
mod node;
pub mod npm;
pub mod process;
mod report;
mod run;
mod runner;
mod sizes;
mod soak;
mod source;
mod stamp;
mod test;
mod tidy;
pub mod tools;
mod vera;
pub mod workspace;

const HELP: &str = "\
Tether's build tool.

Usage: cargo xtask COMMAND [options]

Commands:
  build    make the collector's components, the guest and their compositions
  run      run the ledger over a JSON document, on wasmtime or on jco
  test     check, build what is missing, and run every test
  bench    measure the collector and its peers
  vera     run programs of the language Vera on the collector
  check    formatting, lints, layers and house rules
  soak     random programs against the model, for as long as you like
  fuzz     programs of a fuzzer against the model
  miri     the native tests under Miri
  mutants  the native tests on a collector with one thing changed, for each thing

`cargo xtask COMMAND --help` says more of each. To link programs with the collector
there is `cargo tether link`.

Needs rustup's stable toolchain and, for documents from npm and for jco, Node 20
with npm; for `vera`, Python 3.11. The first run takes about 12 minutes on two
cores, most of it for wasmtime; later ones take seconds.
";

/// Runs the command that the command line names.
pub fn run_command() -> ExitCode {
    match dispatch(Parser::from_env()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut parser: Parser) -> Result<ExitCode> {
    let command = match parser.next()? {
        None | Some(Arg::Long("help") | Arg::Short('h')) => {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(Arg::Value(command)) => command.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "build" => artifacts::command(parser),
        "run" => run::command(parser),
        "test" => test::command(parser),
        "bench" => bench::command(parser.raw_args()?),
        "vera" => vera::command(parser),
        "check" => check::command(parser),
        "soak" => soak::command(parser),
        "fuzz" => fuzz::command(parser),
        "miri" => miri::command(parser),
        "mutants" => mutants::command(parser),
        _ => bail!("there is no command `{command}`; see `cargo xtask --help`"),
    }
}
