//! Makes one module of a guest and the collector's core module, optimises it as one, and makes a
//! component of it.
//!
//! [`contract`] checks the guest, [`steps`] rewrites modules, and `inline` marks what is to be
//! inlined. This module runs Binaryen's tools in between.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::artifacts::find_collector;
use crate::binaryen::Binaryen;
use crate::folder::{Folder, read};
use crate::module::Outside;
use crate::world::World;

pub mod contract;
pub mod inline;
pub mod steps;

use contract::{COLLECTOR, Door};
use steps::{GUEST, Prepared, Release, SUPPLIED, finish, prepare, trim};

/// A guest to link, and how to link it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The guest's module, `.wasm` or `.wat`.
    pub guest: PathBuf,
    /// The collector's core module; none to find the one for the guest's door.
    pub collector: Option<PathBuf>,
    /// The folders that may hold the collector's core modules, the first choice first.
    pub artifacts: Vec<PathBuf>,
    /// The path of the world's WIT.
    pub wit: Option<PathBuf>,
    /// The world's name.
    pub world: Option<String>,
    /// Whether the result is a core module, whatever the guest carries.
    pub is_core: bool,
    /// The level of `wasm-opt`; none to leave the code as it is.
    pub level: Option<String>,
    /// Whether pointers are kept on the guest's own stack.
    pub spills_pointers: bool,
    /// Whether functions keep their names.
    pub keeps_names: bool,
}

impl Request {
    /// The defaults.
    pub fn new(guest: impl Into<PathBuf>, artifacts: Vec<PathBuf>) -> Self {
        Request {
            guest: guest.into(),
            collector: None,
            artifacts,
            wit: None,
            world: None,
            is_core: false,
            level: Some("3".to_owned()),
            spills_pointers: false,
            keeps_names: false,
        }
    }

    /// Whether the level is one that takes code for speed.
    fn is_for_speed(&self) -> bool {
        !matches!(self.level.as_deref(), None | Some("s" | "z"))
    }

    fn world(&self) -> Option<World<'_>> {
        self.wit.as_deref().map(|wit| World { wit, name: self.world.as_deref() })
    }
}

/// The result of linking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The component, or the core module.
    pub binary: Vec<u8>,
    /// Whether the binary is a component.
    pub is_component: bool,
    /// The size of the guest as a binary.
    pub guest_bytes: u64,
    /// The collector's functions that the guest imports; none if a linker had put the
    /// collector into the guest.
    pub functions: Option<Vec<String>>,
    /// The door that the guest uses.
    pub door: Door,
    /// The way of released handles.
    pub release: Release,
}

/// Links.
pub fn link(request: &Request, binaryen: &Binaryen) -> Result<Linked> {
    // A missing world is reported before anything is optimised.
    request.world().map(World::resolve).transpose()?;
    let linker = Linker { request, binaryen, folder: Folder::make()? };
    let guest = linker.guest()?;
    let cannot_link = || format!("cannot link {}", request.guest.display());
    let collector = read(&linker.collector(&guest).with_context(cannot_link)?)?;
    let mut prepared = prepare(&guest, &collector).with_context(cannot_link)?;
    if let (Door::Component, Some(collector)) = (prepared.door, &mut prepared.collector)
        && request.is_for_speed()
    {
        *collector = inline::hint(collector)?;
    }
    let is_component = !request.is_core && (request.wit.is_some() || prepared.has_world);

    let merged = linker.merge(&prepared)?;
    let trimmed = trim(&merged, &guest, is_component).context("cannot leave out exports")?;
    // If the guest is merged here, its pointers are spilled before that.
    let spills = request.spills_pointers && prepared.collector.is_none();
    let optimised = linker.optimise(trimmed, &passes(request, spills))?;
    let binary = if is_component {
        finish(&optimised, &guest, request.world(), request.keeps_names)
            .with_context(|| format!("cannot make a component of {}", request.guest.display()))?
    } else {
        optimised
    };
    Ok(Linked {
        binary,
        is_component,
        guest_bytes: guest.len() as u64,
        functions: prepared.collector.is_some().then_some(prepared.functions),
        door: prepared.door,
        release: prepared.release,
    })
}

struct Linker<'a> {
    request: &'a Request,
    binaryen: &'a Binaryen,
    /// A folder for the files of Binaryen's tools.
    folder: Folder,
}

