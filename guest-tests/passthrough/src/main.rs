//! Writes a guest that passes everything through: it imports the functions of `wit/`, and exports
//! the same functions, each of which calls the one that it imports.
//!
//! What is made of the guest and a collector, linked or composed or fused, has the interface of the
//! collector. So whatever tests the collector by its interface tests the form.
//!
//! The guest's calls are those that bindings make. Lists are where the guest has them, in a range
//! of its memory that is empty between two calls; answers are at one place.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, ImportSection, InstructionSink, MemorySection,
    MemoryType, Module, TypeSection, ValType,
};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{
    Function as Declared, LiftLowerAbi, ManglingAndAbi, Resolve, Type, TypeDefKind, WasmExport,
    WasmExportKind, WasmImport, WorldId, WorldItem, WorldKey,
};

const HELP: &str = "\
Writes a guest that imports the functions of tether:gc and exports the same functions.

Usage: tether-passthrough WIT OUT.wasm [--own-memory]

WIT is the folder with the package `tether:gc`. The guest is a core module that carries its
world. It imports its memory, for `tether link`; with --own-memory it has one, for
`tether encode`.
";

const ABI: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);

/// The place of answers; the longest takes 96 bytes.
const ANSWER: i32 = 16;
/// The range of lists.
const LISTS_BEGIN: i32 = 4096;
const LISTS_END: i32 = 1 << 20;
const OWN_PAGES: u64 = 16;
const PAGE_SHIFT: i32 = 16;

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tether-passthrough: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (wit, out, has_memory) = match words[..] {
        ["--help" | "-h"] => {
            print!("{HELP}");
            return Ok(());
        }
        [wit, out] => (wit, out, false),
        [wit, out, "--own-memory"] => (wit, out, true),
        _ => bail!("give the folder with the WIT and the file to write; see --help"),
    };
    let mut resolve = Resolve::default();
    let (collector, _) =
        resolve.push_dir(Path::new(wit)).with_context(|| format!("cannot read {wit}"))?;
    let world = "package tether:passthrough;\n\
                 world passthrough { import tether:gc/heap@0.1.0; import tether:gc/roots@0.1.0; \
                 import tether:gc/wrappers@0.1.0; import tether:gc/diagnostics@0.1.0; \
                 include tether:gc/collector@0.1.0; }";
    resolve.select_world(&[collector], Some("collector"))?;
    let package = resolve.push_str("passthrough.wit", world)?;
    let world = resolve.select_world(&[package], None)?;
    let mut module = guest(&resolve, world, has_memory).finish();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    fs::write(out, module).with_context(|| format!("cannot write {out}"))
}

/// The sections of the guest.
#[derive(Default)]
struct Sections {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    exports: ExportSection,
    code: CodeSection,
    imported: u32,
}

impl Sections {
    fn ty(&mut self, parameters: &[ValType], results: &[ValType]) -> u32 {
        self.types.ty().function(parameters.iter().copied(), results.iter().copied());
        self.types.len() - 1
    }

