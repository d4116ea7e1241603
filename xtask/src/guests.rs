//! The guests of the core door, under `target/tether/`: the ledger, a language
//! runtime in WAT by hand, and programs in C.
//!
//! Each is linked as its author would do it, with `cargo xtask link`; and only when
//! something that goes into it has changed.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::WASM_TARGET;
use crate::debian::{CTools, ensure_c_toolchain};
use crate::link::{self, Request};
use crate::npm;
use crate::process::{cargo, progress, run};
use crate::workspace::Workspace;

/// The ledger through the core door.
pub const LEDGER: &str = "ledger-core.wasm";

/// The guest in WAT, as a component; and as a core module, in which its functions
/// can be looked at.
const WAT_GUEST: &str = "wat-guest.wasm";
const WAT_MODULE: &str = "core/wat-guest.wasm";

/// The guest of the test of a composition, as a core module.
const COMPOSED_MODULE: &str = "core/composed-program.wasm";

/// The guest in C that is told about by its roots.
const C_GUEST: &str = "c-guest.wasm";

/// The guest in C without roots: optimisation, whether it keeps pointers on its
/// stack, and the component. The one that does not shows what that is for.
const UNROOTED: [(&str, bool, &str); 3] = [
    ("-O0", true, "c-unrooted-O0.wasm"),
    ("-O2", true, "c-unrooted-O2.wasm"),
    ("-O2", false, "c-unrooted-unspilled.wasm"),
];

/// The guest in C with a missing root.
const MISSING_ROOT: &str = "c-missing-root.wasm";

/// The ledger's own stack, at the lowest addresses. Its data follows; both must end
/// below 1 MiB.
const LEDGER_STACK_BYTES: u32 = 64 * 1024;

/// Makes all of them. The collector must have been built.
pub fn build(workspace: &Workspace) -> Result<()> {
    build_ledger(workspace)?;
    build_wat(workspace)?;
    build_composed(workspace)?;
    build_c(workspace)
}

fn build_wat(workspace: &Workspace) -> Result<()> {
    let source = workspace.root().join("guest-tests/wat/runtime.wat");
    let mut component = Request::new(&source, workspace.artifact(WAT_GUEST));
    component.wit = Some(workspace.root().join("guest-tests/wat/wit"));
    link_if_changed(workspace, &component)?;
    let mut module = Request::new(&source, workspace.artifact(WAT_MODULE));
    module.is_core = true;
    module.keeps_names = true;
    link_if_changed(workspace, &module)
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

/// Makes the ledger, which needs nothing but what the collector needs.
pub fn build_ledger(workspace: &Workspace) -> Result<()> {
    link::build_componentize(workspace)?;
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
    link_if_changed(workspace, &Request::new(guest, workspace.artifact(LEDGER)))
}

fn build_c(workspace: &Workspace) -> Result<()> {
    let tools = ensure_c_toolchain(workspace)?;
    progress("building the guests in C");
    let dictionary = compile(workspace, &tools, "dictionary", "-O2")?;
    link_c(workspace, dictionary, "dictionary", false, C_GUEST)?;
    let missing_root = compile(workspace, &tools, "missing_root", "-O2")?;
    link_c(workspace, missing_root, "missing-root", false, MISSING_ROOT)?;
    for (level, spills_pointers, component) in UNROOTED {
        let unrooted = compile(workspace, &tools, "unrooted", level)?;
        link_c(workspace, unrooted, "unrooted", spills_pointers, component)?;
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

fn link_c(
    workspace: &Workspace,
    module: PathBuf,
    world: &str,
    spills_pointers: bool,
    component: &str,
) -> Result<()> {
    let mut request = Request::new(module, workspace.artifact(component));
    request.wit = Some(workspace.root().join("guest-tests/c/wit"));
    request.world = Some(world.to_owned());
    request.spills_pointers = spills_pointers;
    link_if_changed(workspace, &request)
}

/// Links, unless that was done with the same things before.
fn link_if_changed(workspace: &Workspace, request: &Request) -> Result<()> {
    let folder = workspace.artifacts().join("link");
    let name = request.output.strip_prefix(workspace.artifacts()).unwrap_or(&request.output);
    let stamp = folder.join(name.display().to_string().replace('/', "-")).with_extension("inputs");
    let inputs = inputs(workspace, request)?;
    if request.output.is_file() && fs::read_to_string(&stamp).is_ok_and(|known| known == inputs) {
        return Ok(());
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Taken away first: an interrupted run must not look like a finished one.
    let _ = fs::remove_file(&stamp);
    progress(&format!("linking {}", workspace.display(&request.output)));
    link::link(workspace, request)?;
    fs::write(&stamp, inputs).with_context(|| format!("cannot write {}", stamp.display()))
}

/// A short text that differs where what goes into a link does.
fn inputs(workspace: &Workspace, request: &Request) -> Result<String> {
    let mut files = vec![request.guest.clone(), workspace.artifact(link::COLLECTOR)];
    if let Some(wit) = &request.wit {
        for entry in fs::read_dir(wit).with_context(|| format!("cannot read {}", wit.display()))? {
            files.push(entry?.path());
        }
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        content.hash(&mut hasher);
    }
    // The tool is large; when it was built says enough.
    let tool = fs::metadata(workspace.tool("tether-componentize"))?;
    (tool.len(), tool.modified()?).hash(&mut hasher);
    Ok(format!("{:016x} {request:?}\n", hasher.finish()))
}
