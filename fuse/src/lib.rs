//! The library behind the command `tether fuse`: a composed component becomes a component with
//! one core module, in which each part keeps a memory of its own.
//!
//! In a composition, a call from one part to another goes through an adapter that the host makes:
//! it checks that the call is allowed, and copies lists, strings and records from one memory into
//! the other. Here the adapters are made beforehand, as core functions, and merged with the parts'
//! core modules. The calls are then plain calls within a module, on every host.
//!
//! 1. [`parts`] takes the component apart, and [`flags`] finds checks that cannot fail;
//! 2. [`plan`] gives each item a name, and [`modules`] and [`transcode`] make modules by it;
//! 3. [`link`](mod@link) merges and optimises the modules with Binaryen's tools;
//! 4. [`encode`](mod@encode) makes a component of the result.
//!
//! Resources that parts define, asynchronous functions, streams and threads are refused.
//!
//! A tool that lowers components to core modules is proposed in [rfc-46]. When there is one, it
//! can take the place of the steps 1 to 3.

use anyhow::{Context, Result};
use tether_cli::binaryen::Binaryen;

pub mod command;
pub mod encode;
pub mod flags;
pub mod link;
pub mod modules;
pub mod parts;
pub mod plan;
pub mod transcode;

use parts::Part;

/// How to fuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The level of `wasm-opt`; none to leave the code as it is.
    pub level: Option<String>,
    /// Whether functions keep their names.
    pub keeps_names: bool,
    /// Whether the result is the core module.
    pub is_core: bool,
}

impl Default for Request {
    fn default() -> Self {
        Request { level: Some("3".to_owned()), keeps_names: false, is_core: false }
    }
}

/// The result of fusing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fused {
    /// The component, or the core module.
    pub binary: Vec<u8>,
    /// The parts that were fused.
    pub parts: Vec<Part>,
    /// How many memories the core module has.
    pub memories: usize,
}

/// Fuses a composed component.
pub fn fuse(composed: &[u8], request: &Request, binaryen: &Binaryen) -> Result<Fused> {
    let mut composition = parts::read(composed)?;
    let leaving = flags::Leaving::of(&composition)?;
    flags::simplify(&mut composition, &leaving)?;
    let plan = plan::Plan::of(&composition, &leaving)?;
    let module = link::link(&composition, &plan, request, binaryen)?;
    let binary = match request.is_core {
        true => module,
        false => encode::encode(&module, composed, &plan)
            .context("the fused module cannot be made a component")?,
    };
    Ok(Fused { binary, parts: composition.parts, memories: plan.memories.len() })
}
