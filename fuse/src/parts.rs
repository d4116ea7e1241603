//! Reads a composed component: which core modules it instantiates, in which order, what each of
//! them is given for its imports, and what the component lifts and lowers.
//!
//! wasmtime-environ does the work. Its translator flattens the nesting of components into one
//! list of steps, and generates a core module with an adapter for each function that one part
//! calls of another. This module puts that list into terms of [`Item`]s, each of which is
//! defined in one place, and refuses what cannot be fused. It changes no module.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, anyhow, bail, ensure};
use wasm_encoder::ValType;
use wasmparser::{Parser, Validator, WasmFeatures};
use wasmtime_environ::component::{
    CanonicalOptions, CanonicalOptionsDataModel, Component, ComponentTypes, ComponentTypesBuilder,
    CoreDef, Export, ExportItem, ExtractMemory, ExtractPostReturn, ExtractRealloc,
    GlobalInitializer, InstantiateModule, OptionsIndex, RuntimeComponentInstanceIndex,
    RuntimeImportIndex, RuntimeMemoryIndex, RuntimePostReturnIndex, RuntimeReallocIndex,
    StringEncoding, Trampoline, TrampolineIndex, Transcode, Translator, TypeResourceTable,
};
use wasmtime_environ::{
    EntityIndex, EntityRef, FuncIndex, IndexType, Module, ModuleInternedTypeIndex, PrimaryMap,
    ScopeVec, StaticModuleIndex, Tunables, WasmValType,
};

/// The features that the core modules may use: those that are enabled in Binaryen's tools.
/// Adapters reach the memories of two parts.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::COMPONENT_MODEL);

/// An item that modules import, by the one place that defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// An item that the module of a core instance defines.
    Defined {
        /// The core instance, by its place in [`Composition::instances`].
        instance: usize,
        /// The kind of the item.
        kind: Kind,
        /// The index among the module's items of that kind.
        index: u32,
    },
    /// The flag of a component instance that says whether its code may call out of it.
    Flag(u32),
    /// A function that the host of the component supplies: one of [`Composition::helpers`].
    Helper(u32),
}

/// The kinds of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A function.
    Function,
    /// A table.
    Table,
    /// A memory.
    Memory,
    /// A global.
    Global,
}

impl fmt::Display for Item {
    /// Writes a name that no other item of the composition has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Defined { instance, kind, index } => {
                let kind = match kind {
                    Kind::Function => "function",
                    Kind::Table => "table",
                    Kind::Memory => "memory",
                    Kind::Global => "global",
                };
                write!(f, "{instance}.{kind}{index}")
            }
            Item::Flag(instance) => write!(f, "flag{instance}"),
            Item::Helper(index) => write!(f, "helper{index}"),
        }
    }
}

/// The type of a core function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The types of its parameters.
    pub params: Vec<ValType>,
    /// The types of its results.
    pub results: Vec<ValType>,
}

/// A core instance: a module, and what it is given.
#[derive(Debug)]
pub struct CoreInstance {
    /// The module.
    pub module: Vec<u8>,
    /// The item for each import of the module, in order.
    pub imports: Vec<Item>,
    /// The memories that the module defines.
    pub memories: Vec<OwnMemory>,
    /// The part that the module belongs to, by its place in [`Composition::parts`]; none for a
    /// module of adapters.
    pub part: Option<usize>,
}

/// A memory that a module defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnMemory {
    /// The index among the module's memories.
    pub index: u32,
    /// The size at the start, in pages.
    pub minimum_pages: u64,
    /// The size that it may grow to, in pages.
    pub maximum_pages: Option<u64>,
}

/// A function that the host of the component supplies.
#[derive(Debug)]
pub struct Helper {
    /// Its type.
    pub signature: Signature,
    /// What it does.
    pub does: Does,
}

/// What a helper does.
#[derive(Debug)]
pub enum Does {
    /// Calls a function that the component imports.
    Call {
        /// The function.
        function: HostFunction,
        /// The memory and the encoding that values are read from and written in.
        options: Options,
    },
    /// Drops a handle of a resource that the component imports.
    Drop {
        /// The resource.
        resource: HostFunction,
        /// The component instance whose handle it is.
        instance: u32,
    },
    /// Copies a string from one memory into another.
    Transcode {
        /// The encodings.
        operation: Transcode,
        /// The memory that is read.
        from: Item,
        /// The memory that is written.
        to: Item,
    },
    /// Traps.
    Trap,
}

