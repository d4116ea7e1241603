//! The steps of linking that need no tool of Binaryen's: `wasm-merge` runs between
//! [`prepare`] and [`trim`], and `wasm-opt` between [`trim`] and [`finish`].

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use wasm_encoder::{
    CodeSection, CustomSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    GlobalType, ImportSection, Instruction, Module, TypeSection, ValType,
};
use wasmparser::{Export, ExternalKind, Import, MemoryType, Parser, Payload, TypeRef};
use wit_component::ComponentEncoder;

use super::contract::{
    COLLECTOR, Door, HOST, LINKERS, MEMORY, REALLOC, RELEASE, STATE, check, is_of_package,
    is_release, is_state_function, lowered_name,
};
use crate::module::{Change, Imported, Item, Outside, change, entity_type};
use crate::world::{WORLD_SECTION, World};

/// The name under which the guest is merged.
pub const GUEST: &str = "tether:guest";
/// The name of the module with the functions that [`prepare`] supplies.
pub const SUPPLIED: &str = "tether:link";

/// The names of the supplied functions, which no guest can have.
const SUPPLIED_RELEASE: &str = "tether:release";
const SUPPLIED_STATE: &str = "tether:state";
const SUPPLIED_REALLOC: &str = "tether:realloc";

/// Modules that are ready to be merged.
#[derive(Debug)]
pub struct Prepared {
    /// The guest.
    pub guest: Vec<u8>,
    /// The collector; none if the guest contains it.
    pub collector: Option<Vec<u8>>,
    /// The functions that one of the two imports and neither exports; none if there are none.
    pub supplied: Option<Vec<u8>>,
    /// The door that the guest uses.
    pub door: Door,
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
    /// They wait until the guest drains them.
    Queue,
}

/// Checks a guest, and makes it and the collector fit to be merged.
pub fn prepare(guest: &[u8], collector: &[u8]) -> Result<Prepared> {
    let outside = Outside::read(guest).context("the guest")?;
    let core = Outside::read(collector).context("the collector's core module")?;
    let has_world = outside.customs.iter().any(|name| name.starts_with(WORLD_SECTION));
    let door = Door::of(&outside)?;
    if check(&outside, &core, door)? {
        return prepare_linked(guest, &outside, door, has_world);
    }
    let memory = *core
        .own_memories
        .first()
        .context("the collector's core module has no memory of its own")?;
    let functions = functions_of(&outside, door);
    let exports = |name| outside.export(name).is_some();
    let supplied = match door {
        Door::Core => Supplied {
            release: !exports(RELEASE),
            state: outside.imports.iter().any(is_state_function),
            realloc: false,
        },
        Door::Component => Supplied { realloc: !exports(REALLOC), ..Supplied::default() },
    };
    let mut renamed = supplied.renamed();
    let mut shown: HashSet<&str> = functions.iter().map(String::as_str).collect();
    shown.extend([MEMORY, STATE]);
    for import in outside.imports.iter().filter(|import| is_of_package(import)) {
        let place = (import.module.clone(), import.name.clone());
        let name = lowered_name(&import.module, &import.name);
        renamed.insert(place, (COLLECTOR, name));
    }
    let owns_memory = !outside.own_memories.is_empty();
    let mut for_guest =
        ForMerging { memory: Some(memory), owns_memory, renamed: &renamed, shown: None };
    let mut for_collector =
        ForMerging { memory: None, owns_memory: false, renamed: &renamed, shown: Some(shown) };
    Ok(Prepared {
        guest: change(guest, &mut for_guest)?,
        collector: Some(change(collector, &mut for_collector)?),
        supplied: supplied.module(),
        door,
        release: match door {
            Door::Core if exports(RELEASE) => Release::Guest,
            _ => Release::Queue,
        },
        functions,
        has_world,
    })
}

/// The collector's functions that a guest imports, by the collector's names for them.
fn functions_of(outside: &Outside, door: Door) -> Vec<String> {
    let is_function = |import: &&Imported| match door {
        Door::Core => {
            import.module == COLLECTOR
                && matches!(import.item, Item::Function(_))
                && !is_state_function(import)
        }
        Door::Component => is_of_package(import),
    };
    let named = |import: &Imported| match door {
        Door::Core => import.name.clone(),
        Door::Component => lowered_name(&import.module, &import.name),
    };
    outside.imports.iter().filter(is_function).map(named).collect()
}

