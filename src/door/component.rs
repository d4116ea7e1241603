//! The component door: the one heap of a `tether:gc` component.
//!
//! Only this module and those below it know WIT. Its functions are written against the
//! canonical ABI itself, and not generated from the WIT: an operation of the heap takes
//! some ten instructions, and generated glue took some two hundred. What a function's
//! parameters and results are is checked when the component is made, against `wit/`.
//!
//! An operation that may collect goes through [`with_heap`], which makes the heap at the
//! first one, answers `busy` to a call that comes from inside another, and, in the world
//! that pushes, hands released handles to the host when the operation is over. What can
//! do neither may go without that, through [`made_heap`].

#![expect(unsafe_code, reason = "the canonical ABI: exported functions, and lists by address")]

mod canonical;
mod exports;
#[cfg(not(feature = "component-wasi"))]
mod silent;
#[cfg(feature = "component-wasi")]
mod wasi;

#[cfg(not(feature = "component-wasi"))]
use silent as watch;
#[cfg(feature = "component-wasi")]
use wasi as watch;

use crate::config::Options;
use crate::error::Error;
use crate::heap::Heap;
use crate::memory::linear::LinearMemory;
use core::cell::{Cell, UnsafeCell};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

type ComponentHeap = Heap<LinearMemory, watch::Watch>;

/// The heap, once there is one, and whether an operation has it.
struct Door {
    heap: UnsafeCell<Option<ComponentHeap>>,
    busy: Cell<bool>,
}

// SAFETY: memory::linear refuses builds with threads.
unsafe impl Sync for Door {}

static DOOR: Door = Door { heap: UnsafeCell::new(None), busy: Cell::new(false) };

#[inline(never)]
fn open(place: &mut Option<ComponentHeap>, options: Options) -> Result<(), Error> {
    canonical::reserve_lists();
    // SAFETY: the value goes straight to a heap.
    let memory = unsafe { LinearMemory::new() };
    let (options, watch) = watch::from_environment(options);
    *place = Some(Heap::with_observer(memory, options, watch)?);
    Ok(())
}

/// Takes the heap's place for one operation, unless another has it. `leave` ends it.
fn take_place() -> Result<&'static mut Option<ComponentHeap>, Error> {
    if DOOR.busy.replace(true) {
        return Err(Error::Busy);
    }
    // SAFETY: the flag was down, so no other reference is alive; it stays up until
    // `leave`, after which no caller uses this one.
    Ok(unsafe { &mut *DOOR.heap.get() })
}

fn leave() {
    DOOR.busy.set(false);
}

/// Takes the heap for one operation, making it at the first one.
#[inline(never)]
fn enter() -> Result<&'static mut ComponentHeap, Error> {
    let place = take_place()?;
    if place.is_none()
        && let Err(error) = open(place, Options::DEFAULT)
    {
        leave();
        return Err(error);
    }
    place.as_mut().ok_or(Error::Busy)
}

/// The heap, where it was made and no operation has it, for what neither collects nor
/// calls out: nothing can come back to the door meanwhile, and so its flag stays down.
#[inline(always)]
fn made_heap() -> Option<&'static mut ComponentHeap> {
    if DOOR.busy.get() {
        return None;
    }
    // SAFETY: the flag is down, so no other reference is alive, and no caller keeps
    // this one until another operation.
    unsafe { &mut *DOOR.heap.get() }.as_mut()
}

/// The same, and makes it at the first operation.
fn idle_heap() -> Result<&'static mut ComponentHeap, Error> {
    enter().inspect(|_| leave())
}

/// Makes the heap, if there is none yet.
fn configure(options: Options) -> Result<(), Error> {
    let place = take_place()?;
    let result = if place.is_some() { Err(Error::AlreadyStarted) } else { open(place, options) };
    leave();
    result
}

/// Runs an operation on the heap, making it at the first one; then released
/// handles are delivered.
#[inline]
fn with_heap<R>(
    operation: impl FnOnce(&mut ComponentHeap) -> Result<R, Error>,
) -> Result<R, Error> {
    let heap = enter()?;
    let result = operation(heap);
    deliver(heap);
    leave();
    result
}

/// The language drains released handles itself.
#[cfg(not(feature = "component-push"))]
fn deliver(_: &mut ComponentHeap) {}

/// Hands released handles to the host, a batch at a time. The heap is
/// consistent, and still taken, so that a call back in finds it busy. A handle is
/// out of the heap before the host sees it, and so can never come twice.
#[cfg(feature = "component-push")]
#[inline(never)]
fn deliver(heap: &mut ComponentHeap) {
    use crate::wrap_table::Handle;

    #[link(wasm_import_module = "tether:gc/releaser@0.1.0")]
    unsafe extern "C" {
        /// A list of records of two words is as the canonical ABI wants it.
        fn release(batch: *const Handle, count: usize);
    }
    const BATCH: usize = 256;

    let mut batch = [Handle { kind: 0, handle: 0 }; BATCH];
    while heap.pending() > 0 {
        let count = heap.drain(&mut batch);
        // SAFETY: the batch has `count` handles, which the host only reads.
        unsafe { release(batch.as_ptr(), count) };
    }
}
