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

use crate::config::{Options, Sizing};
use crate::error::Error;
use crate::heap::{Heap, Window};
use crate::memory::linear::LinearMemory;
use crate::observer::Silent;
use crate::units::{BLOCK_SHIFT, GRANULE_BYTES};
use crate::wrap_table::{Handle, Registration};
use core::arch::wasm32::memory_size;
use core::cell::{Cell, UnsafeCell};
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

/// The heap, once there is one, and whether an operation has it.
struct Door {
    heap: UnsafeCell<Option<CoreHeap>>,
    busy: Cell<bool>,
    /// How many released handles the program was offered and did not take: they wait
    /// for `tether_drain`, and are offered again with others.
    refused: Cell<u32>,
}

// SAFETY: as `State`.
unsafe impl Sync for Door {}

static DOOR: Door =
    Door { heap: UnsafeCell::new(None), busy: Cell::new(false), refused: Cell::new(0) };

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
    let (code, value) = match error {
        Error::OutOfMemory { needed_bytes } => (1, needed_bytes),
        Error::WrapTableFull { capacity } => (2, capacity),
        Error::RootStackFull { capacity } => (3, capacity),
        Error::NoSuchRoot { index } => (4, index),
        Error::NoScope => (5, 0),
        Error::InvalidRef { reference } => (6, reference),
        Error::InvalidLayout { layout } => (7, layout),
        Error::OutOfBounds { size_bytes } => (8, size_bytes),
        Error::ReferenceSlot { offset_bytes } => (9, offset_bytes),
        Error::AlreadyRegistered { reference } => (10, reference),
        Error::NotRegistered { reference } => (11, reference),
        Error::NotPinned { reference } => (12, reference),
        Error::InvalidInstruction { word } => (13, word),
        Error::InvalidOption { option } => (14, option as u32),
        Error::AlreadyStarted => (15, 0),
        Error::Busy => (16, 0),
        Error::Closed => (17, 0),
    };
    tether_state.last_error.set(code);
    tether_state.last_error_value.set(value);
    code
}

/// Takes the heap's place, unless an operation has it. `leave` ends it.
#[inline(never)]
fn take_place() -> Result<&'static mut Option<CoreHeap>, Error> {
    if DOOR.busy.replace(true) {
        return Err(Error::Busy);
    }
    // SAFETY: the flag was down, so no other reference is alive; it stays up until
    // `leave`, after which no caller uses this one.
    Ok(unsafe { &mut *DOOR.heap.get() })
}

/// Ends an operation: publishes what compiled code may do next.
#[inline(never)]
fn leave(heap: &CoreHeap) {
    publish(heap.window());
    DOOR.busy.set(false);
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

/// Makes the heap, if there is none yet.
fn start(options: Options, stack_base: u32) -> Result<(), Error> {
    let place = take_place()?;
    let made = if place.is_some() { Err(Error::AlreadyStarted) } else { make(options, stack_base) };
    match made {
        Ok(heap) => leave(place.insert(heap)),
        Err(error) => {
            DOOR.busy.set(false);
            return Err(error);
        }
    }
    Ok(())
}

#[inline(never)]
fn make(options: Options, stack_base: u32) -> Result<CoreHeap, Error> {
    // SAFETY: the value goes straight to a heap.
    let memory = unsafe { LinearMemory::new() };
    if stack_base == 0 {
        Heap::with_observer(memory, options, Silent)
    } else {
        Heap::with_stack_at(memory, options, Silent, stack_base)
    }
}

/// Takes the heap for one operation, making it at the first one, and takes over
/// what compiled code did since the last.
#[inline(never)]
fn enter() -> Result<&'static mut CoreHeap, Error> {
    let place = take_place()?;
    let entered = match place {
        Some(heap) => {
            let (cursor, end) = (tether_state.cursor.get(), tether_state.end.get());
            heap.adopt(cursor, end, tether_state.stack_top.get()).map(|()| heap)
        }
        None => make(Options::DEFAULT, 0).map(|heap| place.insert(heap)),
    };
    if entered.is_err() {
        DOOR.busy.set(false);
    }
    entered
}

/// Runs an operation on the heap; then released handles are offered.
#[inline(always)]
fn with_heap<R>(operation: impl FnOnce(&mut CoreHeap) -> Result<R, Error>) -> Result<R, Error> {
    let heap = enter()?;
    let result = operation(heap);
    if heap.pending() > DOOR.refused.get() {
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
    if DOOR.busy.get() || tether_state.limit.get() - wrapper < size_bytes {
        return 0;
    }
    // SAFETY: as in `take_place`; nothing in here comes back to the door.
    let Some(heap) = (unsafe { &mut *DOOR.heap.get() }) else {
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
            return DOOR.refused.set(heap.pending());
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
        let default = Options::DEFAULT;
        let or = |value: u32, default: u32| if value == 0 { default } else { value };
        let wrap_capacity = or(self.wrap_capacity, default.wrap_capacity);
        let sizing = match self.sizing {
            0 => default.sizing,
            1 => Sizing::Fixed { budget_bytes: self.sizing_value },
            2 => Sizing::Factor { percent: self.sizing_value },
            3 => Sizing::SquareRoot { percent: self.sizing_value },
            _ => return Err(Error::InvalidOption { option: crate::error::OptionName::Sizing }),
        };
        Ok(Options {
            heap_limit_bytes: match self.heap_limit_bytes {
                0 => default.heap_limit_bytes,
                limit => u64::from(limit),
            },
            root_capacity: or(self.root_capacity, default.root_capacity),
            wrap_capacity,
            wrap_limit: or(self.wrap_limit, wrap_capacity),
            handle_floor: or(self.handle_floor, default.handle_floor),
            weight_floor_bytes: or(self.weight_floor_bytes, default.weight_floor_bytes),
            sizing,
            stress: self.stress,
            #[cfg(feature = "stress")]
            stress_modes: default.stress_modes,
            interior_pointers: self.interior_pointers != 0,
        })
    }
}
