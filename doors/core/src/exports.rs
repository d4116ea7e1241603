//! The core door's functions, as `tether_gc.h` declares them.
//!
//! A reference, an address and a count are each an `i32` on Wasm, so all of them
//! are `u32` here. An operation gives its result, or 0; one without a result gives
//! 0, or the error's code.
//!
//! Most operations take words and give a word. They go through `Door::run`, which enters the
//! heap in one piece of code and not in one for each function.

use crate::{
    CoreHeap, Door, HEAP, Program, REFUSED, answer, check_memory, refuse, start, tether_state,
};
use tether_door::OptionWords;
use tether_gc::layout::CONSERVATIVE;
use tether_gc::memory::linear::LinearMemory;
use tether_gc::window;
use tether_gc::{Error, Handle, Options, Words};

/// The version of the contract.
const ABI_VERSION: u32 = 1;

/// Bytes in a granule.
const GRANULE_BYTES: u32 = 8;

/// An operation of words: its result, or 0 if it has none.
type Operation = fn(&mut CoreHeap, [u32; 4]) -> Result<u32, Error>;

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

/// Traps if there is no result.
#[inline(always)]
fn or_trap(reference: u32) -> u32 {
    if reference == 0 {
        core::arch::wasm32::unreachable()
    }
    reference
}

/// Traps if there is an error.
#[inline(always)]
fn code_or_trap(code: u32) -> u32 {
    if code != 0 {
        core::arch::wasm32::unreachable()
    }
    0
}

fn read_options(address: u32) -> Result<OptionWords, Error> {
    check_memory(address, size_of::<OptionWords>() as u32)?;
    // SAFETY: the range is memory, and any words are options.
    Ok(unsafe { (address as *const OptionWords).read_unaligned() })
}

/// Memory, for storing the metadata of an object that is made in the window.
#[inline(always)]
fn metadata_of_window() -> LinearMemory {
    // SAFETY: both callers store only to metadata of the hole at hand, which is free.
    unsafe { LinearMemory::new() }
}

#[expect(missing_docs, reason = "the header and docs/core-abi.md say what each does")]
impl<P: Program> Door<P> {
    #[inline(never)]
    fn run(operation: Operation, operands: [u32; 4]) -> Result<u32, Error> {
        Self::with_heap(|heap| operation(heap, operands))
    }

    /// The result of an operation, or 0.
    #[inline(never)]
    fn value(operation: Operation, a: u32, b: u32, c: u32) -> u32 {
        result_value(Self::run(operation, [a, b, c, 0]))
    }

    /// 0, or the code of an operation's error.
    #[inline(never)]
    fn code(operation: Operation, a: u32, b: u32, c: u32, d: u32) -> u32 {
        result_code(Self::run(operation, [a, b, c, d]))
    }

    #[cold]
    #[inline(never)]
    fn refill_for_leaf(size_bytes: u32) -> u32 {
        Self::value(|heap, [size_bytes, ..]| heap.allocate_leaf(size_bytes), size_bytes, 0, 0)
    }

    #[cold]
    #[inline(never)]
    fn refill_for_small(granules: u32, template: u64) -> u32 {
        let references = window::template_references(template);
        result_value(Self::with_heap(|heap| heap.allocate_small(granules, references)))
    }

    pub fn tether_abi_version() -> u32 {
        ABI_VERSION
    }

    pub fn tether_start(options: u32) -> u32 {
        if options == 0 {
            return result_code(start(Options::DEFAULT, 0));
        }
        result_code(
            read_options(options).and_then(|words| start(words.options()?, words.stack_base)),
        )
    }

    pub fn tether_close() -> u32 {
        Self::code(|heap, _| heap.close(), 0, 0, 0, 0)
    }

    pub fn tether_define_layout(
        fixed_words: u32,
        fixed_references: u64,
        element_words: u32,
        element_references: u64,
    ) -> u32 {
        let fixed = Words::new(fixed_words, fixed_references);
        let element = Words::new(element_words, element_references);
        result_value(Self::with_heap(|heap| heap.define_layout(fixed, element)))
    }

