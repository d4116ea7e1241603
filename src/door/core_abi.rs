//! The core door: the one heap of a module, by plain functions and words.
//!
//! `tether_gc.h` beside the sources declares what stands here, and docs/core-abi.md
//! is the contract. Compiled code may use the words of [`tether_state`] itself: the
//! cursor, the shadow stack's top. Each operation takes over what was done with
//! them, does its work, and publishes them again ([`with_heap`]).
//!
//! Nothing traps but the forms that say so. Addresses that the collector is to write
//! answers to are checked to be memory; whether they are the caller's to give is the
//! caller's matter.

#![expect(
    unsafe_code,
    reason = "exported functions, an import, and answers in the caller's memory"
)]

#[cfg(feature = "core-diagnostics")]
mod diagnostics;
mod exports;

use crate::config::Options;
use crate::door::place::Place;
use crate::door::words::{OptionWords, error_words};
use crate::error::Error;
use crate::heap::{Heap, Window};
use crate::memory::linear::LinearMemory;
use crate::observer::Silent;
use crate::roots::Roots;
use crate::units::{BLOCK_SHIFT, GRANULE_BYTES};
use crate::wrap_table::{Handle, Registration};
use core::arch::wasm32::memory_size;
use core::cell::Cell;
use core::ptr;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// The words that compiled code may use; `struct tether_state` in the header.
#[repr(C)]
pub struct State {
    cursor: Cell<u32>,
    limit: Cell<u32>,
    colour: Cell<u32>,
    stack_top: Cell<u32>,
    stack_limit: Cell<u32>,
    stack_base: Cell<u32>,
    last_error: Cell<u32>,
    last_error_value: Cell<u32>,
    end: Cell<u32>,
}

// SAFETY: memory::linear refuses builds with threads.
unsafe impl Sync for State {}

#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "a C name")]
pub static tether_state: State = State {
    cursor: Cell::new(0),
    limit: Cell::new(0),
    colour: Cell::new(0),
    stack_top: Cell::new(0),
    stack_limit: Cell::new(0),
    stack_base: Cell::new(0),
    last_error: Cell::new(0),
    last_error_value: Cell::new(0),
    end: Cell::new(0),
};

type CoreHeap = Heap<LinearMemory, Silent>;

static DOOR: Place<Silent> = Place::new(Silent);

/// How many released handles the program was offered and did not take: they wait
/// for `tether_drain`, and are offered again with others.
struct Refused(Cell<u32>);

// SAFETY: as `State`.
unsafe impl Sync for Refused {}

static REFUSED: Refused = Refused(Cell::new(0));

// A linker resolves it by its plain name; a module imports it.
#[cfg_attr(not(feature = "core-library"), link(wasm_import_module = "tether:host"))]
unsafe extern "C" {
    /// The host, or the program, takes released handles; gives how many it took.
    fn tether_release(handles: *const Handle, count: u32) -> u32;
}

/// Notes an error, and gives its code.
#[cold]
#[inline(never)]
fn refuse(error: Error) -> u32 {
    let (code, value) = error_words(error);
    tether_state.last_error.set(code);
    tether_state.last_error_value.set(value);
    code
}

/// Ends an operation: publishes what compiled code may do next.
#[inline(never)]
fn leave(heap: &CoreHeap) {
    publish(heap.window());
    DOOR.leave();
}

#[inline(never)]
fn publish(window: Window) {
    tether_state.cursor.set(window.cursor);
    tether_state.limit.set(window.limit);
    tether_state.end.set(window.end);
    tether_state.colour.set(u32::from(window.colour));
    tether_state.stack_top.set(window.stack_top);
    tether_state.stack_limit.set(window.stack_limit);
    tether_state.stack_base.set(window.stack_base);
}

/// Starts the heap, if it is not. Its shadow stack is at `stack_base`, in memory of the
/// program's own, unless that is 0.
fn start(options: Options, stack_base: u32) -> Result<(), Error> {
    let roots = match stack_base {
        0 => Roots::new(options.root_capacity),
        address => Roots::in_place(options.root_capacity, address),
    };
    leave(DOOR.start(|heap| heap.start(options, roots))?);
    Ok(())
}

