//! Byte ranges that are cut from pages: large objects and the collector's own tables.
//!
//! Adjacent pages are a *run*. A run is divided, without a gap, into *extents*, each free or
//! used. An extent begins with a header of two words: its size with bit 0 set if it is used,
//! and the size of the extent before it, which is 0 for a run's first one (boundary tags
//! [knuth1 §2.5]). Free extents stand in lists, eight for each power of two; a bit for each
//! list says whether it has any, so one is found in constant time [tlsf].
//!
//! ```text
//! page             header     header            header         sentinel
//!   │ 8 bytes unused │ used     │ free            │ used           │
//!   ├────────────────┼──────────┼─────────────────┼────────────────┼──┤ end of the last page
//! ```
//!
//! Pages that lie wholly inside a free extent are given back at once, so blocks can have
//! them, except for as many as the extents are made to keep. A run that comes to lie beside
//! another becomes one with it: the sentinel between them goes.
//!
//! Invariants:
//! 1. No two free extents are adjacent, and none has a whole page inside that could be given
//!    back.
//! 2. A header is 8 bytes above a multiple of 16, and a size is a multiple of 16. So what
//!    stays of an extent whose pages are given back is a sentinel and an extent, or nothing.
//! 3. The free extents are those in the lists; a list's bit is set if it has any.

#[cfg(test)]
mod tests;

use crate::memory::Memory;
use crate::memory::pages::{ALL_PAGES, PageSet};
use crate::units::{BLOCK_BYTES, BLOCK_SHIFT, WORD_BYTES};

/// Bytes of a header.
const HEADER_BYTES: u32 = 8;
/// Sizes are multiples of it.
const UNIT_BYTES: u32 = 16;
/// Bytes that a run has besides its extents: those before the first, and the sentinel.
const RUN_BYTES: u32 = 16;
/// The bit of a header's first word that says that the extent is used.
const USED: u32 = 1;
/// The first word of a sentinel, the header at a run's end: a used extent of no bytes.
const SENTINEL: u32 = USED;

/// Words of a free extent behind its header: the next and the previous one of its list.
const NEXT: u32 = HEADER_BYTES;
const BACK: u32 = HEADER_BYTES + WORD_BYTES;

/// The logarithm of the number of lists for each power of two.
const COLUMNS_SHIFT: u32 = 3;
/// The logarithm of the smallest extent.
const LEAST_SHIFT: u32 = 4;
/// The logarithm of a size that no free extent has without a whole page inside. Larger ones
/// stand in the last list.
const MOST_SHIFT: u32 = BLOCK_SHIFT + 1;
/// Lists of free extents.
const LISTS: usize = ((MOST_SHIFT - LEAST_SHIFT) << COLUMNS_SHIFT) as usize;
/// How many extents are looked at in the one list in which some may be too small.
const LOOKED_AT: u32 = 8;

/// The extents.
#[derive(Debug)]
pub struct Extents {
    /// The pages that the extents are cut from.
    owned: PageSet,
    pages: u32,
    /// So many pages stay when they are wholly free.
    kept_pages: u32,
    /// The first extent of each list, or 0.
    lists: [u32; LISTS],
    occupied: [u32; LISTS.div_ceil(32)],
}

/// A free extent that is in no list: from its header to that of the next extent.
#[derive(Clone, Copy)]
struct Loose {
    from: u32,
    to: u32,
    /// The size of the extent before it, 0 if there is none.
    before: u32,
}

/// The size of an extent with room for so many bytes.
fn extent_bytes(size_bytes: u32) -> Option<u32> {
    Some(size_bytes.max(1).checked_add(HEADER_BYTES + UNIT_BYTES - 1)? & !(UNIT_BYTES - 1))
}

/// The list for extents of a size.
fn list_for(extent_bytes: u32) -> usize {
    let extent_bytes = extent_bytes.min((1 << MOST_SHIFT) - 1);
    let row = extent_bytes.ilog2();
    let column = extent_bytes >> (row - COLUMNS_SHIFT) & ((1 << COLUMNS_SHIFT) - 1);
    ((row - LEAST_SHIFT) << COLUMNS_SHIFT | column) as usize
}

impl Extents {
    /// No extents, and no pages. Pages that become free are given back, if there are more than
    /// `kept_pages`.
    pub const fn new(kept_pages: u32) -> Self {
        Extents {
            owned: PageSet::new(),
            pages: 0,
            kept_pages,
            lists: [0; LISTS],
            occupied: [0; LISTS.div_ceil(32)],
        }
    }

    /// Pages that extents are cut from.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// How many more pages make sure of a range of so many bytes; none if no address space
    /// has them.
    pub fn pages_for(size_bytes: u32) -> Option<u32> {
        Some(extent_bytes(size_bytes)?.checked_add(RUN_BYTES + BLOCK_BYTES - 1)? >> BLOCK_SHIFT)
    }

