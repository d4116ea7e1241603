//! The command line: one module for each command.
//!
//! Results go to the file that `-o` names, or to stdout; everything else goes to stderr.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use lexopt::{Arg, Parser, ValueExt};

use crate::world::World;

mod compose;
mod encode;
mod fuse;
mod inspect;
mod link;

const HELP: &str = "\
Links programs with Tether's garbage collector, and makes components.

Usage: tether COMMAND [options]

Commands:
  link     make one module or component of your core module and the collector
  compose  connect two components
  encode   make a component of a core module
  fuse     make one core module of a composed component, for fast calls between its parts
  inspect  print the size, the imports and the exports of a component or module

`tether COMMAND --help` says more of each.

Options:
  -h, --help     print this
  -V, --version  print the version

Environment:
  TETHER_ARTIFACTS  the folder with tether_gc.core.wasm and tether_gc.lowered.wasm, the
                    collector, for `link`, and npm's Binaryen for `link` and `fuse`;
                    otherwise they are beside the command or in ../tether from there
  TETHER_BINARYEN   the folder with Binaryen's wasm-merge and wasm-opt, for `link`, `fuse`;
                    otherwise they are on the PATH, or in the folder in which
                    `cargo xtask build` has put them
";

/// Runs the command that the command line names.
pub fn run(mut parser: Parser) -> Result<()> {
    let command = match parser.next()? {
        None | Some(Arg::Long("help") | Arg::Short('h')) => {
            print!("{HELP}");
            return Ok(());
        }
        Some(Arg::Long("version") | Arg::Short('V')) => {
            println!("tether {}", env!("CARGO_PKG_VERSION"));
            return Ok(());
        }
        Some(Arg::Value(command)) => command.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "link" => link::run(parser),
        "compose" => compose::run(parser),
        "encode" => encode::run(parser),
        "fuse" => fuse::run(parser),
        "inspect" => inspect::run(parser),
        _ => bail!("there is no command `{command}`; see `tether --help`"),
    }
}

/// The world that a command line names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct WorldOptions {
    wit: Option<PathBuf>,
    world: Option<String>,
}

impl WorldOptions {
    fn check(&self) -> Result<()> {
        ensure!(
            self.world.is_none() || self.wit.is_some(),
            "--world names a world, and --wit is missing: where is its WIT?"
        );
        Ok(())
    }

    fn world(&self) -> Option<World<'_>> {
        self.wit.as_deref().map(|wit| World { wit, name: self.world.as_deref() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_does_not_exist_is_named() {
        let told = |words: &[&str]| run(Parser::from_args(words)).unwrap_err().to_string();
        assert!(told(&["lnik", "a.wasm"]).contains("`lnik`; see `tether --help`"));
        assert!(told(&["--fast"]).contains("--fast"));
    }
}
