//! Builds the programs that are measured, from sources in the repository and from registry
//! packages. Every C program has the same compiler, the same flags and the same pass through
//! wasm-opt, so that no peer is favoured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::Value;
use xtask::cli::{self, tether, tether_link};
use xtask::debian::{CTools, ensure_c_toolchain};
use xtask::npm;
use xtask::process::{cargo, output, progress, run};
use xtask::tools::{WASM_TARGET, ensure_wasm_target};
use xtask::workspace::Workspace;

use crate::cells::Peer;

const SOURCES: &str = "benches";

/// The flags of every C compilation. The features are those of rustc's Wasm target.
const C_FLAGS: [&str; 7] = [
    "-O3",
    "-Wall",
    "-Wextra",
    "-mbulk-memory",
    "-msign-ext",
    "-mnontrapping-fptoint",
    "-mmutable-globals",
];

const WASM_OPT_FLAGS: [&str; 8] = [
    "-O3",
    "--enable-bulk-memory",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-mutable-globals",
    "--enable-multivalue",
    "--enable-reference-types",
    "--strip-debug",
];

const WASM_GC_FLAGS: [&str; 3] = ["-O3", "--enable-gc", "--enable-reference-types"];

/// The memory of a guest that `tether link` takes is the collector's, and the guest's stack and
/// data lie in the first MiB.
const LINKED_GUEST_ARGS: [&str; 2] = ["--import-memory", "-zstack-size=65536"];

/// The crate that ships Boehm's collector, bdwgc 8.3.
const BOEHM_CRATE: (&str, &str) = ("bdwgc-alloc-sys", "0.6.16");

/// No stack scan, because a program cannot see Wasm's stack; and no code for debugging and for
/// options from the environment. Debian's wasi-libc does not say the size of a page.
const BOEHM_FLAGS: [&str; 5] = [
    "-DSTACK_NOT_SCANNED",
    "-DNO_GETENV",
    "-DNO_DEBUGGING",
    "-DDONT_USE_ATEXIT",
    "-Dgetpagesize()=65536",
];

/// Which of a peer's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The program with the workloads of time, and all others that have no program of their own.
    Workloads,
    /// The program with handles.
    Handles,
    /// The program with the cliffs.
    Cliffs,
    /// The core module of a program that is a component of one module.
    CoreModule,
}

impl Source {
    /// Every one.
    pub const ALL: [Source; 4] =
        [Source::Workloads, Source::Handles, Source::Cliffs, Source::CoreModule];
}

/// Builds peers.
pub struct Builder<'a> {
    workspace: &'a Workspace,
    tools: CTools,
    wasm_opt: PathBuf,
    folder: PathBuf,
}

impl<'a> Builder<'a> {
    /// Fetches the tools of all builds.
    pub fn new(workspace: &'a Workspace) -> Result<Self> {
        ensure_wasm_target(workspace)?;
        let folder = workspace.artifacts().join("bench");
        fs::create_dir_all(&folder).context("cannot make the folder for the benchmark")?;
        Ok(Builder {
            workspace,
            tools: ensure_c_toolchain(workspace)?,
            wasm_opt: npm::fetch_wasm_opt(workspace)?,
            folder,
        })
    }

    /// Builds one of a peer's programs, unless it is built and nothing has changed. The program
    /// for handles may be the one for workloads.
    pub fn build(&self, peer: Peer, source: Source) -> Result<PathBuf> {
        let for_handles = source == Source::Handles;
        match peer {
            Peer::Tether if source == Source::Cliffs => self.cliffs(),
            Peer::Tether => self.tether(),
            Peer::Boehm => self.boehm(),
            Peer::AsIncremental => self.assemblyscript(peer, "incremental", for_handles),
            Peer::AsMinimal => self.assemblyscript(peer, "minimal", for_handles),
            Peer::WasmGc | Peer::WasmGcDrc => self.wasm_gc(),
            Peer::Dlmalloc | Peer::Talc => self.explicit(peer),
            Peer::WasiLibc => {
                self.c_program(peer, "adapter_explicit.h", &["-DWITH_LIBC"], Libc::Wasi, &[])
            }
            Peer::JavaScript => Ok(self.source("javascript/workloads.mjs")),
            Peer::TetherComponent | Peer::TetherBatched | Peer::Crossings => self.composition(),
            Peer::TetherLinked | Peer::TetherLinkedBatched => self.linked(source),
            Peer::TetherFused | Peer::TetherFusedBatched => self.fused(source),
        }
    }

