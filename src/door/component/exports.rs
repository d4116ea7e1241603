//! The component's exports: each a call of one operation of the heap.
//!
//! Parameters are as the canonical ABI flattens them: a record is its fields, a list an
//! address and a count. A comment says so where WIT has another shape.

use super::canonical::{
    Address, Incoming, OutgoingWords, Plain, answer, done, ok, ok_words, outgoing, record, refuse,
    refuse_at,
};
use super::{ComponentHeap, DOOR, configure, idle_heap, watch, with_heap};
use crate::door::operation::{Operation, perform};
use crate::door::words::OptionWords;
use crate::error::Error;
use crate::heap::Store;
use crate::layout::Words;
use crate::wrap_table::{Handle, Registration};

/// Runs an operation of words.
#[inline(never)]
fn run(operation: Operation, a: u32, b: u32, c: u32, d: u32) -> Address {
    answer(with_heap(|heap| perform(heap, operation, [a, b, c, d])))
}

/// What [`Heap`](crate::Heap) does quickly, where it is idle and can.
#[inline(always)]
fn quickly<R>(operation: impl FnOnce(&mut ComponentHeap) -> Option<R>) -> Option<R> {
    DOOR.idle().and_then(operation)
}

/// A list, as parameters.
///
/// # Safety
///
/// See [`Incoming::new`]: this is for what an export was passed, once.
unsafe fn list<T: Plain>(items: *mut T, count: usize) -> Incoming<T> {
    // SAFETY: the same.
    unsafe { Incoming::new(items, count) }
}

/// Answers with the list that an operation fills.
fn answer_list<T>(list: Result<&'static mut [T], Error>) -> Address {
    match list {
        Ok(list) => ok_words([list.as_ptr() as u32, list.len() as u32, 0]),
        Err(error) => refuse(error),
    }
}

// ---- heap ----

