//! Root ranges: memory of the program's own whose words may name objects.
//!
//! A range is scanned conservatively, and a word that points into an object keeps the object alive:
//! compiled C has such words on its stack [boehm §2]. A range may also be the stack itself, from
//! the stack pointer at the time of a collection up to a fixed end.
//!
//! Invariant: no two ranges have the same beginning.

use crate::error::Error;
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::table::{RECORD_BYTES, Table};
use crate::units::WORD_BYTES;

/// The key of the range that begins at the stack pointer. No other range begins at this address,
/// because no word does.
const STACK: u32 = u32::MAX;

/// All root ranges of a heap.
#[derive(Debug)]
pub struct Ranges {
    table: Table,
}

/// Returns the key of a range: its beginning, to the byte. None for an address at which no word
/// begins.
fn key_of(begin: u32) -> Option<u32> {
    match begin {
        0 => Some(STACK),
        STACK => None,
        _ => Some(begin),
    }
}

impl Ranges {
    /// Makes a table without ranges.
    pub const fn new() -> Self {
        Ranges { table: Table::new() }
    }

    /// Adds a range, or changes the end of the range with this beginning. A beginning of 0 stands
    /// for the stack pointer.
    ///
    /// Errors: `OutOfMemory`; `OutOfBounds` if no word begins at `begin`.
    pub fn add<M: Memory>(
        &mut self,
        supply: &mut Supply<M>,
        begin: u32,
        end: u32,
    ) -> Result<(), Error> {
        let key = key_of(begin).ok_or(Error::OutOfBounds { size_bytes: end })?;
        if let Some(position) = self.table.find(&supply.memory, key) {
            self.table.set_word(&mut supply.memory, position, 1, end);
            return Ok(());
        }
        let length = self.table.length() + 1;
        if !self.table.reserve_indexed(supply, length) {
            return Err(Error::OutOfMemory { needed_bytes: length.saturating_mul(RECORD_BYTES) });
        }
        self.table.push(&mut supply.memory, [key, end, 0, 0]);
        self.table.index_all(supply);
        Ok(())
    }

    /// Removes a range. False if there is none with this beginning.
    pub fn remove<M: Memory>(&mut self, memory: &mut M, begin: u32) -> bool {
        let position = key_of(begin).and_then(|key| self.table.find(memory, key));
        position.map(|position| self.table.swap_remove(memory, position)).is_some()
    }

    /// Returns the number of ranges.
    pub fn length(&self) -> u32 {
        self.table.length()
    }

    /// Returns the range at a position: the address of its first word, and its end.
    pub fn range<M: Memory>(&self, memory: &M, position: u32) -> (u32, u32) {
        let [key, end, ..] = self.table.record(memory, position);
        Self::bounds(memory, if key == STACK { 0 } else { key }, end)
    }

    /// Returns the address of the first whole word, and the end, of a range that begins at `begin`,
    /// or at the stack pointer if `begin` is 0.
    pub fn bounds<M: Memory>(memory: &M, begin: u32, end: u32) -> (u32, u32) {
        let begin = if begin == 0 { memory.stack_pointer() } else { begin };
        (begin.saturating_add(WORD_BYTES - 1) & !(WORD_BYTES - 1), end)
    }

    /// Returns the bytes in all ranges, as they are now.
    pub fn scanned_bytes<M: Memory>(&self, memory: &M) -> u64 {
        (0..self.length())
            .map(|position| {
                let (from, to) = self.range(memory, position);
                u64::from(to.saturating_sub(from))
            })
            .sum()
    }

    /// Returns the bytes that the table takes.
    pub fn size_bytes(&self) -> u32 {
        self.table.size_bytes()
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
