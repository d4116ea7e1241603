//! Reads a core module's outside (its imports and exports, and the places of its memory and data),
//! and gives the module another outside.
//!
//! Code and data are never touched: all sections but those of imports, exports and
//! custom sections are copied as they are.

use anyhow::{Context, Result, anyhow, bail, ensure};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{EntityType, ExportSection, ImportSection, Module, RawSection};
use wasmparser::{
    CompositeInnerType, CustomSectionReader, DataKind, Encoding, Export, ExternalKind, FuncType,
    Global, GlobalType, Import, KnownCustom, MemoryType, Name, Operator, Parser, Payload, TypeRef,
    Validator, WasmFeatures,
};

/// The features that a module may use: those that are enabled in Binaryen's tools, see `link`.
const FEATURES: WasmFeatures =
    WasmFeatures::WASM2.union(WasmFeatures::TAIL_CALL).union(WasmFeatures::EXTENDED_CONST);

/// An imported item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The module that the item is to come from.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// The kind and type of the item.
    pub item: Item,
}

/// The kind and type of an import or an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A function, with its type.
    Function(FuncType),
    /// A memory.
    Memory(MemoryType),
    /// A global.
    Global(GlobalType),
    /// Anything else.
    Other,
}

/// An exported item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Its name.
    pub name: String,
    /// The kind and type of the item.
    pub item: Item,
    /// For a memory: whether it is an imported one.
    pub is_imported: bool,
    /// For an `i32` constant: its value.
    pub constant: Option<u32>,
}

/// Bytes that are copied into memory when the module starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// The address; none if it is known only when the module starts.
    pub begin: Option<u64>,
    /// How many.
    pub size_bytes: u64,
}

/// The outside of a core module.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Its imports, in order.
    pub imports: Vec<Imported>,
    /// Its exports, in order.
    pub exports: Vec<Exported>,
    /// Memories of its own.
    pub own_memories: Vec<MemoryType>,
    /// Its active data segments, in order.
    pub data: Vec<Data>,
    /// The names of its custom sections.
    pub customs: Vec<String>,
    /// The names of the functions that it defines, as far as the module has kept them.
    pub function_names: Vec<String>,
}

impl Outside {
    /// Reads a module's outside. Errors: the bytes are not a valid core module.
    pub fn read(module: &[u8]) -> Result<Outside> {
        ensure!(module.starts_with(b"\0asm"), "is not a WebAssembly module");
        let mut reader = Reader::default();
        for payload in Parser::new(0).parse_all(module) {
            reader.payload(payload.context("is not a WebAssembly module")?)?;
        }
        Validator::new_with_features(FEATURES).validate_all(module).context(
            "is not valid WebAssembly 2.0 (with tail calls and extended constants, and without \
             threads and exceptions)",
        )?;
        reader.resolve()
    }

    /// The imports from one module.
    pub fn imports_from<'a>(&'a self, module: &'a str) -> impl Iterator<Item = &'a Imported> {
        self.imports.iter().filter(move |import| import.module == module)
    }

    /// The export of a name.
    pub fn export(&self, name: &str) -> Option<&Exported> {
        self.exports.iter().find(|export| export.name == name)
    }
}

/// The parts of a module that are read before its outside is complete.
#[derive(Default)]
struct Reader {
    outside: Outside,
    types: Vec<Option<FuncType>>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    memories: Vec<MemoryType>,
    imported_memories: usize,
    globals: Vec<(GlobalType, Option<u32>)>,
    exports: Vec<(String, ExternalKind, u32)>,
}

