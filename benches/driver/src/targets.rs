//! The targets of Tether against its peers, as a table, and whether they are met.

use crate::cells::{Engine, Kind, Peer};
use crate::measure::Measurement;
use crate::results::Results;

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Tether's median time over a peer's, of the same run.
    TimeOver(Peer),
    /// Tether's median time over the core door's on an engine, which differs from the target's if
    /// the core door does not run there.
    TimeOverCore(Engine),
    /// Tether's median time over its own on another engine.
    TimeOverEngine(Engine),
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

/// A target of a guest that imports Tether's WIT.
const fn by_wit(
    workload: &'static str,
    engine: Engine,
    ours: Peer,
    measure: Measure,
    limit: f64,
) -> Target {
    Target { workload, engine, ours, measure, limit }
}

use Engine::{Jco, V8, Wasmtime, WasmtimeInlined};
use Measure::{
    NanosecondsEach, NanosecondsMarked, PagesOver, Released, TimeOver, TimeOverCore,
    TimeOverEngine, UnreleasedPeak,
};

/// Every target.
pub const TARGETS: [Target; 53] = [
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
    by_wit("w8-w1", WasmtimeInlined, Peer::TetherComponent, TimeOverCore(WasmtimeInlined), 3.0),
    by_wit("w8-w1", WasmtimeInlined, Peer::TetherBatched, TimeOverCore(WasmtimeInlined), 3.0),
    by_wit("w8-w6", WasmtimeInlined, Peer::TetherComponent, TimeOver(Peer::Crossings), 1.3),
    by_wit("w8-w6", WasmtimeInlined, Peer::TetherBatched, TimeOver(Peer::Crossings), 1.3),
    by_wit("w8-w6", WasmtimeInlined, Peer::TetherBatched, Released, 1.0),
    by_wit("w8-w1", WasmtimeInlined, Peer::TetherLinked, TimeOverCore(WasmtimeInlined), 3.0),
    by_wit("w8-w1", V8, Peer::TetherLinked, TimeOverCore(V8), 3.0),
    by_wit("w8-w1", Jco, Peer::TetherLinked, TimeOverCore(V8), 3.0),
    // On wasmtime a component's call to the host costs more than a core module's. So the core
    // modules are compared; and the component with one that only makes these calls.
    by_wit("w8-w6", Wasmtime, Peer::TetherLinked, TimeOverCore(Wasmtime), 1.1),
    by_wit("w8-w6", WasmtimeInlined, Peer::TetherLinked, TimeOver(Peer::Crossings), 1.3),
    by_wit("w8-w6", V8, Peer::TetherLinked, TimeOverCore(V8), 1.1),
    by_wit("w8-w6", Jco, Peer::TetherLinked, TimeOverCore(V8), 1.1),
    by_wit("w8-w6", Jco, Peer::TetherLinked, Released, 1.0),
    by_wit("w8-w1", WasmtimeInlined, Peer::TetherFused, TimeOver(Peer::TetherComponent), 0.7),
    by_wit("w8-w1", Jco, Peer::TetherFused, TimeOverEngine(WasmtimeInlined), 1.5),
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
            TimeOverCore(engine) if engine == self.engine => "time over the core door".to_owned(),
            TimeOverCore(engine) => format!("time over the core door on {}", engine.name()),
            TimeOverEngine(engine) => format!("time over its own on {}", engine.name()),
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
            TimeOverCore(engine) => {
                let core = results.get(self.workload, Peer::Tether, engine)?;
                Some(seconds_of(ours(self.workload)?) / seconds_of(core))
            }
            TimeOverEngine(engine) => {
                let there = results.get(self.workload, self.ours, engine)?;
                Some(seconds_of(ours(self.workload)?) / seconds_of(there))
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
                TimeOver(_) | TimeOverCore(_) | TimeOverEngine(_) => {
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
    fn one_module_is_compared_with_the_core_door_with_the_composition_and_between_engines() {
        let judged = judge(&results(&[
            ("w8-w1/tether/wasmtime-inlined", took(1.0, 1)),
            ("w8-w1/tether-component/wasmtime-inlined", took(4.0, 1)),
            ("w8-w1/tether-fused/wasmtime-inlined", took(2.0, 1)),
            ("w8-w1/tether/v8", took(0.5, 1)),
            ("w8-w1/tether-linked/jco", took(2.0, 1)),
            ("w8-w1/tether-fused/jco", took(3.0, 1)),
        ]));
        let seen: Vec<_> = judged
            .iter()
            .map(|one| (one.target.ours.name(), one.target.describe(), one.figure, one.met))
            .collect();
        assert_eq!(
            seen,
            [
                ("tether-component", "time over the core door".to_owned(), 4.0, false),
                ("tether-linked", "time over the core door on v8".to_owned(), 4.0, false),
                ("tether-fused", "time over tether-component".to_owned(), 0.5, true),
                ("tether-fused", "time over its own on wasmtime-inlined".to_owned(), 1.5, true),
            ]
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