/// Takes the heap for one operation, starting it at the first one, and takes over
/// what compiled code did since the last.
#[inline(never)]
fn enter() -> Result<&'static mut CoreHeap, Error> {
    let heap = DOOR.enter(|heap| {
        heap.start(Options::DEFAULT, Roots::new(Options::DEFAULT.root_capacity))?;
        publish(heap.window());
        Ok(())
    })?;
    let (cursor, end) = (tether_state.cursor.get(), tether_state.end.get());
    if let Err(error) = heap.adopt(cursor, end, tether_state.stack_top.get()) {
        DOOR.leave();
        return Err(error);
    }
    Ok(heap)
}

/// Runs an operation on the heap; then released handles are offered.
#[inline(always)]
fn with_heap<R>(operation: impl FnOnce(&mut CoreHeap) -> Result<R, Error>) -> Result<R, Error> {
    let heap = enter()?;
    let result = operation(heap);
    if heap.pending() > REFUSED.0.get() {
        offer(heap);
    }
    leave(heap);
    result
}

/// Wraps a handle without more ado, where the window has a granule and the wrap table
/// an entry; 0 where not.
#[inline]
fn wrap_in_window(kind: u32, handle: u32, weight_bytes: u32) -> u32 {
    let wrapper = tether_state.cursor.get();
    let size_bytes = GRANULE_BYTES;
    if tether_state.limit.get() - wrapper < size_bytes {
        return 0;
    }
    let Some(heap) = DOOR.idle() else {
        return 0;
    };
    if !heap.is_ready_to_wrap(weight_bytes) {
        return 0;
    }
    tether_state.cursor.set(wrapper + size_bytes);
    heap.wrap_in_window(Registration { wrapper, kind, handle, weight_bytes });
    wrapper
}

/// Offers released handles to the program, a batch at a time, for as long as it
/// takes them. The heap is consistent, and still taken, so that a call back in
/// finds it busy; the window is shut, so that code in line makes such a call. What was
/// taken is out of the heap before the program sees it, and
/// what is not taken goes back: none comes twice.
#[inline(never)]
fn offer(heap: &mut CoreHeap) {
    const BATCH: usize = 256;
    publish(Window { cursor: 0, limit: 0, end: 0, ..heap.window() });
    let mut batch = [Handle { kind: 0, handle: 0 }; BATCH];
    loop {
        // No more than there are: looking for another would end a closed heap's table.
        let waiting = (heap.pending() as usize).min(BATCH);
        let count = heap.drain(&mut batch[..waiting]);
        // SAFETY: the batch has `count` handles. What the import does with its own
        // memory is the program's matter.
        let taken = unsafe { tether_release(batch.as_ptr(), count as u32) } as usize;
        if taken < count {
            heap.put_back((count - taken) as u32);
        }
        if taken < count || heap.pending() == 0 {
            heap.release_drained();
            return REFUSED.0.set(heap.pending());
        }
    }
}

/// Writes an answer to an address that the caller gave.
///
/// Errors: `OutOfBounds` where there is no memory.
fn answer<T>(address: u32, value: T) -> Result<(), Error> {
    check_memory(address, size_of::<T>() as u32)?;
    // SAFETY: the range is memory, and the caller's to give.
    unsafe { ptr::write_unaligned(address as *mut T, value) };
    Ok(())
}

/// Checks that there is memory at an address that the caller gave.
fn check_memory(address: u32, size_bytes: u32) -> Result<(), Error> {
    let end = (memory_size(0) as u64) << BLOCK_SHIFT;
    if address == 0 || u64::from(address) + u64::from(size_bytes) > end {
        return Err(Error::OutOfBounds { size_bytes });
    }
    Ok(())
}

/// `tether_options`: 0 in a field means its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CoreOptions {
    heap_limit_bytes: u32,
    root_capacity: u32,
    stack_base: u32,
    wrap_capacity: u32,
    wrap_limit: u32,
    handle_floor: u32,
    weight_floor_bytes: u32,
    sizing: u32,
    sizing_value: u32,
    stress: u32,
    interior_pointers: u32,
}

impl CoreOptions {
    fn options(&self) -> Result<Options, Error> {
        let words = OptionWords {
            heap_limit_bytes: self.heap_limit_bytes,
            root_capacity: self.root_capacity,
            wrap_capacity: self.wrap_capacity,
            wrap_limit: self.wrap_limit,
            handle_floor: self.handle_floor,
            weight_floor_bytes: self.weight_floor_bytes,
            sizing: self.sizing,
            sizing_value: self.sizing_value,
            stress: self.stress,
            interior_pointers: self.interior_pointers,
        };
        words.options()
    }
}
