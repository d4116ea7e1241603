//! The window: what a mutator's own code may use without a call.
//!
//! Compiled code bumps the cursor, writes the metadata of small objects, and pushes
//! and pops roots by plain loads and stores. What it did is taken over before any
//! operation ([`Heap::adopt`]), and what it may do next is told after it
//! ([`Heap::window`]).

use super::Heap;
use crate::error::Error;
use crate::memory::Memory;
use crate::observer::Observer;

/// Addresses, and the colour of new objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The next free byte.
    pub cursor: u32,
    /// Up to here memory is free and zero.
    pub limit: u32,
    /// From `limit` up to here memory is free, but not zero.
    pub end: u32,
    /// To be set in the first metadata byte of a new object.
    pub colour: u8,
    /// The next free slot of the shadow stack.
    pub stack_top: u32,
    /// The end of its slots.
    pub stack_limit: u32,
    /// The first of its slots.
    pub stack_base: u32,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// What the mutator may use from here on. In a scope, and under stress, that is
    /// no memory: then every allocation must come to the heap.
    #[inline]
    pub fn window(&self) -> Window {
        if self.closed {
            return Window::default();
        }
        let (cursor, limit, end) = self.blocks.hole();
        let (stack_base, stack_top, stack_limit) = self.roots.addresses();
        let open = self.is_window_open();
        Window {
            cursor,
            limit: if open { limit } else { cursor },
            end: if open { end } else { cursor },
            colour: self.live,
            stack_top,
            stack_limit,
            stack_base,
        }
    }

    fn is_window_open(&self) -> bool {
        self.roots.scope_depth() == 0 && self.options.stress == 0
    }

    /// Takes over what the mutator did in the window: where its cursor is, where the
    /// free memory ends, and the top of its shadow stack.
    ///
    /// Errors: `RootStackFull` where that is out of the stack's bounds.
    #[inline]
    pub fn adopt(&mut self, cursor: u32, end: u32, stack_top: u32) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        if self.is_window_open() {
            self.blocks.adopt_hole(cursor, end);
        }
        self.roots.adopt_top(stack_top)
    }
}
