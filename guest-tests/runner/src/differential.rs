//! The differential test. A trace of the model is recorded on the native collector. It is
//! replayed on the native collector; under wasmtime on the core module, on the components, and on
//! a guest that passes everything through to the component door, linked, composed and fused; under jco
//! on the component and the linked guest. The core module and the base component are also built with
//! checked arithmetic, so that an overflow traps. Every answer must be the recorded one, to the
//! last released handle.
//!
//! A second test runs one program once for each growth of its memory, and refuses that growth.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tether_gc::{Options, Sizing};
use tether_model::call::Name;
use tether_model::faults::{GROWING, Refusals, refuse_each_growth};
use tether_model::run::{Setup, record};
use tether_model::subject::{Native, Subject};

use crate::subject::{
    CollectorComponent, ComponentSubject, CoreModule, CoreSubject, component_has, core_has,
    limit_word,
};

/// The base component.
const BASE: &str = "tether-gc.wasm";

/// The guest that passes everything through, linked with the collector.
const LINKED: &str = "passthrough-linked.wasm";

/// The collectors, compiled.
pub struct Collectors {
    core: CoreModule,
    checked_core: CoreModule,
    component: CollectorComponent,
    /// The other components, with what they are called.
    others: Vec<(&'static str, CollectorComponent)>,
    artifacts: PathBuf,
}

/// Which operations a program has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The operations that both doors have. Its traces run on every host.
    Common,
    /// The operations of the core door. Its traces run natively and on the core module.
    Core,
    /// The operations of the component. Its traces run natively and on the component, on both
    /// hosts.
    Component,
}

/// Counts of what some traces covered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Covered {
    /// Traces.
    pub traces: u64,
    /// Steps of all traces, each compared on each host.
    pub steps: u64,
    /// Collections, natively.
    pub collections: u64,
    /// Handles released, natively.
    pub handles: u64,
    /// Steps that were compared, all hosts together.
    pub compared: u64,
}

impl Program {
    /// Every kind of program.
    pub const ALL: [Program; 3] = [Program::Common, Program::Core, Program::Component];

    fn names(self) -> Vec<Name> {
        let has = |name| match self {
            Program::Common => core_has(name) && component_has(name),
            Program::Core => core_has(name),
            Program::Component => component_has(name),
        };
        Name::ALL.iter().copied().filter(|&name| has(name)).collect()
    }
}

impl Collectors {
    /// Compiles the collectors in a folder of artifacts.
    ///
    /// # Errors
    ///
    /// Names the artifact that is missing.
    pub fn load(artifacts: &Path) -> Result<Self> {
        Ok(Collectors {
            core: CoreModule::load(&artifacts.join("tether_gc.core.wasm"))?,
            checked_core: CoreModule::load(&artifacts.join("checked/tether_gc.core.wasm"))?,
            component: CollectorComponent::load(&artifacts.join(BASE))?,
            others: [
                ("the component with checked arithmetic", "checked/tether-gc.wasm"),
                ("the component that pushes", "tether-gc-push.wasm"),
                ("the component for WASI", "tether-gc-wasi.wasm"),
                ("a guest that is linked with the component door", LINKED),
                ("a guest that is composed with the component", "passthrough-composed.wasm"),
                ("a composition that is fused", "passthrough-fused.wasm"),
            ]
            .into_iter()
            .map(|(host, file)| Ok((host, CollectorComponent::load(&artifacts.join(file))?)))
            .collect::<Result<_>>()?,
            artifacts: artifacts.to_path_buf(),
        })
    }

