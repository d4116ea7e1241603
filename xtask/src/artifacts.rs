//! `cargo xtask build`: the collector's artifacts and the guests, made and measured.

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::{Arg, Parser};

use crate::sizes::{Measured, broken_limits, measure, table, to_json};
use crate::workspace::Workspace;
use crate::{build, guests};

const HELP: &str = "\
Makes the collector's components, the guest and their compositions.

Usage: cargo xtask build [--json]

Writes to target/tether/:
  tether-gc.wasm              the collector; the language drains dead handles
  tether-gc-push.wasm         the collector that calls the host's `release`
  tether-gc-wasi.wasm         the collector for WASI hosts: options, trace, pauses
  tether_gc.core.wasm         the collector as a core module: see docs/core-abi.md
  tether_gc.core-lean.wasm    the core module without statistics and verifier
  tether_gc.lowered.wasm      the functions of wit/ for guests that are linked
  libtether_gc.a, tether_gc.h the core module's functions for wasm-ld, and the
                              header for C
  libtether_gc_lowered.a      the functions of wit/ for wasm-ld
  ledger.wasm                 the guest
  ledger-composed.wasm        the guest and the collector
  ledger-composed-wasi.wasm   the guest and the collector for WASI hosts
  ledger-linked.wasm          the guest and the collector, linked
  ledger-fused.wasm           the composition, fused
  core/*.wasm                 the core modules that the components are made of;
                              the collectors' have been through wasm-opt, from the
                              npm package binaryen
and prints the size of each, its size after gzip -9, and its initial memory in
Wasm pages.

Fails if one of these is larger than its limit after gzip -9: tether-gc.wasm
(21,780 bytes), tether_gc.core.wasm (17,820), tether_gc.core-lean.wasm (14,960),
tether_gc.lowered.wasm (19,460);
or if the initial memory of a collector component is more than 4 pages.

Options:
      --json    print one JSON object instead
  -h, --help    print this
";

/// Runs the command.
pub fn command(mut parser: Parser) -> Result<ExitCode> {
    let mut as_json = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("json") => as_json = true,
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let workspace = Workspace::find();
    let (measured, problems) = match make_all(&workspace) {
        Ok(measured) => {
            let broken = broken_limits(&measured);
            (measured, broken)
        }
        Err(error) => (Vec::new(), vec![format!("{error:#}")]),
    };
    if as_json {
        println!("{}", to_json(&workspace, &measured, &problems));
    } else if !measured.is_empty() {
        print!("{}", table(&workspace, &measured));
    }
    for problem in &problems {
        eprintln!("error: {problem}");
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes everything, the guests of the core door too, and measures it.
fn make_all(workspace: &Workspace) -> Result<Vec<Measured>> {
    build::build(workspace)?;
    guests::build(workspace)?;
    measure(workspace)
}

/// Makes sure that the artifacts exist and keep their limits.
pub fn build_and_check(workspace: &Workspace) -> Result<()> {
    let broken = broken_limits(&make_all(workspace)?);
    if !broken.is_empty() {
        bail!("{}", broken.join("; "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::HELP;
    use crate::sizes::GZIP_LIMITS;

    #[test]
    fn the_help_has_the_limits() {
        for (name, bytes) in GZIP_LIMITS {
            let limit = format!("{},{:03}", bytes / 1_000, bytes % 1_000);
            let words = HELP.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(&format!("{name} ({limit}")), "{name}: {limit}");
        }
    }
}
