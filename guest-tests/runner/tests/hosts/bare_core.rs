//! The core module, bare: the tests are the program whose code is merged with it.

use tether_door::OptionWords;
use tether_runner::subject::option_words;
use tether_runner::subject::state::{LAST_ERROR, LAST_ERROR_VALUE, STACK_TOP};
use wasmtime::{
    Caller, Config, Engine, Extern, Func, Instance, Memory, Module, ResourceLimiter, Result, Store,
    Val,
};

use crate::support::artifact;

/// Addresses below this one are the language's.
pub const BOUND: u32 = 1 << 20;
/// An address below the bound, for what the collector is to read or write.
pub const SCRATCH: u32 = 4096;

/// The host: the released handles that it took, how many it takes at a time, and whether
/// memory may grow.
#[derive(Default)]
pub struct World {
    pub released: Vec<u32>,
    pub takes: u32,
    /// The answer to `tether_collect` from inside `tether_release`, and the objects that
    /// allocations there gave.
    pub answer_inside: Option<u32>,
    pub allocated_inside: Vec<u32>,
    pub refuses_growth: bool,
}

impl ResourceLimiter for World {
    fn memory_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(!self.refuses_growth)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(true)
    }
}

pub struct Core {
    pub store: Store<World>,
    pub instance: Instance,
    pub memory: Memory,
    pub state: u32,
}

pub fn module(engine: &Engine, name: &str) -> Module {
    Module::from_file(engine, artifact(name)).expect("the core module is built")
}

fn release(mut caller: Caller<'_, World>, handles: i32, count: i32) -> i32 {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else { return 0 };
    let taken = caller.data().takes.min(count as u32);
    for index in 0..taken {
        let at = handles as usize + index as usize * 8 + 4;
        let mut word = [0; 4];
        memory.read(&caller, at, &mut word).unwrap();
        caller.data_mut().released.push(u32::from_le_bytes(word));
    }
    if let Some(Extern::Func(pending)) = caller.get_export("tether_collect") {
        let mut answer = [Val::I32(0)];
        pending.call(&mut caller, &[], &mut answer).unwrap();
        caller.data_mut().answer_inside = Some(answer[0].unwrap_i32() as u32);
    }
    for (name, operands) in [
        ("tether_allocate_leaf", vec![Val::I32(16)]),
        ("tether_allocate_small", vec![Val::I32(1), Val::I64(4)]),
        ("tether_wrap", vec![Val::I32(1), Val::I32(2), Val::I32(3)]),
    ] {
        if let Some(Extern::Func(allocate)) = caller.get_export(name) {
            let mut answer = [Val::I32(0)];
            allocate.call(&mut caller, &operands, &mut answer).unwrap();
            caller.data_mut().allocated_inside.push(answer[0].unwrap_i32() as u32);
        }
    }
    taken as i32
}

impl Core {
    pub fn new() -> Core {
        let engine = Engine::new(&Config::new()).unwrap();
        let module = module(&engine, "tether_gc.core.wasm");
        let mut store = Store::new(&engine, World::default());
        store.limiter(|world| world);
        let release = Func::wrap(&mut store, release);
        let instance = Instance::new(&mut store, &module, &[release.into()]).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        let state = instance.get_global(&mut store, "tether_state").unwrap();
        let state = state.get(&mut store).unwrap_i32() as u32;
        Core { store, instance, memory, state }
    }

    /// A heap with these options.
    pub fn with_options(options: OptionWords) -> Core {
        let mut core = Core::new();
        core.configure(options);
        let code = core.call("start", &[SCRATCH]);
        assert_eq!(code, 0);
        core
    }

    pub fn configure(&mut self, options: OptionWords) {
        for (at, word) in (SCRATCH..).step_by(4).zip(option_words(&options)) {
            self.put(at, word);
        }
    }

    pub fn started() -> Core {
        Core::with_options(OptionWords::default())
    }

    pub fn call(&mut self, name: &str, words: &[u32]) -> u32 {
        let words: Vec<Val> = words.iter().map(|&word| Val::I32(word as i32)).collect();
        self.call_with(name, &words).unwrap()
    }

    pub fn call_with(&mut self, name: &str, values: &[Val]) -> Result<u32> {
        let function = self.instance.get_func(&mut self.store, &format!("tether_{name}")).unwrap();
        let mut answer = [Val::I32(0)];
        function.call(&mut self.store, values, &mut answer)?;
        Ok(answer[0].unwrap_i32() as u32)
    }

    /// A small object: so many granules, and a bit for each word that is a reference.
    pub fn small(&mut self, granules: u32, template: u64) -> u32 {
        let values = [Val::I32(granules as i32), Val::I64(template as i64)];
        self.call_with("allocate_small", &values).unwrap()
    }

    pub fn pair(&mut self, first: u32, second: u32) -> u32 {
        // Both words are references, and the granule is the last.
        let object = self.small(1, 0x20 | 3 << 3 | 4);
        self.put(object, first);
        self.put(object + 4, second);
        object
    }

    pub fn layout(&mut self, fixed: (u32, u64), element: (u32, u64)) -> u32 {
        let values = [
            Val::I32(fixed.0 as i32),
            Val::I64(fixed.1 as i64),
            Val::I32(element.0 as i32),
            Val::I64(element.1 as i64),
        ];
        self.call_with("define_layout", &values).unwrap()
    }

    pub fn get(&mut self, address: u32) -> u32 {
        let mut word = [0; 4];
        self.memory.read(&self.store, address as usize, &mut word).unwrap();
        u32::from_le_bytes(word)
    }

    pub fn put(&mut self, address: u32, word: u32) {
        self.memory.write(&mut self.store, address as usize, &word.to_le_bytes()).unwrap();
    }

    pub fn state(&mut self, word: u32) -> u32 {
        let at = self.state + word;
        self.get(at)
    }

    pub fn set_state(&mut self, word: u32, value: u32) {
        let at = self.state + word;
        self.put(at, value);
    }

    /// What compiled code does to push a root.
    pub fn push_by_hand(&mut self, object: u32) {
        let top = self.state(STACK_TOP);
        self.put(top, object);
        self.set_state(STACK_TOP, top + 4);
    }

    pub fn last_error(&mut self) -> (u32, u32) {
        (self.state(LAST_ERROR), self.state(LAST_ERROR_VALUE))
    }

    pub fn assert_sound(&mut self) {
        assert_eq!(self.call("verify", &[SCRATCH]), 0, "at {:#x}", self.get(SCRATCH));
    }

    /// One of the counts that stand at the start of the statistics.
    pub fn statistic(&mut self, field: u32) -> u32 {
        assert_eq!(self.call("read_statistics", &[SCRATCH]), 0);
        self.get(SCRATCH + field * 4)
    }

    pub fn collections(&mut self) -> u32 {
        self.statistic(0)
    }

    pub fn is_object(&mut self, address: u32) -> bool {
        self.call("is_object", &[address]) == 1
    }
}
