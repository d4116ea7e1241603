//! The wrap table: host handles tethered to the heap objects that own them.
//!
//! An entry is 16 bytes: wrapper, kind, handle, weight. Live entries stand in
//! front, and behind them, in the same memory, the released ones that wait to be
//! drained. So an entry passes from live to released in its place: releasing
//! needs no memory, and therefore cannot fail or lose a handle.
//!
//! ```text
//!   0 ........ live ........ length | .... released .... length + pending | free
//! ```
//!
//! Invariants: each live entry's wrapper is a live object with its wrapper bit
//! set, and is in no other entry; `registered = length + pending + drained`;
//! `external` is the sum of the live entries' weights.
//!
//! Not done here: finding out which wrappers are dead (a collection passes that
//! in), and telling the host (the doors do).

#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::table::{RECORD_BYTES, Record, Table};
use crate::units::Reference;

/// The word of an entry that is its weight.
const WEIGHT: u32 = 3;

/// A handle to register: what an entry of the table holds.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The object that owns the handle.
    pub wrapper: Reference,
    /// What the host resource is: the language's own number.
    pub kind: u32,
    /// Which one: the host's number.
    pub handle: u32,
    /// What it costs the host, in bytes.
    pub weight_bytes: u32,
}

/// A handle that was released, or that a wrapper owns.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    /// As registered.
    pub kind: u32,
    /// As registered.
    pub handle: u32,
}

/// The table.
#[derive(Debug)]
pub struct WrapTable {
    entries: Table,
    capacity: u32,
    limit: u32,
    pending: u32,
    /// The capacity that the table began with.
    least_capacity: u32,
    /// Entries that the last collection left, less those that were disposed of.
    kept: u32,
    external_bytes: u64,
    registered: u64,
    drained: u64,
    peak: u32,
    unreleased_peak: u32,
}

fn handle_of(entry: Record) -> Handle {
    Handle { kind: entry[1], handle: entry[2] }
}

impl WrapTable {
    /// A table for `capacity` live entries, that may grow to `limit`; it has no
    /// memory yet.
    pub const fn new(capacity: u32, limit: u32) -> Self {
        WrapTable {
            entries: Table::new(),
            capacity,
            limit,
            least_capacity: capacity,
            pending: 0,
            kept: 0,
            external_bytes: 0,
            registered: 0,
            drained: 0,
            peak: 0,
            unreleased_peak: 0,
        }
    }

    /// Takes the memory. Whether it could be had.
    #[must_use]
    pub fn take_memory<M: Memory>(&mut self, supply: &mut Supply<M>) -> bool {
        self.entries.reserve(supply, self.capacity)
    }

    /// Live entries.
    pub fn length(&self) -> u32 {
        self.entries.length()
    }

    /// Bytes that the table takes.
    pub fn size_bytes(&self) -> u32 {
        self.entries.size_bytes()
    }

    /// Live entries that there may be without growth.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Released handles that wait to be drained.
    pub fn pending(&self) -> u32 {
        self.pending
    }

    /// The sum of the live entries' weights.
    pub fn external_bytes(&self) -> u64 {
        self.external_bytes
    }

    /// Handles ever registered.
    pub fn registered(&self) -> u64 {
        self.registered
    }

    /// Handles ever released, drained or not.
    pub fn released(&self) -> u64 {
        self.drained + u64::from(self.pending)
    }

    /// The most live entries there were.
    pub fn peak(&self) -> u32 {
        self.peak.max(self.length())
    }

    /// The most handles that were live or waiting.
    pub fn unreleased_peak(&self) -> u32 {
        self.unreleased_peak.max(self.length() + self.pending)
    }

    /// Whether there are entries that the last collection did not leave.
    pub fn has_new(&self) -> bool {
        self.length() > self.kept
    }

    /// Whether so many entries are within the table's limit, if there is no other.
    pub fn may_have(&self, count: u32) -> bool {
        count <= self.limit
    }

    /// Whether `count` more entries fit without growth.
    pub fn has_room(&self, count: u32) -> bool {
        self.length().saturating_add(count) <= self.capacity
    }

    /// Whether `count` more entries fit, after growth if most entries were live at the last
    /// collection: otherwise each few registrations would need another.
    pub fn has_room_after_growth<M: Memory>(&mut self, supply: &mut Supply<M>, count: u32) -> bool {
        self.has_room(count) || self.kept > self.capacity / 2 && self.reserve(supply, count).is_ok()
    }

