//! `tether compose`.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use lexopt::{Arg, Parser};

use crate::compose::compose;
use crate::files::{output, read_component, write};

const HELP: &str = "\
Connects two components: the imports of SOCKET to the exports of PLUG.

Usage: tether compose SOCKET PLUG -o OUT.wasm

The result imports the interfaces that neither supplies. It exports all that SOCKET
exports, and those interfaces of PLUG whose types these exports use.

Options:
  -o, --output FILE  where the result goes
  -h, --help         print this
";

#[derive(Debug, PartialEq, Eq)]
struct Options {
    socket: PathBuf,
    plug: PathBuf,
    output: PathBuf,
}

/// Runs the command.
pub(super) fn run(parser: Parser) -> Result<()> {
    let Some(options) = parse(parser)? else {
        print!("{HELP}");
        return Ok(());
    };
    write(
        &options.output,
        &compose(&read_component(&options.socket)?, &read_component(&options.plug)?)?,
    )
}

/// The command line's options; none if the command line only asks for help.
fn parse(mut parser: Parser) -> Result<Option<Options>> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut out = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("output") | Arg::Short('o') => out = Some(parser.value()?.into()),
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(file) => files.push(file.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    let Ok([socket, plug]) = <[PathBuf; 2]>::try_from(files) else {
        bail!("two components are to be given, SOCKET and PLUG; see `tether compose --help`");
    };
    let output = output(out)?;
    ensure!(output != socket && output != plug, "the result would overwrite {}", output.display());
    Ok(Some(Options { socket, plug, output }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_components_and_a_place_for_the_result_are_wanted() {
        let options = parse(Parser::from_args(["a.wasm", "b.wasm", "-o", "c.wasm"])).unwrap();
        let [socket, plug, output] = ["a.wasm", "b.wasm", "c.wasm"].map(PathBuf::from);
        assert_eq!(options, Some(Options { socket, plug, output }));
        for (words, told) in [
            (&["a.wasm", "-o", "c.wasm"][..], "two components"),
            (&["a.wasm", "b.wasm", "d.wasm", "-o", "c.wasm"], "two components"),
            (&["a.wasm", "b.wasm"], "-o is missing"),
            (&["a.wasm", "b.wasm", "-o", "b.wasm"], "overwrite b.wasm"),
            (&["a.wasm", "--fast"], "--fast"),
        ] {
            let error = parse(Parser::from_args(words)).unwrap_err().to_string();
            assert!(error.contains(told), "{words:?}: {error}");
        }
    }
}
