//! The wrap table: host handles tethered to the heap objects that own them.
//!
//! An entry is 16 bytes: wrapper, kind, handle, weight. Live entries stand in front. Behind them,
//! in the same memory, stand the released entries that wait to be drained. So an entry passes from
//! live to released in its place: releasing needs no memory, and therefore cannot fail or lose a
//! handle.
//!
//! ```text
//!   0 ........ live ........ length | .... released .... length + pending | free
//! ```
//!
//! Invariants:
//! 1. The wrapper of each live entry is a live object with its wrapper bit set, and is in no other
//!    live entry.
//! 2. `registered = length + pending + drained`.
//! 3. `external_bytes` is the sum of the live entries' weights.
//!
//! Not done here: finding out which wrappers are dead (a collection passes that in), and telling
//! the host (the doors do that).

#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::table::{RECORD_BYTES, Record, Table};
use crate::units::Reference;

/// The word of an entry that is its weight.
const WEIGHT: u32 = 3;

/// A handle to register: the content of a live entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The object that owns the handle.
    pub wrapper: Reference,
    /// What kind of resource the handle is: a number of the language's own.
    pub kind: u32,
    /// Which resource it is: a number of the host's.
    pub handle: u32,
    /// What the resource costs the host, in bytes.
    pub weight_bytes: u32,
}

/// A handle that was released, or that a wrapper owns.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    /// The kind, as registered.
    pub kind: u32,
    /// The handle, as registered.
    pub handle: u32,
}

/// The wrap table.
#[derive(Debug)]
pub struct WrapTable {
    entries: Table,
    /// Live entries that there may be without growth.
    capacity: u32,
    /// Live entries that there may be after growth.
    limit: u32,
    /// Released entries that wait to be drained.
    pending: u32,
    /// The capacity that the table began with.
    least_capacity: u32,
    /// Entries that the last collection left, less those that were disposed of.
    survivors: u32,
    external_bytes: u64,
    registered: u64,
    drained: u64,
    /// The most live entries, and the most live and waiting entries, up to the last time that
    /// either became fewer.
    peak: u32,
    unreleased_peak: u32,
}

fn handle_of(entry: Record) -> Handle {
    Handle { kind: entry[1], handle: entry[2] }
}

impl WrapTable {
    /// Makes a table for `capacity` live entries, which may grow to `limit`. It has no memory yet.
    pub const fn new(capacity: u32, limit: u32) -> Self {
        WrapTable {
            entries: Table::new(),
            capacity,
            limit,
            least_capacity: capacity,
            pending: 0,
            survivors: 0,
            external_bytes: 0,
            registered: 0,
            drained: 0,
            peak: 0,
            unreleased_peak: 0,
        }
    }

    /// Takes the memory for `capacity` entries. False if memory refuses it.
    #[must_use]
    pub fn take_memory<M: Memory>(&mut self, supply: &mut Supply<M>) -> bool {
        self.entries.reserve(supply, self.capacity)
    }

    /// Returns the number of live entries.
    pub fn length(&self) -> u32 {
        self.entries.length()
    }

    /// Returns the bytes that the table takes.
    pub fn size_bytes(&self) -> u32 {
        self.entries.size_bytes()
    }

    /// Returns the most live entries that there may be without growth.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Returns the number of released handles that wait to be drained.
    pub fn pending(&self) -> u32 {
        self.pending
    }

    /// Returns the sum of the live entries' weights, in bytes.
    pub fn external_bytes(&self) -> u64 {
        self.external_bytes
    }

    /// Returns the number of handles ever registered.
    pub fn registered(&self) -> u64 {
        self.registered
    }

    /// Returns the number of handles ever released, drained or not.
    pub fn released(&self) -> u64 {
        self.drained + u64::from(self.pending)
    }

    /// Returns the most live entries that there were at one time.
    pub fn peak(&self) -> u32 {
        self.peak.max(self.length())
    }

    /// Returns the most handles that were live or waiting at one time.
    pub fn unreleased_peak(&self) -> u32 {
        self.unreleased_peak.max(self.length() + self.pending)
    }

