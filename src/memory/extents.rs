//! Byte ranges that are cut from pages: large objects and the collector's own tables.
//!
//! Adjacent pages are a *run*. A run is divided, without a gap, into *extents*, each free or used.
//! An extent begins with a header of two words. The first word is its size, with bit 0 set if it is
//! used; the second is the size of the extent before it, or 0 for a run's first extent (boundary
//! tags [knuth1 §2.5]). Free extents stand in lists, eight for each power of two. A bit for each
//! list says whether it has any, so one is found in constant time [tlsf].
//!
//! ```text
//! page             header     header            header         sentinel
//!   │ 8 bytes unused │ used     │ free            │ used           │
//!   ├────────────────┼──────────┼─────────────────┼────────────────┼──┤ end of the last page
//! ```
//!
//! Pages that lie wholly inside a free extent are given back at once, so that blocks can have them,
//! unless the extents have no more than `kept_pages` pages. If a run comes to lie beside another
//! one, the two become one run, and the sentinel between them goes.
//!
//! Invariants:
//! 1. No two free extents are adjacent, and none has a whole page inside that could be given back.
//! 2. A header is 8 bytes above a multiple of 16, and a size is a multiple of 16. So if the pages
//!    of an extent are given back, what stays of it is a sentinel and an extent, or nothing.
//! 3. The free extents are those in the lists; a list's bit is set if it has any.

#[cfg(test)]
mod tests;

use crate::memory::Memory;
use crate::memory::pages::{ALL_PAGES, PageSet};
use crate::units::{BLOCK_BYTES, BLOCK_SHIFT, WORD_BYTES};

/// Bytes of a header.
const HEADER_BYTES: u32 = 8;
/// Every size is a multiple of this.
const UNIT_BYTES: u32 = 16;
/// Bytes of a run that are in no extent: those before the first one, and the sentinel.
const RUN_BYTES: u32 = 16;
/// The bit of a header's first word that is set if the extent is used.
const USED: u32 = 1;
/// The first word of a sentinel, the header at a run's end: a used extent without bytes.
const SENTINEL: u32 = USED;

/// Where a free extent has the address of the next extent of its list, and that of the previous
/// one.
const NEXT: u32 = HEADER_BYTES;
const PREVIOUS: u32 = HEADER_BYTES + WORD_BYTES;

/// The logarithm of the number of lists for each power of two.
const SECOND_LEVEL_SHIFT: u32 = 3;
/// The logarithm of the smallest extent's size.
const LEAST_SHIFT: u32 = 4;
/// The logarithm of a size from which on a free extent has a whole page inside. Such extents stand
/// in the last list.
const MOST_SHIFT: u32 = BLOCK_SHIFT + 1;
/// The number of lists of free extents.
const LISTS: usize = ((MOST_SHIFT - LEAST_SHIFT) << SECOND_LEVEL_SHIFT) as usize;
/// How many extents are tried in the one list that can have extents too small.
const MOST_TRIED: u32 = 8;

/// All extents of one purpose.
#[derive(Debug)]
pub struct Extents {
    /// The pages that the extents are cut from.
    owned: PageSet,
    pages: u32,
    /// While there are no more pages than this, none is given back.
    kept_pages: u32,
    /// The first extent of each list, or 0.
    lists: [u32; LISTS],
    occupied: [u32; LISTS.div_ceil(32)],
}

/// A free extent that is in no list.
#[derive(Clone, Copy)]
struct Unlinked {
    /// Its header.
    from: u32,
    /// The next extent's header.
    to: u32,
    /// The size of the extent before it, or 0 if there is none.
    before: u32,
}

/// Returns the size of an extent with room for `size_bytes` bytes. None if it does not fit in 32
/// bits.
fn extent_bytes(size_bytes: u32) -> Option<u32> {
    Some(size_bytes.max(1).checked_add(HEADER_BYTES + UNIT_BYTES - 1)? & !(UNIT_BYTES - 1))
}

