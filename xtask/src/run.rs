//! `cargo xtask run`: the ledger over a document, on a host of the user's choice.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use anyhow::{Context, Result, bail, ensure};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::Value;

use crate::node::{self, TwoMemories};
use crate::process::{output, progress};
use crate::runner::{announce_first_build, build_runner};
use crate::workspace::Workspace;
use crate::{build, guests, npm, report};

const HELP: &str = "\
Runs the ledger, composed or linked with the collector, over a JSON document.

Usage: cargo xtask run [FILE.json] [options]

The ledger parses the document into the collector's heap and adds up its numbers
exactly, with decimals that live in the host: each number a host decimal, and
each partial sum another, owned by wrappers that die a moment later.

Without a FILE the document is countries-10m.json of the npm package world-atlas
(3.6 MB, 963,872 numbers). If npm cannot fetch it, a small one in the
repository takes its place, and a note says so.

Options:
      --host HOST          wasmtime (default), jco (1.35.0, current) or
                           jco@1.10.2 (calls between components cost it some ns,
                           the current one microseconds)
      --door DOOR          component (default): ledger and collector are two components,
                           composed; linked: the same ledger and the collector's
                           operations are one module with one memory; fused: the
                           composition as one module with two memories; or core: one
                           module, whose memory the ledger reads and writes itself.
                           On jco, component and fused take Node 24 from npm if the
                           machine's Node is older than 22
      --numbers FORM       boxed: in the tree each number is an object; or packed:
                           short numbers, literals and arrays of them that stand
                           together share objects of some 250 bytes. The default is
                           packed for the core door and boxed for the others
      --wrap-capacity N    entries of the wrap table at the start (4096)
      --wrap-limit N       entries to which it may grow (the capacity)
      --keep-decimals      keep the decimal of every number in the tree, so that
                           all are live at once; needs a --wrap-limit above the
                           number of numbers
      --heap-limit BYTES   the most memory for the collector; 64M, 512K and 1G
                           are understood
      --trace              use the collector for WASI hosts, with TETHER_GC set to
                           trace=1 (after what TETHER_GC holds already): a line
                           for each collection on stderr, and pauses are timed.
                           With the component door alone
      --json               print one JSON object instead
  -h, --help               print this

Exit code 0 for success, 1 for an error (named in the object `error` with --json),
2 if the program trapped, which must never happen.
";

/// The host on which the composition runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    Wasmtime,
    JcoCurrent,
    Jco1_10_2,
}

impl Host {
    fn parse(text: &str) -> Result<Self> {
        match text {
            "wasmtime" => Ok(Host::Wasmtime),
            "jco" => Ok(Host::JcoCurrent),
            "jco@1.10.2" => Ok(Host::Jco1_10_2),
            _ => bail!("there is no host `{text}`: wasmtime, jco and jco@1.10.2 are"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Host::Wasmtime => "wasmtime",
            Host::JcoCurrent => "jco",
            Host::Jco1_10_2 => "jco@1.10.2",
        }
    }
}

/// The way from the ledger to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// Two components, composed.
    Component,
    /// One module of the ledger that imports the collector's WIT, and the collector.
    Linked,
    /// The composition as one module with two memories.
    Fused,
    /// One module of the ledger that reads and writes the heap itself, and the collector.
    Core,
}

impl Door {
    const ALL: [Door; 4] = [Door::Component, Door::Linked, Door::Fused, Door::Core];

