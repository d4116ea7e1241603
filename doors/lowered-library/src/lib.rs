//! The functions of `wit/` as a library for wasm-ld: their names are those under which the C of
//! wit-bindgen imports them. The language drains released handles itself.
//!
//! It is for Wasm; natively there is nothing in this crate.

#![cfg(target_arch = "wasm32")]
#![no_std]
#![expect(unsafe_code, reason = "an import, and the promise of what the world calls")]

use core::ptr;
use tether_component_door::lists::Caller;
use tether_component_door::{Door, World};
use tether_door::HeapCell;
use tether_gc::Silent;

/// The guest that the library is linked with.
struct Linked;

static HEAP: HeapCell<Silent> = HeapCell::new(Silent);

// SAFETY: only the caller's allocator is called, and no operation has the heap then.
unsafe impl World for Linked {
    type Observer = Silent;

    const CALLS_OUT: bool = false;

    fn heap() -> &'static HeapCell<Silent> {
        &HEAP
    }
}

impl Caller for Linked {
    unsafe fn allocate(align: usize, size_bytes: usize) -> *mut u8 {
        unsafe extern "C" {
            fn cabi_realloc(
                old: *mut u8,
                old_bytes: usize,
                align: usize,
                size_bytes: usize,
            ) -> *mut u8;
        }
        // SAFETY: as of the canonical ABI's `realloc`.
        unsafe { cabi_realloc(ptr::null_mut(), 0, align, size_bytes) }
    }
}

tether_component_door::export_symbols!(Door<Linked>);
