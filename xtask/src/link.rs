//! `cargo xtask link`: a guest and the collector's core module made one module,
//! optimised as one, and made a component.
//!
//! What is checked and rewritten stands in `guest-tests/componentize/src/link.rs`;
//! here Binaryen's tools come in between.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};

use crate::process::{cargo, run};
use crate::workspace::Workspace;
use crate::{build, npm};

const HELP: &str = "\
Links a core module with the collector: one module, optimised as one, and with a
world one component that runs wherever components do.

Usage: cargo xtask link GUEST -o OUT.wasm [options]

GUEST is a core module, binary (.wasm) or text (.wat), that imports from the
module `tether_gc` its memory and whatever it uses of the collector's functions
and of the constant `tether_state` (docs/core-abi.md). A memory imported from
`env`, as linkers write it, is taken for the collector's. Or it is a module that
wasm-ld has linked with libtether_gc.a; it is then only optimised and encoded.

Whatever else GUEST imports stays as it is, from `env` too, where clang and wasm-ld put
what is not said to come from elsewhere. Names that begin with `tether_` are the
collector's.

Addresses below 1048576 (1 MiB) are the guest's, for its data and its own stack.

The guest may export `tether_release` to be given released handles; otherwise they
wait for `tether_drain`.

Options:
  -o, --output FILE     where the result goes
      --wit PATH        the WIT of the guest's world: a file, or a folder with a
                        package. Without it the world is the one that the guest
                        carries (wit-bindgen puts it there); where it carries none,
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
      --collector FILE  another core module than target/tether/tether_gc.core.wasm
      --json            print one JSON object instead
  -h, --help            print this

The steps: tether-componentize prepare, wasm-merge, tether-componentize trim,
wasm-opt, tether-componentize finish.
";

/// The collector for core modules, as `cargo xtask build` makes it.
pub const COLLECTOR: &str = "tether_gc.core.wasm";

/// What the tools may find in a module, and use themselves. Component hosts have
/// all of it.
const FEATURES: [&str; 10] = [
    "--enable-bulk-memory",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-simd",
    "--enable-tail-call",
    "--enable-extended-const",
    "--enable-bulk-memory-opt",
];

/// What to link, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The guest's module, `.wasm` or `.wat`.
    pub guest: PathBuf,
    /// Where the result goes.
    pub output: PathBuf,
    /// The collector; none for the one that was built.
    pub collector: Option<PathBuf>,
    /// Where the world's WIT is.
    pub wit: Option<PathBuf>,
    /// Which world.
    pub world: Option<String>,
    /// Whether the result is a core module, whatever the guest carries.
    pub is_core: bool,
    /// The level of `wasm-opt`; none to leave the code as it is.
    pub level: Option<String>,
    /// Whether pointers are kept on the guest's own stack.
    pub spills_pointers: bool,
    /// Whether functions keep their names.
    pub keeps_names: bool,
}

impl Request {
    /// The defaults.
    pub fn new(guest: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Request {
            guest: guest.into(),
            output: output.into(),
            collector: None,
            wit: None,
            world: None,
            is_core: false,
            level: Some("3".to_owned()),
            spills_pointers: false,
            keeps_names: false,
        }
    }
}

/// What was linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    guest_bytes: u64,
    /// The collector's functions that the guest imports; none where a linker had
    /// put the collector in.
    functions: Option<Vec<String>>,
    is_queue: bool,
    is_component: bool,
    size_bytes: u64,
}

