//! `tether encode`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use lexopt::{Arg, Parser, ValueExt};

use super::WorldOptions;
use crate::encode::encode;
use crate::files::{output, read_module, write};

const HELP: &str = "\
Makes a component of a core module: one that wit-bindgen was used in, or that is
written against the canonical ABI of the world in --wit. Names and debug sections
are left out.

Usage: tether encode CORE.wasm -o OUT.wasm [options]

Options:
  -o, --output FILE  where the result goes
      --wit PATH     the WIT of the module's world: a file, or a folder with a
                     package. Without it the world is the one that the module
                     carries (wit-bindgen puts it there)
      --world WORLD  which of the worlds in --wit
  -h, --help         print this
";

#[derive(Debug, PartialEq, Eq)]
struct Options {
    core: PathBuf,
    output: PathBuf,
    world: WorldOptions,
}

/// Runs the command.
pub(super) fn run(parser: Parser) -> Result<()> {
    let Some(options) = parse(parser)? else {
        print!("{HELP}");
        return Ok(());
    };
    let component = encode(&read_module(&options.core)?, options.world.world())
        .with_context(|| format!("cannot make a component of {}", options.core.display()))?;
    write(&options.output, &component)
}

/// The command line's options; none if the command line only asks for help.
fn parse(mut parser: Parser) -> Result<Option<Options>> {
    let mut core = None;
    let mut out = None;
    let mut world = WorldOptions::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("output") | Arg::Short('o') => out = Some(parser.value()?.into()),
            Arg::Long("wit") => world.wit = Some(parser.value()?.into()),
            Arg::Long("world") => world.world = Some(parser.value()?.string()?),
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(file) if core.is_none() => core = Some(PathBuf::from(file)),
            other => return Err(other.unexpected().into()),
        }
    }
    let core = core.context("no core module is given; see `tether encode --help`")?;
    let output = output(out)?;
    world.check()?;
    ensure!(output != core, "the result would overwrite the core module");
    Ok(Some(Options { core, output, world }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_understood() {
        let words = ["a.wasm", "--output", "b.wasm", "--wit", "wit", "--world", "w"];
        assert_eq!(
            parse(Parser::from_args(words)).unwrap(),
            Some(Options {
                core: "a.wasm".into(),
                output: "b.wasm".into(),
                world: WorldOptions { wit: Some("wit".into()), world: Some("w".to_owned()) },
            })
        );
    }

    #[test]
    fn mistakes_are_refused_with_what_to_do() {
        for (words, told) in [
            (&["-o", "b.wasm"][..], "no core module"),
            (&["a.wasm"], "-o is missing"),
            (&["a.wasm", "-o", "a.wasm"], "overwrite"),
            (&["a.wasm", "-o", "b.wasm", "--world", "w"], "--wit is missing"),
            (&["a.wasm", "c.wasm", "-o", "b.wasm"], "c.wasm"),
        ] {
            let error = parse(Parser::from_args(words)).unwrap_err().to_string();
            assert!(error.contains(told), "{words:?}: {error}");
        }
    }
}