impl Reader {
    fn payload(&mut self, payload: Payload<'_>) -> Result<()> {
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => {
                bail!("is a component; a core module is wanted")
            }
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.into_types() {
                        self.types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => Some(ty),
                            _ => None,
                        });
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.import(import?)?;
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.functions.push(ty?);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    self.memories.push(memory);
                    self.outside.own_memories.push(memory);
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global?;
                    self.globals.push((global.ty, constant(&global)?));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    self.exports.push((export.name.to_owned(), export.kind, export.index));
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    let data = data?;
                    if let DataKind::Active { offset_expr, .. } = data.kind {
                        let begin = constant_of(offset_expr.get_operators_reader())?;
                        self.outside.data.push(Data {
                            begin: begin.map(u64::from),
                            size_bytes: data.data.len() as u64,
                        });
                    }
                }
            }
            Payload::CustomSection(section) => {
                self.outside.customs.push(section.name().to_owned());
                // Names that cannot be read do no harm.
                let names = function_names(&section).unwrap_or_default();
                let imported = self.outside.imports.iter();
                let imported =
                    imported.filter(|import| matches!(import.item, Item::Function(_))).count();
                let own = names.into_iter().filter(|(index, _)| *index as usize >= imported);
                self.outside.function_names.extend(own.map(|(_, name)| name));
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, import: Import<'_>) -> Result<()> {
        let item = match import.ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                self.functions.push(ty);
                self.function(self.functions.len() as u32 - 1)?
            }
            TypeRef::Memory(memory) => {
                self.memories.push(memory);
                self.imported_memories += 1;
                Item::Memory(memory)
            }
            TypeRef::Global(global) => {
                self.globals.push((global, None));
                Item::Global(global)
            }
            _ => Item::Other,
        };
        self.outside.imports.push(Imported {
            module: import.module.to_owned(),
            name: import.name.to_owned(),
            item,
        });
        Ok(())
    }

    fn function(&self, index: u32) -> Result<Item> {
        let ty = self.functions.get(index as usize).and_then(|ty| self.types.get(*ty as usize));
        Ok(match ty.context("names a function that it has not")? {
            Some(ty) => Item::Function(ty.clone()),
            None => Item::Other,
        })
    }

    fn resolve(mut self) -> Result<Outside> {
        for (name, kind, index) in std::mem::take(&mut self.exports) {
            let at = index as usize;
            let (item, constant) = match kind {
                ExternalKind::Func | ExternalKind::FuncExact => (self.function(index)?, None),
                ExternalKind::Memory => (Item::Memory(self.memories[at]), None),
                ExternalKind::Global => (Item::Global(self.globals[at].0), self.globals[at].1),
                _ => (Item::Other, None),
            };
            let is_imported = kind == ExternalKind::Memory && at < self.imported_memories;
            self.outside.exports.push(Exported { name, item, is_imported, constant });
        }
        Ok(self.outside)
    }
}

/// The functions' indices and names that a custom section has.
pub(crate) fn function_names(section: &CustomSectionReader<'_>) -> Result<Vec<(u32, String)>> {
    let mut names = Vec::new();
    if let KnownCustom::Name(section) = section.as_known() {
        for part in section {
            if let Name::Function(functions) = part? {
                for naming in functions {
                    let naming = naming?;
                    names.push((naming.index, naming.name.to_owned()));
                }
            }
        }
    }
    Ok(names)
}

fn constant(global: &Global<'_>) -> Result<Option<u32>> {
    constant_of(global.init_expr.get_operators_reader())
}

fn constant_of(mut operators: wasmparser::OperatorsReader<'_>) -> Result<Option<u32>> {
    Ok(match (operators.read()?, operators.read()?) {
        (Operator::I32Const { value }, Operator::End) => Some(value as u32),
        _ => None,
    })
}

/// A change of a module's outside, part by part.
pub trait Change {
    /// The import in the place of another: its module, its name and its type.
    fn import<'a>(&'a mut self, import: &Import<'a>) -> Result<(&'a str, &'a str, EntityType)> {
        Ok((import.module, import.name, entity_type(import.ty)?))
    }

    /// An import of a memory in the place of the memories that the module has; none to leave it
    /// its own.
    fn memory(&mut self) -> Result<Option<(&str, &str, EntityType)>> {
        Ok(None)
    }

    /// Whether an export stays.
    fn keeps_export(&mut self, _: &Export<'_>) -> bool {
        true
    }

    /// Whether a custom section stays.
    fn keeps_custom(&mut self, _: &str) -> bool {
        true
    }
}

/// An import's type, for an encoder.
pub fn entity_type(ty: TypeRef) -> Result<EntityType> {
    RoundtripReencoder.entity_type(ty).map_err(|error| anyhow!("cannot copy an import: {error}"))
}

/// The module with another outside. (A memory is imported only by a module that imports something
/// else, too.)
pub fn change(module: &[u8], change: &mut impl Change) -> Result<Vec<u8>> {
    let mut changed = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match &payload {
            Payload::ImportSection(section) => {
                let mut imports = ImportSection::new();
                for import in section.clone().into_imports() {
                    let import = import?;
                    let (module, name, ty) = change.import(&import)?;
                    imports.import(module, name, ty);
                }
                if let Some((module, name, ty)) = change.memory()? {
                    imports.import(module, name, ty);
                }
                changed.section(&imports);
                continue;
            }
            Payload::MemorySection(_) if change.memory()?.is_some() => continue,
            Payload::ExportSection(section) => {
                let mut exports = ExportSection::new();
                for export in section.clone() {
                    let export = export?;
                    if change.keeps_export(&export) {
                        exports.export(export.name, export.kind.into(), export.index);
                    }
                }
                changed.section(&exports);
                continue;
            }
            Payload::CustomSection(section) if !change.keeps_custom(section.name()) => continue,
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            changed.section(&RawSection {
                id,
                data: &module[range.start as usize..range.end as usize],
            });
        }
    }
    Ok(changed.finish())
}
