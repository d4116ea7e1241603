//! The body of one function: the canonical ABI's instructions as Rust.
//!
//! An operand is a Rust expression. Only the instructions are here that the functions of `wit/`
//! need: lists and records of integers, options, and results. Another type in `wit/` is an error
//! at build time, which names the instruction.
//!
//! A function has two forms. They differ in where a list comes from, where it goes, and where the
//! answer is: see [`Form`].

use std::fmt::Write;

use wit_bindgen_core::abi::{AbiVariant, Bindgen, Instruction};
use wit_bindgen_core::wit_parser::{
    Alignment, ArchitectureSize, Resolve, Result_, SizeAlign, Type, TypeDefKind,
};

/// The name of the record that every operation's failure is.
const ERROR: &str = "Error";

/// What happens if a guest gives the number of a case that there is not, by the canonical ABI.
const TRAP: &str = "_ => core::arch::wasm32::unreachable(),";

/// Who calls a function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An adapter calls an export of a component, which is in another memory. The adapter has put
    /// lists into memory of `cabi_realloc`'s, and the answer is in memory of the component's.
    Lifted,
    /// A guest in the same memory calls what it imports. Lists are read where the guest has them,
    /// lists that go out are in memory of the guest's `cabi_realloc`, and the last parameter says
    /// where the answer goes.
    Lowered,
}

impl Form {
    /// The side of the canonical ABI that the caller sees.
    pub fn variant(self) -> AbiVariant {
        match self {
            Form::Lifted => AbiVariant::GuestExport,
            Form::Lowered => AbiVariant::GuestImport,
        }
    }
}

/// A function's body, as far as it is written.
pub struct Body<'a> {
    sizes: &'a SizeAlign,
    name: &'a str,
    form: Form,
    /// The parameter that says where the answer goes.
    return_pointer: Option<usize>,
    /// The code of the open blocks, the innermost last; the first is the body itself.
    open: Vec<String>,
    /// The blocks that are closed and not used yet: their code, and their value.
    closed: Vec<(String, String)>,
    /// How many variables there are.
    variables: usize,
}

impl<'a> Body<'a> {
    /// An empty body.
    pub fn new(
        sizes: &'a SizeAlign,
        name: &'a str,
        form: Form,
        return_pointer: Option<usize>,
    ) -> Self {
        let open = vec![String::new()];
        Body { sizes, name, form, return_pointer, open, closed: Vec::new(), variables: 0 }
    }

    /// The code.
    pub fn finish(mut self) -> String {
        self.open.pop().expect("the body itself is open")
    }

    fn line(&mut self, line: &str) {
        let code = self.open.last_mut().expect("the body itself is open");
        writeln!(code, "    {line}").expect("a string takes all");
    }

    fn variable(&mut self) -> String {
        self.variables += 1;
        format!("v{}", self.variables)
    }

    /// Takes the last so many closed blocks.
    fn blocks(&mut self, count: usize) -> Vec<(String, String)> {
        self.closed.split_off(self.closed.len() - count)
    }

    /// Stores an operand in the answer.
    fn store(&mut self, bits: u32, offset: ArchitectureSize, operands: &[String]) {
        let offset = offset.size_wasm32();
        let [value, answer] = operands else { unreachable!("a store has two operands") };
        self.line(&format!("{answer}.put_u{bits}({offset}, {value});"));
    }
}