    /// Takes a range of at least so many bytes: an address that is a multiple of 16. Takes at
    /// most `most_pages` from memory for it, which may grow by `most_growth_pages`. Cost:
    /// constant, besides those of pages.
    pub fn take<M: Memory>(
        &mut self,
        memory: &mut M,
        size_bytes: u32,
        most_pages: u32,
        most_growth_pages: u32,
    ) -> Option<u32> {
        let needed = extent_bytes(size_bytes)?;
        let free = match self.find(memory, needed) {
            Some(from) => self.unlink(memory, from),
            None => {
                let pages = Self::pages_for(size_bytes).filter(|&pages| pages <= most_pages)?;
                let run = memory.take_pages(pages, most_growth_pages)?;
                self.add_run(memory, run, pages)
            }
        };
        Some(self.cut(memory, free, needed))
    }

    /// Makes a free extent of pages, with what is free beside them.
    fn add_run<M: Memory>(&mut self, memory: &mut M, run: u32, pages: u32) -> Loose {
        let end = run + pages * BLOCK_BYTES;
        let (mut from, mut to, mut before) = (run + HEADER_BYTES, end - HEADER_BYTES, 0);
        if self.owns(run - BLOCK_BYTES) {
            // The sentinel of the run below is the header now.
            from = run - HEADER_BYTES;
            before = size_before(memory, from);
        }
        if self.owns(end) {
            to = end + HEADER_BYTES;
        } else {
            memory.store_u32(to, SENTINEL);
        }
        self.owned.flip(run >> BLOCK_SHIFT, pages);
        self.pages += pages;
        self.join(memory, Loose { from, to, before })
    }

    /// Gives a range back, and to memory the pages that are wholly free. Cost: constant for
    /// each of these.
    pub fn give<M: Memory>(&mut self, memory: &mut M, address: u32) {
        let from = address - HEADER_BYTES;
        let free = Loose { from, to: next_of(memory, from), before: size_before(memory, from) };
        let free = self.join(memory, free);
        self.settle(memory, free);
    }

    /// Gives the end of a range back, all but so many bytes. Cost: as [`give`](Self::give).
    pub fn shorten<M: Memory>(&mut self, memory: &mut M, address: u32, size_bytes: u32) {
        let Some(kept) = extent_bytes(size_bytes) else { return };
        let from = address - HEADER_BYTES;
        let to = next_of(memory, from);
        let rest = from + kept;
        if to > rest {
            memory.store_u32(from, kept | USED);
            set_header(memory, rest, (to - rest) | USED, kept);
            self.give(memory, rest + HEADER_BYTES);
        }
    }

    /// The first header at which the extents are not as they must be; the address space's end
    /// if only the number of pages or (natively) the lists are not.
    pub fn inconsistency<M: Memory>(&self, memory: &M) -> Option<u32> {
        let (mut pages, mut free) = (0, 0);
        // The header to look at, and the size of the extent before it.
        let (mut at, mut before, mut was_free) = (0, 0, false);
        let mut page = 0;
        while page < ALL_PAGES - 1 {
            page += 1;
            let start = page << BLOCK_SHIFT;
            if !self.owns(start) {
                if self.owned.from(page) == 0 {
                    page |= 31;
                }
                continue;
            }
            pages += 1;
            if !self.owns(start - BLOCK_BYTES) {
                (at, before, was_free) = (start + HEADER_BYTES, 0, false);
            }
            // Those whose header is in this page, up to the sentinel.
            while at >> BLOCK_SHIFT == page {
                let word = memory.load_u32(at);
                let (size, is_free) = (word & !USED, word & USED == 0);
                let is_last = word == SENTINEL;
                if size_before(memory, at) != before
                    || is_free && (was_free || size == 0)
                    || is_last && self.owns(at + HEADER_BYTES)
                {
                    return Some(at);
                }
                if is_last {
                    break;
                }
                free += u32::from(is_free);
                (at, before, was_free) = (at + size, size, is_free);
            }
        }
        // The lists are checked natively alone, for the size. A guest that writes behind its
        // objects breaks headers, and the check of these finds that.
        #[cfg(not(target_arch = "wasm32"))]
        for list in 0..LISTS {
            let mut extent = self.lists[list];
            while extent != 0 {
                let size = memory.load_u32(extent);
                if free == 0 || size & USED != 0 || list_for(size) != list {
                    return Some(extent);
                }
                free -= 1;
                extent = memory.load_u32(extent + NEXT);
            }
        }
        let is_complete = cfg!(target_arch = "wasm32") || free == 0;
        (!is_complete || pages != self.pages).then_some(u32::MAX)
    }

