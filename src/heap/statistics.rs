//! Looking at the heap: statistics and the verifier.

use super::Heap;
use crate::memory::Memory;
use crate::observer::Observer;
use crate::verify::{Verifier, Violation};
use core::cell::Cell;

/// Counts since the heap was made, unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Collections.
    pub collections: u32,
    /// Of these, how many handles started: a full table, their number, their weight.
    pub collections_for_handles: u32,
    /// Memory taken for everything the collector keeps, now: the bytes of its pages.
    pub heap_bytes: u64,
    /// The most it ever was.
    pub heap_peak_bytes: u64,
    /// Bytes in objects that were live at the last collection or are newer, with what
    /// large ones need to be aligned.
    pub live_bytes: u64,
    /// Bytes given to objects.
    pub allocated_bytes: u64,
    /// Wrappers registered.
    pub wrappers_registered: u64,
    /// Handles released, drained or not.
    pub handles_released: u64,
    /// Wrappers in the table, now.
    pub wrappers_live: u32,
    /// The most handles that were registered or waiting at one time.
    pub unreleased_peak: u32,
    /// Entries for which the wrap table has room, now.
    pub wrap_table_capacity: u32,
    /// The most entries it ever held.
    pub wrap_table_peak: u32,
    /// Slots of the shadow stack in use, by roots and by scopes, now.
    pub roots: u32,
    /// The most there ever were.
    pub roots_peak: u32,
    /// The weight of the handles in the table, now, in bytes.
    pub external_bytes: u64,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// The counts. `live_bytes` is found by reading all metadata, a byte for each
    /// 8 of the heap.
    pub fn statistics(&self) -> Statistics {
        let in_blocks = self.blocks.count_live_bytes(&self.supply.memory, self.live);
        Statistics {
            collections: self.collections,
            collections_for_handles: self.collections_for_handles,
            heap_bytes: self.supply.taken_bytes(),
            heap_peak_bytes: self.supply.peak_bytes(),
            live_bytes: in_blocks + self.large.bytes(),
            allocated_bytes: self.allocated_bytes(),
            wrappers_registered: self.wrap_table.registered(),
            handles_released: self.wrap_table.released(),
            wrappers_live: self.wrap_table.length(),
            unreleased_peak: self.wrap_table.unreleased_peak(),
            wrap_table_capacity: self.wrap_table.capacity(),
            wrap_table_peak: self.wrap_table.peak(),
            roots: self.roots.used(),
            roots_peak: self.roots.peak(),
            external_bytes: self.wrap_table.external_bytes(),
        }
    }

    /// Checks the whole heap: the first invariant that does not hold, if one does
    /// not. Walks every object and changes nothing.
    pub fn verify(&self) -> Option<Violation> {
        let accounted =
            u64::from(self.tables_bytes()) + self.large.bytes() + self.quarantined_bytes();
        Verifier {
            memory: &self.supply.memory,
            blocks: &self.blocks,
            large: &self.large,
            layouts: &self.layouts,
            roots: &self.roots,
            pins: &self.pins,
            wrap_table: &self.wrap_table,
            live: self.live,
            is_accounted: self.supply.blocks() == self.blocks.count()
                && self.supply.used_bytes() == accounted
                && self.supply.inconsistency().is_none(),
            first: Cell::new(None),
        }
        .violation()
    }

    pub(super) fn tables_bytes(&self) -> u32 {
        self.layouts.size_bytes()
            + self.blocks.tables_bytes()
            + self.large.table_bytes()
            + self.roots.size_bytes()
            + self.pins.size_bytes()
            + self.ranges.size_bytes()
            + self.wrap_table.size_bytes()
            + self.mark_stack.size_bytes()
    }
}
