//! All of the glue: for each interface a trait, whose functions are the operations, and the
//! functions that call them; then a macro that exports those, for an implementation of the
//! traits.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use wit_bindgen_core::abi::{self, AbiVariant, LiftLower};
use wit_bindgen_core::wit_parser::{
    Function, LiftLowerAbi, ManglingAndAbi, Resolve, SizeAlign, WasmExport, WasmExportKind,
    WorldId, WorldItem, WorldKey, abi::WasmType,
};

use crate::function::{Body, rust_name, rust_type};

/// The glue for the exports of a world.
pub fn of_world(resolve: &Resolve, world: WorldId) -> Result<String> {
    let mut sizes = SizeAlign::default();
    sizes.fill(resolve);
    let mut modules = String::new();
    let mut exports = String::new();
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = &resolve.interfaces[*id];
        if interface.functions.is_empty() {
            continue;
        }
        let name = interface.name.as_deref().context("an exported interface has no name")?;
        let module = rust_name(name);
        let mut declared = String::new();
        let mut defined = String::new();
        for function in interface.functions.values() {
            writeln!(declared, "    {}", signature(resolve, function))?;
            let parts = Parts::new(resolve, &sizes, key, function)?;
            write!(defined, "{}", parts.generic)?;
            exports += &parts.exported(&module);
        }
        write!(
            modules,
            "/// The interface `{name}`.\npub mod {module} {{\n{PRELUDE}\
             /// Its functions.\npub trait Guest {{\n{declared}}}\n{defined}}}\n"
        )?;
    }
    Ok(format!(
        "{modules}\n/// Exports an implementation of all interfaces.\n#[macro_export]\n\
         macro_rules! export {{\n($door:ty) => {{\nconst _: () = {{\n{exports}}};\n}};\n}}\n"
    ))
}

/// The names that each module may use.
const PRELUDE: &str = "use crate::answer::{self, Answer, Outcome};\nuse crate::lists::{self, Given};\n\
                       use crate::types::*;\nuse alloc::vec::Vec;\n";

/// A function of a trait.
fn signature(resolve: &Resolve, function: &Function) -> String {
    let parameters: Vec<String> = function
        .params
        .iter()
        .map(|parameter| {
            format!("{}: {}", rust_name(&parameter.name), rust_type(resolve, &parameter.ty))
        })
        .collect();
    let result = function.result.as_ref();
    // A list that comes in is a `Vec`, and one that goes out is `Given`.
    let result = result.map_or(String::new(), |ty| {
        format!(" -> {}", rust_type(resolve, ty).replace("Vec<", "Given<"))
    });
    let name = rust_name(&function.name);
    let docs = function.docs.contents.as_deref().unwrap_or_default();
    let docs: String = docs.lines().map(|line| format!("#[doc = {line:?}]\n")).collect();
    format!("{docs}fn {name}({}){result};", parameters.join(", "))
}

/// The pieces of one exported function.
struct Parts {
    name: String,
    export_name: String,
    parameters: Vec<&'static str>,
    result: Option<&'static str>,
    /// The generic function that the export calls.
    generic: String,
}

impl Parts {
    fn new(
        resolve: &Resolve,
        sizes: &SizeAlign,
        key: &WorldKey,
        function: &Function,
    ) -> Result<Self> {
        let abi = AbiVariant::GuestExport;
        let raw = resolve.wasm_signature(abi, function);
        ensure!(!raw.indirect_params, "{} has too many parameters", function.name);
        let name = rust_name(&function.name);
        let parameters: Vec<_> = raw.params.iter().map(|ty| rust_word(*ty)).collect();
        let result = raw.results.first().map(|ty| rust_word(*ty));
        let mut body = Body::new(sizes, &name);
        abi::call(resolve, abi, LiftLower::LiftArgsLowerResults, function, &mut body, false);
        let declared: Vec<String> =
            parameters.iter().enumerate().map(|(index, ty)| format!("p{index}: {ty}")).collect();
        let generic = format!(
            "/// # Safety\n///\n/// The parameters are those of the export, as an adapter passed them.\n\
             #[inline(always)]\npub unsafe fn {name}<D: Guest>({}){} {{\n{}}}\n",
            declared.join(", "),
            result.map_or(String::new(), |ty| format!(" -> {ty}")),
            body.finish(),
        );
        let export =
            WasmExport::Func { interface: Some(key), func: function, kind: WasmExportKind::Normal };
        Ok(Parts {
            export_name: resolve
                .wasm_export_name(ManglingAndAbi::Legacy(LiftLowerAbi::Sync), export),
            name,
            parameters,
            result,
            generic,
        })
    }

    /// The exports, as the macro has them.
    fn exported(&self, module: &str) -> String {
        let Parts { name, export_name, parameters, result, .. } = self;
        let declared: Vec<String> =
            parameters.iter().enumerate().map(|(index, ty)| format!("p{index}: {ty}")).collect();
        let passed: Vec<String> = (0..parameters.len()).map(|index| format!("p{index}")).collect();
        let result = result.map_or(String::new(), |ty| format!(" -> {ty}"));
        format!(
            "#[unsafe(export_name = {export_name:?})]\nunsafe extern \"C\" fn {module}_{name}({}){result} {{\n\
             // SAFETY: the parameters are an adapter's.\n\
             unsafe {{ $crate::glue::{module}::{name}::<$door>({}) }}\n}}\n",
            declared.join(", "),
            passed.join(", "),
        )
    }
}

fn rust_word(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I64 | WasmType::PointerOrI64 => "u64",
        _ => "u32",
    }
}
