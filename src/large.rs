//! The large-object space: objects over 8 KiB, each in a range of its own.
//!
//! A table has a record for each object: address, size, layout, and flags. An object is found by
//! its address, through the table's index. Conservative tracing also finds an object by an address
//! inside it; for that the table is sorted first.
//!
//! Invariants:
//! 1. A record's object is live or, until the next collection ends, dead.
//! 2. Each range was taken from the supply with the size that its record says.

use crate::layout::LayoutId;
use crate::memory::Memory;
use crate::memory::supply::{Purpose, Supply};
use crate::metadata::{START, WRAPPER};
use crate::table::{Record, Table};
use crate::units::{GRANULE_BYTES, Reference};

/// The word of a record that is the object's size in bytes.
const SIZE: u32 = 1;
/// The word of a record that is the object's layout.
const LAYOUT: u32 = 2;
/// The word of a record with the flags. The lowest eight bits are the colour and the wrapper bit,
/// as in a start byte. From bit 8 on stands the logarithm of the alignment, from bit 16 on how many
/// bytes the object is behind its range's start.
const FLAGS: u32 = 3;

/// The bit of the flags that says, during a marking, that the object is marked and could not be
/// traced yet.
const UNTRACED: u32 = 1 << 5;

/// A large object that is about to be allocated.
#[derive(Clone, Copy, Debug)]
pub struct NewLarge {
    /// The object's size, a multiple of 8.
    pub size_bytes: u32,
    /// The object's layout.
    pub layout: LayoutId,
    /// The object's alignment, a power of two from 8 to 4,096.
    pub alignment: u32,
    /// Whether the object's content must be zero.
    pub zeroed: bool,
    /// The object's colour.
    pub colour: u8,
}

/// Returns how many bytes a range has beyond its object, so that an aligned object fits.
fn slack_bytes(alignment: u32) -> u32 {
    alignment - GRANULE_BYTES
}

/// Returns the address and the size of the range that a record's object is in.
fn range_of(record: Record) -> (u32, u32) {
    let [address, size_bytes, _, flags] = record;
    (address - (flags >> 16), size_bytes + slack_bytes(1 << (flags >> 8 & 0xff)))
}

/// The large objects.
#[derive(Debug)]
pub struct LargeObjects {
    table: Table,
    /// Bytes of all ranges.
    bytes: u64,
    /// Bytes of the ranges that were taken since the last collection.
    new_bytes: u64,
    /// Bytes of all ranges that were ever taken.
    allocated_bytes: u64,
    /// The lowest address of any object, and the highest end of any. Most words that name no object
    /// lie outside.
    lowest: u32,
    highest_end: u32,
}

impl LargeObjects {
    /// Makes a space without objects.
    pub const fn new() -> Self {
        LargeObjects {
            table: Table::new(),
            bytes: 0,
            new_bytes: 0,
            allocated_bytes: 0,
            lowest: u32::MAX,
            highest_end: 0,
        }
    }

    /// Allocates an object. None if memory is refused, for the object or for its record.
    pub fn allocate<M: Memory>(
        &mut self,
        supply: &mut Supply<M>,
        new: NewLarge,
    ) -> Option<Reference> {
        let NewLarge { size_bytes, layout, alignment, zeroed, colour } = new;
        let range_bytes = size_bytes + slack_bytes(alignment);
        let range = supply.take_bytes(Purpose::Object, range_bytes)?;
        // The object comes first: otherwise the table's growth could take the object's memory.
        if !self.table.reserve_indexed(supply, self.table.length() + 1) {
            supply.give_bytes(Purpose::Object, range, range_bytes);
            return None;
        }
        let offset =
            if alignment == GRANULE_BYTES { 0 } else { range.wrapping_neg() & (alignment - 1) };
        let address = range + offset;
        if zeroed {
            supply.memory.fill(address, size_bytes, 0);
        }
        let flags = u32::from(colour) | alignment.ilog2() << 8 | offset << 16;
        self.table.push(&mut supply.memory, [address, size_bytes, layout, flags]);
        self.table.index_all(supply);
        self.lowest = self.lowest.min(address);
        self.highest_end = self.highest_end.max(address + size_bytes);
        self.bytes += u64::from(range_bytes);
        self.new_bytes += u64::from(range_bytes);
        self.allocated_bytes += u64::from(range_bytes);
        Some(address)
    }

    fn may_contain(&self, address: u32) -> bool {
        address >= self.lowest && address < self.highest_end
    }

    /// Finds the position of the object that starts at an address.
    pub fn find<M: Memory>(&self, memory: &M, address: u32) -> Option<u32> {
        if !self.may_contain(address) {
            return None;
        }
        self.table.find(memory, address)
    }

