//! The steps of linking that need no tool of Binaryen's: `wasm-merge` runs between
//! [`prepare`] and [`trim`], and `wasm-opt` between [`trim`] and [`finish`].

use std::collections::HashSet;

use anyhow::{Context, Result};
use wasm_encoder::{
    CodeSection, CustomSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    GlobalType, ImportSection, Module, TypeSection, ValType,
};
use wasmparser::{Export, ExternalKind, Import, MemoryType, Parser, Payload, TypeRef};
use wit_component::ComponentEncoder;

use super::contract::{
    COLLECTOR, HOST, LINKERS, MEMORY, RELEASE, STATE, check, is_release, is_state_function,
};
use crate::module::{Change, Item, Outside, change, entity_type};
use crate::world::{WORLD_SECTION, World};

/// The name under which the guest is merged.
pub const GUEST: &str = "tether:guest";
/// The name of the module with the functions that [`prepare`] supplies.
pub const SUPPLIED: &str = "tether:link";

/// The names of the supplied functions, which no guest can have.
const SUPPLIED_RELEASE: &str = "tether:release";
const SUPPLIED_STATE: &str = "tether:state";

/// Modules that are ready to be merged.
#[derive(Debug)]
pub struct Prepared {
    /// The guest.
    pub guest: Vec<u8>,
    /// The collector; none if the guest contains it.
    pub collector: Option<Vec<u8>>,
    /// The functions that one of the two imports and neither exports; none if there are none.
    pub supplied: Option<Vec<u8>>,
    /// The way of released handles.
    pub release: Release,
    /// The collector's functions that the guest imports.
    pub functions: Vec<String>,
    /// Whether the guest says itself which world it was built for.
    pub has_world: bool,
}

/// The way of released handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// To the guest's `tether_release`.
    Guest,
    /// They wait for `tether_drain`.
    Queue,
}

/// Checks a guest, and makes it and the collector fit to be merged.
pub fn prepare(guest: &[u8], collector: &[u8]) -> Result<Prepared> {
    let outside = Outside::read(guest).context("the guest")?;
    let core = Outside::read(collector).context("the collector's core module")?;
    let has_world = outside.customs.iter().any(|name| name.starts_with(WORLD_SECTION));
    let has_collector = check(&outside, &core)?;
    if has_collector {
        return prepare_linked(guest, &outside, has_world);
    }
    let exports_release = outside.export(RELEASE).is_some();
    let wants_state = outside.imports.iter().any(is_state_function);
    let memory = *core
        .own_memories
        .first()
        .context("the collector's core module has no memory of its own")?;
    let functions: Vec<String> = outside
        .imports_from(COLLECTOR)
        .filter(|import| matches!(import.item, Item::Function(_)) && !is_state_function(import))
        .map(|import| import.name.clone())
        .collect();
    let shown = functions.iter().map(String::as_str).chain([MEMORY, STATE]).collect();
    let (release_from, release_name) =
        if exports_release { (GUEST, RELEASE) } else { (SUPPLIED, SUPPLIED_RELEASE) };
    Ok(Prepared {
        guest: change(
            guest,
            &mut ForMerging { memory: Some(memory), release_from, release_name, shown: None },
        )?,
        collector: Some(change(
            collector,
            &mut ForMerging { memory: None, release_from, release_name, shown: Some(shown) },
        )?),
        supplied: (!exports_release || wants_state).then(|| supplied(wants_state)),
        release: if exports_release { Release::Guest } else { Release::Queue },
        functions,
        has_world,
    })
}

/// A guest that a linker has put its collector into.
fn prepare_linked(guest: &[u8], outside: &Outside, has_world: bool) -> Result<Prepared> {
    let wants_release = outside.imports.iter().any(is_release);
    Ok(Prepared {
        guest: change(
            guest,
            &mut ForMerging {
                memory: None,
                release_from: SUPPLIED,
                release_name: SUPPLIED_RELEASE,
                shown: None,
            },
        )?,
        collector: None,
        supplied: wants_release.then(|| supplied(false)),
        release: if wants_release { Release::Queue } else { Release::Guest },
        functions: Vec::new(),
        has_world,
    })
}

/// Connects a module to the names under which all are merged.
struct ForMerging<'a> {
    /// The type of the memory that it imports.
    memory: Option<MemoryType>,
    release_from: &'a str,
    release_name: &'a str,
    /// The exports that it shows; none for all.
    shown: Option<HashSet<&'a str>>,
}

