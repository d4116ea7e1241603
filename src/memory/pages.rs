//! Sets of pages of a 32-bit address space, with one bit for each page; and the set of free pages.

#[cfg(test)]
mod tests;

use crate::units::BLOCK_SHIFT;

/// The number of pages in a 32-bit address space.
pub const ALL_PAGES: u32 = 1 << (32 - BLOCK_SHIFT);

/// A set of pages.
#[derive(Debug)]
pub struct PageSet([u32; (ALL_PAGES / 32) as usize]);

impl PageSet {
    /// Makes an empty set.
    pub const fn new() -> Self {
        PageSet([0; (ALL_PAGES / 32) as usize])
    }

    /// Returns true if a page is in the set.
    pub fn contains(&self, page: u32) -> bool {
        self.bits_from(page) & 1 != 0
    }

    /// Returns the bits of a page and of the pages behind it, up to a page whose number is a
    /// multiple of 32. The page itself has bit 0.
    pub fn bits_from(&self, page: u32) -> u32 {
        self.0[(page / 32) as usize] >> (page % 32)
    }

    /// Adds those of the given pages that are not in the set, and removes those that are.
    pub fn flip(&mut self, first: u32, pages: u32) {
        for page in first..first + pages {
            self.0[(page / 32) as usize] ^= 1 << (page % 32);
        }
    }
}

/// Free pages: given back, or left over from a growth of memory.
#[derive(Debug)]
pub struct FreePages {
    set: PageSet,
    count: u32,
    /// No page before this one is free.
    lowest: u32,
}

impl Default for FreePages {
    fn default() -> Self {
        Self::new()
    }
}

impl FreePages {
    /// Makes an empty set.
    pub const fn new() -> Self {
        FreePages { set: PageSet::new(), count: 0, lowest: 0 }
    }

    /// Returns how many pages are free.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Adds pages, none of which may be free already.
    pub fn give(&mut self, first: u32, pages: u32) {
        debug_assert!((first..first + pages).all(|page| !self.set.contains(page)), "given twice");
        self.set.flip(first, pages);
        self.count += pages;
        self.lowest = self.lowest.min(first);
    }

    /// Takes adjacent pages out: the first ones, by address, that fit. Returns the number of the
    /// first page. Cost: a step for each 32 pages from the lowest free page on, and for each run of
    /// free pages.
    pub fn take(&mut self, pages: u32) -> Option<u32> {
        if self.count < pages {
            return None;
        }
        let (mut page, mut run) = (self.lowest, 0);
        while page < ALL_PAGES {
            let bits = self.set.bits_from(page);
            let free = bits.trailing_ones();
            if free == 0 {
                page += bits.trailing_zeros().min(32 - page % 32);
                run = 0;
                continue;
            }
            run += free;
            page += free;
            if run >= pages {
                let first = page - run;
                self.set.flip(first, pages);
                self.count -= pages;
                if pages == 1 {
                    self.lowest = first + 1;
                }
                return Some(first);
            }
        }
        None
    }

    /// Returns how many pages are free directly below `end`, counting at most `most`.
    pub fn count_below(&self, end: u32, most: u32) -> u32 {
        let mut count = 0;
        while count < most && self.set.contains(end - count - 1) {
            count += 1;
        }
        count
    }
}
