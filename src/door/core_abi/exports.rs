//! The core door's functions, as `tether_gc.h` declares them.
//!
//! A reference, an address and a count are each an `i32` on Wasm, so all of them
//! are `u32` here. An operation gives its result, or 0; one without a result gives
//! 0, or the error's code.

use super::{
    CoreOptions, DOOR, REFUSED, answer, check_memory, refuse, start, tether_state, with_heap,
    wrap_in_window,
};
use crate::config::Options;
use crate::door::operation::{Operation, perform};
use crate::error::Error;
use crate::layout::Words;
use crate::memory::linear::LinearMemory;
use crate::metadata::{self, TEMPLATE_GRANULES};
use crate::units::{GRANULE_BYTES, LARGEST_BLOCK_OBJECT_BYTES, WORD_BYTES};
use crate::wrap_table::{Handle, Registration};

/// The version of the contract.
const ABI_VERSION: u32 = 1;

/// An operation's result, or 0.
#[inline(never)]
fn value(operation: Operation, a: u32, b: u32, c: u32) -> u32 {
    result_value(run(operation, [a, b, c, 0]))
}

/// 0, or the code of an operation's error.
#[inline(never)]
fn code(operation: Operation, a: u32, b: u32, c: u32, d: u32) -> u32 {
    result_code(run(operation, [a, b, c, d]))
}

#[inline(never)]
fn run(operation: Operation, operands: [u32; 4]) -> Result<u32, Error> {
    with_heap(|heap| perform(heap, operation, operands))
}

#[inline(always)]
fn result_value(result: Result<u32, Error>) -> u32 {
    result.unwrap_or_else(|error| {
        refuse(error);
        0
    })
}

#[inline(always)]
fn result_code<T>(result: Result<T, Error>) -> u32 {
    result.map_or_else(refuse, |_| 0)
}

/// Traps where there is no result.
#[inline(always)]
fn or_trap(reference: u32) -> u32 {
    if reference == 0 {
        core::arch::wasm32::unreachable()
    }
    reference
}

#[unsafe(no_mangle)]
extern "C" fn tether_abi_version() -> u32 {
    ABI_VERSION
}

#[unsafe(no_mangle)]
extern "C" fn tether_start(options: u32) -> u32 {
    if options == 0 {
        return result_code(start(Options::DEFAULT, 0));
    }
    result_code(read_options(options).and_then(|core| {
        let checked = core.options()?;
        if core.stack_base != 0 {
            let words = u64::from(checked.root_capacity) + 1;
            let bytes = u32::try_from(words * u64::from(WORD_BYTES)).unwrap_or(u32::MAX);
            check_memory(core.stack_base, bytes)?;
            if !core.stack_base.is_multiple_of(WORD_BYTES) {
                return Err(Error::InvalidRef { reference: core.stack_base });
            }
        }
        start(checked, core.stack_base)
    }))
}

fn read_options(address: u32) -> Result<CoreOptions, Error> {
    check_memory(address, size_of::<CoreOptions>() as u32)?;
    // SAFETY: the range is memory, and any words are options.
    Ok(unsafe { (address as *const CoreOptions).read_unaligned() })
}

