//! `cargo xtask fuzz`: libFuzzer over the model (`fuzz/`), and how much of the collector
//! its corpus reaches.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};

use crate::process::{output, progress, run};
use crate::tools::{ensure_nightly, ensure_program, host_target, nightly};
use crate::workspace::Workspace;

const HELP: &str = "\
Fuzzes the native collector: libFuzzer's bytes are programs, and the model has the right
answers.

Usage: cargo xtask fuzz [options]

Inputs that reach new code stay in fuzz/corpus/operations, which begins with random
bytes; a failing input goes to fuzz/artifacts/operations. Needs nightly; cargo-fuzz comes
from crates.io.

Options:
      --minutes N   how long (5)
      --coverage    afterwards, tell how many lines of the collector the corpus reaches
      --json        print one JSON object instead
  -h, --help        print this
";

/// The only target.
const TARGET: &str = "operations";
const CARGO_FUZZ: (&str, &str) = ("cargo-fuzz", "0.13.2");
/// An input that takes longer is a finding.
const SLOWEST_SECONDS: u32 = 30;
/// The number of inputs with which an empty corpus begins: random bytes, long enough that their
/// programs collect and fill tables. From an empty corpus libFuzzer takes hours to find such
/// inputs.
const FIRST_INPUTS: u64 = 32;
const FIRST_INPUT_BYTES: usize = 2 * 1024;
/// The longest input that libFuzzer makes.
const MOST_INPUT_BYTES: usize = 2 * FIRST_INPUT_BYTES;

/// Runs the command.
pub fn command(mut parser: Parser) -> Result<ExitCode> {
    let (mut minutes, mut covers, mut as_json) = (5_u64, false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("minutes") => minutes = parser.value()?.parse()?,
            Arg::Long("coverage") => covers = true,
            Arg::Long("json") => as_json = true,
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    // For libFuzzer, 0 minutes is no end.
    ensure!(minutes > 0, "--minutes takes a number from 1 on");
    let workspace = Workspace::find();
    ensure_nightly(&workspace, &["rust-src", "llvm-tools"])?;
    ensure_program(&workspace, CARGO_FUZZ.0, CARGO_FUZZ.1)?;
    let mut report = fuzz(&workspace, minutes)?;
    if covers {
        report["lines"] = coverage(&workspace)?;
    }
    if as_json {
        println!("{report}");
    } else {
        print_text(&report);
    }
    Ok(ExitCode::SUCCESS)
}

fn cargo_fuzz(workspace: &Workspace, verb: &str) -> Command {
    let mut command = nightly(workspace, "cargo");
    command
        .args(["fuzz", verb, TARGET])
        // `coverage` ignores the variable CARGO_TARGET_DIR, so the folder is an argument.
        .arg("--target-dir")
        .arg(build_folder(workspace, verb))
        .current_dir(workspace.root().join("fuzz"))
        .env_remove("CARGO_TARGET_DIR");
    command
}

/// The folder in which cargo-fuzz builds. Builds with coverage have another one, so that neither
/// is built anew after the other.
fn build_folder(workspace: &Workspace, verb: &str) -> PathBuf {
    workspace.target().join(if verb == "coverage" { "fuzz-coverage" } else { "fuzz" })
}

/// Puts the first inputs into an empty corpus. They are equal each time.
fn begin_corpus(corpus: &Path) -> Result<()> {
    fs::create_dir_all(corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    if fs::read_dir(corpus).is_ok_and(|mut inputs| inputs.next().is_some()) {
        return Ok(());
    }
    for number in 0..FIRST_INPUTS {
        let path = corpus.join(format!("random-{number}"));
        let words = (0..FIRST_INPUT_BYTES as u64 / 8).map(|word| mixed(number << 32 | word));
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A number that looks random, for any number (splitmix64's output function).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fuzz(workspace: &Workspace, minutes: u64) -> Result<Value> {
    let corpus = workspace.root().join("fuzz/corpus").join(TARGET);
    begin_corpus(&corpus)?;
    progress(&format!("fuzzing for {minutes} minutes"));
    let mut child = cargo_fuzz(workspace, "run")
        .arg("--")
        .arg(format!("-max_total_time={}", minutes * 60))
        .arg(format!("-timeout={SLOWEST_SECONDS}"))
        .arg(format!("-max_len={MOST_INPUT_BYTES}"))
        .args(["-print_final_stats=1", "-rss_limit_mb=4096"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start rustup")?;
    let mut executions = None;
    let stderr = child.stderr.take().context("cargo-fuzz has no stderr")?;
    for line in BufReader::new(stderr).lines() {
        let line = line.context("cannot read what cargo-fuzz says")?;
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            executions = count.trim().parse::<u64>().ok();
        }
        eprintln!("{line}");
    }
    let status = child.wait().context("cargo-fuzz cannot be waited for")?;
    ensure!(
        status.success(),
        "the fuzzer found something, see above; the input is in fuzz/artifacts/{TARGET}"
    );
    let inputs = fs::read_dir(&corpus).map_or(0, Iterator::count);
    Ok(json!({ "minutes": minutes, "executions": executions, "corpus_inputs": inputs }))
}

/// Lines of the collector that the corpus reaches: for each file, the reached ones and all.
fn coverage(workspace: &Workspace) -> Result<Value> {
    progress("running the corpus for its coverage");
    run(&mut cargo_fuzz(workspace, "coverage"), "measuring coverage")?;
    let host = host_target(workspace)?;
    let sysroot = output(
        nightly(workspace, "rustc").args(["--print", "sysroot"]),
        "asking nightly for its folder",
    )?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    let llvm_cov = sysroot.join("lib/rustlib").join(&host).join("bin/llvm-cov");
    let profile = workspace.root().join("fuzz/coverage").join(TARGET).join("coverage.profdata");
    let built = build_folder(workspace, "coverage").join(&host);
    let exported = output(
        Command::new(&llvm_cov)
            .args(["export", "--summary-only", "--instr-profile"])
            .arg(&profile)
            .arg(built.join("release").join(TARGET)),
        "reading the coverage",
    )?;
    let exported: Value =
        serde_json::from_slice(&exported.stdout).context("llvm-cov gave no summary")?;
    let Some(files) = exported["data"][0]["files"].as_array() else {
        bail!("llvm-cov names no files");
    };
    let source = workspace.root().join("src");
    let (mut all, mut reached) = (0, 0);
    let mut by_file = serde_json::Map::new();
    for file in files {
        let path = PathBuf::from(file["filename"].as_str().unwrap_or_default());
        let Ok(name) = path.strip_prefix(&source) else { continue };
        let lines = &file["summary"]["lines"];
        let (count, covered) = (lines["count"].as_u64(), lines["covered"].as_u64());
        all += count.unwrap_or(0);
        reached += covered.unwrap_or(0);
        by_file.insert(name.display().to_string(), json!([covered, count]));
    }
    ensure!(all > 0, "llvm-cov names no file of the collector");
    Ok(json!({ "reached": reached, "all": all, "by_file": by_file }))
}

fn print_text(report: &Value) {
    println!("minutes     {}", report["minutes"]);
    println!("executions  {}", report["executions"]);
    println!("corpus      {} inputs", report["corpus_inputs"]);
    println!("findings    none");
    let Some(files) = report["lines"]["by_file"].as_object() else { return };
    println!(
        "lines       {} of {} of the collector",
        report["lines"]["reached"], report["lines"]["all"]
    );
    for (name, lines) in files {
        println!("  {name:<24}{:>6} of {:>5}", lines[0], lines[1]);
    }
}