    fn tether(&self) -> Result<PathBuf> {
        let (headers, library) = self.tether_headers_and_library();
        self.c_program(Peer::Tether, "adapter_tether.h", &[&headers], Libc::None, &[&library])
    }

    fn cliffs(&self) -> Result<PathBuf> {
        let (headers, library) = self.tether_headers_and_library();
        let source = self.source("c/cliffs.c");
        let inputs = [source.clone(), self.tether_header()];
        self.c_module("cliffs", &source, &inputs, &[&headers], Libc::None, &[&library])
    }

    fn tether_headers_and_library(&self) -> (String, String) {
        let headers = format!("-I{}", self.workspace.artifacts().display());
        (headers, self.workspace.artifact("libtether_gc.a").display().to_string())
    }

    fn tether_header(&self) -> PathBuf {
        self.workspace.artifact("tether_gc.h")
    }

    fn boehm(&self) -> Result<PathBuf> {
        let sources = self.boehm_sources()?;
        let headers = format!("-I{}", sources.join("include").display());
        let object = self.folder.join("boehm.o");
        let whole = sources.join("extra/gc.c");
        if !is_fresh(&object, &[&whole]) {
            progress("compiling Boehm's collector");
            let mut clang = self.clang(Libc::Wasi);
            clang.args(BOEHM_FLAGS).args(["-w", &headers, "-c"]).arg(&whole).arg("-o").arg(&object);
            run(&mut clang, "compiling Boehm's collector")?;
        }
        let object = object.display().to_string();
        self.c_program(Peer::Boehm, "adapter_boehm.h", &[&headers], Libc::Wasi, &[&object])
    }

    /// Has Cargo fetch the crate, and gives the folder of the C sources in it.
    fn boehm_sources(&self) -> Result<PathBuf> {
        let (name, version) = BOEHM_CRATE;
        let folder = self.folder.join("boehm-sources");
        fs::create_dir_all(folder.join("src")).context("cannot make a folder for a manifest")?;
        let manifest = folder.join("Cargo.toml");
        let text = format!(
            "[package]\nname = \"sources\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\n{name} = {{ version = \"={version}\", default-features = false }}\n\
             [workspace]\n"
        );
        write_if_changed(&manifest, &text)?;
        write_if_changed(&folder.join("src/lib.rs"), "")?;
        let asked = output(
            cargo(self.workspace)
                .args(["metadata", "--format-version=1", "--manifest-path"])
                .arg(&manifest),
            "fetching the crate with Boehm's collector",
        )?;
        let metadata: Value = serde_json::from_slice(&asked.stdout)
            .with_context(|| format!("cargo cannot fetch {name} {version}"))?;
        metadata["packages"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|package| package["name"] == name)
            .and_then(|package| package["manifest_path"].as_str())
            .and_then(|path| Path::new(path).parent())
            .map(|folder| folder.join("vendor/bdwgc"))
            .with_context(|| format!("cargo names no folder for {name}"))
    }

    fn explicit(&self, peer: Peer) -> Result<PathBuf> {
        let name = peer.name();
        progress(&format!("building {name}"));
        run(
            cargo(self.workspace)
                .args(["rustc", "--quiet", "--package", "tether-bench-allocators", "--lib"])
                .args(["--profile", "bench-guest", "--target", WASM_TARGET])
                .args(["--crate-type", "staticlib", "--features", name]),
            &format!("building {name}"),
        )?;
        let built = self
            .workspace
            .target()
            .join(WASM_TARGET)
            .join("bench-guest/libtether_bench_allocators.a");
        // Cargo builds the next library to the same file.
        let library = self.folder.join(format!("lib{name}.a"));
        let content = fs::read(&built).with_context(|| format!("cannot read lib{name}.a"))?;
        if !fs::read(&library).is_ok_and(|old| old == content) {
            fs::write(&library, content).with_context(|| format!("cannot write lib{name}.a"))?;
        }
        let library = library.display().to_string();
        self.c_program(peer, "adapter_explicit.h", &[], Libc::None, &[&library])
    }

