//! The component of the world `collector-push`: its host takes released handles as they come.
//!
//! It is for Wasm; natively there is nothing in this crate.

#![cfg(target_arch = "wasm32")]
#![no_std]
#![expect(unsafe_code, reason = "an import, and the promise of what the world calls")]

use tether_component_door::{Door, World, WorldHeap};
use tether_door::HeapCell;
use tether_gc::{Handle, Silent};

/// The world.
struct CollectorPush;

static HEAP: HeapCell<Silent> = HeapCell::new(Silent);

// SAFETY: `CALLS_OUT` is true.
unsafe impl World for CollectorPush {
    type Observer = Silent;

    const CALLS_OUT: bool = true;

    fn heap() -> &'static HeapCell<Silent> {
        &HEAP
    }

    #[inline(always)]
    fn after(heap: &mut WorldHeap<Self>) {
        if heap.pending() > 0 {
            deliver(heap);
        }
    }
}

/// Hands released handles to the host.
#[inline(never)]
fn deliver(heap: &mut WorldHeap<CollectorPush>) {
    #[link(wasm_import_module = "tether:gc/releaser@0.1.0")]
    unsafe extern "C" {
        /// A list of records of two words is as the canonical ABI wants it.
        fn release(batch: *const Handle, count: usize);
    }
    heap.offer(|batch| {
        // SAFETY: the batch has so many handles, which the host only reads.
        unsafe { release(batch.as_ptr(), batch.len()) };
        batch.len()
    });
}

tether_component_door::export_lifted!(Door<CollectorPush>);
