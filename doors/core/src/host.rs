//! The program of a core module: whoever gives it the import `tether_release`.

use crate::Program;
use tether_gc::Handle;

/// The program that a module is merged with, or the module's host.
pub struct Host;

impl Program for Host {
    // In line, so that a library that does not use it has no such import.
    #[inline(always)]
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
