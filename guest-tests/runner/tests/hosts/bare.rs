//! The collector's component by itself: its exports as functions.

use std::path::Path;

use tether_runner::engine::{compile, engine};
use tether_runner::subject::Released;
use tether_runner::wasi::{self, HasWasi, Wasi};
use wasmtime::component::{Component, Instance, Linker, TypedFunc};
use wasmtime::{Engine, ResourceLimiter, Store, StoreContextMut};

use crate::support::{Form, artifact};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "tether:gc/collector",
    });
}

use bindings::Collector;
use bindings::exports::tether::gc::diagnostics::{Statistics, Violation};
pub use bindings::exports::tether::gc::heap::{BuildError, Options, Store as Write, Words};
pub use bindings::exports::tether::gc::types::{Error, ErrorCode};
pub use bindings::exports::tether::gc::wrappers::{DeadHandle, Registration};

/// The answer of an operation of the collector.
pub type Answer<T> = Result<T, Error>;

/// The number of the layout without references.
pub const LEAF: u32 = 0;
/// The number of the layout in which every word may be a reference.
pub const CONSERVATIVE: u32 = 1;

/// Options that are all default.
pub const DEFAULTS: Options = Options {
    heap_limit_bytes: 0,
    root_capacity: 0,
    wrap_capacity: 0,
    wrap_limit: 0,
    handle_floor: 0,
    weight_floor_bytes: 0,
    sizing: None,
    stress: 0,
};

/// The store's data, for the collector's imports and its memory.
pub struct World {
    /// For the WASI build.
    pub wasi: Wasi,
    /// Answers requests for memory.
    pub growth: Growth,
    /// For the build that pushes.
    pub releases: Releases,
}

/// The calls that came to the host's `release`.
#[derive(Default)]
pub struct Releases {
    /// The handles of each batch.
    pub batches: Vec<Vec<u32>>,
    /// The collector's `collect`, for a `release` that calls back in.
    pub call_back: Option<TypedFunc<(), (Answer<()>,)>>,
    /// The codes of the errors that calling back in gave; none for a success.
    pub answers: Vec<Option<ErrorCode>>,
}

/// Which requests for more memory are granted.
#[derive(Default)]
pub struct Growth {
    /// Grants left; none if every request is granted.
    pub grants: Option<u32>,
    /// Requests refused.
    pub refused: u32,
    /// Bytes that the memory has.
    pub bytes: usize,
}

