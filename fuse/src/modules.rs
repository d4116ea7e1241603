//! Makes modules fit to be merged: imports and exports get the names of the plan, and all
//! memories are defined in one place.
//!
//! Code is never touched here.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, ImportSection, MemorySection, MemoryType, Module,
    RawSection, StartSection, TypeSection, ValType,
};
use wasmparser::{Encoding, Parser, Payload, TypeRef};

use crate::parts::{Composition, CoreInstance, Does, Item, Kind, OwnMemory, Signature};
use crate::plan::{BASE, Plan};

/// The name of the module in which an item is merged.
pub fn home(item: Item, composition: &Composition) -> String {
    match item {
        Item::Defined { kind: Kind::Memory, .. } | Item::Flag(_) => BASE.to_owned(),
        Item::Defined { instance, .. } => instance.to_string(),
        Item::Helper(index) => match composition.helpers.get(&index).map(|helper| &helper.does) {
            Some(Does::Transcode { .. }) => item.to_string(),
            _ => BASE.to_owned(),
        },
    }
}

/// The module of a core instance with the names of the plan. Its own memories become imports.
pub fn rename(
    composition: &Composition,
    plan: &Plan,
    number: usize,
    keeps_names: bool,
) -> Result<Vec<u8>> {
    let instance = &composition.instances[number];
    let mut renaming = Renaming {
        composition,
        instance,
        number,
        exported: plan
            .used
            .iter()
            .filter_map(|item| match *item {
                Item::Defined { instance, kind, index }
                    if instance == number && kind != Kind::Memory =>
                {
                    Some((kind, index, item.to_string()))
                }
                _ => None,
            })
            .collect(),
        renamed: Module::new(),
        imports: Some(ImportSection::new()),
        has_exports: false,
    };
    for payload in Parser::new(0).parse_all(&instance.module) {
        renaming.payload(payload?, keeps_names)?;
    }
    renaming.finish()
}

struct Renaming<'a> {
    composition: &'a Composition,
    instance: &'a CoreInstance,
    number: usize,
    exported: Vec<(Kind, u32, String)>,
    renamed: Module,
    /// The imports, until they are written.
    imports: Option<ImportSection>,
    has_exports: bool,
}

impl Renaming<'_> {
    fn payload(&mut self, payload: Payload<'_>, keeps_names: bool) -> Result<()> {
        match &payload {
            Payload::Version { encoding, .. } => {
                ensure!(*encoding == Encoding::Module, "a core module is wanted");
                return Ok(());
            }
            Payload::ImportSection(section) => {
                for (count, import) in section.clone().into_imports().enumerate() {
                    let ty = RoundtripReencoder
                        .entity_type(import?.ty)
                        .map_err(|error| anyhow!("cannot copy an import: {error}"))?;
                    let item = *self.instance.imports.get(count).context("an import too many")?;
                    self.import(item, ty)?;
                }
                return Ok(());
            }
            Payload::MemorySection(_) | Payload::ExportSection(_) => return Ok(()),
            Payload::StartSection { .. } if start_of(self.instance)?.is_some() => return Ok(()),
            Payload::CustomSection(section) if !(keeps_names && section.name() == "name") => {
                return Ok(());
            }
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            const TYPE: u8 = 1;
            const EXPORT: u8 = 7;
            if id > TYPE {
                self.write_imports()?;
            }
            if id > EXPORT {
                self.write_exports();
            }
            self.renamed.section(&RawSection { id, data: &self.instance.module[range] });
        }
        Ok(())
    }

    fn import(&mut self, item: Item, ty: EntityType) -> Result<()> {
        let home = home(item, self.composition);
        let imports = self.imports.as_mut().context("imports come too late")?;
        imports.import(&home, &item.to_string(), ty);
        Ok(())
    }

    /// Writes the imports. The module's own memories come last among them, so that every memory
    /// keeps its index.
    fn write_imports(&mut self) -> Result<()> {
        if self.imports.is_none() {
            return Ok(());
        }
        for memory in &self.instance.memories {
            let item =
                Item::Defined { instance: self.number, kind: Kind::Memory, index: memory.index };
            self.import(item, EntityType::Memory(memory_type(memory)))?;
        }
        if let Some(imports) = self.imports.take()
            && !imports.is_empty()
        {
            self.renamed.section(&imports);
        }
        Ok(())
    }

    fn write_exports(&mut self) {
        if self.has_exports {
            return;
        }
        self.has_exports = true;
        let mut exports = ExportSection::new();
        for (kind, index, name) in &self.exported {
            let kind = match kind {
                Kind::Function => ExportKind::Func,
                Kind::Table => ExportKind::Table,
                Kind::Memory => ExportKind::Memory,
                Kind::Global => ExportKind::Global,
            };
            exports.export(name, kind, *index);
        }
        self.renamed.section(&exports);
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        self.write_imports()?;
        self.write_exports();
        Ok(self.renamed.finish())
    }
}

