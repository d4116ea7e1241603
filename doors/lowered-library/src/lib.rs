//! The functions of `wit/` as a library for wasm-ld: their names are those under which the C of
//! wit-bindgen imports them. The language drains released handles itself.
//!
//! It is for Wasm; natively there is nothing in this crate.

#![cfg(target_arch = "wasm32")]
#![no_std]
#![expect(unsafe_code, reason = "an import")]

use core::ptr;
use tether_component_door::lists::Caller;
use tether_component_door::{Door, Linked};

/// The guest that the library is linked with.
struct Guest;

impl Caller for Guest {
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

tether_component_door::export_symbols!(Door<Linked<Guest>>);
