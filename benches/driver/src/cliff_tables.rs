//! The tables of the cliffs, each beside its level.

use crate::cells::{Cell, Cliff, Engine, Kind, Peer, Unit};
use crate::cliffs::LEVEL;
use crate::markdown::{figure, table};
use crate::measure::Measurement;
use crate::results::Results;

/// A table for the cliffs of time, and one for those of memory.
pub fn tables(results: &Results) -> String {
    let of_unit = |unit| {
        results.iter().filter(move |(cell, _)| {
            matches!(cell.workload.kind, Kind::Cliff(cliff) if cliff.unit == unit)
                && !cell.workload.id.ends_with(LEVEL)
        })
    };
    let times: Vec<Vec<String>> = of_unit(Unit::Nanoseconds)
        .map(|(cell, measured)| time_row(cell, measured, level_of(results, cell)))
        .collect();
    let sizes: Vec<Vec<String>> = of_unit(Unit::Bytes)
        .map(|(cell, measured)| size_row(cell, measured, level_of(results, cell)))
        .collect();
    let mut text = String::new();
    if !times.is_empty() {
        let header =
            ["cliff", "what", "n", "pages", "ms", "ns each", "level", "ratio", "M instr.", "level"];
        text +=
            &format!("cliffs: time, and that of one operation\n\n{}\n", table(&header, 2, &times));
    }
    if !sizes.is_empty() {
        let header = ["cliff", "what", "n", "pages", "MiB", "level", "s", "M instr.", "level"];
        text += &format!("cliffs: memory that fits or stays\n\n{}\n", table(&header, 2, &sizes));
    }
    text
}

fn level_of<'a>(results: &'a Results, cliff: &Cell) -> Option<&'a Measurement> {
    let id = format!("{}{LEVEL}", cliff.workload.id);
    results.get(&id, Peer::Tether, Engine::Wasmtime)
}

fn time_row(cliff: &Cell, measured: &Measurement, level: Option<&Measurement>) -> Vec<String> {
    let (each, level_each) = (nanoseconds_each(measured), level.and_then(nanoseconds_each));
    let took = match measured.over_seconds {
        Some(seconds) => format!("> {}", seconds * 1_000),
        None => shown(measured.median_figure().map(|ns| ns / 1e6)),
    };
    let mut row = start_of_row(cliff);
    row.extend([
        took,
        shown(each),
        shown(level_each),
        shown(each.zip(level_each).map(|(each, level)| each / level)),
    ]);
    row.extend([shown_millions(Some(measured)), shown_millions(level)]);
    row
}

fn size_row(cliff: &Cell, measured: &Measurement, level: Option<&Measurement>) -> Vec<String> {
    let mebibytes =
        |measured: &Measurement| measured.median_figure().map(|bytes| bytes / f64::from(1 << 20));
    let took = match measured.over_seconds {
        Some(seconds) => format!("> {seconds}"),
        None => figure(measured.median_seconds(cliff.workload.kind)),
    };
    let mut row = start_of_row(cliff);
    row.extend([shown(mebibytes(measured)), shown(level.and_then(mebibytes)), took]);
    row.extend([shown_millions(Some(measured)), shown_millions(level)]);
    row
}

fn start_of_row(cliff: &Cell) -> Vec<String> {
    let workload = &cliff.workload;
    let name = workload.id.trim_start_matches("cliffs-");
    let pages = match workload.kind {
        Kind::Cliff(Cliff { most_pages: Some(pages), .. }) => pages.to_string(),
        _ => String::new(),
    };
    vec![name.to_owned(), workload.title.clone(), workload.n.to_string(), pages]
}

/// The nanoseconds of one operation, of which the program returned the count.
fn nanoseconds_each(measured: &Measurement) -> Option<f64> {
    let count = *measured.results.first()?;
    measured.median_figure().map(|ns| ns / count as f64)
}

fn shown(number: Option<f64>) -> String {
    number.map(figure).unwrap_or_default()
}

fn shown_millions(measured: Option<&Measurement>) -> String {
    let instructions = measured.and_then(|measured| measured.instructions);
    instructions.map(|count| (count / 1_000_000).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{cells, matches};

    fn results(of: &[(&str, Measurement)]) -> Results {
        let mut results = Results::default();
        for (id, measured) in of {
            let is_it = |cell: &Cell| cell.workload.id == *id && matches("cliffs", cell);
            results.add(cells(false).into_iter().find(is_it).unwrap(), measured.clone());
        }
        results
    }

    #[test]
    fn a_cliff_is_compared_by_operation() {
        let took = |ns, count| Measurement {
            figures: vec![ns],
            results: vec![count],
            ..Measurement::default()
        };
        let text = tables(&results(&[
            ("cliffs-wraps", took(9_000_000, 1_000)),
            ("cliffs-wraps-level", took(6_000_000, 2_000)),
        ]));
        let row = text.lines().find(|line| line.starts_with("| wraps ")).unwrap();
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(columns[4..9], ["200", "9.00", "9000", "3000", "3.00"], "{text}");
        assert!(!text.contains("wraps-level") && !text.contains("MiB"), "{text}");
    }

    #[test]
    fn a_cliff_that_was_given_up_says_so() {
        let given_up = Measurement { over_seconds: Some(60), ..Measurement::default() };
        let text = tables(&results(&[("cliffs-full", given_up)]));
        assert!(text.contains("| > 60000 |"), "{text}");
    }

    #[test]
    fn memory_is_in_mebibytes() {
        let fits = |bytes| Measurement {
            figures: vec![bytes],
            seconds: vec![0.5],
            ..Measurement::default()
        };
        let text = tables(&results(&[
            ("cliffs-fits-10k", fits(52 << 20)),
            ("cliffs-fits-10k-level", fits(104 << 20)),
        ]));
        let row = text.lines().find(|line| line.starts_with("| fits-10k ")).unwrap();
        assert!(row.contains("| 100 |  2048 |  52 |   104 | 0.50 |"), "{text}");
    }
}