    /// Makes sure that `count` more can be registered, growing within the limit: to twice the
    /// capacity, or by what memory gives. Does not collect.
    ///
    /// Errors: `WrapTableFull`, or `OutOfMemory` where growth is refused.
    pub fn reserve<M: Memory>(&mut self, supply: &mut Supply<M>, count: u32) -> Result<(), Error> {
        let live = self.length().saturating_add(count);
        if live > self.limit {
            return Err(Error::WrapTableFull { capacity: self.capacity });
        }
        // Twice as many wherever memory allows that, whatever waits: a program that drains late
        // has the same table.
        let doubled = (self.capacity * 2).max(live).min(self.limit);
        if live > self.capacity && self.entries.reserve(supply, doubled + self.pending) {
            self.capacity = doubled;
            return Ok(());
        }
        // At most `Options::MOST_ENTRIES`, and what waits, which is in memory.
        let all = live + self.pending;
        if !self.entries.reserve(supply, all) {
            return Err(Error::OutOfMemory { needed_bytes: all.saturating_mul(RECORD_BYTES) });
        }
        if live > self.capacity {
            self.capacity = (self.entries.room() - self.pending).min(self.limit);
        }
        Ok(())
    }

    /// Goes back to room for `count` more entries: what more there is was taken for comfort.
    /// Whether there was more.
    pub fn give_comfort_back<M: Memory>(&mut self, supply: &mut Supply<M>, count: u32) -> bool {
        let capacity = self.least_capacity.max(self.length() + count);
        if capacity >= self.capacity {
            return false;
        }
        self.capacity = capacity;
        self.entries.shorten(supply, capacity + self.pending);
        true
    }

    /// Whether one more entry fits as things are: the common case of `register`.
    #[inline]
    pub fn is_ready(&self) -> bool {
        let length = self.entries.length();
        length < self.capacity && length + self.pending < self.entries.room()
    }

    /// Adds an entry. Room was made (`reserve`), and the wrapper has none.
    pub fn push<M: Memory>(&mut self, memory: &mut M, registration: Registration) {
        let Registration { wrapper, kind, handle, weight_bytes } = registration;
        let length = self.entries.length();
        if self.pending > 0 {
            // The first of the waiting ones makes place by becoming the last.
            let first = self.entries.record(memory, length);
            self.entries.put(memory, length + self.pending, first);
        }
        self.entries.push(memory, [wrapper, kind, handle, weight_bytes]);
        self.external_bytes += u64::from(weight_bytes);
        self.registered += 1;
    }

    /// Both only grow until entries are released or drained: then it is time to look.
    fn note_peaks(&mut self) {
        self.peak = self.peak();
        self.unreleased_peak = self.unreleased_peak();
    }

    /// The handle that a wrapper owns.
    pub fn lookup<M: Memory>(
        &mut self,
        supply: &mut Supply<M>,
        wrapper: Reference,
    ) -> Option<Handle> {
        let position = self.find(supply, wrapper)?;
        Some(handle_of(self.entries.record(&supply.memory, position)))
    }

    /// Gives the entry of a wrapper another weight. Whether there is one.
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

    fn find<M: Memory>(&mut self, supply: &mut Supply<M>, wrapper: Reference) -> Option<u32> {
        self.entries.index_all(supply);
        self.entries.find(&supply.memory, wrapper)
    }

    /// Releases the handle of a wrapper now. Whether it had one.
    pub fn dispose<M: Memory>(&mut self, supply: &mut Supply<M>, wrapper: Reference) -> bool {
        let Some(position) = self.find(supply, wrapper) else {
            return false;
        };
        self.note_peaks();
        let memory = &mut supply.memory;
        let entry = self.entries.record(memory, position);
        self.entries.swap_remove(memory, position);
        self.external_bytes -= u64::from(entry[3]);
        self.kept = self.kept.min(self.length());
        self.pending += 1;
        true
    }

    /// Releases the entries whose wrapper is not live, and compacts the others
    /// in their order. Needs no memory and cannot fail.
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
        self.kept = self.entries.length();
        self.pending += before - self.kept;
        self.shrink(supply);
    }

    /// Goes back to twice what lives, and no further than it began, if three quarters are
    /// empty. What waits stays where it is.
    fn shrink<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if self.kept <= self.capacity / 4 {
            self.capacity = self.least_capacity.max(self.kept * 2);
        }
        self.entries.shrink(supply, self.capacity + self.pending);
    }

    /// Takes as many released handles out as there is place for, and gives their number.
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

    /// Takes the last so many drained ones back, which still stand where they stood.
    #[cfg(feature = "core")]
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

    /// Gives the memory back, once nothing waits in it.
    pub fn release_memory<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if self.pending == 0 {
            self.entries.release(supply);
        }
    }

    /// The wrapper of the live entry at a position.
    pub fn wrapper<M: Memory>(&self, memory: &M, position: u32) -> Reference {
        self.entries.word(memory, position, 0)
    }

    /// The first position at which the index disagrees, or the length where a
    /// sum does not add up.
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