    fn c_program(
        &self,
        peer: Peer,
        adapter: &str,
        flags: &[&str],
        libc: Libc,
        libraries: &[&str],
    ) -> Result<PathBuf> {
        let workloads = self.source("c/workloads.c");
        let mut inputs = vec![workloads.clone(), self.source("c").join(adapter)];
        if peer == Peer::Tether {
            inputs.push(self.tether_header());
        }
        let adapter = format!("-DADAPTER=\"{adapter}\"");
        let flags: Vec<&str> = flags.iter().copied().chain([adapter.as_str()]).collect();
        self.c_module(peer.name(), &workloads, &inputs, &flags, libc, libraries)
    }

    /// A module of a C file and libraries, which is made again if these or `inputs` change.
    fn c_module(
        &self,
        name: &str,
        source: &Path,
        inputs: &[PathBuf],
        flags: &[&str],
        libc: Libc,
        libraries: &[&str],
    ) -> Result<PathBuf> {
        let program = self.folder.join(format!("{name}.wasm"));
        let inputs: Vec<&Path> =
            inputs.iter().map(PathBuf::as_path).chain(libraries.iter().map(Path::new)).collect();
        if is_fresh(&program, &inputs) {
            return Ok(program);
        }
        progress(&format!("compiling {name}.wasm"));
        let linked = self.folder.join(format!("{name}.linked.wasm"));
        let mut clang = self.clang(libc);
        clang.args(flags).arg(source).args(libraries);
        clang.args(match libc {
            Libc::Wasi => &["-mexec-model=reactor"][..],
            Libc::None => &["-Wl,--no-entry"],
        });
        run(clang.arg("-o").arg(&linked), &format!("compiling {name}.wasm"))?;
        self.optimise(&linked, &program, &WASM_OPT_FLAGS)?;
        Ok(program)
    }

    fn clang(&self, libc: Libc) -> Command {
        let mut clang = Command::new(&self.tools.clang);
        clang.args(match libc {
            Libc::Wasi => &["--target=wasm32-wasi", "--sysroot=/usr"][..],
            Libc::None => &["--target=wasm32-unknown-unknown", "-nostdlib"],
        });
        clang.args(C_FLAGS);
        clang
    }

    fn assemblyscript(&self, peer: Peer, runtime: &str, for_handles: bool) -> Result<PathBuf> {
        let what = if for_handles { "handles" } else { "workloads" };
        let program = self.folder.join(format!("{}-{what}.wasm", peer.name()));
        let source = self.source("assemblyscript").join(format!("{what}.ts"));
        if is_fresh(&program, &[&source]) {
            return Ok(program);
        }
        let compiler = npm::fetch_assemblyscript(self.workspace)?;
        progress(&format!("compiling {what}.ts for AssemblyScript's {runtime} runtime"));
        let linked = program.with_extension("linked.wasm");
        // At -O3 the compiler does not come to an end with the minimal runtime. wasm-opt does the
        // optimisations that -O3s leaves out: the instructions executed are the same.
        let level = if peer == Peer::AsMinimal { "-O3s" } else { "-O3" };
        run(
            Command::new("node")
                .arg(compiler)
                .arg(&source)
                .args([level, "--noAssert", "--runtime", runtime])
                .arg("--outFile")
                .arg(&linked),
            "compiling AssemblyScript",
        )?;
        self.optimise(&linked, &program, &WASM_OPT_FLAGS)?;
        Ok(program)
    }

    fn wasm_gc(&self) -> Result<PathBuf> {
        let program = self.folder.join("wasm-gc.wasm");
        let source = self.source("wasm-gc/workloads.wat");
        if !is_fresh(&program, &[&source]) {
            progress("optimising the workloads for Wasm GC");
            self.optimise(&source, &program, &WASM_GC_FLAGS)?;
        }
        Ok(program)
    }