    /// A free extent of at least so many bytes.
    fn find<M: Memory>(&self, memory: &M, needed: u32) -> Option<u32> {
        let own = list_for(needed);
        let mut extent = self.lists[own];
        for _ in 0..LOOKED_AT {
            if extent == 0 {
                break;
            }
            if memory.load_u32(extent) >= needed {
                return Some(extent);
            }
            extent = memory.load_u32(extent + NEXT);
        }
        // Any in a later list is large enough.
        let first = own + 1;
        let mut mask = u32::MAX << (first % 32);
        for (index, word) in self.occupied.iter().enumerate().skip(first / 32) {
            let found = word & mask;
            if found != 0 {
                return Some(self.lists[index * 32 + found.trailing_zeros() as usize]);
            }
            mask = u32::MAX;
        }
        None
    }

    /// Makes the low end of a free extent a used one, and gives the address in it.
    fn cut<M: Memory>(&mut self, memory: &mut M, free: Loose, needed: u32) -> u32 {
        let Loose { from, to, before } = free;
        set_header(memory, from, needed | USED, before);
        self.settle(memory, Loose { from: from + needed, to, before: needed });
        from + HEADER_BYTES
    }

    /// Joins an extent with the free ones beside it, which leave their lists.
    fn join<M: Memory>(&mut self, memory: &mut M, mut free: Loose) -> Loose {
        let lower = free.from - free.before;
        if free.before != 0 && is_free(memory, lower) {
            Loose { from: free.from, before: free.before, .. } = self.unlink(memory, lower);
        }
        if is_free(memory, free.to) {
            Loose { to: free.to, .. } = self.unlink(memory, free.to);
        }
        free
    }

    /// Gives the whole pages of a free extent back, which may have no bytes, and puts in a list
    /// what is left. The extents beside it are used.
    fn settle<M: Memory>(&mut self, memory: &mut M, free: Loose) {
        let Loose { from, to, before } = free;
        let is_last = memory.load_u32(to) == SENTINEL;
        let first = match before {
            0 => from - HEADER_BYTES,
            _ => (from + HEADER_BYTES + BLOCK_BYTES - 1) & !(BLOCK_BYTES - 1),
        };
        let end =
            if is_last { to + HEADER_BYTES } else { (to - HEADER_BYTES) & !(BLOCK_BYTES - 1) };
        if self.pages <= self.kept_pages || first >= end {
            return self.link(memory, free);
        }
        if before != 0 {
            let sentinel = first - HEADER_BYTES;
            memory.store_u32(sentinel, SENTINEL);
            self.link(memory, Loose { from, to: sentinel, before });
        }
        if !is_last {
            self.link(memory, Loose { from: end + HEADER_BYTES, to, before: 0 });
        }
        let pages = (end - first) >> BLOCK_SHIFT;
        self.owned.flip(first >> BLOCK_SHIFT, pages);
        self.pages -= pages;
        memory.give_pages(first, pages);
    }

    /// Puts a free extent in its list, unless it has no bytes, and tells the next extent.
    fn link<M: Memory>(&mut self, memory: &mut M, free: Loose) {
        let Loose { from, to, before } = free;
        let size = to - from;
        if size == 0 {
            return memory.store_u32(to + WORD_BYTES, before);
        }
        memory.store_u32(to + WORD_BYTES, size);
        set_header(memory, from, size, before);
        let list = list_for(size);
        let next = self.lists[list];
        set_header(memory, from + NEXT, next, 0);
        if next != 0 {
            memory.store_u32(next + BACK, from);
        }
        self.lists[list] = from;
        self.occupied[list / 32] |= 1 << (list % 32);
    }

    /// Takes a free extent out of its list.
    fn unlink<M: Memory>(&mut self, memory: &mut M, from: u32) -> Loose {
        let size = memory.load_u32(from);
        let (next, back) = (memory.load_u32(from + NEXT), memory.load_u32(from + BACK));
        if next != 0 {
            memory.store_u32(next + BACK, back);
        }
        let list = list_for(size);
        if back != 0 {
            memory.store_u32(back + NEXT, next);
        } else {
            self.lists[list] = next;
            if next == 0 {
                self.occupied[list / 32] &= !(1 << (list % 32));
            }
        }
        Loose { from, to: from + size, before: size_before(memory, from) }
    }

    fn owns(&self, address: u32) -> bool {
        self.owned.contains(address >> BLOCK_SHIFT)
    }
}

fn set_header<M: Memory>(memory: &mut M, at: u32, first: u32, second: u32) {
    memory.store_u32(at, first);
    memory.store_u32(at + WORD_BYTES, second);
}

fn size_before<M: Memory>(memory: &M, header: u32) -> u32 {
    memory.load_u32(header + WORD_BYTES)
}

/// The header behind a used extent.
fn next_of<M: Memory>(memory: &M, used: u32) -> u32 {
    used + (memory.load_u32(used) & !USED)
}

fn is_free<M: Memory>(memory: &M, header: u32) -> bool {
    memory.load_u32(header) & USED == 0
}
