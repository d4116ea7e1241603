//! Mutation checks: the collector with one step taken out, and the test that
//! must then fail. They show that the tests hold the steps in place.
//!
//! A mutation is a `cfg` in `src/`, `tether_mutation = "NAME"`, that nothing
//! else sets. Its test must fail by an assertion; a build that fails shows nothing.

use anyhow::{Context, Result, bail, ensure};

use crate::process::{cargo, output, progress};
use crate::workspace::Workspace;

/// Each mutation, and the unit test of the collector that must see it.
const MUTATIONS: [(&str, &str); 1] =
    [("register-does-not-root", "register_roots_the_wrapper_in_flight")];

/// Runs every mutation's test, each in a build of its own, apart from the usual one.
pub fn check(workspace: &Workspace) -> Result<()> {
    for (mutation, test) in MUTATIONS {
        progress(&format!("mutation `{mutation}`: the test {test} must fail"));
        let ran = output(
            cargo(workspace)
                .args(["test", "--package", "tether-gc", "--lib", test])
                .env("CARGO_TARGET_DIR", workspace.target().join("mutations"))
                // It would go before RUSTFLAGS, and leave the mutation out.
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .env("RUSTFLAGS", format!("--cfg=tether_mutation=\"{mutation}\"")),
            "running a mutated collector's test",
        )?;
        let printed = String::from_utf8_lossy(&ran.stdout);
        verdict(ran.status.success(), &printed)
            .with_context(|| format!("mutation `{mutation}`, test {test}"))?;
    }
    Ok(())
}

/// Whether a test run shows one test, failed by a panic of its own.
fn verdict(passed: bool, printed: &str) -> Result<()> {
    if !printed.contains("test result: ") {
        bail!("the mutated collector does not build, or its test does not run; see above");
    }
    ensure!(!printed.contains(" 0 passed; 0 failed;"), "there is no such test");
    ensure!(!passed, "the test passes although the step is taken out");
    ensure!(
        printed.contains("test result: FAILED. 0 passed; 1 failed;")
            && printed.contains("panicked at"),
        "the test did not fail by an assertion:\n{printed}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_assertion_is_what_is_wanted() {
        let printed =
            "panicked at src/heap.rs:1\ntest result: FAILED. 0 passed; 1 failed; 0 ignored";
        assert!(verdict(false, printed).is_ok());
    }

    #[test]
    fn everything_else_is_an_error() {
        for (passed, printed) in [
            (true, "test result: ok. 1 passed; 0 failed; 0 ignored"),
            (true, "test result: ok. 0 passed; 0 failed; 0 ignored"),
            (false, "test result: FAILED. 0 passed; 1 failed; 0 ignored"),
            (false, "panicked at a.rs\ntest result: FAILED. 0 passed; 2 failed; 0 ignored"),
            (false, ""),
        ] {
            assert!(verdict(passed, printed).is_err(), "{passed} {printed}");
        }
    }
}