/// A function or a resource that the component imports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostFunction {
    /// The interface; none for a function that the world imports directly.
    pub interface: Option<String>,
    /// The name in the interface.
    pub name: String,
}

/// The options of a lift or a lowering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The component instance.
    pub instance: u32,
    /// The memory that values pass through.
    pub memory: Option<Item>,
    /// The function that gives space in the memory.
    pub realloc: Option<Item>,
    /// The encoding of strings.
    pub encoding: wasm_encoder::CanonicalOption,
}

/// A function that the component exports.
#[derive(Debug)]
pub struct Lift {
    /// The name that wit-component knows the core function by: `interface#function`, or the
    /// function's name alone.
    pub name: String,
    /// The core function.
    pub function: Item,
    /// The options.
    pub options: Options,
    /// The function to call when the results have been read, and its parameters.
    pub post_return: Option<(Item, Signature)>,
}

/// One of the components that were composed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The component instance.
    pub instance: u32,
    /// The interfaces and functions that it exports, as its core modules name them.
    pub exports: Vec<String>,
}

/// A composed component, taken apart.
#[derive(Debug)]
pub struct Composition {
    /// The core instances, in the order in which they are made.
    pub instances: Vec<CoreInstance>,
    /// The functions that the host of the component supplies, by number.
    pub helpers: BTreeMap<u32, Helper>,
    /// The exported functions.
    pub lifts: Vec<Lift>,
    /// The parts, in the order in which their first modules are instantiated.
    pub parts: Vec<Part>,
}

impl Composition {
    /// The name of a part for a reader: its number, counted from 1, and what it exports.
    pub fn part_name(&self, part: usize) -> String {
        part_name(&self.parts, part)
    }

    /// The name of the part whose module defines an item.
    pub fn part_of(&self, item: Item) -> String {
        match item {
            Item::Defined { instance, .. } => match self.instances[instance].part {
                Some(part) => self.part_name(part),
                None => "the adapters".to_owned(),
            },
            _ => "the host".to_owned(),
        }
    }
}

fn part_name(parts: &[Part], part: usize) -> String {
    const SHOWN: usize = 3;
    let exports = &parts[part].exports;
    let number = part + 1;
    match exports.len() {
        0 => format!("part {number} (which exports nothing)"),
        1..=SHOWN => format!("part {number} (which exports {})", exports.join(", ")),
        _ => format!("part {number} (which exports {}, ...)", exports[..SHOWN].join(", ")),
    }
}

/// Takes a composed component apart. Errors: the bytes are not a valid component, or it uses
/// what cannot be fused.
pub fn read(component: &[u8]) -> Result<Composition> {
    ensure!(
        !component.starts_with(b"\0asm") || Parser::is_component(component),
        "the file is a core module, which is one already; `tether link` merges a core module with \
         the collector"
    );
    check_features(component)?;
    let tunables = Tunables { concurrency_support: false, ..Tunables::default_host() };
    let mut validator = Validator::new_with_features(FEATURES);
    let mut types = ComponentTypesBuilder::new(&validator);
    let adapters = ScopeVec::new();
    let (translation, modules) = Translator::new(&tunables, &mut validator, &mut types, &adapters)
        .translate(component)
        .map_err(|error| anyhow!("{error:#}"))
        .context("the component cannot be taken apart")?;
    let (types, _) = types.finish(&translation.component);
    let reader = Reader::new(&translation.component, &translation.trampolines, &modules, &types)?;
    reader.read()
}

/// Checks that the component is valid, and uses no feature that fusing does not know.
fn check_features(component: &[u8]) -> Result<()> {
    Validator::new_with_features(WasmFeatures::all())
        .validate_all(component)
        .context("the file is not a valid component")?;
    Validator::new_with_features(FEATURES).validate_all(component).context(
        "the component uses a feature that cannot be fused (async, streams, threads, exceptions, \
         garbage-collected types and 64-bit memories are such features): build the part that \
         uses it without the feature, or run the composed component as it is",
    )?;
    Ok(())
}

