//! All of the glue: for each interface a trait, whose functions are the operations, and the
//! functions that call them, in both forms; then for each form a macro that exports those, for an
//! implementation of the traits.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use wit_bindgen_core::abi::{self, LiftLower};
use wit_bindgen_core::wit_parser::{
    Function, InterfaceId, LiftLowerAbi, ManglingAndAbi, Resolve, SizeAlign, WasmExport,
    WasmExportKind, WasmImport, WorldId, WorldItem, WorldKey, abi::WasmType,
};

use crate::function::{Body, Form, rust_name, rust_type};

/// The glue for the exports of a world.
pub fn of_world(resolve: &Resolve, world: WorldId) -> Result<String> {
    let mut sizes = SizeAlign::default();
    sizes.fill(resolve);
    let mut modules = String::new();
    let mut exports = [String::new(), String::new(), String::new()];
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = &resolve.interfaces[*id];
        if interface.functions.is_empty() {
            continue;
        }
        let name = interface.name.as_deref().context("an exported interface has no name")?;
        let module = rust_name(name);
        let mut declared = String::new();
        let [mut lifted, mut lowered] = [String::new(), String::new()];
        for function in interface.functions.values() {
            writeln!(declared, "    {}", signature(resolve, function))?;
            let called = Called::new(resolve, &sizes, function, Form::Lifted)?;
            let imported = Called::new(resolve, &sizes, function, Form::Lowered)?;
            write!(lifted, "{}", called.code)?;
            write!(lowered, "{}", imported.code)?;
            let name = resolve.wasm_export_name(SYNCHRONOUS, exported(key, function));
            let import = imported_name(resolve, key, function);
            let symbol = symbol(resolve, *id, function)?;
            let [of_component, of_module, of_library] = &mut exports;
            *of_component += &called.exported(&module, &name);
            *of_module += &imported.exported(&format!("{module}::lowered"), &import);
            *of_library += &imported.exported(&format!("{module}::lowered"), &symbol);
        }
        write!(
            modules,
            "/// The interface `{name}`.\npub mod {module} {{\n{PRELUDE}\
             /// Its functions.\npub trait Guest {{\n{declared}}}\n{lifted}\
             /// The functions as a guest in the same memory imports them.\n\
             pub mod lowered {{\nuse super::Guest;\n{PRELUDE}{lowered}}}\n}}\n"
        )?;
    }
    let [mut of_component, of_module, of_library] = exports;
    of_component += REALLOCATE;
    Ok([
        modules,
        exporting("export_lifted", "and `cabi_realloc`, as a component has them", &of_component),
        exporting(
            "export_lowered",
            "under their names in WIT, as a guest imports them",
            &of_module,
        ),
        exporting("export_symbols", "as the symbols that wit-bindgen's C has", &of_library),
    ]
    .concat())
}

/// A macro that exports functions.
fn exporting(name: &str, how: &str, exports: &str) -> String {
    format!(
        "/// Exports all functions of an implementation, {how}.\n#[macro_export]\n\
         macro_rules! {name} {{\n($door:ty) => {{\nconst _: () = {{\n{exports}}};\n}};\n}}\n"
    )
}

/// The export that an adapter calls for the memory of lists that come in.
const REALLOCATE: &str = "#[unsafe(export_name = \"cabi_realloc\")]\n\
    unsafe extern \"C\" fn reallocate(p0: *mut u8, p1: usize, p2: usize, p3: usize) -> *mut u8 {\n\
    // SAFETY: the caller goes by the canonical ABI.\n\
    unsafe { $crate::lists::reallocate(p0, p1, p2, p3) }\n}\n";

/// The names that each module may use.
const PRELUDE: &str = "use crate::answer::{Answer, Area, Outcome, Place};\n\
                       use crate::lists::{self, Caller, Given};\nuse crate::types::*;\n";

/// A function of a trait.
fn signature(resolve: &Resolve, function: &Function) -> String {
    // A list that comes in is a slice, and one that goes out is `Given`.
    let taken = |ty: &str| match ty.strip_prefix("Given<") {
        Some(item) => format!("&[{}]", item.trim_end_matches('>')),
        None => ty.to_owned(),
    };
    let parameters: Vec<String> = function
        .params
        .iter()
        .map(|parameter| {
            let ty = rust_type(resolve, &parameter.ty);
            format!("{}: {}", rust_name(&parameter.name), taken(&ty))
        })
        .collect();
    let result = function.result.as_ref();
    let result = result.map_or(String::new(), |ty| format!(" -> {}", rust_type(resolve, ty)));
    let name = rust_name(&function.name);
    let docs = function.docs.contents.as_deref().unwrap_or_default();
    let docs: String = docs.lines().map(|line| format!("#[doc = {line:?}]\n")).collect();
    format!("{docs}fn {name}({}){result};", parameters.join(", "))
}

