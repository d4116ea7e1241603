//! The tables, in Markdown, which also reads well on a terminal; the raw figures
//! as CSV and JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cells::{Cell, Engine, Kind, Peer};
use crate::cliff_tables;
use crate::markdown::{figure, table};
use crate::measure::Measurement;
use crate::results::Results;
use crate::targets::{Judged, Measure};

/// A table for each workload of time, with each peer's ratio: how often it takes the time of
/// Tether's first row, which is the core door's if that is in the table.
pub fn workload_tables(results: &Results) -> String {
    let mut text = String::new();
    for (id, engine) in tables_of(results) {
        let cells: Vec<&(Cell, Measurement)> = results
            .iter()
            .filter(|(cell, _)| cell.workload.id == id && cell.engine == engine)
            .collect();
        let workload = &cells[0].0.workload;
        let ours = cells
            .iter()
            .find(|(cell, _)| cell.peer.is_tether())
            .map(|(_, measured)| measured.median_seconds(workload.kind));
        let rows: Vec<Vec<String>> =
            cells.iter().map(|(cell, measured)| row(cell, measured, ours)).collect();
        let _ =
            writeln!(text, "{id} on {}: {} (n = {})\n", engine.name(), workload.title, workload.n);
        text += &without_empty_columns(&HEADER, &rows);
        text.push('\n');
    }
    text + &pause_table(results) + &cliff_tables::tables(results)
}

/// A table without the columns in which no row has anything.
fn without_empty_columns(header: &[&str], rows: &[Vec<String>]) -> String {
    let used: Vec<usize> = (0..header.len())
        .filter(|&column| rows.iter().any(|row| !row[column].is_empty()))
        .collect();
    let header: Vec<&str> = used.iter().map(|&column| header[column]).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| used.iter().map(|&column| row[column].clone()).collect()).collect();
    table(&header, 1, &rows)
}

const HEADER: [&str; 9] = [
    "peer",
    "median s",
    "least s",
    "cpu s",
    "over tether",
    "pages",
    "M instructions",
    "collections",
    "handles released, most held",
];

fn row(cell: &Cell, measured: &Measurement, ours: Option<f64>) -> Vec<String> {
    let median = measured.median_seconds(cell.workload.kind);
    let least = measured.seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let pages = match (measured.peak_pages, measured.gc_heap_bytes) {
        (Some(pages), None | Some(0)) => pages.to_string(),
        (_, Some(bytes)) => format!("heap {}", bytes.div_ceil(65536)),
        (None, None) => String::new(),
    };
    let handles = match cell.workload.kind {
        Kind::Handles => {
            format!("{} of {}, {}", measured.released, measured.acquired, measured.unreleased_peak)
        }
        _ => String::new(),
    };
    let optional =
        |figure: Option<u64>| figure.map(|figure| figure.to_string()).unwrap_or_default();
    vec![
        cell.peer.name().to_owned(),
        format!("{median:.3}"),
        format!("{least:.3}"),
        format!("{:.3}", measured.median_cpu_seconds()),
        ours.map(|ours| format!("{:.2}", median / ours)).unwrap_or_default(),
        pages,
        optional(measured.instructions.map(|count| count / 1_000_000)),
        optional(measured.collections),
        handles,
    ]
}

/// Workloads of time, on each engine, that were measured.
fn tables_of(results: &Results) -> Vec<(String, Engine)> {
    let mut found = Vec::new();
    for (cell, _) in results.iter() {
        let key = (cell.workload.id.clone(), cell.engine);
        let has_own_table = matches!(cell.workload.kind, Kind::Pause { .. } | Kind::Cliff(_));
        if !has_own_table && !found.contains(&key) {
            found.push(key);
        }
    }
    found
}

