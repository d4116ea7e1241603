//! The base of the tests: the artifacts, and the three hosts of the ledger.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tether_runner::ledger::{Program, Settings, Surroundings};
use tether_runner::report::{Circumstances, of_run};

/// Settings of a run that keep every default.
pub const DEFAULTS: Settings = Settings {
    heap_limit_bytes: 0,
    wrap_capacity: 0,
    wrap_limit: 0,
    keep_decimals: false,
    pack_numbers: false,
};

/// A host of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The wasmtime that is linked into this program.
    Wasmtime,
    /// jco, by the name that the harness has for its version.
    Jco(&'static str),
}

/// The door of the collector that the ledger uses, and how the two are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Two components, composed.
    Component,
    /// The composition, fused.
    Fused,
    /// The same ledger, linked with the component door lowered.
    Linked,
    /// One module, linked with the core door.
    Core,
}

impl Door {
    fn name(self) -> &'static str {
        match self {
            Door::Component => "component",
            Door::Fused => "fused",
            Door::Linked => "linked",
            Door::Core => "core",
        }
    }

    fn artifact(self) -> PathBuf {
        artifact(match self {
            Door::Component => "ledger-composed.wasm",
            Door::Fused => "ledger-fused.wasm",
            Door::Linked => "ledger-linked.wasm",
            Door::Core => "ledger-core.wasm",
        })
    }
}

/// Runs the ledger over a document and gives its report.
pub fn run(host: Host, document: &[u8], settings: Settings) -> Value {
    run_through(Door::Component, host, document, settings)
}

/// Runs the ledger through one of the doors.
pub fn run_through(door: Door, host: Host, document: &[u8], settings: Settings) -> Value {
    match host {
        Host::Wasmtime => run_on_wasmtime(door, document, settings),
        Host::Jco(version) => run_on_jco(version, door, document, settings),
    }
}

fn run_on_wasmtime(door: Door, document: &[u8], settings: Settings) -> Value {
    static PROGRAMS: [OnceLock<Program>; 4] = [const { OnceLock::new() }; 4];
    let program = PROGRAMS[door as usize].get_or_init(|| Program::load(&door.artifact()).unwrap());
    let run = program.run(document, settings, Surroundings::default()).unwrap();
    let around = Circumstances {
        host: "wasmtime",
        door: door.name(),
        document: "document.json",
        packs_numbers: settings.pack_numbers && !settings.keep_decimals,
    };
    of_run(&run, &around).0
}

fn run_on_jco(version: &str, door: Door, document: &[u8], settings: Settings) -> Value {
    let path = temporary("document.json");
    std::fs::write(&path, document).unwrap();
    let mut node = match door {
        Door::Fused => jco_harness_with("run.mjs", version, &node_for_two_memories()),
        _ => jco_harness("run.mjs", version),
    };
    node.arg(door.artifact()).arg(&path).args(["--door", door.name()]);
    node.args(["--heap-limit", &settings.heap_limit_bytes.to_string()])
        .args(["--wrap-capacity", &settings.wrap_capacity.to_string()])
        .args(["--wrap-limit", &settings.wrap_limit.to_string()]);
    if settings.keep_decimals {
        node.arg("--keep-decimals");
    }
    if settings.pack_numbers {
        node.arg("--pack-numbers");
    }
    let (code, report) = run_json(&mut node);
    std::fs::remove_file(&path).unwrap();
    let expected = if report["error"].is_null() { 0 } else { 1 };
    assert_eq!(code, expected, "{report}");
    report
}

/// Node with a script of the jco harness.
pub fn jco_harness(script: &str, version: &str) -> Command {
    jco_harness_with(script, version, "node".as_ref())
}

/// The Node for modules with two memories, which `cargo xtask test` names: Node 20 runs none.
pub fn node_for_two_memories() -> PathBuf {
    env::var_os("TETHER_NODE").map_or_else(|| "node".into(), PathBuf::from)
}

