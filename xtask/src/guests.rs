//! The guests of the core door, under `target/tether/`: the ledger, a language
//! runtime in WAT by hand, and programs in C.
//!
//! Each is linked as its author would link it, with `tether link`. It is linked again only if
//! something that goes into it has changed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cli::{self, COLLECTOR, tether_link};
use crate::debian::{CTools, ensure_c_toolchain};
use crate::npm;
use crate::process::{cargo, progress, run};
use crate::stamp::make_if_changed;
use crate::tools::WASM_TARGET;
use crate::workspace::Workspace;

/// The ledger through the core door.
pub const LEDGER: &str = "ledger-core.wasm";

/// The ledger that imports the collector's WIT, linked with the collector into one module.
pub const LEDGER_LINKED: &str = "ledger-linked.wasm";

/// The composed ledger, with its two components fused into one module.
pub const LEDGER_FUSED: &str = "ledger-fused.wasm";

/// The guest in WAT, as a component; and as a core module, so that tests can look at its
/// functions.
const WAT_GUEST: &str = "wat-guest.wasm";
const WAT_MODULE: &str = "core/wat-guest.wasm";

/// The guest of the test of a composition, as a core module.
const COMPOSED_MODULE: &str = "core/composed-program.wasm";

/// The guest in C that roots its objects.
const C_GUEST: &str = "c-guest.wasm";

/// The guest in C without roots, in three forms: how it is optimised, how it is linked, and the
/// component. In the form without spilled pointers objects are lost, which shows what spilling is
/// for.
const UNROOTED: [(&str, &[&str], &str); 3] = [
    ("-O0", &["--world", "unrooted", "--spill-pointers"], "c-unrooted-O0.wasm"),
    ("-O2", &["--world", "unrooted", "--spill-pointers"], "c-unrooted-O2.wasm"),
    ("-O2", &["--world", "unrooted"], "c-unrooted-unspilled.wasm"),
];

/// The guest in C with a missing root.
const MISSING_ROOT: &str = "c-missing-root.wasm";

/// The ledger's own stack, at the lowest addresses. Its data follows; both must end
/// below 1 MiB.
const LEDGER_STACK_BYTES: u32 = 64 * 1024;

/// Makes all guests. The collector must have been built.
pub fn build(workspace: &Workspace) -> Result<()> {
    build_ledger(workspace)?;
    build_wat(workspace)?;
    build_composed(workspace)?;
    build_c(workspace)
}

fn build_wat(workspace: &Workspace) -> Result<()> {
    let source = workspace.root().join("guest-tests/wat/runtime.wat");
    link(workspace, &source, WAT_GUEST, Some("guest-tests/wat/wit"), &[])?;
    link(workspace, &source, WAT_MODULE, None, &["--core", "--keep-names"])
}

/// The guest that a test composes with the collector while memory refuses to grow.
fn build_composed(workspace: &Workspace) -> Result<()> {
    let source = workspace.root().join("guest-tests/runner/tests/hosts/composed/program.wat");
    let assembler = npm::fetch_binaryen(workspace, "wasm-as")?;
    run(
        Command::new("node").arg(assembler).args([
            &source,
            Path::new("-o"),
            &workspace.artifact(COMPOSED_MODULE),
        ]),
        &format!("assembling {}", source.display()),
    )
}

/// Makes the ledger, which needs only the tools that the collector needs.
pub fn build_ledger(workspace: &Workspace) -> Result<()> {
    cli::build(workspace)?;
    progress(&format!("building {LEDGER}"));
    run(
        cargo(workspace)
            .args(["rustc", "--package", "tether-ledger", "--lib", "--features", "core-door"])
            .args(["--profile", "wasm", "--target", WASM_TARGET, "--crate-type", "cdylib", "--"])
            .arg("-Clink-arg=--import-memory")
            .arg(format!("-Clink-arg=-zstack-size={LEDGER_STACK_BYTES}")),
        "building the ledger for the core door",
    )?;
    let built = workspace.target().join(WASM_TARGET).join("wasm/tether_ledger.wasm");
    let guest = workspace.artifact("core/ledger-core.wasm");
    fs::copy(&built, &guest).with_context(|| format!("cannot copy {}", built.display()))?;
    link(workspace, &guest, LEDGER, None, &[])
}

