//! The targets of Tether against its peers, as a table, and whether they are met.

use crate::cells::{Engine, Kind, Peer};
use crate::measure::Measurement;
use crate::results::Results;

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Tether's median time over a peer's, of the same run.
    TimeOver(Peer),
    /// Tether's median time through the component door over the core door's.
    TimeOverCore {
        /// The core door's workload.
        workload: &'static str,
    },
    /// Tether's peak pages over a peer's.
    PagesOver(Peer),
    /// Nanoseconds an operation, of Tether's own.
    NanosecondsEach {
        /// How many operations.
        count: u64,
    },
    /// Nanoseconds a live object, the worst of all shapes at a size and above it.
    NanosecondsMarked {
        /// The size from which on it counts.
        from_live: u32,
    },
    /// The most unreleased handles, of Tether's own.
    UnreleasedPeak,
    /// The share of the handles that were released.
    Released,
}

/// One promise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// The workload's id, or its beginning for pauses.
    pub workload: &'static str,
    /// The engine.
    pub engine: Engine,
    /// The door.
    pub ours: Peer,
    /// The comparison.
    pub measure: Measure,
    /// The figure that must not be exceeded; for `Released`, the one that must be reached.
    pub limit: f64,
}

/// A target with the figure that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The target.
    pub target: Target,
    /// The figure.
    pub figure: f64,
    /// For a ratio of times, the ratio of CPU times, which is the truer one on a busy machine.
    pub by_cpu: Option<f64>,
    /// Whether the target is met.
    pub met: bool,
}

const fn target(workload: &'static str, engine: Engine, measure: Measure, limit: f64) -> Target {
    Target { workload, engine, ours: Peer::Tether, measure, limit }
}

const fn through_component(
    workload: &'static str,
    ours: Peer,
    measure: Measure,
    limit: f64,
) -> Target {
    Target { workload, engine: WasmtimeInlined, ours, measure, limit }
}

use Engine::{V8, Wasmtime, WasmtimeInlined};
use Measure::{
    NanosecondsEach, NanosecondsMarked, PagesOver, Released, TimeOver, TimeOverCore, UnreleasedPeak,
};

/// Every target.
pub const TARGETS: [Target; 43] = [
    target("w1", Wasmtime, TimeOver(Peer::Boehm), 0.60),
    target("w1", V8, TimeOver(Peer::Boehm), 0.60),
    target("w1", V8, TimeOver(Peer::WasmGc), 1.0),
    target("w2", Wasmtime, TimeOver(Peer::Boehm), 0.60),
    target("w2", V8, TimeOver(Peer::Boehm), 0.60),
    target("w2", V8, TimeOver(Peer::WasmGc), 1.5),
    target("w3", Wasmtime, TimeOver(Peer::Boehm), 0.50),
    target("w3", Wasmtime, TimeOver(Peer::Dlmalloc), 0.90),
    target("w3", V8, TimeOver(Peer::Boehm), 0.55),
    target("w3", V8, TimeOver(Peer::WasmGc), 1.3),
    target("w4", Wasmtime, TimeOver(Peer::Boehm), 0.75),
    target("w4", Wasmtime, TimeOver(Peer::Dlmalloc), 1.15),
    target("w4", V8, TimeOver(Peer::Boehm), 0.75),
    target("w4", V8, TimeOver(Peer::WasmGc), 0.5),
    target("w5", Wasmtime, TimeOver(Peer::WasmGc), 1.0),
    target("w5", Wasmtime, NanosecondsEach { count: 20_000_000 }, 4.0),
    target("w5", V8, TimeOver(Peer::WasmGc), 0.60),
    target("w6", Wasmtime, TimeOver(Peer::AsIncremental), 0.60),
    target("w6", V8, TimeOver(Peer::AsIncremental), 0.60),
    target("w6", Wasmtime, Released, 1.0),
    target("w6", V8, Released, 1.0),
    target("w6", Wasmtime, UnreleasedPeak, 4096.0),
    target("w6", V8, UnreleasedPeak, 4096.0),
    target("w6-small", Wasmtime, TimeOver(Peer::AsIncremental), 1.0),
    target("w6-small", V8, TimeOver(Peer::AsIncremental), 1.0),
    target("w6-small", Wasmtime, UnreleasedPeak, 495.0),
    target("w6-small", V8, UnreleasedPeak, 495.0),
    target("w6-small", Wasmtime, Released, 1.0),
    target("w7", Wasmtime, NanosecondsMarked { from_live: 10_000 }, 8.0),
    target("w7", V8, NanosecondsMarked { from_live: 10_000 }, 8.0),
    target("w1", Wasmtime, PagesOver(Peer::Boehm), 1.3),
    target("w2", Wasmtime, PagesOver(Peer::Boehm), 1.3),
    target("w3", Wasmtime, PagesOver(Peer::Boehm), 1.3),
    target("w4", Wasmtime, PagesOver(Peer::Boehm), 1.3),
    target("w1", V8, PagesOver(Peer::Boehm), 1.3),
    target("w2", V8, PagesOver(Peer::Boehm), 1.3),
    target("w3", V8, PagesOver(Peer::Boehm), 1.3),
    target("w4", V8, PagesOver(Peer::Boehm), 1.3),
    through_component("w8-w1", Peer::TetherComponent, TimeOverCore { workload: "w1" }, 3.0),
    through_component("w8-w1", Peer::TetherBatched, TimeOverCore { workload: "w1" }, 3.0),
    through_component("w8-w6", Peer::TetherComponent, TimeOver(Peer::Crossings), 1.3),
    through_component("w8-w6", Peer::TetherBatched, TimeOver(Peer::Crossings), 1.3),
    through_component("w8-w6", Peer::TetherBatched, Released, 1.0),
];

