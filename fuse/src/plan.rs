//! Plans the one module: which name each item has while the modules are merged, what the merged
//! module exports and under which names, and what it imports of the host.
//!
//! A component of one core module gives and takes values through that module's memory. Here each
//! lift and each lowering has a memory of its own, so the plan keeps for each of them the names
//! under which the module exports its memory and its `realloc`; [`crate::encode`] uses them.
//!
//! If two parts lower the same function of the host, the plan has the module import it twice:
//! once under its own name, and once as a copy under a name that no function has.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use wasm_encoder::CanonicalOption;

use crate::flags::Leaving;
use crate::parts::{Composition, Does, HostFunction, Item, Kind, Options, Signature};

/// The module that has the memories, the flags, and the functions of the host. No interface of the
/// host has a name that begins so.
pub const BASE: &str = ".base";
/// The name under which wit-component looks for a memory.
const MEMORY: &str = "memory";
/// The name under which wit-component looks for a `realloc`.
const REALLOC: &str = "cabi_realloc";
/// The module of functions that a world imports directly, as wit-component names it.
pub const ROOT: &str = "$root";

/// The plan.
#[derive(Debug)]
pub struct Plan {
    /// The names that the module exports, by the names that its items have when they are merged.
    pub exports: BTreeMap<String, Vec<String>>,
    /// The exported functions, and the names of their memories.
    pub lifts: BTreeMap<String, Passing>,
    /// The functions that the module calls of the host.
    pub calls: Vec<HostCall>,
    /// The number in `calls` of each helper that calls the host.
    pub call_of_helper: BTreeMap<u32, usize>,
    /// The functions that the host calls while a part may not call out of it.
    pub guarded: Vec<Guarded>,
    /// The memories, in their order in the module.
    pub memories: Vec<Item>,
    /// The items that modules import or that are exported.
    pub used: BTreeSet<Item>,
}

/// How values pass between the host and the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    /// The name of the memory.
    pub memory: Option<String>,
    /// The name of the function that gives space in the memory.
    pub realloc: Option<String>,
    /// The encoding of strings.
    pub encoding: CanonicalOption,
}

/// A function of the host that the module calls, with the memory that it does so with.
#[derive(Debug)]
pub struct HostCall {
    /// The function.
    pub function: HostFunction,
    /// The name that the module imports: the function's own, or that of a copy.
    pub import: String,
    /// How values pass.
    pub passing: Passing,
    /// The type.
    pub signature: Signature,
}

impl HostCall {
    /// The module that the function is imported from.
    pub fn module(&self) -> &str {
        self.function.interface.as_deref().unwrap_or(ROOT)
    }

    /// Whether the import is a copy, which no interface has.
    pub fn is_copy(&self) -> bool {
        self.import != self.function.name
    }
}

/// A function of a part that the host calls while the part may not call out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// The function.
    pub function: Item,
    /// The component instance that is not to be left.
    pub instance: u32,
    /// The name of the guarding function.
    pub name: String,
    /// The type.
    pub signature: Signature,
}

impl Plan {
    /// Plans the module of a composition.
    ///
    /// A function that is not one of the `leaving` ones is not guarded.
    pub fn of(composition: &Composition, leaving: &Leaving) -> Result<Plan> {
        ensure!(
            !composition.lifts.is_empty(),
            "the component exports no function, so nothing in it would ever run: compose it with \
             the part that exports the program's functions as the first"
        );
        ensure!(
            composition.parts.len() > 1,
            "the component has one part, so there is nothing to fuse: `tether compose` connects two \
             components"
        );
        let mut planner = Planner {
            composition,
            leaving,
            plan: Plan {
                exports: BTreeMap::new(),
                lifts: BTreeMap::new(),
                calls: Vec::new(),
                call_of_helper: BTreeMap::new(),
                guarded: Vec::new(),
                memories: Vec::new(),
                used: composition.instances.iter().flat_map(|i| i.imports.clone()).collect(),
            },
            host_memories: Vec::new(),
            reallocs: Vec::new(),
            keys: Vec::new(),
        };
        planner.lifts()?;
        planner.helpers()?;
        planner.memories();
        Ok(planner.plan)
    }
}

struct Planner<'a> {
    composition: &'a Composition,
    leaving: &'a Leaving,
    plan: Plan,
    /// The memories that the host reaches, in the order of their names.
    host_memories: Vec<Item>,
    /// The `realloc` functions that the host calls, and the names that they are exported by.
    reallocs: Vec<(Item, u32, String)>,
    /// What the calls of the plan are told apart by.
    keys: Vec<(HostFunction, Options)>,
}