    fn parse(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|door| door.name() == text).with_context(|| {
            format!("there is no door `{text}`: component, linked, fused and core are")
        })
    }

    fn name(self) -> &'static str {
        match self {
            Door::Component => "component",
            Door::Linked => "linked",
            Door::Fused => "fused",
            Door::Core => "core",
        }
    }

    /// The artifact with the ledger.
    fn artifact(self, trace: bool) -> &'static str {
        match (self, trace) {
            (Door::Component, true) => "ledger-composed-wasi.wasm",
            (Door::Component, false) => "ledger-composed.wasm",
            (Door::Linked, _) => guests::LEDGER_LINKED,
            (Door::Fused, _) => guests::LEDGER_FUSED,
            (Door::Core, _) => guests::LEDGER,
        }
    }

    /// Makes the artifact from what `build` makes.
    fn build(self, workspace: &Workspace) -> Result<()> {
        match self {
            Door::Component => Ok(()),
            Door::Linked => guests::build_ledger_linked(workspace),
            Door::Fused => guests::build_ledger_fused(workspace),
            Door::Core => guests::build_ledger(workspace),
        }
    }

    /// What a module with two memories is to the artifact on jco.
    fn memories(self) -> TwoMemories {
        match self {
            Door::Component => TwoMemories::Faster,
            Door::Fused => TwoMemories::Needed,
            Door::Linked | Door::Core => TwoMemories::Unused,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    document: Option<PathBuf>,
    host: Host,
    door: Door,
    /// Whether numbers share objects; none for the door's default.
    packs_numbers: Option<bool>,
    wrap_capacity: Option<u32>,
    wrap_limit: Option<u32>,
    keep_decimals: bool,
    heap_limit_bytes: Option<u32>,
    trace: bool,
    json: bool,
}

/// Runs the command.
pub fn command(parser: Parser) -> Result<ExitCode> {
    let Some(options) = parse(parser)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let named = options.document.clone().unwrap_or_default().display().to_string();
    let failed = |kind: &str, message: &str| {
        let report =
            report::of_no_run(options.host.name(), options.door.name(), &named, kind, message);
        Ok(finish(report, Some(1), options.json))
    };
    if let Some(message) = unreadable(options.document.as_deref()) {
        return failed("document", &message);
    }
    match run_ledger(&Workspace::find(), &options) {
        Ok((report, code)) => Ok(finish(report, code, options.json)),
        Err(error) => failed("setup", &format!("{error:#}")),
    }
}

/// Builds the programs that the run needs, and runs it. Gives the host's report and exit code.
fn run_ledger(workspace: &Workspace, options: &Options) -> Result<(Value, Option<i32>)> {
    announce_first_build(workspace, "about 12 minutes");
    build::build(workspace)?;
    options.door.build(workspace)?;
    let mut host = prepare_host(workspace, options)?;
    let document = options.document.clone().unwrap_or_else(|| npm::default_document(workspace));
    let shown = workspace.display(&document);
    progress(&format!("running the ledger on {} over {shown}", options.host.name()));
    host.arg(&document).args(settings(options));
    let ran = output(&mut host, "running the ledger")?;
    let mut report = parse_report(&ran)?;
    report["document"] = shown.into();
    Ok((report, ran.status.code()))
}

/// Why a document cannot be read, found out before anything is built for it.
fn unreadable(document: Option<&Path>) -> Option<String> {
    let path = document?;
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_dir() => {
            Some(format!("cannot read {}: it is a folder", path.display()))
        }
        Ok(_) => None,
        Err(error) => Some(format!("cannot read {}: {error}", path.display())),
    }
}

/// The program that runs the composition, with its arguments up to the document.
fn prepare_host(workspace: &Workspace, options: &Options) -> Result<Command> {
    let composition = workspace.artifact(options.door.artifact(options.trace));
    let version = match options.host {
        Host::Wasmtime => {
            build_runner(workspace)?;
            let mut command = Command::new(workspace.tool("tether-runner"));
            command.arg(composition);
            return Ok(command);
        }
        Host::JcoCurrent => "current",
        Host::Jco1_10_2 => "1.10.2",
    };
    let mut command = Command::new(node::choose(workspace, options.door.memories())?);
    command
        .arg(npm::install_jco(workspace)?.join("run.mjs"))
        .args(["--jco", version, "--cache"])
        .arg(workspace.artifact("jco"))
        .arg(composition);
    Ok(command)
}