    /// Sorts the table, for [`find_interior`](Self::find_interior).
    pub fn sort<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.table.sort(supply);
        self.table.index_all(supply);
    }

    /// Finds the position of the object that an address lies in. The table was sorted, and nothing
    /// was allocated since.
    pub fn find_interior<M: Memory>(&self, memory: &M, address: u32) -> Option<u32> {
        if !self.may_contain(address) {
            return None;
        }
        let position = self.table.last_up_to(memory, address)?;
        let offset = address - self.address(memory, position);
        (offset < self.size(memory, position)).then_some(position)
    }

    /// Returns the number of objects.
    pub fn count(&self) -> u32 {
        self.table.length()
    }

    /// Returns the bytes of all ranges.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the bytes of the ranges whose objects were live at the last collection.
    pub fn live_bytes(&self) -> u64 {
        self.bytes - self.new_bytes
    }

    /// Returns the bytes that the table takes.
    pub fn table_bytes(&self) -> u32 {
        self.table.size_bytes()
    }

    /// Returns the bytes of all ranges that were ever taken.
    pub fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes
    }

    /// Returns an object's address.
    pub fn address<M: Memory>(&self, memory: &M, position: u32) -> u32 {
        self.table.word(memory, position, 0)
    }

    /// Returns an object's size in bytes.
    pub fn size<M: Memory>(&self, memory: &M, position: u32) -> u32 {
        self.table.word(memory, position, SIZE)
    }

    /// Returns an object's layout.
    pub fn layout<M: Memory>(&self, memory: &M, position: u32) -> LayoutId {
        self.table.word(memory, position, LAYOUT)
    }

    /// Returns an object's colour and wrapper bit, as in a start byte.
    pub fn flags<M: Memory>(&self, memory: &M, position: u32) -> u8 {
        self.table.word(memory, position, FLAGS) as u8
    }

    /// Gives an object another colour.
    pub fn set_colour<M: Memory>(&self, memory: &mut M, position: u32, colour: u8) {
        let flags = self.table.word(memory, position, FLAGS) & !u32::from(START);
        self.table.set_word(memory, position, FLAGS, flags | u32::from(colour));
    }

    /// Returns true if an object is noted as untraced.
    pub fn is_untraced<M: Memory>(&self, memory: &M, position: u32) -> bool {
        self.table.word(memory, position, FLAGS) & UNTRACED != 0
    }

    /// Notes an object as untraced, or takes the note back.
    pub fn set_untraced<M: Memory>(&self, memory: &mut M, position: u32, untraced: bool) {
        let bit = if untraced { UNTRACED } else { 0 };
        let flags = self.table.word(memory, position, FLAGS) & !UNTRACED;
        self.table.set_word(memory, position, FLAGS, flags | bit);
    }

    /// Sets or clears an object's wrapper bit.
    pub fn set_wrapper<M: Memory>(&self, memory: &mut M, position: u32, wrapper: bool) {
        let bit = if wrapper { u32::from(WRAPPER) } else { 0 };
        let flags = self.table.word(memory, position, FLAGS) & !u32::from(WRAPPER);
        self.table.set_word(memory, position, FLAGS, flags | bit);
    }

    /// Overwrites an object's size.
    #[cfg(test)]
    pub fn set_size<M: Memory>(&self, memory: &mut M, position: u32, size_bytes: u32) {
        self.table.set_word(memory, position, SIZE, size_bytes);
    }

    /// Gives back the objects that do not have the live colour.
    pub fn sweep<M: Memory>(&mut self, supply: &mut Supply<M>, live: u8) {
        self.sweep_with(supply, live, &mut |supply, range, range_bytes| {
            supply.give_bytes(Purpose::Object, range, range_bytes);
        });
    }

    /// Removes the objects that do not have the live colour, and calls `give` with the address and
    /// the size of each one's range.
    pub fn sweep_with<M: Memory>(
        &mut self,
        supply: &mut Supply<M>,
        live: u8,
        give: &mut dyn FnMut(&mut Supply<M>, u32, u32),
    ) {
        let before = self.table.length();
        let (mut lowest, mut highest_end, mut bytes) = (u32::MAX, 0, 0);
        self.table.partition(supply, |_, record| {
            let kept = record[FLAGS as usize] as u8 & live != 0;
            if kept {
                lowest = lowest.min(record[0]);
                highest_end = highest_end.max(record[0] + record[SIZE as usize]);
                bytes += u64::from(range_of(record).1);
            }
            kept
        });
        for position in self.table.length()..before {
            let (range, range_bytes) = range_of(self.table.record(&supply.memory, position));
            give(supply, range, range_bytes);
        }
        if self.table.length() < before {
            self.table.shrink(supply, self.table.length());
            self.table.index_all(supply);
        }
        (self.lowest, self.highest_end, self.bytes) = (lowest, highest_end, bytes);
        self.new_bytes = 0;
    }

    /// Gives back all objects and the table.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.sweep(supply, 0);
        self.table.release(supply);
    }

    /// Returns the first position at which the table is wrong; the number of objects if the sum of
    /// sizes is.
    pub fn inconsistency<M: Memory>(&self, memory: &M) -> Option<u32> {
        let bytes: u64 = (0..self.count())
            .map(|position| range_of(self.table.record(memory, position)).1)
            .map(u64::from)
            .sum();
        if bytes != self.bytes {
            return Some(self.count());
        }
        self.table.inconsistency(memory)
    }
}
