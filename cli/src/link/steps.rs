//! The steps of linking that need no tool of Binaryen's: `wasm-merge` runs between
//! [`prepare`] and [`trim`], and `wasm-opt` between [`trim`] and [`finish`].
//!
//! The contract with a guest:
//!
//! 1. It imports its memory, as `tether_gc` `memory` or, as linkers write it, `env`
//!    `memory`. Addresses below [`LANGUAGE_BOUND_BYTES`] are its own.
//! 2. From `tether_gc` it imports functions, and the constant global
//!    `tether_state`; a language without imported globals takes the address from a
//!    function of that name.
//! 3. It may export `tether_release`. Otherwise one is supplied that takes
//!    nothing, and released handles wait to be drained.
//! 4. A module that imports nothing from `tether_gc` was linked with the static
//!    library: it has its collector, and only the default of 3 is supplied.
//! 5. In `env`, where clang and wasm-ld put what is not said to come from elsewhere,
//!    the memory and the names that begin with `tether_` are the collector's. All
//!    other imports are between the guest and its host, and stay as they are.
//!
//! Whatever a guest does against it is an error that names what and where.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
use wasm_encoder::{
    CodeSection, CustomSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    GlobalType, ImportSection, Module, TypeSection, ValType,
};
use wasmparser::{Export, ExternalKind, FuncType, Import, MemoryType, Parser, Payload, TypeRef};
use wit_component::ComponentEncoder;

use crate::module::{Change, Exported, Imported, Item, Outside, change, entity_type};
use crate::world::{WORLD_SECTION, World};

/// Addresses below are the language's: its data, and the stack that its compiler
/// keeps in memory. The collector's own data begins here.
pub const LANGUAGE_BOUND_BYTES: u64 = 1 << 20;

/// The name under which the guest is merged.
pub const GUEST: &str = "tether:guest";
/// The collector's name, as guests import it.
pub const COLLECTOR: &str = "tether_gc";
/// The name of the module with what [`prepare`] supplies.
pub const SUPPLIED: &str = "tether:link";

const HOST: &str = "tether:host";
const LINKERS: &str = "env";
const MEMORY: &str = "memory";
const RELEASE: &str = "tether_release";
const STATE: &str = "tether_state";
const OWN_PREFIX: &str = "tether_";
const HEAP_BASE: &str = "__heap_base";
/// The memory of an object file.
const OBJECT_MEMORY: &str = "__linear_memory";
/// The section that wasm-ld writes for dynamic linkers.
const DYNAMIC_SECTION: &str = "dylink.0";
/// The end of the name of a function that wasm-ld puts around an export, to run
/// constructors that nothing else calls.
const WRAPPER_SUFFIX: &str = ".command_export";
const ENTRY: &str = "_start";
/// What the supplied functions are called: no guest can have the same names.
const SUPPLIED_RELEASE: &str = "tether:release";
const SUPPLIED_STATE: &str = "tether:state";
const PAGE_BYTES: u64 = 64 * 1024;

/// Modules that are ready to be merged.
#[derive(Debug)]
pub struct Prepared {
    /// The guest.
    pub guest: Vec<u8>,
    /// The collector; none where the guest has one in itself.
    pub collector: Option<Vec<u8>>,
    /// What the two import and neither exports; none where that is nothing.
    pub supplied: Option<Vec<u8>>,
    /// Where released handles go.
    pub release: Release,
    /// The collector's functions that the guest imports.
    pub functions: Vec<String>,
    /// Whether the guest says itself which world it was built for.
    pub has_world: bool,
}

/// Where released handles go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// To the guest's `tether_release`.
    Guest,
    /// Nowhere: they wait for `tether_drain`.
    Queue,
}

