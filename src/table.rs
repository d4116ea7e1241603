//! A growable table of 16-byte records, each found by an address.
//!
//! The first word of a record is its key, an object's address; the other three
//! are its owner's. Beside the records stands an [index](crate::index). It is brought up
//! to date when that is asked for: a record that comes and goes without being looked
//! for costs it nothing. In a table whose room was made with `reserve_indexed` every record
//! has a place in the index. In another, those for which memory gives none are looked for
//! one by one. Order is by insertion until a record is removed or the table sorted.
//!
//! Invariants: keys are distinct and not 0; the index has exactly one slot for
//! each of the first `indexed` records, and no other; a growth that is refused
//! changes nothing.

#[cfg(test)]
mod tests;

use crate::index::Index;
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

/// The table.
#[derive(Debug)]
pub struct Table {
    records: Region,
    index: Index,
    length: u32,
    /// How many of the records are in the index: the first ones.
    indexed: u32,
}

impl Table {
    /// A table without records.
    pub const fn new() -> Self {
        Table { records: Region::EMPTY, index: Index::new(), length: 0, indexed: 0 }
    }

    /// Records in the table.
    #[inline]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Bytes that the table takes.
    pub fn size_bytes(&self) -> u32 {
        self.records.size_bytes + self.index.size_bytes()
    }

    /// Makes sure of memory for so many records. Whether there is.
    #[must_use]
    pub fn reserve<M: Memory>(&mut self, supply: &mut Supply<M>, records: u32) -> bool {
        records <= MOST_RECORDS && self.records.reserve(supply, records * RECORD_BYTES)
    }

    /// Makes sure of memory for so many records and their index. Whether there is.
    #[must_use]
    pub fn reserve_indexed<M: Memory>(&mut self, supply: &mut Supply<M>, records: u32) -> bool {
        if records > MOST_RECORDS {
            return false;
        }
        // Before the records, which take what they can get, but only if it has to be: more slots
        // than needed are for `index_all` to take.
        if records > self.index.room() {
            self.index_for(supply, records);
        }
        records <= self.index.room() && self.records.reserve(supply, records * RECORD_BYTES)
    }

    /// Brings the index up to date, where there is memory for it.
    pub fn index_all<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.index_for(supply, self.length);
    }

    /// The same, with slots for so many records.
    #[inline(never)]
    fn index_for<M: Memory>(&mut self, supply: &mut Supply<M>, records: u32) {
        if self.index.enlarge(supply, records) {
            self.indexed = 0;
        }
        while self.indexed < self.length.min(self.index.room()) {
            let key = self.word(&supply.memory, self.indexed, 0);
            self.index.insert(&mut supply.memory, key, self.indexed);
            self.indexed += 1;
        }
    }

    /// Gives back the memory for more than so many records, and no fewer than there are.
    pub fn shorten<M: Memory>(&mut self, supply: &mut Supply<M>, records: u32) {
        self.records.shorten(supply, records * RECORD_BYTES);
    }

    /// Gives memory back that so many records would leave mostly empty, and no fewer than there
    /// are. The index may have to be brought up to date after that.
    pub fn shrink<M: Memory>(&mut self, supply: &mut Supply<M>, records: u32) {
        self.records.fit(supply, records * RECORD_BYTES);
        if self.index.is_mostly_empty(records) {
            self.index.empty(supply, records);
            self.indexed = 0;
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
        self.index.find(memory, key, |position| self.word(memory, position, 0) == key)
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
            self.remove_slot(memory, removed[0], position);
            if last < self.indexed && last != position {
                self.remove_slot(memory, moved[0], last);
            }
        }
        self.put(memory, position, moved);
        self.put(memory, last, removed);
        if position < self.indexed && last != position {
            self.index.insert(memory, moved[0], position);
        }
        self.length = last;
        self.indexed = self.indexed.min(last);
    }

    /// Keeps the records for which `keep` is true, in their order; the others
    /// stand behind them, in the memory up to the old length. Needs no memory.
    pub fn partition<M: Memory>(
        &mut self,
        supply: &mut Supply<M>,
        mut keep: impl FnMut(&M, Record) -> bool,
    ) {
        let memory = &mut supply.memory;
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
            self.forget_index(supply);
        }
    }

    /// Sorts the records by key (heapsort: in place, no worst case).
    #[cfg(feature = "interior-pointers")]
    pub fn sort<M: Memory>(&mut self, supply: &mut Supply<M>) {
        let memory = &mut supply.memory;
        for root in (0..self.length / 2).rev() {
            self.sift_down(memory, root, self.length);
        }
        for end in (1..self.length).rev() {
            self.swap(memory, 0, end);
            self.sift_down(memory, 0, end);
        }
        self.forget_index(supply);
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
    pub fn clear<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.length = 0;
        self.forget_index(supply);
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
        if self.index.used(memory) != self.indexed || self.indexed > self.length {
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

    fn remove_slot<M: Memory>(&self, memory: &mut M, key: u32, position: u32) {
        self.index.remove(memory, key, position, |memory, other| self.word(memory, other, 0));
    }

    fn forget_index<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if self.indexed > 0 {
            self.index.empty(supply, self.length);
            self.indexed = 0;
        }
    }
}