struct Reader<'a, 'data> {
    component: &'a Component,
    trampolines: &'a PrimaryMap<TrampolineIndex, Trampoline>,
    modules: &'a PrimaryMap<StaticModuleIndex, wasmtime_environ::ModuleTranslation<'data>>,
    types: &'a ComponentTypes,
    /// For each core instance: its module, what it is given, and its component instance.
    instances: Vec<Instance<'a>>,
    /// The imports of the host that are lowered, by their number.
    lowered: Vec<RuntimeImportIndex>,
    memories: BTreeMap<RuntimeMemoryIndex, Item>,
    reallocs: BTreeMap<RuntimeReallocIndex, Item>,
    post_returns: BTreeMap<RuntimePostReturnIndex, Item>,
    parts: Vec<Part>,
}

struct Instance<'a> {
    module: StaticModuleIndex,
    args: &'a [CoreDef],
    component: Option<RuntimeComponentInstanceIndex>,
}

impl<'a, 'data> Reader<'a, 'data> {
    fn new(
        component: &'a Component,
        trampolines: &'a PrimaryMap<TrampolineIndex, Trampoline>,
        modules: &'a PrimaryMap<StaticModuleIndex, wasmtime_environ::ModuleTranslation<'data>>,
        types: &'a ComponentTypes,
    ) -> Result<Self> {
        let mut reader = Reader {
            component,
            trampolines,
            modules,
            types,
            instances: Vec::new(),
            lowered: Vec::new(),
            memories: BTreeMap::new(),
            reallocs: BTreeMap::new(),
            post_returns: BTreeMap::new(),
            parts: Vec::new(),
        };
        // The parts come first, so that each refusal can name one.
        for step in &component.initializers {
            if let GlobalInitializer::InstantiateModule(
                InstantiateModule::Static(module, _),
                Some(of),
            ) = step
            {
                reader.add_to_part(*of, *module);
            }
        }
        for step in &component.initializers {
            reader.step(step)?;
        }
        Ok(reader)
    }

    fn step(&mut self, step: &'a GlobalInitializer) -> Result<()> {
        match step {
            GlobalInitializer::InstantiateModule(InstantiateModule::Static(module, args), of) => {
                self.instances.push(Instance { module: *module, args, component: *of });
            }
            GlobalInitializer::InstantiateModule(InstantiateModule::Import(import, _), _) => {
                let (index, _) = &self.component.imports[*import];
                let (name, _) = &self.component.import_types[*index];
                bail!(
                    "the component imports the core module `{name}`, and only modules that are \
                     in the component can be fused"
                )
            }
            GlobalInitializer::LowerImport { index, import } => {
                ensure!(index.index() == self.lowered.len(), "an import is lowered out of order");
                self.lowered.push(*import);
            }
            GlobalInitializer::ExtractMemory(ExtractMemory { index, export }) => {
                let item = self.resolve(&CoreDef::from(export.clone()))?;
                self.memories.insert(*index, item);
            }
            GlobalInitializer::ExtractRealloc(ExtractRealloc { index, def }) => {
                let item = self.resolve(def)?;
                self.reallocs.insert(*index, item);
            }
            GlobalInitializer::ExtractPostReturn(ExtractPostReturn { index, def }) => {
                let item = self.resolve(def)?;
                self.post_returns.insert(*index, item);
            }
            GlobalInitializer::Resource(resource) => bail!(
                "{} defines a resource, and only resources of the host can be fused: let the \
                 part give out numbers in its place, or run the composed component as it is",
                self.part_with(resource.instance)
            ),
            GlobalInitializer::ExtractCallback(_) => {
                bail!("a part lifts a function with a callback: {NO_ASYNC}")
            }
            GlobalInitializer::ExtractTable(_) => bail!("a part starts threads: {NO_ASYNC}"),
        }
        Ok(())
    }

