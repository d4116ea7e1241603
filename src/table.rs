//! A growable table of 16-byte records, each found by an address.
//!
//! The first word of a record is its key, an object's address; the other three
//! are its owner's. Beside the records stands an open-addressing index with
//! linear probing [knuth3 §6.4], at most half full. It is brought up to date when
//! that is asked for: a record that comes and goes without being looked for costs
//! it nothing. Order is by insertion until a record is removed or the table sorted.
//!
//! Invariants: keys are distinct and not 0; the index has exactly one slot for
//! each of the first `indexed` records, and no other; a growth that is refused
//! changes nothing.

#[cfg(test)]
mod tests;

use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::region::Region;
use crate::units::WORD_BYTES;

/// Bytes in a record.
pub const RECORD_BYTES: u32 = 16;
/// Words in a record.
pub const RECORD_WORDS: usize = 4;

/// A record: the key, then the owner's words.
pub type Record = [u32; RECORD_WORDS];

/// The most records, so that sizes in bytes stay in range.
const MOST_RECORDS: u32 = 1 << 27;
const LEAST_SLOTS: u32 = 32;

/// The table.
#[derive(Debug)]
pub struct Table {
    records: Region,
    /// Words; each 0, or the number of a record plus 1. A power of two of them.
    index: Region,
    length: u32,
    /// How many of the records are in the index: the first ones.
    indexed: u32,
}

impl Table {
    /// A table without records.
    pub const fn new() -> Self {
        Table { records: Region::EMPTY, index: Region::EMPTY, length: 0, indexed: 0 }
    }

    /// Records in the table.
    #[inline]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Bytes that the table takes.
    pub fn size_bytes(&self) -> u32 {
        self.records.size_bytes + self.index.size_bytes
    }

    /// Makes sure of memory for so many records. Whether there is.
    #[must_use]
    pub fn reserve<M: Memory>(&mut self, supply: &mut Supply<M>, records: u32) -> bool {
        records <= MOST_RECORDS && self.records.reserve(supply, records * RECORD_BYTES)
    }

