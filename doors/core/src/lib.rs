//! The core door: the one heap of a module, by plain functions and words.
//!
//! `tether_gc.h` beside the sources declares what stands here, and docs/core-abi.md is the
//! contract. Compiled code may use the words of [`tether_state`] itself: the cursor, the shadow
//! stack's top. Each operation takes over what was done with them, does its work, and publishes
//! them again ([`Door`]).
//!
//! Only the forms whose names end in `_or_trap` trap. Addresses that the collector is to write
//! answers to are checked to be memory; whether they are the caller's to give is the
//! caller's matter.
//!
//! A module or library is a crate of its own, which names its [`Program`] and calls [`export!`]
//! and, if it has them, [`export_diagnostics!`]: `doors/core-module` and `doors/core-lean`, whose
//! program is [`Host`], and `doors/core-library`. The door is for Wasm; natively there is nothing in
//! this crate.

#![cfg(target_arch = "wasm32")]
#![no_std]
#![expect(unsafe_code, reason = "a static, an import, and answers in the caller's memory")]

mod diagnostics;
mod export;
mod exports;
mod host;
mod state;

pub use host::Host;
pub use state::{State, tether_state};

use core::arch::wasm32::memory_size;
use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr;
use state::publish;
use tether_door::HeapCell;
use tether_gc::memory::linear::LinearMemory;
use tether_gc::window::Window;
use tether_gc::{Error, Handle, Heap, Options, Silent};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// The heap of this door.
type CoreHeap = Heap<LinearMemory, Silent>;

static HEAP: HeapCell<Silent> = HeapCell::new(Silent);

/// How many released handles the program was offered and did not take: they wait
/// for `tether_drain`, and are offered again with others.
struct Refused(Cell<u32>);

// SAFETY: memory::linear refuses builds with threads.
unsafe impl Sync for Refused {}

static REFUSED: Refused = Refused(Cell::new(0));

/// The door's functions, for a program.
pub struct Door<P>(PhantomData<P>);

/// Who takes released handles.
pub trait Program {
    /// Offers released handles to the program; gives how many it took, from the first on.
    fn release(handles: &[Handle]) -> u32;
}

/// Notes an error for the program, and gives its code.
#[cold]
#[inline(never)]
fn refuse(error: Error) -> u32 {
    tether_state.last_error.set(error.code());
    tether_state.last_error_value.set(error.value());
    error.code()
}

/// Starts the heap. Its shadow stack is at `stack_base`, in memory of the program's own, unless
/// that is 0.
fn start(options: Options, stack_base: u32) -> Result<(), Error> {
    HEAP.start(|heap| {
        match stack_base {
            0 => heap.start(options)?,
            address => heap.start_on_stack(options, address)?,
        }
        publish(heap.window());
        Ok(())
    })
}

#[cold]
fn start_by_default(heap: &mut CoreHeap) -> Result<(), Error> {
    heap.start(Options::DEFAULT)?;
    publish(heap.window());
    Ok(())
}

#[inline(never)]
fn adopt(heap: &mut CoreHeap) -> Result<(), Error> {
    let (cursor, end) = (tether_state.cursor.get(), tether_state.end.get());
    heap.adopt(cursor, end, tether_state.stack_top.get())
}

impl<P: Program> Door<P> {
    /// Runs an operation on the heap, which is started at the first one: takes over what compiled
    /// code did since the last; then offers released handles, and publishes what compiled code may
    /// do next.
    ///
    /// Errors: `Busy`, `OutOfMemory` at the start, `RootStackFull` if compiled code left the shadow
    /// stack, and those of the operation.
    #[inline(always)]
    fn with_heap<R>(operation: impl FnOnce(&mut CoreHeap) -> Result<R, Error>) -> Result<R, Error> {
        HEAP.with(start_by_default, |heap| {
            adopt(heap)?;
            let result = operation(heap);
            Self::finish(heap);
            result
        })
    }

    #[inline(never)]
    fn finish(heap: &mut CoreHeap) {
        if heap.pending() > REFUSED.0.get() {
            Self::offer(heap);
        }
        publish(heap.window());
    }

    /// Offers released handles to the program, for as long as it takes them. The heap is
    /// consistent, and still taken, so that a call back in finds it busy; the window is shut, so
    /// that code in line makes such a call.
    #[inline(never)]
    fn offer(heap: &mut CoreHeap) {
        publish(Window { cursor: 0, limit: 0, end: 0, ..heap.window() });
        heap.offer(|batch| P::release(batch) as usize);
        REFUSED.0.set(heap.pending());
    }
}

/// Writes an answer to an address that the caller gave.
///
/// Errors: `OutOfBounds` if there is no memory at the address.
fn answer<T>(address: u32, value: T) -> Result<(), Error> {
    check_memory(address, size_of::<T>() as u32)?;
    // SAFETY: the range is memory, and the caller's to give.
    unsafe { ptr::write_unaligned(address as *mut T, value) };
    Ok(())
}

/// Checks that there is memory at an address that the caller gave.
fn check_memory(address: u32, size_bytes: u32) -> Result<(), Error> {
    let end = (memory_size(0) as u64) << 16;
    if address == 0 || u64::from(address) + u64::from(size_bytes) > end {
        return Err(Error::OutOfBounds { size_bytes });
    }
    Ok(())
}