fn memory_type(memory: &OwnMemory) -> MemoryType {
    MemoryType {
        minimum: memory.minimum_pages,
        maximum: memory.maximum_pages,
        memory64: false,
        shared: false,
        page_size_log2: None,
    }
}

/// The function that a module imports and starts with; none if it starts with one of its own, or
/// with none.
fn start_of(instance: &CoreInstance) -> Result<Option<Item>> {
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(&instance.module) {
        match payload? {
            Payload::ImportSection(section) => {
                for (import, item) in section.into_imports().zip(&instance.imports) {
                    if let TypeRef::Func(_) = import?.ty {
                        functions.push(*item);
                    }
                }
            }
            Payload::StartSection { func, .. } => return Ok(functions.get(func as usize).copied()),
            _ => {}
        }
    }
    Ok(None)
}

/// A module that starts with a function of its own, which calls what the module of a core instance
/// imports and starts with; none if that starts with no import. wasm-merge (132) leaves an import
/// that a module starts with unconnected. wit-component writes such modules, to call `_initialize`.
pub fn starter(composition: &Composition, number: usize) -> Result<Option<Vec<u8>>> {
    let Some(item) = start_of(&composition.instances[number])? else {
        return Ok(None);
    };
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    imports.import(&home(item, composition), &item.to_string(), EntityType::Function(0));
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut function = Function::new([]);
    function.instructions().call(0).end();
    let mut code = CodeSection::new();
    code.function(&function);
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions);
    module.section(&StartSection { function_index: 1 }).section(&code);
    Ok(Some(module.finish()))
}

/// The module that has the memories and the flags, imports the functions of the host, and has
/// functions that call them and guard others.
pub fn base(composition: &Composition, plan: &Plan) -> Result<Vec<u8>> {
    let mut base = Base::default();
    for call in &plan.calls {
        base.import(call.module(), &call.import, &call.signature);
    }
    for guarded in &plan.guarded {
        let home = home(guarded.function, composition);
        base.import(&home, &guarded.function.to_string(), &guarded.signature);
    }
    for memory in &plan.memories {
        base.memory(composition, *memory)?;
    }
    let flags = base.flags(composition, plan);
    for (index, helper) in &composition.helpers {
        let name = Item::Helper(*index).to_string();
        match &helper.does {
            Does::Call { options: crate::parts::Options { instance, .. }, .. }
            | Does::Drop { instance, .. } => {
                let call = *plan.call_of_helper.get(index).context("a call is not planned")?;
                base.call(&name, call as u32, flags[instance], &helper.signature);
            }
            Does::Trap => base.trap(&name, &helper.signature),
            Does::Transcode { .. } => {}
        }
    }
    for (number, guarded) in plan.guarded.iter().enumerate() {
        let function = (plan.calls.len() + number) as u32;
        base.guard(&guarded.name, function, flags[&guarded.instance], &guarded.signature);
    }
    Ok(base.finish())
}

/// The base, as it is made.
#[derive(Default)]
struct Base {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    memories: MemorySection,
    globals: GlobalSection,
    exports: ExportSection,
    code: CodeSection,
}

impl Base {
    fn ty(&mut self, signature: &Signature) -> u32 {
        let params = signature.params.iter().copied();
        self.types.ty().function(params, signature.results.iter().copied());
        self.types.len() - 1
    }

    fn import(&mut self, module: &str, name: &str, signature: &Signature) {
        let ty = self.ty(signature);
        self.imports.import(module, name, EntityType::Function(ty));
    }

    fn memory(&mut self, composition: &Composition, item: Item) -> Result<()> {
        let Item::Defined { instance, index, .. } = item else {
            return Err(anyhow!("a memory is not a part's"));
        };
        let memories = &composition.instances[instance].memories;
        let memory = memories
            .iter()
            .find(|memory| memory.index == index)
            .context("a memory is not its module's own")?;
        self.exports.export(&item.to_string(), ExportKind::Memory, self.memories.len());
        self.memories.memory(memory_type(memory));
        Ok(())
    }

