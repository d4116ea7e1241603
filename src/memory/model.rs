//! Memory in a boxed slice, for native programs, tests and fuzzing.
//!
//! The model behaves as linear memory does, and is stricter. Every access is in bounds. In debug
//! builds it is also aligned, and not below the first page that can be taken. Memory that is taken
//! or given back is overwritten. A test can play other users of `memory.grow` (gaps between pages),
//! and can have memory refuse to grow, or refuse everything.

extern crate alloc;

use crate::memory::Memory;
use crate::memory::pages::FreePages;
use crate::units::{BLOCK_BYTES, BLOCK_SHIFT};
use alloc::boxed::Box;
use core::ops::Range;

/// A native model of linear memory.
#[derive(Debug, Default)]
pub struct ModelMemory {
    /// The bytes from `start` on, and room for more. The slice is one of arrays, so that a load is
    /// one access and not several calls: that makes Miri three times as fast.
    granules: Box<[[u8; 8]]>,
    /// How many of the bytes are memory.
    length_bytes: usize,
    /// The address where memory begins. Everything below belongs to somebody else.
    start: u32,
    free: FreePages,
    most_pages: u32,
    /// How many growths succeed before the next one is refused; none for no end.
    growths_left: Option<u64>,
    growths: u64,
    /// The numbers of growths that are refused, whatever `growths_left` says.
    refused: Range<u64>,
    refusals: u64,
    /// Pages that somebody else takes before each growth.
    gap_pages: u32,
    /// Whether nothing at all can be taken.
    exhausted: bool,
    /// The address that `stack_pointer` returns.
    stack_pointer: u32,
}

impl ModelMemory {
    /// Makes memory that grows to 4 GiB less a page, if the machine has as much.
    pub fn new() -> Self {
        Self::with_limit((1 << (32 - BLOCK_SHIFT)) - 1)
    }

    /// Makes memory that grows to `most_pages` pages of 64 KiB. The first page belongs to somebody
    /// else, so no address is 0.
    pub fn with_limit(most_pages: u32) -> Self {
        ModelMemory { start: BLOCK_BYTES, most_pages, ..Self::default() }
    }

    /// Makes memory that ends at 4 GiB less a page, as linear memory does. Only the last `pages`
    /// pages can be taken; all below belong to somebody else.
    pub fn at_the_end(pages: u32) -> Self {
        let memory = Self::new();
        ModelMemory { start: (memory.most_pages - pages) << BLOCK_SHIFT, ..memory }
    }

    /// Has somebody else take so many pages before each growth from now on.
    pub fn set_gap_pages(&mut self, pages: u32) {
        self.gap_pages = pages;
    }

    /// Refuses to grow after `growths` more growths; none: never.
    pub fn refuse_growth_after(&mut self, growths: Option<u64>) {
        self.growths_left = growths;
    }

    /// Refuses the growths with these numbers, counted from 0, and no others.
    pub fn refuse_growths(&mut self, which: Range<u64>) {
        self.refused = which;
    }

    /// Refuses to give any page while this is set, even pages that were given back.
    pub fn set_exhausted(&mut self, exhausted: bool) {
        self.exhausted = exhausted;
    }

    /// Sets the address that `stack_pointer` returns: the end of a mutator's stack, for heaps that
    /// scan it.
    pub fn set_stack_pointer(&mut self, address: u32) {
        self.stack_pointer = address;
    }

    /// Returns how often memory grew or was asked to.
    pub fn growths(&self) -> u64 {
        self.growths
    }

    /// Returns how often memory refused to grow.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// Returns the number of pages that memory has now.
    pub fn pages(&self) -> u32 {
        (self.size_bytes() >> BLOCK_SHIFT) as u32
    }

    fn grow(&mut self, pages: u32) -> Option<u32> {
        let first = self.try_grow(pages);
        self.refusals += u64::from(first.is_none());
        first
    }

    fn try_grow(&mut self, pages: u32) -> Option<u32> {
        let number = self.growths;
        self.growths += 1;
        if self.refused.contains(&number) {
            return None;
        }
        match &mut self.growths_left {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None => {}
        }
        let first = self.pages() + self.gap_pages;
        if first.checked_add(pages)? > self.most_pages {
            return None;
        }
        let length_bytes = self.length_bytes + ((self.gap_pages + pages) << BLOCK_SHIFT) as usize;
        if length_bytes / 8 > self.granules.len() {
            let most = (length_bytes / 8).max(self.granules.len() * 2);
            let mut granules = alloc::vec![[0; 8]; most];
            granules[..self.granules.len()].copy_from_slice(&self.granules);
            self.granules = granules.into_boxed_slice();
        }
        let gap = self.length_bytes..self.length_bytes + (self.gap_pages << BLOCK_SHIFT) as usize;
        self.granules.as_flattened_mut()[gap].fill(0xa5);
        self.length_bytes = length_bytes;
        Some(first)
    }