/// The clock of a measurement that counts.
type Seconds = fn(&Measurement) -> f64;

fn wall_seconds(measured: &Measurement) -> f64 {
    measured.median_seconds(Kind::Time)
}

impl Target {
    /// The target in words, without the figures.
    pub fn describe(&self) -> String {
        match self.measure {
            TimeOver(peer) => format!("time over {}", peer.name()),
            TimeOverCore { .. } => "time over the core door".to_owned(),
            PagesOver(peer) => format!("peak pages over {}", peer.name()),
            NanosecondsEach { .. } => "ns an object".to_owned(),
            NanosecondsMarked { .. } => "ns a live object, the worst shape and size".to_owned(),
            UnreleasedPeak => "most unreleased handles".to_owned(),
            Released => "share of handles released".to_owned(),
        }
    }

    fn figure(&self, results: &Results, seconds_of: Seconds) -> Option<f64> {
        let ours = |id: &str| results.get(id, self.ours, self.engine);
        match self.measure {
            TimeOver(peer) => {
                // The small table's workload is the same as the other's.
                let theirs =
                    results.get(self.workload.trim_end_matches("-small"), peer, self.engine)?;
                let seconds = seconds_of(ours(self.workload)?);
                Some(seconds / seconds_of(theirs))
            }
            TimeOverCore { workload } => {
                let core = results.get(workload, Peer::Tether, Engine::Wasmtime)?;
                let seconds = seconds_of(ours(self.workload)?);
                Some(seconds / seconds_of(core))
            }
            PagesOver(peer) => {
                let theirs = results.get(self.workload, peer, self.engine)?.peak_pages?;
                Some(ours(self.workload)?.peak_pages? as f64 / theirs as f64)
            }
            NanosecondsEach { count } => {
                Some(seconds_of(ours(self.workload)?) * 1e9 / count as f64)
            }
            NanosecondsMarked { from_live } => results
                .iter()
                .filter(|(cell, _)| cell.peer == Peer::Tether && cell.engine == self.engine)
                .filter_map(|(cell, measured)| match cell.workload.kind {
                    Kind::Pause { live } if live >= from_live => {
                        let seconds = measured.median_seconds(cell.workload.kind);
                        Some(seconds * 1e9 / f64::from(live))
                    }
                    _ => None,
                })
                .reduce(f64::max),
            UnreleasedPeak => Some(ours(self.workload)?.unreleased_peak as f64),
            Released => {
                let measured = ours(self.workload)?;
                let right = measured.released.checked_sub(measured.wrong_releases)?;
                Some(right as f64 / measured.acquired as f64)
            }
        }
    }

    fn is_met(&self, figure: f64) -> bool {
        match self.measure {
            Released => figure >= self.limit,
            _ => figure <= self.limit,
        }
    }
}

/// Every target of which both sides were measured.
pub fn judge(results: &Results) -> Vec<Judged> {
    TARGETS
        .iter()
        .filter_map(|target| {
            let figure = target.figure(results, wall_seconds)?;
            let by_cpu = match target.measure {
                TimeOver(_) | TimeOverCore { .. } => {
                    target.figure(results, Measurement::median_cpu_seconds)
                }
                _ => None,
            };
            Some(Judged { target: *target, figure, by_cpu, met: target.is_met(figure) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{cells, matches};
    use crate::cells::Cell;

    fn cell(name: &str) -> Cell {
        cells(false).into_iter().find(|cell| matches(name, cell)).unwrap()
    }

    fn results(of: &[(&str, Measurement)]) -> Results {
        let mut results = Results::default();
        for (name, measured) in of {
            results.add(cell(name), measured.clone());
        }
        results
    }

    fn took(seconds: f64, pages: u64) -> Measurement {
        Measurement { seconds: vec![seconds], peak_pages: Some(pages), ..Measurement::default() }
    }

    #[test]
    fn a_ratio_is_ours_over_theirs() {
        let results = results(&[
            ("w1/tether/wasmtime", took(1.0, 130)),
            ("w1/boehm/wasmtime", took(2.0, 100)),
        ]);
        let judged = judge(&results);
        let figures: Vec<_> =
            judged.iter().map(|one| (one.target.measure, one.figure, one.met)).collect();
        assert_eq!(
            figures,
            [(TimeOver(Peer::Boehm), 0.5, true), (PagesOver(Peer::Boehm), 1.3, true)]
        );
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert_eq!(judge(&results(&[("w1/tether/wasmtime", took(1.0, 1))])), []);
    }

    #[test]
    fn a_lost_handle_is_a_missed_target() {
        let lost = Measurement { acquired: 10, released: 9, ..took(1.0, 1) };
        let judged = judge(&results(&[("w6/tether/wasmtime", lost)]));
        let released = judged.iter().find(|one| one.target.measure == Released).unwrap();
        assert!(!released.met);
    }

    #[test]
    fn the_worst_pause_counts() {
        let pause = |ns| Measurement { results: vec![ns], ..Measurement::default() };
        let judged = judge(&results(&[
            ("w7-list-10k/tether/wasmtime", pause(90_000)),
            ("w7-tree-100k/tether/wasmtime", pause(500_000)),
        ]));
        assert_eq!((judged[0].figure, judged[0].met), (9.0, false));
    }
}
