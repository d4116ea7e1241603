//! The component door: the one heap of a `tether:gc` component.
//!
//! Only this module and those below it know WIT. Its functions are written against the
//! canonical ABI itself, and not generated from the WIT: an operation of the heap takes
//! some ten instructions, and generated glue took some two hundred. What a function's
//! parameters and results are is checked when the component is made, against `wit/`.
//!
//! An operation that may collect goes through [`with_heap`], which starts the heap at the
//! first one, answers `busy` to a call that comes from inside another, and, in the world
//! that pushes, hands released handles to the host when the operation is over. What can
//! do neither may go without that, through [`Place::idle`].

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
use crate::door::place::Place;
use crate::error::Error;
use crate::heap::Heap;
use crate::memory::linear::LinearMemory;
use crate::roots::Roots;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

type ComponentHeap = Heap<LinearMemory, watch::Watch>;

static DOOR: Place<watch::Watch> = Place::new(watch::NOBODY);

#[inline(never)]
fn start(heap: &mut ComponentHeap, options: Options) -> Result<(), Error> {
    canonical::reserve_lists();
    let options = watch::from_environment(heap, options);
    heap.start(options, Roots::new(options.root_capacity))
}

/// Takes the heap for one operation, starting it at the first one.
#[inline(never)]
fn enter() -> Result<&'static mut ComponentHeap, Error> {
    DOOR.enter(|heap| start(heap, Options::DEFAULT))
}

/// Starts the heap, if it is not.
fn configure(options: Options) -> Result<(), Error> {
    DOOR.start(|heap| start(heap, options))?;
    DOOR.leave();
    Ok(())
}

/// The heap, started at the first operation, for what neither collects nor calls out.
fn idle_heap() -> Result<&'static mut ComponentHeap, Error> {
    enter().inspect(|_| DOOR.leave())
}

/// Runs an operation on the heap, starting it at the first one; then released
/// handles are delivered.
#[inline]
fn with_heap<R>(
    operation: impl FnOnce(&mut ComponentHeap) -> Result<R, Error>,
) -> Result<R, Error> {
    let heap = enter()?;
    let result = operation(heap);
    #[cfg(feature = "component-wasi")]
    if let Err(error) = &result {
        watch::refused(heap, error);
    }
    deliver(heap);
    DOOR.leave();
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
