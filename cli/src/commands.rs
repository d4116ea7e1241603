//! The command line: one module for each command.
//!
//! Results go to the file that `-o` names, or to stdout; everything else goes to stderr.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use lexopt::{Arg, Parser, ValueExt};

use crate::world::World;

mod compose;
mod encode;
mod inspect;
mod link;

const HELP: &str = "\
Links programs with Tether's garbage collector, and makes components.

Usage: tether COMMAND [options]

Commands:
  link     make one module or component of your core module and the collector
  compose  connect two components
  encode   make a component of a core module
  inspect  print the size, the imports and the exports of a component or module

`tether COMMAND --help` says more of each.

Options:
  -h, --help     print this
  -V, --version  print the version

Environment:
  TETHER_ARTIFACTS  the folder with tether_gc.core.wasm and tether_gc.lowered.wasm, the
                    collector, for `link`; otherwise they are beside the command or in
                    ../tether from there
  TETHER_BINARYEN   the folder with Binaryen's wasm-merge and wasm-opt, for `link`;
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

/// The file that `-o` names.
fn output(given: Option<PathBuf>) -> Result<PathBuf> {
    given.context("-o is missing: where is the result to go?")
}

/// A file that is to be a component or a core module.
fn read(path: &Path) -> Result<Vec<u8>> {
    let binary = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        binary.starts_with(b"\0asm"),
        "{} is not a WebAssembly binary (if it is text, wasm-as makes a binary of it)",
        path.display()
    );
    Ok(binary)
}

fn read_module(path: &Path) -> Result<Vec<u8>> {
    let binary = read(path)?;
    ensure!(
        !wasmparser::Parser::is_component(&binary),
        "{} is a component; a core module is wanted",
        path.display()
    );
    Ok(binary)
}

fn read_component(path: &Path) -> Result<Vec<u8>> {
    let binary = read(path)?;
    ensure!(
        wasmparser::Parser::is_component(&binary),
        "{} is a core module; `tether encode` makes a component of it",
        path.display()
    );
    Ok(binary)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_named_with_what_to_do() {
        let path = std::env::temp_dir().join(format!("tether-kinds-{}", std::process::id()));
        let told = |content: &[u8], read: fn(&Path) -> Result<Vec<u8>>| {
            fs::write(&path, content).unwrap();
            read(&path).unwrap_err().to_string()
        };
        let component = wasm_encoder::Component::new().finish();
        let module = wasm_encoder::Module::new().finish();
        assert!(told(b"(module)", read).contains("not a WebAssembly binary"));
        assert!(told(&component, read_module).contains("a core module is wanted"));
        assert!(told(&module, read_component).contains("`tether encode`"));
        fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("cannot read"));
    }

    #[test]
    fn a_command_that_does_not_exist_is_named() {
        let told = |words: &[&str]| run(Parser::from_args(words)).unwrap_err().to_string();
        assert!(told(&["lnik", "a.wasm"]).contains("`lnik`; see `tether --help`"));
        assert!(told(&["--fast"]).contains("--fast"));
    }
}