impl Planner<'_> {
    fn lifts(&mut self) -> Result<()> {
        for lift in &self.composition.lifts {
            let passing = self.passing(&lift.options)?;
            self.plan.lifts.insert(lift.name.clone(), passing);
            self.export(lift.function.to_string(), lift.name.clone());
            self.plan.used.insert(lift.function);
            if let Some((function, signature)) = &lift.post_return {
                let name = self.guard(*function, lift.options.instance, signature.clone());
                self.export(name, format!("cabi_post_{}", lift.name));
            }
        }
        Ok(())
    }

    fn helpers(&mut self) -> Result<()> {
        for (index, helper) in &self.composition.helpers {
            let (function, options) = match &helper.does {
                Does::Call { function, options } => (function.clone(), *options),
                Does::Drop { resource, instance } => {
                    let name = format!("[resource-drop]{}", resource.name);
                    let options = Options {
                        instance: *instance,
                        memory: None,
                        realloc: None,
                        encoding: CanonicalOption::UTF8,
                    };
                    (HostFunction { interface: resource.interface.clone(), name }, options)
                }
                Does::Transcode { from, to, .. } => {
                    self.plan.used.extend([*from, *to]);
                    continue;
                }
                Does::Trap => continue,
            };
            // The flags of two instances may differ, and the host does not see them.
            let key = (function.clone(), Options { instance: 0, ..options });
            let known = self.keys.iter().position(|other| *other == key);
            let call = match known {
                Some(call) => call,
                None => {
                    let import = self.import_name(&function);
                    let passing = self.passing(&options)?;
                    let signature = helper.signature.clone();
                    self.plan.calls.push(HostCall { function, import, passing, signature });
                    self.keys.push(key);
                    self.keys.len() - 1
                }
            };
            self.plan.call_of_helper.insert(*index, call);
        }
        Ok(())
    }

    /// The name to import a function by: its own, or if that is taken, one that no function of
    /// the composition has.
    fn import_name(&self, function: &HostFunction) -> String {
        if !self.keys.iter().any(|(other, _)| other == function) {
            return function.name.clone();
        }
        let taken = |name: &str| {
            let helpers = self.composition.helpers.values();
            let mut called = helpers.filter_map(|helper| match &helper.does {
                Does::Call { function, .. } => Some(&function.name),
                _ => None,
            });
            called.any(|other| other == name)
                || self.plan.calls.iter().any(|call| call.import == name)
        };
        let mut number = 2;
        loop {
            let name = format!("fused-copy{number}");
            if !taken(&name) {
                return name;
            }
            number += 1;
        }
    }

    fn passing(&mut self, options: &Options) -> Result<Passing> {
        let memory = options.memory.map(|item| {
            let known = self.host_memories.iter().position(|other| *other == item);
            let number = known.unwrap_or_else(|| {
                self.host_memories.push(item);
                let name = numbered(MEMORY, self.host_memories.len());
                self.plan.used.insert(item);
                self.export(item.to_string(), name);
                self.host_memories.len() - 1
            });
            numbered(MEMORY, number + 1)
        });
        let realloc = options.realloc.map(|item| self.realloc(item, options.instance));
        Ok(Passing { memory, realloc, encoding: options.encoding })
    }

    fn realloc(&mut self, item: Item, instance: u32) -> String {
        let known = self.reallocs.iter().find(|(other, of, _)| (*other, *of) == (item, instance));
        if let Some((_, _, name)) = known {
            return name.clone();
        }
        let name = numbered(REALLOC, self.reallocs.len() + 1);
        let word = wasm_encoder::ValType::I32;
        let signature = Signature { params: vec![word; 4], results: vec![word] };
        let merged = self.guard(item, instance, signature);
        self.export(merged, name.clone());
        self.reallocs.push((item, instance, name.clone()));
        name
    }

    /// The name, among those that are merged, of a function that the host calls while the
    /// instance may not be left.
    fn guard(&mut self, function: Item, instance: u32, signature: Signature) -> String {
        self.plan.used.insert(function);
        if !self.leaving.contains(function) {
            return function.to_string();
        }
        let mut guarded = self.plan.guarded.iter();
        let known = guarded.find(|other| (other.function, other.instance) == (function, instance));
        if let Some(known) = known {
            return known.name.clone();
        }
        let name = format!("guarded{}", self.plan.guarded.len());
        let guarded = Guarded { function, instance, name: name.clone(), signature };
        self.plan.guarded.push(guarded);
        name
    }

    fn export(&mut self, merged: String, name: String) {
        let names = self.plan.exports.entry(merged).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }

    /// Puts the memories that the host reaches first.
    fn memories(&mut self) {
        let own = self.composition.instances.iter().enumerate().flat_map(|(instance, of)| {
            of.memories.iter().map(move |memory| Item::Defined {
                instance,
                kind: Kind::Memory,
                index: memory.index,
            })
        });
        let others = own.filter(|memory| !self.host_memories.contains(memory));
        self.plan.memories = self.host_memories.iter().copied().chain(others).collect();
    }
}

/// The name for one of several. No function of a world has a name with a colon.
fn numbered(name: &str, number: usize) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}:{number}") }
}
