//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};
use tether_cli::artifacts;
use tether_cli::binaryen::{Binaryen, level};
use tether_cli::files::{output, read_component, write};

use crate::{Fused, Request, fuse};

const HELP: &str = "\
Makes of a composed component one with a single core module, in which each part
keeps a memory of its own. Calls between the parts become plain calls in the module,
which are fast on every host.

Usage: tether fuse COMPOSED.wasm -o OUT.wasm [options]

COMPOSED is a component that `tether compose`, `wac` or another tool has made of
several. The result imports and exports what COMPOSED does.

No resource may go from one part to another, and no part may define one. Asynchronous
functions, streams, threads, exceptions and garbage-collected types cannot be fused.

The module has several memories. Node 22 and later can run it, and Node 20 cannot;
`jco transpile` takes it with --multi-memory. wasmtime runs it as it is.

Options:
  -o, --output FILE   where the result goes
      --core          leave the core module: its imports and exports have the names
                      and the types that wit-component gives them. A second memory
                      that the host reaches is exported as `memory:2`, and so on;
                      a function of the host that two parts call is imported once
                      for each, the second time as `fused-copy2`
  -O LEVEL            0 to 4, s or z: wasm-opt's level (3)
      --no-optimise   leave the code as it is after merging
      --keep-names    keep the functions' names, for debuggers and profilers
      --binaryen DIR  the folder with Binaryen's wasm-merge and wasm-opt. Without
                      it, the one that TETHER_BINARYEN names, or else the npm
                      package in the artifacts' folder, or else the PATH. Scripts,
                      as npm's package `binaryen` has them, are run by Node
      --json          print one JSON object instead
  -h, --help          print this
  -V, --version       print the version

The steps: take COMPOSED apart, with an adapter for each function that one part calls
of another; wasm-merge; leave out exports that no one outside can use; wasm-opt;
encode the component.
";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Options {
    composed: PathBuf,
    output: PathBuf,
    request: Request,
    binaryen: Option<PathBuf>,
    as_json: bool,
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Fuse(Options),
    Help,
    Version,
}

/// Runs the command.
pub fn run(parser: Parser) -> Result<()> {
    let options = match parse(parser)? {
        Asked::Fuse(options) => options,
        Asked::Help => {
            print!("{HELP}");
            return Ok(());
        }
        Asked::Version => {
            println!("tether-fuse {}", env!("CARGO_PKG_VERSION"));
            return Ok(());
        }
    };
    let composed = read_component(&options.composed)?;
    let binaryen = Binaryen::find(options.binaryen.as_deref(), &artifacts::folders());
    let fused = fuse(&composed, &options.request, &binaryen)
        .with_context(|| format!("cannot fuse {}", options.composed.display()))?;
    write(&options.output, &fused.binary)?;
    if options.as_json {
        println!("{}", to_json(&options, composed.len(), &fused));
    } else {
        println!("{}", text(&options, composed.len(), &fused));
    }
    Ok(())
}

fn text(options: &Options, composed_bytes: usize, fused: &Fused) -> String {
    let mut lines =
        vec![format!("composed   {}, {composed_bytes} bytes", options.composed.display())];
    for (number, part) in fused.parts.iter().enumerate() {
        let exports = match part.exports.is_empty() {
            true => "exports nothing".to_owned(),
            false => format!("exports {}", part.exports.join(", ")),
        };
        lines.push(format!("part {}     {exports}", number + 1));
    }
    let memories = match fused.memories {
        1 => "1 memory".to_owned(),
        memories => format!("{memories} memories"),
    };
    let optimised = match &options.request.level {
        Some(level) => format!("wasm-opt -O{level}"),
        None => "not at all".to_owned(),
    };
    lines.push(format!("optimised  {optimised}"));
    lines.push(format!(
        "result     {}, {} of {} bytes with {memories}",
        options.output.display(),
        if options.request.is_core { "a core module" } else { "a component" },
        fused.binary.len()
    ));
    lines.join("\n")
}

fn to_json(options: &Options, composed_bytes: usize, fused: &Fused) -> Value {
    json!({
        "composed": options.composed.display().to_string(),
        "composed_bytes": composed_bytes,
        "parts": fused.parts.iter().map(|part| &part.exports).collect::<Vec<_>>(),
        "component": !options.request.is_core,
        "memories": fused.memories,
        "optimised": options.request.level,
        "result": options.output.display().to_string(),
        "size_bytes": fused.binary.len(),
    })
}

fn parse(mut parser: Parser) -> Result<Asked> {
    let mut composed = None;
    let mut out = None;
    let mut request = Request::default();
    let mut binaryen = None;
    let mut as_json = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("output") | Arg::Short('o') => out = Some(parser.value()?.into()),
            Arg::Long("core") => request.is_core = true,
            Arg::Short('O') => request.level = Some(level(&parser.value()?.string()?)?),
            Arg::Long("no-optimise") => request.level = None,
            Arg::Long("keep-names") => request.keeps_names = true,
            Arg::Long("binaryen") => binaryen = Some(parser.value()?.into()),
            Arg::Long("json") => as_json = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(Asked::Help),
            Arg::Long("version") | Arg::Short('V') => return Ok(Asked::Version),
            Arg::Value(path) if composed.is_none() => composed = Some(PathBuf::from(path)),
            other => return Err(other.unexpected().into()),
        }
    }
    let composed = composed.context("no component is given; see `tether fuse --help`")?;
    let output = output(out)?;
    ensure!(output != composed, "the result would overwrite the composed component");
    Ok(Asked::Fuse(Options { composed, output, request, binaryen, as_json }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_understood() {
        let words =
            ["a.wasm", "-o", "b.wasm", "-O2", "--keep-names", "--binaryen", "bin", "--json"];
        let request =
            Request { level: Some("2".to_owned()), keeps_names: true, ..Request::default() };
        assert_eq!(
            parse(Parser::from_args(words)).unwrap(),
            Asked::Fuse(Options {
                composed: "a.wasm".into(),
                output: "b.wasm".into(),
                request,
                binaryen: Some("bin".into()),
                as_json: true,
            })
        );
        let words = ["a.wasm", "--output=b.wasm", "--no-optimise", "--core"];
        let Asked::Fuse(options) = parse(Parser::from_args(words)).unwrap() else {
            panic!("the command line asks to fuse")
        };
        assert_eq!(options.request, Request { level: None, is_core: true, ..Request::default() });
        assert_eq!(parse(Parser::from_args(["a.wasm", "-h"])).unwrap(), Asked::Help);
        assert_eq!(parse(Parser::from_args(["--version"])).unwrap(), Asked::Version);
    }

    #[test]
    fn mistakes_are_refused_with_what_to_do() {
        for (words, told) in [
            (&["-o", "b.wasm"][..], "no component"),
            (&["a.wasm"], "-o is missing"),
            (&["a.wasm", "-o", "a.wasm"], "overwrite"),
            (&["a.wasm", "-o", "b.wasm", "-O9"], "not `9`"),
            (&["a.wasm", "c.wasm", "-o", "b.wasm"], "c.wasm"),
            (&["a.wasm", "-o", "b.wasm", "--fast"], "--fast"),
        ] {
            let error = parse(Parser::from_args(words)).unwrap_err().to_string();
            assert!(error.contains(told), "{words:?}: {error}");
        }
    }
}
