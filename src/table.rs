//! A growable table of 16-byte records, each found by an address.
//!
//! The first word of a record is its key, an object's address; the other three belong to the
//! table's owner. Beside the records stands an [index](crate::index), which is brought up to date
//! only when that is asked for. So a record that comes and goes without being looked up costs the
//! index nothing. If memory was reserved with `reserve_indexed`, every record has a place in the
//! index. Otherwise the index may lack slots for some records, and these are looked for one by one.
//! Records stand in the order of insertion, until one is removed or the table is sorted.
//!
//! Invariants:
//! 1. Keys are distinct and not 0.
//! 2. The index has exactly one slot for each of the first `indexed` records, and no other.
//! 3. A growth that memory refuses changes nothing.

#[cfg(test)]
mod tests;

use crate::buffer::Buffer;
use crate::index::Index;
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::units::WORD_BYTES;

/// Bytes in a record.
pub const RECORD_BYTES: u32 = 16;
/// Words in a record.
pub const RECORD_WORDS: usize = 4;

/// A record: the key, then the owner's words.
pub type Record = [u32; RECORD_WORDS];

/// The most records. It keeps sizes in bytes in range.
const MOST_RECORDS: u32 = 1 << 27;

/// The table.
#[derive(Debug)]
pub struct Table {
    records: Buffer,
    index: Index,
    /// How many records there are.
    length: u32,
    /// How many records are in the index: the first ones.
    indexed: u32,
}

impl Table {
    /// Makes a table without records and memory.
    pub const fn new() -> Self {
        Table { records: Buffer::EMPTY, index: Index::new(), length: 0, indexed: 0 }
    }

    /// Returns the number of records.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Returns the bytes that records and index take.
    pub fn size_bytes(&self) -> u32 {
        self.records.size_bytes + self.index.size_bytes()
    }

    /// Makes sure of memory for `records` records. False if memory refuses it.
    #[must_use]
    pub fn reserve<M: Memory>(&mut self, supply: &mut Supply<M>, records: u32) -> bool {
        records <= MOST_RECORDS && self.records.reserve(supply, records * RECORD_BYTES)
    }

    /// Makes sure of memory for `records` records and their places in the index. False if memory
    /// refuses it.
    #[must_use]
    pub fn reserve_indexed<M: Memory>(&mut self, supply: &mut Supply<M>, records: u32) -> bool {
        if records > MOST_RECORDS {
            return false;
        }
        // The index comes first, because the records take all that they can get. And it grows only
        // if it must: more slots than that are for `index_all` to take.
        if records > self.index.capacity() {
            self.index_for(supply, records);
        }
        records <= self.index.capacity() && self.records.reserve(supply, records * RECORD_BYTES)
    }

