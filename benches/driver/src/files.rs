//! The files that a full run leaves in the repository: `docs/benchmarks/`.

use std::fs;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use xtask::workspace::Workspace;

use crate::catalog::workloads;
use crate::cells::{Kind, Peer};
use crate::markdown::table;
use crate::results::Results;
use crate::targets::Judged;
use crate::{plot, report};

const FOLDER: &str = "docs/benchmarks";

/// Writes the report, the raw figures and the plots.
pub fn write(workspace: &Workspace, results: &Results, judged: &[Judged]) -> Result<()> {
    let folder = workspace.root().join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {FOLDER}"))?;
    let (date, machine) = (today(), machine());
    for (name, content) in [
        ("results.md", markdown(results, judged, &date, &machine)),
        ("results.csv", report::csv(results, &date, &machine)),
        ("workloads.svg", plot::bars(results)),
        ("pauses.svg", plot::pauses(results)),
    ] {
        fs::write(folder.join(name), content)
            .with_context(|| format!("cannot write {FOLDER}/{name}"))?;
    }
    eprintln!("==> wrote {FOLDER}/: results.md, results.csv, workloads.svg, pauses.svg");
    Ok(())
}

fn markdown(results: &Results, judged: &[Judged], date: &str, machine: &str) -> String {
    let peers: Vec<Vec<String>> =
        Peer::ALL.map(|peer| vec![peer.name().to_owned(), peer.describe().to_owned()]).to_vec();
    let met = judged.iter().filter(|one| one.met).count();
    let titles: Vec<Vec<String>> = workloads(false)
        .into_iter()
        .filter(|workload| matches!(workload.kind, Kind::Time | Kind::Handles))
        .map(|workload| vec![workload.id, workload.title])
        .collect();
    format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench` on {date}, on {machine}.\n\
         Times are medians in seconds. Every figure of every run is in [results.csv](results.csv).\n\
         How each peer is built and what each workload roots stands in\n\
         [benches](../../benches/README.md).\n\n\
         ## Targets\n\n\
         {met} of {} met. A ratio is Tether's median over the peer's, of the same run and engine;\n\
         *by cpu* is the same of CPU times, which on a busy machine say more.\n\n\
         {}\n\
         ## Peers and workloads\n\n{}\n{}\n\
         ![the workloads' times](workloads.svg)\n\n\
         ![pauses against live objects](pauses.svg)\n\n\
         ## Every cell\n\n\
         *least s* is the fastest run, *over tether* the median by that of Tether's first row,\n\
         which is the core door's where it runs, *pages* the linear\n\
         memory at its largest in Wasm pages, or `heap` what the engine's own collector took, in\n\
         the same unit. *M instructions* are Wasm instructions of one run, by wasmtime's fuel: an\n\
         engine's own collector runs outside of them.\n\n{}",
        judged.len(),
        report::target_table(judged),
        table(&["peer", "what it is"], 2, &peers),
        table(&["workload", "what it does"], 2, &titles),
        report::workload_tables(results),
    )
}

/// The processor, and how many of its threads this machine has.
fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let threads = thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {threads} threads", processor.as_deref().unwrap_or("an unnamed processor"))
}

/// The date, as year-month-day, in UTC.
fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / 86_400);
    format!("{year}-{month:02}-{day:02}")
}

/// The date that many days after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years here begin in March, so that a leap day is a year's last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (days, date) in
            [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (11_016, (2000, 2, 29)), (20_513, (2026, 3, 1))]
        {
            assert_eq!(civil(days), date, "{days}");
        }
    }
}