    /// Returns true if there are entries that were registered after the last collection.
    pub fn has_new(&self) -> bool {
        self.length() > self.survivors
    }

    /// Returns true if `count` entries are within the table's limit when there are no others.
    pub fn is_within_limit(&self, count: u32) -> bool {
        count <= self.limit
    }

    /// Returns true if `count` more entries fit without growth.
    pub fn has_room(&self, count: u32) -> bool {
        self.length().saturating_add(count) <= self.capacity
    }

    /// Returns true if `count` more entries fit, growing if most entries were live at the last
    /// collection. Without that growth a table of live entries would need a collection at each few
    /// registrations.
    pub fn has_room_after_growth<M: Memory>(&mut self, supply: &mut Supply<M>, count: u32) -> bool {
        self.has_room(count)
            || self.survivors > self.capacity / 2 && self.reserve(supply, count).is_ok()
    }

    /// Makes sure that `count` more entries can be registered. Grows within the limit: to twice the
    /// capacity, or by what memory gives. Does not collect.
    ///
    /// Errors: `WrapTableFull`; `OutOfMemory` if memory refuses the growth.
    pub fn reserve<M: Memory>(&mut self, supply: &mut Supply<M>, count: u32) -> Result<(), Error> {
        let live = self.length().saturating_add(count);
        if live > self.limit {
            return Err(Error::WrapTableFull { capacity: self.capacity });
        }
        // The capacity doubles whatever waits, so that a program that drains late has the same
        // capacity as one that drains early.
        let doubled = (self.capacity * 2).max(live).min(self.limit);
        if live > self.capacity && self.entries.reserve(supply, doubled + self.pending) {
            self.capacity = doubled;
            return Ok(());
        }
        // No overflow: `live` is at most `Options::MOST_ENTRIES`, and what waits is in memory.
        let all = live + self.pending;
        if !self.entries.reserve(supply, all) {
            return Err(Error::OutOfMemory { needed_bytes: all.saturating_mul(RECORD_BYTES) });
        }
        if live > self.capacity {
            self.capacity = (self.entries.capacity() - self.pending).min(self.limit);
        }
        Ok(())
    }

    /// Gives back the room for more than `count` more entries, which a growth took beyond need.
    /// False if there is none.
    pub fn shrink_to_need<M: Memory>(&mut self, supply: &mut Supply<M>, count: u32) -> bool {
        let capacity = self.least_capacity.max(self.length() + count);
        if capacity >= self.capacity {
            return false;
        }
        self.capacity = capacity;
        self.entries.shrink_to(supply, capacity + self.pending);
        true
    }

    /// Returns true if one more entry fits without growth: the common case of `register`.
    pub fn is_ready(&self) -> bool {
        let length = self.entries.length();
        length < self.capacity && length + self.pending < self.entries.capacity()
    }

    /// Adds an entry. There is room for it (`reserve`), and the wrapper has no entry.
    pub fn push<M: Memory>(&mut self, memory: &mut M, registration: Registration) {
        let Registration { wrapper, kind, handle, weight_bytes } = registration;
        let length = self.entries.length();
        if self.pending > 0 {
            // The first waiting entry becomes the last, and so makes place.
            let first = self.entries.record(memory, length);
            self.entries.put(memory, length + self.pending, first);
        }
        self.entries.push(memory, [wrapper, kind, handle, weight_bytes]);
        self.external_bytes += u64::from(weight_bytes);
        self.registered += 1;
    }

    /// Notes both peaks. The numbers only grow until an entry is released or drained, so they are
    /// noted just before that.
    fn note_peaks(&mut self) {
        self.peak = self.peak();
        self.unreleased_peak = self.unreleased_peak();
    }

    /// Returns the handle that a wrapper owns.
    pub fn lookup<M: Memory>(
        &mut self,
        supply: &mut Supply<M>,
        wrapper: Reference,
    ) -> Option<Handle> {
        let position = self.find(supply, wrapper)?;
        Some(handle_of(self.entries.record(&supply.memory, position)))
    }

