//! The large-object space: objects over 8 KiB, each a range of its own.
//!
//! A table holds a record for each: address, size, layout, and flags. An object
//! is found by its address through the table's index; by an address inside it
//! only where conservative tracing asks for that, which sorts the table first.
//!
//! Invariants: records are live or, until the next collection ends, dead; every
//! record's range was taken from the supply with its size.

use crate::layout::LayoutId;
use crate::memory::Memory;
use crate::memory::supply::{Purpose, Supply};
use crate::metadata::{START, WRAPPER};
use crate::table::{Record, Table};
use crate::units::{GRANULE_BYTES, Reference};

const SIZE: u32 = 1;
const LAYOUT: u32 = 2;
/// Colour and wrapper bit, as in a start byte; then, from bit 8 on, the logarithm
/// of the alignment, and from bit 16 on how far the object is from its range's start.
const FLAGS: u32 = 3;

/// The bit of the flags that is set, during a marking, if the object is marked and could not
/// be traced yet.
const UNTRACED: u32 = 1 << 5;

/// A large object to be.
#[derive(Clone, Copy, Debug)]
pub struct NewLarge {
    /// Its size, a multiple of 8.
    pub size_bytes: u32,
    /// Its layout.
    pub layout: LayoutId,
    /// A power of two, from 8 to 4,096.
    pub alignment: u32,
    /// Whether its content must be zero.
    pub zeroed: bool,
    /// Its colour.
    pub colour: u8,
}

/// What a range has beyond its object, so that an aligned place is in it.
fn slack_bytes(alignment: u32) -> u32 {
    alignment - GRANULE_BYTES
}

/// The range that an object of the table is in: its address and size. A component
/// has no aligned ones.
fn range_of(record: Record) -> (u32, u32) {
    let [address, size_bytes, _, flags] = record;
    if cfg!(feature = "component") {
        return (address, size_bytes);
    }
    (address - (flags >> 16), size_bytes + slack_bytes(1 << (flags >> 8 & 0xff)))
}

/// The large objects.
#[derive(Debug)]
pub struct LargeObjects {
    table: Table,
    /// Bytes in objects.
    bytes: u64,
    /// Bytes in objects allocated since the last collection.
    claimed_bytes: u64,
    allocated_bytes: u64,
    /// The lowest address of any object and the highest end, to refuse most words at once.
    lowest: u32,
    highest_end: u32,
}

impl LargeObjects {
    /// A space without objects.
    pub const fn new() -> Self {
        LargeObjects {
            table: Table::new(),
            bytes: 0,
            claimed_bytes: 0,
            allocated_bytes: 0,
            lowest: u32::MAX,
            highest_end: 0,
        }
    }

    /// Allocates an object in the given colour.
    pub fn allocate<M: Memory>(
        &mut self,
        supply: &mut Supply<M>,
        new: NewLarge,
    ) -> Option<Reference> {
        let NewLarge { size_bytes, layout, alignment, zeroed, colour } = new;
        let range_bytes = size_bytes + slack_bytes(alignment);
        let range = supply.take_bytes(Purpose::Object, range_bytes)?;
        // After the object, which the table's growth must not leave without memory.
        if !self.table.reserve_indexed(supply, self.table.length() + 1) {
            supply.give_bytes(Purpose::Object, range, range_bytes);
            return None;
        }
        // Every range is aligned to a granule.
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
        self.claimed_bytes += u64::from(range_bytes);
        self.allocated_bytes += u64::from(range_bytes);
        Some(address)
    }

    #[inline]
    fn may_contain(&self, address: u32) -> bool {
        address >= self.lowest && address < self.highest_end
    }

    /// The object that starts at an address.
    #[inline]
    pub fn find<M: Memory>(&self, memory: &M, address: u32) -> Option<u32> {
        if !self.may_contain(address) {
            return None;
        }
        self.table.find(memory, address)
    }

    /// Readies the space for [`find_inside`](Self::find_inside).
    #[cfg(feature = "interior-pointers")]
    pub fn sort<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.table.sort(supply);
        self.table.index_all(supply);
    }

    /// The object that an address lies in. The space was sorted, and nothing
    /// allocated since.
    #[cfg(feature = "interior-pointers")]
    pub fn find_inside<M: Memory>(&self, memory: &M, address: u32) -> Option<u32> {
        if !self.may_contain(address) {
            return None;
        }
        let position = self.table.last_up_to(memory, address)?;
        let offset = address - self.address(memory, position);
        (offset < self.size(memory, position)).then_some(position)
    }

    /// Objects in the space.
    pub fn count(&self) -> u32 {
        self.table.length()
    }

    /// Bytes in objects.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes in objects that were live at the last collection.
    pub fn live_bytes(&self) -> u64 {
        self.bytes - self.claimed_bytes
    }

    /// Bytes that the table takes.
    pub fn table_bytes(&self) -> u32 {
        self.table.size_bytes()
    }

    /// Bytes given to objects, ever.
    pub fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes
    }

    /// An object's address.
    #[inline]
    pub fn address<M: Memory>(&self, memory: &M, position: u32) -> u32 {
        self.table.word(memory, position, 0)
    }

    /// An object's size in bytes.
    #[inline]
    pub fn size<M: Memory>(&self, memory: &M, position: u32) -> u32 {
        self.table.word(memory, position, SIZE)
    }

    /// An object's layout.
    #[inline]
    pub fn layout<M: Memory>(&self, memory: &M, position: u32) -> LayoutId {
        self.table.word(memory, position, LAYOUT)
    }

    /// An object's colour and wrapper bit, as in a start byte.
    #[inline]
    pub fn flags<M: Memory>(&self, memory: &M, position: u32) -> u8 {
        self.table.word(memory, position, FLAGS) as u8
    }

    /// Gives an object another colour.
    #[inline]
    pub fn set_colour<M: Memory>(&self, memory: &mut M, position: u32, colour: u8) {
        let flags = self.table.word(memory, position, FLAGS) & !u32::from(START);
        self.table.set_word(memory, position, FLAGS, flags | u32::from(colour));
    }

    /// Whether an object is noted as untraced.
    pub fn is_untraced<M: Memory>(&self, memory: &M, position: u32) -> bool {
        self.table.word(memory, position, FLAGS) & UNTRACED != 0
    }

    /// Notes that an object is untraced, or no longer.
    pub fn set_untraced<M: Memory>(&self, memory: &mut M, position: u32, untraced: bool) {
        let bit = if untraced { UNTRACED } else { 0 };
        let flags = self.table.word(memory, position, FLAGS) & !UNTRACED;
        self.table.set_word(memory, position, FLAGS, flags | bit);
    }

    /// Notes that an object is a wrapper, or no longer.
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

    /// The same, with something else done with the ranges: their addresses and sizes.
    #[cfg_attr(not(feature = "stress"), inline(always))]
    #[cfg_attr(feature = "stress", inline(never))]
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
        self.claimed_bytes = 0;
    }

    /// Gives everything back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.sweep(supply, 0);
        self.table.release(supply);
    }

    /// The first position at which the table, or the sum of sizes, is not as it must be.
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