    pub fn tether_allocate(layout: u32, length: u32) -> u32 {
        Self::value(|heap, [layout, length, ..]| heap.allocate(layout, length), layout, length, 0)
    }

    pub fn tether_allocate_leaf(size_bytes: u32) -> u32 {
        let free = (tether_state.limit.get(), tether_state.end.get());
        let colour = tether_state.colour.get() as u8;
        if let Some(leaf) = window::make_leaf(&mut metadata_of_window(), free, colour, size_bytes) {
            tether_state.end.set(leaf);
            return leaf;
        }
        Self::refill_for_leaf(size_bytes)
    }

    pub fn tether_allocate_conservative(size_bytes: u32) -> u32 {
        Self::value(
            |heap, [size_bytes, ..]| heap.allocate(CONSERVATIVE, size_bytes),
            size_bytes,
            0,
            0,
        )
    }

    /// Allocates as compiled code does in line, for code that does not.
    pub fn tether_allocate_small(granules: u32, template: u64) -> u32 {
        let free = (tether_state.cursor.get(), tether_state.limit.get());
        let colour = tether_state.colour.get() as u8;
        let memory = &mut metadata_of_window();
        if let Some(object) = window::make_small(memory, free, colour, granules, template) {
            tether_state.cursor.set(object + granules * GRANULE_BYTES);
            return object;
        }
        Self::refill_for_small(granules, template)
    }

    pub fn tether_allocate_aligned(layout: u32, length: u32, alignment: u32) -> u32 {
        Self::value(
            |heap, [layout, length, alignment, _]| heap.allocate_aligned(layout, length, alignment),
            layout,
            length,
            alignment,
        )
    }

    pub fn tether_allocate_or_trap(layout: u32, length: u32) -> u32 {
        or_trap(Self::tether_allocate(layout, length))
    }

    pub fn tether_allocate_leaf_or_trap(size_bytes: u32) -> u32 {
        or_trap(Self::tether_allocate_leaf(size_bytes))
    }

    pub fn tether_allocate_conservative_or_trap(size_bytes: u32) -> u32 {
        or_trap(Self::tether_allocate_conservative(size_bytes))
    }

    pub fn tether_allocate_small_or_trap(granules: u32, template: u64) -> u32 {
        or_trap(Self::tether_allocate_small(granules, template))
    }

    pub fn tether_collect() -> u32 {
        Self::code(|heap, _| heap.collect().map(|()| 0), 0, 0, 0, 0)
    }

    pub fn tether_set_least_freed(percent: u32) -> u32 {
        Self::code(
            |heap, [percent, ..]| heap.set_least_freed(percent).map(|()| 0),
            percent,
            0,
            0,
            0,
        )
    }

    pub fn tether_is_object(address: u32) -> u32 {
        Self::value(|heap, [address, ..]| Ok(u32::from(heap.is_object(address))), address, 0, 0)
    }

    pub fn tether_size_of(object: u32) -> u32 {
        Self::value(|heap, [object, ..]| heap.size_of(object), object, 0, 0)
    }

    pub fn tether_push(object: u32) -> u32 {
        Self::code(|heap, [object, ..]| heap.push(object).map(|()| 0), object, 0, 0, 0)
    }

    pub fn tether_push_or_trap(object: u32) -> u32 {
        code_or_trap(Self::tether_push(object))
    }

    pub fn tether_pop() -> u32 {
        Self::value(|heap, _| heap.pop(), 0, 0, 0)
    }

    pub fn tether_truncate(depth: u32) -> u32 {
        Self::code(|heap, [depth, ..]| heap.truncate(depth).map(|()| 0), depth, 0, 0, 0)
    }

    pub fn tether_enter_scope() -> u32 {
        Self::code(|heap, _| heap.enter_scope().map(|()| 0), 0, 0, 0, 0)
    }

    pub fn tether_leave_scope(keep: u32) -> u32 {
        Self::code(|heap, [keep, ..]| heap.leave_scope(keep).map(|()| 0), keep, 0, 0, 0)
    }