    fn add_to_part(&mut self, component: RuntimeComponentInstanceIndex, module: StaticModuleIndex) {
        let instance = component.as_u32();
        let position = self.parts.iter().position(|part| part.instance == instance);
        let part = position.unwrap_or_else(|| {
            self.parts.push(Part { instance, exports: Vec::new() });
            self.parts.len() - 1
        });
        let module = &self.modules[module].module;
        let exports = &mut self.parts[part].exports;
        for (name, index) in module.exports.iter() {
            let name = &module.strings[name];
            // Shims are exported by numbers, and all names with a prefix are helpers of others.
            let is_helper = name.starts_with(|first: char| first.is_ascii_digit() || first == '$')
                || ["cabi_", "_"].iter().any(|prefix| name.starts_with(prefix));
            if let EntityIndex::Function(_) = index
                && !is_helper
            {
                let interface = name.split('#').next().unwrap_or(name).to_owned();
                if !exports.contains(&interface) {
                    exports.push(interface);
                }
            }
        }
    }

    /// The name of the part that a component instance belongs to.
    fn part_with(&self, instance: RuntimeComponentInstanceIndex) -> String {
        match self.parts.iter().position(|part| part.instance == instance.as_u32()) {
            Some(part) => part_name(&self.parts, part),
            None => "a part without a core module".to_owned(),
        }
    }

    fn read(self) -> Result<Composition> {
        let mut instances = Vec::new();
        let mut helpers = BTreeMap::new();
        for instance in &self.instances {
            let mut imports = Vec::new();
            for def in instance.args {
                let item = self.resolve(def)?;
                if let Item::Helper(index) = item
                    && !helpers.contains_key(&index)
                {
                    let index = TrampolineIndex::from_u32(index);
                    helpers.insert(index.as_u32(), self.helper(index, instance)?);
                }
                imports.push(item);
            }
            instances.push(self.core_instance(instance, imports)?);
        }
        let mut lifts = Vec::new();
        for (name, (index, _)) in self.component.exports.raw_iter() {
            match &self.component.export_items[*index] {
                Export::Instance { exports, .. } => {
                    for (function, (index, _)) in exports.raw_iter() {
                        let name = format!("{}#{}", name.as_str(), function.as_str());
                        lifts.extend(self.lift(name, &self.component.export_items[*index])?);
                    }
                }
                export => lifts.extend(self.lift(name.as_str().to_owned(), export)?),
            }
        }
        for lift in &lifts {
            if let Item::Helper(index) = lift.function
                && !helpers.contains_key(&index)
            {
                let index = TrampolineIndex::from_u32(index);
                helpers.insert(index.as_u32(), self.helper_of_lift(index)?);
            }
        }
        Ok(Composition { instances, helpers, lifts, parts: self.parts })
    }

    fn core_instance(&self, instance: &Instance<'_>, imports: Vec<Item>) -> Result<CoreInstance> {
        let translation = &self.modules[instance.module];
        let module = &translation.module;
        let mut memories = Vec::new();
        for (index, memory) in module.memories.iter().skip(module.num_imported_memories) {
            ensure!(
                memory.idx_type == IndexType::I32 && !memory.shared,
                "a memory is shared or has 64-bit addresses, and such memories cannot be fused"
            );
            memories.push(OwnMemory {
                index: index.as_u32(),
                minimum_pages: memory.limits.min,
                maximum_pages: memory.limits.max,
            });
        }
        let part = instance.component.and_then(|component| {
            self.parts.iter().position(|part| part.instance == component.as_u32())
        });
        Ok(CoreInstance { module: translation.wasm.to_vec(), imports, memories, part })
    }