    /// Records programs of some seeds, and replays each on every host that has its
    /// operations.
    ///
    /// # Errors
    ///
    /// Names the seed, the host and the step that differs.
    pub fn compare(
        &self,
        program: Program,
        seeds: std::ops::Range<u64>,
        steps: u32,
        jco: &[&str],
    ) -> Result<Covered> {
        let mut covered = Covered::default();
        let mut for_jco = Vec::new();
        let has_component = program != Program::Core;
        for seed in seeds.clone() {
            let checks = program == Program::Component;
            let (setup, trace, counts) = record(seed, steps, &program.names(), checks);
            let mut hosts: Vec<(&str, Box<dyn Subject>)> =
                vec![("the native collector, again", Box::new(native(&setup)?))];
            if program != Program::Component {
                for (host, module) in [
                    ("the core module", &self.core),
                    ("the core module with checked arithmetic", &self.checked_core),
                ] {
                    let core = CoreSubject::start(module, &setup.options, 0..0);
                    hosts.push((host, Box::new(core.context("core did not start")?)));
                }
            }
            if has_component {
                let base = [("the component", &self.component)];
                let others = self.others.iter().map(|(host, component)| (*host, component));
                for (host, component) in base.into_iter().chain(others) {
                    let made = ComponentSubject::start(component, &setup.options, 0..0);
                    let made = made.with_context(|| format!("{host} did not start"))?;
                    hosts.push((host, Box::new(made)));
                }
            }
            for (host, mut subject) in hosts {
                if let Err(difference) = trace.replay(subject.as_mut()) {
                    bail!("seed {seed}, {program:?}: {host}: {difference}");
                }
                covered.compared += trace.steps.len() as u64;
            }
            covered.traces += 1;
            covered.steps += trace.steps.len() as u64;
            covered.collections += counts.collections;
            covered.handles += counts.released;
            if has_component && !jco.is_empty() {
                for_jco
                    .push(json!({ "options": options(&setup.options), "steps": trace.to_json() }));
            }
        }
        for version in jco.iter().filter(|_| has_component) {
            for component in [BASE, LINKED] {
                covered.compared += self.replay_on_jco(version, component, &for_jco, &seeds)?;
            }
        }
        Ok(covered)
    }

    fn replay_on_jco(
        &self,
        version: &str,
        component: &str,
        traces: &[Value],
        seeds: &std::ops::Range<u64>,
    ) -> Result<u64> {
        let file = self.artifacts.join(format!("traces-{}-{version}.json", std::process::id()));
        std::fs::write(&file, serde_json::to_vec(traces)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../jco/replay.mjs");
        let ran = Command::new("node")
            .arg(script)
            .args(["--jco", version, "--cache"])
            .arg(self.artifacts.join("jco"))
            .arg(self.artifacts.join(component))
            .arg(&file)
            .output()
            .context("cannot start node")?;
        std::fs::remove_file(&file).context("cannot remove the traces")?;
        let stderr = String::from_utf8_lossy(&ran.stderr);
        ensure!(ran.status.success(), "jco {version}, {component}, seeds {seeds:?}: {stderr}");
        let seen: Value = serde_json::from_slice(&ran.stdout)?;
        let mismatch = &seen["mismatch"];
        ensure!(mismatch.is_null(), "jco {version}, {component}, seeds {seeds:?}: {mismatch}");
        seen["steps"].as_u64().context("replay.mjs gave no number of steps")
    }

    /// Runs a program on the core module once for each growth of its memory, and refuses
    /// that growth.
    pub fn refuse_growths_of_core(&self, seed: u64, steps: u32, every: u64) -> Refusals {
        refuse_each_growth(seed, steps, every, |refused| {
            CoreSubject::start(&self.core, &GROWING, refused)
        })
    }

    /// Runs a program on the component once for each growth of its memory, and refuses that
    /// growth.
    pub fn refuse_growths_of_component(&self, seed: u64, steps: u32, every: u64) -> Refusals {
        refuse_each_growth(seed, steps, every, |refused| {
            ComponentSubject::start(&self.component, &GROWING, refused)
        })
    }
}

fn native(setup: &Setup) -> Result<Native> {
    Ok(Native::new(setup.options, setup.most_pages, setup.gap_pages)?)
}

/// Options as jco's `configure` takes them.
fn options(options: &Options) -> Value {
    let mut wit = json!({
        "heapLimitBytes": limit_word(options.heap_limit_bytes),
        "rootCapacity": options.root_capacity,
        "wrapCapacity": options.wrap_capacity,
        "wrapLimit": options.wrap_limit,
        "handleFloor": options.handle_floor,
        "weightFloorBytes": options.weight_floor_bytes,
        "stress": options.stress,
    });
    let sizing = match options.sizing {
        Sizing::Balanced => return wit,
        Sizing::Fixed { budget_bytes } => json!({ "tag": "fixed", "val": budget_bytes }),
        Sizing::Factor { percent } => json!({ "tag": "factor", "val": percent }),
        Sizing::SquareRoot { percent } => json!({ "tag": "square-root", "val": percent }),
    };
    wit["sizing"] = sizing;
    wit
}
