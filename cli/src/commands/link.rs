//! `tether link`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};

use super::WorldOptions;
use crate::artifacts;
use crate::binaryen::{Binaryen, level};
use crate::files::{output, write};
use crate::link::contract::Door;
use crate::link::steps::Release;
use crate::link::{Linked, Request, link};

const HELP: &str = "\
Links a core module with the collector: one module, optimised as one, and with a
world one component that runs wherever components do.

Usage: tether link GUEST -o OUT.wasm [options]

GUEST is a core module, binary (.wasm) or text (.wat), that imports the collector's
functions, through one of two doors:

  component  GUEST is what a compiler made with bindings of `tether:gc` (wit-bindgen's, or
             its own), before it became a component. It imports from
             `tether:gc/heap@0.1.0` and the other interfaces, and the result imports them
             no more. It exports `cabi_realloc` if it imports a function that gives a list
  core       GUEST imports from the module `tether_gc` functions, and the constant
             `tether_state` if it uses that (docs/core-abi.md)

GUEST has a memory, which gives way to the collector's; or it imports one, from `tether_gc`
or, as linkers write it (--import-memory), from `env`.

GUEST may also be a module that wasm-ld has linked with libtether_gc.a, or for the component
door with libtether_gc_lowered.a. Such a module is only optimised and encoded.

All other imports of GUEST stay as they are. This holds for `env` too, in which clang and
wasm-ld put every import without a module of its own; but names there that begin with
`tether_` are the collector's.

Addresses below 1048576 (1 MiB) are the guest's, for its data and its own stack, so the
stack must be small (-z stack-size=65536).

A guest of the core door may export `tether_release` to be given released handles;
otherwise they wait for `tether_drain`. Through the component door they wait for
`wrappers.drain`.

Options:
  -o, --output FILE     where the result goes
      --wit PATH        the WIT of the guest's world: a file, or a folder with a
                        package. Without it the world is the one that the guest
                        carries (wit-bindgen puts it there); if it carries none,
                        the result is a core module
      --world WORLD     which of the worlds in --wit
      --core            leave a core module, whatever the guest carries
  -O LEVEL              0 to 4, s or z: wasm-opt's level (3)
      --no-optimise     leave the code as it is after merging
      --spill-pointers  have the guest's code keep every value that may be a
                        pointer on its C stack across calls, so that the stack can
                        be registered with `tether_add_roots`; the stack's pointer
                        is the guest's first global, as wasm-ld makes it
      --keep-names      keep the functions' names, for debuggers and profilers
      --collector FILE  the collector's core module. Without it, tether_gc.lowered.wasm
                        for the component door and tether_gc.core.wasm for the core
                        door, in the folder that TETHER_ARTIFACTS names, or else beside
                        this command or in ../tether from there
      --binaryen DIR    the folder with Binaryen's wasm-merge and wasm-opt. Without
                        it, the one that TETHER_BINARYEN names, or else the npm
                        package in the artifacts' folder, or else the PATH. Scripts,
                        as npm's package `binaryen` has them, are run by Node
      --json            print one JSON object instead
  -h, --help            print this

The steps: check and rewrite the guest's imports; wasm-merge; leave out exports that
no one outside can use; wasm-opt; encode the component.
";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Options {
    guest: PathBuf,
    output: PathBuf,
    world: WorldOptions,
    is_core: bool,
    level: Option<String>,
    spills_pointers: bool,
    keeps_names: bool,
    collector: Option<PathBuf>,
    binaryen: Option<PathBuf>,
    as_json: bool,
}

impl Options {
    /// The defaults.
    fn new(guest: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Options {
            guest: guest.into(),
            output: output.into(),
            world: WorldOptions::default(),
            is_core: false,
            level: Some("3".to_owned()),
            spills_pointers: false,
            keeps_names: false,
            collector: None,
            binaryen: None,
            as_json: false,
        }
    }
}

/// Runs the command.
pub(super) fn run(parser: Parser) -> Result<()> {
    let Some(options) = parse(parser)? else {
        print!("{HELP}");
        return Ok(());
    };
    // A mistake in the file's name is reported first.
    ensure!(options.guest.is_file(), "cannot read {}", options.guest.display());
    let artifacts = artifacts::folders();
    let binaryen = Binaryen::find(options.binaryen.as_deref(), &artifacts);
    let Options { guest, collector, is_core, level, spills_pointers, keeps_names, .. } =
        options.clone();
    let WorldOptions { wit, world } = options.world.clone();
    let request = Request {
        guest,
        collector,
        artifacts,
        wit,
        world,
        is_core,
        level,
        spills_pointers,
        keeps_names,
    };
    let linked = link(&request, &binaryen)?;
    write(&options.output, &linked.binary)?;
    if options.as_json {
        println!("{}", to_json(&options, &linked));
    } else {
        println!("{}", text(&options, &linked));
    }
    Ok(())
}