/// A guest that a linker has put its collector into.
fn prepare_linked(
    guest: &[u8],
    outside: &Outside,
    door: Door,
    has_world: bool,
) -> Result<Prepared> {
    let wants_release = outside.imports.iter().any(is_release);
    let supplied = Supplied { release: wants_release, ..Supplied::default() };
    let renamed = supplied.renamed();
    let mut for_guest =
        ForMerging { memory: None, owns_memory: false, renamed: &renamed, shown: None };
    Ok(Prepared {
        guest: change(guest, &mut for_guest)?,
        collector: None,
        supplied: supplied.module(),
        door,
        release: match door {
            Door::Core if !wants_release => Release::Guest,
            _ => Release::Queue,
        },
        functions: Vec::new(),
        has_world,
    })
}

/// The functions that the guest or the collector imports, and that neither exports.
#[derive(Clone, Copy, Default)]
struct Supplied {
    /// A `tether_release` that takes no handle.
    release: bool,
    /// A function that gives the address of the state.
    state: bool,
    /// A `cabi_realloc` that nothing calls: the guest imports no function that gives a list.
    realloc: bool,
}

/// Imports that come from other places: module and name, and their new ones.
type Renamed = HashMap<(String, String), (&'static str, String)>;

impl Supplied {
    /// The places of the functions that are imported under names of their own.
    fn renamed(self) -> Renamed {
        let from = |is_supplied: bool, own: &'static str, name: &'static str| {
            if is_supplied { (SUPPLIED, own.to_owned()) } else { (GUEST, name.to_owned()) }
        };
        let release = from(self.release, SUPPLIED_RELEASE, RELEASE);
        let realloc = from(self.realloc, SUPPLIED_REALLOC, REALLOC);
        [
            ((HOST, RELEASE), release.clone()),
            ((LINKERS, RELEASE), release),
            ((GUEST, REALLOC), realloc),
            ((COLLECTOR, STATE), (SUPPLIED, SUPPLIED_STATE.to_owned())),
        ]
        .into_iter()
        .map(|((module, name), to)| ((module.to_owned(), name.to_owned()), to))
        .collect()
    }

    /// The functions as a module; none if there are none.
    fn module(self) -> Option<Vec<u8>> {
        let mut types = TypeSection::new();
        let mut functions = FunctionSection::new();
        let mut exports = ExportSection::new();
        let mut code = CodeSection::new();
        let mut add = |name, parameters: usize, body: &mut Function| {
            let index = functions.len();
            types.ty().function(vec![ValType::I32; parameters], [ValType::I32]);
            functions.function(index);
            exports.export(name, ExportKind::Func, index);
            code.function(body.instruction(&Instruction::End));
        };
        if self.release {
            add(SUPPLIED_RELEASE, 2, Function::new([]).instruction(&Instruction::I32Const(0)));
        }
        if self.realloc {
            add(SUPPLIED_REALLOC, 4, Function::new([]).instruction(&Instruction::Unreachable));
        }
        let mut imports = ImportSection::new();
        if self.state {
            let ty = GlobalType { val_type: ValType::I32, mutable: false, shared: false };
            imports.import(COLLECTOR, STATE, EntityType::Global(ty));
            add(SUPPLIED_STATE, 0, Function::new([]).instruction(&Instruction::GlobalGet(0)));
        }
        if functions.is_empty() {
            return None;
        }
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions);
        module.section(&exports).section(&code);
        Some(module.finish())
    }
}

/// Connects a module to the names under which all are merged.
struct ForMerging<'a> {
    /// The type of the memory that it is to import; none to leave it as it is.
    memory: Option<MemoryType>,
    /// Whether it has a memory, and does not import one.
    owns_memory: bool,
    /// The functions that it imports from other places than it says.
    renamed: &'a Renamed,
    /// The exports that it shows; none for all.
    shown: Option<HashSet<&'a str>>,
}

impl Change for ForMerging<'_> {
    fn import<'a>(&'a mut self, import: &Import<'a>) -> Result<(&'a str, &'a str, EntityType)> {
        if let TypeRef::Memory(_) = import.ty {
            return Ok(match (import.module, import.name, self.memory) {
                (LINKERS | COLLECTOR, MEMORY, Some(memory)) => {
                    (COLLECTOR, MEMORY, entity_type(TypeRef::Memory(memory))?)
                }
                _ => (import.module, import.name, entity_type(import.ty)?),
            });
        }
        let ty = entity_type(import.ty)?;
        let place = (import.module.to_owned(), import.name.to_owned());
        Ok(match self.renamed.get(&place) {
            Some((module, name)) if matches!(import.ty, TypeRef::Func(_)) => (module, name, ty),
            _ => (import.module, import.name, ty),
        })
    }

    fn memory(&mut self) -> Result<Option<(&str, &str, EntityType)>> {
        let memory = self.memory.filter(|_| self.owns_memory);
        let imported = |memory| anyhow::Ok((COLLECTOR, MEMORY, entity_type(memory)?));
        memory.map(|memory| imported(TypeRef::Memory(memory))).transpose()
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
