//! Finds checks of the adapters that cannot fail, so that the optimiser can leave them out.
//!
//! A component may not be left while one of its functions gives space for values that go into
//! it: if the `realloc` of a part called another part or the host, that would trap. So an adapter
//! clears the part's flag, has the values copied, and sets the flag again; and each way out of a
//! part checks the flag. Most `realloc` functions call nothing outside, and many calls pass no
//! lists or strings, so that no `realloc` is called at all. In both cases nothing reads the flag
//! while it is cleared, and the two writes are left out here. A flag that is never cleared is a
//! constant, and wasm-opt finds that the checks of it do nothing.
//!
//! Invariants:
//! 1. A write is left out only together with the one that undoes it.
//! 2. Between the two, no function is called that may read or write a flag, or call the host.
//! 3. What is not known counts as such a function: an indirect call is a call of every function
//!    that may be in the module's tables, or, if others reach the tables, of an unknown one.
//!
//! Nothing else about the adapters is changed: all checks of addresses and of values stay.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use anyhow::{Context, Result};
use wasm_encoder::{CodeSection, Module, RawSection};
use wasmparser::{
    CompositeInnerType, ConstExpr, ElementItems, FunctionBody, Operator, Parser, Payload, TypeRef,
    ValType,
};

use crate::parts::{Composition, CoreInstance, Does, Item, Kind};

/// A place in the graph of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    Function(Item),
    /// Any function that is in the tables of an instance.
    InTables(usize),
}

/// The functions that may read or write a flag, or call the host, themselves or through others.
#[derive(Debug)]
pub struct Leaving(HashSet<Item>);

impl Leaving {
    /// Finds the functions.
    pub fn of(composition: &Composition) -> Result<Leaving> {
        let mut graph = Graph::default();
        for (index, helper) in &composition.helpers {
            if let Does::Call { .. } | Does::Drop { .. } = helper.does {
                graph.leaving.push(Node::Function(Item::Helper(*index)));
            }
        }
        let passed_on: BTreeSet<usize> = composition
            .instances
            .iter()
            .flat_map(|instance| &instance.imports)
            .filter_map(|item| match item {
                Item::Defined { instance, kind: Kind::Table, .. } => Some(*instance),
                _ => None,
            })
            .collect();
        for (number, instance) in composition.instances.iter().enumerate() {
            let mut reader =
                ModuleReader { graph: &mut graph, number, outside: Outside::of(instance)? };
            reader.read(instance, passed_on.contains(&number))?;
        }
        Ok(Leaving(graph.reaching()))
    }

    /// Whether a function is one of them.
    pub fn contains(&self, function: Item) -> bool {
        self.0.contains(&function)
    }
}

#[derive(Default)]
struct Graph {
    callers: HashMap<Node, Vec<Node>>,
    leaving: Vec<Node>,
}

impl Graph {
    fn call(&mut self, caller: Node, callee: Node) {
        self.callers.entry(callee).or_default().push(caller);
    }

    /// The functions from which a leaving node is reached.
    fn reaching(mut self) -> HashSet<Item> {
        let mut seen: HashSet<Node> = self.leaving.iter().copied().collect();
        while let Some(node) = self.leaving.pop() {
            for caller in self.callers.remove(&node).unwrap_or_default() {
                if seen.insert(caller) {
                    self.leaving.push(caller);
                }
            }
        }
        let functions = seen.into_iter().filter_map(|node| match node {
            Node::Function(item) => Some(item),
            Node::InTables(_) => None,
        });
        functions.collect()
    }
}

/// What a module imports, by kind.
#[derive(Default)]
struct Outside {
    functions: Vec<Item>,
    globals: Vec<Item>,
    has_table: bool,
    has_reference: bool,
}

