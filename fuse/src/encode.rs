//! Makes a component of the fused module.
//!
//! wit-component does most of it. It takes one memory and one `realloc` for everything, so what
//! it makes is written anew: each lift and each lowering gets the memory and the `realloc` of its
//! part. And copies of functions of the host, which the [`Plan`] makes if two parts call the
//! same one, become the function itself again: wit-component is given a world in which an
//! interface has the copies too, and afterwards the declarations of the copies are left out, and
//! an alias to a copy names the function that it is a copy of.
//!
//! The types of imports and exports are those of the composition, as wit-component reads them.

use anyhow::{Context, Result, anyhow, bail, ensure};
use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent, component_utils};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, Component, ComponentAliasSection,
    ComponentExportSection, ComponentImportSection, ComponentInstanceSection, ComponentSectionId,
    ExportKind, InstanceSection, InstanceType, RawSection,
};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentTypeRef, ExternalKind,
    InstanceTypeDeclaration, Parser, Validator, WasmFeatures,
};
use wit_component::{
    ComponentEncoder, DecodedWasm, StringEncoding, decode, embed_component_metadata,
};
use wit_parser::{Function, FunctionKind, Resolve, WorldId, WorldItem, WorldKey};

use crate::plan::{HostCall, Passing, Plan, ROOT};

/// Makes a component of the module, for the world of the composition.
pub fn encode(module: &[u8], composed: &[u8], plan: &Plan) -> Result<Vec<u8>> {
    let DecodedWasm::Component(mut resolve, world) =
        decode(composed).context("the types of the composed component cannot be read")?
    else {
        bail!("the composed component is a package of WIT, which has no code")
    };
    for call in plan.calls.iter().filter(|call| call.is_copy()) {
        add_copy(&mut resolve, world, call)?;
    }
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let with_one_memory = ComponentEncoder::default()
        .validate(true)
        .merge_imports_based_on_semver(false)
        .module(&module)?
        .encode()?;
    let component = Rewriter::new(plan).rewrite(&with_one_memory)?;
    let features = WasmFeatures::default() | WasmFeatures::MULTI_MEMORY;
    Validator::new_with_features(features)
        .validate_all(&component)
        .context("the component that was made is not valid")?;
    Ok(component)
}

/// Declares the copy of a function that the world or one of its interfaces has.
fn add_copy(resolve: &mut Resolve, world: WorldId, call: &HostCall) -> Result<()> {
    let copy_of = |function: &Function| Function {
        name: call.import.clone(),
        kind: FunctionKind::Freestanding,
        ..function.clone()
    };
    let Some(interface) = &call.function.interface else {
        let key = WorldKey::Name(call.function.name.clone());
        let Some(WorldItem::Function(function)) = resolve.worlds[world].imports.get(&key) else {
            bail!("the world does not import `{}`", call.function.name)
        };
        let copy = copy_of(function);
        let key = WorldKey::Name(call.import.clone());
        resolve.worlds[world].imports.insert(key, WorldItem::Function(copy));
        return Ok(());
    };
    let imports = &resolve.worlds[world].imports;
    let id = imports.iter().find_map(|(key, item)| match item {
        WorldItem::Interface { id, .. } if resolve.name_world_key(key) == *interface => Some(*id),
        _ => None,
    });
    let id = id.with_context(|| format!("the world does not import `{interface}`"))?;
    let is_exported = resolve.worlds[world]
        .exports
        .values()
        .any(|item| matches!(item, WorldItem::Interface { id: exported, .. } if *exported == id));
    ensure!(
        !is_exported,
        "the component imports and exports `{interface}`, and two of its parts call `{}` of the \
         imported one: such a component cannot be fused; let one part call it for both",
        call.function.name
    );
    let functions = &mut resolve.interfaces[id].functions;
    let function = functions
        .get(&call.function.name)
        .with_context(|| format!("`{interface}` has no function `{}`", call.function.name))?;
    let copy = copy_of(function);
    functions.insert(call.import.clone(), copy);
    Ok(())
}

/// A function of the component.
enum ComponentFunction {
    /// A function with a place of its own in the new component.
    At(u32),
    /// A copy of a function that the world imports directly.
    CopyOf(String),
}

/// Names that are added to the index spaces of core items.
#[derive(Default)]
struct Added {
    /// The first index that is moved.
    at: u32,
    names: Vec<String>,
}

impl Added {
    fn moved(&self, index: u32) -> u32 {
        if index >= self.at { index + self.names.len() as u32 } else { index }
    }