    /// The place that defines what an instance is given: items that an instance only passes on
    /// are followed to the instance that defines them.
    fn resolve(&self, def: &CoreDef) -> Result<Item> {
        let mut def = def;
        loop {
            let export = match def {
                CoreDef::Export(export) => export,
                CoreDef::InstanceFlags(instance) => return Ok(Item::Flag(instance.as_u32())),
                CoreDef::Trampoline(index) => return Ok(Item::Helper(index.as_u32())),
                CoreDef::UnsafeIntrinsic(_) | CoreDef::TaskMayBlock => {
                    bail!("a part keeps a context for tasks: {NO_ASYNC}")
                }
            };
            let ExportItem::Index(entity) = export.item else {
                bail!("a core instance is not of a module in the component")
            };
            let at = export.instance.index();
            let instance = self.instances.get(at).context("an instance comes before its making")?;
            let module = &self.modules[instance.module].module;
            match import_of(module, entity) {
                Some(import) => {
                    def = instance.args.get(import).context("an import is given nothing")?;
                }
                None => {
                    let (kind, index) = kind(entity)?;
                    return Ok(Item::Defined { instance: at, kind, index });
                }
            }
        }
    }

    fn helper(&self, index: TrampolineIndex, user: &Instance<'_>) -> Result<Helper> {
        let signature = self.signature(self.component.trampolines[index])?;
        let does = self.does(&self.trampolines[index]).with_context(|| self.user_name(user))?;
        Ok(Helper { signature, does })
    }

    fn helper_of_lift(&self, index: TrampolineIndex) -> Result<Helper> {
        let signature = self.signature(self.component.trampolines[index])?;
        Ok(Helper { signature, does: self.does(&self.trampolines[index])? })
    }

    /// The part, or the parts between which a module of adapters stands.
    fn user_name(&self, user: &Instance<'_>) -> String {
        if let Some(component) = user.component {
            return self.part_with(component);
        }
        let names: Vec<String> = user
            .args
            .iter()
            .filter_map(|def| match def {
                CoreDef::InstanceFlags(instance) => Some(self.part_with(*instance)),
                _ => None,
            })
            .collect();
        format!("between {}", names.join(" and "))
    }

    fn does(&self, trampoline: &Trampoline) -> Result<Does> {
        Ok(match trampoline {
            Trampoline::LowerImport { index, options, .. } => {
                let import = self.lowered.get(index.index()).context("an import is not lowered")?;
                Does::Call { function: self.host(*import)?, options: self.options(*options)? }
            }
            Trampoline::Transcoder { op, from, to, .. } => {
                Does::Transcode { operation: *op, from: self.memory(*from)?, to: self.memory(*to)? }
            }
            Trampoline::Trap => Does::Trap,
            Trampoline::ResourceDrop { instance, ty } => {
                let resources = &self.types[*ty];
                let TypeResourceTable::Concrete { ty, .. } = resources else {
                    bail!("a handle is of a resource that is only declared")
                };
                let import = self.component.imported_resources.get(*ty).context(
                    "a handle is dropped of a resource that a part defines, and only resources \
                     of the host can be fused",
                )?;
                Does::Drop { resource: self.host(*import)?, instance: instance.as_u32() }
            }
            Trampoline::ResourceNew { .. } | Trampoline::ResourceRep { .. } => bail!(
                "the part defines a resource, and only resources of the host can be fused: let \
                 the part give out numbers in its place, or run the composed component as it is"
            ),
            Trampoline::ResourceTransferOwn
            | Trampoline::ResourceTransferBorrow
            | Trampoline::EnterSyncCall
            | Trampoline::ExitSyncCall => bail!(
                "a handle of a resource goes from one part to another, and parts that are fused \
                 share no resources: let them pass numbers, or run the composed component as it is"
            ),
            other => bail!("`{}` is asked for: {NO_ASYNC}", other.symbol_name()),
        })
    }

    fn host(&self, import: RuntimeImportIndex) -> Result<HostFunction> {
        let (index, path) = &self.component.imports[import];
        let (name, _) = &self.component.import_types[*index];
        Ok(match path.as_slice() {
            [] => HostFunction { interface: None, name: name.clone() },
            [function] => HostFunction { interface: Some(name.clone()), name: function.clone() },
            _ => bail!("`{name}` is an instance with instances in it, which WIT cannot describe"),
        })
    }

