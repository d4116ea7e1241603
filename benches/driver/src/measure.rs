//! Runs cells, each in a process of its own, and keeps their figures.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::npm;
use xtask::process::{cargo, output, progress, run};
use xtask::workspace::Workspace;

use crate::cells::{Cell, Engine, Kind, Peer};

const NODE_DRIVER: &str = "benches/node/bench.mjs";

/// The calls that wasmtime inlines if it is set up as Tether's documentation advises.
const INLINE: &str = "between";

/// The time after which a run of a cliff is given up.
const TIME_OUT_SECONDS: u32 = 60;

/// The programs that run cells.
pub struct Hosts {
    wasmtime: PathBuf,
    node: PathBuf,
    node_driver: PathBuf,
    jco_cache: PathBuf,
}

impl Hosts {
    /// Builds and fetches the programs.
    pub fn prepare(workspace: &Workspace, chosen: &[Cell]) -> Result<Self> {
        if chosen.iter().any(|cell| cell.engine.is_jco()) {
            npm::install_jco(workspace)?;
        }
        progress("building the benchmark's host with wasmtime");
        run(
            cargo(workspace).args(["build", "--package", "tether-bench"]),
            "building tether-bench",
        )?;
        Ok(Hosts {
            wasmtime: workspace.tool("tether-bench"),
            node: npm::fetch_node_24(workspace)?,
            node_driver: workspace.root().join(NODE_DRIVER),
            jco_cache: workspace.artifact("bench/jco"),
        })
    }

    fn command(&self, cell: &Cell, program: &Path) -> Command {
        let mut command = match cell.engine {
            Engine::Wasmtime | Engine::WasmtimeInlined => Command::new(&self.wasmtime),
            Engine::V8 | Engine::Jco | Engine::Jco1_10_2 => {
                let mut node = Command::new(&self.node);
                node.arg("--expose-gc").arg(&self.node_driver);
                node
            }
        };
        command.arg(program).arg(cell.peer.export(&cell.workload));
        command.arg(cell.workload.n.to_string());
        match cell.engine {
            Engine::V8 => {}
            Engine::Wasmtime | Engine::WasmtimeInlined => {
                if cell.peer.is_component() && !cell.is_bare() {
                    command.arg("--component");
                }
                if cell.engine == Engine::WasmtimeInlined {
                    command.args(["--inline", INLINE]);
                }
            }
            Engine::Jco => drop(command.args(["--jco", "current", "--cache"]).arg(&self.jco_cache)),
            Engine::Jco1_10_2 => {
                command.args(["--jco", "1.10.2", "--cache"]).arg(&self.jco_cache);
            }
        }
        if cell.peer == Peer::WasmGcDrc {
            command.args(["--collector", "drc"]);
        }
        if let Kind::Cliff(cliff) = cell.workload.kind {
            command.args(["--time-out", &TIME_OUT_SECONDS.to_string()]);
            if let Some(pages) = cliff.most_pages {
                command.args(["--most-pages", &pages.to_string()]);
            }
        }
        command
    }
}

/// How often a cell is run in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repetitions {
    /// Runs that are not timed.
    pub warm_up: u32,
    /// Runs that are timed.
    pub runs: u32,
    /// Whether one more run counts instructions, if the engine can.
    pub instructions: bool,
}

/// The figures of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measurement {
    /// The seconds of each run.
    pub seconds: Vec<f64>,
    /// The CPU seconds of each run, over all threads.
    pub cpu_seconds: Vec<f64>,
    /// The result of each run: a checksum or nanoseconds.
    pub results: Vec<i64>,
    /// The program's own figure of each run of a cliff, in nanoseconds or bytes.
    pub figures: Vec<i64>,
    /// The seconds after which a run was given up; then nothing else was measured.
    pub over_seconds: Option<u64>,
    /// The most that the linear memory had, in Wasm pages.
    pub peak_pages: Option<u64>,
    /// The bytes that the engine's collector took.
    pub gc_heap_bytes: Option<u64>,
    /// Wasm instructions of a run.
    pub instructions: Option<u64>,
    /// Collections of one run, as the program counts them.
    pub collections: Option<u64>,
    /// Handles given out in one run.
    pub acquired: u64,
    /// Handles that came back in one run.
    pub released: u64,
    /// The most handles that were out at one time.
    pub unreleased_peak: u64,
    /// Releases of handles that were not out.
    pub wrong_releases: u64,
}

