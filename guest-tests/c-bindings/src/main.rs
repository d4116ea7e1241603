//! Writes the bindings of a world for a guest in C, as `wit-bindgen c` does.
//!
//! The build of the guests calls this in the place of that command, which would have to be
//! installed first.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

const HELP: &str = "\
Writes wit-bindgen's C for a world.

Usage: tether-c-bindings OUT-FOLDER WORLD WIT...

Each WIT is a folder with a package, the packages that others use first. The world is one of
the last package.
";

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tether-c-bindings: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    let [out, world, wit @ ..] = words else {
        bail!("give a folder, a world and the WIT; see --help");
    };
    let mut resolve = Resolve::default();
    let mut package = None;
    for folder in wit {
        let read = resolve.push_dir(Path::new(folder));
        package = Some(read.with_context(|| format!("cannot read {folder}"))?.0);
    }
    let package = package.context("give the WIT; see --help")?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(out).with_context(|| format!("cannot make {out}"))?;
    for (name, content) in files.iter() {
        let path = Path::new(out).join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
