//! `cargo xtask miri`: the collector's native tests under Miri, which stops at undefined
//! behaviour. Natively the collector has no `unsafe`, so Miri should have nothing to say.

use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use lexopt::Parser;

use crate::help;
use crate::process::progress;
use crate::tools::{ensure_nightly, nightly};
use crate::workspace::Workspace;

const HELP: &str = "\
Runs the collector's native tests under Miri.

Usage: cargo xtask miri

All tests of the package tether-gc, those of the core door's part and the model's among
them, at sizes that fit: Miri is thousands of times as slow as a processor. Tests that need
millions of objects are ignored, and each says why. Pointers keep their provenance, and
alignment is checked as it is declared. Takes about four minutes on one core; the first time
Miri builds the standard library too. Miri comes from nightly's components; rustup fetches
it if it is missing.

Prints how many tests passed.

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

/// Checks of Miri that are not on by default.
const FLAGS: &str = "-Zmiri-strict-provenance -Zmiri-symbolic-alignment-check";

/// Runs all the tests.
pub fn all(workspace: &Workspace) -> Result<()> {
    ensure_nightly(workspace, &["miri", "rust-src"])?;
    progress("the collector's tests under Miri");
    let mut miri = nightly(workspace, "cargo");
    miri.args(["miri", "test", "--package", "tether-gc", "--tests"]);
    // Miri does not optimise, and warns if a profile asks it to.
    for package in ["tether-gc", "tether-model"] {
        miri.arg(format!("--config=profile.dev.package.{package}.opt-level=0"));
    }
    let mut child = miri
        .env("CARGO_TARGET_DIR", workspace.target().join("miri"))
        .env("MIRIFLAGS", FLAGS)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start rustup")?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    let mut ran = Ran::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read what the tests say")?;
        ran.note(&line)?;
        eprintln!("{line}");
    }
    let status = child.wait().context("cargo cannot be waited for")?;
    ensure!(status.success(), "testing under Miri failed ({status}); see above");
    ensure!(ran.passed > 0, "no test ran under Miri");
    println!("miri: {} tests passed, {} ignored (each says why)", ran.passed, ran.ignored);
    Ok(())
}

/// How many tests passed and were ignored.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ran {
    passed: u32,
    ignored: u32,
}

impl Ran {
    /// Takes a test program's line of results into account. An ignored test must say why.
    fn note(&mut self, line: &str) -> Result<()> {
        if line.starts_with("test ") && line.ends_with("... ignored") {
            bail!("a test is ignored under Miri and does not say why: {line}");
        }
        let Some(result) = line.strip_prefix("test result: ") else { return Ok(()) };
        for part in result.split([';', '.']) {
            if let Some((count, what)) = part.trim().split_once(' ') {
                let sum = match what {
                    "passed" => &mut self.passed,
                    "ignored" => &mut self.ignored,
                    _ => continue,
                };
                *sum += count.parse::<u32>().with_context(|| format!("not a number: {line}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up() {
        let mut ran = Ran::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test b ... ignored, too large",
            "test result: ok. 36 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; \
             finished in 117.88s",
            "test result: ok. 4 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out",
        ] {
            ran.note(line).unwrap();
        }
        assert_eq!(ran, Ran { passed: 40, ignored: 3 });
        assert!(ran.note("test c ... ignored").is_err());
    }
}