#[unsafe(no_mangle)]
extern "C" fn tether_close() -> u32 {
    code(Operation::Close, 0, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_define_layout(
    fixed_words: u32,
    fixed_references: u64,
    element_words: u32,
    element_references: u64,
) -> u32 {
    let fixed = Words::new(fixed_words, fixed_references);
    let element = Words::new(element_words, element_references);
    result_value(with_heap(|heap| heap.define_layout(fixed, element)))
}

#[unsafe(no_mangle)]
extern "C" fn tether_allocate(layout: u32, length: u32) -> u32 {
    value(Operation::Allocate, layout, length, 0)
}

/// Memory, for storing the metadata of an object that was bumped into the window.
#[inline(always)]
fn metadata_of_window() -> LinearMemory {
    // SAFETY: both callers store only to metadata of the hole at hand, which is free.
    unsafe { LinearMemory::new() }
}

/// From the end of the hole at hand, which is not zeroed; only the refill enters the heap.
#[unsafe(no_mangle)]
extern "C" fn tether_allocate_leaf(size_bytes: u32) -> u32 {
    let (limit, end) = (tether_state.limit.get(), tether_state.end.get());
    let rounded = (size_bytes.wrapping_add(GRANULE_BYTES - 1)) & !(GRANULE_BYTES - 1);
    // A size that wraps is 0 too.
    if rounded.wrapping_sub(1) < (end - limit).min(LARGEST_BLOCK_OBJECT_BYTES) {
        let address = end - rounded;
        tether_state.end.set(address);
        let mut memory = metadata_of_window();
        let colour = tether_state.colour.get() as u8;
        metadata::store_leaf(&mut memory, metadata::metadata_of(address), rounded, colour);
        return address;
    }
    allocate_leaf_slowly(size_bytes)
}

#[cold]
#[inline(never)]
fn allocate_leaf_slowly(size_bytes: u32) -> u32 {
    value(Operation::AllocateLeaf, size_bytes, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_allocate_conservative(size_bytes: u32) -> u32 {
    value(Operation::AllocateConservative, size_bytes, 0, 0)
}

/// What compiled code does in line, for code that does not; only the refill enters
/// the heap.
#[unsafe(no_mangle)]
extern "C" fn tether_allocate_small(granules: u32, template: u64) -> u32 {
    let address = tether_state.cursor.get();
    let size_bytes = granules.wrapping_mul(GRANULE_BYTES);
    if granules.wrapping_sub(1) < TEMPLATE_GRANULES
        && size_bytes <= tether_state.limit.get() - address
    {
        let metadata = clean(granules, template) | u64::from(tether_state.colour.get());
        tether_state.cursor.set(address + size_bytes);
        let mut memory = metadata_of_window();
        metadata::store_template(&mut memory, metadata::metadata_of(address), granules, metadata);
        return address;
    }
    allocate_small_slowly(granules, template)
}

#[cold]
#[inline(never)]
fn allocate_small_slowly(granules: u32, template: u64) -> u32 {
    result_value(with_heap(|heap| {
        heap.allocate_small(granules, metadata::template_references(template))
    }))
}

/// A template that means what the caller's reference bits say, and nothing else.
fn clean(granules: u32, template: u64) -> u64 {
    metadata::template(granules, metadata::template_references(template))
}

#[unsafe(no_mangle)]
extern "C" fn tether_allocate_aligned(layout: u32, length: u32, alignment: u32) -> u32 {
    value(Operation::AllocateAligned, layout, length, alignment)
}

#[unsafe(no_mangle)]
extern "C" fn tether_allocate_or_trap(layout: u32, length: u32) -> u32 {
    or_trap(tether_allocate(layout, length))
}

#[unsafe(no_mangle)]
extern "C" fn tether_allocate_leaf_or_trap(size_bytes: u32) -> u32 {
    or_trap(tether_allocate_leaf(size_bytes))
}

#[unsafe(no_mangle)]
extern "C" fn tether_allocate_conservative_or_trap(size_bytes: u32) -> u32 {
    or_trap(tether_allocate_conservative(size_bytes))
}

#[unsafe(no_mangle)]
extern "C" fn tether_allocate_small_or_trap(granules: u32, template: u64) -> u32 {
    or_trap(tether_allocate_small(granules, template))
}

#[unsafe(no_mangle)]
extern "C" fn tether_collect() -> u32 {
    code(Operation::Collect, 0, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_set_least_freed(percent: u32) -> u32 {
    code(Operation::SetLeastFreed, percent, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_is_object(address: u32) -> u32 {
    value(Operation::IsObject, address, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_size_of(object: u32) -> u32 {
    value(Operation::SizeOf, object, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_push(object: u32) -> u32 {
    code(Operation::Push, object, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_push_or_trap(object: u32) -> u32 {
    if tether_push(object) != 0 {
        core::arch::wasm32::unreachable()
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn tether_pop() -> u32 {
    value(Operation::Pop, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_truncate(depth: u32) -> u32 {
    code(Operation::Truncate, depth, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_enter_scope() -> u32 {
    code(Operation::EnterScope, 0, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_leave_scope(keep: u32) -> u32 {
    code(Operation::LeaveScope, keep, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_pin(object: u32) -> u32 {
    code(Operation::Pin, object, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_unpin(object: u32) -> u32 {
    code(Operation::Unpin, object, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_add_roots(begin: u32, end: u32) -> u32 {
    code(Operation::AddRoots, begin, end, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_remove_roots(begin: u32) -> u32 {
    code(Operation::RemoveRoots, begin, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_register(wrapper: u32, kind: u32, handle: u32, weight_bytes: u32) -> u32 {
    let registration = Registration { wrapper, kind, handle, weight_bytes };
    if DOOR.idle().and_then(|heap| heap.register_quickly(registration)).is_some() {
        return 0;
    }
    code(Operation::Register, wrapper, kind, handle, weight_bytes)
}

#[unsafe(no_mangle)]
extern "C" fn tether_register_or_trap(
    wrapper: u32,
    kind: u32,
    handle: u32,
    weight_bytes: u32,
) -> u32 {
    if tether_register(wrapper, kind, handle, weight_bytes) != 0 {
        core::arch::wasm32::unreachable()
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn tether_wrap(kind: u32, handle: u32, weight_bytes: u32) -> u32 {
    let wrapper = wrap_in_window(kind, handle, weight_bytes);
    if wrapper != 0 {
        return wrapper;
    }
    value(Operation::Wrap, kind, handle, weight_bytes)
}

#[unsafe(no_mangle)]
extern "C" fn tether_wrap_or_trap(kind: u32, handle: u32, weight_bytes: u32) -> u32 {
    or_trap(tether_wrap(kind, handle, weight_bytes))
}

#[unsafe(no_mangle)]
extern "C" fn tether_handle_of(wrapper: u32, into: u32) -> u32 {
    result_code(with_heap(|heap| answer(into, heap.handle_of(wrapper)?)))
}

#[unsafe(no_mangle)]
extern "C" fn tether_set_weight(wrapper: u32, weight_bytes: u32) -> u32 {
    code(Operation::SetWeight, wrapper, weight_bytes, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_dispose(wrapper: u32) -> u32 {
    code(Operation::Dispose, wrapper, 0, 0, 0)
}

#[unsafe(no_mangle)]
extern "C" fn tether_drain(into: u32, max: u32) -> u32 {
    result_value(with_heap(|heap| {
        let count = heap.pending().min(max);
        if count == 0 {
            return Ok(0);
        }
        check_memory(into, count.saturating_mul(size_of::<Handle>() as u32))?;
        for index in 0..count {
            let Some(handle) = heap.drain_one() else { break };
            answer(into + index * size_of::<Handle>() as u32, handle)?;
        }
        heap.release_drained();
        REFUSED.0.set(REFUSED.0.get().min(heap.pending()));
        Ok(count)
    }))
}

#[unsafe(no_mangle)]
extern "C" fn tether_pending() -> u32 {
    value(Operation::Pending, 0, 0, 0)
}
