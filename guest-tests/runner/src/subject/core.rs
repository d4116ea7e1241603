//! The core module, bare: the host is the program whose code is merged with it.

use std::collections::HashMap;
use std::mem::offset_of;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use tether_door::OptionWords;
use tether_gc::Options;
use tether_model::call::{Answer, Code, Failure, Name};
use tether_model::subject::{RANGE_WORDS, Subject};
use tether_model::window::{self, Window};
use wasmtime::{Engine, Func, Instance, Memory, Module, Store, Val};

use self::state::{
    COLOUR, CURSOR, END, LAST_ERROR, LAST_ERROR_VALUE, LIMIT, STACK_BASE, STACK_LIMIT, STACK_TOP,
};
use super::{Growth, limit_word, sizing_words};

/// Addresses of the program's own: for options and answers, and the root range.
const SCRATCH: u32 = 4_096;
const RANGE: u32 = 65_536;
/// Handles for which [`SCRATCH`] has room.
const MOST_HANDLES: u32 = 4_096;

/// Where the words of `tether_state` are, from its address on.
pub mod state {
    #![expect(missing_docs, reason = "docs/core-abi.md says what each word is")]

    pub const CURSOR: u32 = 0;
    pub const LIMIT: u32 = 4;
    pub const COLOUR: u32 = 8;
    pub const STACK_TOP: u32 = 12;
    pub const STACK_LIMIT: u32 = 16;
    pub const STACK_BASE: u32 = 20;
    pub const LAST_ERROR: u32 = 24;
    pub const LAST_ERROR_VALUE: u32 = 28;
    pub const END: u32 = 32;
}

/// The words of `tether_options`, in the order in which they lie in memory.
pub fn option_words(options: &OptionWords) -> [u32; size_of::<OptionWords>() / 4] {
    let mut words = [0; size_of::<OptionWords>() / 4];
    macro_rules! put {
        ($($field:ident)*) => {
            let OptionWords { $($field),* } = *options;
            $(words[offset_of!(OptionWords, $field) / 4] = $field;)*
        };
    }
    put! {
        heap_limit_bytes root_capacity stack_base wrap_capacity wrap_limit handle_floor
        weight_floor_bytes sizing sizing_value stress interior_pointers
    }
    words
}

/// The core module, compiled once.
pub struct CoreModule {
    engine: Engine,
    module: Module,
}

impl CoreModule {
    /// Compiles the module in a file.
    ///
    /// # Errors
    ///
    /// Names the file if it is missing, or if it is not a module.
    pub fn load(path: &Path) -> Result<Self> {
        let engine = Engine::default();
        let module = Module::from_file(&engine, path)
            .map_err(|error| anyhow!("{error:?}"))
            .with_context(|| format!("cannot compile {}", path.display()))?;
        Ok(CoreModule { engine, module })
    }
}

/// An instance of the core module, with a heap.
pub struct CoreSubject {
    store: Store<Growth>,
    instance: Instance,
    memory: Memory,
    functions: HashMap<&'static str, Func>,
    state: u32,
    /// Collections that were counted before the heap was closed.
    collections: u32,
    /// How often the window had room, so that nothing was called.
    inlined: u64,
}

impl CoreSubject {
    /// Makes a heap with some options, in memory that refuses some growths; none if the heap
    /// cannot start.
    pub fn start(module: &CoreModule, options: &Options, refuse: Range<u64>) -> Option<Self> {
        Self::start_behind(module, options, refuse, 0)
    }

