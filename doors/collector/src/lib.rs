//! The component of the world `collector`: the language drains released handles itself.
//!
//! It is for Wasm; natively there is nothing in this crate.

#![cfg(target_arch = "wasm32")]
#![no_std]
#![expect(unsafe_code, reason = "whether the world calls out is a promise")]

use tether_component_door::{Door, World};
use tether_door::HeapCell;
use tether_gc::Silent;

/// The world.
struct Collector;

static HEAP: HeapCell<Silent> = HeapCell::new(Silent);

// SAFETY: nothing is called at all.
unsafe impl World for Collector {
    type Observer = Silent;

    const CALLS_OUT: bool = false;

    fn heap() -> &'static HeapCell<Silent> {
        &HEAP
    }
}

tether_component_door::export_lifted!(Door<Collector>);
