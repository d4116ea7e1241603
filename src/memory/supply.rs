//! Memory under a limit, counted.
//!
//! Everything the collector takes, it takes here: blocks, large objects and its
//! own tables. Invariant: `taken_bytes ≤ limit_bytes`, and it is the sum of what
//! was taken less what was given back.

use crate::memory::Memory;
use crate::units::BLOCK_BYTES;

/// A memory, how much of it is taken, and how much may be.
#[derive(Debug)]
pub struct Supply<M> {
    /// For loads and stores.
    pub memory: M,
    limit_bytes: u64,
    taken_bytes: u64,
    peak_bytes: u64,
}

impl<M: Memory> Supply<M> {
    /// A supply from which nothing is taken.
    pub const fn new(memory: M) -> Self {
        Supply { memory, limit_bytes: u64::MAX, taken_bytes: 0, peak_bytes: 0 }
    }

    /// Limits what may be taken from now on.
    pub fn set_limit(&mut self, limit_bytes: u64) {
        self.limit_bytes = limit_bytes;
    }

    /// Whether so many bytes are within the limit, if nothing else is taken.
    pub fn is_within_limit(&self, size_bytes: u32) -> bool {
        u64::from(size_bytes) <= self.limit_bytes
    }

    /// Bytes taken now.
    pub fn taken_bytes(&self) -> u64 {
        self.taken_bytes
    }

    /// The most bytes taken at one time.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    /// Takes one block, with undefined content.
    pub fn take_block(&mut self) -> Option<u32> {
        self.admit(BLOCK_BYTES)?;
        let block = self.memory.take_pages(1)?;
        self.count(BLOCK_BYTES);
        Some(block)
    }

    /// Gives a block back.
    pub fn give_block(&mut self, address: u32) {
        self.memory.give_pages(address, 1);
        self.taken_bytes -= u64::from(BLOCK_BYTES);
    }

    /// Takes a range of bytes, aligned to 8, with undefined content.
    pub fn take_bytes(&mut self, size_bytes: u32) -> Option<u32> {
        self.admit(size_bytes)?;
        let address = self.memory.take_bytes(size_bytes)?;
        self.count(size_bytes);
        Some(address)
    }

    /// Gives back a range of bytes.
    pub fn give_bytes(&mut self, address: u32, size_bytes: u32) {
        self.memory.give_bytes(address, size_bytes);
        self.taken_bytes -= u64::from(size_bytes);
    }

    fn admit(&self, size_bytes: u32) -> Option<()> {
        (self.taken_bytes + u64::from(size_bytes) <= self.limit_bytes).then_some(())
    }

    fn count(&mut self, size_bytes: u32) {
        self.taken_bytes += u64::from(size_bytes);
        self.peak_bytes = self.peak_bytes.max(self.taken_bytes);
    }
}
