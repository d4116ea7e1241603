//! The component door: the functions of `wit/`.
//!
//! The build script makes the glue from `wit/`, by the canonical ABI that wit-bindgen's
//! library has ([`glue`]); [`Door`] implements its traits, each function by one operation
//! of the heap. There are two forms:
//!
//! - *Lifted*: the exports of a component, which has a memory of its own. A component is a crate
//!   of its own, which implements [`World`] and calls [`export_lifted!`]: `doors/collector`,
//!   `doors/collector-push`, `doors/collector-wasi`.
//! - *Lowered*: what a guest imports, for a guest in the same memory, with which `tether link` or
//!   wasm-ld has linked it. A module or library implements [`lists::Caller`], whose world is
//!   [`Linked`], and calls [`export_lowered!`] or [`export_symbols!`]: `doors/lowered-module`,
//!   `doors/lowered-library`.
//!
//! The door is for Wasm; natively there is nothing in this crate.

#![cfg(target_arch = "wasm32")]
#![no_std]

extern crate alloc;

pub mod answer;
mod exports;
mod linked;
pub mod lists;
pub mod types;

/// The functions and their traits, as the build script writes them from `wit/`.
#[expect(unsafe_code, reason = "generated: the canonical ABI")]
#[allow(unused_imports, unsafe_op_in_unsafe_fn, clippy::all, reason = "generated")]
pub mod glue {
    include!(concat!(env!("OUT_DIR"), "/glue.rs"));
}

pub use exports::Door;
pub use linked::Linked;

use tether_door::HeapCell;
use tether_gc::memory::linear::{LinearMemory, RustAllocator};
use tether_gc::{Error, Heap, Observer, Options};

#[global_allocator]
static ALLOCATOR: RustAllocator = RustAllocator;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// The differences between the worlds.
///
/// # Safety
///
/// If `CALLS_OUT` is false, nothing outside the module is called while an operation has the heap:
/// not by the observer, and not by a function of this trait.
#[expect(unsafe_code, reason = "the doors' quick cases rely on what a world says of itself")]
pub unsafe trait World: 'static {
    /// Who watches collections.
    type Observer: Observer;

    /// Whether something outside the module is called while an operation has the heap, which may
    /// call back in.
    const CALLS_OUT: bool;

    /// The one heap of the component.
    fn heap() -> &'static HeapCell<Self::Observer>;

    /// Starts the heap with options that the program gave.
    fn start(heap: &mut WorldHeap<Self>, options: Options) -> Result<(), Error> {
        heap.start(options)
    }

    /// Runs after each operation that may have released handles, when the heap is consistent
    /// and still busy.
    #[inline(always)]
    fn after(_heap: &mut WorldHeap<Self>) {}

    /// Told of each error that an operation ends with.
    #[inline(always)]
    fn refused(_heap: &WorldHeap<Self>, _error: &Error) {}

    /// The longest and the total pause, in nanoseconds, if there is a clock.
    fn pauses(_observer: &Self::Observer) -> (u64, u64) {
        (0, 0)
    }
}

/// The heap of a world.
pub type WorldHeap<W> = Heap<LinearMemory, <W as World>::Observer>;
