//! The core door as a module without statistics, verifier and stress modes.
//!
//! It is for Wasm; natively there is nothing in this crate.

#![cfg(target_arch = "wasm32")]
#![no_std]
#![expect(unsafe_code, reason = "exported functions, and an import")]

use tether_core_door::Program;
use tether_gc::Handle;

/// The program that the module is merged with, or its host.
struct Host;

impl Program for Host {
    fn release(handles: &[Handle]) -> u32 {
        #[link(wasm_import_module = "tether:host")]
        unsafe extern "C" {
            fn tether_release(handles: *const Handle, count: u32) -> u32;
        }
        // SAFETY: there are so many handles. What the import does with its own memory is its
        // matter.
        unsafe { tether_release(handles.as_ptr(), handles.len() as u32) }
    }
}

tether_core_door::export!(Host);
