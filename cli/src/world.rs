//! The world that a component is made for, as WIT on disk has it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// The beginning of the names of the custom sections in which a module carries its world.
pub(crate) const WORLD_SECTION: &str = "component-type";

/// A world on disk.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// A WIT file, or a folder with a package.
    pub wit: &'a Path,
    /// The world's name; none if the package has only one world.
    pub name: Option<&'a str>,
}

impl World<'_> {
    /// Reads the WIT and finds the world in it.
    pub fn resolve(self) -> Result<(Resolve, WorldId)> {
        let mut resolve = Resolve::default();
        let (package, _) = resolve
            .push_path(self.wit)
            .with_context(|| format!("cannot read WIT from {}", self.wit.display()))?;
        if let Ok(id) = resolve.select_world(&[package], self.name) {
            return Ok((resolve, id));
        }
        let worlds = &resolve.packages[package].worlds;
        let names: Vec<&str> = worlds.keys().map(String::as_str).collect();
        match (self.name, names.is_empty()) {
            (_, true) => bail!("{} has no world", self.wit.display()),
            (None, false) => {
                bail!("--world is missing: {} has {}", self.wit.display(), names.join(", "))
            }
            (Some(name), false) => {
                bail!("{} has no world `{name}`; it has {}", self.wit.display(), names.join(", "))
            }
        }
    }

    /// Adds the world's description to a core module.
    pub fn embed(self, module: &mut Vec<u8>) -> Result<()> {
        let (resolve, id) = self.resolve()?;
        embed_component_metadata(module, &resolve, id, StringEncoding::UTF8, false)
            .context("cannot describe the world")
    }
}