    pub fn tether_pin(object: u32) -> u32 {
        Self::code(|heap, [object, ..]| heap.pin(object), object, 0, 0, 0)
    }

    pub fn tether_unpin(object: u32) -> u32 {
        Self::code(|heap, [object, ..]| heap.unpin(object), object, 0, 0, 0)
    }

    pub fn tether_add_roots(begin: u32, end: u32) -> u32 {
        Self::code(
            |heap, [begin, end, ..]| heap.add_roots(begin, end).map(|()| 0),
            begin,
            end,
            0,
            0,
        )
    }

    pub fn tether_remove_roots(begin: u32) -> u32 {
        Self::code(|heap, [begin, ..]| heap.remove_roots(begin).map(|()| 0), begin, 0, 0, 0)
    }

    pub fn tether_register(wrapper: u32, kind: u32, handle: u32, weight_bytes: u32) -> u32 {
        // The window need not be taken over: neither the hole nor the roots are touched.
        // SAFETY: registering like this does not collect.
        let registered = unsafe {
            HEAP.with_idle(|heap| heap.try_register(wrapper, kind, handle, weight_bytes))
        };
        if registered == Some(Some(())) {
            return 0;
        }
        let register: Operation = |heap, [wrapper, kind, handle, weight_bytes]| {
            heap.register_in_full(wrapper, kind, handle, weight_bytes).map(|()| 0)
        };
        Self::code(register, wrapper, kind, handle, weight_bytes)
    }

    pub fn tether_register_or_trap(wrapper: u32, kind: u32, handle: u32, weight_bytes: u32) -> u32 {
        code_or_trap(Self::tether_register(wrapper, kind, handle, weight_bytes))
    }

    pub fn tether_wrap(kind: u32, handle: u32, weight_bytes: u32) -> u32 {
        let free = (tether_state.cursor.get(), tether_state.limit.get());
        // SAFETY: wrapping like this does not collect.
        let wrapped =
            unsafe { HEAP.with_idle(|heap| heap.wrap_in_window(free, kind, handle, weight_bytes)) };
        if let Some(Some(wrapper)) = wrapped {
            tether_state.cursor.set(wrapper + GRANULE_BYTES);
            return wrapper;
        }
        let wrap: Operation =
            |heap, [kind, handle, weight_bytes, _]| heap.wrap_in_full(kind, handle, weight_bytes);
        Self::value(wrap, kind, handle, weight_bytes)
    }

    pub fn tether_wrap_or_trap(kind: u32, handle: u32, weight_bytes: u32) -> u32 {
        or_trap(Self::tether_wrap(kind, handle, weight_bytes))
    }

    pub fn tether_handle_of(wrapper: u32, into: u32) -> u32 {
        result_code(Self::with_heap(|heap| answer(into, heap.handle_of(wrapper)?)))
    }

    pub fn tether_set_weight(wrapper: u32, weight_bytes: u32) -> u32 {
        Self::code(
            |heap, [wrapper, weight, ..]| heap.set_weight(wrapper, weight).map(|()| 0),
            wrapper,
            weight_bytes,
            0,
            0,
        )
    }

    pub fn tether_dispose(wrapper: u32) -> u32 {
        Self::code(|heap, [wrapper, ..]| heap.dispose(wrapper).map(|()| 0), wrapper, 0, 0, 0)
    }

    pub fn tether_drain(into: u32, max: u32) -> u32 {
        result_value(Self::with_heap(|heap| {
            let count = heap.pending().min(max);
            if count == 0 {
                return Ok(0);
            }
            check_memory(into, count.saturating_mul(size_of::<Handle>() as u32))?;
            for index in 0..count {
                let Some(handle) = heap.drain_one() else { break };
                answer(into + index * size_of::<Handle>() as u32, handle)?;
            }
            REFUSED.0.set(REFUSED.0.get().min(heap.pending()));
            Ok(count)
        }))
    }

    pub fn tether_pending() -> u32 {
        Self::value(|heap, _| Ok(heap.pending()), 0, 0, 0)
    }
}