impl Outside {
    fn of(instance: &CoreInstance) -> Result<Outside> {
        let mut outside = Outside::default();
        for payload in Parser::new(0).parse_all(&instance.module) {
            if let Payload::ImportSection(section) = payload? {
                for (import, item) in section.into_imports().zip(&instance.imports) {
                    match import?.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => outside.functions.push(*item),
                        TypeRef::Global(global) => {
                            outside.has_reference |= is_reference(global.content_type);
                            outside.globals.push(*item);
                        }
                        TypeRef::Table(_) => outside.has_table = true,
                        TypeRef::Memory(_) | TypeRef::Tag(_) => {}
                    }
                }
            }
        }
        Ok(outside)
    }

    /// A function of the module, by its index.
    fn function(&self, instance: usize, index: u32) -> Item {
        match self.functions.get(index as usize) {
            Some(item) => *item,
            None => Item::Defined { instance, kind: Kind::Function, index },
        }
    }

    fn is_flag(&self, global: u32) -> bool {
        matches!(self.globals.get(global as usize), Some(Item::Flag(_)))
    }
}

fn is_reference(ty: ValType) -> bool {
    matches!(ty, ValType::Ref(_))
}

struct ModuleReader<'a> {
    graph: &'a mut Graph,
    number: usize,
    outside: Outside,
}

impl ModuleReader<'_> {
    fn read(&mut self, instance: &CoreInstance, is_table_passed_on: bool) -> Result<()> {
        let in_tables = Node::InTables(self.number);
        let mut is_known = !is_table_passed_on && !self.outside.has_table;
        is_known &= !self.outside.has_reference;
        let mut defined = self.outside.functions.len() as u32;
        for payload in Parser::new(0).parse_all(&instance.module) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        for ty in group?.into_types() {
                            // A reference may come from another module.
                            is_known &= match &ty.composite_type.inner {
                                CompositeInnerType::Func(ty) => !ty
                                    .params()
                                    .iter()
                                    .chain(ty.results())
                                    .copied()
                                    .any(is_reference),
                                _ => false,
                            };
                        }
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        self.references(&global?.init_expr)?;
                    }
                }
                Payload::ElementSection(section) => {
                    for element in section {
                        match element?.items {
                            ElementItems::Functions(functions) => {
                                for function in functions {
                                    self.reference(function?);
                                }
                            }
                            ElementItems::Expressions(_, expressions) => {
                                for expression in expressions {
                                    self.references(&expression?)?;
                                }
                            }
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let caller = Node::Function(self.outside.function(self.number, defined));
                    self.body(caller, &body)?;
                    defined += 1;
                }
                _ => {}
            }
        }
        if !is_known {
            self.graph.leaving.push(in_tables);
        }
        Ok(())
    }

    fn body(&mut self, caller: Node, body: &FunctionBody<'_>) -> Result<()> {
        for operator in body.get_operators_reader()? {
            match operator? {
                Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                    let callee = self.outside.function(self.number, function_index);
                    self.graph.call(caller, Node::Function(callee));
                }
                Operator::CallIndirect { .. } | Operator::ReturnCallIndirect { .. } => {
                    self.graph.call(caller, Node::InTables(self.number));
                }
                Operator::RefFunc { function_index } => self.reference(function_index),
                Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index }
                    if self.outside.is_flag(global_index) =>
                {
                    self.graph.leaving.push(caller);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn references(&mut self, expression: &ConstExpr<'_>) -> Result<()> {
        for operator in expression.get_operators_reader() {
            if let Operator::RefFunc { function_index } = operator? {
                self.reference(function_index);
            }
        }
        Ok(())
    }

    /// Notes that a function may get into the tables.
    fn reference(&mut self, index: u32) {
        let function = self.outside.function(self.number, index);
        self.graph.call(Node::InTables(self.number), Node::Function(function));
    }
}

/// Leaves out the writes of flags that nothing reads, in all adapters.
pub fn simplify(composition: &mut Composition, leaving: &Leaving) -> Result<()> {
    for (number, instance) in composition.instances.iter_mut().enumerate() {
        if instance.part.is_none() {
            let outside = Outside::of(instance)?;
            instance.module = simplified(&instance.module, number, &outside, leaving)?;
        }
    }
    Ok(())
}

fn simplified(
    module: &[u8],
    number: usize,
    outside: &Outside,
    leaving: &Leaving,
) -> Result<Vec<u8>> {
    let mut simplified = Module::new();
    let mut code = CodeSection::new();
    let mut left = 0;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match &payload {
            Payload::CodeSectionStart { count, .. } => left = *count,
            Payload::CodeSectionEntry(body) => {
                let mut bytes = Vec::new();
                let mut at = body.range().start;
                for range in unread_writes(body, number, outside, leaving)? {
                    bytes.extend_from_slice(&module[at..range.start]);
                    at = range.end;
                }
                bytes.extend_from_slice(&module[at..body.range().end]);
                code.raw(&bytes);
                left -= 1;
                if left == 0 {
                    simplified.section(&code);
                }
            }
            _ => {
                if let Some((id, range)) = payload.as_section() {
                    simplified.section(&RawSection { id, data: &module[range] });
                }
            }
        }
    }
    Ok(simplified.finish())
}