/// Makes the linked ledger.
pub fn build_ledger_linked(_workspace: &Workspace) -> Result<()> {
    anyhow::bail!("not built here yet")
}

/// Makes the fused ledger.
pub fn build_ledger_fused(_workspace: &Workspace) -> Result<()> {
    anyhow::bail!("not built here yet")
}

fn build_c(workspace: &Workspace) -> Result<()> {
    let tools = ensure_c_toolchain(workspace)?;
    progress("building the guests in C");
    let link_c = |module: &Path, options: &[&str], component: &str| {
        link(workspace, module, component, Some("guest-tests/c/wit"), options)
    };
    let dictionary = compile(workspace, &tools, "dictionary", "-O2")?;
    link_c(&dictionary, &["--world", "dictionary"], C_GUEST)?;
    let missing_root = compile(workspace, &tools, "missing_root", "-O2")?;
    link_c(&missing_root, &["--world", "missing-root"], MISSING_ROOT)?;
    for (level, options, component) in UNROOTED {
        let unrooted = compile(workspace, &tools, "unrooted", level)?;
        link_c(&unrooted, options, component)?;
    }
    Ok(())
}

/// A C program and the library, linked by wasm-ld.
fn compile(workspace: &Workspace, tools: &CTools, program: &str, level: &str) -> Result<PathBuf> {
    let source = workspace.root().join(format!("guest-tests/c/{program}.c"));
    let object = workspace.artifact(&format!("core/c-{program}{level}.o"));
    let module = object.with_extension("wasm");
    run(
        Command::new(&tools.clang)
            .args(["--target=wasm32-unknown-unknown", "-std=c11", "-ffreestanding", level])
            .args(["-Wall", "-Wextra", "-Werror", "-mbulk-memory", "-I"])
            .arg(workspace.artifacts())
            .arg("-c")
            .args([&source, Path::new("-o"), &object]),
        &format!("compiling {}", source.display()),
    )?;
    run(
        Command::new(&tools.wasm_ld)
            .args(["--no-entry", "-z", "stack-size=65536"])
            .arg(&object)
            .arg(workspace.artifact("libtether_gc.a"))
            .arg("-o")
            .arg(&module),
        &format!("linking {program} with libtether_gc.a"),
    )?;
    Ok(module)
}

/// Links a guest, unless it was linked before from equal files and options. `wit` is a folder of
/// the repository.
fn link(
    workspace: &Workspace,
    guest: &Path,
    artifact: &str,
    wit: Option<&str>,
    options: &[&str],
) -> Result<()> {
    let output = workspace.artifact(artifact);
    let collector = workspace.artifact(COLLECTOR);
    let mut files = vec![guest.to_path_buf(), collector];
    let mut words: Vec<OsString> = vec![guest.into(), "-o".into(), output.clone().into()];
    if let Some(wit) = wit.map(|folder| workspace.root().join(folder)) {
        for entry in fs::read_dir(&wit).with_context(|| format!("cannot read {}", wit.display()))? {
            files.push(entry?.path());
        }
        words.extend(["--wit".into(), wit.into()]);
    }
    words.extend(options.iter().map(OsString::from));
    files.sort();
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    // The command is a large file, so the stamp has the time of its build instead of its hash.
    let tool = fs::metadata(workspace.tool("tether"))?;
    let tool = (tool.len(), tool.modified()?);
    make_if_changed(&output, &files, &(&words, tool), || {
        let doing = format!("linking {}", workspace.display(&output));
        progress(&doing);
        cli::run_quietly(tether_link(workspace)?.args(&words), &doing)
    })
}
