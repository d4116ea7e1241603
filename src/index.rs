//! An index over the records of a table: at which position the record with a key is.
//!
//! The index uses open addressing with linear probing [knuth3 §6.4]. A slot has a record's position
//! plus 1, or 0. The records stay with the table, which knows their keys. Keys may be equal, if the
//! table can tell the records apart.
//!
//! At most half of the slots are used. If memory refuses more slots, up to seven eighths are used.
//! A search then looks at some ten slots for a key, and at twice as many for a key that is missing.
//!
//! Invariant: the number of slots is 0 or a power of two, and at least an eighth of them is empty.

#[cfg(test)]
mod tests;

use crate::buffer::Buffer;
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::units::WORD_BYTES;

/// The number of slots of the smallest index.
const LEAST_SLOTS: u32 = 32;

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    slots: Buffer,
}

impl Index {
    /// Makes an index without memory and entries.
    pub const fn new() -> Self {
        Index { slots: Buffer::EMPTY }
    }

    /// Returns the bytes that the index takes.
    pub fn size_bytes(&self) -> u32 {
        self.slots.size_bytes
    }

    /// Returns the most entries that the slots have room for.
    pub fn capacity(&self) -> u32 {
        self.count() / 8 * 7
    }

    /// Makes slots for `entries` entries: a power of two of them, of which half stay empty, or as
    /// many as memory gives. Returns true if the slots are new. The index then has no entries, and
    /// the caller inserts them all again.
    #[must_use]
    pub fn enlarge<M: Memory>(&mut self, supply: &mut Supply<M>, entries: u32) -> bool {
        let mut slots = Self::slots_for(entries);
        while slots > self.count().max(LEAST_SLOTS / 2) {
            if let Some(buffer) = Buffer::take(supply, slots * WORD_BYTES) {
                self.slots.release(supply);
                self.slots = buffer;
                self.clear(&mut supply.memory);
                return true;
            }
            slots /= 2;
        }
        false
    }

    /// Returns true if `entries` entries would leave at least seven eighths of the slots empty.
    pub fn is_mostly_empty(&self, entries: u32) -> bool {
        Self::slots_for(entries) <= self.count() / 4
    }

    /// Removes all entries. Gives slots back if `entries` entries would leave the index mostly
    /// empty.
    pub fn clear_and_shrink<M: Memory>(&mut self, supply: &mut Supply<M>, entries: u32) {
        if self.is_mostly_empty(entries) {
            self.slots.shrink_to(supply, Self::slots_for(entries) * WORD_BYTES);
        }
        self.clear(&mut supply.memory);
    }

    fn clear<M: Memory>(&self, memory: &mut M) {
        memory.fill(self.slots.address, self.slots.size_bytes, 0);
    }

    /// Returns the number of slots for so many entries.
    fn slots_for(entries: u32) -> u32 {
        (entries * 2).next_power_of_two().max(LEAST_SLOTS)
    }

    /// Finds the position of the record with this key for which `is_record` is true.
    pub fn find<M: Memory>(
        &self,
        memory: &M,
        key: u32,
        is_record: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        if self.count() == 0 {
            return None;
        }
        let mut slot = self.home(key);
        loop {
            let position = self.slot(memory, slot).checked_sub(1)?;
            if is_record(position) {
                return Some(position);
            }
            slot = self.next(slot);
        }
    }

    /// Adds a record. The index has room for it.
    pub fn insert<M: Memory>(&self, memory: &mut M, key: u32, position: u32) {
        let mut slot = self.home(key);
        while self.slot(memory, slot) != 0 {
            slot = self.next(slot);
        }
        self.set_slot(memory, slot, position + 1);
    }

    /// Removes the record that is at a position and has this key. Closes the gap, so that probing
    /// needs no tombstones [knuth3 §6.4, algorithm R]. `key_at` returns the keys of the records
    /// that may move into the gap.
    pub fn remove<M: Memory>(
        &self,
        memory: &mut M,
        key: u32,
        position: u32,
        key_at: impl Fn(&M, u32) -> u32,
    ) {
        let mut gap = self.home(key);
        while self.slot(memory, gap) != position + 1 {
            gap = self.next(gap);
        }
        let mut slot = gap;
        loop {
            slot = self.next(slot);
            let value = self.slot(memory, slot);
            if value == 0 {
                break;
            }
            let home = self.home(key_at(memory, value - 1));
            // The record may move to the gap unless its home lies after the gap.
            let mask = self.count() - 1;
            if (slot.wrapping_sub(home) & mask) >= (slot.wrapping_sub(gap) & mask) {
                self.set_slot(memory, gap, value);
                gap = slot;
            }
        }
        self.set_slot(memory, gap, 0);
    }

    /// Counts the used slots.
    pub fn used<M: Memory>(&self, memory: &M) -> u32 {
        (0..self.count()).filter(|&slot| self.slot(memory, slot) != 0).count() as u32
    }

    /// Gives the memory back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.slots.release(supply);
    }

    /// Returns the number of slots.
    fn count(&self) -> u32 {
        self.slots.size_bytes / WORD_BYTES
    }

    /// Returns the slot where probing for a key begins. Keys are addresses, often with one stride
    /// from each to the next. Their bits are mixed, so that no stride brings them together.
    fn home(&self, key: u32) -> u32 {
        mix(key) >> (self.count().leading_zeros() + 1)
    }

    fn next(&self, slot: u32) -> u32 {
        (slot + 1) & (self.count() - 1)
    }

    fn slot<M: Memory>(&self, memory: &M, slot: u32) -> u32 {
        memory.load_u32(self.slots.address + slot * WORD_BYTES)
    }

    fn set_slot<M: Memory>(&self, memory: &mut M, slot: u32, value: u32) {
        memory.store_u32(self.slots.address + slot * WORD_BYTES, value);
    }
}

/// Mixes the bits of a word, so that each bit of the result depends on all ([lowbias32]).
pub fn mix(word: u32) -> u32 {
    let mixed = (word ^ word >> 16).wrapping_mul(0x7feb_352d);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x846c_a68b);
    mixed ^ mixed >> 16
}
