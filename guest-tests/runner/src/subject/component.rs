//! The components by themselves: the host calls their exports. The handles that the pushing
//! component delivers wait here until the trace asks for them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow};
use tether_gc::Options;
use tether_model::call::{Answer, Code, Failure, Name};
use tether_model::subject::Subject;
use wasmtime::component::{Component, ComponentType, Lift, Linker};
use wasmtime::{Engine, Store, StoreContextMut};

use super::{Growth, code, limit_word};
use crate::engine::{compile, engine};
use crate::wasi::{self, HasWasi, Wasi};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "tether:gc/collector",
    });
}

use bindings::Collector;
use bindings::exports::tether::gc::heap::{Options as WitOptions, Sizing, Store as Write, Words};
use bindings::exports::tether::gc::types::Error;
use bindings::exports::tether::gc::wrappers::{DeadHandle, Registration};

/// One of the components, compiled once.
pub struct CollectorComponent {
    engine: Engine,
    component: Component,
    pushes: bool,
}

/// What the components import, and how their memory grows.
struct World {
    growth: Growth,
    wasi: Wasi,
    /// Kinds and handles that were delivered, and that no trace has asked for yet.
    delivered: BTreeSet<(u32, u32)>,
}

impl HasWasi for World {
    fn wasi(&mut self) -> &mut Wasi {
        &mut self.wasi
    }
}

/// One item of a batch, as the interface `releaser` has it.
#[derive(ComponentType, Lift)]
#[component(record)]
pub struct Released {
    /// The kind that was registered.
    pub kind: u32,
    /// The handle that was registered.
    pub handle: u32,
}

fn release(
    mut store: StoreContextMut<'_, World>,
    (batch,): (Vec<Released>,),
) -> wasmtime::Result<()> {
    for Released { kind, handle } in batch {
        let is_new = store.data_mut().delivered.insert((kind, handle));
        assert!(is_new, "{handle} was delivered twice");
    }
    Ok(())
}

impl CollectorComponent {
    /// Compiles the component in a file.
    ///
    /// # Errors
    ///
    /// Names the file if it is missing, or if it is not a component.
    pub fn load(path: &Path) -> Result<Self> {
        let engine = engine().map_err(|error| anyhow!("cannot set up wasmtime: {error:?}"))?;
        let component = compile(&engine, path)?;
        let pushes = component
            .component_type()
            .imports(&engine)
            .next()
            .is_some_and(|(name, _)| name.starts_with("tether:gc/releaser"));
        Ok(CollectorComponent { engine, component, pushes })
    }
}

/// An instance of a component, with a heap.
pub struct ComponentSubject {
    collector: Collector,
    store: Store<World>,
    pushes: bool,
}

fn failure(error: Error) -> Failure {
    Failure::new(code(error.code as u32), error.value)
}

/// The result of an operation, as words.
trait IntoWords {
    fn into_words(self) -> Vec<u32>;
}

impl IntoWords for () {
    fn into_words(self) -> Vec<u32> {
        Vec::new()
    }
}

impl IntoWords for u32 {
    fn into_words(self) -> Vec<u32> {
        vec![self]
    }
}

impl IntoWords for Vec<u32> {
    fn into_words(self) -> Vec<u32> {
        self
    }
}

impl IntoWords for Vec<u8> {
    fn into_words(self) -> Vec<u32> {
        self.into_iter().map(u32::from).collect()
    }
}

impl IntoWords for DeadHandle {
    fn into_words(self) -> Vec<u32> {
        vec![self.kind, self.handle]
    }
}

impl IntoWords for Vec<DeadHandle> {
    fn into_words(self) -> Vec<u32> {
        self.into_iter().flat_map(DeadHandle::into_words).collect()
    }
}

fn answered<T: IntoWords>(called: wasmtime::Result<Result<T, Error>>) -> Answer {
    let given = called.unwrap_or_else(|trap| panic!("the component trapped: {trap:?}"));
    given.map(IntoWords::into_words).map_err(failure)
}

fn given<T: IntoWords>(called: wasmtime::Result<T>) -> Answer {
    answered(called.map(Ok))
}

