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
use crate::door::operation::{Operation, perform};
use crate::error::Error;
use crate::wrap_table::Registration;
use alloc::vec::Vec;

extern crate alloc;

/// The component.
pub struct Component;

/// Runs an operation of words.
#[inline(never)]
fn run(operation: Operation, operands: [u32; 4]) -> Result<u32, WitError> {
    with_heap(|heap| perform(heap, operation, operands))
}

/// The same, for one without a result.
fn run_silently(operation: Operation, operands: [u32; 4]) -> Result<(), WitError> {
    run(operation, operands).map(drop)
}

/// What is a value when all its bytes are zero.
trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for u32 {}
impl Plain for DeadHandle {}

/// A list of `count` items, all zero.
fn list<T: Plain>(count: usize) -> Result<Vec<T>, Error> {
    let mut list: Vec<T> = Vec::new();
    let needed = count.saturating_mul(size_of::<T>());
    let needed_bytes = u32::try_from(needed).unwrap_or(u32::MAX);
    list.try_reserve_exact(count).map_err(|_| Error::OutOfMemory { needed_bytes })?;
    #[expect(unsafe_code, reason = "`resize` would carry code for growing the list again")]
    // SAFETY: the capacity is at least `count`, and zeros are `Plain` values.
    unsafe {
        list.as_mut_ptr().write_bytes(0, count);
        list.set_len(count);
    }
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
        run(Operation::Allocate, [layout, length, 0, 0])
    }

    fn create(layout: Layout, length: u32, words: Vec<u32>) -> Result<Reference, WitError> {
        with_heap(|heap| heap.create(layout, length, &words))
    }

    fn build(program: Vec<u32>) -> Result<u32, heap::BuildError> {
        let result = with_heap(|heap| Ok(heap.build(&program)));
        Ok(result.map_err(|reason| heap::BuildError { at: 0, reason })??)
    }

    fn get(object: Reference, index: u32) -> Result<u32, WitError> {
        run(Operation::Get, [object, index, 0, 0])
    }

    fn set(object: Reference, index: u32, value: u32) -> Result<(), WitError> {
        run_silently(Operation::Set, [object, index, value, 0])
    }

    fn read_bytes(object: Reference, offset: u32, count: u32) -> Result<Vec<u8>, WitError> {
        with_heap(|heap| {
            heap.check_read_bytes(object, offset, count)?;
            let mut bytes = list(count as usize)?;
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
            let mut answer = list(words)?;
            heap.read_objects(&objects, &mut answer)?;
            Ok(answer)
        })
    }

    fn write_many(stores: Vec<Store>) -> Result<(), WitError> {
        let stores = stores.iter().map(|store| (store.object, store.index, store.value));
        with_heap(|heap| heap.write_many(stores))
    }

    fn collect() -> Result<(), WitError> {
        run_silently(Operation::Collect, [0; 4])
    }
}

impl roots::Guest for Component {
    fn push(object: Reference) -> Result<(), WitError> {
        run_silently(Operation::Push, [object, 0, 0, 0])
    }

    fn pop() -> Result<Reference, WitError> {
        run(Operation::Pop, [0; 4])
    }

    fn depth() -> u32 {
        look(|heap| heap.depth()).unwrap_or(0)
    }

    fn truncate(depth: u32) -> Result<(), WitError> {
        run_silently(Operation::Truncate, [depth, 0, 0, 0])
    }

    fn get(index: u32) -> Result<Reference, WitError> {
        run(Operation::Root, [index, 0, 0, 0])
    }

    fn set(index: u32, object: Reference) -> Result<(), WitError> {
        run_silently(Operation::SetRoot, [index, object, 0, 0])
    }

    fn enter_scope() -> Result<(), WitError> {
        run_silently(Operation::EnterScope, [0; 4])
    }

    fn leave_scope(keep: Reference) -> Result<(), WitError> {
        run_silently(Operation::LeaveScope, [keep, 0, 0, 0])
    }

    fn pin(object: Reference) -> Result<u32, WitError> {
        run(Operation::Pin, [object, 0, 0, 0])
    }

    fn unpin(object: Reference) -> Result<u32, WitError> {
        run(Operation::Unpin, [object, 0, 0, 0])
    }
}

impl wrappers::Guest for Component {
    fn register(
        wrapper: Reference,
        kind: u32,
        handle: u32,
        weight_bytes: u32,
    ) -> Result<(), WitError> {
        run_silently(Operation::Register, [wrapper, kind, handle, weight_bytes])
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
        run(Operation::Wrap, [kind, handle, weight_bytes, 0])
    }

    fn wrap_many(
        kind: u32,
        handles: Vec<u32>,
        weight_bytes: u32,
    ) -> Result<Vec<Reference>, WitError> {
        with_heap(|heap| {
            let mut wrappers = list(handles.len())?;
            heap.wrap_many(kind, &handles, weight_bytes, &mut wrappers)?;
            Ok(wrappers)
        })
    }

    fn handle_of(wrapper: Reference) -> Result<DeadHandle, WitError> {
        let found = with_heap(|heap| heap.handle_of(wrapper))?;
        Ok(DeadHandle { kind: found.kind, handle: found.handle })
    }

    fn dispose(wrapper: Reference) -> Result<(), WitError> {
        run_silently(Operation::Dispose, [wrapper, 0, 0, 0])
    }

    fn drain(max: u32) -> Vec<DeadHandle> {
        let drained = with_heap(|heap| {
            let count = heap.pending().min(max) as usize;
            let mut list = list(count)?;
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
        run(Operation::Close, [0; 4])
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