    /// Makes a heap as [`start`](Self::start) does, after the program has grown memory to so
    /// many pages.
    pub fn start_behind(
        module: &CoreModule,
        options: &Options,
        refuse: Range<u64>,
        pages: u64,
    ) -> Option<Self> {
        let growth = Growth { refuse, ..Growth::default() };
        let mut store = Store::new(&module.engine, growth);
        store.limiter(|growth| growth);
        // Released handles wait for `tether_drain`.
        let release = Func::wrap(&mut store, |_: i32, _: i32| 0_i32);
        let instance = Instance::new(&mut store, &module.module, &[release.into()])
            .expect("the core module can be instantiated");
        let memory = instance.get_memory(&mut store, "memory").expect("it exports its memory");
        let more = pages.saturating_sub(memory.size(&store));
        memory.grow(&mut store, more).expect("address space can be had");
        let state = instance.get_global(&mut store, "tether_state").expect("it exports its state");
        let state = state.get(&mut store).unwrap_i32() as u32;
        let functions = HashMap::new();
        let mut core =
            CoreSubject { store, instance, memory, functions, state, collections: 0, inlined: 0 };
        let (sizing, sizing_value) = sizing_words(options.sizing);
        let words = option_words(&OptionWords {
            heap_limit_bytes: limit_word(options.heap_limit_bytes),
            root_capacity: options.root_capacity,
            stack_base: 0,
            wrap_capacity: options.wrap_capacity,
            wrap_limit: options.wrap_limit,
            handle_floor: options.handle_floor,
            weight_floor_bytes: options.weight_floor_bytes,
            sizing,
            sizing_value,
            stress: options.stress,
            interior_pointers: options.interior_pointers.into(),
        });
        core.put_words(SCRATCH, &words);
        match core.code("tether_start", &[SCRATCH]) {
            Ok(()) => Some(core),
            Err(failure) => {
                assert_eq!(failure.code, Code::OutOfMemory, "{failure}");
                None
            }
        }
    }

    /// How often the window had room, so that nothing was called.
    pub fn inlined(&self) -> u64 {
        self.inlined
    }

    fn get(&self, address: u32) -> u32 {
        let mut word = [0; 4];
        self.memory.read(&self.store, address as usize, &mut word).expect("this is memory");
        u32::from_le_bytes(word)
    }

    fn put(&mut self, address: u32, word: u32) {
        let written = self.memory.write(&mut self.store, address as usize, &word.to_le_bytes());
        written.expect("this is memory");
    }

    fn get_words(&self, address: u32, count: u32) -> Vec<u32> {
        let bytes = &self.memory.data(&self.store)[address as usize..][..count as usize * 4];
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    }

    fn put_words(&mut self, address: u32, words: &[u32]) {
        for (at, &word) in (address..).step_by(4).zip(words) {
            self.put(at, word);
        }
    }

    fn raw(&mut self, name: &'static str, values: &[Val]) -> Result<u32, Failure> {
        let function = match self.functions.get(name) {
            Some(&function) => function,
            None => {
                let found = self.instance.get_func(&mut self.store, name);
                let found = found.unwrap_or_else(|| panic!("the core module exports no {name}"));
                self.functions.insert(name, found);
                found
            }
        };
        // Null may be an answer: only `last_error` says whether the function failed.
        self.put(self.state + LAST_ERROR, 0);
        let mut given = [Val::I32(0)];
        function
            .call(&mut self.store, values, &mut given)
            .unwrap_or_else(|trap| panic!("{name}({values:?}) trapped: {trap:?}"));
        match self.get(self.state + LAST_ERROR) {
            0 => Ok(given[0].unwrap_i32() as u32),
            number => Err(Failure::new(
                Code::from_number(number).expect("a code of the header"),
                self.get(self.state + LAST_ERROR_VALUE),
            )),
        }
    }

    fn value(&mut self, name: &'static str, words: &[u32]) -> Result<u32, Failure> {
        let values: Vec<Val> = words.iter().map(|&word| Val::I32(word as i32)).collect();
        self.raw(name, &values)
    }

    fn code(&mut self, name: &'static str, words: &[u32]) -> Result<(), Failure> {
        self.value(name, words).map(drop)
    }

    fn one(&mut self, name: &'static str, words: &[u32]) -> Answer {
        self.value(name, words).map(|word| vec![word])
    }

    fn none(&mut self, name: &'static str, words: &[u32]) -> Answer {
        self.code(name, words).map(|()| Vec::new())
    }