/// The options that both hosts take.
fn settings(options: &Options) -> Vec<String> {
    let mut words = Vec::new();
    let mut figure = |name: &str, value: Option<u32>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), value.to_string()]);
        }
    };
    figure("--wrap-capacity", options.wrap_capacity);
    figure("--wrap-limit", options.wrap_limit);
    figure("--heap-limit", options.heap_limit_bytes);
    if options.keep_decimals {
        words.push("--keep-decimals".to_owned());
    }
    words.extend(["--door".to_owned(), options.door.name().to_owned()]);
    if options.packs_numbers.unwrap_or(options.door == Door::Core) {
        words.push("--pack-numbers".to_owned());
    }
    if options.trace {
        let gc_options = match env::var("TETHER_GC") {
            Ok(given) if !given.is_empty() => format!("{given},trace=1"),
            _ => "trace=1".to_owned(),
        };
        words.extend(["--gc-options".to_owned(), gc_options, "--echo-trace".to_owned()]);
    }
    words
}

fn parse_report(ran: &Output) -> Result<Value> {
    ensure!(
        !ran.stdout.is_empty(),
        "the host ended with no report ({}); what went wrong stands above",
        ran.status
    );
    serde_json::from_slice(&ran.stdout).context("the host's report is not JSON")
}

/// Prints the report, and gives the exit code that it asks for.
fn finish(report: Value, code: Option<i32>, as_json: bool) -> ExitCode {
    let report = report::complete(report);
    let error = &report["error"];
    if as_json {
        println!("{report}");
    } else if error.is_null() || !report["wrappers_registered"].is_null() {
        println!("{}", report::text(&report));
    }
    if !error.is_null() {
        eprintln!("error: {}", error["message"].as_str().unwrap_or_default());
    }
    match code {
        Some(0) if error.is_null() => ExitCode::SUCCESS,
        Some(2) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

/// The command line's options; none if the command line only asks for help.
fn parse(mut parser: Parser) -> Result<Option<Options>> {
    let mut options = Options {
        document: None,
        host: Host::Wasmtime,
        door: Door::Component,
        packs_numbers: None,
        wrap_capacity: None,
        wrap_limit: None,
        keep_decimals: false,
        heap_limit_bytes: None,
        trace: false,
        json: false,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("host") => options.host = Host::parse(&parser.value()?.string()?)?,
            Arg::Long("door") => options.door = Door::parse(&parser.value()?.string()?)?,
            Arg::Long("numbers") => {
                options.packs_numbers = Some(parse_numbers(&parser.value()?.string()?)?);
            }
            Arg::Long("wrap-capacity") => {
                options.wrap_capacity = Some(entries("--wrap-capacity", &mut parser)?);
            }
            Arg::Long("wrap-limit") => {
                options.wrap_limit = Some(entries("--wrap-limit", &mut parser)?);
            }
            Arg::Long("keep-decimals") => options.keep_decimals = true,
            Arg::Long("heap-limit") => {
                options.heap_limit_bytes = Some(bytes(&parser.value()?.string()?)?);
            }
            Arg::Long("trace") => options.trace = true,
            Arg::Long("json") => options.json = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(path) if options.document.is_none() => options.document = Some(path.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    ensure!(
        options.door == Door::Component || !options.trace,
        "--trace is of the collector for WASI hosts, which is a component: leave out --door {}",
        options.door.name()
    );
    Ok(Some(options))
}

/// Whether numbers are packed.
fn parse_numbers(text: &str) -> Result<bool> {
    match text {
        "boxed" => Ok(false),
        "packed" => Ok(true),
        _ => bail!("--numbers takes boxed or packed, not `{text}`"),
    }
}

fn entries(name: &str, parser: &mut Parser) -> Result<u32> {
    let text = parser.value()?.string()?;
    let count = text.parse().with_context(|| format!("{name} takes a number, not `{text}`"))?;
    ensure!(count > 0, "{name} must be at least 1");
    Ok(count)
}

/// A number of bytes, with K, M or G behind it for powers of 1,024.
fn bytes(text: &str) -> Result<u32> {
    let (digits, shift) = match text.char_indices().last() {
        Some((end, 'K' | 'k')) => (&text[..end], 10),
        Some((end, 'M' | 'm')) => (&text[..end], 20),
        Some((end, 'G' | 'g')) => (&text[..end], 30),
        _ => (text, 0),
    };
    let count: u64 = digits
        .parse()
        .with_context(|| format!("--heap-limit takes bytes, as 8388608 or 8M, not `{text}`"))?;
    let size = count
        .checked_mul(1 << shift)
        .and_then(|size| u32::try_from(size).ok())
        .with_context(|| format!("{text} is beyond the 4 GiB that a Wasm memory can have"))?;
    ensure!(size > 0, "--heap-limit must be at least 1");
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Options> {
        let parser = Parser::from_args(words.iter().map(|word| word.to_string()));
        parse(parser).map(Option::unwrap)
    }

    #[test]
    fn every_option_is_understood() {
        let options = parsed(&[
            "--host",
            "jco@1.10.2",
            "--door",
            "component",
            "--numbers",
            "packed",
            "a.json",
            "--wrap-capacity=16",
            "--wrap-limit",
            "2000000",
            "--keep-decimals",
            "--heap-limit",
            "64M",
            "--trace",
            "--json",
        ])
        .unwrap();
        assert_eq!(
            options,
            Options {
                document: Some("a.json".into()),
                host: Host::Jco1_10_2,
                door: Door::Component,
                packs_numbers: Some(true),
                wrap_capacity: Some(16),
                wrap_limit: Some(2_000_000),
                keep_decimals: true,
                heap_limit_bytes: Some(64 << 20),
                trace: true,
                json: true,
            }
        );
    }

    #[test]
    fn what_is_given_reaches_the_host() {
        let options = parsed(&["--wrap-limit", "9", "--keep-decimals"]).unwrap();
        assert_eq!(
            settings(&options),
            ["--wrap-limit", "9", "--keep-decimals", "--door", "component"]
        );
    }

    #[test]
    fn numbers_have_the_form_that_suits_the_door() {
        for (words, packed) in [
            (&["--door", "component"][..], false),
            (&["--door", "linked"], false),
            (&["--door", "fused"], false),
            (&["--door", "core"], true),
            (&["--door", "component", "--numbers", "packed"], true),
            (&["--door", "core", "--numbers", "boxed"], false),
        ] {
            let settings = settings(&parsed(words).unwrap());
            assert_eq!(settings.contains(&"--pack-numbers".to_owned()), packed, "{words:?}");
        }
    }

    #[test]
    fn every_door_has_an_artifact_and_a_name_for_the_report() {
        let doors = Door::ALL.map(|door| (door.name(), door.artifact(false)));
        assert_eq!(
            doors,
            [
                ("component", "ledger-composed.wasm"),
                ("linked", "ledger-linked.wasm"),
                ("fused", "ledger-fused.wasm"),
                ("core", "ledger-core.wasm"),
            ]
        );
        for door in Door::ALL {
            let options = parsed(&["--door", door.name()]).unwrap();
            assert_eq!(options.door, door);
            assert_eq!(settings(&options)[..2], ["--door", door.name()]);
        }
        assert_eq!(Door::Component.artifact(true), "ledger-composed-wasi.wasm");
    }

    #[test]
    fn only_compositions_and_what_is_fused_have_two_memories() {
        assert_eq!(
            Door::ALL.map(Door::memories),
            [TwoMemories::Faster, TwoMemories::Unused, TwoMemories::Needed, TwoMemories::Unused]
        );
    }

    #[test]
    fn mistakes_are_refused() {
        for words in [
            &["--host", "node"][..],
            &["--door", "crate"],
            &["--door", "core", "--trace"],
            &["--door", "linked", "--trace"],
            &["--door", "fused", "--trace"],
            &["--numbers", "small"],
            &["--wrap-capacity", "many"],
            &["--wrap-limit", "0"],
            &["--heap-limit", "4G"],
            &["--heap-limit", "M"],
            &["--heap-limit", "0K"],
            &["--fast"],
            &["a.json", "b.json"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn bytes_take_suffixes() {
        for (text, size) in [("1", 1), ("512K", 524_288), ("8m", 8_388_608), ("3G", 3 << 30)] {
            assert_eq!(bytes(text).unwrap(), size, "{text}");
        }
    }

    #[test]
    fn a_missing_document_is_named_before_anything_is_built() {
        let message = unreadable(Some(Path::new("no/such.json"))).unwrap();
        assert!(message.starts_with("cannot read no/such.json: "), "{message}");
        assert_eq!(unreadable(None), None);
    }
}