/// A write of a flag.
struct Write {
    /// The constant or the local that is written, and the write.
    range: Range<usize>,
    flag: u32,
    clears: bool,
    depth: u32,
}

/// The places of pairs of writes: one that clears a flag, and the one that sets it again, if
/// nothing between them reads it.
fn unread_writes(
    body: &FunctionBody<'_>,
    number: usize,
    outside: &Outside,
    leaving: &Leaving,
) -> Result<Vec<Range<usize>>> {
    let mut unread = Vec::new();
    // A flag that is cleared, as long as nothing may have read it since.
    let mut cleared: Option<Write> = None;
    let mut depth = 0;
    let mut before: Option<(Operator<'_>, usize)> = None;
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset()?;
        let end = operators.original_position();
        match &operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => depth += 1,
            // The last of a body's ends is the body's own.
            Operator::End if !operators.eof() => {
                depth -= 1;
                if cleared.as_ref().is_some_and(|write| depth < write.depth) {
                    cleared = None;
                }
            }
            Operator::Else if cleared.as_ref().is_some_and(|write| depth <= write.depth) => {
                cleared = None;
            }
            Operator::GlobalGet { global_index } if outside.is_flag(*global_index) => {
                cleared = None;
            }
            Operator::GlobalSet { global_index } if outside.is_flag(*global_index) => {
                let (value, start) = before.take().context("a write has no value")?;
                let clears = matches!(value, Operator::I32Const { value: 0 });
                let is_plain = clears || matches!(value, Operator::LocalGet { .. });
                let flag = *global_index;
                let write = Write { range: start..end, flag, clears, depth };
                cleared = match cleared.take() {
                    Some(first) if is_plain && undoes(&write, &first) => {
                        unread.extend([first.range, write.range]);
                        None
                    }
                    _ => write.clears.then_some(write),
                };
            }
            Operator::Call { function_index } | Operator::ReturnCall { function_index }
                if leaving.contains(outside.function(number, *function_index)) =>
            {
                cleared = None;
            }
            Operator::CallIndirect { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::Return => cleared = None,
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth }
                if cleared.as_ref().is_some_and(|write| depth - relative_depth <= write.depth) =>
            {
                cleared = None;
            }
            Operator::BrTable { targets } => {
                for target in targets.targets().chain([Ok(targets.default())]) {
                    let target = target?;
                    if cleared.as_ref().is_some_and(|write| depth - target <= write.depth) {
                        cleared = None;
                    }
                }
            }
            _ => {}
        }
        before = Some((operator, offset));
    }
    Ok(unread)
}

fn undoes(write: &Write, first: &Write) -> bool {
    !write.clears && write.flag == first.flag && write.depth == first.depth
}