    fn read_objects(&mut self, most_words: u32, objects: &[u32]) -> Answer {
        let mut words = Vec::new();
        for &object in objects {
            let size_bytes = self.value("tether_size_of", &[object])?;
            let all = words.len() as u64 + 1 + u64::from(size_bytes / 4);
            if !words.is_empty() && all > u64::from(most_words) {
                break;
            }
            words.push(size_bytes);
            words.extend(self.get_words(object, size_bytes / 4));
        }
        Ok(words)
    }

    fn statistics(&mut self) -> Answer {
        self.code("tether_read_statistics", &[SCRATCH])?;
        let at = |offset: u32| self.get(SCRATCH + offset);
        Ok(vec![at(0), at(4), at(16), at(32), at(40), at(48), at(56), at(64), at(72)])
    }
}

/// A template that says which words are references.
fn template(granules: u32, references: u32) -> u64 {
    let bits = |granule| (u64::from(references) >> (granule * 2) & 3) << (granule * 8 + 3);
    (0..granules.min(8)).fold(0, |template, granule| template | bits(granule))
}

/// Whether the core door has an operation.
pub fn core_has(name: Name) -> bool {
    !matches!(
        name,
        Name::Create
            | Name::Build
            | Name::ReadBytes
            | Name::WriteBytes
            | Name::WriteMany
            | Name::PushMany
            | Name::Root
            | Name::SetRoot
            | Name::RegisterMany
            | Name::WrapMany
    )
}

/// Loads and stores of the program's own.
impl Window for CoreSubject {
    fn cursor(&self) -> u32 {
        self.get(self.state + CURSOR)
    }

    fn limit(&self) -> u32 {
        self.get(self.state + LIMIT)
    }

    fn end(&self) -> u32 {
        self.get(self.state + END)
    }

    fn colour(&self) -> u8 {
        self.get(self.state + COLOUR) as u8
    }

    fn stack(&self) -> (u32, u32, u32) {
        let at = |offset| self.get(self.state + offset);
        (at(STACK_TOP), at(STACK_LIMIT), at(STACK_BASE))
    }

    fn publish(&mut self, cursor: u32, end: u32, stack_top: u32) {
        self.inlined += 1;
        for (offset, word) in [(CURSOR, cursor), (END, end), (STACK_TOP, stack_top)] {
            self.put(self.state + offset, word);
        }
    }

    fn load(&self, address: u32) -> u32 {
        self.get(address)
    }

    fn store(&mut self, address: u32, word: u32) {
        self.put(address, word);
    }

    fn store_byte(&mut self, address: u32, byte: u8) {
        let written = self.memory.write(&mut self.store, address as usize, &[byte]);
        written.expect("this is memory");
    }
}

impl Subject for CoreSubject {
    fn has(&self, name: Name) -> bool {
        core_has(name)
    }

