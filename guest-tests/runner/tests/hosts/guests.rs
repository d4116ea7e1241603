//! Small guests of the core door on every host. Their exports are called one after the other
//! with numbers and texts, and the tickets that they take and give back are counted. On jco,
//! `guest.mjs` makes the calls and counts.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Value, json};
use tether_runner::engine::{compile, engine};
use wasmtime::component::{Component, ComponentType, Instance, Lift, Linker, Val};
use wasmtime::{Engine, Result, Store, StoreContextMut};

use crate::support::{Host, jco_harness, jco_harness_with, node_for_two_memories, run_json};

/// One of the guests.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    /// Its file among the artifacts.
    pub artifact: &'static str,
    /// The interface that it exports: package, name and version.
    pub interface: [&'static str; 3],
}

/// The results of some calls.
#[derive(Debug)]
pub struct Seen {
    /// The answer of each call; `{"error": …}` for a result's error.
    pub answers: Vec<Value>,
    /// Tickets that the host gave out.
    pub issued: u64,
    /// Tickets that came back, each counted once.
    pub returned: u64,
    /// Tickets that came back a second time, or were never given out.
    pub unknown: u64,
}

impl Guest {
    /// Calls exports of a fresh instance, in order: `[name, argument, …]` each.
    pub fn call(self, host: Host, calls: &Value) -> Seen {
        match host {
            Host::Wasmtime => self.call_on_wasmtime(calls),
            Host::Jco(version) => self.call_on_jco(version, calls),
        }
    }

    fn call_on_jco(self, version: &str, calls: &Value) -> Seen {
        let mut node = match self.artifact.contains("fused") {
            true => jco_harness_with("guest.mjs", version, &node_for_two_memories()),
            false => jco_harness("guest.mjs", version),
        };
        node.arg(crate::support::artifact(self.artifact))
            .arg(self.interface[1])
            .arg(calls.to_string());
        let (code, seen) = run_json(&mut node);
        assert_eq!(code, 0, "{seen}");
        let count = |name: &str| seen[name].as_u64().unwrap();
        Seen {
            answers: seen["answers"].as_array().unwrap().clone(),
            issued: count("issued"),
            returned: count("returned"),
            unknown: count("unknown"),
        }
    }

    fn call_on_wasmtime(self, calls: &Value) -> Seen {
        let engine = engine().unwrap();
        let component = compile(&engine, &crate::support::artifact(self.artifact)).unwrap();
        let mut running = Running::start(&engine, &component);
        let answers = calls
            .as_array()
            .unwrap()
            .iter()
            .map(|call| running.call(self.interface, call.as_array().unwrap()))
            .collect();
        let Tickets { issued, returned, unknown, .. } = running.store.into_data();
        Seen { answers, issued: issued.into(), returned, unknown }
    }
}

/// Numbers that the host gives out, and that the guest is to bring back once each.
#[derive(Default)]
struct Tickets {
    out: HashSet<u32>,
    issued: u32,
    returned: u64,
    unknown: u64,
}

/// A ticket or an entry, as it was registered with its wrapper.
#[derive(ComponentType, Lift)]
#[component(record)]
struct Ticket {
    #[component(name = "kind")]
    _kind: u32,
    number: u32,
}

impl Tickets {
    fn issue(&mut self) -> u32 {
        const FIRST: u32 = 100;
        let number = FIRST + self.issued;
        self.issued += 1;
        self.out.insert(number);
        number
    }

    fn give_back(&mut self, tickets: &[Ticket]) {
        for ticket in tickets {
            if self.out.remove(&ticket.number) {
                self.returned += 1;
            } else {
                self.unknown += 1;
            }
        }
    }
}

struct Running {
    store: Store<Tickets>,
    instance: Instance,
}

type Context<'a> = StoreContextMut<'a, Tickets>;

impl Running {
    fn start(engine: &Engine, component: &Component) -> Self {
        let mut store = Store::new(engine, Tickets::default());
        let instance = linker(engine).unwrap().instantiate(&mut store, component).unwrap();
        Running { store, instance }
    }

    fn call(&mut self, [package, interface, version]: [&str; 3], call: &[Value]) -> Value {
        let interface = format!("{package}/{interface}@{version}");
        let (name, arguments) = call.split_first().unwrap();
        let name = name.as_str().unwrap();
        let interface = self.instance.get_export_index(&mut self.store, None, &interface).unwrap();
        let index = self
            .instance
            .get_export_index(&mut self.store, Some(&interface), name)
            .unwrap_or_else(|| panic!("the guest exports no {name}"));
        let function = self.instance.get_func(&mut self.store, index).unwrap();
        let arguments: Vec<Val> = arguments.iter().map(argument).collect();
        let mut results = vec![Val::Bool(false); function.ty(&self.store).results().len()];
        function.call(&mut self.store, &arguments, &mut results).unwrap();
        results.first().map_or(Value::Null, answer)
    }
}

fn linker(engine: &Engine) -> Result<Linker<Tickets>> {
    let mut linker = Linker::new(engine);
    let issue = |mut store: Context<'_>| Ok((store.data_mut().issue(),));
    let give_back = |mut store: Context<'_>, tickets: Vec<Ticket>| {
        store.data_mut().give_back(&tickets);
        Ok(())
    };
    let mut tickets = linker.instance("tether:wat-guest/tickets@0.1.0")?;
    tickets.func_wrap("issue", move |store, ()| issue(store))?;
    tickets.func_wrap("give-back", move |store, (given,)| give_back(store, given))?;
    let mut entries = linker.instance("tether:c-guest/entries@0.1.0")?;
    entries.func_wrap("open", move |store, (_,): (String,)| issue(store))?;
    entries.func_wrap("close", move |store, (given,)| give_back(store, given))?;
    Ok(linker)
}

fn argument(value: &Value) -> Val {
    match value {
        Value::String(text) => Val::String(text.clone()),
        number => Val::U32(number.as_u64().unwrap().try_into().unwrap()),
    }
}

fn answer(value: &Val) -> Value {
    let payload = |value: &Option<Box<Val>>| value.as_deref().map_or(Value::Null, answer);
    match value {
        Val::U32(number) => json!(number),
        Val::U64(number) => json!(number),
        Val::Result(Ok(value)) => payload(value),
        Val::Result(Err(value)) => json!({ "error": payload(value) }),
        other => panic!("no guest gives {other:?}"),
    }
}

/// The path of an artifact, for tests that look into it.
pub fn module(name: &str) -> Vec<u8> {
    let path = crate::support::artifact(name);
    std::fs::read(Path::new(&path)).unwrap()
}
