//! A set of pages of a 32-bit address space, one bit each.

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
