//! Writes the glue of the component door: the exports of `wit/`, from the canonical ABI as
//! wit-bindgen's library has it.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};
use wit_bindgen_core::wit_parser::Resolve;

mod function;
mod glue;

/// The world whose exports all components have.
const WORLD: &str = "tether:gc/collector";

fn main() -> Result<()> {
    let wit = Path::new("../../wit");
    println!("cargo::rerun-if-changed={}", wit.display());
    println!("cargo::rerun-if-changed=build");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).context("wit/ cannot be read")?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    let path = out.join("glue.rs");
    fs::write(&path, glue::of_world(&resolve, world)?)
        .with_context(|| format!("cannot write {}", path.display()))
}
