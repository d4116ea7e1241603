//! `cargo xtask test`: everything that must hold, in one command. CI runs it.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use lexopt::Parser;

use crate::help;
use crate::node::{self, TwoMemories};
use crate::process::{cargo, progress, run_visibly};
use crate::runner::{announce_first_build, build_runner};
use crate::workspace::Workspace;
use crate::{artifacts, bench, check, miri, npm, vera};

const HELP: &str = "\
Checks the sources, builds what is missing, and runs every test.

Usage: cargo xtask test

In this order:
  1. cargo xtask check
  2. the components, the guest, their compositions and the hosts are built, jco
     and the default document fetched from npm
  3. the tests of `tether`, `tether-fuse`, the build tool, the ledger and the collector, natively,
     and random programs against the model
  4. the tests on the hosts, wasmtime and both versions of jco
  5. cargo xtask miri: the collector's native tests under Miri
  6. cargo xtask vera --test: Vera programs, on their own collector and on this one
  7. cargo xtask bench --quick: every peer runs, and all checksums agree

The first time takes about 50 minutes on two cores, later ones some twenty.

Options:
  -h, --help    print this
";

/// Runs the command.
pub fn command(parser: Parser) -> Result<ExitCode> {
    if help::is_all_that_is_asked(parser, HELP)? {
        return Ok(ExitCode::SUCCESS);
    }
    let workspace = Workspace::find();
    announce_first_build(&workspace, "about 25 minutes");
    check::all(&workspace)?;
    artifacts::build_and_check(&workspace)?;
    build_runner(&workspace)?;
    npm::install_jco(&workspace)?;
    let document = npm::fetch_atlas(&workspace)?;
    let node = node::choose(&workspace, TwoMemories::Needed)?;
    // One package at a time: each is then built with the features that the commands above
    // gave it, and nothing is built twice. The hosts come last.
    for (package, targets) in [
        ("xtask", &[][..]),
        ("tether-bench-driver", &[]),
        ("tether-cli", &[]),
        ("tether-ledger", &[]),
        ("tether-gc", &[]),
        ("tether-fuse", &[]),
        ("tether-runner", &["--tests"]),
    ] {
        progress(&format!("testing {package}"));
        run_visibly(
            cargo(&workspace)
                .args(["test", "--package", package])
                .args(targets)
                .env("TETHER_ARTIFACTS", workspace.artifacts())
                .env("TETHER_DOCUMENT", &document)
                .env("TETHER_NODE", &node),
            &format!("testing {package}"),
        )?;
    }
    miri::all(&workspace)?;
    vera::test(&workspace)?;
    progress("running the benchmark at small sizes");
    bench::command(["--quick", "--no-build"].map(OsString::from).into_iter())
}