impl ComponentSubject {
    /// Makes a heap with some options, in memory that refuses some growths; none if the heap
    /// cannot start.
    pub fn start(
        component: &CollectorComponent,
        options: &Options,
        refuse: Range<u64>,
    ) -> Option<Self> {
        let growth = Growth { refuse, ..Growth::default() };
        let world = World { growth, wasi: Wasi::new(None), delivered: BTreeSet::new() };
        let mut store = Store::new(&component.engine, world);
        store.limiter(|world| &mut world.growth);
        let mut linker = Linker::new(&component.engine);
        wasi::add_to_linker(&mut linker).expect("WASI can be linked");
        linker
            .instance("tether:gc/releaser@0.1.0")
            .and_then(|mut releaser| releaser.func_wrap("release", release))
            .expect("the releaser can be linked");
        let collector = Collector::instantiate(&mut store, &component.component, &linker)
            .expect("the component can be instantiated");
        let options = WitOptions {
            heap_limit_bytes: limit_word(options.heap_limit_bytes),
            root_capacity: options.root_capacity,
            wrap_capacity: options.wrap_capacity,
            wrap_limit: options.wrap_limit,
            handle_floor: options.handle_floor,
            weight_floor_bytes: options.weight_floor_bytes,
            sizing: match options.sizing {
                tether_gc::Sizing::Balanced => None,
                tether_gc::Sizing::Fixed { budget_bytes } => Some(Sizing::Fixed(budget_bytes)),
                tether_gc::Sizing::Factor { percent } => Some(Sizing::Factor(percent)),
                tether_gc::Sizing::SquareRoot { percent } => Some(Sizing::SquareRoot(percent)),
            },
            stress: options.stress,
        };
        let mut subject = ComponentSubject { collector, store, pushes: component.pushes };
        let configured = answered(
            subject.collector.tether_gc_heap().call_configure(&mut subject.store, options),
        );
        match configured {
            Ok(_) => Some(subject),
            Err(failure) => {
                assert_eq!(failure.code, Code::OutOfMemory, "{failure}");
                None
            }
        }
    }

    fn perform(&mut self, name: Name, words: &[u32]) -> Answer {
        let heap = self.collector.tether_gc_heap();
        let store = &mut self.store;
        match (name, words) {
            (Name::DefineLayout, &[fixed, low, high, element, element_low, element_high]) => {
                let part = |count, low: u32, high: u32| Words {
                    count,
                    references: u64::from(low) | u64::from(high) << 32,
                };
                let (fixed, element) =
                    (part(fixed, low, high), part(element, element_low, element_high));
                answered(heap.call_define_layout(store, fixed, element))
            }
            (Name::Allocate, &[layout, length]) => {
                answered(heap.call_allocate(store, layout, length))
            }
            (Name::Create, [layout, length, words @ ..]) => {
                answered(heap.call_create(store, *layout, *length, words))
            }
            (Name::Build, program) => {
                let built = heap.call_build(store, program).expect("the component does not trap");
                let stopped = |error: bindings::exports::tether::gc::heap::BuildError| Failure {
                    at: error.at,
                    ..failure(error.reason)
                };
                built.map(|depth| vec![depth]).map_err(stopped)
            }
            (Name::Get, &[object, index]) => answered(heap.call_get(store, object, index)),
            (Name::Set, &[object, index, value]) => {
                answered(heap.call_set(store, object, index, value))
            }
            (Name::ReadBytes, &[object, offset, count]) => {
                answered(heap.call_read_bytes(store, object, offset, count))
            }
            (Name::WriteBytes, [object, offset, bytes @ ..]) => {
                let bytes: Vec<u8> = bytes.iter().map(|&byte| byte as u8).collect();
                answered(heap.call_write_bytes(store, *object, *offset, &bytes))
            }
            (Name::ReadObjects, [most_words, objects @ ..]) => {
                answered(heap.call_read_objects(store, objects, *most_words))
            }
            (Name::WriteMany, stores) => {
                let stores: Vec<Write> = stores
                    .chunks_exact(3)
                    .map(|one| Write { object: one[0], index: one[1], value: one[2] })
                    .collect();
                answered(heap.call_write_many(store, &stores))
            }
            (Name::Collect, []) => answered(heap.call_collect(store)),
            (Name::Statistics, []) => {
                let counts = self.collector.tether_gc_diagnostics().call_read_statistics(store);
                let counts = counts.expect("the component does not trap");
                Ok(vec![
                    counts.collections,
                    counts.collections_for_handles,
                    counts.live_bytes,
                    counts.wrappers_registered as u32,
                    counts.handles_released as u32,
                    counts.wrappers_live,
                    counts.wrap_table_capacity,
                    counts.roots,
                    counts.external_bytes as u32,
                ])
            }
            (Name::Verify, []) => {
                let verified = self.collector.tether_gc_diagnostics().call_verify(store);
                let verified = verified.expect("the component does not trap").map_err(failure)?;
                Ok(verified.map_or(Vec::new(), |broken| vec![broken.invariant, broken.at]))
            }
            _ => self.perform_on_roots(name, words),
        }
    }