/// Returns the list for extents of a size.
fn list_for(extent_bytes: u32) -> usize {
    let extent_bytes = extent_bytes.min((1 << MOST_SHIFT) - 1);
    let first = extent_bytes.ilog2();
    let second = extent_bytes >> (first - SECOND_LEVEL_SHIFT) & ((1 << SECOND_LEVEL_SHIFT) - 1);
    ((first - LEAST_SHIFT) << SECOND_LEVEL_SHIFT | second) as usize
}

impl Extents {
    /// Makes a set without extents and pages. While it has no more than `kept_pages` pages, it
    /// gives none back.
    pub const fn new(kept_pages: u32) -> Self {
        Extents {
            owned: PageSet::new(),
            pages: 0,
            kept_pages,
            lists: [0; LISTS],
            occupied: [0; LISTS.div_ceil(32)],
        }
    }

    /// Returns the number of pages that extents are cut from.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Returns how many new pages are sure to have room for a range of `size_bytes` bytes. None if
    /// the address space has too few.
    pub fn pages_for(size_bytes: u32) -> Option<u32> {
        Some(extent_bytes(size_bytes)?.checked_add(RUN_BYTES + BLOCK_BYTES - 1)? >> BLOCK_SHIFT)
    }

    /// Takes a range of at least `size_bytes` bytes, and returns its address, a multiple of 16. If
    /// no free extent is found, takes at most `most_pages` pages from memory, which may grow by
    /// `most_growth_pages`. Cost: constant, besides that of the pages.
    pub fn take<M: Memory>(
        &mut self,
        memory: &mut M,
        size_bytes: u32,
        most_pages: u32,
        most_growth_pages: u32,
    ) -> Option<u32> {
        let needed = extent_bytes(size_bytes)?;
        let free = match self.find_fit(memory, needed) {
            Some(from) => self.unlink(memory, from),
            None => {
                let pages = Self::pages_for(size_bytes).filter(|&pages| pages <= most_pages)?;
                let run = memory.take_pages(pages, most_growth_pages)?;
                self.add_run(memory, run, pages)
            }
        };
        Some(self.split(memory, free, needed))
    }

    /// Makes a free extent of new pages, and coalesces it with the free extents beside it.
    fn add_run<M: Memory>(&mut self, memory: &mut M, run: u32, pages: u32) -> Unlinked {
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
        self.coalesce(memory, Unlinked { from, to, before })
    }

    /// Gives a range back, and gives the pages to memory that become wholly free. Cost: constant
    /// for each of these pages.
    pub fn give<M: Memory>(&mut self, memory: &mut M, address: u32) {
        let from = address - HEADER_BYTES;
        let free = Unlinked { from, to: next_of(memory, from), before: size_before(memory, from) };
        let free = self.coalesce(memory, free);
        self.trim_and_link(memory, free);
    }

