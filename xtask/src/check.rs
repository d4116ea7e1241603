//! `cargo xtask check`: formatting, lints, layers and house rules.

use std::process::{Command, ExitCode};

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
  - clippy has no warning, natively and for Wasm with each of the collector's doors;
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
    run(&mut clippy(workspace, &["--workspace", "--all-targets"]), "clippy")?;
    ensure_wasm_target(workspace)?;
    for door in [
        "component",
        "component-push",
        "component-wasi",
        "core",
        "core-diagnostics",
        "core-library",
    ] {
        progress(&format!("clippy for Wasm, with the door {door}"));
        let of_door = ["--package", "tether-gc", "--no-default-features", "--features", door];
        run(&mut clippy_for_wasm(workspace, &of_door), "clippy")?;
    }
    progress("clippy for Wasm, the ledger");
    run(&mut clippy_for_wasm(workspace, &["--package", "tether-ledger"]), "clippy")?;
    progress("clippy for Wasm, the ledger through the core door");
    let of_ledger = ["--package", "tether-ledger", "--features", "core-door"];
    run(&mut clippy_for_wasm(workspace, &of_ledger), "clippy")?;
    for allocator in ["dlmalloc", "talc"] {
        progress(&format!("clippy for Wasm, the benchmark's {allocator}"));
        let of = ["--package", "tether-bench-allocators", "--features", allocator];
        run(&mut clippy_for_wasm(workspace, &of), "clippy")?;
    }
    progress("clippy for Wasm, the benchmark's component");
    run(&mut clippy_for_wasm(workspace, &["--package", "tether-bench-component"]), "clippy")
}

fn clippy(workspace: &Workspace, of: &[&str]) -> Command {
    let mut command = cargo(workspace);
    command.arg("clippy").args(of).args(["--", "--deny", "warnings"]);
    command
}

fn clippy_for_wasm(workspace: &Workspace, of: &[&str]) -> Command {
    let mut command = cargo(workspace);
    command
        .args(["clippy", "--lib", "--target", WASM_TARGET])
        .args(of)
        .args(["--", "--deny", "warnings"]);
    command
}
