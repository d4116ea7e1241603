//! Makes a component of a core module.

use std::ops::Range;

use anyhow::{Context, Result};
use wasm_encoder::{Component, ComponentSectionId, RawSection};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use crate::module::{Change, Outside, change};
use crate::world::{WORLD_SECTION, World};

/// Makes a component of a core module, for a world, or else for the one that the module carries.
/// No adapters take part. Custom sections, such as names, are left out.
pub fn encode(core_module: &[u8], world: Option<World<'_>>) -> Result<Vec<u8>> {
    let mut module = change(core_module, &mut WorldsAlone).context("not a WebAssembly module")?;
    if let Some(world) = world {
        world.embed(&mut module)?;
    }
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .context("the module holds no usable component metadata")?
        .encode()
        .with_context(|| misfit(core_module, world))?;
    without_customs(&component)
}

/// A component without its own custom sections, and without those of components in it.
fn without_customs(component: &[u8]) -> Result<Vec<u8>> {
    let mut bare = Component::new();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.context("the component that was made cannot be read")?;
        match &payload {
            Payload::ComponentSection { unchecked_range, .. } if depth == 0 => {
                let inner = without_customs(bytes_of(component, unchecked_range))?;
                let id = ComponentSectionId::Component as u8;
                bare.section(&RawSection { id, data: &inner });
                depth += 1;
            }
            Payload::ModuleSection { unchecked_range, .. } if depth == 0 => {
                let id = ComponentSectionId::CoreModule as u8;
                bare.section(&RawSection { id, data: bytes_of(component, unchecked_range) });
                depth += 1;
            }
            Payload::ComponentSection { .. } | Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::CustomSection(_) => {}
            _ => {
                if depth == 0
                    && let Some((id, range)) = payload.as_section()
                {
                    bare.section(&RawSection { id, data: bytes_of(component, &range) });
                }
            }
        }
    }
    Ok(bare.finish())
}

fn bytes_of<'a>(component: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    &component[range.start as usize..range.end as usize]
}

/// The reason for which a module does not fit its world.
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

/// Keeps the custom sections with the module's WIT, and drops all others.
struct WorldsAlone;

impl Change for WorldsAlone {
    fn keeps_custom(&mut self, name: &str) -> bool {
        name.starts_with(WORLD_SECTION)
    }
}