    fn call(&mut self, name: Name, words: &[u32]) -> Answer {
        match (name, words) {
            (Name::DefineLayout, &[fixed, low, high, element, element_low, element_high]) => {
                let wide = |low: u32, high: u32| Val::I64(i64::from(low) | i64::from(high) << 32);
                let values = [
                    Val::I32(fixed as i32),
                    wide(low, high),
                    Val::I32(element as i32),
                    wide(element_low, element_high),
                ];
                Ok(vec![self.raw("tether_define_layout", &values)?])
            }
            (Name::Allocate, words) => self.one("tether_allocate", words),
            (Name::AllocateLeaf, words) => self.one("tether_allocate_leaf", words),
            (Name::AllocateSmall, &[granules, references]) => {
                let template = template(granules, references) as i64;
                let values = [Val::I32(granules as i32), Val::I64(template)];
                Ok(vec![self.raw("tether_allocate_small", &values)?])
            }
            (Name::InlineSmall, &[granules, references]) => {
                match window::allocate_small(self, granules, references) {
                    Some(object) => Ok(vec![object]),
                    None => self.call(Name::AllocateSmall, words),
                }
            }
            (Name::InlineLeaf, &[bytes]) => match window::allocate_leaf(self, bytes) {
                Some(leaf) => Ok(vec![leaf]),
                None => self.call(Name::AllocateLeaf, words),
            },
            (Name::InlinePush, &[object]) => match window::push(self, object) {
                true => Ok(Vec::new()),
                false => self.call(Name::Push, words),
            },
            (Name::InlinePop, []) => match window::pop(self) {
                Some(object) => Ok(vec![object]),
                None => self.call(Name::Pop, words),
            },
            (Name::AllocateAligned, words) => self.one("tether_allocate_aligned", words),
            (Name::Get, &[object, index]) => Ok(vec![self.get(object + index * 4)]),
            (Name::Set, &[object, index, value]) => {
                self.put(object + index * 4, value);
                Ok(Vec::new())
            }
            (Name::WriteWords, [object, index, words @ ..]) => {
                self.put_words(object + index * 4, words);
                Ok(Vec::new())
            }
            (Name::ReadObjects, [most_words, objects @ ..]) => {
                self.read_objects(*most_words, objects)
            }
            (Name::Collect, []) => self.none("tether_collect", &[]),
            (Name::Push, words) => self.none("tether_push", words),
            (Name::Pop, []) => self.one("tether_pop", &[]),
            (Name::Depth, []) => {
                let used = self.get(self.state + STACK_TOP) - self.get(self.state + STACK_BASE);
                Ok(vec![used / 4])
            }
            (Name::Truncate, words) => self.none("tether_truncate", words),
            (Name::EnterScope, []) => self.none("tether_enter_scope", &[]),
            (Name::LeaveScope, words) => self.none("tether_leave_scope", words),
            (Name::Pin, words) => self.none("tether_pin", words),
            (Name::Unpin, words) => self.none("tether_unpin", words),
            (Name::AddRoots, []) => {
                self.none("tether_add_roots", &[RANGE, RANGE + RANGE_WORDS * 4])
            }
            (Name::AddRoots, words) => self.none("tether_add_roots", words),
            (Name::RemoveRoots, []) => self.none("tether_remove_roots", &[RANGE]),
            (Name::SetRange, &[index, word]) => {
                self.put(RANGE + index * 4, word);
                Ok(Vec::new())
            }
            (Name::Register, words) => self.none("tether_register", words),
            (Name::Wrap, words) => self.one("tether_wrap", words),
            (Name::HandleOf, &[wrapper]) => {
                self.code("tether_handle_of", &[wrapper, SCRATCH])?;
                Ok(self.get_words(SCRATCH, 2))
            }
            (Name::SetWeight, words) => self.none("tether_set_weight", words),
            (Name::Dispose, words) => self.none("tether_dispose", words),
            (Name::Drain, &[most]) => {
                let count = self.value("tether_drain", &[SCRATCH, most.min(MOST_HANDLES)])?;
                Ok(self.get_words(SCRATCH, count * 2))
            }
            (Name::Pending, []) => self.one("tether_pending", &[]),
            (Name::Close, []) => {
                // A closed heap has no statistics.
                self.collections = self.collections();
                self.none("tether_close", &[])
            }
            (Name::IsObject, words) => self.one("tether_is_object", words),
            (Name::SizeOf, words) => self.one("tether_size_of", words),
            (Name::Statistics, []) => self.statistics(),
            (Name::Verify, []) => Ok(match self.value("tether_verify", &[SCRATCH])? {
                0 => Vec::new(),
                invariant => vec![invariant, self.get(SCRATCH)],
            }),
            _ => panic!("the core door has no {name:?} of {} words", words.len()),
        }
    }

    fn collections(&mut self) -> u32 {
        self.statistics().map_or(self.collections, |counts| counts[0])
    }

    fn range(&self) -> u32 {
        RANGE
    }

    fn checks_access(&self) -> bool {
        false
    }

    fn refuse_growths(&mut self, which: Range<u64>) {
        self.store.data_mut().refuse = which;
    }

    fn growths(&mut self) -> u64 {
        self.store.data().asked
    }

    fn refusals(&mut self) -> u64 {
        self.store.data().refused
    }
}