/// Runs the command.
pub fn command(parser: Parser) -> Result<ExitCode> {
    let Some((request, as_json)) = parse(parser)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    // Whatever is wrong with the file's name is said before anything is built.
    ensure!(request.guest.is_file(), "cannot read {}", request.guest.display());
    let workspace = Workspace::find();
    build_componentize(&workspace)?;
    if request.collector.is_none() && !workspace.artifact(COLLECTOR).is_file() {
        build::build(&workspace)?;
    }
    let linked = link(&workspace, &request)?;
    if as_json {
        println!("{}", linked.to_json(&request));
    } else {
        println!("{}", linked.to_text(&request));
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the tool that checks, rewrites and encodes.
pub fn build_componentize(workspace: &Workspace) -> Result<()> {
    run(
        cargo(workspace).args(["build", "--package", "tether-componentize"]),
        "building tether-componentize",
    )
}

/// Links. `tether-componentize` and the collector must have been built.
pub fn link(workspace: &Workspace, request: &Request) -> Result<Linked> {
    let folder = workspace.artifacts().join(format!("link/{}", process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let linked = Linker { workspace, request, folder: &folder }.link();
    // What is left behind does no harm.
    let _ = fs::remove_dir_all(&folder);
    linked
}

struct Linker<'a> {
    workspace: &'a Workspace,
    request: &'a Request,
    /// For what lies between the steps.
    folder: &'a Path,
}

impl Linker<'_> {
    fn link(&self) -> Result<Linked> {
        let request = self.request;
        let guest = self.binary()?;
        let prepared = self.prepare(&guest)?;
        let modules = modules(&prepared)?;
        let is_component =
            !request.is_core && (request.wit.is_some() || prepared["has_world"] == true);
        let merges = modules.iter().any(|(_, name)| name == "tether_gc");

        if request.spills_pointers && merges {
            // The collector's own code has no need of it.
            self.optimise(&modules[0].0, &modules[0].0, &self.passes(true))?;
        }
        let merged = self.file("merged.wasm");
        self.merge(&modules, &merged)?;
        let trimmed = self.file("trimmed.wasm");
        let mut trim = self.componentize();
        trim.arg("trim").args([&merged, &guest, &trimmed]);
        if is_component {
            trim.arg("--component");
        }
        asked(&mut trim).context("cannot leave out exports")?;
        let optimised = self.file("optimised.wasm");
        self.optimise(&trimmed, &optimised, &self.passes(request.spills_pointers && !merges))?;
        if is_component {
            self.finish(&optimised, &guest)?;
        } else {
            fs::copy(&optimised, &request.output)
                .map(drop)
                .with_context(|| format!("cannot write {}", request.output.display()))?;
        }
        Ok(Linked {
            guest_bytes: size(&guest)?,
            functions: merges.then(|| strings(&prepared["functions"])),
            is_queue: prepared["release"] == "queue",
            is_component,
            size_bytes: size(&request.output)?,
        })
    }

    /// The guest as a binary.
    fn binary(&self) -> Result<PathBuf> {
        let guest = &self.request.guest;
        if guest.extension().is_none_or(|extension| extension != "wat") {
            return Ok(guest.clone());
        }
        let binary = self.file("assembled.wasm");
        let mut assemble = self.binaryen("wasm-as")?;
        assemble.arg(guest).arg("-g").arg("-o").arg(&binary);
        run(&mut assemble, &format!("assembling {}", guest.display()))?;
        Ok(binary)
    }

    fn prepare(&self, guest: &Path) -> Result<Value> {
        let collector = match &self.request.collector {
            Some(path) => path.clone(),
            None => self.workspace.artifact(COLLECTOR),
        };
        let mut prepare = self.componentize();
        prepare.arg("prepare").args([guest, &collector, self.folder]);
        self.add_world(&mut prepare);
        let summary = asked(&mut prepare)
            .with_context(|| format!("cannot link {}", self.request.guest.display()))?;
        serde_json::from_slice(&summary).context("tether-componentize gave no summary")
    }

    fn add_world(&self, command: &mut Command) {
        if let Some(wit) = &self.request.wit {
            command.arg("--wit").arg(wit);
        }
        if let Some(world) = &self.request.world {
            command.args(["--world", world]);
        }
    }

    fn merge(&self, modules: &[(PathBuf, String)], merged: &Path) -> Result<()> {
        if let [(only, _)] = modules {
            return fs::copy(only, merged).map(drop).context("cannot copy the guest");
        }
        let mut merge = self.binaryen("wasm-merge")?;
        for (file, name) in modules {
            merge.arg(file).arg(name);
        }
        merge.arg("-g").arg("-o").arg(merged);
        run(&mut merge, "merging the guest and the collector with wasm-merge")
    }

    /// What `wasm-opt` is to do.
    fn passes(&self, spills_pointers: bool) -> Vec<String> {
        let level = self.request.level.as_ref().map(|level| format!("-O{level}"));
        let mut passes: Vec<String> = level.iter().cloned().collect();
        if spills_pointers {
            // A value can only be spilled where it has a local of its own: flattening
            // gives it one. What is spilled stays so when the code is optimised
            // again, because no pass takes a store from in front of a call.
            passes.extend(["--flatten".to_owned(), "--spill-pointers".to_owned()]);
            passes.extend(level);
        }
        passes
    }

    fn optimise(&self, from: &Path, to: &Path, passes: &[String]) -> Result<()> {
        if passes.is_empty() {
            if from != to {
                fs::copy(from, to).context("cannot copy the merged module")?;
            }
            return Ok(());
        }
        let mut optimise = self.binaryen("wasm-opt")?;
        optimise.args(passes).arg(from).arg("-o").arg(to);
        if self.request.keeps_names {
            optimise.arg("-g");
        }
        let spills = passes.iter().any(|pass| pass == "--spill-pointers");
        run(
            &mut optimise,
            if spills {
                "spilling pointers with wasm-opt, which takes the guest's first global that it does \
                 not export for the C stack's pointer, as wasm-ld makes it,"
            } else {
                "optimising with wasm-opt"
            },
        )
    }

    fn finish(&self, linked: &Path, guest: &Path) -> Result<()> {
        let request = self.request;
        let mut finish = self.componentize();
        finish.arg("finish").args([linked, guest, &request.output]);
        self.add_world(&mut finish);
        if request.keeps_names {
            finish.arg("--keep-names");
        }
        asked(&mut finish)
            .map(drop)
            .with_context(|| format!("cannot make a component of {}", request.guest.display()))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn componentize(&self) -> Command {
        Command::new(self.workspace.tool("tether-componentize"))
    }

    fn binaryen(&self, tool: &str) -> Result<Command> {
        let mut command = Command::new("node");
        command.arg(npm::fetch_binaryen(self.workspace, tool)?).args(FEATURES);
        Ok(command)
    }
}

/// What `tether-componentize` prints. What it complains about becomes the error.
fn asked(command: &mut Command) -> Result<Vec<u8>> {
    let ran = command.stdin(Stdio::null()).output().context("cannot start tether-componentize")?;
    if !ran.status.success() {
        let message = String::from_utf8_lossy(&ran.stderr);
        let message = message.trim();
        bail!("{}", message.strip_prefix("tether-componentize: ").unwrap_or(message));
    }
    Ok(ran.stdout)
}

/// What is to be merged: files and names.
fn modules(prepared: &Value) -> Result<Vec<(PathBuf, String)>> {
    let modules = prepared["merge"].as_array().context("tether-componentize names no modules")?;
    modules
        .iter()
        .map(|module| match (module["file"].as_str(), module["name"].as_str()) {
            (Some(file), Some(name)) => Ok((file.into(), name.to_owned())),
            _ => bail!("tether-componentize names a module without a file: {module}"),
        })
        .collect()
}

fn strings(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn size(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path);
    Ok(metadata.with_context(|| format!("cannot read {}", path.display()))?.len())
}

impl Linked {
    fn to_text(&self, request: &Request) -> String {
        let collector = match &self.functions {
            Some(functions) => format!("merged; the guest imports {}", functions.join(", ")),
            None => "linked by wasm-ld already".to_owned(),
        };
        let released = if self.is_queue {
            "wait for tether_drain (the guest has no tether_release)"
        } else {
            "go to the guest's tether_release"
        };
        let optimised = match &request.level {
            Some(level) => format!("wasm-opt -O{level}"),
            None => "not at all".to_owned(),
        };
        let spilled = if request.spills_pointers { ", pointers on the C stack" } else { "" };
        let kind = if self.is_component { "a component" } else { "a core module" };
        format!(
            "guest      {}, {} bytes\ncollector  {collector}\nhandles    {released}\n\
             optimised  {optimised}{spilled}\nresult     {}, {kind} of {} bytes",
            request.guest.display(),
            self.guest_bytes,
            request.output.display(),
            self.size_bytes,
        )
    }

    fn to_json(&self, request: &Request) -> Value {
        json!({
            "guest": request.guest.display().to_string(),
            "guest_bytes": self.guest_bytes,
            "merged": self.functions.is_some(),
            "functions": self.functions,
            "handles": if self.is_queue { "queue" } else { "release" },
            "optimised": request.level,
            "spill_pointers": request.spills_pointers,
            "result": request.output.display().to_string(),
            "component": self.is_component,
            "size_bytes": self.size_bytes,
        })
    }
}

/// The command line's options; none where it only asks for help.
fn parse(mut parser: Parser) -> Result<Option<(Request, bool)>> {
    let mut guest = None;
    let mut output = None;
    let mut request = Request::new("", "");
    let mut as_json = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("output") | Arg::Short('o') => output = Some(PathBuf::from(parser.value()?)),
            Arg::Long("wit") => request.wit = Some(parser.value()?.into()),
            Arg::Long("world") => request.world = Some(parser.value()?.string()?),
            Arg::Long("core") => request.is_core = true,
            Arg::Short('O') => request.level = Some(level(&parser.value()?.string()?)?),
            Arg::Long("no-optimise") => request.level = None,
            Arg::Long("spill-pointers") => request.spills_pointers = true,
            Arg::Long("keep-names") => request.keeps_names = true,
            Arg::Long("collector") => request.collector = Some(parser.value()?.into()),
            Arg::Long("json") => as_json = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Value(path) if guest.is_none() => guest = Some(PathBuf::from(path)),
            other => return Err(other.unexpected().into()),
        }
    }
    request.guest = guest.context("no guest is given; see `cargo xtask link --help`")?;
    request.output = output.context("-o is missing: where is the result to go?")?;
    ensure!(
        request.world.is_none() || request.wit.is_some(),
        "--world names a world, and --wit is missing: where is its WIT?"
    );
    ensure!(
        !(request.is_core && request.wit.is_some()),
        "--core leaves a core module, which has no world: leave out --wit"
    );
    ensure!(request.output != request.guest, "the result would overwrite the guest");
    Ok(Some((request, as_json)))
}

fn level(text: &str) -> Result<String> {
    ensure!(
        ["0", "1", "2", "3", "4", "s", "z"].contains(&text),
        "-O takes 0 to 4, s or z, not `{text}`"
    );
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Request> {
        let parser = Parser::from_args(words.iter().map(|word| word.to_string()));
        parse(parser).map(|parsed| parsed.unwrap().0)
    }

    #[test]
    fn every_option_is_understood() {
        let request = parsed(&[
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
            "--json",
        ]);
        assert_eq!(
            request.unwrap(),
            Request {
                collector: Some("c.wasm".into()),
                wit: Some("wit".into()),
                world: Some("w".to_owned()),
                level: Some("2".to_owned()),
                spills_pointers: true,
                keeps_names: true,
                ..Request::new("a.wat", "b.wasm")
            }
        );
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

    #[test]
    fn spilling_comes_between_two_optimisations() {
        let workspace = Workspace::find();
        let mut request = Request::new("a.wasm", "b.wasm");
        let folder = Path::new("");
        let passes = |request: &Request, spills: bool| {
            Linker { workspace: &workspace, request, folder }.passes(spills)
        };
        assert_eq!(passes(&request, false), ["-O3"]);
        assert_eq!(passes(&request, true), ["-O3", "--flatten", "--spill-pointers", "-O3"]);
        request.level = None;
        assert_eq!(passes(&request, true), ["--flatten", "--spill-pointers"]);
    }
}