    /// Gives the entry of a wrapper another weight. False if the wrapper has no entry.
    pub fn set_weight<M: Memory>(
        &mut self,
        supply: &mut Supply<M>,
        wrapper: Reference,
        weight_bytes: u32,
    ) -> bool {
        let Some(position) = self.find(supply, wrapper) else {
            return false;
        };
        let before = self.entries.word(&supply.memory, position, WEIGHT);
        self.entries.set_word(&mut supply.memory, position, WEIGHT, weight_bytes);
        self.external_bytes += u64::from(weight_bytes);
        self.external_bytes -= u64::from(before);
        true
    }

    /// Finds the position of a wrapper's entry. Brings the index up to date.
    fn find<M: Memory>(&mut self, supply: &mut Supply<M>, wrapper: Reference) -> Option<u32> {
        self.entries.index_all(supply);
        self.entries.find(&supply.memory, wrapper)
    }

    /// Releases the handle of a wrapper now. False if the wrapper has no entry.
    pub fn dispose<M: Memory>(&mut self, supply: &mut Supply<M>, wrapper: Reference) -> bool {
        let Some(position) = self.find(supply, wrapper) else {
            return false;
        };
        self.note_peaks();
        let memory = &mut supply.memory;
        let entry = self.entries.record(memory, position);
        self.entries.swap_remove(memory, position);
        self.external_bytes -= u64::from(entry[3]);
        self.survivors = self.survivors.min(self.length());
        self.pending += 1;
        true
    }

    /// Releases the entries whose wrapper is not live, and moves the others together in their
    /// order. Needs no memory and cannot fail.
    pub fn release_dead<M: Memory>(
        &mut self,
        supply: &mut Supply<M>,
        mut is_live: impl FnMut(&M, Reference) -> bool,
    ) {
        self.note_peaks();
        let before = self.entries.length();
        let mut external_bytes = 0;
        self.entries.partition(supply, |memory, entry| {
            let live = is_live(memory, entry[0]);
            if live {
                external_bytes += u64::from(entry[3]);
            }
            live
        });
        self.external_bytes = external_bytes;
        self.survivors = self.entries.length();
        self.pending += before - self.survivors;
        self.shrink(supply);
    }

    /// Shrinks the capacity to twice the live entries, but not below the first capacity, if at most
    /// a quarter is used. Waiting entries stay where they are.
    fn shrink<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if self.survivors <= self.capacity / 4 {
            self.capacity = self.least_capacity.max(self.survivors * 2);
        }
        self.entries.shrink(supply, self.capacity + self.pending);
    }

    /// Takes released handles out, as many as `into` has places for, and returns their number.
    pub fn drain<M: Memory>(&mut self, memory: &M, into: &mut [Handle]) -> usize {
        self.note_peaks();
        let mut count = 0;
        for place in into {
            if self.pending == 0 {
                break;
            }
            self.pending -= 1;
            *place = handle_of(self.entries.record(memory, self.entries.length() + self.pending));
            count += 1;
        }
        self.drained += count as u64;
        count
    }

    /// Lets the last `count` drained entries wait again. Nothing may have been registered or
    /// released since they were drained, because their records are still where they were.
    pub fn put_back(&mut self, count: u32) {
        self.pending += count;
        self.drained -= u64::from(count);
    }

    /// Releases every handle.
    pub fn close<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.note_peaks();
        self.pending += self.entries.length();
        self.entries.clear(supply);
        self.external_bytes = 0;
    }

    /// Gives the memory back if no entry waits in it.
    pub fn release_memory<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if self.pending == 0 {
            self.entries.release(supply);
        }
    }

    /// Returns the wrapper of the live entry at a position.
    pub fn wrapper<M: Memory>(&self, memory: &M, position: u32) -> Reference {
        self.entries.word(memory, position, 0)
    }

    /// Returns the first position at which the index is wrong; the table's length if a sum is.
    pub fn inconsistency<M: Memory>(&self, memory: &M) -> Option<u32> {
        let weight = |position| u64::from(self.entries.word(memory, position, WEIGHT));
        let external_bytes: u64 = (0..self.length()).map(weight).sum();
        let counted = u64::from(self.length()) + self.released();
        if external_bytes != self.external_bytes || counted != self.registered {
            return Some(self.length());
        }
        self.entries.inconsistency(memory)
    }
}
