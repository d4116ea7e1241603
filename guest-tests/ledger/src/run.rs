//! One run: configure, parse, evaluate, and leave nothing behind.

use crate::evaluate::evaluate;
use crate::failure::During;
use crate::handles;
use crate::imports::{Failure, Imports, Options, Outcome, Report, Settings};
use crate::lexer::DEPTH_MAX;
use crate::parse::parse;
use crate::sum::{BATCH_MAX, Plan, Sum};
use crate::tree::{Layouts, PENDING_MAX};

/// Slots for the children that wait in the parser at the greatest depth, and for a batch of
/// the sum: twice the wrappers of its numbers and of its partial sums.
const ROOT_CAPACITY: u32 = DEPTH_MAX as u32 * PENDING_MAX + 4 * BATCH_MAX as u32;

/// The collector's default for `wrap-capacity`.
const WRAP_CAPACITY_DEFAULT: u32 = 4096;

/// Runs the ledger, then closes the heap and drops every decimal, even after a failure.
pub fn run<I: Imports>(imports: &I, settings: &Settings) -> Outcome {
    let report = report(imports, settings);
    handles::drop_all(imports);
    Outcome { report, statistics: imports.diagnostics_read_statistics() }
}

fn report<I: Imports>(imports: &I, settings: &Settings) -> Result<Report, Failure> {
    imports
        .heap_configure(Options {
            heap_limit_bytes: settings.heap_limit_bytes,
            root_capacity: ROOT_CAPACITY,
            wrap_capacity: settings.wrap_capacity,
            wrap_limit: settings.wrap_limit,
            handle_floor: settings.wrap_capacity,
            weight_floor_bytes: 0,
            sizing: None,
            stress: 0,
        })
        .during("configuring the heap")?;
    let layouts = Layouts::define(imports)?;
    // A number that keeps its decimal is a node.
    let packs_numbers = settings.pack_numbers && !settings.keep_decimals;
    let root = parse(imports, layouts, packs_numbers)?;
    let sum = Sum::new(imports, layouts, plan(settings))?;
    evaluate(imports, root, sum)
}

fn plan(settings: &Settings) -> Plan {
    let entries = [settings.wrap_limit, settings.wrap_capacity, WRAP_CAPACITY_DEFAULT];
    let entries = entries.into_iter().find(|&entries| entries > 0);
    Plan::new(entries.unwrap_or_default(), settings.keep_decimals)
}