/// A Node with a script of the jco harness.
pub fn jco_harness_with(script: &str, version: &str, node: &Path) -> Command {
    let mut node = Command::new(node);
    node.arg(manifest_folder().join("../jco").join(script))
        .args(["--jco", version, "--cache"])
        .arg(artifacts().join("jco"));
    node
}

/// Runs a program that prints one JSON object: its exit code, and the object.
pub fn run_json(command: &mut Command) -> (i32, Value) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{command:?} printed no JSON ({error}); {stderr}"));
    (output.status.code().expect("no signal ended it"), value)
}

/// A path for a file that this test alone uses.
pub fn temporary(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    folder.join(format!("{}-{count}-{name}", std::process::id()))
}

/// One of the artifacts of `cargo xtask build`.
pub fn artifact(name: &str) -> PathBuf {
    let path = artifacts().join(name);
    assert!(path.is_file(), "{} is missing: run `cargo xtask build` first", path.display());
    path
}

/// The default document of `cargo xtask run`.
pub fn default_document() -> Vec<u8> {
    let path = env::var_os("TETHER_DOCUMENT").map_or_else(
        || artifacts().join("npm/world-atlas-2.0.2/node_modules/world-atlas/countries-10m.json"),
        PathBuf::from,
    );
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}: run `cargo xtask run` once, which fetches it", path.display())
    })
}

/// The small document in the repository.
pub fn small_document() -> Vec<u8> {
    std::fs::read(manifest_folder().join("../ledger/documents/small.json")).unwrap()
}

/// The folder of the artifacts.
pub fn artifacts() -> PathBuf {
    env::var_os("TETHER_ARTIFACTS")
        .map_or_else(|| manifest_folder().join("../../target/tether"), PathBuf::from)
}

fn manifest_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Makes of each function `case(host)` one test for every host.
macro_rules! on_every_host {
    ($($case:ident),* $(,)?) => {
        mod wasmtime {
            use crate::support::Host;
            $(#[test] fn $case() { super::$case(Host::Wasmtime); })*
        }
        mod jco_current {
            use crate::support::Host;
            $(#[test] fn $case() { super::$case(Host::Jco("current")); })*
        }
        mod jco_1_10_2 {
            use crate::support::Host;
            $(#[test] fn $case() { super::$case(Host::Jco("1.10.2")); })*
        }
    };
}
pub(crate) use on_every_host;

/// Makes of each function `case(version)` one test for every version of jco.
macro_rules! on_every_jco {
    ($($case:ident),* $(,)?) => {
        mod jco_current {
            $(#[test] fn $case() { super::$case("current"); })*
        }
        mod jco_1_10_2 {
            $(#[test] fn $case() { super::$case("1.10.2"); })*
        }
    };
}
pub(crate) use on_every_jco;

/// A form of the collector that has the interface of its base component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The base component itself.
    Component,
    /// A guest that passes everything through, composed with the base component.
    Composed,
    /// That composition, fused.
    Fused,
    /// The same guest, linked with the component door lowered.
    Linked,
}

impl Form {
    /// The artifact.
    pub fn artifact(self) -> &'static str {
        match self {
            Form::Component => "tether-gc.wasm",
            Form::Composed => "passthrough-composed.wasm",
            Form::Fused => "passthrough-fused.wasm",
            Form::Linked => "passthrough-linked.wasm",
        }
    }
}

/// Makes of each function `case(form)` one test for every form of the collector.
macro_rules! on_every_form {
    ($($case:ident),* $(,)?) => {
        mod component {
            use crate::support::Form;
            $(#[test] fn $case() { super::$case(Form::Component); })*
        }
        mod composed {
            use crate::support::Form;
            $(#[test] fn $case() { super::$case(Form::Composed); })*
        }
        mod fused {
            use crate::support::Form;
            $(#[test] fn $case() { super::$case(Form::Fused); })*
        }
        mod linked {
            use crate::support::Form;
            $(#[test] fn $case() { super::$case(Form::Linked); })*
        }
    };
}
pub(crate) use on_every_form;
