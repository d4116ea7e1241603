//! The command line of [`tether_componentize`], which `xtask` calls.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lexopt::Arg;
use serde_json::{Map, Value};
use tether_componentize::{compose, encode, inspect::inspect};

const HELP: &str = "\
Makes components of core modules and composes them.

Usage:
  tether-componentize encode CORE.wasm OUT.wasm
      Make a component of a core module that wit-bindgen was used in.
  tether-componentize compose SOCKET.wasm PLUG.wasm OUT.wasm
      Connect the exports of PLUG to the imports of SOCKET.
  tether-componentize inspect FILE.wasm...
      Print one JSON object: for each file its size, initial memory pages,
      imports and exports.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tether-componentize: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut words: Vec<PathBuf> = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            Arg::Value(word) => words.push(word.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    let Some((command, files)) = words.split_first() else {
        bail!("no command given; see --help");
    };
    match (command.to_str(), files) {
        (Some("encode"), [core, out]) => write(out, &encode(&read(core)?)?),
        (Some("compose"), [socket, plug, out]) => {
            write(out, &compose(&read(socket)?, &read(plug)?)?)
        }
        (Some("inspect"), files) if !files.is_empty() => print_summaries(files),
        _ => bail!("this is not a command, or its files are missing; see --help"),
    }
}

fn print_summaries(files: &[PathBuf]) -> Result<()> {
    let mut summaries = Map::new();
    for file in files {
        let summary =
            inspect(&read(file)?).with_context(|| format!("inspecting {}", file.display()))?;
        summaries.insert(file.display().to_string(), summary.to_json());
    }
    println!("{}", Value::Object(summaries));
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
