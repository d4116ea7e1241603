//! The measurements, by cell, and whether peers agree on their results.

use crate::cells::{Cell, Engine, Kind, Peer};
use crate::measure::Measurement;

/// Every cell that was run, in the order of its first run.
#[derive(Debug, Default)]
pub struct Results {
    entries: Vec<(Cell, Measurement)>,
}

impl Results {
    /// Adds a process's runs to those of its cell.
    pub fn add(&mut self, cell: Cell, measured: Measurement) {
        match self.entries.iter_mut().find(|(known, _)| *known == cell) {
            Some((_, all)) => all.merge(measured),
            None => self.entries.push((cell, measured)),
        }
    }

    /// The measurement of a cell, if it was run.
    pub fn get(&self, workload: &str, peer: Peer, engine: Engine) -> Option<&Measurement> {
        self.entries
            .iter()
            .find(|(cell, _)| {
                cell.workload.id == workload && cell.peer == peer && cell.engine == engine
            })
            .map(|(_, measured)| measured)
    }

    /// All measurements.
    pub fn iter(&self) -> impl Iterator<Item = &(Cell, Measurement)> {
        self.entries.iter()
    }

    /// Disagreements, in words: peers, or runs of one peer, whose results differ; and handles
    /// that came back without having been out.
    pub fn disagreements(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut agreed: Vec<((&str, u32), i64, &Cell)> = Vec::new();
        for (cell, measured) in &self.entries {
            if measured.wrong_releases > 0 {
                found.push(format!(
                    "{cell} released {} handles that were not out",
                    measured.wrong_releases
                ));
            }
            // The results of these workloads depend on the collector.
            if matches!(cell.workload.kind, Kind::Pause { .. } | Kind::Cliff(_)) {
                continue;
            }
            // A function's checksum does not depend on the size of the wrap table.
            let function = (cell.workload.export.trim_end_matches("_small"), cell.workload.n);
            for &checksum in &measured.results {
                match agreed.iter().find(|(of, ..)| *of == function) {
                    None => agreed.push((function, checksum, cell)),
                    Some((_, first, _)) if *first == checksum => {}
                    Some((_, first, by)) => {
                        found.push(format!("{cell} computed {checksum}, but {by} {first}"));
                        break;
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{cells, matches};

    fn add(results: &mut Results, name: &str, computed: &[i64]) {
        let cell = cells(false).into_iter().find(|cell| matches(name, cell)).unwrap();
        let measured = Measurement { results: computed.to_vec(), ..Measurement::default() };
        results.add(cell, measured);
    }

    #[test]
    fn a_checksum_that_differs_is_named() {
        let mut results = Results::default();
        add(&mut results, "w1/tether/wasmtime", &[5, 5]);
        add(&mut results, "w1/boehm/v8", &[5, 6, 6]);
        assert_eq!(results.disagreements(), ["w1/boehm/v8 computed 6, but w1/tether/wasmtime 5"]);
    }

    #[test]
    fn pauses_need_not_agree() {
        let mut results = Results::default();
        add(&mut results, "w7-list-10k/tether/wasmtime", &[5, 7]);
        assert!(results.disagreements().is_empty());
    }
}