    fn perform_on_roots(&mut self, name: Name, words: &[u32]) -> Answer {
        let roots = self.collector.tether_gc_roots();
        let store = &mut self.store;
        match (name, words) {
            (Name::Push, &[object]) => answered(roots.call_push(store, object)),
            (Name::Pop, []) => answered(roots.call_pop(store)),
            (Name::Depth, []) => given(roots.call_depth(store)),
            (Name::Truncate, &[depth]) => answered(roots.call_truncate(store, depth)),
            (Name::Root, &[index]) => answered(roots.call_get(store, index)),
            (Name::SetRoot, &[index, object]) => answered(roots.call_set(store, index, object)),
            (Name::EnterScope, []) => answered(roots.call_enter_scope(store)),
            (Name::LeaveScope, &[keep]) => answered(roots.call_leave_scope(store, keep)),
            (Name::Pin, &[object]) => answered(roots.call_pin(store, object)),
            (Name::Unpin, &[object]) => answered(roots.call_unpin(store, object)),
            _ => self.perform_on_wrappers(name, words),
        }
    }

    fn perform_on_wrappers(&mut self, name: Name, words: &[u32]) -> Answer {
        let wrappers = self.collector.tether_gc_wrappers();
        let store = &mut self.store;
        match (name, words) {
            (Name::Register, &[wrapper, kind, handle, weight]) => {
                answered(wrappers.call_register(store, wrapper, kind, handle, weight))
            }
            (Name::RegisterMany, entries) => {
                let registrations: Vec<Registration> = entries
                    .chunks_exact(4)
                    .map(|entry| Registration {
                        wrapper: entry[0],
                        kind: entry[1],
                        handle: entry[2],
                        weight_bytes: entry[3],
                    })
                    .collect();
                answered(wrappers.call_register_many(store, &registrations))
            }
            (Name::Wrap, &[kind, handle, weight]) => {
                answered(wrappers.call_wrap(store, kind, handle, weight))
            }
            (Name::WrapMany, [kind, weight, handles @ ..]) => {
                answered(wrappers.call_wrap_many(store, *kind, handles, *weight))
            }
            (Name::HandleOf, &[wrapper]) => answered(wrappers.call_handle_of(store, wrapper)),
            (Name::Dispose, &[wrapper]) => answered(wrappers.call_dispose(store, wrapper)),
            (Name::Drain, &[most]) => given(wrappers.call_drain(store, most)),
            (Name::Pending, []) if self.pushes => {
                let waiting = given(wrappers.call_pending(&mut *store));
                assert_eq!(waiting, Ok(vec![0]), "not all was delivered");
                Ok(vec![store.data().delivered.len() as u32])
            }
            (Name::Pending, []) => given(wrappers.call_pending(store)),
            (Name::Close, []) if self.pushes => {
                // `close` does not count the handles that were delivered before.
                answered(wrappers.call_close(store)).map(|_| Vec::new())
            }
            (Name::Close, []) => answered(wrappers.call_close(store)),
            _ => panic!("the component has no {name:?} of {} words", words.len()),
        }
    }
}

/// Whether the component has an operation.
pub fn component_has(name: Name) -> bool {
    !matches!(
        name,
        Name::AllocateLeaf
            | Name::AllocateSmall
            | Name::InlineSmall
            | Name::InlineLeaf
            | Name::InlinePush
            | Name::InlinePop
            | Name::AllocateAligned
            | Name::WriteWords
            | Name::PushMany
            | Name::AddRoots
            | Name::RemoveRoots
            | Name::SetRange
            | Name::SetWeight
            | Name::IsObject
            | Name::SizeOf
    )
}

impl Subject for ComponentSubject {
    fn has(&self, name: Name) -> bool {
        component_has(name)
    }

    fn call(&mut self, name: Name, words: &[u32]) -> Answer {
        match self.perform(name, words) {
            // The component had no memory for the list of the answer, and did nothing. The next
            // call does not ask for the refused growth again.
            Err(failure) if name == Name::ReadObjects && failure.code == Code::OutOfMemory => {
                self.perform(name, words)
            }
            answer => answer,
        }
    }

    fn collections(&mut self) -> u32 {
        self.perform(Name::Statistics, &[]).expect("it can always be looked at")[0]
    }

    fn range(&self) -> u32 {
        0
    }

    fn take_pushed(&mut self, given: &[u32], most: u32) -> Option<Answer> {
        if !self.pushes {
            return None;
        }
        let delivered = &mut self.store.data_mut().delivered;
        let pairs = given.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        let mut taken: Vec<(u32, u32)> = pairs.filter(|pair| delivered.remove(pair)).collect();
        // If fewer came than were asked for, there were no more.
        if given.len() < most as usize * 2 {
            taken.extend(delivered.iter());
        }
        Some(Ok(taken.into_iter().flat_map(|(kind, handle)| [kind, handle]).collect()))
    }

    fn refuse_growths(&mut self, which: Range<u64>) {
        self.store.data_mut().growth.refuse = which;
    }

    fn growths(&mut self) -> u64 {
        self.store.data().growth.asked
    }

    fn refusals(&mut self) -> u64 {
        self.store.data().growth.refused
    }
}
