//! Quarantine: dead objects stay where they are, coloured dead, until the next collection
//! begins. So no new object has the address of one that has just died.
//!
//! Invariants: while it lasts, sweeping clears nothing, and takes for holes only what was
//! free when the last collection began; its end sweeps every block again, from the start.

use super::{BLOCK, BLOCK_MARKED, Blocks};
use crate::memory::Memory;
use crate::metadata::{self, END, START};
use crate::units::BLOCK_SHIFT;

impl Blocks {
    /// Begins it, between marking and the sweep: no block that has a dead object goes back.
    pub fn begin_quarantine<M: Memory>(&mut self, memory: &mut M) {
        self.is_quarantined = true;
        for index in 0..self.count {
            let block = self.block(memory, index);
            let (first, end) = (metadata::first_metadata(block), metadata::metadata_end(block));
            let entry = self.map.address + (block >> BLOCK_SHIFT);
            if metadata::find(memory, first, end, START) != end {
                debug_assert!(matches!(memory.load_u8(entry), BLOCK | BLOCK_MARKED));
                memory.store_u8(entry, BLOCK_MARKED);
            }
        }
    }

    /// Ends it: the sweep that follows clears all that was dead.
    pub(super) fn end_quarantine(&mut self) {
        if self.is_quarantined {
            self.is_quarantined = false;
            self.sweep_index = 0;
            self.sweep_at = 0;
        }
    }
}

/// The next run of granules from `at` on that are in no object, live or dead.
pub fn free_hole<M: Memory>(memory: &M, block: u32, mut at: u32) -> Option<(u32, u32)> {
    let end = metadata::metadata_end(block);
    while at < end {
        let next = metadata::find(memory, at, end, START);
        if next > at {
            return Some((at, next));
        }
        // Past the object.
        at = metadata::find(memory, at, end, END) + 1;
    }
    None
}