    fn lift(&self, name: String, export: &Export) -> Result<Option<Lift>> {
        let (func, options) = match export {
            Export::LiftedFunction { func, options, .. } => (func, *options),
            Export::Type(_) => return Ok(None),
            Export::ModuleStatic { .. } | Export::ModuleImport { .. } => {
                bail!("the component exports the core module `{name}`, which cannot be fused")
            }
            Export::Instance { .. } => {
                bail!("`{name}` is an instance in an instance, which WIT cannot describe")
            }
        };
        let canonical = &self.component.options[options];
        let post_return = match canonical.post_return {
            Some(index) => {
                let item = *self.post_returns.get(&index).context("a post-return is missing")?;
                Some((item, self.signature_of(item)?))
            }
            None => None,
        };
        let function = self.resolve(func)?;
        Ok(Some(Lift { name, function, options: self.options(options)?, post_return }))
    }

    fn options(&self, index: OptionsIndex) -> Result<Options> {
        let CanonicalOptions { instance, string_encoding, async_, data_model, .. } =
            &self.component.options[index];
        ensure!(
            !async_,
            "{} calls or is called asynchronously: {NO_ASYNC}",
            self.part_with(*instance)
        );
        let CanonicalOptionsDataModel::LinearMemory(memory) = data_model else {
            bail!("{} passes garbage-collected objects", self.part_with(*instance))
        };
        let realloc = |index| self.reallocs.get(&index).copied().context("a realloc is missing");
        Ok(Options {
            instance: instance.as_u32(),
            memory: memory.memory.map(|index| self.memory(index)).transpose()?,
            realloc: memory.realloc.map(realloc).transpose()?,
            encoding: match string_encoding {
                StringEncoding::Utf8 => wasm_encoder::CanonicalOption::UTF8,
                StringEncoding::Utf16 => wasm_encoder::CanonicalOption::UTF16,
                StringEncoding::CompactUtf16 => wasm_encoder::CanonicalOption::CompactUTF16,
            },
        })
    }

    fn memory(&self, index: RuntimeMemoryIndex) -> Result<Item> {
        self.memories.get(&index).copied().context("a memory is missing")
    }

    fn signature_of(&self, item: Item) -> Result<Signature> {
        match item {
            Item::Defined { instance, kind: Kind::Function, index } => {
                let module = &self.modules[self.instances[instance].module].module;
                let function = &module.functions[FuncIndex::from_u32(index)];
                self.signature(function.signature.unwrap_module_type_index())
            }
            Item::Helper(index) => {
                self.signature(self.component.trampolines[TrampolineIndex::from_u32(index)])
            }
            _ => bail!("a function was expected"),
        }
    }

    fn signature(&self, index: ModuleInternedTypeIndex) -> Result<Signature> {
        let ty = self.types.module_types()[index].unwrap_func();
        let all = |types: &[WasmValType]| types.iter().map(val_type).collect::<Result<Vec<_>>>();
        Ok(Signature { params: all(ty.params())?, results: all(ty.results())? })
    }
}

/// The end of a message about tasks.
const NO_ASYNC: &str = "asynchronous functions, streams and threads cannot be fused; build the \
     part without them, or run the composed component as it is";

/// The place of an entity among a module's imports; none if the module defines it.
fn import_of(module: &Module, entity: EntityIndex) -> Option<usize> {
    module.initializers.iter().position(|initializer| {
        let wasmtime_environ::Initializer::Import { index, .. } = initializer;
        *index == entity
    })
}

fn kind(entity: EntityIndex) -> Result<(Kind, u32)> {
    Ok(match entity {
        EntityIndex::Function(index) => (Kind::Function, index.as_u32()),
        EntityIndex::Table(index) => (Kind::Table, index.as_u32()),
        EntityIndex::Memory(index) => (Kind::Memory, index.as_u32()),
        EntityIndex::Global(index) => (Kind::Global, index.as_u32()),
        EntityIndex::Tag(_) => bail!("a module throws exceptions, which cannot be fused"),
    })
}

fn val_type(ty: &WasmValType) -> Result<ValType> {
    Ok(match ty {
        WasmValType::I32 => ValType::I32,
        WasmValType::I64 => ValType::I64,
        WasmValType::F32 => ValType::F32,
        WasmValType::F64 => ValType::F64,
        WasmValType::V128 => ValType::V128,
        WasmValType::Ref(_) => bail!("a function between parts takes or gives a reference"),
    })
}