    /// Returns the index in the slice of `length` bytes at an address.
    fn place(&self, address: u32, length: usize) -> usize {
        let start = self.start;
        debug_assert!(address >= start, "access at {address:#x}, below the collector's memory");
        let at = (address - start) as usize;
        debug_assert!(at + length <= self.length_bytes, "access at {address:#x}, behind memory");
        at
    }
}

impl Memory for ModelMemory {
    fn load_u8(&self, address: u32) -> u8 {
        let at = self.place(address, 1);
        self.granules[at / 8][at % 8]
    }

    fn load_u32(&self, address: u32) -> u32 {
        debug_assert!(address & 3 == 0, "unaligned access at {address:#x}");
        let at = self.place(address, 4);
        (u64::from_le_bytes(self.granules[at / 8]) >> (at % 8 * 8)) as u32
    }

    fn load_u64(&self, address: u32) -> u64 {
        let at = self.place(address, 8);
        let low = u64::from_le_bytes(self.granules[at / 8]);
        match at % 8 {
            0 => low,
            skipped => {
                let high = u64::from_le_bytes(self.granules[at / 8 + 1]);
                low >> (skipped * 8) | high << (64 - skipped * 8)
            }
        }
    }

    fn store_u8(&mut self, address: u32, value: u8) {
        let at = self.place(address, 1);
        self.granules[at / 8][at % 8] = value;
    }

    fn store_u16(&mut self, address: u32, value: u16) {
        self.write(address, &value.to_le_bytes());
    }

    fn store_u32(&mut self, address: u32, value: u32) {
        self.write(address, &value.to_le_bytes());
    }

    fn store_u64(&mut self, address: u32, value: u64) {
        self.write(address, &value.to_le_bytes());
    }

    fn fill(&mut self, address: u32, length_bytes: u32, value: u8) {
        let at = self.place(address, length_bytes as usize);
        self.granules.as_flattened_mut()[at..at + length_bytes as usize].fill(value);
    }

    fn copy(&mut self, from: u32, to: u32, length_bytes: u32) {
        let length = length_bytes as usize;
        let (from, to) = (self.place(from, length), self.place(to, length));
        self.granules.as_flattened_mut().copy_within(from..from + length, to);
    }

    fn read(&self, address: u32, into: &mut [u8]) {
        let at = self.place(address, into.len());
        into.copy_from_slice(&self.granules.as_flattened()[at..at + into.len()]);
    }

    fn write(&mut self, address: u32, bytes: &[u8]) {
        let at = self.place(address, bytes.len());
        self.granules.as_flattened_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn take_pages(&mut self, pages: u32, most_growth_pages: u32) -> Option<u32> {
        if self.exhausted {
            return None;
        }
        let first = match self.free.take(pages) {
            Some(first) => first,
            None => {
                // If there are gaps, no free page adjoins the pages that memory grows by.
                let end = if self.gap_pages > 0 { 0 } else { self.pages() };
                let growth = pages - self.free.count_below(end, pages.min(end));
                if growth > most_growth_pages {
                    return None;
                }
                let grown = self.grow(growth)?;
                self.free.give(grown, growth);
                self.free.take(pages)?
            }
        };
        let address = first << BLOCK_SHIFT;
        self.fill(address, pages * BLOCK_BYTES, 0xc3);
        Some(address)
    }

    fn give_pages(&mut self, address: u32, pages: u32) {
        assert_eq!(address % BLOCK_BYTES, 0, "{address:#x} is not a page");
        self.fill(address, pages * BLOCK_BYTES, 0x5a);
        self.free.give(address >> BLOCK_SHIFT, pages);
    }

    fn free_pages(&self) -> u32 {
        self.free.count()
    }

    fn forget(&mut self, address: u32, length_bytes: u32) {
        self.fill(address, length_bytes, 0x3c);
    }

    fn size_bytes(&self) -> u64 {
        u64::from(self.start) + self.length_bytes as u64
    }

    fn stack_pointer(&self) -> u32 {
        self.stack_pointer
    }
}
