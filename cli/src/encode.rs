//! A core module made a component.

use anyhow::{Context, Result};
use wit_component::ComponentEncoder;

use crate::module::{Change, Outside, change};
use crate::world::{WORLD_SECTION, World};

/// Makes a component of a core module, which names its world itself unless one is given.
/// No adapters take part. Names and debug sections are left out.
pub fn encode(core_module: &[u8], world: Option<World<'_>>) -> Result<Vec<u8>> {
    let mut module = change(core_module, &mut WorldsAlone).context("not a WebAssembly module")?;
    if let Some(world) = world {
        world.embed(&mut module)?;
    }
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .context("the module holds no usable component metadata")?
        .encode()
        .with_context(|| misfit(core_module, world))
}

/// What is wrong with a module that is not fit for the world.
fn misfit(core_module: &[u8], world: Option<World<'_>>) -> &'static str {
    let carries_world = || {
        let outside = Outside::read(core_module).unwrap_or_default();
        outside.customs.iter().any(|name| name.starts_with(WORLD_SECTION))
    };
    if world.is_some() {
        "the module does not fit the world"
    } else if carries_world() {
        "the module does not fit the world it was built for"
    } else {
        "the module does not say for which world it was built: name the world's WIT with --wit"
    }
}

/// Leaves the custom sections with the module's WIT, and no others.
struct WorldsAlone;

impl Change for WorldsAlone {
    fn keeps_custom(&mut self, name: &str) -> bool {
        name.starts_with(WORLD_SECTION)
    }
}
