//! The functions of `wit/` as a core module that `tether link` merges with a guest that imports
//! them. The language drains released handles itself.
//!
//! It is for Wasm; natively there is nothing in this crate.

#![cfg(target_arch = "wasm32")]
#![no_std]
#![expect(unsafe_code, reason = "an import")]

use core::ptr;
use tether_component_door::lists::Caller;
use tether_component_door::{Door, Linked};

/// The guest that the module is linked with.
struct Guest;

impl Caller for Guest {
    unsafe fn allocate(align: usize, size_bytes: usize) -> *mut u8 {
        #[link(wasm_import_module = "tether:guest")]
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

tether_component_door::export_lowered!(Door<Linked<Guest>>);