    fn index_of(&self, name: &str) -> Option<u32> {
        let place = self.names.iter().position(|other| other == name)?;
        Some(self.at + place as u32)
    }
}

struct Rewriter<'a> {
    plan: &'a Plan,
    /// How many components and types the current place is in.
    depth: u32,
    core_instances: u32,
    /// The instance of the fused module.
    main: Option<u32>,
    /// The core functions, and the names of those that the fused module exports.
    core_functions: Vec<Option<String>>,
    core_memories: u32,
    added_functions: Added,
    added_memories: Added,
    /// The instances of the component, and the names of those that are imported.
    instances: Vec<Option<String>>,
    functions: Vec<ComponentFunction>,
    /// For each function of the component: whose it is, and its name there, if it is imported.
    imported: Vec<Option<(String, String)>>,
    /// How many functions the new component has.
    new_functions: u32,
}

type Rewriting<T> = Result<T, Error<anyhow::Error>>;

fn told(error: anyhow::Error) -> Error<anyhow::Error> {
    Error::UserError(error)
}

impl<'a> Rewriter<'a> {
    fn new(plan: &'a Plan) -> Self {
        Rewriter {
            plan,
            depth: 0,
            core_instances: 0,
            main: None,
            core_functions: Vec::new(),
            core_memories: 0,
            added_functions: Added { at: u32::MAX, names: Vec::new() },
            added_memories: Added { at: u32::MAX, names: Vec::new() },
            instances: Vec::new(),
            functions: Vec::new(),
            imported: Vec::new(),
            new_functions: 0,
        }
    }

    fn rewrite(mut self, component: &[u8]) -> Result<Vec<u8>> {
        let mut rewritten = Component::new();
        self.parse_component(&mut rewritten, Parser::new(0), component).map_err(
            |error| match error {
                Error::UserError(error) => error,
                error => anyhow!("the component that was made cannot be rewritten: {error}"),
            },
        )?;
        ensure!(self.main.is_some(), "the fused module is not in the component that was made");
        Ok(rewritten.finish())
    }

    fn add_function(&mut self, imported: Option<(String, String)>) {
        self.functions.push(ComponentFunction::At(self.new_functions));
        self.imported.push(imported);
        self.new_functions += 1;
    }