    /// Gives all of a range back but its first `size_bytes` bytes. Cost: as [`give`](Self::give).
    pub fn shrink_to<M: Memory>(&mut self, memory: &mut M, address: u32, size_bytes: u32) {
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

    /// Returns the first header that breaks an invariant; the end of the address space if only the
    /// number of pages or (natively) the lists do.
    pub fn inconsistency<M: Memory>(&self, memory: &M) -> Option<u32> {
        let (mut pages, mut free) = (0, 0);
        // The header to look at, and the size of the extent before it.
        let (mut at, mut before, mut was_free) = (0, 0, false);
        let mut page = 0;
        while page < ALL_PAGES - 1 {
            page += 1;
            let start = page << BLOCK_SHIFT;
            if !self.owns(start) {
                if self.owned.bits_from(page) == 0 {
                    page |= 31;
                }
                continue;
            }
            pages += 1;
            if !self.owns(start - BLOCK_BYTES) {
                (at, before, was_free) = (start + HEADER_BYTES, 0, false);
            }
            // The extents whose header is in this page, up to the sentinel.
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
        // The lists are only checked natively, to keep the module small. A guest that writes
        // behind its objects breaks headers, and the check above finds those.
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

    /// Finds a free extent of at least `needed` bytes.
    fn find_fit<M: Memory>(&self, memory: &M, needed: u32) -> Option<u32> {
        let own = list_for(needed);
        let mut extent = self.lists[own];
        for _ in 0..MOST_TRIED {
            if extent == 0 {
                break;
            }
            if memory.load_u32(extent) >= needed {
                return Some(extent);
            }
            extent = memory.load_u32(extent + NEXT);
        }
        // Every extent of a later list is large enough.
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

    /// Makes the low end of a free extent a used extent, and returns the address of its range.
    fn split<M: Memory>(&mut self, memory: &mut M, free: Unlinked, needed: u32) -> u32 {
        let Unlinked { from, to, before } = free;
        set_header(memory, from, needed | USED, before);
        self.trim_and_link(memory, Unlinked { from: from + needed, to, before: needed });
        from + HEADER_BYTES
    }

    /// Joins an unlinked extent with the free extents beside it, which leave their lists.
    fn coalesce<M: Memory>(&mut self, memory: &mut M, mut free: Unlinked) -> Unlinked {
        let lower = free.from - free.before;
        if free.before != 0 && is_free(memory, lower) {
            Unlinked { from: free.from, before: free.before, .. } = self.unlink(memory, lower);
        }
        if is_free(memory, free.to) {
            Unlinked { to: free.to, .. } = self.unlink(memory, free.to);
        }
        free
    }

    /// Gives back the whole pages inside a free extent, and puts what is left of it in a list. The
    /// extent may have no bytes. The extents beside it are used.
    fn trim_and_link<M: Memory>(&mut self, memory: &mut M, free: Unlinked) {
        let Unlinked { from, to, before } = free;
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
            self.link(memory, Unlinked { from, to: sentinel, before });
        }
        if !is_last {
            self.link(memory, Unlinked { from: end + HEADER_BYTES, to, before: 0 });
        }
        let pages = (end - first) >> BLOCK_SHIFT;
        self.owned.flip(first >> BLOCK_SHIFT, pages);
        self.pages -= pages;
        memory.give_pages(first, pages);
    }

    /// Puts a free extent in its list, unless it has no bytes, and writes its size into the next
    /// extent's header.
    fn link<M: Memory>(&mut self, memory: &mut M, free: Unlinked) {
        let Unlinked { from, to, before } = free;
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
            memory.store_u32(next + PREVIOUS, from);
        }
        self.lists[list] = from;
        self.occupied[list / 32] |= 1 << (list % 32);
    }

    /// Takes a free extent out of its list.
    fn unlink<M: Memory>(&mut self, memory: &mut M, from: u32) -> Unlinked {
        let size = memory.load_u32(from);
        let (next, previous) = (memory.load_u32(from + NEXT), memory.load_u32(from + PREVIOUS));
        if next != 0 {
            memory.store_u32(next + PREVIOUS, previous);
        }
        let list = list_for(size);
        if previous != 0 {
            memory.store_u32(previous + NEXT, next);
        } else {
            self.lists[list] = next;
            if next == 0 {
                self.occupied[list / 32] &= !(1 << (list % 32));
            }
        }
        Unlinked { from, to: from + size, before: size_before(memory, from) }
    }

    fn owns(&self, address: u32) -> bool {
        self.owned.contains(address >> BLOCK_SHIFT)
    }
}

fn set_header<M: Memory>(memory: &mut M, at: u32, first: u32, second: u32) {
    memory.store_u32(at, first);
    memory.store_u32(at + WORD_BYTES, second);
}

/// Returns the size of the extent before the one with this header.
fn size_before<M: Memory>(memory: &M, header: u32) -> u32 {
    memory.load_u32(header + WORD_BYTES)
}

/// Returns the header of the extent behind a used one.
fn next_of<M: Memory>(memory: &M, used: u32) -> u32 {
    used + (memory.load_u32(used) & !USED)
}

fn is_free<M: Memory>(memory: &M, header: u32) -> bool {
    memory.load_u32(header) & USED == 0
}
