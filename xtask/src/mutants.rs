//! `cargo xtask mutants`: cargo-mutants changes one thing at a time in the collector, and
//! the native tests must see it.

use std::process::ExitCode;

use anyhow::Result;
use lexopt::{Arg, Parser, ValueExt};

use crate::process::{progress, run_visibly};
use crate::tools::ensure_program;
use crate::workspace::Workspace;

const HELP: &str = "\
Changes one thing at a time in the collector, and runs the native tests on each mutant.

Usage: cargo xtask mutants [FILE...] [options]

FILE is a file of src/, by default wrap_table.rs and roots.rs. A mutant takes about 10
seconds: the model's test runs a tenth of its programs. The list of those that survive is
in target/mutants/mutants.out/missed.txt; docs/reliability.md says why some do.

Options:
      --re REGEX  only mutants whose name, as --list prints it, matches: a function's
                  name restricts them to that function
      --list      only list the mutants
  -h, --help      print this
";

const CARGO_MUTANTS: (&str, &str) = ("cargo-mutants", "27.1.0");

/// Runs the command.
pub fn command(mut parser: Parser) -> Result<ExitCode> {
    let mut files = Vec::new();
    let mut lists = false;
    let mut pattern = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("list") => lists = true,
            Arg::Long("re") => pattern = Some(parser.value()?),
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Value(file) => files.push(file.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if files.is_empty() {
        files = ["wrap_table.rs", "roots.rs"].map(str::to_owned).to_vec();
    }
    let workspace = Workspace::find();
    let (name, version) = CARGO_MUTANTS;
    let program = ensure_program(&workspace, name, version)?;
    progress(&format!("mutating {}", files.join(", ")));
    let mut mutants = std::process::Command::new(program);
    mutants.args(["mutants", "--package", "tether-gc", "--no-shuffle"]);
    mutants.current_dir(workspace.root());
    for file in files {
        mutants.arg("--file").arg(format!("src/{file}"));
    }
    if let Some(pattern) = pattern {
        mutants.arg("--re").arg(pattern);
    }
    if lists {
        mutants.arg("--list");
    } else {
        // A mutant needs neither debug information nor an optimised model. The tests that make
        // millions of objects are skipped: they see no mutant that other tests do not see.
        for setting in ["debug=false", "package.tether-gc.opt-level=1"] {
            mutants.arg(format!("--cargo-arg=--config=profile.dev.{setting}"));
        }
        mutants.env("TETHER_FEW_PROGRAMS", "1");
        mutants.args(["--timeout", "60", "--output"]).arg(workspace.target().join("mutants"));
        mutants.args(["--", "--lib", "--test", "build", "--test", "objects", "--test", "roots"]);
        mutants.args(["--test", "wrappers", "--test", "marking", "--test", "ranges"]);
        mutants.args(["--test", "model", "--"]);
        for slow in ["full_trees", "four_million", "five_million"] {
            mutants.args(["--skip", slow]);
        }
    }
    run_visibly(&mut mutants, "testing mutants")?;
    Ok(ExitCode::SUCCESS)
}