impl ResourceLimiter for Growth {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // An instance's first pages do not count as growth.
        if current == 0 || self.grants.is_none() {
            self.bytes = desired;
            return Ok(true);
        }
        let grants = self.grants.as_mut().expect("it was looked at above");
        if *grants == 0 {
            self.refused += 1;
            return Ok(false);
        }
        *grants -= 1;
        self.bytes = desired;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl HasWasi for World {
    fn wasi(&mut self) -> &mut Wasi {
        &mut self.wasi
    }
}

/// An instance of the collector. Each of its functions fails the test if the component
/// traps.
pub struct Heap {
    collector: Collector,
    instance: Instance,
    store: Store<World>,
}

/// Compiles one of the collector's components.
pub fn load(name: &str) -> (Engine, Component) {
    let engine = engine().unwrap();
    let component = compile(&engine, Path::new(&artifact(name))).unwrap();
    (engine, component)
}

/// A fresh instance of the collector in one of its forms, with its defaults.
pub fn fresh(form: Form) -> Heap {
    use std::sync::OnceLock;
    static COMPILED: [OnceLock<(Engine, Component)>; 4] = [const { OnceLock::new() }; 4];
    let (engine, component) = COMPILED[form as usize].get_or_init(|| load(form.artifact()));
    let linker = Linker::new(engine);
    Heap::new(engine, component, &linker, None)
}

/// A fresh instance of the WASI build, with the value of `TETHER_GC`.
pub fn fresh_wasi(gc_options: Option<&str>) -> Heap {
    let (engine, component) = load("tether-gc-wasi.wasm");
    let mut linker = Linker::new(&engine);
    wasi::add_to_linker(&mut linker).unwrap();
    Heap::new(&engine, &component, &linker, gc_options)
}

/// A fresh instance of the build that pushes. Its `release` takes every batch,
/// and calls back in if `releases.call_back` says so.
pub fn fresh_push() -> Heap {
    let (engine, component) = load("tether-gc-push.wasm");
    let mut linker = Linker::new(&engine);
    linker
        .instance("tether:gc/releaser@0.1.0")
        .and_then(|mut releaser| releaser.func_wrap("release", release))
        .unwrap();
    Heap::new(&engine, &component, &linker, None)
}

fn release(
    mut store: StoreContextMut<'_, World>,
    (batch,): (Vec<Released>,),
) -> wasmtime::Result<()> {
    assert!(batch.iter().all(|released| released.kind == 7));
    let handles = batch.iter().map(|released| released.handle).collect();
    store.data_mut().releases.batches.push(handles);
    if let Some(collect) = store.data().releases.call_back {
        let (answer,) = collect.call(&mut store, ())?;
        let answer = answer.err().map(|error| error.code);
        store.data_mut().releases.answers.push(answer);
    }
    Ok(())
}

/// Gives each export a method that unwraps wasmtime's own result, which is an
/// error only for a trap.
macro_rules! exports {
    ($interface:ident: $($name:ident = $call:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl Heap {
            $(pub fn $name(&mut self, $($argument: $type),*) -> $result {
                self.collector
                    .$interface()
                    .$call(&mut self.store, $($argument),*)
                    .expect(concat!(stringify!($name), " does not trap"))
            })*
        }
    };
}

exports! { tether_gc_heap:
    configure = call_configure(options: Options) -> Answer<()>;
    define_layout = call_define_layout(fixed: Words, element: Words) -> Answer<u32>;
    allocate = call_allocate(layout: u32, length: u32) -> Answer<u32>;
    create = call_create(layout: u32, length: u32, words: &[u32]) -> Answer<u32>;
    build = call_build(program: &[u32]) -> Result<u32, BuildError>;
    get = call_get(object: u32, index: u32) -> Answer<u32>;
    set = call_set(object: u32, index: u32, value: u32) -> Answer<()>;
    read_bytes = call_read_bytes(object: u32, offset: u32, count: u32) -> Answer<Vec<u8>>;
    write_bytes = call_write_bytes(object: u32, offset: u32, bytes: &[u8]) -> Answer<()>;
    read_objects = call_read_objects(objects: &[u32], max_words: u32) -> Answer<Vec<u32>>;
    write_many = call_write_many(stores: &[Write]) -> Answer<()>;
    collect = call_collect() -> Answer<()>;
}

exports! { tether_gc_roots:
    push = call_push(object: u32) -> Answer<()>;
    pop = call_pop() -> Answer<u32>;
    depth = call_depth() -> u32;
    truncate = call_truncate(depth: u32) -> Answer<()>;
    set_root = call_set(index: u32, object: u32) -> Answer<()>;
    enter_scope = call_enter_scope() -> Answer<()>;
    leave_scope = call_leave_scope(keep: u32) -> Answer<()>;
    pin = call_pin(object: u32) -> Answer<u32>;
    unpin = call_unpin(object: u32) -> Answer<u32>;
}

exports! { tether_gc_wrappers:
    register = call_register(wrapper: u32, kind: u32, handle: u32, weight_bytes: u32) -> Answer<()>;
    register_many = call_register_many(registrations: &[Registration]) -> Answer<()>;
    wrap = call_wrap(kind: u32, handle: u32, weight_bytes: u32) -> Answer<u32>;
    wrap_many = call_wrap_many(kind: u32, handles: &[u32], weight_bytes: u32) -> Answer<Vec<u32>>;
    handle_of = call_handle_of(wrapper: u32) -> Answer<DeadHandle>;
    dispose = call_dispose(wrapper: u32) -> Answer<()>;
    drain = call_drain(max: u32) -> Vec<DeadHandle>;
    pending = call_pending() -> u32;
    close = call_close() -> Answer<u32>;
}

exports! { tether_gc_diagnostics:
    statistics = call_read_statistics() -> Statistics;
    verify = call_verify() -> Answer<Option<Violation>>;
}

impl Heap {
    /// Instantiates a component of the collector.
    pub fn new(
        engine: &Engine,
        component: &Component,
        linker: &Linker<World>,
        gc_options: Option<&str>,
    ) -> Self {
        let world = World {
            wasi: Wasi::new(gc_options),
            growth: Growth::default(),
            releases: Releases::default(),
        };
        let mut store = Store::new(engine, world);
        store.limiter(|world| &mut world.growth);
        let instance = linker.instantiate(&mut store, component).unwrap();
        let collector = Collector::new(&mut store, &instance).unwrap();
        Heap { collector, instance, store }
    }

    /// Has `release` call `collect` from now on.
    pub fn call_back_from_release(&mut self) {
        let store = &mut self.store;
        let heap = self.instance.get_export_index(&mut *store, None, "tether:gc/heap@0.1.0");
        let collect = self
            .instance
            .get_export_index(&mut *store, heap.as_ref(), "collect")
            .expect("the component exports `collect`");
        let collect = self.instance.get_typed_func(&mut *store, collect).unwrap();
        store.data_mut().releases.call_back = Some(collect);
    }

    /// The store's data.
    pub fn world(&mut self) -> &mut World {
        self.store.data_mut()
    }

    /// Asserts that no invariant is broken.
    pub fn assert_sound(&mut self) {
        if let Some(violation) = self.verify().expect("the heap is not busy") {
            panic!("the heap is broken: {violation:?}");
        }
    }

    /// Reads words one by one.
    pub fn words(&mut self, object: u32, count: u32) -> Answer<Vec<u32>> {
        (0..count).map(|index| self.get(object, index)).collect()
    }

    /// Drains all released handles, and gives their numbers.
    pub fn drain_all(&mut self) -> Vec<u32> {
        let mut handles = Vec::new();
        loop {
            let batch = self.drain(1000);
            if batch.is_empty() {
                return handles;
            }
            handles.extend(batch.iter().map(|dead| dead.handle));
        }
    }
}

/// The code of an error; fails the test if the operation succeeded.
pub fn code<T: std::fmt::Debug>(answer: Answer<T>) -> ErrorCode {
    answer.expect_err("this must be refused").code
}
