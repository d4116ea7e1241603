//! The guests, under `target/tether/`: the ledger, a language runtime in WAT by hand, programs in
//! C, and the guest that passes everything through.
//!
//! Each is linked as its author would link it, with `tether link`. It is linked again only if
//! something that goes into it has changed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cli::{self, COLLECTOR, LOWERED, tether, tether_link};
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

/// The guest in C that imports the collector by its WIT, in its forms.
const C_BOUND_COMPOSED: &str = "c-bound-composed.wasm";
const C_BOUND_LINKED: &str = "c-bound-linked.wasm";
const C_BOUND_LIBRARY: &str = "c-bound-library.wasm";
const C_BOUND_FUSED: &str = "c-bound-fused.wasm";

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

/// The guest that exports each function of the collector's that it imports, in its forms.
const PASSTHROUGH_LINKED: &str = "passthrough-linked.wasm";
const PASSTHROUGH_COMPOSED: &str = "passthrough-composed.wasm";
const PASSTHROUGH_FUSED: &str = "passthrough-fused.wasm";

/// The ledger's own stack, at the lowest addresses. Its data follows; both must end
/// below 1 MiB.
const LEDGER_STACK_BYTES: u32 = 64 * 1024;

/// Makes all guests. The collector must have been built.
pub fn build(workspace: &Workspace) -> Result<()> {
    build_ledger(workspace)?;
    build_ledger_linked(workspace)?;
    build_ledger_fused(workspace)?;
    build_wat(workspace)?;
    build_composed(workspace)?;
    build_passthrough(workspace)?;
    build_c(workspace)
}

/// Makes what the differential test runs in the collector's place.
fn build_passthrough(workspace: &Workspace) -> Result<()> {
    progress("building the guest that passes everything through");
    run(
        cargo(workspace).args(["build", "--package", "tether-passthrough"]),
        "building tether-passthrough",
    )?;
    let write = |file: &str, options: &[&str]| {
        let module = workspace.artifact(file);
        run(
            Command::new(workspace.tool("tether-passthrough"))
                .arg(workspace.root().join("wit"))
                .arg(&module)
                .args(options),
            "writing the guest that passes everything through",
        )?;
        anyhow::Ok(module)
    };
    let module = write("core/passthrough.wasm", &[])?;
    link(workspace, &module, PASSTHROUGH_LINKED, None, &[])?;
    let module = write("core/passthrough-memory.wasm", &["--own-memory"])?;
    compose(workspace, &module, PASSTHROUGH_COMPOSED)?;
    fuse(workspace, PASSTHROUGH_COMPOSED, PASSTHROUGH_FUSED)
}

