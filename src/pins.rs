//! Pins: counted roots, for objects that the host holds.
//!
//! Invariant: an object is in the table as long as it has been pinned more often than unpinned, and
//! its count is the difference.

use crate::error::Error;
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::table::{RECORD_BYTES, Table};
use crate::units::Reference;

/// The word of a record that is the count of pins.
const COUNT: u32 = 1;

/// All pins of a heap.
#[derive(Debug)]
pub struct Pins {
    table: Table,
}

impl Pins {
    /// Makes a table without pins.
    pub const fn new() -> Self {
        Pins { table: Table::new() }
    }

    /// Pins a live object once more, and returns the number of its pins. At `u32::MAX` the count
    /// stays, and the object is pinned for good. Errors: `OutOfMemory`.
    pub fn pin<M: Memory>(
        &mut self,
        supply: &mut Supply<M>,
        object: Reference,
    ) -> Result<u32, Error> {
        if let Some(position) = self.table.find(&supply.memory, object) {
            let count = self.table.word(&supply.memory, position, COUNT).saturating_add(1);
            self.table.set_word(&mut supply.memory, position, COUNT, count);
            return Ok(count);
        }
        let length = self.table.length() + 1;
        if !self.table.reserve_indexed(supply, length) {
            return Err(Error::OutOfMemory { needed_bytes: length.saturating_mul(RECORD_BYTES) });
        }
        self.table.push(&mut supply.memory, [object, 1, 0, 0]);
        self.table.index_all(supply);
        Ok(1)
    }

    /// Takes one pin back, and returns the number of pins left. Errors: `NotPinned`.
    pub fn unpin<M: Memory>(&mut self, memory: &mut M, object: Reference) -> Result<u32, Error> {
        let position =
            self.table.find(memory, object).ok_or(Error::NotPinned { reference: object })?;
        let before = self.table.word(memory, position, COUNT);
        if before == u32::MAX {
            // The object may have been pinned more often than can be counted.
            return Ok(before);
        }
        let count = before - 1;
        if count == 0 {
            self.table.swap_remove(memory, position);
        } else {
            self.table.set_word(memory, position, COUNT, count);
        }
        Ok(count)
    }

    /// Returns the number of pinned objects.
    pub fn length(&self) -> u32 {
        self.table.length()
    }

    /// Returns the bytes that the table takes.
    pub fn size_bytes(&self) -> u32 {
        self.table.size_bytes()
    }

    /// Returns the pinned object at a position.
    pub fn object<M: Memory>(&self, memory: &M, position: u32) -> Reference {
        self.table.word(memory, position, 0)
    }

    /// Returns the first position at which the table breaks its invariant.
    pub fn inconsistency<M: Memory>(&self, memory: &M) -> Option<u32> {
        self.table.inconsistency(memory).or_else(|| {
            (0..self.table.length()).find(|&position| self.table.word(memory, position, COUNT) == 0)
        })
    }

    /// Overwrites the count of an object's pins.
    #[cfg(test)]
    pub fn set_count<M: Memory>(&self, memory: &mut M, position: u32, count: u32) {
        self.table.set_word(memory, position, COUNT, count);
    }

    /// Gives back memory that is mostly empty.
    pub fn shrink<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.table.shrink(supply, self.table.length());
        self.table.index_all(supply);
    }

    /// Gives the memory back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.table.release(supply);
    }
}
