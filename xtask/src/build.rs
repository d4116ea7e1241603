//! `cargo xtask build`: the collector's components, the guest, and their
//! compositions, under `target/tether/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser};
use serde_json::{Value, json};

use crate::cli::{self, tether};
use crate::guests;
use crate::npm;
use crate::process::{cargo, output, progress, run};
use crate::workspace::Workspace;

const HELP: &str = "\
Makes the collector's components, the guest and their compositions.

Usage: cargo xtask build [--json]

Writes to target/tether/:
  tether-gc.wasm              the collector; the language drains dead handles
  tether-gc-push.wasm         the collector that calls the host's `release`
  tether-gc-wasi.wasm         the collector for WASI hosts: options, trace, pauses
  tether_gc.core.wasm         the collector as a core module: see docs/core-abi.md
  tether_gc.core-lean.wasm    the same without statistics and verifier
  libtether_gc.a, tether_gc.h the same for wasm-ld, and its header for C
  ledger.wasm                 the guest
  ledger-composed.wasm        the guest and the collector
  ledger-composed-wasi.wasm   the guest and the collector for WASI hosts
  core/*.wasm                 the core modules that the components are made of;
                              the collectors' have been through wasm-opt, from the
                              npm package binaryen
and prints the size of each, its size after gzip -9, and its initial memory in
Wasm pages.

Fails if one of these is larger than its limit after gzip -9: tether-gc.wasm
(21,780 bytes), tether_gc.core.wasm (17,820), tether_gc.core-lean.wasm (14,960);
or if the initial memory of a collector component is more than 4 pages.

Options:
      --json    print one JSON object instead
  -h, --help    print this
";

/// What all guests are built for.
pub const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// Users load these over a network: what counts is their compressed size, in bytes.
const GZIP_LIMITS: [(&str, u64); 3] = [
    ("tether-gc.wasm", 21_780),
    ("tether_gc.core.wasm", 17_820),
    ("tether_gc.core-lean.wasm", 14_960),
];
const MEMORY_LIMIT_PAGES: u64 = 4;

/// The linker puts a stack of this size below the data. Its default of 1 MiB
/// would make a fresh instance 17 pages large; the collector and the ledger
/// never recurse over the heap, so they need little.
const STACK_SIZE_BYTES: u32 = 32 * 1024;

/// rustc's output for this target uses these features, and no others.
const WASM_OPT_OPTIONS: [&str; 10] = [
    "-Oz",
    "--enable-bulk-memory",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-multivalue",
    "--enable-reference-types",
    "--strip-debug",
    "--strip-producers",
    "--strip-target-features",
];

/// Which package, with which features, becomes which core module.
struct Core {
    package: &'static str,
    features: &'static str,
    name: &'static str,
    /// Which of the worlds in `wit/` its exports are; none where the module says so
    /// itself, or is no component's.
    world: Option<&'static str>,
    /// Whether its size matters more than the time that it takes to make it smaller.
    is_small: bool,
}

const COLLECTORS: [Core; 3] = [
    Core {
        package: "tether-gc",
        features: "component",
        name: "tether-gc",
        world: Some("collector"),
        is_small: true,
    },
    Core {
        package: "tether-gc",
        features: "component-push",
        name: "tether-gc-push",
        world: Some("collector-push"),
        is_small: true,
    },
    Core {
        package: "tether-gc",
        features: "component-wasi",
        name: "tether-gc-wasi",
        world: Some("collector-wasi"),
        is_small: true,
    },
];

/// The core door as modules.
const CORE_MODULES: [Core; 2] = [
    Core {
        package: "tether-gc",
        features: "core-diagnostics",
        name: "tether_gc.core",
        world: None,
        is_small: true,
    },
    Core {
        package: "tether-gc",
        features: "core",
        name: "tether_gc.core-lean",
        world: None,
        is_small: true,
    },
];

/// Addresses below this are the language's in a program merged with the core module;
/// the collector's own statics and stack lie above.
const LANGUAGE_BOUND: u32 = 1 << 20;

/// The profiles that everything is made with, and what only the tests use.
const PROFILE: &str = "wasm";
const CHECKED_PROFILE: &str = "wasm-checked";
const CHECKED_FOLDER: &str = "checked";

/// The core door for wasm-ld, and its header.
const LIBRARY: &str = "libtether_gc.a";
const HEADER: &str = "tether_gc.h";
const HEADER_SOURCE: &str = "src/door/tether_gc.h";

const LEDGER: Core =
    Core { package: "tether-ledger", features: "", name: "ledger", world: None, is_small: false };

/// Guest, collector, composition.
const COMPOSITIONS: [[&str; 3]; 2] = [
    ["ledger", "tether-gc", "ledger-composed"],
    ["ledger", "tether-gc-wasi", "ledger-composed-wasi"],
];

/// One artifact, measured.
#[derive(Debug, PartialEq, Eq)]
struct Measured {
    name: String,
    size_bytes: u64,
    /// The size after `gzip -9`; none for the library, which nobody loads.
    gzip_bytes: Option<u64>,
    memory_pages: u64,
}

/// Runs the command.
pub fn command(mut parser: Parser) -> Result<ExitCode> {
    let mut as_json = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("json") => as_json = true,
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let workspace = Workspace::find();
    let (measured, problems) = match make_all(&workspace) {
        Ok(measured) => {
            let broken = broken_limits(&measured);
            (measured, broken)
        }
        Err(error) => (Vec::new(), vec![format!("{error:#}")]),
    };
    if as_json {
        println!("{}", to_json(&workspace, &measured, &problems));
    } else if !measured.is_empty() {
        print_table(&workspace, &measured);
    }
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes everything, the guests of the core door too, and measures it.
fn make_all(workspace: &Workspace) -> Result<Vec<Measured>> {
    build(workspace)?;
    guests::build(workspace)?;
    measure(workspace)
}

/// Makes every artifact of the collector, and the ledger's, that is missing or out of date.
pub fn build(workspace: &Workspace) -> Result<()> {
    ensure_wasm_target(workspace)?;
    progress("building the command `tether`, which makes components");
    cli::build(workspace)?;
    fs::create_dir_all(workspace.artifacts().join("core"))
        .context("cannot make the folder for the artifacts")?;
    for core in COLLECTORS.iter().chain([&LEDGER]) {
        progress(&format!("building {}.wasm", core.name));
        build_component(workspace, core)?;
    }
    for core in &CORE_MODULES {
        progress(&format!("building {}.wasm", core.name));
        build_core_module(workspace, core)?;
    }
    progress(&format!("building {LIBRARY}"));
    build_library(workspace)?;
    progress("building the core module and the component with checked arithmetic, for tests");
    build_checked(workspace)?;
    for [guest, collector, composition] in COMPOSITIONS {
        progress(&format!("composing {composition}.wasm"));
        let [guest, collector, composition] =
            [guest, collector, composition].map(|name| component_path(workspace, name));
        run(
            tether(workspace, "compose").args([guest, collector]).arg("-o").arg(composition),
            "composing the guest with the collector",
        )?;
    }
    Ok(())
}

/// Makes the core door's module alone, where it is missing or out of date.
pub fn build_core(workspace: &Workspace) -> Result<()> {
    ensure_wasm_target(workspace)?;
    fs::create_dir_all(workspace.artifacts().join("core"))
        .context("cannot make the folder for the artifacts")?;
    let core = &CORE_MODULES[0];
    progress(&format!("building {}.wasm", core.name));
    build_core_module(workspace, core)
}

/// Makes sure that the artifacts exist and keep their limits.
pub fn build_and_check(workspace: &Workspace) -> Result<()> {
    build(workspace)?;
    guests::build(workspace)?;
    let broken = broken_limits(&measure(workspace)?);
    if !broken.is_empty() {
        bail!("{}", broken.join("; "));
    }
    Ok(())
}

fn component_path(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.artifact(&format!("{name}.wasm"))
}

fn core_path(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.artifacts().join(format!("core/{name}.wasm"))
}

/// Where cargo builds a module. It gives all of a package one file name, whatever their
/// features: in one folder each would be built again after another.
fn cargo_folder(workspace: &Workspace, core: &Core) -> PathBuf {
    workspace.target().join("wasm").join(core.name)
}

/// rustc for Wasm: the package's library as a crate of one type.
fn rustc_for_wasm(workspace: &Workspace, core: &Core, profile: &str, crate_type: &str) -> Command {
    let mut rustc = cargo(workspace);
    rustc
        .args(["rustc", "--package", core.package, "--lib"])
        .args(["--profile", profile, "--target", WASM_TARGET])
        .args(["--crate-type", crate_type])
        .arg("--target-dir")
        .arg(cargo_folder(workspace, core));
    if !core.features.is_empty() {
        rustc.args(["--no-default-features", "--features", core.features]);
    }
    rustc.arg("--").arg(format!("-Clink-arg=-zstack-size={STACK_SIZE_BYTES}"));
    rustc
}

/// What cargo built.
fn built_path(workspace: &Workspace, core: &Core, profile: &str) -> PathBuf {
    let folder = cargo_folder(workspace, core).join(WASM_TARGET).join(profile);
    folder.join(format!("{}.wasm", core.package.replace('-', "_")))
}

fn build_core_module(workspace: &Workspace, core: &Core) -> Result<()> {
    let built = compile_core_module(workspace, core, PROFILE)?;
    let optimised = core_path(workspace, core.name);
    optimise(workspace, core, &built, &optimised)?;
    copy(&optimised, &component_path(workspace, core.name))
}

fn compile_core_module(workspace: &Workspace, core: &Core, profile: &str) -> Result<PathBuf> {
    let mut rustc = rustc_for_wasm(workspace, core, profile, "cdylib");
    // The stack too lies above what is the language's.
    rustc
        .arg("-Clink-arg=--no-stack-first")
        .arg(format!("-Clink-arg=--global-base={LANGUAGE_BOUND}"));
    run(&mut rustc, &format!("building {}", core.name))?;
    Ok(built_path(workspace, core, profile))
}

/// Makes the core module and the base component with their arithmetic checked: an overflow
/// traps. The tests on the hosts run on both.
fn build_checked(workspace: &Workspace) -> Result<()> {
    let folder = workspace.artifacts().join(CHECKED_FOLDER);
    fs::create_dir_all(&folder).context("cannot make the folder for the checked modules")?;
    let module = &CORE_MODULES[0];
    let built = compile_core_module(workspace, module, CHECKED_PROFILE)?;
    copy(&built, &folder.join(format!("{}.wasm", module.name)))?;
    let component = &COLLECTORS[0];
    let what = format!("building {}, checked", component.name);
    run(&mut rustc_for_wasm(workspace, component, CHECKED_PROFILE, "cdylib"), &what)?;
    let built = built_path(workspace, component, CHECKED_PROFILE);
    encode(workspace, component, &built, &folder.join(format!("{}.wasm", component.name)))
}

fn build_library(workspace: &Workspace) -> Result<()> {
    let core = Core {
        package: "tether-gc",
        features: "core-library",
        name: LIBRARY,
        world: None,
        is_small: true,
    };
    run(
        &mut rustc_for_wasm(workspace, &core, PROFILE, "staticlib"),
        &format!("building {LIBRARY}"),
    )?;
    let built = cargo_folder(workspace, &core).join(WASM_TARGET).join(PROFILE).join(LIBRARY);
    copy(&built, &workspace.artifact(LIBRARY))?;
    copy(&workspace.root().join(HEADER_SOURCE), &workspace.artifact(HEADER))
}

fn build_component(workspace: &Workspace, core: &Core) -> Result<()> {
    let mut rustc = rustc_for_wasm(workspace, core, PROFILE, "cdylib");
    run(&mut rustc, &format!("building {}", core.name))?;
    let built = built_path(workspace, core, PROFILE);
    let module = core_path(workspace, core.name);
    if core.is_small {
        optimise(workspace, core, &built, &module)?;
    } else {
        copy(&built, &module)?;
    }
    encode(workspace, core, &module, &component_path(workspace, core.name))
}

fn encode(workspace: &Workspace, core: &Core, module: &Path, component: &Path) -> Result<()> {
    let mut encode = tether(workspace, "encode");
    encode.arg(module).arg("-o").arg(component);
    if let Some(world) = core.world {
        encode.arg("--wit").arg(workspace.root().join("wit")).args(["--world", world]);
    }
    run(&mut encode, &format!("making a component of {}", core.name))
}

/// Has `wasm-opt` make a core module smaller, unless it did so with the same
/// module before. Where it cannot be had, the module stays as it is.
fn optimise(workspace: &Workspace, core: &Core, built: &Path, module: &Path) -> Result<()> {
    let before = core_path(workspace, &format!("{}.before-wasm-opt", core.name));
    if module.is_file() && same_content(built, &before) {
        return Ok(());
    }
    // Taken away first: an interrupted run must not look like a finished one.
    let _ = fs::remove_file(&before);
    let wasm_opt = match npm::fetch_wasm_opt(workspace) {
        Ok(path) => path,
        Err(error) => {
            eprintln!(
                "note: wasm-opt cannot be had ({error:#}); {}.wasm is larger without it",
                core.name
            );
            return copy(built, module);
        }
    };
    progress(&format!("optimising {}.wasm for size", core.name));
    run(
        Command::new("node").arg(wasm_opt).args(WASM_OPT_OPTIONS).arg(built).arg("-o").arg(module),
        &format!("optimising {} with wasm-opt", core.name),
    )?;
    copy(built, &before)
}

fn same_content(left: &Path, right: &Path) -> bool {
    matches!((fs::read(left), fs::read(right)), (Ok(left), Ok(right)) if left == right)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Has rustup fetch the Wasm target where it is not there.
pub fn ensure_wasm_target(workspace: &Workspace) -> Result<()> {
    let listed = output(
        Command::new("rustup")
            .args(["target", "list", "--installed"])
            .current_dir(workspace.root()),
        "asking rustup for its targets",
    )
    .context(NO_RUSTUP)?;
    let installed = String::from_utf8_lossy(&listed.stdout);
    if installed.lines().any(|line| line.trim() == WASM_TARGET) {
        return Ok(());
    }
    progress(&format!("adding the target {WASM_TARGET} with rustup"));
    run(
        Command::new("rustup").args(["target", "add", WASM_TARGET]).current_dir(workspace.root()),
        "adding the Wasm target",
    )
    .context(NO_TARGET)
}

const NO_RUSTUP: &str = "rustup is needed for the Wasm target; install it, or put it on the PATH";
const NO_TARGET: &str = "rustup cannot fetch wasm32-unknown-unknown; check the network, then run \
     `rustup target add wasm32-unknown-unknown` yourself (Debian's rustc-web carries it too)";

/// Every artifact's size and memory, in the order in which they are made.
fn measure(workspace: &Workspace) -> Result<Vec<Measured>> {
    let names: Vec<&str> = COLLECTORS
        .iter()
        .chain([&LEDGER])
        .map(|core| core.name)
        .chain(COMPOSITIONS.map(|[_, _, composition]| composition))
        .chain(CORE_MODULES.iter().map(|core| core.name))
        .collect();
    let paths = names.iter().map(|name| component_path(workspace, name));
    let inspected = output(
        tether(workspace, "inspect").arg("--table").args(paths),
        "inspecting the artifacts",
    )?;
    let table = String::from_utf8_lossy(&inspected.stdout).into_owned();
    let mut measured = names
        .iter()
        .zip(table.lines())
        .map(|(name, line)| measured(name, line))
        .collect::<Option<Vec<_>>>()
        .filter(|measured| measured.len() == names.len())
        .context("`tether inspect` gave no table of the artifacts")?;
    let library = fs::metadata(workspace.artifact(LIBRARY)).context("the library is missing")?;
    measured.push(Measured {
        name: LIBRARY.to_owned(),
        size_bytes: library.len(),
        gzip_bytes: None,
        // It has no memory of its own.
        memory_pages: 0,
    });
    Ok(measured)
}

/// An artifact's line in the table: bytes, bytes after `gzip -9`, pages.
fn measured(name: &str, line: &str) -> Option<Measured> {
    let mut figures = line.split_whitespace().map(|figure| figure.parse().ok());
    let mut next = || figures.next().flatten();
    Some(Measured {
        name: format!("{name}.wasm"),
        size_bytes: next()?,
        gzip_bytes: Some(next()?),
        memory_pages: next()?,
    })
}

/// What breaks a limit, in words.
fn broken_limits(measured: &[Measured]) -> Vec<String> {
    let mut broken = Vec::new();
    for artifact in measured {
        let name = &artifact.name;
        let limit = GZIP_LIMITS.iter().find(|(limited, _)| limited == name);
        if let (Some(gzip_bytes), Some((_, limit))) = (artifact.gzip_bytes, limit)
            && gzip_bytes > *limit
        {
            broken.push(format!("{name} has {gzip_bytes} bytes after gzip -9, more than {limit}"));
        }
        if name.starts_with("tether-gc") && artifact.memory_pages > MEMORY_LIMIT_PAGES {
            broken.push(format!(
                "{name} starts with {} pages of memory, more than {MEMORY_LIMIT_PAGES}",
                artifact.memory_pages
            ));
        }
    }
    broken
}

fn print_table(workspace: &Workspace, measured: &[Measured]) {
    println!("{:<46}{:>10}{:>10}{:>8}", "artifact", "bytes", "gzip -9", "pages");
    for artifact in measured {
        println!(
            "{:<46}{:>10}{:>10}{:>8}",
            workspace.display(&workspace.artifact(&artifact.name)),
            artifact.size_bytes,
            artifact.gzip_bytes.map_or("-".to_owned(), |bytes| bytes.to_string()),
            artifact.memory_pages
        );
    }
}

fn to_json(workspace: &Workspace, measured: &[Measured], errors: &[String]) -> Value {
    let artifacts: Vec<Value> = measured
        .iter()
        .map(|artifact| {
            json!({
                "name": artifact.name,
                "path": workspace.display(&workspace.artifact(&artifact.name)),
                "size_bytes": artifact.size_bytes,
                "gzip_bytes": artifact.gzip_bytes,
                "memory_pages": artifact.memory_pages,
            })
        })
        .collect();
    json!({ "artifacts": artifacts, "errors": errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(name: &str, gzip_bytes: u64, memory_pages: u64) -> Measured {
        let size_bytes = 2 * gzip_bytes;
        Measured { name: name.to_owned(), size_bytes, gzip_bytes: Some(gzip_bytes), memory_pages }
    }

    #[test]
    fn artifacts_at_their_limits_pass() {
        let measured = [
            artifact("tether-gc.wasm", 21_780, 4),
            artifact("tether_gc.core.wasm", 17_820, 17),
            artifact("tether-gc-wasi.wasm", 90_000, 4),
            artifact("ledger.wasm", 90_000, 17),
        ];
        assert!(broken_limits(&measured).is_empty());
    }

    #[test]
    fn an_artifact_that_is_too_large_is_named() {
        let broken = broken_limits(&[artifact("tether_gc.core-lean.wasm", 14_961, 1)]);
        assert_eq!(
            broken,
            ["tether_gc.core-lean.wasm has 14961 bytes after gzip -9, more than 14960"]
        );
    }

    #[test]
    fn a_collector_that_starts_with_too_much_memory_is_named() {
        let broken = broken_limits(&[artifact("tether-gc-push.wasm", 1, 5)]);
        assert_eq!(broken, ["tether-gc-push.wasm starts with 5 pages of memory, more than 4"]);
    }

    #[test]
    fn a_line_of_the_table_has_three_figures() {
        assert_eq!(measured("a", "  20 10 1  some/a.wasm"), Some(artifact("a.wasm", 10, 1)));
        assert_eq!(measured("a", "20 10"), None);
        assert_eq!(measured("a", "error: x"), None);
    }
}