/// `options`; of `sizing` whether there is one, its case, and its value.
#[unsafe(export_name = "tether:gc/heap@0.1.0#configure")]
extern "C" fn heap_configure(
    heap_limit_bytes: u32,
    root_capacity: u32,
    wrap_capacity: u32,
    wrap_limit: u32,
    handle_floor: u32,
    weight_floor_bytes: u32,
    has_sizing: u32,
    sizing_case: u32,
    sizing_value: u32,
    stress: u32,
) -> Address {
    let words = OptionWords {
        heap_limit_bytes,
        root_capacity,
        wrap_capacity,
        wrap_limit,
        handle_floor,
        weight_floor_bytes,
        sizing: if has_sizing == 0 { 0 } else { sizing_case + 1 },
        sizing_value,
        stress,
        #[cfg(feature = "interior-pointers")]
        interior_pointers: 0,
    };
    done(words.options().and_then(configure))
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#define-layout")]
extern "C" fn heap_define_layout(
    fixed_words: u32,
    fixed_references: u64,
    element_words: u32,
    element_references: u64,
) -> Address {
    let fixed = Words::new(fixed_words, fixed_references);
    let element = Words::new(element_words, element_references);
    answer(with_heap(|heap| heap.define_layout(fixed, element)))
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#allocate")]
extern "C" fn heap_allocate(layout: u32, length: u32) -> Address {
    if let Some(object) = quickly(|heap| heap.allocate_quickly(layout, length)) {
        return ok(object);
    }
    run(Operation::Allocate, layout, length, 0, 0)
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#create")]
extern "C" fn heap_create(layout: u32, length: u32, words: *mut u32, count: usize) -> Address {
    // SAFETY: the list that was passed.
    let words = unsafe { list(words, count) };
    answer(with_heap(|heap| heap.create(layout, length, &words)))
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#build")]
extern "C" fn heap_build(program: *mut u32, count: usize) -> Address {
    // SAFETY: the list that was passed.
    let program = unsafe { list(program, count) };
    match with_heap(|heap| Ok(heap.build(&program))) {
        Ok(Ok(depth)) => answer(Ok(depth)),
        Ok(Err(stopped)) => refuse_at(stopped.at, stopped.reason),
        Err(error) => refuse_at(0, error),
    }
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#get")]
extern "C" fn heap_get(object: u32, index: u32) -> Address {
    if let Some(word) = quickly(|heap| heap.get_quickly(object, index)) {
        return ok(word);
    }
    run(Operation::Get, object, index, 0, 0)
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#set")]
extern "C" fn heap_set(object: u32, index: u32, value: u32) -> Address {
    if quickly(|heap| heap.set_quickly(object, index, value)).is_some() {
        return ok(0);
    }
    run(Operation::Set, object, index, value, 0)
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#read-bytes")]
extern "C" fn heap_read_bytes(object: u32, offset: u32, count: u32) -> Address {
    answer_list(with_heap(|heap| {
        heap.check_read_bytes(object, offset, count)?;
        let bytes = outgoing(count as usize)?;
        heap.read_bytes(object, offset, bytes)?;
        Ok(bytes)
    }))
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#write-bytes")]
extern "C" fn heap_write_bytes(object: u32, offset: u32, bytes: *mut u8, count: usize) -> Address {
    // SAFETY: the list that was passed.
    let bytes = unsafe { list(bytes, count) };
    done(with_heap(|heap| heap.write_bytes(object, offset, &bytes)))
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#read-objects")]
extern "C" fn heap_read_objects(objects: *mut u32, count: usize, max_words: u32) -> Address {
    // SAFETY: the list that was passed.
    let objects = unsafe { list(objects, count) };
    answer_list(with_heap(|heap| {
        let mut words = OutgoingWords::default();
        let count = heap.read_objects(&objects, max_words, &mut words)?;
        Ok(words.into_list(count))
    }))
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#write-many")]
extern "C" fn heap_write_many(stores: *mut Store, count: usize) -> Address {
    // SAFETY: the list that was passed.
    let stores = unsafe { list(stores, count) };
    done(with_heap(|heap| heap.write_many(&stores)))
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#collect")]
extern "C" fn heap_collect() -> Address {
    run(Operation::Collect, 0, 0, 0, 0)
}

#[unsafe(export_name = "tether:gc/heap@0.1.0#set-least-freed")]
extern "C" fn heap_set_least_freed(percent: u32) -> Address {
    run(Operation::SetLeastFreed, percent, 0, 0, 0)
}

// ---- roots ----

#[unsafe(export_name = "tether:gc/roots@0.1.0#push")]
extern "C" fn roots_push(object: u32) -> Address {
    if quickly(|heap| heap.push_quickly(object)).is_some() {
        return ok(0);
    }
    run(Operation::Push, object, 0, 0, 0)
}

#[unsafe(export_name = "tether:gc/roots@0.1.0#pop")]
extern "C" fn roots_pop() -> Address {
    if let Some(object) = quickly(ComponentHeap::pop_quickly) {
        return ok(object);
    }
    run(Operation::Pop, 0, 0, 0, 0)
}

#[unsafe(export_name = "tether:gc/roots@0.1.0#depth")]
extern "C" fn roots_depth() -> u32 {
    match idle_heap() {
        Ok(heap) => heap.depth(),
        Err(_) => 0,
    }
}

#[unsafe(export_name = "tether:gc/roots@0.1.0#truncate")]
extern "C" fn roots_truncate(depth: u32) -> Address {
    run(Operation::Truncate, depth, 0, 0, 0)
}

#[unsafe(export_name = "tether:gc/roots@0.1.0#get")]
extern "C" fn roots_get(index: u32) -> Address {
    run(Operation::Root, index, 0, 0, 0)
}

#[unsafe(export_name = "tether:gc/roots@0.1.0#set")]
extern "C" fn roots_set(index: u32, object: u32) -> Address {
    run(Operation::SetRoot, index, object, 0, 0)
}

#[unsafe(export_name = "tether:gc/roots@0.1.0#enter-scope")]
extern "C" fn roots_enter_scope() -> Address {
    run(Operation::EnterScope, 0, 0, 0, 0)
}

#[unsafe(export_name = "tether:gc/roots@0.1.0#leave-scope")]
extern "C" fn roots_leave_scope(keep: u32) -> Address {
    run(Operation::LeaveScope, keep, 0, 0, 0)
}

#[unsafe(export_name = "tether:gc/roots@0.1.0#pin")]
extern "C" fn roots_pin(object: u32) -> Address {
    run(Operation::Pin, object, 0, 0, 0)
}

#[unsafe(export_name = "tether:gc/roots@0.1.0#unpin")]
extern "C" fn roots_unpin(object: u32) -> Address {
    run(Operation::Unpin, object, 0, 0, 0)
}

// ---- wrappers ----

#[unsafe(export_name = "tether:gc/wrappers@0.1.0#register")]
extern "C" fn wrappers_register(
    wrapper: u32,
    kind: u32,
    handle: u32,
    weight_bytes: u32,
) -> Address {
    let registration = Registration { wrapper, kind, handle, weight_bytes };
    if quickly(|heap| heap.register_quickly(registration)).is_some() {
        return ok(0);
    }
    run(Operation::Register, wrapper, kind, handle, weight_bytes)
}

#[unsafe(export_name = "tether:gc/wrappers@0.1.0#register-many")]
extern "C" fn wrappers_register_many(registrations: *mut Registration, count: usize) -> Address {
    // SAFETY: the list that was passed.
    let registrations = unsafe { list(registrations, count) };
    done(with_heap(|heap| heap.register_many(&registrations)))
}

#[unsafe(export_name = "tether:gc/wrappers@0.1.0#wrap")]
extern "C" fn wrappers_wrap(kind: u32, handle: u32, weight_bytes: u32) -> Address {
    if let Some(wrapper) = quickly(|heap| heap.wrap_quickly(kind, handle, weight_bytes)) {
        return ok(wrapper);
    }
    run(Operation::Wrap, kind, handle, weight_bytes, 0)
}

#[unsafe(export_name = "tether:gc/wrappers@0.1.0#wrap-many")]
extern "C" fn wrappers_wrap_many(
    kind: u32,
    handles: *mut u32,
    count: usize,
    weight_bytes: u32,
) -> Address {
    // SAFETY: the list that was passed.
    let handles = unsafe { list(handles, count) };
    answer_list(with_heap(|heap| {
        let wrappers = outgoing(handles.len())?;
        heap.wrap_many(kind, &handles, weight_bytes, wrappers)?;
        Ok(wrappers)
    }))
}

#[unsafe(export_name = "tether:gc/wrappers@0.1.0#handle-of")]
extern "C" fn wrappers_handle_of(wrapper: u32) -> Address {
    match with_heap(|heap| heap.handle_of(wrapper)) {
        Ok(Handle { kind, handle }) => ok_words([kind, handle, 0]),
        Err(error) => refuse(error),
    }
}

#[unsafe(export_name = "tether:gc/wrappers@0.1.0#dispose")]
extern "C" fn wrappers_dispose(wrapper: u32) -> Address {
    run(Operation::Dispose, wrapper, 0, 0, 0)
}

#[unsafe(export_name = "tether:gc/wrappers@0.1.0#drain")]
extern "C" fn wrappers_drain(max: u32) -> Address {
    // It delivers nothing: the world that pushes has nothing left to drain.
    let drained = idle_heap().and_then(|heap| {
        let list = outgoing(heap.pending().min(max) as usize)?;
        let count = heap.drain(list);
        Ok(&list[..count])
    });
    // Busy, or no memory for the list: then nothing was taken out.
    let list = drained.unwrap_or_default();
    record([list.as_ptr() as u32, list.len() as u32])
}

#[unsafe(export_name = "tether:gc/wrappers@0.1.0#pending")]
extern "C" fn wrappers_pending() -> u32 {
    idle_heap().map_or(0, |heap| heap.pending())
}

#[unsafe(export_name = "tether:gc/wrappers@0.1.0#close")]
extern "C" fn wrappers_close() -> Address {
    run(Operation::Close, 0, 0, 0, 0)
}

// ---- diagnostics ----

/// `statistics`.
#[repr(C)]
#[derive(Default)]
struct Statistics {
    collections: u32,
    collections_for_handles: u32,
    heap_bytes: u32,
    heap_peak_bytes: u32,
    live_bytes: u32,
    allocated_bytes: u64,
    wrappers_registered: u64,
    handles_released: u64,
    wrappers_live: u32,
    unreleased_peak: u32,
    wrap_table_capacity: u32,
    wrap_table_peak: u32,
    roots: u32,
    roots_peak: u32,
    external_bytes: u64,
    pause_longest_ns: u64,
    pause_total_ns: u64,
}

#[unsafe(export_name = "tether:gc/diagnostics@0.1.0#read-statistics")]
extern "C" fn diagnostics_read_statistics() -> Address {
    // Of a heap that is busy, or not to be had, there are none.
    record(idle_heap().map_or_else(|_| Statistics::default(), |heap| statistics(heap)))
}

fn statistics(heap: &ComponentHeap) -> Statistics {
    // A 32-bit memory holds no more.
    let bytes = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let counts = heap.statistics();
    let (pause_longest_ns, pause_total_ns) = watch::pauses(heap.observer());
    Statistics {
        collections: counts.collections,
        collections_for_handles: counts.collections_for_handles,
        heap_bytes: bytes(counts.heap_bytes),
        heap_peak_bytes: bytes(counts.heap_peak_bytes),
        live_bytes: bytes(counts.live_bytes),
        allocated_bytes: counts.allocated_bytes,
        wrappers_registered: counts.wrappers_registered,
        handles_released: counts.handles_released,
        wrappers_live: counts.wrappers_live,
        unreleased_peak: counts.unreleased_peak,
        wrap_table_capacity: counts.wrap_table_capacity,
        wrap_table_peak: counts.wrap_table_peak,
        roots: counts.roots,
        roots_peak: counts.roots_peak,
        external_bytes: counts.external_bytes,
        pause_longest_ns,
        pause_total_ns,
    }
}

/// Answers with `result<option<violation>, error>`.
#[unsafe(export_name = "tether:gc/diagnostics@0.1.0#verify")]
extern "C" fn diagnostics_verify() -> Address {
    match with_heap(|heap| Ok(heap.verify())) {
        Ok(None) => ok_words([0; 3]),
        Ok(Some(violation)) => ok_words([1, violation.invariant as u32, violation.at]),
        Err(error) => refuse(error),
    }
}