    /// The call of the plan that an import stands for, if it is a copy.
    fn copy(&self, module: &str, name: &str) -> Option<&'a HostCall> {
        let mut calls = self.plan.calls.iter();
        calls.find(|call| call.is_copy() && call.module() == module && call.import == name)
    }

    /// The names of memories and of `realloc` functions that lifts and lowerings need.
    fn passings(&self) -> impl Iterator<Item = &'a Passing> + use<'a> {
        let plan = self.plan;
        plan.lifts.values().chain(plan.calls.iter().map(|call| &call.passing))
    }

    /// Counts the item that an alias makes. If the item is the copy of a function, gives the
    /// function's name.
    fn count_alias(&mut self, alias: &ComponentAlias<'_>) -> Option<&'a str> {
        match *alias {
            ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Func,
                instance_index,
                name,
            } => {
                let module = self.instances.get(instance_index as usize).cloned().flatten();
                let copy = module.as_ref().and_then(|module| self.copy(module, name));
                self.add_function(module.map(|module| (module, name.to_owned())));
                return copy.map(|call| &*call.function.name);
            }
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Instance, .. } => {
                self.instances.push(None);
            }
            ComponentAlias::CoreInstanceExport {
                kind: ExternalKind::Func | ExternalKind::FuncExact,
                instance_index,
                name,
            } => {
                let is_main = self.main == Some(instance_index);
                self.core_functions.push(is_main.then(|| name.to_owned()));
            }
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Memory, .. } => {
                self.core_memories += 1;
            }
            _ => {}
        }
        None
    }

    /// Writes aliases to the exports that lifts and lowerings need.
    fn add_aliases(&mut self, component: &mut Component, main: u32) {
        let mut memories: Vec<String> = self.passings().filter_map(|p| p.memory.clone()).collect();
        let mut reallocs: Vec<String> = self.passings().filter_map(|p| p.realloc.clone()).collect();
        for names in [&mut memories, &mut reallocs] {
            names.sort_unstable();
            names.dedup();
        }
        let mut aliases = ComponentAliasSection::new();
        for (kind, names) in [(ExportKind::Memory, &memories), (ExportKind::Func, &reallocs)] {
            for name in names {
                aliases.alias(Alias::CoreInstanceExport { instance: main, kind, name });
            }
        }
        if !aliases.is_empty() {
            component.section(&aliases);
        }
        self.added_memories = Added { at: self.core_memories, names: memories };
        self.added_functions = Added { at: self.core_functions.len() as u32, names: reallocs };
    }

    /// The options of a lift or a lowering, with the memory and the `realloc` of its part.
    fn options(
        &mut self,
        options: &[wasmparser::CanonicalOption],
        passing: &Passing,
        name: &str,
    ) -> Rewriting<Vec<CanonicalOption>> {
        use wasmparser::CanonicalOption as Option;
        let wanted = |index: std::option::Option<u32>, what: &str| {
            index.with_context(|| format!("`{name}` needs {what}, which its part does not name"))
        };
        let mut rewritten = Vec::new();
        for option in options {
            rewritten.push(match option {
                Option::UTF8 | Option::UTF16 | Option::CompactUTF16 => passing.encoding,
                Option::Memory(_) => {
                    let memory = passing.memory.as_deref();
                    let index = memory.and_then(|name| self.added_memories.index_of(name));
                    CanonicalOption::Memory(wanted(index, "a memory").map_err(told)?)
                }
                Option::Realloc(_) => {
                    let realloc = passing.realloc.as_deref();
                    let index = realloc.and_then(|name| self.added_functions.index_of(name));
                    CanonicalOption::Realloc(wanted(index, "a realloc").map_err(told)?)
                }
                Option::PostReturn(function) => {
                    CanonicalOption::PostReturn(self.function_index(*function)?)
                }
                other => {
                    return Err(told(anyhow!("`{name}` has the unknown option {other:?}")));
                }
            });
        }
        Ok(rewritten)
    }

    fn lift(
        &mut self,
        section: &mut CanonicalFunctionSection,
        function: u32,
        ty: u32,
        options: &[wasmparser::CanonicalOption],
    ) -> Rewriting<()> {
        let name = self.core_functions.get(function as usize).cloned().flatten();
        let name = name.context("a lift is not of the fused module").map_err(told)?;
        let passing = self.plan.lifts.get(&name);
        let passing = passing.with_context(|| format!("`{name}` is not planned")).map_err(told)?;
        let options = self.options(options, passing, &name)?;
        section.lift(self.function_index(function)?, self.component_type_index(ty), options);
        self.add_function(None);
        Ok(())
    }

    fn lower(
        &mut self,
        section: &mut CanonicalFunctionSection,
        function: u32,
        options: &[wasmparser::CanonicalOption],
    ) -> Rewriting<()> {
        let imported = self.imported.get(function as usize).and_then(|imported| imported.as_ref());
        let (module, name) =
            imported.context("a lowering is not of an import").map_err(told)?.clone();
        let mut calls = self.plan.calls.iter();
        let call = calls
            .find(|call| call.module() == module && call.import == name)
            .with_context(|| format!("the call of `{module}` `{name}` is not planned"))
            .map_err(told)?;
        let options = self.options(options, &call.passing, &name)?;
        section.lower(self.component_func_index(function), options);
        Ok(())
    }
}

impl Reencode for Rewriter<'_> {
    type Error = anyhow::Error;

    fn function_index(&mut self, index: u32) -> Rewriting<u32> {
        Ok(if self.depth == 0 { self.added_functions.moved(index) } else { index })
    }

    fn memory_index(&mut self, index: u32) -> Rewriting<u32> {
        Ok(if self.depth == 0 { self.added_memories.moved(index) } else { index })
    }
}