/// Looks a guest over, and makes it and the collector fit to be merged.
pub fn prepare(guest: &[u8], collector: &[u8]) -> Result<Prepared> {
    let outside = Outside::read(guest).context("the guest")?;
    let core = Outside::read(collector).context("the collector's core module")?;
    let has_world = outside.customs.iter().any(|name| name.starts_with(WORLD_SECTION));
    check_linking(&outside)?;
    check_names(&outside, &core)?;
    if outside.imports_from(COLLECTOR).next().is_none() {
        check_has_collector(&outside, &core)?;
        return prepare_linked(guest, &outside, has_world);
    }
    check_memory(&outside)?;
    check_imports(&outside, &core)?;
    check_exports(&outside)?;
    check_addresses(&outside)?;

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

fn is_state_function(import: &Imported) -> bool {
    import.module == COLLECTOR && import.name == STATE && import.item == state_function()
}

fn state_function() -> Item {
    Item::Function(FuncType::new([], [wasmparser::ValType::I32]))
}

fn is_guest_memory(import: &Imported) -> bool {
    matches!(import.item, Item::Memory(_))
        && import.name == MEMORY
        && [COLLECTOR, LINKERS].contains(&import.module.as_str())
}

/// Whether it is `tether_release`: the collector's import, or what wasm-ld makes of
/// a symbol of the library that nothing defines.
fn is_release(import: &Imported) -> bool {
    [HOST, LINKERS].contains(&import.module.as_str())
        && import.name == RELEASE
        && import.item == Item::Function(release_type())
}

/// Checks what wasm-ld was told to make.
fn check_linking(outside: &Outside) -> Result<()> {
    ensure!(
        outside.imports_from(LINKERS).all(|import| import.name != OBJECT_MEMORY),
        "the guest is an object file: link it with wasm-ld first"
    );
    ensure!(
        !outside.customs.iter().any(|name| name == DYNAMIC_SECTION),
        "the guest is for a dynamic linker: link it without -shared and -pie"
    );
    let names = outside.function_names.iter();
    let mut wrapped = names.filter_map(|name| name.strip_suffix(WRAPPER_SUFFIX));
    // A program's entry runs once.
    if let Some(export) = wrapped.find(|name| *name != ENTRY) {
        bail!(
            "each call of `{export}` would run the guest's static constructors again, because \
             nothing else calls them: export a function `_initialize` that calls \
             `__wasm_call_ctors`"
        );
    }
    Ok(())
}

/// Refuses names of the collector's that are to come from `env`.
fn check_names(outside: &Outside, core: &Outside) -> Result<()> {
    let is_own = |import: &&Imported| import.name.starts_with(OWN_PREFIX) && !is_release(import);
    let Some(Imported { name, .. }) = outside.imports_from(LINKERS).find(is_own) else {
        return Ok(());
    };
    ensure!(
        core.export(name).is_some(),
        "the guest imports `{LINKERS}` `{name}`; the collector has no `{name}`, and names with \
         `{OWN_PREFIX}` are its own: if it is misspelt, docs/core-abi.md has the collector's names, \
         and if it is not the collector's, give it another name"
    );
    bail!(
        "the guest imports `{LINKERS}` `{name}`, which the collector has: link the guest with \
         libtether_gc.a, or import it from `{COLLECTOR}` (in C, import_module(\"{COLLECTOR}\"); in \
         Rust, wasm_import_module)"
    )
}

/// Checks that a linker has put the collector into the guest. The functions' names tell.
fn check_has_collector(outside: &Outside, core: &Outside) -> Result<()> {
    let is_collectors = |name: &String| name.starts_with(OWN_PREFIX) && core.export(name).is_some();
    ensure!(
        !outside.function_names.is_empty(),
        "the guest imports nothing from `{COLLECTOR}`, and has no names of functions that tell \
         whether libtether_gc.a is in it: link it without -s"
    );
    ensure!(
        outside.function_names.iter().any(is_collectors),
        "the guest has no collector: it imports nothing from `{COLLECTOR}`, and has no function of \
         libtether_gc.a. Import what it uses from `{COLLECTOR}`, or link it with libtether_gc.a, \
         of which wasm-ld takes what is called: call tether_start"
    );
    Ok(())
}

fn check_memory(outside: &Outside) -> Result<()> {
    ensure!(
        outside.own_memories.is_empty(),
        "the guest has a memory of its own, where the collector cannot put objects: import \
         `{COLLECTOR}` `{MEMORY}`, or link with --import-memory"
    );
    for import in &outside.imports {
        ensure!(
            is_guest_memory(import) || !matches!(import.item, Item::Memory(_)),
            "the guest imports the memory `{}` `{}`; the collector's is `{COLLECTOR}` `{MEMORY}`",
            import.module,
            import.name
        );
    }
    Ok(())
}

fn check_imports(outside: &Outside, core: &Outside) -> Result<()> {
    for import in outside.imports_from(COLLECTOR) {
        let name = &import.name;
        if is_guest_memory(import) || is_state_function(import) {
            continue;
        }
        let Some(export) = core.export(name) else {
            bail!("the guest imports `{COLLECTOR}` `{name}`, which the collector does not have");
        };
        match (&import.item, &export.item) {
            (Item::Function(wanted), Item::Function(given)) => ensure!(
                wanted == given,
                "the guest imports `{COLLECTOR}` `{name}` as {}; it is {}",
                signature(wanted),
                signature(given)
            ),
            (wanted, given) => ensure!(
                wanted == given,
                "the guest imports `{COLLECTOR}` `{name}` as another kind of thing than it is"
            ),
        }
    }
    Ok(())
}

fn check_exports(outside: &Outside) -> Result<()> {
    for export in &outside.exports {
        let Exported { name, item, .. } = export;
        if name == RELEASE {
            ensure!(
                *item == Item::Function(release_type()),
                "the guest's `{RELEASE}` must be {}: handles, their number, and how many it took",
                signature(&release_type())
            );
        } else if name.starts_with(OWN_PREFIX) {
            bail!("the guest exports `{name}`: names with `{OWN_PREFIX}` are the collector's");
        } else if name == MEMORY && !matches!(item, Item::Memory(_)) {
            bail!("the guest exports `{MEMORY}`, which is no memory: the name is taken");
        }
    }
    Ok(())
}

fn release_type() -> FuncType {
    use wasmparser::ValType::I32;
    FuncType::new([I32, I32], [I32])
}

fn signature(ty: &FuncType) -> String {
    let list = |types: &[wasmparser::ValType]| {
        let names: Vec<String> = types.iter().map(ToString::to_string).collect();
        format!("({})", names.join(", "))
    };
    format!("{} -> {}", list(ty.params()), list(ty.results()))
}

/// All that the guest keeps at fixed addresses must end below the bound.
fn check_addresses(outside: &Outside) -> Result<()> {
    const ADVICE: &str = "addresses from 1048576 (1 MiB) on are the collector's";
    for (index, data) in outside.data.iter().enumerate() {
        let Some(begin) = data.begin else {
            bail!("the guest's data segment {index} has no fixed address; link without -pie");
        };
        let end = begin + data.size_bytes;
        ensure!(
            end <= LANGUAGE_BOUND_BYTES,
            "the guest's data segment {index} reaches from {begin} ({begin:#x}) to {end} \
             ({end:#x}); {ADVICE}"
        );
    }
    // Memory that begins as zeros stands in no segment. Linkers tell where it ends.
    if let Some(Exported { constant: Some(end), .. }) = outside.export(HEAP_BASE) {
        ensure!(
            u64::from(*end) <= LANGUAGE_BOUND_BYTES,
            "the guest's static data and stack end at {end} ({end:#x}); {ADVICE}: link with a \
             smaller -z stack-size"
        );
        return Ok(());
    }
    for import in outside.imports_from(LINKERS) {
        if let Item::Memory(memory) = import.item {
            let end = memory.initial * PAGE_BYTES;
            ensure!(
                end <= LANGUAGE_BOUND_BYTES,
                "the guest's static data and stack need {} pages, up to {end} ({end:#x}); \
                 {ADVICE}: link with a smaller -z stack-size",
                memory.initial
            );
        }
    }
    Ok(())
}

/// Connects a module to the names under which all are merged.
struct ForMerging<'a> {
    /// The type of the memory that it imports.
    memory: Option<MemoryType>,
    release_from: &'a str,
    release_name: &'a str,
    /// The exports that it shows; all where none.
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

    /// The world is put back at the end, whatever the tools between make of it.
    fn keeps_custom(&mut self, name: &str) -> bool {
        !name.starts_with(WORLD_SECTION)
    }
}

/// A module with a `tether_release` that takes nothing and, where wanted, a
/// function that gives the address of the state.
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
/// What nobody outside calls, the optimiser may then inline or leave out. In a
/// component, functions and the memory are all that can be used.
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

/// What is wrong with a module that does not fit its world.
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