impl Bindgen for Body<'_> {
    type Operand = String;

    fn emit(
        &mut self,
        resolve: &Resolve,
        instruction: &Instruction<'_>,
        operands: &mut Vec<String>,
        results: &mut Vec<String>,
    ) {
        match instruction {
            Instruction::GetArg { nth } if self.return_pointer == Some(*nth) => {
                self.line(&format!("let answer = Place::at(p{nth});"));
                results.push("answer".to_owned());
            }
            Instruction::GetArg { nth } => results.push(format!("p{nth}")),
            Instruction::I32Const { val } => results.push(format!("{val}")),
            Instruction::U32FromI32
            | Instruction::U64FromI64
            | Instruction::I32FromU32
            | Instruction::I32FromU8
            | Instruction::I64FromU64 => results.push(operands[0].clone()),
            // The Rust type is the number of the case.
            Instruction::EnumLower { .. } => results.push(operands[0].clone()),
            Instruction::I32Store { offset }
            | Instruction::LengthStore { offset }
            | Instruction::PointerStore { offset } => self.store(32, *offset, operands),
            Instruction::I32Store8 { offset } => self.store(8, *offset, operands),
            Instruction::I64Store { offset } => self.store(64, *offset, operands),
            Instruction::RecordLift { record, ty, .. } => {
                let fields: Vec<String> = (record.fields.iter().zip(operands.iter()))
                    .map(|(field, value)| format!("{}: {value}", rust_name(&field.name)))
                    .collect();
                let name = rust_type(resolve, &Type::Id(*ty));
                results.push(format!("{name} {{ {} }}", fields.join(", ")));
            }
            Instruction::RecordLower { record, .. } => {
                let value = &operands[0];
                let field = |name: &str| format!("{value}.{}", rust_name(name));
                results.extend(record.fields.iter().map(|part| field(&part.name)));
            }
            Instruction::ListCanonLift { .. } => {
                let [address, count] = &operands[..] else { unreachable!("a list is two words") };
                let list = self.variable();
                let from = match self.form {
                    Form::Lifted => "take",
                    Form::Lowered => "borrow",
                };
                self.line(&format!("let {list} = lists::{from}({address}, {count});"));
                results.push(format!("&{list}"));
            }
            Instruction::ListCanonLower { .. } => {
                let (address, count) = (self.variable(), self.variable());
                let list = &operands[0];
                let given = match self.form {
                    Form::Lifted => format!("{list}.parts()"),
                    Form::Lowered => format!("lists::hand_over::<D, _>({list})"),
                };
                self.line(&format!("let ({address}, {count}) = {given};"));
                results.extend([address, count]);
            }
            Instruction::VariantPayloadName => results.push("payload".to_owned()),
            Instruction::VariantLift { variant, ty, .. } => {
                let blocks = self.blocks(variant.cases.len());
                let name = rust_type(resolve, &Type::Id(*ty));
                let mut arms = String::new();
                for (index, (case, (code, value))) in variant.cases.iter().zip(&blocks).enumerate()
                {
                    // An adapter has checked the number of the case; a guest's has not been.
                    let last = self.form == Form::Lifted && index + 1 == blocks.len();
                    let pattern = if last { "_".to_owned() } else { index.to_string() };
                    let case = camel(&case.name);
                    write!(arms, "{pattern} => {{ {code} {name}::{case}({value}) }} ")
                        .expect("a string takes all");
                }
                if self.form == Form::Lowered {
                    arms += TRAP;
                }
                results.push(format!("match {} {{ {arms}}}", operands[0]));
            }
            Instruction::OptionLift { .. } => {
                let blocks = self.blocks(2);
                let (code, value) = &blocks[1];
                let case = &operands[0];
                let (some, other) = match self.form {
                    Form::Lifted => ("_", ""),
                    Form::Lowered => ("1", TRAP),
                };
                results.push(format!(
                    "match {case} {{ 0 => None, {some} => {{ {code} Some({value}) }} {other} }}"
                ));
            }
            Instruction::OptionLower { .. } => {
                let blocks = self.blocks(2);
                let (none, some) = (&blocks[0].0, &blocks[1].0);
                let value = &operands[0];
                self.line(&format!(
                    "match {value} {{ None => {{ {none} }} Some(payload) => {{ {some} }} }}"
                ));
            }
            Instruction::ResultLower { result, .. } if is_outcome(resolve, result) => {
                self.blocks(2);
                let value = &operands[0];
                let put = if result.ok.is_some() { "put_word" } else { "put_done" };
                self.line(&format!("answer.{put}({value});"));
            }
            Instruction::ResultLower { result, .. } => {
                let blocks = self.blocks(2);
                let (ok, err) = (&blocks[0].0, &blocks[1].0);
                let error = result.err.as_ref().map(|ty| rust_type(resolve, ty));
                let value = &operands[0];
                // One piece of code answers with an error for all functions.
                let err = match error.as_deref() {
                    Some(ERROR) => "answer.refuse(payload);",
                    _ => err,
                };
                self.line(&format!(
                    "match {value} {{ Ok(payload) => {{ let _ = &payload; {ok} }} Err(payload) => {{ {err} }} }}"
                ));
            }
            Instruction::CallInterface { func, .. } => {
                let call = format!("<D as Guest>::{}({})", self.name, operands.join(", "));
                if func.result.is_none() {
                    return self.line(&format!("{call};"));
                }
                let result = self.variable();
                self.line(&format!("let {result} = {call};"));
                results.push(result);
            }
            Instruction::Return { amt: 0, .. } => {}
            Instruction::Return { .. } => {
                let value = &operands[0];
                let value =
                    if value == "answer" { "answer.address()".to_owned() } else { value.clone() };
                self.line(&value);
            }
            other => panic!("the glue has no code for {other:?}, in {}", self.name),
        }
    }

    fn return_pointer(&mut self, size: ArchitectureSize, _: Alignment) -> String {
        let size = size.size_wasm32();
        self.line(&format!("let answer = const {{ Area::of::<{size}>() }};"));
        "answer".to_owned()
    }

    fn push_block(&mut self) {
        self.open.push(String::new());
    }

    fn finish_block(&mut self, operands: &mut Vec<String>) {
        let code = self.open.pop().expect("a block is open");
        self.closed.push((code, operands.pop().unwrap_or_default()));
    }

    fn sizes(&self) -> &SizeAlign {
        self.sizes
    }

    fn is_list_canonical(&self, resolve: &Resolve, element: &Type) -> bool {
        resolve.all_bits_valid(element)
    }
}

