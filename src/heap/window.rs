//! The window: the part of the heap that compiled code uses without a call.
//!
//! Compiled code bumps a cursor, writes the metadata of small objects, and pushes and pops
//! roots, by plain loads and stores. Before each operation the heap takes over the cursor and the
//! stack's top ([`Heap::adopt`]); after it, the heap publishes the next window
//! ([`Heap::window`]). The functions here do the same for code that calls them, over any memory.

use super::Heap;
use crate::error::Error;
use crate::memory::Memory;
use crate::metadata::{self, TEMPLATE_GRANULES};
use crate::observer::Observer;
use crate::units::{GRANULE_BYTES, LARGEST_BLOCK_OBJECT_BYTES, Reference};
use crate::wrap_table::Registration;

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

/// Makes a small object at `cursor` by its template, of which only the reference bits count.
/// None if it is larger than 8 granules, or does not fit below `limit`. The caller's cursor then
/// moves by the object's size.
#[inline(always)]
pub fn make_small<M: Memory>(
    memory: &mut M,
    (cursor, limit): (u32, u32),
    colour: u8,
    granules: u32,
    template: u64,
) -> Option<Reference> {
    let size_bytes = granules.wrapping_mul(GRANULE_BYTES);
    // A sum, so that a cursor beyond the limit has no room.
    if granules.wrapping_sub(1) >= TEMPLATE_GRANULES || cursor.wrapping_add(size_bytes) > limit {
        return None;
    }
    let metadata = metadata::template(granules, template_references(template));
    let start = metadata::metadata_of(cursor);
    metadata::store_template(memory, start, granules, metadata | u64::from(colour));
    Some(cursor)
}

/// Makes an object without references that ends at `end`, in memory that is not zeroed. None if
/// it is larger than 8 KiB, or does not fit above `limit`. Its address is the caller's new end.
#[inline(always)]
pub fn make_leaf<M: Memory>(
    memory: &mut M,
    (limit, end): (u32, u32),
    colour: u8,
    size_bytes: u32,
) -> Option<Reference> {
    let rounded = (size_bytes.wrapping_add(GRANULE_BYTES - 1)) & !(GRANULE_BYTES - 1);
    // A size that wraps is 0 too. An end below the limit has no room.
    if rounded.wrapping_sub(1) >= LARGEST_BLOCK_OBJECT_BYTES || limit.wrapping_add(rounded) > end {
        return None;
    }
    let address = end - rounded;
    metadata::store_leaf(memory, metadata::metadata_of(address), rounded, colour);
    Some(address)
}

/// The reference bits of a small object's template, one for each word: what
/// [`Heap::allocate_small`] takes.
pub fn template_references(template: u64) -> u64 {
    metadata::template_references(template)
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// The window from here on. In a scope and under stress it has no memory, so that every
    /// allocation comes to the heap.
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

    /// Whether an object may be made in the hole at hand by its metadata alone: no scope is
    /// open that would root it, and no collection may be due for `stress`.
    #[inline(always)]
    pub(super) fn is_window_open(&self) -> bool {
        self.roots.scope_depth() == 0 && self.options.stress == 0
    }

    /// Takes over the state in which the mutator left the window: its cursor, the end of its free
    /// memory, and the top of its shadow stack.
    ///
    /// Errors: `RootStackFull` if that is out of the stack's bounds.
    pub fn adopt(&mut self, cursor: u32, end: u32, stack_top: u32) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        if self.is_window_open() {
            self.blocks.adopt_hole(cursor, end);
        }
        self.roots.adopt_top(stack_top)
    }

    /// Wraps a handle as [`wrap`](Self::wrap) does, at the cursor of the window that the heap
    /// published last. None if the window or the wrap table has no room, or a collection is
    /// due. Otherwise the caller's cursor moves by 8 bytes.
    pub fn wrap_in_window(
        &mut self,
        (cursor, limit): (u32, u32),
        kind: u32,
        handle: u32,
        weight_bytes: u32,
    ) -> Option<Reference> {
        if cursor.wrapping_add(GRANULE_BYTES) > limit || !self.is_ready_to_wrap(weight_bytes) {
            return None;
        }
        self.make_wrapper(Registration { wrapper: cursor, kind, handle, weight_bytes });
        Some(cursor)
    }
}