/// A function that is called from outside, in one form.
struct Called {
    name: String,
    parameters: Vec<&'static str>,
    result: Option<&'static str>,
    /// The generic function that an export calls.
    code: String,
}

impl Called {
    fn new(resolve: &Resolve, sizes: &SizeAlign, function: &Function, form: Form) -> Result<Self> {
        let variant = form.variant();
        let raw = resolve.wasm_signature(variant, function);
        ensure!(!raw.indirect_params, "{} has too many parameters", function.name);
        let name = rust_name(&function.name);
        let parameters: Vec<_> = raw.params.iter().map(|ty| rust_word(*ty)).collect();
        let result = raw.results.first().map(|ty| rust_word(*ty));
        let has_pointer = form == Form::Lowered && raw.retptr;
        let return_pointer = has_pointer.then(|| parameters.len() - 1);
        let mut body = Body::new(sizes, &name, form, return_pointer);
        abi::call(resolve, variant, LiftLower::LiftArgsLowerResults, function, &mut body, false);
        let declared: Vec<String> =
            parameters.iter().enumerate().map(|(index, ty)| format!("p{index}: {ty}")).collect();
        let bounds = match form {
            Form::Lifted => "Guest",
            Form::Lowered => "Guest + Caller",
        };
        let code = format!(
            "/// # Safety\n///\n/// The parameters are as the canonical ABI has them.\n\
             #[inline(always)]\npub unsafe fn {name}<D: {bounds}>({}){} {{\n{}}}\n",
            declared.join(", "),
            result.map_or(String::new(), |ty| format!(" -> {ty}")),
            body.finish(),
        );
        Ok(Called { name, parameters, result, code })
    }

    /// An export under a name, as a macro has it; `module` is where the function is.
    fn exported(&self, module: &str, export_name: &str) -> String {
        let Called { name, parameters, result, .. } = self;
        let declared: Vec<String> =
            parameters.iter().enumerate().map(|(index, ty)| format!("p{index}: {ty}")).collect();
        let passed: Vec<String> = (0..parameters.len()).map(|index| format!("p{index}")).collect();
        let result = result.map_or(String::new(), |ty| format!(" -> {ty}"));
        let function = format!("{}_{name}", module.replace("::", "_"));
        format!(
            "#[unsafe(export_name = {export_name:?})]\nunsafe extern \"C\" fn {function}({}){result} {{\n\
             // SAFETY: the caller goes by the canonical ABI.\n\
             unsafe {{ $crate::glue::{module}::{name}::<$door>({}) }}\n}}\n",
            declared.join(", "),
            passed.join(", "),
        )
    }
}

/// The names and the ABI of functions that are no coroutines.
const SYNCHRONOUS: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);

fn exported<'a>(key: &'a WorldKey, function: &'a Function) -> WasmExport<'a> {
    WasmExport::Func { interface: Some(key), func: function, kind: WasmExportKind::Normal }
}

/// The module and the name under which a guest imports a function, in one: `tether:gc/heap@0.1.0
/// get`.
fn imported_name(resolve: &Resolve, key: &WorldKey, function: &Function) -> String {
    let import = WasmImport::Func { interface: Some(key), func: function };
    let (module, name) = resolve.wasm_import_name(SYNCHRONOUS, import);
    format!("{module} {name}")
}

/// The symbol that wit-bindgen's C has for an imported function: `__wasm_import_tether_gc_heap_get`.
fn symbol(resolve: &Resolve, interface: InterfaceId, function: &Function) -> Result<String> {
    let interface = &resolve.interfaces[interface];
    let package = interface.package.context("an exported interface has no package")?;
    let package = &resolve.packages[package].name;
    let names = [&package.namespace, &package.name, interface.name.as_ref().context("no name")?];
    let path: Vec<String> = names.iter().map(|name| rust_name(name)).collect();
    Ok(format!("__wasm_import_{}_{}", path.join("_"), rust_name(&function.name)))
}

fn rust_word(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I64 | WasmType::PointerOrI64 => "u64",
        _ => "u32",
    }
}