impl ReencodeComponent for Rewriter<'_> {
    fn push_depth(&mut self) {
        self.depth += 1;
    }

    fn pop_depth(&mut self) {
        self.depth -= 1;
    }

    fn component_func_index(&mut self, index: u32) -> u32 {
        if self.depth > 0 {
            return index;
        }
        match self.functions.get(index as usize) {
            Some(ComponentFunction::At(index)) => *index,
            Some(ComponentFunction::CopyOf(name)) => {
                let is_original = |imported: &Option<(String, String)>| matches!(imported, Some((module, other)) if module == ROOT && other == name);
                let original = self.imported.iter().position(is_original);
                match original.map(|original| &self.functions[original]) {
                    Some(ComponentFunction::At(index)) => *index,
                    // The validator of the result finds it.
                    _ => u32::MAX,
                }
            }
            None => u32::MAX,
        }
    }

    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        _: Parser,
        module: &[u8],
    ) -> Rewriting<()> {
        component.section(&RawSection { id: ComponentSectionId::CoreModule as u8, data: module });
        Ok(())
    }

    fn parse_component_custom_section(
        &mut self,
        _: &mut Component,
        _: wasmparser::CustomSectionReader<'_>,
    ) -> Rewriting<()> {
        Ok(())
    }

    fn parse_component_instance_type_declaration(
        &mut self,
        ty: &mut InstanceType,
        declaration: InstanceTypeDeclaration<'_>,
    ) -> Rewriting<()> {
        if let InstanceTypeDeclaration::Export { name, ty: ComponentTypeRef::Func(_) } =
            &declaration
            && self.depth == 1
            && self.plan.calls.iter().any(|call| call.is_copy() && call.import == name.name)
        {
            return Ok(());
        }
        component_utils::parse_component_instance_type_declaration(self, ty, declaration)
    }

    fn parse_component_import_section(
        &mut self,
        imports: &mut ComponentImportSection,
        section: wasmparser::ComponentImportSectionReader<'_>,
    ) -> Rewriting<()> {
        for import in section {
            let import = import?;
            let name = import.name.name;
            match import.ty {
                ComponentTypeRef::Func(_) => {
                    if let Some(call) = self.copy(ROOT, name) {
                        let of = ComponentFunction::CopyOf(call.function.name.clone());
                        self.functions.push(of);
                        self.imported.push(Some((ROOT.to_owned(), name.to_owned())));
                        continue;
                    }
                    self.add_function(Some((ROOT.to_owned(), name.to_owned())));
                }
                ComponentTypeRef::Instance(_) => self.instances.push(Some(name.to_owned())),
                _ => {}
            }
            let ty = self.component_type_ref(import.ty)?;
            imports.import(import.name, ty);
        }
        Ok(())
    }

    fn parse_component_alias_section(
        &mut self,
        aliases: &mut ComponentAliasSection,
        section: wasmparser::ComponentAliasSectionReader<'_>,
    ) -> Rewriting<()> {
        for alias in section {
            let alias = alias?;
            let name = if self.depth == 0 { self.count_alias(&alias) } else { None };
            let mut alias = self.component_alias(alias)?;
            if let (Some(original), Alias::InstanceExport { name, .. }) = (name, &mut alias) {
                *name = original;
            }
            aliases.alias(alias);
        }
        Ok(())
    }

    fn parse_component_canonical(
        &mut self,
        section: &mut CanonicalFunctionSection,
        function: CanonicalFunction,
    ) -> Rewriting<()> {
        match function {
            CanonicalFunction::Lift { core_func_index, type_index, options } => {
                self.lift(section, core_func_index, type_index, &options)
            }
            CanonicalFunction::Lower { func_index, options } => {
                self.lower(section, func_index, &options)?;
                self.core_functions.push(None);
                Ok(())
            }
            other => {
                component_utils::parse_component_canonical(self, section, other)?;
                self.core_functions.push(None);
                Ok(())
            }
        }
    }

    fn parse_component_instance_section(
        &mut self,
        instances: &mut ComponentInstanceSection,
        section: wasmparser::ComponentInstanceSectionReader<'_>,
    ) -> Rewriting<()> {
        let count = section.count();
        component_utils::parse_component_instance_section(self, instances, section)?;
        self.instances.extend((0..count).map(|_| None));
        Ok(())
    }

    fn parse_component_export_section(
        &mut self,
        exports: &mut ComponentExportSection,
        section: wasmparser::ComponentExportSectionReader<'_>,
    ) -> Rewriting<()> {
        for export in section {
            let export = export?;
            let kind = export.kind;
            self.parse_component_export(exports, export)?;
            match kind {
                ComponentExternalKind::Func => self.add_function(None),
                ComponentExternalKind::Instance => self.instances.push(None),
                _ => {}
            }
        }
        Ok(())
    }

    fn parse_instance(
        &mut self,
        instances: &mut InstanceSection,
        instance: wasmparser::Instance<'_>,
    ) -> Rewriting<()> {
        // The fused module is the first of the modules that wit-component writes.
        if let wasmparser::Instance::Instantiate { module_index: 0, .. } = instance {
            self.main = Some(self.core_instances);
        }
        self.core_instances += 1;
        component_utils::parse_instance(self, instances, instance)
    }

    fn parse_component_payload(
        &mut self,
        component: &mut Component,
        payload: wasmparser::Payload<'_>,
        whole_component: &[u8],
    ) -> Rewriting<()> {
        let before = self.main;
        component_utils::parse_component_payload(self, component, payload, whole_component)?;
        if let (None, Some(main)) = (before, self.main) {
            self.add_aliases(component, main);
        }
        Ok(())
    }
}