/// Makes a component of a guest that has a memory and carries its world, and composes it with the
/// collector.
fn compose(workspace: &Workspace, module: &Path, composition: &str) -> Result<()> {
    let component = module.with_extension("component.wasm");
    run(
        tether(workspace, "encode").arg(module).arg("-o").arg(&component),
        "making a component of the guest",
    )?;
    run(
        tether(workspace, "compose")
            .args([&component, &workspace.artifact("tether-gc.wasm")])
            .arg("-o")
            .arg(workspace.artifact(composition)),
        "composing the guest with the collector",
    )
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

/// Links the ledger that imports `tether:gc`: the module of which the component was made. The
/// collector and the ledger must have been built.
pub fn build_ledger_linked(workspace: &Workspace) -> Result<()> {
    link(workspace, &workspace.artifact("core/ledger.wasm"), LEDGER_LINKED, None, &[])
}

/// Fuses the composed ledger, which must have been built.
pub fn build_ledger_fused(workspace: &Workspace) -> Result<()> {
    progress("building `tether fuse`");
    cli::build_fuse(workspace)?;
    fuse(workspace, "ledger-composed.wasm", LEDGER_FUSED)
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
    build_c_bound(workspace, &tools)
}

/// Makes the guest in C that imports the collector, with wit-bindgen's C and wasi-libc, as its
/// author would.
fn build_c_bound(workspace: &Workspace, tools: &CTools) -> Result<()> {
    const WORLD: &str = "bound-dictionary";
    const C: &str = "bound_dictionary";
    run(
        cargo(workspace).args(["build", "--package", "tether-c-bindings"]),
        "building tether-c-bindings",
    )?;
    let sources = workspace.root().join("guest-tests/c");
    let bindings = workspace.artifact("core/c-bound");
    run(
        Command::new(workspace.tool("tether-c-bindings"))
            .arg(&bindings)
            .arg(WORLD)
            .arg(workspace.root().join("wit"))
            .args([sources.join("wit"), sources.join("bound")]),
        "writing the bindings for the guest in C",
    )?;
    let clang = || {
        let mut clang = Command::new(&tools.clang);
        clang.args(["--target=wasm32-wasi", "--sysroot=/usr", "-std=c11", "-O2"]);
        clang
    };
    let object = |name: &str| bindings.join(name).with_extension("o");
    for (source, options) in [
        (sources.join("bound/dictionary.c"), &["-Wall", "-Wextra", "-Werror"][..]),
        (bindings.join(C).with_extension("c"), &[]),
    ] {
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        run(
            clang()
                .args(options)
                .arg("-I")
                .arg(&bindings)
                .arg("-c")
                .arg(&source)
                .arg("-o")
                .arg(object(&name)),
            &format!("compiling {}", source.display()),
        )?;
    }
    let link_c = |module: &Path, library: Option<&str>| {
        run(
            clang()
                .args(["-mexec-model=reactor", "-Wl,-z,stack-size=65536"])
                .args(["dictionary", C].map(object))
                .arg(bindings.join(format!("{C}_component_type.o")))
                .args(library.map(|library| workspace.artifact(library)))
                .arg("-o")
                .arg(module),
            &format!("linking {}", module.display()),
        )
    };
    let module = workspace.artifact("core/c-bound.wasm");
    link_c(&module, None)?;
    link(workspace, &module, C_BOUND_LINKED, None, &[])?;
    compose(workspace, &module, C_BOUND_COMPOSED)?;
    fuse(workspace, C_BOUND_COMPOSED, C_BOUND_FUSED)?;
    let module = workspace.artifact("core/c-bound-library.wasm");
    link_c(&module, Some("libtether_gc_lowered.a"))?;
    link(workspace, &module, C_BOUND_LIBRARY, None, &[])
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
    let collectors = [COLLECTOR, LOWERED].map(|file| workspace.artifact(file));
    let mut files = vec![guest.to_path_buf()];
    files.extend(collectors);
    let mut words: Vec<OsString> = vec![guest.into(), "-o".into(), output.clone().into()];
    if let Some(wit) = wit.map(|folder| workspace.root().join(folder)) {
        for entry in fs::read_dir(&wit).with_context(|| format!("cannot read {}", wit.display()))? {
            files.push(entry?.path());
        }
        words.extend(["--wit".into(), wit.into()]);
    }
    words.extend(options.iter().map(OsString::from));
    files.sort();
    make(workspace, &output, &files, &words, workspace.tool("tether"), |words| {
        cli::run_quietly(tether_link(workspace)?.args(words), "linking")
    })
}

/// Fuses a composition, unless it was fused before. `tether fuse` must have been built.
fn fuse(workspace: &Workspace, composition: &str, artifact: &str) -> Result<()> {
    let composition = workspace.artifact(composition);
    let output = workspace.artifact(artifact);
    let words = [composition.clone().into(), "-o".into(), output.clone().into()];
    make(workspace, &output, &[composition], &words, workspace.tool("tether-fuse"), |words| {
        // The tools of Binaryen are there from here on.
        npm::fetch_wasm_opt(workspace)?;
        cli::run_quietly(tether(workspace, "fuse").args(words), "fusing")
    })
}

/// Makes an artifact with a tool, unless the same tool made it before from equal files with equal
/// words.
fn make(
    workspace: &Workspace,
    output: &Path,
    files: &[PathBuf],
    words: &[OsString],
    tool: PathBuf,
    run: impl FnOnce(&[OsString]) -> Result<()>,
) -> Result<()> {
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    // The tool is a large file, so the stamp has the time of its build instead of its hash.
    let tool = fs::metadata(tool)?;
    let tool = (tool.len(), tool.modified()?);
    make_if_changed(output, &files, &(words, tool), || {
        let doing = format!("making {}", workspace.display(output));
        progress(&doing);
        run(words).context(doing)
    })
}
