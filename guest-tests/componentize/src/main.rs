//! The command line of [`tether_componentize`], which `xtask` calls.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lexopt::{Arg, ValueExt};
use serde_json::{Map, Value, json};
use tether_componentize::inspect::{function, inspect};
use tether_componentize::link::{self, Release, finish, prepare, trim};
use tether_componentize::world::World;
use tether_componentize::{compose, encode};

const HELP: &str = "\
Makes components of core modules and composes them.

Usage:
  tether-componentize encode CORE.wasm OUT.wasm [--wit PATH] [--world WORLD]
      Make a component of a core module that wit-bindgen was used in, or that is
      written against the canonical ABI of the world in PATH.
  tether-componentize compose SOCKET.wasm PLUG.wasm OUT.wasm
      Connect the exports of PLUG to the imports of SOCKET.
  tether-componentize inspect FILE.wasm...
      Print one JSON object: for each file its size, initial memory pages,
      imports and exports.
  tether-componentize function CORE.wasm EXPORT
      Print one JSON object: how many instructions an exported function has, and
      what it calls.

The steps of `cargo xtask link`, between which wasm-merge and wasm-opt run:
  tether-componentize prepare GUEST.wasm COLLECTOR.wasm FOLDER [--wit PATH]
          [--world WORLD]
      Check the guest, and that there is such a world, and write what is to be merged
      into FOLDER. Print one JSON object: `merge` has the files and their names, in
      order.
  tether-componentize trim MERGED.wasm GUEST.wasm OUT.wasm [--component]
      Leave only the guest's exports and the memory.
  tether-componentize finish LINKED.wasm GUEST.wasm OUT.wasm [--wit PATH]
          [--world WORLD] [--keep-names]
      Make a component of the linked module.
";

/// What the command line has besides files.
#[derive(Default)]
struct Options {
    wit: Option<PathBuf>,
    world: Option<String>,
    keeps_names: bool,
    is_for_component: bool,
}

impl Options {
    fn world(&self) -> Option<World<'_>> {
        self.wit.as_deref().map(|wit| World { wit, name: self.world.as_deref() })
    }
}

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
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            Arg::Long("wit") => options.wit = Some(parser.value()?.into()),
            Arg::Long("world") => options.world = Some(parser.value()?.string()?),
            Arg::Long("keep-names") => options.keeps_names = true,
            Arg::Long("component") => options.is_for_component = true,
            Arg::Value(word) => words.push(word.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    let Some((command, files)) = words.split_first() else {
        bail!("no command given; see --help");
    };
    match (command.to_str(), files) {
        (Some("encode"), [core, out]) => write(out, &encode(&read(core)?, options.world())?),
        (Some("compose"), [socket, plug, out]) => {
            write(out, &compose(&read(socket)?, &read(plug)?)?)
        }
        (Some("inspect"), files) if !files.is_empty() => print_summaries(files),
        (Some("function"), [core, export]) => print_function(core, export),
        (Some("prepare"), [guest, collector, folder]) => {
            // Said now, before anything is optimised.
            options.world().map(World::resolve).transpose()?;
            write_prepared(guest, collector, folder)
        }
        (Some("trim"), [merged, guest, out]) => {
            write(out, &trim(&read(merged)?, &read(guest)?, options.is_for_component)?)
        }
        (Some("finish"), [linked, guest, out]) => {
            let world = options.world();
            write(out, &finish(&read(linked)?, &read(guest)?, world, options.keeps_names)?)
        }
        _ => bail!("this is not a command, or its files are missing; see --help"),
    }
}

/// Writes the modules that are to be merged, and says which they are.
fn write_prepared(guest: &Path, collector: &Path, folder: &Path) -> Result<()> {
    let prepared = prepare(&read(guest)?, &read(collector)?)?;
    let mut merge = Vec::new();
    for (name, file, module) in [
        (link::GUEST, "guest.wasm", Some(prepared.guest)),
        (link::COLLECTOR, "collector.wasm", prepared.collector),
        (link::SUPPLIED, "supplied.wasm", prepared.supplied),
    ] {
        if let Some(module) = module {
            let path = folder.join(file);
            write(&path, &module)?;
            merge.push(json!({ "file": path.display().to_string(), "name": name }));
        }
    }
    let release = match prepared.release {
        Release::Guest => "guest",
        Release::Queue => "queue",
    };
    let summary = json!({
        "merge": merge,
        "release": release,
        "functions": prepared.functions,
        "has_world": prepared.has_world,
    });
    println!("{summary}");
    Ok(())
}

fn print_function(core: &Path, export: &Path) -> Result<()> {
    let name = export.to_str().context("the export's name is not UTF-8")?;
    let shape =
        function(&read(core)?, name).with_context(|| format!("inspecting {}", core.display()))?;
    println!("{}", json!({ "instructions": shape.instructions, "calls": shape.calls }));
    Ok(())
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
