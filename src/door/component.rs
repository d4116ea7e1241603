//! The component door: the one heap of a `tether:gc` component.
//!
//! Only this module and those below it know WIT. A call from outside goes
//! through [`with_heap`], which makes the heap at the first one, answers `busy` to
//! a call that comes from inside another, and, in the world that pushes, hands
//! released handles to the host when the operation is over.

mod convert;
mod exports;
#[cfg(not(feature = "component-wasi"))]
mod silent;
#[cfg(feature = "component-wasi")]
mod wasi;

#[cfg(not(feature = "component-wasi"))]
use silent as watch;
#[cfg(feature = "component-wasi")]
use wasi as watch;

extern crate alloc;

use crate::config::Options;
use crate::error::Error;
use crate::heap::Heap;
use crate::memory::linear::{LinearMemory, RustAllocator};
use alloc::vec::Vec;
use bindings::exports::tether::gc::types::Error as WitError;
use core::cell::{Cell, UnsafeCell};

#[expect(unsafe_code, reason = "generated: lowering and lifting of the component's types")]
#[allow(clippy::all, reason = "generated")]
mod bindings {
    #[cfg(not(any(feature = "component-push", feature = "component-wasi")))]
    wit_bindgen::generate!({ path: "wit", world: "tether:gc/collector", disable_run_ctors_once_workaround: true });
    #[cfg(feature = "component-push")]
    wit_bindgen::generate!({ path: "wit", world: "tether:gc/collector-push", disable_run_ctors_once_workaround: true });
    #[cfg(feature = "component-wasi")]
    wit_bindgen::generate!({ path: "wit", world: "tether:gc/collector-wasi", disable_run_ctors_once_workaround: true });

    use super::exports::Component;
    export!(Component);
}

#[global_allocator]
static ALLOCATOR: RustAllocator = RustAllocator;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

type ComponentHeap = Heap<LinearMemory, watch::Watch>;

/// The heap, once there is one, and whether an operation has it.
struct Door {
    heap: UnsafeCell<Option<ComponentHeap>>,
    busy: Cell<bool>,
    /// Why the last `enter` gave nothing.
    refusal: Cell<Error>,
}

#[expect(unsafe_code, reason = "a static needs Sync, and the target has one thread")]
// SAFETY: memory::linear refuses builds with threads.
unsafe impl Sync for Door {}

static DOOR: Door =
    Door { heap: UnsafeCell::new(None), busy: Cell::new(false), refusal: Cell::new(Error::Busy) };

/// Bytes that the Rust allocator has from the start, so that lists up to about
/// that length can be passed when memory is exhausted.
const LIST_RESERVE_BYTES: usize = 100_000;

#[inline(never)]
fn open(place: &mut Option<ComponentHeap>, options: Options) -> Result<(), Error> {
    let mut reserve: Vec<u8> = Vec::new();
    // Where even this cannot be had, the heap will say so.
    let _ = reserve.try_reserve_exact(LIST_RESERVE_BYTES);
    drop(reserve);
    #[expect(unsafe_code, reason = "the heap is what linear memory is for")]
    // SAFETY: the value goes straight to a heap.
    let memory = unsafe { LinearMemory::new() };
    let (options, watch) = watch::from_environment(options);
    *place = Some(Heap::with_observer(memory, options, watch)?);
    Ok(())
}

/// Takes the heap's place for one operation, unless another has it. `leave` ends it.
#[inline(never)]
fn take_place() -> Option<&'static mut Option<ComponentHeap>> {
    if DOOR.busy.replace(true) {
        DOOR.refusal.set(Error::Busy);
        return None;
    }
    #[expect(
        unsafe_code,
        reason = "the flag is what a RefCell would have, with less code in each export"
    )]
    // SAFETY: the flag was down, so no other reference is alive; it stays up until
    // `leave`, after which no caller uses this one.
    Some(unsafe { &mut *DOOR.heap.get() })
}

fn leave() {
    DOOR.busy.set(false);
}

/// Takes the heap for one operation, making it at the first one.
#[inline(never)]
fn enter() -> Option<&'static mut ComponentHeap> {
    let place = take_place()?;
    if place.is_none()
        && let Err(error) = open(place, Options::DEFAULT)
    {
        DOOR.refusal.set(error);
    }
    if place.is_none() {
        leave();
    }
    place.as_mut()
}

/// Makes the heap, if there is none yet.
fn configure(options: Options) -> Result<(), WitError> {
    let place = take_place().ok_or(Error::Busy)?;
    let result = if place.is_some() { Err(Error::AlreadyStarted) } else { open(place, options) };
    leave();
    Ok(result?)
}

/// Runs an operation on the heap, making it at the first one; then released
/// handles are delivered.
#[inline]
fn with_heap<R>(
    operation: impl FnOnce(&mut ComponentHeap) -> Result<R, Error>,
) -> Result<R, WitError> {
    let result = match enter() {
        Some(heap) => {
            let result = operation(heap);
            #[cfg(feature = "component-wasi")]
            if let Err(error) = &result {
                watch::refused(heap, error);
            }
            deliver(heap);
            leave();
            result
        }
        None => Err(DOOR.refusal.get()),
    };
    Ok(result?)
}

/// Looks at the heap; nothing where it is busy, or cannot be made.
#[inline]
fn look<R>(operation: impl FnOnce(&ComponentHeap) -> R) -> Option<R> {
    let result = operation(enter()?);
    leave();
    Some(result)
}

/// The language drains released handles itself.
#[cfg(not(feature = "component-push"))]
fn deliver(_: &mut ComponentHeap) {}

/// Hands released handles to the host, a batch at a time. The heap is
/// consistent, and still taken, so that a call back in finds it busy. A handle is
/// out of the heap before the host sees it, and so can never come twice.
#[cfg(feature = "component-push")]
fn deliver(heap: &mut ComponentHeap) {
    use bindings::tether::gc::releaser;
    use bindings::tether::gc::releaser::Released;
    const BATCH: usize = 256;

    while heap.pending() > 0 {
        let mut batch = [Released { kind: 0, handle: 0 }; BATCH];
        let mut count = 0;
        while count < BATCH
            && let Some(dead) = heap.drain_one()
        {
            batch[count] = Released { kind: dead.kind, handle: dead.handle };
            count += 1;
        }
        releaser::release(&batch[..count]);
    }
}