    /// Brings the index up to date, as far as memory gives slots.
    pub fn index_all<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.index_for(supply, self.length);
    }

    /// Brings the index up to date, as far as memory gives slots, with slots for `records` records.
    fn index_for<M: Memory>(&mut self, supply: &mut Supply<M>, records: u32) {
        if self.index.enlarge(supply, records) {
            self.indexed = 0;
        }
        while self.indexed < self.length.min(self.index.capacity()) {
            let key = self.word(&supply.memory, self.indexed, 0);
            self.index.insert(&mut supply.memory, key, self.indexed);
            self.indexed += 1;
        }
    }

    /// Gives back the memory behind room for `records` records, which are no fewer than there are.
    pub fn shrink_to<M: Memory>(&mut self, supply: &mut Supply<M>, records: u32) {
        self.records.shrink_to(supply, records * RECORD_BYTES);
    }

    /// Gives memory back if `records` records would leave it mostly empty; they are no fewer than
    /// there are. The index may then have to be brought up to date.
    pub fn shrink<M: Memory>(&mut self, supply: &mut Supply<M>, records: u32) {
        self.records.shrink(supply, records * RECORD_BYTES);
        if self.index.is_mostly_empty(records) {
            self.index.clear_and_shrink(supply, records);
            self.indexed = 0;
        }
    }

    /// Returns the number of records that there is memory for.
    pub fn capacity(&self) -> u32 {
        self.records.size_bytes / RECORD_BYTES
    }

    /// Returns the record at a position, which may lie behind the table's length.
    pub fn record<M: Memory>(&self, memory: &M, position: u32) -> Record {
        let at = self.address(position);
        let (low, high) = (memory.load_u64(at), memory.load_u64(at + 8));
        [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
    }

    /// Overwrites the record at a position, and leaves the index as it is.
    pub fn put<M: Memory>(&self, memory: &mut M, position: u32, record: Record) {
        let at = self.address(position);
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        memory.store_u64(at, pair(record[0], record[1]));
        memory.store_u64(at + 8, pair(record[2], record[3]));
    }

    /// Returns one word of a record.
    pub fn word<M: Memory>(&self, memory: &M, position: u32, word: u32) -> u32 {
        memory.load_u32(self.address(position) + word * WORD_BYTES)
    }

    /// Overwrites one word of a record, which must not be its key.
    pub fn set_word<M: Memory>(&self, memory: &mut M, position: u32, word: u32, value: u32) {
        memory.store_u32(self.address(position) + word * WORD_BYTES, value);
    }

    /// Finds the position of the record with this key. Records that are not in the index are looked
    /// at one by one.
    pub fn find<M: Memory>(&self, memory: &M, key: u32) -> Option<u32> {
        self.find_indexed(memory, key).or_else(|| {
            (self.indexed..self.length).find(|&position| self.word(memory, position, 0) == key)
        })
    }

    fn find_indexed<M: Memory>(&self, memory: &M, key: u32) -> Option<u32> {
        if self.indexed == 0 {
            return None;
        }
        self.index.find(memory, key, |position| self.word(memory, position, 0) == key)
    }

    /// Appends a record, which is not yet in the index, and returns its position. The table has
    /// memory for it (`reserve`), and no record with its key.
    pub fn push<M: Memory>(&mut self, memory: &mut M, record: Record) -> u32 {
        let position = self.length;
        self.put(memory, position, record);
        self.length += 1;
        position
    }

    /// Removes the record at a position. The last record takes its place, and the removed one
    /// stands behind the table's new end.
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

    /// Keeps the records for which `keep` is true, in their order. The other records stand behind
    /// them, in the memory up to the old length. Needs no memory.
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
            self.clear_index(supply);
        }
    }

    /// Sorts the records by key, in place (heapsort, which has no worst case).
    pub fn sort<M: Memory>(&mut self, supply: &mut Supply<M>) {
        let memory = &mut supply.memory;
        for root in (0..self.length / 2).rev() {
            self.sift_down(memory, root, self.length);
        }
        for end in (1..self.length).rev() {
            self.swap(memory, 0, end);
            self.sift_down(memory, 0, end);
        }
        self.clear_index(supply);
    }

    /// Returns the position of the last record whose key is at most `key`. The table must be
    /// sorted.
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

    /// Removes all records. Their memory keeps its content.
    pub fn clear<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.length = 0;
        self.clear_index(supply);
    }

    /// Gives all memory back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.records.release(supply);
        self.index.release(supply);
        self.length = 0;
        self.indexed = 0;
    }

    /// Returns the first position at which the index and the records disagree; the table's length
    /// if only their numbers do.
    pub fn inconsistency<M: Memory>(&self, memory: &M) -> Option<u32> {
        if self.index.used(memory) != self.indexed || self.indexed > self.length {
            return Some(self.length);
        }
        (0..self.indexed).find(|&position| {
            self.find_indexed(memory, self.word(memory, position, 0)) != Some(position)
        })
    }

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

    fn swap<M: Memory>(&self, memory: &mut M, one: u32, other: u32) {
        let (a, b) = (self.record(memory, one), self.record(memory, other));
        self.put(memory, one, b);
        self.put(memory, other, a);
    }

    fn address(&self, position: u32) -> u32 {
        self.records.address + position * RECORD_BYTES
    }

    fn remove_slot<M: Memory>(&self, memory: &mut M, key: u32, position: u32) {
        self.index.remove(memory, key, position, |memory, other| self.word(memory, other, 0));
    }

    /// Removes all entries of the index.
    fn clear_index<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if self.indexed > 0 {
            self.index.clear_and_shrink(supply, self.length);
            self.indexed = 0;
        }
    }
}