    /// Exports a function, of which `body` writes the code.
    fn export(
        &mut self,
        name: &str,
        [parameters, results]: [&[ValType]; 2],
        locals: u32,
        body: impl FnOnce(&mut InstructionSink<'_>),
    ) {
        let ty = self.ty(parameters, results);
        self.functions.function(ty);
        let index = self.imported + self.functions.len() - 1;
        self.exports.export(name, ExportKind::Func, index);
        let mut function = Function::new([(locals, ValType::I32)]);
        body(&mut function.instructions());
        function.instructions().end();
        self.code.function(&function);
    }
}

/// The guest as a module.
fn guest(resolve: &Resolve, world: WorldId, has_memory: bool) -> Module {
    let mut sections = Sections::default();
    let functions: Vec<(&WorldKey, &Declared)> = (resolve.worlds[world].exports.iter())
        .filter_map(|(key, item)| match item {
            WorldItem::Interface { id, .. } => Some((key, &resolve.interfaces[*id])),
            _ => None,
        })
        .flat_map(|(key, interface)| interface.functions.values().map(move |one| (key, one)))
        .collect();
    for &(key, function) in &functions {
        let signature = resolve.wasm_signature(AbiVariant::GuestImport, function);
        let ty = sections.ty(&words(&signature.params), &words(&signature.results));
        let import = WasmImport::Func { interface: Some(key), func: function };
        let (module, name) = resolve.wasm_import_name(ABI, import);
        sections.imports.import(&module, &name, EntityType::Function(ty));
        sections.imported += 1;
    }
    for (index, &(key, function)) in functions.iter().enumerate() {
        pass_through(&mut sections, resolve, key, function, index as u32);
    }
    let own = MemoryType {
        minimum: OWN_PAGES,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    };
    let mut memories = MemorySection::new();
    if has_memory {
        memories.memory(own);
    } else {
        sections.imports.import("env", "memory", own);
    }
    sections.exports.export("memory", ExportKind::Memory, 0);
    let four = [ValType::I32; 4];
    sections.export("cabi_realloc", [&four, &four[..1]], 1, reallocate);
    let mut globals = GlobalSection::new();
    let counter = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    globals.global(counter, &ConstExpr::i32_const(LISTS_BEGIN));
    let mut module = Module::new();
    module.section(&sections.types).section(&sections.imports).section(&sections.functions);
    module.section(&memories).section(&globals).section(&sections.exports);
    module.section(&sections.code);
    module
}

/// Exports a function that calls the imported one.
fn pass_through(
    sections: &mut Sections,
    resolve: &Resolve,
    key: &WorldKey,
    function: &Declared,
    import: u32,
) {
    let called = resolve.wasm_signature(AbiVariant::GuestImport, function);
    let own = resolve.wasm_signature(AbiVariant::GuestExport, function);
    let export = |kind| {
        let export = WasmExport::Func { interface: Some(key), func: function, kind };
        resolve.wasm_export_name(ABI, export)
    };
    let gives_list = function.result.as_ref().is_some_and(|ty| has_list(resolve, ty));
    let types = [&words(&own.params)[..], &words(&own.results)];
    sections.export(&export(WasmExportKind::Normal), types, 0, |code| {
        for index in 0..own.params.len() {
            code.local_get(index as u32);
        }
        if called.retptr {
            code.i32_const(ANSWER);
        }
        code.call(import);
        if called.retptr {
            code.i32_const(ANSWER);
        }
        if !gives_list {
            forget_lists(code);
        }
    });
    if gives_list {
        let types = [&[ValType::I32][..], &[]];
        sections.export(&export(WasmExportKind::PostReturn), types, 0, forget_lists);
    }
}

/// Whether a value of a type is, or holds, a list.
fn has_list(resolve: &Resolve, ty: &Type) -> bool {
    let Type::Id(id) = ty else { return false };
    let inner = |ty: &Option<Type>| ty.as_ref().is_some_and(|ty| has_list(resolve, ty));
    match &resolve.types[*id].kind {
        TypeDefKind::List(_) => true,
        TypeDefKind::Type(ty) | TypeDefKind::Option(ty) => has_list(resolve, ty),
        TypeDefKind::Result(result) => inner(&result.ok) || inner(&result.err),
        _ => false,
    }
}

fn forget_lists(code: &mut InstructionSink<'_>) {
    code.i32_const(LISTS_BEGIN).global_set(0);
}

/// Memory for a list: the next of the range, or pages of the list's own.
fn reallocate(code: &mut InstructionSink<'_>) {
    let [old, old_bytes, align, size_bytes, place] = [0, 1, 2, 3, 4];
    // place = (cursor + align - 1) & -align
    code.global_get(0).local_get(align).i32_add().i32_const(1).i32_sub();
    code.i32_const(0).local_get(align).i32_sub().i32_and().local_set(place);
    // Is there room from there on?
    code.local_get(size_bytes).i32_const(LISTS_END).local_get(place).i32_sub().i32_le_u();
    code.if_(BlockType::Empty);
    code.local_get(place).local_get(size_bytes).i32_add().global_set(0);
    code.else_();
    code.local_get(size_bytes).i32_const(PAGE_SHIFT).i32_shr_u().i32_const(1).i32_add();
    code.memory_grow(0).local_tee(place).i32_const(-1).i32_eq();
    code.if_(BlockType::Empty).unreachable().end();
    code.local_get(place).i32_const(PAGE_SHIFT).i32_shl().local_set(place);
    code.end();
    // A list that moves takes its content along.
    code.local_get(place).local_get(old).local_get(old_bytes).memory_copy(0, 0);
    code.local_get(place);
}

fn words(types: &[WasmType]) -> Vec<ValType> {
    let word = |ty: &WasmType| match ty {
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        _ => ValType::I32,
    };
    types.iter().map(word).collect()
}