/// The Rust type of a WIT type. Records, variants and enums have the one of their name in the
/// module `types`.
pub fn rust_type(resolve: &Resolve, ty: &Type) -> String {
    let id = match ty {
        Type::U8 => return "u8".to_owned(),
        Type::U32 => return "u32".to_owned(),
        Type::U64 => return "u64".to_owned(),
        Type::Id(id) => *id,
        other => panic!("the glue has no Rust type for {other:?}"),
    };
    let definition = &resolve.types[id];
    let inner = |ty: &Type| rust_type(resolve, ty);
    match &definition.kind {
        TypeDefKind::Type(ty) => inner(ty),
        TypeDefKind::List(ty) => format!("Given<{}>", inner(ty)),
        TypeDefKind::Option(ty) => format!("Option<{}>", inner(ty)),
        TypeDefKind::Result(result) if is_outcome(resolve, result) => "Outcome".to_owned(),
        TypeDefKind::Result(result) => {
            let case = |ty: &Option<Type>| ty.as_ref().map_or("()".to_owned(), inner);
            // The crate's own error, until it is stored.
            let error = match case(&result.err) {
                name if name == ERROR => "tether_gc::Error".to_owned(),
                other => other,
            };
            format!("Result<{}, {error}>", case(&result.ok))
        }
        _ => camel(definition.name.as_deref().expect("a record has a name")),
    }
}

/// Whether a result is a word or nothing, or an error: most are.
fn is_outcome(resolve: &Resolve, result: &Result_) -> bool {
    let is_error = result.err.as_ref().is_some_and(|ty| rust_type(resolve, ty) == ERROR);
    is_error && result.ok.as_ref().is_none_or(|ty| rust_type(resolve, ty) == "u32")
}

/// A name as Rust writes functions and fields.
pub fn rust_name(name: &str) -> String {
    name.replace('-', "_")
}

/// A name as Rust writes types and cases.
fn camel(name: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    };
    name.split('-').map(capital).collect()
}
