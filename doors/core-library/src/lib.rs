//! The core door as a library for wasm-ld, which finds `tether_release` in the program by its
//! plain name.
//!
//! It is for Wasm; natively there is nothing in this crate.

#![cfg(target_arch = "wasm32")]
#![no_std]
#![expect(unsafe_code, reason = "an import")]

use tether_core_door::Program;
use tether_gc::Handle;

/// The program that the library is linked with.
struct Linked;

impl Program for Linked {
    fn release(handles: &[Handle]) -> u32 {
        unsafe extern "C" {
            fn tether_release(handles: *const Handle, count: u32) -> u32;
        }
        // SAFETY: there are so many handles. What the program does with its own memory is its
        // matter.
        unsafe { tether_release(handles.as_ptr(), handles.len() as u32) }
    }
}

tether_core_door::export!(Linked);
tether_core_door::export_diagnostics!(Linked);
