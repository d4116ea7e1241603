//! The words that compiled code may use without a call: `struct tether_state` in the header.

use core::cell::Cell;
use tether_gc::window::Window;

/// The words.
#[repr(C)]
#[expect(missing_docs, reason = "the header and docs/core-abi.md say what each word is")]
pub struct State {
    pub cursor: Cell<u32>,
    pub limit: Cell<u32>,
    pub colour: Cell<u32>,
    pub stack_top: Cell<u32>,
    pub stack_limit: Cell<u32>,
    pub stack_base: Cell<u32>,
    pub last_error: Cell<u32>,
    pub last_error_value: Cell<u32>,
    pub end: Cell<u32>,
}

// SAFETY: memory::linear refuses builds with threads.
unsafe impl Sync for State {}

/// The one of this module.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "a C name")]
pub static tether_state: State = State {
    cursor: Cell::new(0),
    limit: Cell::new(0),
    colour: Cell::new(0),
    stack_top: Cell::new(0),
    stack_limit: Cell::new(0),
    stack_base: Cell::new(0),
    last_error: Cell::new(0),
    last_error_value: Cell::new(0),
    end: Cell::new(0),
};

/// Publishes a window to compiled code.
#[inline(never)]
pub fn publish(window: Window) {
    tether_state.cursor.set(window.cursor);
    tether_state.limit.set(window.limit);
    tether_state.end.set(window.end);
    tether_state.colour.set(u32::from(window.colour));
    tether_state.stack_top.set(window.stack_top);
    tether_state.stack_limit.set(window.stack_limit);
    tether_state.stack_base.set(window.stack_base);
}
