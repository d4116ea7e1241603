//! Memory under a limit, counted.
//!
//! The collector takes everything here: blocks, large objects and its own tables. The limit bounds
//! pages. It counts the pages that are taken, and those that lie free between them, because memory
//! cannot become smaller. So memory does not grow beyond the limit, however the taken pages are
//! strewn over it.
//!
//! Invariants:
//! 1. `taken_pages ≤ limit_pages`.
//! 2. `taken_pages` is the number of blocks and of the pages that extents are cut from.
//! 3. `used_bytes` is the sum of the ranges taken less those given back.

use crate::memory::Memory;
use crate::memory::extents::Extents;
use crate::units::BLOCK_SHIFT;

/// What a range of bytes is for. Ranges of different purposes share no page: a table among large
/// objects would keep its page from them for as long as the table lives.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// One of the collector's own tables.
    Table,
    /// A large object.
    Object,
}

/// A memory with a limit, and the count of what is taken from it.
#[derive(Debug)]
pub struct Supply<M> {
    /// The memory, for loads and stores.
    pub memory: M,
    extents: [Extents; 2],
    blocks: u32,
    limit_pages: u32,
    peak_pages: u32,
    used_bytes: u64,
}

impl<M: Memory> Supply<M> {
    /// Makes a supply from which nothing is taken.
    pub const fn new(memory: M) -> Self {
        Supply {
            memory,
            extents: [const { Extents::new(0) }; 2],
            blocks: 0,
            limit_pages: u32::MAX,
            peak_pages: 0,
            used_bytes: 0,
        }
    }

    /// Limits what may be taken from now on to `limit_bytes`, rounded down to whole pages.
    pub fn set_limit(&mut self, limit_bytes: u64) {
        self.limit_pages = u32::try_from(limit_bytes >> BLOCK_SHIFT).unwrap_or(u32::MAX);
    }

    /// Returns true if a range of `size_bytes` is within the limit when nothing else is taken.
    pub fn is_within_limit(&self, size_bytes: u32) -> bool {
        Extents::pages_for(size_bytes).is_some_and(|pages| pages <= self.limit_pages)
    }

    /// Returns the bytes of all pages that are taken.
    pub fn taken_bytes(&self) -> u64 {
        u64::from(self.taken_pages()) << BLOCK_SHIFT
    }

    /// Returns the most bytes that were taken at one time.
    pub fn peak_bytes(&self) -> u64 {
        u64::from(self.peak_pages) << BLOCK_SHIFT
    }

    /// Returns the number of blocks that are taken.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Returns the bytes of all ranges that are taken.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// Takes one block, whose content is undefined. None if the limit or memory refuses it.
    pub fn take_block(&mut self) -> Option<u32> {
        let (pages, growth) = self.pages_left();
        if pages == 0 {
            return None;
        }
        let block = self.memory.take_pages(1, growth)?;
        self.blocks += 1;
        self.note_peak();
        Some(block)
    }

    /// Gives a block back.
    pub fn give_block(&mut self, address: u32) {
        self.memory.give_pages(address, 1);
        self.blocks -= 1;
    }

    /// Takes a range of bytes, aligned to 16, whose content is undefined. None if the limit or
    /// memory refuses it.
    pub fn take_bytes(&mut self, purpose: Purpose, size_bytes: u32) -> Option<u32> {
        let (pages, growth) = self.pages_left();
        let extents = &mut self.extents[purpose as usize];
        let address = extents.take(&mut self.memory, size_bytes, pages, growth)?;
        self.memory.forget(address, size_bytes);
        self.used_bytes += u64::from(size_bytes);
        self.note_peak();
        Some(address)
    }

    /// Gives a range of bytes back.
    pub fn give_bytes(&mut self, purpose: Purpose, address: u32, size_bytes: u32) {
        self.memory.forget(address, size_bytes);
        self.extents[purpose as usize].give(&mut self.memory, address);
        self.used_bytes -= u64::from(size_bytes);
    }

    /// Gives the last `less_bytes` bytes of a table's range back.
    pub fn shrink_table(&mut self, address: u32, size_bytes: u32, less_bytes: u32) {
        let kept_bytes = size_bytes - less_bytes;
        self.memory.forget(address + kept_bytes, less_bytes);
        self.extents[Purpose::Table as usize].shrink_to(&mut self.memory, address, kept_bytes);
        self.used_bytes -= u64::from(less_bytes);
    }

    /// Returns the first header of an extent that breaks an invariant.
    pub fn inconsistency(&self) -> Option<u32> {
        self.extents.iter().find_map(|extents| extents.inconsistency(&self.memory))
    }

    /// Takes everything that is left in the pages of tables, except ranges of the sizes in
    /// `but_bytes`.
    #[cfg(test)]
    pub fn use_up(&mut self, but_bytes: &[u32]) {
        let kept: [_; 4] = core::array::from_fn(|index| {
            let size_bytes = *but_bytes.get(index)?;
            Some((self.take_bytes(Purpose::Table, size_bytes)?, size_bytes))
        });
        for shift in (0..BLOCK_SHIFT).rev() {
            let tables = &mut self.extents[Purpose::Table as usize];
            while tables.take(&mut self.memory, 1 << shift, 0, 0).is_some() {}
        }
        for (address, size_bytes) in kept.into_iter().flatten() {
            self.give_bytes(Purpose::Table, address, size_bytes);
        }
    }

    fn taken_pages(&self) -> u32 {
        self.blocks + self.extents[0].pages() + self.extents[1].pages()
    }

    /// Returns how many pages may be taken, and by how many pages memory may grow.
    fn pages_left(&self) -> (u32, u32) {
        let pages = self.limit_pages.saturating_sub(self.taken_pages());
        (pages, pages.saturating_sub(self.memory.free_pages()))
    }

    fn note_peak(&mut self) {
        self.peak_pages = self.peak_pages.max(self.taken_pages());
    }
}