impl Linker<'_> {
    /// The guest as a binary.
    fn guest(&self) -> Result<Vec<u8>> {
        let guest = &self.request.guest;
        if guest.extension().is_none_or(|extension| extension != "wat") {
            return read(guest);
        }
        let binary = self.folder.file("assembled.wasm");
        let mut assemble = self.binaryen.tool("wasm-as")?;
        assemble.command.arg(guest).arg("-g").arg("-o").arg(&binary);
        assemble.run(&format!("assembling {}", guest.display()))?;
        read(&binary)
    }

    /// The collector's core module: the one that is asked for, or else the one for the guest's
    /// door.
    fn collector(&self, guest: &[u8]) -> Result<PathBuf> {
        let door = Door::of(&Outside::read(guest).context("the guest")?)?;
        ensure!(
            door == Door::Core || !self.request.spills_pointers,
            "--spill-pointers is for a stack that is registered with `tether_add_roots`, and the \
             guest imports `tether:gc`, which has no such function: leave it out"
        );
        match &self.request.collector {
            Some(file) => Ok(file.clone()),
            None => find_collector(&self.request.artifacts, door.collector_file()),
        }
    }

    /// The guest, the collector and the supplied functions, as one module.
    fn merge(&self, prepared: &Prepared) -> Result<Vec<u8>> {
        let guest = if self.request.spills_pointers && prepared.collector.is_some() {
            // Only the guest's code is spilled: the collector's own code needs no spilling.
            self.optimise(prepared.guest.clone(), &passes(self.request, true))?
        } else {
            prepared.guest.clone()
        };
        let others = [
            (COLLECTOR, "collector.wasm", &prepared.collector),
            (SUPPLIED, "supplied.wasm", &prepared.supplied),
        ];
        if others.iter().all(|(_, _, module)| module.is_none()) {
            return Ok(guest);
        }
        let mut merge = self.binaryen.tool("wasm-merge")?;
        merge.command.arg(self.folder.write("guest.wasm", &guest)?).arg(GUEST);
        for (name, file, module) in others {
            if let Some(module) = module {
                merge.command.arg(self.folder.write(file, module)?).arg(name);
            }
        }
        let merged = self.folder.file("merged.wasm");
        merge.command.arg("-g").arg("-o").arg(&merged);
        merge.run("merging the guest and the collector with wasm-merge")?;
        read(&merged)
    }

    fn optimise(&self, module: Vec<u8>, passes: &[String]) -> Result<Vec<u8>> {
        if passes.is_empty() {
            return Ok(module);
        }
        let optimised = self.folder.file("optimised.wasm");
        let mut optimise = self.binaryen.tool("wasm-opt")?;
        let from = self.folder.write("unoptimised.wasm", &module)?;
        optimise.command.args(passes).arg(from).arg("-o").arg(&optimised);
        if self.request.keeps_names {
            optimise.command.arg("-g");
        }
        let spills = passes.iter().any(|pass| pass == "--spill-pointers");
        optimise.run(if spills {
            "spilling pointers with wasm-opt, which takes the guest's first global that it does \
             not export for the C stack's pointer, as wasm-ld makes it,"
        } else {
            "optimising with wasm-opt"
        })?;
        read(&optimised)
    }
}

/// The passes of `wasm-opt`.
fn passes(request: &Request, spills_pointers: bool) -> Vec<String> {
    let level = request.level.as_ref().map(|level| format!("-O{level}"));
    let mut passes: Vec<String> = level.iter().cloned().collect();
    if spills_pointers {
        // A value can only be spilled if it has a local of its own: flattening gives it one. A
        // spilled value stays spilled when the code is optimised again, because no pass takes a
        // store from in front of a call.
        passes.extend(["--flatten".to_owned(), "--spill-pointers".to_owned()]);
        passes.extend(level);
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spilling_comes_between_two_optimisations() {
        let mut request = Request::new("a.wasm", Vec::new());
        assert_eq!(passes(&request, false), ["-O3"]);
        assert_eq!(passes(&request, true), ["-O3", "--flatten", "--spill-pointers", "-O3"]);
        request.level = None;
        assert_eq!(passes(&request, true), ["--flatten", "--spill-pointers"]);
    }

    #[test]
    fn code_is_copied_for_speed_and_not_for_size() {
        let mut request = Request::new("a.wasm", Vec::new());
        assert!(request.is_for_speed());
        for level in [Some("s"), Some("z"), None] {
            request.level = level.map(str::to_owned);
            assert!(!request.is_for_speed(), "{level:?}");
        }
    }
}
