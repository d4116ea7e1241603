//! `cargo xtask miri`: the collector's native tests under Miri, which stops at undefined
//! behaviour. Natively the collector has no `unsafe`, so Miri should have nothing to say.

use std::process::ExitCode;

use anyhow::Result;
use lexopt::Parser;

use crate::help;
use crate::process::{progress, run_visibly};
use crate::tools::{ensure_nightly, nightly};
use crate::workspace::Workspace;

const HELP: &str = "\
Runs the collector's native tests under Miri.

Usage: cargo xtask miri

The tests inside the collector, those of the core door's part too, and the model's at a
small size. Tests that make a hundred thousand objects and more are left out. Miri comes from
nightly's components; rustup fetches it where it is missing.

Options:
  -h, --help    print this
";

/// Runs the command.
pub fn command(parser: Parser) -> Result<ExitCode> {
    if help::is_all_that_is_asked(parser, HELP)? {
        return Ok(ExitCode::SUCCESS);
    }
    all(&Workspace::find())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs all of them.
pub fn all(workspace: &Workspace) -> Result<()> {
    ensure_nightly(workspace, &["miri", "rust-src"])?;
    progress("the collector's tests under Miri");
    run_visibly(
        nightly(workspace, "cargo")
            .args(["miri", "test", "--package", "tether-gc", "--features", "core"])
            .args(["--lib", "--test", "model"])
            .env("CARGO_TARGET_DIR", workspace.target().join("miri")),
        "testing under Miri",
    )
}