impl Measurement {
    /// The figure of the tables: the median of the runs, in seconds; for a pause, the median of
    /// the pauses.
    pub fn median_seconds(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Pause { .. } => median(self.results.iter().map(|&ns| ns as f64 / 1e9)),
            Kind::Time | Kind::Handles | Kind::Cliff(_) => median(self.seconds.iter().copied()),
        }
    }

    /// The median of a cliff program's own figures, if no run was given up.
    pub fn median_figure(&self) -> Option<f64> {
        match self.over_seconds {
            None => Some(median(self.figures.iter().map(|&figure| figure as f64))),
            Some(_) => None,
        }
    }

    /// The median of the CPU seconds; of the whole workload, for a pause too.
    pub fn median_cpu_seconds(&self) -> f64 {
        median(self.cpu_seconds.iter().copied())
    }

    /// Adds another process's runs of the same cell.
    pub fn merge(&mut self, other: Measurement) {
        self.seconds.extend(other.seconds);
        self.cpu_seconds.extend(other.cpu_seconds);
        self.results.extend(other.results);
        self.figures.extend(other.figures);
        self.over_seconds = self.over_seconds.max(other.over_seconds);
        self.peak_pages = self.peak_pages.max(other.peak_pages);
        self.gc_heap_bytes = self.gc_heap_bytes.max(other.gc_heap_bytes);
        self.instructions = self.instructions.or(other.instructions);
        self.collections = self.collections.or(other.collections);
        self.acquired = other.acquired;
        self.released = self.released.min(other.released);
        self.unreleased_peak = self.unreleased_peak.max(other.unreleased_peak);
        self.wrong_releases += other.wrong_releases;
    }

    fn parse(text: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(text).context("the host gave no JSON")?;
        let list = |name: &str| value[name].as_array().cloned().unwrap_or_default();
        let seconds = |name: &str| list(name).iter().filter_map(Value::as_f64).collect();
        let count = |name: &str| value[name].as_f64().map(|figure| figure as u64);
        Ok(Measurement {
            seconds: seconds("seconds"),
            cpu_seconds: seconds("cpu_seconds"),
            results: list("results")
                .iter()
                .map(|result| {
                    result.as_str().unwrap_or_default().parse().context("a result is no number")
                })
                .collect::<Result<_>>()?,
            figures: list("figures").iter().filter_map(Value::as_i64).collect(),
            over_seconds: value["over_seconds"].as_u64(),
            peak_pages: count("memory_pages"),
            gc_heap_bytes: count("gc_heap_bytes"),
            instructions: count("instructions"),
            collections: count("collections"),
            acquired: count("acquired").unwrap_or(0),
            released: count("released").unwrap_or(0),
            unreleased_peak: count("unreleased_peak").unwrap_or(0),
            wrong_releases: count("wrong_releases").unwrap_or(0),
        })
    }
}

/// Runs a cell.
pub fn measure(
    hosts: &Hosts,
    cell: &Cell,
    program: &Path,
    times: Repetitions,
) -> Result<Measurement> {
    let mut command = hosts.command(cell, program);
    command.arg("--runs").arg(times.runs.to_string());
    command.arg("--warm-up").arg(times.warm_up.to_string());
    if times.instructions && cell.engine.is_wasmtime() {
        command.arg("--fuel");
    }
    let ran = output(&mut command, &format!("running {cell}"))?;
    ensure!(ran.status.success(), "{cell} failed ({})", ran.status);
    Measurement::parse(&ran.stdout).with_context(|| cell.to_string())
}

/// The middle of some figures; of an even number, the mean of the middle two.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(median([].into_iter()).is_nan());
    }

    #[test]
    fn a_hosts_json_is_understood() {
        let text = br#"{"seconds":[0.5,1],"cpu_seconds":[0.25],"results":["-3","9007199254740993"],
            "memory_pages":17,"gc_heap_bytes":null,"acquired":2,"released":1,
            "unreleased_peak":2,"wrong_releases":0,"collections":null,"instructions":12}"#;
        let measured = Measurement::parse(text).unwrap();
        assert_eq!(measured.seconds, [0.5, 1.0]);
        assert_eq!(measured.results, [-3, 9_007_199_254_740_993]);
        assert_eq!((measured.peak_pages, measured.gc_heap_bytes), (Some(17), None));
        assert_eq!(measured.instructions, Some(12));
    }

    #[test]
    fn a_run_that_was_given_up_has_no_figure() {
        let given_up = Measurement::parse(br#"{"over_seconds":60}"#).unwrap();
        assert_eq!((given_up.over_seconds, given_up.median_figure()), (Some(60), None));
        let measured = Measurement::parse(br#"{"figures":[7,9,8]}"#).unwrap();
        assert_eq!(measured.median_figure(), Some(8.0));
    }

    #[test]
    fn passes_are_merged() {
        let pass = |seconds: f64, pages| Measurement {
            seconds: vec![seconds],
            peak_pages: Some(pages),
            ..Measurement::default()
        };
        let mut merged = pass(1.0, 7);
        merged.merge(pass(3.0, 9));
        assert_eq!(merged.median_seconds(Kind::Time), 2.0);
        assert_eq!(merged.peak_pages, Some(9));
    }

    #[test]
    fn a_pause_is_what_the_workload_gave() {
        let measured =
            Measurement { seconds: vec![9.0], results: vec![2_000_000], ..Measurement::default() };
        assert_eq!(measured.median_seconds(Kind::Pause { live: 1 }), 0.002);
    }
}
