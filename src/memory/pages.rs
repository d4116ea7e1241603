//! Sets of pages of a 32-bit address space, one bit each; and those pages that are free.

#[cfg(test)]
mod tests;

use crate::units::BLOCK_SHIFT;

/// Pages in a 32-bit address space.
pub const ALL_PAGES: u32 = 1 << (32 - BLOCK_SHIFT);

/// The set.
#[derive(Debug)]
pub struct PageSet([u32; (ALL_PAGES / 32) as usize]);

impl PageSet {
    /// No pages.
    pub const fn new() -> Self {
        PageSet([0; (ALL_PAGES / 32) as usize])
    }

    /// Whether a page is in the set.
    #[inline]
    pub fn contains(&self, page: u32) -> bool {
        self.from(page) & 1 != 0
    }

    /// The bits of a page and of those behind it, up to a page whose number is a multiple of 32.
    #[inline]
    pub fn from(&self, page: u32) -> u32 {
        self.0[(page / 32) as usize] >> (page % 32)
    }

    /// Adds those of some pages that are not in the set, and removes those that are.
    #[inline(never)]
    pub fn flip(&mut self, first: u32, pages: u32) {
        for page in first..first + pages {
            self.0[(page / 32) as usize] ^= 1 << (page % 32);
        }
    }
}

/// Pages that nobody uses.
#[derive(Debug)]
pub struct FreePages {
    set: PageSet,
    count: u32,
    /// No page before it is free.
    lowest: u32,
}

impl Default for FreePages {
    fn default() -> Self {
        Self::new()
    }
}

impl FreePages {
    /// No pages.
    pub const fn new() -> Self {
        FreePages { set: PageSet::new(), count: 0, lowest: 0 }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Adds pages.
    pub fn give(&mut self, first: u32, pages: u32) {
        debug_assert!((first..first + pages).all(|page| !self.set.contains(page)), "given twice");
        self.set.flip(first, pages);
        self.count += pages;
        self.lowest = self.lowest.min(first);
    }

    /// Takes adjacent pages out: the first that fit, by address.
    #[inline(never)]
    pub fn take(&mut self, pages: u32) -> Option<u32> {
        if self.count < pages {
            return None;
        }
        let (mut page, mut run) = (self.lowest, 0);
        while page < ALL_PAGES {
            let bits = self.set.from(page);
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

    /// How many pages are free just below an end, `most` at the most.
    pub fn count_below(&self, end: u32, most: u32) -> u32 {
        let mut count = 0;
        while count < most && self.set.contains(end - count - 1) {
            count += 1;
        }
        count
    }
}
