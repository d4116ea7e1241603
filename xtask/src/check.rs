//! `cargo xtask check`: formatting, lints, layers and house rules.

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::Parser;

use crate::help;
use crate::process::{cargo, progress, run};
use crate::tools::{WASM_TARGET, ensure_wasm_target};
use crate::workspace::Workspace;
use crate::{layers, tidy};

const HELP: &str = "\
Checks the sources.

Usage: cargo xtask check

  - rustfmt agrees with every file;
  - clippy has no warning, natively and for Wasm;
  - the collector's modules import only from lower layers;
  - every file starts with `//!`, and nothing is marked as left to do.
What clippy and rustc are to warn of stands in Cargo.toml: undone work, public items
without documentation, and `unsafe` outside the modules that declare it.

Options:
  -h, --help    print this
";

/// Runs the command.
pub fn command(parser: Parser) -> Result<ExitCode> {
    if help::is_all_that_is_asked(parser, HELP)? {
        return Ok(ExitCode::SUCCESS);
    }
    all(&Workspace::find())?;
    progress("all checks passed");
    Ok(ExitCode::SUCCESS)
}

/// Runs every check; those that take no time first.
pub fn all(workspace: &Workspace) -> Result<()> {
    progress("checking layers and house rules");
    let mut problems = layers::check(workspace.root())?;
    problems.extend(tidy::check(workspace.root())?);
    if !problems.is_empty() {
        problems.iter().for_each(|problem| eprintln!("{problem}"));
        bail!("{} broken rules stand above", problems.len());
    }
    progress("checking the formatting");
    run(
        cargo(workspace).args(["fmt", "--all", "--check"]),
        "checking the formatting (`cargo fmt --all` mends it)",
    )?;
    progress("clippy, natively");
    run(
        cargo(workspace).args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ]),
        "clippy",
    )?;
    ensure_wasm_target(workspace)?;
    // The alternative features of a guest and of a peer of the benchmark.
    for features in
        ["tether-bench-allocators/dlmalloc", "tether-bench-allocators/talc,tether-ledger/core-door"]
    {
        progress(&format!("clippy for Wasm, with {features}"));
        let packages = FOR_WASM.iter().flat_map(|package| ["--package", package]);
        let mut clippy = cargo(workspace);
        clippy.args(["clippy", "--lib", "--target", WASM_TARGET, "--features", features]);
        run(clippy.args(packages).args(["--", "--deny", "warnings"]), "clippy")?;
    }
    Ok(())
}

/// The packages that are built for Wasm: doors, guests, and what the benchmark measures.
const FOR_WASM: [&str; 9] = [
    "tether-gc-collector",
    "tether-gc-collector-push",
    "tether-gc-collector-wasi",
    "tether-gc-core-library",
    "tether-gc-core-module",
    "tether-gc-core-lean",
    "tether-ledger",
    "tether-bench-allocators",
    "tether-bench-component",
];