    /// Makes a flag for each component instance that has one. A flag is 1 while the instance's
    /// code may call out of it.
    fn flags(&mut self, composition: &Composition, plan: &Plan) -> BTreeMap<u32, u32> {
        let used = plan.used.iter().filter_map(|item| match item {
            Item::Flag(instance) => Some(*instance),
            _ => None,
        });
        let helpers = composition.helpers.values().filter_map(|helper| match &helper.does {
            Does::Call { options, .. } => Some(options.instance),
            Does::Drop { instance, .. } => Some(*instance),
            _ => None,
        });
        let guarded = plan.guarded.iter().map(|guarded| guarded.instance);
        let mut flags = BTreeMap::new();
        for instance in used.chain(helpers).chain(guarded) {
            let next = flags.len() as u32;
            flags.entry(instance).or_insert(next);
        }
        let mut in_order: Vec<(u32, u32)> = flags.iter().map(|(&of, &index)| (index, of)).collect();
        in_order.sort_unstable();
        for (index, instance) in in_order {
            let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
            self.globals.global(ty, &ConstExpr::i32_const(1));
            self.exports.export(&Item::Flag(instance).to_string(), ExportKind::Global, index);
        }
        flags
    }

    fn function(&mut self, name: &str, signature: &Signature, function: &Function) {
        let ty = self.ty(signature);
        let index = self.imports.len() + self.functions.len();
        self.functions.function(ty);
        self.exports.export(name, ExportKind::Func, index);
        self.code.function(function);
    }

    /// Adds a function that traps if the instance may not be left, and calls the host otherwise.
    fn call(&mut self, name: &str, callee: u32, flag: u32, signature: &Signature) {
        let mut function = Function::new([]);
        let mut code = function.instructions();
        code.block(BlockType::Empty).global_get(flag).br_if(0).unreachable().end();
        for param in 0..signature.params.len() as u32 {
            code.local_get(param);
        }
        code.call(callee).end();
        self.function(name, signature, &function);
    }

    /// Adds a function that calls another while the instance may not be left.
    fn guard(&mut self, name: &str, callee: u32, flag: u32, signature: &Signature) {
        let params = signature.params.len() as u32;
        let mut function = Function::new([(1, ValType::I32)]);
        let mut code = function.instructions();
        code.global_get(flag).local_set(params).i32_const(0).global_set(flag);
        for param in 0..params {
            code.local_get(param);
        }
        code.call(callee).local_get(params).global_set(flag).end();
        self.function(name, signature, &function);
    }

    fn trap(&mut self, name: &str, signature: &Signature) {
        let mut function = Function::new([]);
        function.instructions().unreachable().end();
        self.function(name, signature, &function);
    }

    fn finish(&self) -> Vec<u8> {
        let mut module = Module::new();
        module
            .section(&self.types)
            .section(&self.imports)
            .section(&self.functions)
            .section(&self.memories)
            .section(&self.globals)
            .section(&self.exports)
            .section(&self.code);
        module.finish()
    }
}

/// A module without its custom sections.
pub fn without_names(module: &[u8]) -> Result<Vec<u8>> {
    let mut bare = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if !matches!(payload, Payload::CustomSection(_))
            && let Some((id, range)) = payload.as_section()
        {
            bare.section(&RawSection { id, data: &module[range] });
        }
    }
    Ok(bare.finish())
}

/// The merged module with the exports of the plan alone.
pub fn publish(merged: &[u8], plan: &Plan) -> Result<Vec<u8>> {
    let mut published = Module::new();
    for payload in Parser::new(0).parse_all(merged) {
        let payload = payload?;
        if let Payload::ExportSection(section) = &payload {
            let mut exports = ExportSection::new();
            for export in section.clone() {
                let export = export?;
                let kind = RoundtripReencoder
                    .export_kind(export.kind)
                    .map_err(|error| anyhow!("cannot copy an export: {error}"))?;
                for name in plan.exports.get(export.name).into_iter().flatten() {
                    exports.export(name, kind, export.index);
                }
            }
            published.section(&exports);
        } else if let Some((id, range)) = payload.as_section() {
            published.section(&RawSection { id, data: &merged[range] });
        }
    }
    Ok(published.finish())
}