fn text(options: &Options, linked: &Linked) -> String {
    let collector = match &linked.functions {
        Some(functions) => format!("merged; the guest imports {}", functions.join(", ")),
        None => "linked by wasm-ld already".to_owned(),
    };
    let door = door(linked);
    let released = match (linked.door, linked.release) {
        (Door::Component, _) => "wait for wrappers.drain",
        (Door::Core, Release::Queue) => "wait for tether_drain (the guest has no tether_release)",
        (Door::Core, Release::Guest) => "go to the guest's tether_release",
    };
    let optimised = match &options.level {
        Some(level) => format!("wasm-opt -O{level}"),
        None => "not at all".to_owned(),
    };
    let spilled = if options.spills_pointers { ", pointers on the C stack" } else { "" };
    let kind = if linked.is_component { "a component" } else { "a core module" };
    format!(
        "guest      {}, {} bytes\ndoor       {door}\ncollector  {collector}\n\
         handles    {released}\n\
         optimised  {optimised}{spilled}\nresult     {}, {kind} of {} bytes",
        options.guest.display(),
        linked.guest_bytes,
        options.output.display(),
        linked.binary.len(),
    )
}

fn door(linked: &Linked) -> &'static str {
    match linked.door {
        Door::Core => "core",
        Door::Component => "component",
    }
}

fn to_json(options: &Options, linked: &Linked) -> Value {
    json!({
        "guest": options.guest.display().to_string(),
        "guest_bytes": linked.guest_bytes,
        "door": door(linked),
        "merged": linked.functions.is_some(),
        "functions": linked.functions,
        "handles": match linked.release {
            Release::Queue => "queue",
            Release::Guest => "release",
        },
        "optimised": options.level,
        "spill_pointers": options.spills_pointers,
        "result": options.output.display().to_string(),
        "component": linked.is_component,
        "size_bytes": linked.binary.len(),
    })
}

/// The command line's options; none if the command line only asks for help.
fn parse(mut parser: Parser) -> Result<Option<Options>> {
    let mut guest = None;
    let mut out = None;
    let mut options = Options::new("", "");
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("output") | Arg::Short('o') => out = Some(parser.value()?.into()),
            Arg::Long("wit") => options.world.wit = Some(parser.value()?.into()),
            Arg::Long("world") => options.world.world = Some(parser.value()?.string()?),
            Arg::Long("core") => options.is_core = true,
            Arg::Short('O') => options.level = Some(level(&parser.value()?.string()?)?),
            Arg::Long("no-optimise") => options.level = None,
            Arg::Long("spill-pointers") => options.spills_pointers = true,
            Arg::Long("keep-names") => options.keeps_names = true,
            Arg::Long("collector") => options.collector = Some(parser.value()?.into()),
            Arg::Long("binaryen") => options.binaryen = Some(parser.value()?.into()),
            Arg::Long("json") => options.as_json = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(path) if guest.is_none() => guest = Some(PathBuf::from(path)),
            other => return Err(other.unexpected().into()),
        }
    }
    options.guest = guest.context("no guest is given; see `tether link --help`")?;
    options.output = output(out)?;
    options.world.check()?;
    ensure!(
        !(options.is_core && options.world.wit.is_some()),
        "--core leaves a core module, which has no world: leave out --wit"
    );
    ensure!(options.output != options.guest, "the result would overwrite the guest");
    Ok(Some(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Options> {
        parse(Parser::from_args(words)).map(Option::unwrap)
    }

    #[test]
    fn every_option_is_understood() {
        let options = parsed(&[
            "a.wat",
            "-o",
            "b.wasm",
            "--wit",
            "wit",
            "--world",
            "w",
            "-O2",
            "--keep-names",
            "--spill-pointers",
            "--collector",
            "c.wasm",
            "--binaryen",
            "bin",
            "--json",
        ]);
        assert_eq!(
            options.unwrap(),
            Options {
                world: WorldOptions { wit: Some("wit".into()), world: Some("w".to_owned()) },
                level: Some("2".to_owned()),
                spills_pointers: true,
                keeps_names: true,
                collector: Some("c.wasm".into()),
                binaryen: Some("bin".into()),
                as_json: true,
                ..Options::new("a.wat", "b.wasm")
            }
        );
        let options = parsed(&["a.wasm", "--output=b.wasm", "--core", "--no-optimise"]).unwrap();
        assert!(options.is_core && options.level.is_none());
    }

    #[test]
    fn mistakes_are_refused_with_what_to_do() {
        for (words, told) in [
            (&["-o", "b.wasm"][..], "no guest"),
            (&["a.wasm"], "-o is missing"),
            (&["a.wasm", "-o", "a.wasm"], "overwrite"),
            (&["a.wasm", "-o", "b.wasm", "--world", "w"], "--wit is missing"),
            (&["a.wasm", "-o", "b.wasm", "--wit", "w", "--core"], "leave out --wit"),
            (&["a.wasm", "-o", "b.wasm", "-O9"], "not `9`"),
            (&["a.wasm", "c.wasm", "-o", "b.wasm"], "c.wasm"),
        ] {
            let error = parsed(words).unwrap_err().to_string();
            assert!(error.contains(told), "{words:?}: {error}");
        }
    }
}
