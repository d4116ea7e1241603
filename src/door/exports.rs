//! The component's exports: each a call of one operation of the heap.
//!
//! Lists that go out are reserved first, so that a lack of memory is an error.

use super::bindings::exports::tether::gc::diagnostics::{self, Violation};
use super::bindings::exports::tether::gc::heap::{self, Store};
use super::bindings::exports::tether::gc::roots;
use super::bindings::exports::tether::gc::types::{Error as WitError, Layout, Reference};
use super::bindings::exports::tether::gc::wrappers::{self, DeadHandle};
use super::{configure, convert, look, with_heap};
use crate::config::Options;
use crate::error::Error;
use crate::wrap_table::Registration;
use alloc::vec::Vec;

extern crate alloc;

/// The component.
pub struct Component;

/// A list of `count` items, all `item`.
fn list<T: Clone>(count: usize, item: T) -> Result<Vec<T>, Error> {
    let mut list = Vec::new();
    let needed = count.saturating_mul(size_of::<T>());
    let needed_bytes = u32::try_from(needed).unwrap_or(u32::MAX);
    list.try_reserve_exact(count).map_err(|_| Error::OutOfMemory { needed_bytes })?;
    list.resize(count, item);
    Ok(list)
}

impl heap::Guest for Component {
    fn configure(options: heap::Options) -> Result<(), WitError> {
        configure(Options::from(options))
    }

    fn define_layout(fixed: heap::Words, element: heap::Words) -> Result<Layout, WitError> {
        with_heap(|heap| heap.define_layout(fixed.into(), element.into()))
    }

    fn allocate(layout: Layout, length: u32) -> Result<Reference, WitError> {
        with_heap(|heap| heap.allocate(layout, length))
    }

    fn create(layout: Layout, length: u32, words: Vec<u32>) -> Result<Reference, WitError> {
        with_heap(|heap| heap.create(layout, length, &words))
    }

    fn build(program: Vec<u32>) -> Result<u32, heap::BuildError> {
        let result = with_heap(|heap| Ok(heap.build(&program)));
        Ok(result.map_err(|reason| heap::BuildError { at: 0, reason })??)
    }

    fn get(object: Reference, index: u32) -> Result<u32, WitError> {
        with_heap(|heap| heap.get(object, index))
    }

    fn set(object: Reference, index: u32, value: u32) -> Result<(), WitError> {
        with_heap(|heap| heap.set(object, index, value))
    }

    fn read_bytes(object: Reference, offset: u32, count: u32) -> Result<Vec<u8>, WitError> {
        with_heap(|heap| {
            heap.check_read_bytes(object, offset, count)?;
            let mut bytes = list(count as usize, 0)?;
            heap.read_bytes(object, offset, &mut bytes)?;
            Ok(bytes)
        })
    }

    fn write_bytes(object: Reference, offset: u32, bytes: Vec<u8>) -> Result<(), WitError> {
        with_heap(|heap| heap.write_bytes(object, offset, &bytes))
    }

    fn read_objects(objects: Vec<Reference>, max_words: u32) -> Result<Vec<u32>, WitError> {
        with_heap(|heap| {
            let words = heap.measure_objects(&objects, max_words)?;
            let mut answer = list(words, 0)?;
            heap.read_objects(&objects, &mut answer)?;
            Ok(answer)
        })
    }

    fn write_many(stores: Vec<Store>) -> Result<(), WitError> {
        let stores = stores.iter().map(|store| (store.object, store.index, store.value));
        with_heap(|heap| heap.write_many(stores))
    }

    fn collect() -> Result<(), WitError> {
        with_heap(|heap| heap.collect())
    }
}

impl roots::Guest for Component {
    fn push(object: Reference) -> Result<(), WitError> {
        with_heap(|heap| heap.push(object))
    }

    fn pop() -> Result<Reference, WitError> {
        with_heap(|heap| heap.pop())
    }

    fn depth() -> u32 {
        look(|heap| heap.depth()).unwrap_or(0)
    }

    fn truncate(depth: u32) -> Result<(), WitError> {
        with_heap(|heap| heap.truncate(depth))
    }

    fn get(index: u32) -> Result<Reference, WitError> {
        with_heap(|heap| heap.root(index))
    }

    fn set(index: u32, object: Reference) -> Result<(), WitError> {
        with_heap(|heap| heap.set_root(index, object))
    }

    fn enter_scope() -> Result<(), WitError> {
        with_heap(|heap| heap.enter_scope())
    }

    fn leave_scope(keep: Reference) -> Result<(), WitError> {
        with_heap(|heap| heap.leave_scope(keep))
    }

    fn pin(object: Reference) -> Result<u32, WitError> {
        with_heap(|heap| heap.pin(object))
    }

    fn unpin(object: Reference) -> Result<u32, WitError> {
        with_heap(|heap| heap.unpin(object))
    }
}

impl wrappers::Guest for Component {
    fn register(
        wrapper: Reference,
        kind: u32,
        handle: u32,
        weight_bytes: u32,
    ) -> Result<(), WitError> {
        with_heap(|heap| heap.register(wrapper, kind, handle, weight_bytes))
    }

    fn register_many(registrations: Vec<wrappers::Registration>) -> Result<(), WitError> {
        let registrations = registrations.iter().map(|entry| Registration {
            wrapper: entry.wrapper,
            kind: entry.kind,
            handle: entry.handle,
            weight_bytes: entry.weight_bytes,
        });
        with_heap(|heap| heap.register_many(registrations))
    }

    fn wrap(kind: u32, handle: u32, weight_bytes: u32) -> Result<Reference, WitError> {
        with_heap(|heap| heap.wrap(kind, handle, weight_bytes))
    }

    fn wrap_many(
        kind: u32,
        handles: Vec<u32>,
        weight_bytes: u32,
    ) -> Result<Vec<Reference>, WitError> {
        with_heap(|heap| {
            let mut wrappers = list(handles.len(), 0)?;
            heap.wrap_many(kind, &handles, weight_bytes, &mut wrappers)?;
            Ok(wrappers)
        })
    }

    fn handle_of(wrapper: Reference) -> Result<DeadHandle, WitError> {
        let found = with_heap(|heap| heap.handle_of(wrapper))?;
        Ok(DeadHandle { kind: found.kind, handle: found.handle })
    }

    fn dispose(wrapper: Reference) -> Result<(), WitError> {
        with_heap(|heap| heap.dispose(wrapper))
    }

    fn drain(max: u32) -> Vec<DeadHandle> {
        let drained = with_heap(|heap| {
            let count = heap.pending().min(max) as usize;
            let mut list = list(count, DeadHandle { kind: 0, handle: 0 })?;
            for slot in &mut list {
                let Some(dead) = heap.drain_one() else { break };
                *slot = DeadHandle { kind: dead.kind, handle: dead.handle };
            }
            Ok(list)
        });
        // Busy, or no memory for the list: then nothing was taken out.
        drained.unwrap_or_default()
    }

    fn pending() -> u32 {
        look(|heap| heap.pending()).unwrap_or(0)
    }

    fn close() -> Result<u32, WitError> {
        with_heap(|heap| heap.close())
    }
}

impl diagnostics::Guest for Component {
    fn read_statistics() -> diagnostics::Statistics {
        look(convert::statistics).unwrap_or(convert::NO_STATISTICS)
    }

    fn verify() -> Result<Option<Violation>, WitError> {
        with_heap(|heap| Ok(heap.verify().map(Violation::from)))
    }
}
