//! The contract with a guest, and the checks that the guest keeps it:
//!
//! 1. The guest has one memory, or imports it, as `tether_gc` `memory` or, as linkers write it,
//!    `env` `memory`. Either way the collector's memory takes its place. Addresses below
//!    [`LANGUAGE_BOUND_BYTES`] are the guest's own.
//! 2. A guest of the core door imports functions from `tether_gc`, and the constant global
//!    `tether_state`; a language without imported globals takes the address from a
//!    function of that name.
//! 3. A guest of the core door may export `tether_release`. If it does not, one is supplied that
//!    takes no handle, and released handles wait to be drained.
//! 4. A guest of the component door imports the functions of `wit/`, as bindings have them: lowered,
//!    from `tether:gc/heap@0.1.0` and its like. If it imports one that gives a list, it exports
//!    `cabi_realloc`, from which the list's memory is.
//! 5. A module that imports nothing of the collector's was linked with a static library. It contains
//!    its collector, and only the `tether_release` of 3 is supplied.
//! 6. clang and wasm-ld put every import without a module of its own in `env`. There
//!    the memory and the names that begin with `tether_` are the collector's. All
//!    other imports are between the guest and its host, and stay as they are.
//!
//! A guest that breaks the contract is an error, which names the item and its place.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use wasmparser::FuncType;

use crate::module::{Exported, Imported, Item, Outside};

/// Addresses below this one are the language's: its data, and the stack that its compiler
/// keeps in memory. The collector's own data begins here.
pub const LANGUAGE_BOUND_BYTES: u64 = 1 << 20;
/// The collector's name, as guests import it.
pub const COLLECTOR: &str = "tether_gc";
/// The module that the collector imports from.
pub(super) const HOST: &str = "tether:host";
/// The module that linkers import from.
pub(super) const LINKERS: &str = "env";
pub(super) const MEMORY: &str = "memory";
pub(super) const RELEASE: &str = "tether_release";
pub(super) const STATE: &str = "tether_state";
const OWN_PREFIX: &str = "tether_";
/// The package of `wit/`, as the modules of its lowered functions begin.
const PACKAGE: &str = "tether:gc/";
/// The beginning of the symbols that wit-bindgen's C has for the functions of `wit/`.
const SYMBOL_PREFIX: &str = "__wasm_import_tether_gc_";
/// The function that gives memory for lists, by the canonical ABI.
pub(super) const REALLOC: &str = "cabi_realloc";
/// The functions of `wit/` that give a list.
pub const GIVE_LISTS: [&str; 4] = ["read-bytes", "read-objects", "wrap-many", "drain"];
const HEAP_BASE: &str = "__heap_base";
/// The memory of an object file.
const OBJECT_MEMORY: &str = "__linear_memory";
/// The section that wasm-ld writes for dynamic linkers.
const DYNAMIC_SECTION: &str = "dylink.0";
/// The end of the name of a function that wasm-ld puts around an export, to run
/// constructors that nothing else calls.
const WRAPPER_SUFFIX: &str = ".command_export";
const ENTRY: &str = "_start";
const PAGE_BYTES: u64 = 64 * 1024;

/// The door through which a guest calls the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The functions of `tether_gc.h`.
    Core,
    /// The functions of `wit/`.
    Component,
}

impl Door {
    /// The door that a guest imports from; if a linker has put a collector into the guest, the
    /// one that its functions' names tell.
    pub(super) fn of(outside: &Outside) -> Result<Door> {
        let of_core = outside.imports_from(COLLECTOR).find(|import| !is_guest_memory(import));
        let of_component = outside.imports.iter().find(|import| is_of_package(import));
        Ok(match (of_core, of_component) {
            (Some(core), Some(component)) => bail!(
                "the guest imports `{COLLECTOR}` `{}` and `{}` `{}`, which are of two doors, each \
                 with a heap of its own: import all from one of them",
                core.name,
                component.module,
                component.name
            ),
            (_, Some(_)) => Door::Component,
            (None, None) if outside.function_names.iter().any(|name| is_symbol(name)) => {
                Door::Component
            }
            _ => Door::Core,
        })
    }

    /// The artifact that is the collector for this door.
    pub fn collector_file(self) -> &'static str {
        match self {
            Door::Core => "tether_gc.core.wasm",
            Door::Component => "tether_gc.lowered.wasm",
        }
    }
}

/// Checks that a guest keeps the contract with a collector's core module. Gives whether a linker
/// has put a collector into the guest.
pub(super) fn check(outside: &Outside, core: &Outside, door: Door) -> Result<bool> {
    check_linking(outside)?;
    check_names(outside, core)?;
    let is_of_collector = |import: &Imported| import.module == COLLECTOR || is_of_package(import);
    if !outside.imports.iter().any(is_of_collector) {
        check_has_collector(outside, core, door)?;
        return Ok(true);
    }
    check_memory(outside)?;
    match door {
        Door::Core => check_imports(outside, core)?,
        Door::Component => check_lowered(outside, core)?,
    }
    check_exports(outside)?;
    check_addresses(outside)?;
    Ok(false)
}

/// Whether an import is a function of `wit/`.
pub(super) fn is_of_package(import: &Imported) -> bool {
    import.module.starts_with(PACKAGE) && matches!(import.item, Item::Function(_))
}

fn is_symbol(name: &str) -> bool {
    name.starts_with(SYMBOL_PREFIX)
}