    /// Brings the index up to date, where there is memory for it.
    #[inline(never)]
    pub fn index_all<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if self.length * 2 > self.slots() {
            let slots = (self.length * 2).next_power_of_two().max(LEAST_SLOTS);
            let Some(index) = Region::take(supply, slots * WORD_BYTES) else {
                return;
            };
            self.index.release(supply);
            self.index = index;
            self.indexed = 0;
            supply.memory.fill(index.address, index.size_bytes, 0);
        }
        while self.indexed < self.length {
            let key = self.word(&supply.memory, self.indexed, 0);
            self.insert_slot(&mut supply.memory, key, self.indexed);
            self.indexed += 1;
        }
    }

    /// Records that there is memory for, with a key or without.
    pub fn room(&self) -> u32 {
        self.records.size_bytes / RECORD_BYTES
    }

    /// The record at a position; it may lie behind the table's own length.
    #[inline]
    pub fn record<M: Memory>(&self, memory: &M, position: u32) -> Record {
        let at = self.address(position);
        let (low, high) = (memory.load_u64(at), memory.load_u64(at + 8));
        [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
    }

    /// Overwrites the record at a position, without regard to the index.
    #[inline]
    pub fn put<M: Memory>(&self, memory: &mut M, position: u32, record: Record) {
        let at = self.address(position);
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        memory.store_u64(at, pair(record[0], record[1]));
        memory.store_u64(at + 8, pair(record[2], record[3]));
    }

    /// One word of a record.
    #[inline]
    pub fn word<M: Memory>(&self, memory: &M, position: u32, word: u32) -> u32 {
        memory.load_u32(self.address(position) + word * WORD_BYTES)
    }

    /// Overwrites one word of a record, which is not its key.
    #[inline]
    pub fn set_word<M: Memory>(&self, memory: &mut M, position: u32, word: u32, value: u32) {
        memory.store_u32(self.address(position) + word * WORD_BYTES, value);
    }

    /// The position of the record with this key. Records that are not in the index
    /// are looked at one by one.
    #[inline(never)]
    pub fn find<M: Memory>(&self, memory: &M, key: u32) -> Option<u32> {
        self.find_indexed(memory, key).or_else(|| {
            (self.indexed..self.length).find(|&position| self.word(memory, position, 0) == key)
        })
    }

    #[inline]
    fn find_indexed<M: Memory>(&self, memory: &M, key: u32) -> Option<u32> {
        if self.indexed == 0 {
            return None;
        }
        let mut slot = self.home(key);
        loop {
            let position = self.slot(memory, slot).checked_sub(1)?;
            if self.word(memory, position, 0) == key {
                return Some(position);
            }
            slot = self.next(slot);
        }
    }

    /// Appends a record, which the index does not have yet. There must be room for
    /// it (`reserve`), and none with its key.
    #[inline]
    pub fn push<M: Memory>(&mut self, memory: &mut M, record: Record) -> u32 {
        let position = self.length;
        self.put(memory, position, record);
        self.length += 1;
        position
    }

    /// Removes the record at a position: the last one takes its place, and it
    /// stands behind the new end.
    #[inline(never)]
    pub fn swap_remove<M: Memory>(&mut self, memory: &mut M, position: u32) {
        let last = self.length - 1;
        let removed = self.record(memory, position);
        let moved = self.record(memory, last);
        if position < self.indexed {
            self.remove_slot(memory, removed[0]);
            if last < self.indexed && last != position {
                self.remove_slot(memory, moved[0]);
            }
        }
        self.put(memory, position, moved);
        self.put(memory, last, removed);
        if position < self.indexed && last != position {
            self.insert_slot(memory, moved[0], position);
        }
        self.length = last;
        self.indexed = self.indexed.min(last);
    }

    /// Keeps the records for which `keep` is true, in their order; the others
    /// stand behind them, in the memory up to the old length. Needs no memory.
    pub fn partition<M: Memory>(
        &mut self,
        memory: &mut M,
        mut keep: impl FnMut(&mut M, Record) -> bool,
    ) {
        let mut kept = 0;
        for position in 0..self.length {
            let record = self.record(memory, position);
            if keep(memory, record) {
                if kept != position {
                    let other = self.record(memory, kept);
                    self.put(memory, kept, record);
                    self.put(memory, position, other);
                }
                kept += 1;
            }
        }
        if kept < self.length {
            self.length = kept;
            self.forget_index(memory);
        }
    }

    /// Sorts the records by key (heapsort: in place, no worst case).
    #[cfg(feature = "interior-pointers")]
    pub fn sort<M: Memory>(&mut self, memory: &mut M) {
        for root in (0..self.length / 2).rev() {
            self.sift_down(memory, root, self.length);
        }
        for end in (1..self.length).rev() {
            self.swap(memory, 0, end);
            self.sift_down(memory, 0, end);
        }
        self.forget_index(memory);
    }

    /// The position of the last record whose key is at most `key`; the table is
    /// sorted.
    #[cfg(feature = "interior-pointers")]
    pub fn last_up_to<M: Memory>(&self, memory: &M, key: u32) -> Option<u32> {
        let (mut low, mut high) = (0, self.length);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.word(memory, middle, 0) <= key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    /// Forgets all records; the memory behind them stays as it is.
    pub fn clear<M: Memory>(&mut self, memory: &mut M) {
        self.length = 0;
        self.forget_index(memory);
    }

    /// Gives all memory back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.records.release(supply);
        self.index.release(supply);
        self.length = 0;
        self.indexed = 0;
    }

    /// The first position at which the index and the records disagree.
    pub fn inconsistency<M: Memory>(&self, memory: &M) -> Option<u32> {
        let used = (0..self.slots()).filter(|&slot| self.slot(memory, slot) != 0).count();
        if used != self.indexed as usize || self.indexed > self.length {
            return Some(self.length);
        }
        (0..self.indexed).find(|&position| {
            self.find_indexed(memory, self.word(memory, position, 0)) != Some(position)
        })
    }

    #[cfg(feature = "interior-pointers")]
    fn sift_down<M: Memory>(&self, memory: &mut M, mut root: u32, end: u32) {
        loop {
            let mut child = root * 2 + 1;
            if child >= end {
                return;
            }
            if child + 1 < end && self.word(memory, child, 0) < self.word(memory, child + 1, 0) {
                child += 1;
            }
            if self.word(memory, root, 0) >= self.word(memory, child, 0) {
                return;
            }
            self.swap(memory, root, child);
            root = child;
        }
    }

    #[cfg(feature = "interior-pointers")]
    fn swap<M: Memory>(&self, memory: &mut M, one: u32, other: u32) {
        let (a, b) = (self.record(memory, one), self.record(memory, other));
        self.put(memory, one, b);
        self.put(memory, other, a);
    }

    #[inline]
    fn address(&self, position: u32) -> u32 {
        self.records.address + position * RECORD_BYTES
    }

    fn slots(&self) -> u32 {
        self.index.size_bytes / WORD_BYTES
    }

    /// Where probing for a key begins. Keys are addresses, often with one stride from each to
    /// the next: the high bits are folded in twice, so that no stride brings them together
    /// (the constants are those of [lowbias32]).
    #[inline]
    fn home(&self, key: u32) -> u32 {
        let mixed = (key ^ key >> 16).wrapping_mul(0x7feb_352d);
        let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x846c_a68b);
        (mixed ^ mixed >> 16) >> (self.slots().leading_zeros() + 1)
    }

    #[inline]
    fn next(&self, slot: u32) -> u32 {
        (slot + 1) & (self.slots() - 1)
    }

    #[inline]
    fn slot<M: Memory>(&self, memory: &M, slot: u32) -> u32 {
        memory.load_u32(self.index.address + slot * WORD_BYTES)
    }

    #[inline]
    fn set_slot<M: Memory>(&self, memory: &mut M, slot: u32, value: u32) {
        memory.store_u32(self.index.address + slot * WORD_BYTES, value);
    }

    #[inline]
    fn insert_slot<M: Memory>(&self, memory: &mut M, key: u32, position: u32) {
        let mut slot = self.home(key);
        while self.slot(memory, slot) != 0 {
            slot = self.next(slot);
        }
        self.set_slot(memory, slot, position + 1);
    }

    /// Empties a key's slot and closes the gap, so that probing never needs
    /// tombstones [knuth3 §6.4, algorithm R].
    fn remove_slot<M: Memory>(&self, memory: &mut M, key: u32) {
        let mut gap = self.home(key);
        while self.word(memory, self.slot(memory, gap) - 1, 0) != key {
            gap = self.next(gap);
        }
        let mut slot = gap;
        loop {
            slot = self.next(slot);
            let value = self.slot(memory, slot);
            if value == 0 {
                break;
            }
            let home = self.home(self.word(memory, value - 1, 0));
            // The record may move to the gap unless its home lies after the gap.
            let mask = self.slots() - 1;
            if (slot.wrapping_sub(home) & mask) >= (slot.wrapping_sub(gap) & mask) {
                self.set_slot(memory, gap, value);
                gap = slot;
            }
        }
        self.set_slot(memory, gap, 0);
    }

    fn forget_index<M: Memory>(&mut self, memory: &mut M) {
        if self.indexed > 0 {
            memory.fill(self.index.address, self.index.size_bytes, 0);
            self.indexed = 0;
        }
    }
}