impl Change for ForMerging<'_> {
    fn import<'a>(&'a mut self, import: &Import<'a>) -> Result<(&'a str, &'a str, EntityType)> {
        let ty = entity_type(import.ty)?;
        Ok(match (import.module, import.name, import.ty) {
            (LINKERS | COLLECTOR, MEMORY, TypeRef::Memory(_)) => match self.memory {
                Some(memory) => (COLLECTOR, MEMORY, entity_type(TypeRef::Memory(memory))?),
                None => (import.module, import.name, ty),
            },
            (COLLECTOR, STATE, TypeRef::Func(_)) => (SUPPLIED, SUPPLIED_STATE, ty),
            (HOST | LINKERS, RELEASE, TypeRef::Func(_)) => {
                (self.release_from, self.release_name, ty)
            }
            _ => (import.module, import.name, ty),
        })
    }

    fn keeps_export(&mut self, export: &Export<'_>) -> bool {
        match &self.shown {
            Some(shown) => shown.contains(export.name),
            // The memory is exported once, by the collector.
            None => self.memory.is_none() || export.kind != ExternalKind::Memory,
        }
    }

    /// Drops the world. [`finish`] puts it back, so the tools in between need not keep it.
    fn keeps_custom(&mut self, name: &str) -> bool {
        !name.starts_with(WORLD_SECTION)
    }
}

/// A module with a `tether_release` that takes no handle and, if `with_state`, a function that
/// gives the address of the state.
fn supplied(with_state: bool) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
    types.ty().function([], [ValType::I32]);
    let mut functions = FunctionSection::new();
    let mut exports = ExportSection::new();
    let mut code = CodeSection::new();
    functions.function(0);
    exports.export(SUPPLIED_RELEASE, ExportKind::Func, 0);
    let mut release = Function::new([]);
    release.instructions().i32_const(0).end();
    code.function(&release);
    let mut imports = ImportSection::new();
    if with_state {
        let ty = GlobalType { val_type: ValType::I32, mutable: false, shared: false };
        imports.import(COLLECTOR, STATE, EntityType::Global(ty));
        functions.function(1);
        exports.export(SUPPLIED_STATE, ExportKind::Func, 1);
        let mut state = Function::new([]);
        state.instructions().global_get(0).end();
        code.function(&state);
    }
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&exports).section(&code);
    module.finish()
}

/// The merged module with the guest's exports alone, and the memory.
///
/// The optimiser may then inline or leave out every function that nobody outside calls. A
/// component can use functions and the memory alone.
pub fn trim(merged: &[u8], guest: &[u8], for_component: bool) -> Result<Vec<u8>> {
    let outside = Outside::read(guest).context("the guest")?;
    let kept = outside
        .exports
        .iter()
        .filter(|export| !for_component || matches!(export.item, Item::Function(_)))
        .map(|export| export.name.as_str())
        .filter(|name| *name != RELEASE)
        .chain([MEMORY])
        .collect();
    change(merged, &mut Trimmed { kept })
}

struct Trimmed<'a> {
    kept: HashSet<&'a str>,
}

impl Change for Trimmed<'_> {
    fn keeps_export(&mut self, export: &Export<'_>) -> bool {
        self.kept.contains(export.name)
    }
}

/// Makes a component of a linked module: for a world, or else for the one that the
/// guest carries.
pub fn finish(
    linked: &[u8],
    guest: &[u8],
    world: Option<World<'_>>,
    keeps_names: bool,
) -> Result<Vec<u8>> {
    let mut module =
        if keeps_names { linked.to_vec() } else { change(linked, &mut WithoutCustoms)? };
    match world {
        Some(world) => world.embed(&mut module)?,
        None => append_worlds(&mut module, guest)?,
    }
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .context("the guest's description of its world cannot be used")?
        .encode()
        .with_context(|| misfit(&module))
}

/// The reason for which a module does not fit its world.
fn misfit(module: &[u8]) -> String {
    let outside = Outside::read(module).unwrap_or_default();
    match outside.imports_from(LINKERS).next() {
        Some(import) => format!(
            "the guest does not fit its world: it imports `{LINKERS}` `{}`, and a component \
             imports only functions of its world, from the interface that has them or, if none \
             has, from `$root` (in C, import_module; in Rust, wasm_import_module)",
            import.name
        ),
        None => "the guest does not fit its world".to_owned(),
    }
}

struct WithoutCustoms;

impl Change for WithoutCustoms {
    fn keeps_custom(&mut self, _: &str) -> bool {
        false
    }
}

fn append_worlds(module: &mut Vec<u8>, guest: &[u8]) -> Result<()> {
    use wasm_encoder::Section as _;
    for payload in Parser::new(0).parse_all(guest) {
        if let Payload::CustomSection(section) = payload?
            && section.name().starts_with(WORLD_SECTION)
        {
            let data = section.data().into();
            CustomSection { name: section.name().into(), data }.append_to(module);
        }
    }
    Ok(())
}
