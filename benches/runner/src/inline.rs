//! Which calls wasmtime's compiler inlines.

use std::str::FromStr;

use anyhow::{Result, bail};
use wasmtime::{Config, Inlining};

/// Which calls are inlined, if they are small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inline {
    /// No call of Wasm, as wasmtime does without an option.
    No,
    /// Calls between the modules of a component.
    Between,
    /// These, and calls within a module.
    Yes,
}

impl Inline {
    /// Sets the choice in an engine's configuration.
    pub fn configure(self, config: &mut Config) {
        config.compiler_inlining(match self {
            Inline::No => return,
            Inline::Between => Inlining::InterModule,
            Inline::Yes => Inlining::Yes,
        });
    }
}

impl FromStr for Inline {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "no" => Ok(Inline::No),
            "between" => Ok(Inline::Between),
            "yes" => Ok(Inline::Yes),
            _ => bail!("--inline takes no, between or yes, not `{name}`"),
        }
    }
}
