//! The collector's artifacts under `target/tether/`: components, core modules and a library;
//! and the ledger, composed with the components.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cli::{self, tether};
use crate::npm;
use crate::process::{cargo, progress, run};
use crate::stamp::make_if_changed;
use crate::tools::{WASM_TARGET, ensure_wasm_target};
use crate::workspace::Workspace;

/// The linker puts a stack of this size below the data. Its default of 1 MiB
/// would make a fresh instance 17 pages large; the collector and the ledger
/// never recurse over the heap, so they need little.
const STACK_SIZE_BYTES: u32 = 32 * 1024;

/// rustc's output for this target uses these features, and no others.
const WASM_OPT_OPTIONS: [&str; 13] = [
    "-O2",
    "-Oz",
    "--converge",
    // No sum of an address and a constant wraps around into the lowest KiB, so a constant
    // can go into the instruction that loads.
    "--low-memory-unused",
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

/// Which package becomes which core module.
struct Core {
    package: &'static str,
    name: &'static str,
    /// Which of the worlds in `wit/` its exports are; none if the module says so
    /// itself, or is no component's.
    world: Option<&'static str>,
    /// Whether its size matters more than the time that it takes to make it smaller.
    is_small: bool,
}

impl Core {
    /// A door as a component.
    const fn component(package: &'static str, name: &'static str, world: &'static str) -> Self {
        Core { package, name, world: Some(world), is_small: true }
    }

    /// A door as a core module.
    const fn module(package: &'static str, name: &'static str) -> Self {
        Core { package, name, world: None, is_small: true }
    }
}

const COLLECTORS: [Core; 3] = [
    Core::component("tether-gc-collector", "tether-gc", "collector"),
    Core::component("tether-gc-collector-push", "tether-gc-push", "collector-push"),
    Core::component("tether-gc-collector-wasi", "tether-gc-wasi", "collector-wasi"),
];

/// The core modules that are linked with guests: the core door, and the component door lowered.
const CORE_MODULES: [Core; 3] = [
    Core::module("tether-gc-core-module", "tether_gc.core"),
    Core::module("tether-gc-core-lean", "tether_gc.core-lean"),
    Core::module("tether-gc-lowered-module", "tether_gc.lowered"),
];

/// Addresses below this are the language's in a program merged with the core module;
/// the collector's own statics and stack lie above.
const LANGUAGE_BOUND: u32 = 1 << 20;

/// The profiles that everything is made with, and what only the tests use.
const PROFILE: &str = "wasm";
const CHECKED_PROFILE: &str = "wasm-checked";
const CHECKED_FOLDER: &str = "checked";

/// The libraries for wasm-ld, their packages first: the core door, and the component door lowered.
const LIBRARIES: [(&str, &str); 2] =
    [("tether-gc-core-library", LIBRARY), ("tether-gc-lowered-library", "libtether_gc_lowered.a")];
/// The core door for wasm-ld, and its header.
pub const LIBRARY: &str = "libtether_gc.a";
const HEADER: &str = "tether_gc.h";
const HEADER_SOURCE: &str = "doors/core/tether_gc.h";

const LEDGER: Core =
    Core { package: "tether-ledger", name: "ledger", world: None, is_small: false };

/// Guest, collector, composition.
const COMPOSITIONS: [[&str; 3]; 2] = [
    ["ledger", "tether-gc", "ledger-composed"],
    ["ledger", "tether-gc-wasi", "ledger-composed-wasi"],
];

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
    for (package, library) in LIBRARIES {
        progress(&format!("building {library}"));
        build_library(workspace, package, library)?;
    }
    copy(&workspace.root().join(HEADER_SOURCE), &workspace.artifact(HEADER))?;
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

/// The names of all modules and components, in the order in which they are made.
pub fn names() -> impl Iterator<Item = String> {
    let compositions = COMPOSITIONS.map(|[_, _, composition]| composition);
    let components = COLLECTORS.iter().chain([&LEDGER]).map(|core| core.name).chain(compositions);
    components.chain(CORE_MODULES.iter().map(|core| core.name)).map(|name| format!("{name}.wasm"))
}

fn component_path(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.artifact(&format!("{name}.wasm"))
}

fn core_path(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.artifacts().join(format!("core/{name}.wasm"))
}

/// rustc for Wasm: the package's library as a crate of one type.
fn rustc_for_wasm(workspace: &Workspace, core: &Core, profile: &str, crate_type: &str) -> Command {
    let mut rustc = cargo(workspace);
    rustc
        .args(["rustc", "--package", core.package, "--lib"])
        .args(["--profile", profile, "--target", WASM_TARGET])
        .args(["--crate-type", crate_type])
        .arg("--")
        .arg(format!("-Clink-arg=-zstack-size={STACK_SIZE_BYTES}"));
    rustc
}

/// What cargo built: a module, by its package's name.
fn built_path(workspace: &Workspace, core: &Core, profile: &str) -> PathBuf {
    let folder = workspace.target().join(WASM_TARGET).join(profile);
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

fn build_library(
    workspace: &Workspace,
    package: &'static str,
    library: &'static str,
) -> Result<()> {
    run(
        &mut rustc_for_wasm(workspace, &Core::module(package, library), PROFILE, "staticlib"),
        &format!("building {library}"),
    )?;
    let built = format!("lib{}.a", package.replace('-', "_"));
    let folder = workspace.target().join(WASM_TARGET).join(PROFILE);
    copy(&folder.join(built), &workspace.artifact(library))
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
    let name = core.name;
    let wasm_opt = npm::fetch_wasm_opt(workspace);
    if let Err(error) = &wasm_opt {
        eprintln!("note: wasm-opt cannot be had ({error:#}); {name}.wasm is larger without it");
    }
    make_if_changed(module, &[built], &(WASM_OPT_OPTIONS, wasm_opt.is_ok()), || {
        let Ok(wasm_opt) = &wasm_opt else {
            return copy(built, module);
        };
        progress(&format!("optimising {name}.wasm for size"));
        run(
            Command::new("node")
                .arg(wasm_opt)
                .args(WASM_OPT_OPTIONS)
                .arg(built)
                .arg("-o")
                .arg(module),
            &format!("optimising {name} with wasm-opt"),
        )
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