/// One table for all pauses.
fn pause_table(results: &Results) -> String {
    let rows: Vec<Vec<String>> = results
        .iter()
        .filter_map(|(cell, measured)| {
            let Kind::Pause { live } = cell.workload.kind else { return None };
            let seconds = measured.median_seconds(cell.workload.kind);
            Some(vec![
                cell.workload.id.clone(),
                cell.peer.name().to_owned(),
                cell.engine.name().to_owned(),
                live.to_string(),
                format!("{:.3}", seconds * 1e3),
                format!("{:.2}", seconds * 1e9 / f64::from(live)),
                measured.peak_pages.map(|pages| pages.to_string()).unwrap_or_default(),
            ])
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let header = ["pause", "peer", "engine", "live objects", "ms", "ns an object", "pages"];
    format!("w7: one full collection\n\n{}\n", table(&header, 3, &rows))
}

/// The targets, met and missed.
pub fn target_table(judged: &[Judged]) -> String {
    let rows: Vec<Vec<String>> = judged
        .iter()
        .map(|one| {
            let sign = if one.target.measure == Measure::Released { ">=" } else { "<=" };
            vec![
                one.target.workload.to_owned(),
                one.target.engine.name().to_owned(),
                one.target.ours.name().to_owned(),
                one.target.describe(),
                format!("{sign} {}", figure(one.target.limit)),
                figure(one.figure),
                one.by_cpu.map(figure).unwrap_or_default(),
                verdict(one).to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let header =
        ["workload", "engine", "ours", "measure", "target", "measured", "by cpu", "verdict"];
    table(&header, 4, &rows)
}

fn verdict(one: &Judged) -> &'static str {
    if one.met { "met" } else { "missed" }
}

const CSV_HEADER: &str = "date,machine,workload,n,peer,engine,door,run,seconds,cpu_seconds,result,\
peak_pages,gc_heap_bytes,instructions,collections,acquired,released,unreleased_peak,figure";

/// Every run, one line each.
pub fn csv(results: &Results, date: &str, machine: &str) -> String {
    let mut text = format!("{CSV_HEADER}\n");
    let optional =
        |figure: Option<u64>| figure.map(|figure| figure.to_string()).unwrap_or_default();
    for (cell, measured) in results.iter() {
        for (run, (seconds, result)) in measured.seconds.iter().zip(&measured.results).enumerate() {
            let cpu = measured.cpu_seconds.get(run).copied().unwrap_or(f64::NAN);
            let _ = writeln!(
                text,
                "{date},\"{machine}\",{},{},{},{},{},{run},{seconds:.6},{cpu:.6},{result},{},{},{},{},{},{},{},{}",
                cell.workload.id,
                cell.workload.n,
                cell.peer.name(),
                cell.engine.name(),
                door(cell.peer),
                optional(measured.peak_pages),
                optional(measured.gc_heap_bytes),
                optional(measured.instructions),
                optional(measured.collections),
                measured.acquired,
                measured.released,
                measured.unreleased_peak,
                measured.figures.get(run).map(i64::to_string).unwrap_or_default(),
            );
        }
    }
    text
}

/// All of it as one object.
pub fn to_json(results: &Results, judged: &[Judged], errors: &[String]) -> Value {
    let cells: Vec<Value> = results
        .iter()
        .map(|(cell, measured)| {
            json!({
                "workload": cell.workload.id,
                "n": cell.workload.n,
                "peer": cell.peer.name(),
                "engine": cell.engine.name(),
                "door": door(cell.peer),
                "median_seconds": measured.median_seconds(cell.workload.kind),
                "cpu_seconds": measured.median_cpu_seconds(),
                "seconds": measured.seconds,
                "figures": measured.figures,
                "over_seconds": measured.over_seconds,
                "peak_pages": measured.peak_pages,
                "gc_heap_bytes": measured.gc_heap_bytes,
                "checksum": match cell.workload.kind {
                    Kind::Pause { .. } => Value::Null,
                    _ => json!(measured.results.first().map(i64::to_string)),
                },
                "instructions": measured.instructions,
                "collections": measured.collections,
                "acquired": measured.acquired,
                "released": measured.released,
                "unreleased_peak": measured.unreleased_peak,
            })
        })
        .collect();
    let targets: Vec<Value> = judged
        .iter()
        .map(|one| {
            json!({
                "workload": one.target.workload,
                "engine": one.target.engine.name(),
                "ours": one.target.ours.name(),
                "measure": one.target.describe(),
                "limit": one.target.limit,
                "ratio": one.figure,
                "cpu_ratio": one.by_cpu,
                "met": one.met,
            })
        })
        .collect();
    json!({ "cells": cells, "targets": targets, "errors": errors })
}

fn door(peer: Peer) -> &'static str {
    match peer {
        Peer::Tether => "core",
        Peer::TetherLinked | Peer::TetherLinkedBatched => "linked",
        Peer::TetherFused | Peer::TetherFusedBatched => "fused",
        _ if peer.is_component() => "component",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{cells, matches};

    fn some_results() -> Results {
        let mut results = Results::default();
        for (name, seconds) in [("w1/tether/wasmtime", 0.5), ("w1/boehm/wasmtime", 1.0)] {
            let cell = cells(false).into_iter().find(|cell| matches(name, cell)).unwrap();
            let measured = Measurement {
                seconds: vec![seconds],
                cpu_seconds: vec![seconds],
                results: vec![7],
                peak_pages: Some(3),
                ..Measurement::default()
            };
            results.add(cell, measured);
        }
        results
    }

    #[test]
    fn a_workloads_table_has_ratios() {
        let text = workload_tables(&some_results());
        assert!(text.contains("w1 on wasmtime: binary trees"), "{text}");
        let boehm = text.lines().find(|line| line.starts_with("| boehm")).unwrap();
        assert!(boehm.contains(" 2.00 |"), "{boehm}");
        assert!(!text.contains("handles"), "{text}");
    }

    #[test]
    fn the_csv_has_a_line_for_each_run() {
        let text = csv(&some_results(), "2026-01-02", "a, b");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("2026-01-02,\"a, b\",w1,16,tether,wasmtime,core,0,0.5"));
        let columns = lines[0].split(',').count();
        assert_eq!(lines[2].split(',').count(), columns + 1, "the machine has a comma in it");
    }
}
