//! Quarantine: dead objects stay where they are, in the dead colour, until the next collection
//! begins. So no new object has the address of an object that has just died.
//!
//! Invariants:
//! 1. In quarantine the sweep clears nothing, and a hole is a run of granules that were free when
//!    the last collection began.
//! 2. When the quarantine ends, the sweep begins again with the first block.

use super::{BLOCK, BLOCK_MARKED, Blocks};
use crate::memory::Memory;
use crate::metadata::{self, END, START};
use crate::units::BLOCK_SHIFT;

impl Blocks {
    /// Begins the quarantine, after marking and before the sweep. Blocks with dead objects are
    /// kept, as if something in them were marked.
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

    /// Ends the quarantine. The sweep that follows clears all dead objects.
    pub(super) fn end_quarantine(&mut self) {
        if self.is_quarantined {
            self.is_quarantined = false;
            self.sweep_index = 0;
            self.sweep_at = 0;
        }
    }
}

/// Finds the next run of granules, from the metadata byte `at` on, that are in no object, live or
/// dead.
pub fn free_hole<M: Memory>(memory: &M, block: u32, mut at: u32) -> Option<(u32, u32)> {
    let end = metadata::metadata_end(block);
    while at < end {
        let next = metadata::find(memory, at, end, START);
        if next > at {
            return Some((at, next));
        }
        at = metadata::find(memory, at, end, END) + 1;
    }
    None
}