/// The name under which the collector for the component door exports a function of `wit/`.
pub(super) fn lowered_name(module: &str, name: &str) -> String {
    format!("{module} {name}")
}

/// Whether an import is `tether_state` as a function.
pub(super) fn is_state_function(import: &Imported) -> bool {
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

/// Whether an import is `tether_release`: the collector's, or the one that wasm-ld makes of a
/// symbol of the library that nothing defines.
pub(super) fn is_release(import: &Imported) -> bool {
    [HOST, LINKERS].contains(&import.module.as_str())
        && import.name == RELEASE
        && import.item == Item::Function(release_type())
}

/// Checks that wasm-ld made a module that can be linked.
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
fn check_has_collector(outside: &Outside, core: &Outside, door: Door) -> Result<()> {
    if door == Door::Component {
        return Ok(());
    }
    let is_collectors = |name: &String| name.starts_with(OWN_PREFIX) && core.export(name).is_some();
    ensure!(
        !outside.function_names.is_empty(),
        "the guest imports nothing from `{COLLECTOR}` or `{PACKAGE}…`, and has no names of \
         functions that tell whether libtether_gc.a is in it: link it without -s"
    );
    ensure!(
        outside.function_names.iter().any(is_collectors),
        "the guest has no collector: it imports nothing from `{COLLECTOR}` or `{PACKAGE}…`, and \
         has no function of libtether_gc.a. Import what it uses from `{COLLECTOR}`, or by its WIT, \
         or link it with libtether_gc.a, of which wasm-ld takes what is called: call tether_start"
    );
    Ok(())
}

fn check_memory(outside: &Outside) -> Result<()> {
    let is_memory = |import: &&Imported| matches!(import.item, Item::Memory(_));
    for import in outside.imports.iter().filter(is_memory) {
        ensure!(
            is_guest_memory(import),
            "the guest imports the memory `{}` `{}`; the collector's is `{COLLECTOR}` `{MEMORY}`",
            import.module,
            import.name
        );
    }
    // A valid module has no more than one.
    ensure!(
        !outside.own_memories.is_empty() || outside.imports.iter().any(|import| is_memory(&import)),
        "the guest has no memory, and imports none: the collector and the guest share one"
    );
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

/// Checks the functions of `wit/` that a guest imports.
fn check_lowered(outside: &Outside, lowered: &Outside) -> Result<()> {
    for import in outside.imports.iter().filter(|import| is_of_package(import)) {
        let Imported { module, name, item } = import;
        let Some(export) = lowered.export(&lowered_name(module, name)) else {
            let known: BTreeSet<&str> = (lowered.exports.iter())
                .filter_map(|export| Some(export.name.split_once(' ')?.0))
                .collect();
            let known: Vec<&str> = known.into_iter().collect();
            bail!(
                "the guest imports `{module}` `{name}`, which the collector does not have; its \
                 interfaces are {}",
                known.join(", ")
            );
        };
        if let (Item::Function(wanted), Item::Function(given)) = (item, &export.item) {
            ensure!(
                wanted == given,
                "the guest imports `{module}` `{name}` as {}; by the canonical ABI it is {}",
                signature(wanted),
                signature(given)
            );
        }
        ensure!(
            !GIVE_LISTS.contains(&name.as_str()) || outside.export(REALLOC).is_some(),
            "the guest imports `{module}` `{name}`, which gives a list, and exports no \
             `{REALLOC}`, which is to give the memory for it: bindings of wit-bindgen have one"
        );
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
        } else if name == REALLOC && *item != Item::Function(realloc_type()) {
            bail!("the guest's `{REALLOC}` must be {}", signature(&realloc_type()));
        }
    }
    Ok(())
}

fn release_type() -> FuncType {
    use wasmparser::ValType::I32;
    FuncType::new([I32, I32], [I32])
}

fn realloc_type() -> FuncType {
    use wasmparser::ValType::I32;
    FuncType::new([I32; 4], [I32])
}

fn signature(ty: &FuncType) -> String {
    let list = |types: &[wasmparser::ValType]| {
        let names: Vec<String> = types.iter().map(ToString::to_string).collect();
        format!("({})", names.join(", "))
    };
    format!("{} -> {}", list(ty.params()), list(ty.results()))
}

/// Checks that all that the guest keeps at fixed addresses ends below the bound.
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
             ({end:#x}); {ADVICE}: if a stack lies in front of it, link with a smaller one, such as \
             -z stack-size=65536 (in Rust, -Clink-arg=-zstack-size=65536)"
        );
    }
    // Memory that begins as zeros stands in no segment. Linkers export the address of its end.
    if let Some(Exported { constant: Some(end), .. }) = outside.export(HEAP_BASE) {
        ensure!(
            u64::from(*end) <= LANGUAGE_BOUND_BYTES,
            "the guest's static data and stack end at {end} ({end:#x}); {ADVICE}: link with a \
             smaller -z stack-size"
        );
    }
    // An allocator may take all of the memory that the guest begins with.
    let imported = outside.imports_from(LINKERS).filter_map(|import| match import.item {
        Item::Memory(memory) => Some(memory),
        _ => None,
    });
    for memory in imported.chain(outside.own_memories.iter().copied()) {
        let end = memory.initial * PAGE_BYTES;
        ensure!(
            end <= LANGUAGE_BOUND_BYTES,
            "the guest begins with {} pages of memory, up to {end} ({end:#x}), for its static data \
             and stack; {ADVICE}: link with a smaller -z stack-size or --initial-memory",
            memory.initial
        );
    }
    Ok(())
}