    /// The core module of the guest that imports the collector's WIT, compiled with some more
    /// options for wasm-ld.
    fn guest(&self, name: &str, link_args: &[&str]) -> Result<PathBuf> {
        progress("building the guest that imports Tether's WIT");
        let mut rustc = cargo(self.workspace);
        rustc
            .args(["rustc", "--quiet", "--package", "tether-bench-component", "--lib"])
            .args(["--profile", "bench-guest", "--target", WASM_TARGET])
            .args(["--crate-type", "cdylib", "--"])
            .args(link_args.iter().map(|arg| format!("-Clink-arg={arg}")));
        run(&mut rustc, "building the guest that imports Tether's WIT")?;
        let built = self
            .workspace
            .target()
            .join(WASM_TARGET)
            .join("bench-guest/tether_bench_component.wasm");
        let guest = self.folder.join(name);
        fs::copy(&built, &guest).with_context(|| format!("cannot copy {}", built.display()))?;
        Ok(guest)
    }

    /// The guest, composed with the collector that drains.
    fn composition(&self) -> Result<PathBuf> {
        let module = self.guest("component-guest.wasm", &[])?;
        let guest = self.folder.join("component.wasm");
        let composed = self.folder.join("component-composed.wasm");
        run(
            tether(self.workspace, "encode").arg(&module).arg("-o").arg(&guest),
            "making a component of the guest",
        )?;
        run(
            tether(self.workspace, "compose")
                .arg(&guest)
                .arg(self.workspace.artifact("tether-gc.wasm"))
                .arg("-o")
                .arg(&composed),
            "composing the guest with the collector",
        )?;
        Ok(composed)
    }

    /// The guest, linked with the collector: a component, or its core module.
    fn linked(&self, source: Source) -> Result<PathBuf> {
        let guest = self.guest("linked-guest.wasm", &LINKED_GUEST_ARGS)?;
        let mut link = tether_link(self.workspace)?;
        let linked = self.of_one_module(&mut link, "component-linked", source);
        cli::run_quietly(link.arg(&guest), "linking the guest with the collector")?;
        Ok(linked)
    }

    /// The composition, fused: a component, or its core module.
    fn fused(&self, source: Source) -> Result<PathBuf> {
        let composed = self.composition()?;
        run(
            cargo(self.workspace).args(["build", "--package", "tether-fuse"]),
            "building `tether-fuse`",
        )?;
        let mut fuse = tether(self.workspace, "fuse");
        let fused = self.of_one_module(&mut fuse, "component-fused", source);
        cli::run_quietly(fuse.arg(&composed), "fusing the composition")?;
        Ok(fused)
    }

    /// Adds the output of `tether link` or `tether fuse` to the command, and gives its path.
    fn of_one_module(&self, command: &mut Command, name: &str, source: Source) -> PathBuf {
        let (name, options) = match source {
            Source::CoreModule => (format!("{name}.core.wasm"), &["--core"][..]),
            _ => (format!("{name}.wasm"), &[][..]),
        };
        let made = self.folder.join(name);
        command.args(options).arg("-o").arg(&made);
        made
    }

    fn optimise(&self, from: &Path, to: &Path, flags: &[&str]) -> Result<()> {
        run(
            Command::new("node").arg(&self.wasm_opt).args(flags).arg(from).arg("-o").arg(to),
            "optimising with wasm-opt",
        )
    }

    fn source(&self, path: &str) -> PathBuf {
        self.workspace.root().join(SOURCES).join(path)
    }
}

/// Which C library a program has.
#[derive(Clone, Copy)]
enum Libc {
    Wasi,
    None,
}

/// Whether a file is there, and newer than all that it is made of.
fn is_fresh(made: &Path, of: &[&Path]) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let is_older =
        |than: SystemTime| of.iter().all(|input| changed(input).is_some_and(|at| at < than));
    changed(made).is_some_and(is_older)
}

fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
