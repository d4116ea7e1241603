//! The block space: objects of up to 8 KiB, bump-allocated into holes.
//!
//! A block is a page. Its first 8 KiB are metadata (one byte a granule, see
//! [`metadata`](crate::metadata)), the rest is objects. Allocation works through a
//! *hole*, a run of free granules, and goes on to the next one when an object does
//! not fit, sweeping as it goes: a hole is whatever lies between live objects.
//! There are no free lists [immix §3].
//!
//! A hole is used from both ends. From the low end a cursor is bumped through
//! memory that was zeroed a few KiB ahead of it, while that is in the cache. From
//! the high end come objects whose content need not be zero.
//!
//! A hole that is too small for the object at hand is set aside, and is looked at
//! before the next is swept for. Holes set aside are chained through their own first
//! granule, a chain for each power of two. Without that, one large object among small
//! ones would waste holes until the next collection.
//!
//! Two tables stand beside the blocks: their addresses in a list, and a map with
//! a byte for each page of memory, which says whether the page is a block and
//! whether anything in it was marked. Every reference is checked against it.
//!
//! Invariants: the list and the map name the same blocks; blocks before
//! `sweep_index` are swept (no object of the dead colour is left), those after it
//! are not, and the one at it is swept below `sweep_at`; the granules between
//! `cursor` and `end`, and those of holes set aside, are zero in metadata; those
//! between `cursor` and `limit` are zero in memory too.

#[cfg(feature = "stress")]
mod quarantine;

use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::metadata::{self, START};
use crate::region::Region;
use crate::units::{
    BLOCK_BYTES, BLOCK_GRANULES, BLOCK_SHIFT, GRANULE_BYTES, PAYLOAD_BYTES, WORD_BYTES,
};

/// The map's byte for a page that is a block.
const BLOCK: u8 = 1;
/// And for one in which something was marked by the last collection.
const BLOCK_MARKED: u8 = 2;

/// How far ahead of the cursor memory is zeroed at a time: it should still be in
/// the first-level cache when objects are written there.
const ZEROED_AHEAD_BYTES: u32 = 4 * 1024;

/// Chains of holes that are set aside: one for sizes from 32 bytes on, one from 64
/// on, …, the last from 2 KiB on.
const CHAINS: usize = 7;
/// How many holes of a chain are looked at for one that is large enough.
const LOOKED_AT: u32 = 4;
/// The logarithm of the smallest size that is set aside.
const LEAST_ASIDE_SHIFT: u32 = 5;

/// More than any hole has: what sweeps all blocks and wants none.
const NO_HOLE_BYTES: u32 = u32::MAX;

/// The blocks, and where allocation is.
#[derive(Debug)]
pub struct Blocks {
    map: Region,
    list: Region,
    count: u32,
    sweep_index: u32,
    sweep_at: u32,
    /// The hole that allocation is in, and up to where it is zero in memory.
    cursor: u32,
    limit: u32,
    end: u32,
    /// What of the hole was free when it was claimed, for counting.
    hole_bytes: u32,
    /// Holes set aside: the first of each chain, and a bit for each that has one. A
    /// hole's first word is the address of the next, its second that of its own end.
    chains: [u32; CHAINS],
    chains_mask: u32,
    /// Free bytes found by sweeping since the last collection, and those of new
    /// blocks, used or not.
    free_bytes: u64,
    allocated_bytes: u64,
    /// Whether the sweep leaves dead objects where they are.
    #[cfg(feature = "stress")]
    is_quarantined: bool,
}

/// The chain for holes of so many bytes, at least 32.
fn chain_for(bytes: u32) -> u32 {
    (bytes.ilog2() - LEAST_ASIDE_SHIFT).min(CHAINS as u32 - 1)
}

impl Blocks {
    /// A space without blocks.
    pub const fn new() -> Self {
        Blocks {
            map: Region::EMPTY,
            list: Region::EMPTY,
            count: 0,
            sweep_index: 0,
            sweep_at: 0,
            cursor: 0,
            limit: 0,
            end: 0,
            hole_bytes: 0,
            chains: [0; CHAINS],
            chains_mask: 0,
            free_bytes: 0,
            allocated_bytes: 0,
            #[cfg(feature = "stress")]
            is_quarantined: false,
        }
    }

    /// Room for a zeroed object, where the current hole has it.
    #[inline]
    pub fn bump<M: Memory>(&mut self, memory: &mut M, size_bytes: u32) -> Option<u32> {
        let address = self.cursor;
        if size_bytes > self.limit - address {
            if size_bytes > self.end - address {
                return None;
            }
            self.zero_ahead(memory, address + size_bytes);
        }
        self.cursor = address + size_bytes;
        Some(address)
    }

    /// Room for a zeroed object, where the current hole has it already zeroed.
    #[inline(always)]
    pub fn bump_zeroed(&mut self, size_bytes: u32) -> Option<u32> {
        let address = self.cursor;
        if size_bytes > self.limit - address {
            return None;
        }
        self.cursor = address + size_bytes;
        Some(address)
    }

    /// Room for an object whose content need not be zero, where the current hole has it.
    #[inline]
    pub fn bump_from_end(&mut self, size_bytes: u32) -> Option<u32> {
        if size_bytes > self.end - self.cursor {
            return None;
        }
        self.end -= size_bytes;
        self.limit = self.limit.min(self.end);
        Some(self.end)
    }

    /// Leaves out granules, so that the cursor is a multiple of `alignment`; the
    /// hole has room for that.
    pub fn align<M: Memory>(&mut self, memory: &mut M, alignment: u32) {
        let skipped = self.cursor.wrapping_neg() & (alignment - 1);
        self.bump(memory, skipped);
    }

    /// Zeroes the hole up to `least`, and some of what follows.
    #[inline(never)]
    fn zero_ahead<M: Memory>(&mut self, memory: &mut M, least: u32) {
        let limit = least.max(self.limit + ZEROED_AHEAD_BYTES).min(self.end);
        memory.fill(self.limit, limit - self.limit, 0);
        self.limit = limit;
    }

    /// Goes on to the next hole of at least `size_bytes`: one that was set aside,
    /// or else sweeping up to it.
    pub fn next_hole<M: Memory>(&mut self, memory: &mut M, size_bytes: u32, live: u8) -> bool {
        self.set_rest_aside(memory);
        if self.chains_mask != 0 && self.claim_aside(memory, size_bytes) {
            return true;
        }
        while self.sweep_index < self.count {
            let block = self.block(memory, self.sweep_index);
            if self.sweep_at == 0 {
                self.sweep_at = metadata::first_metadata(block);
            }
            while let Some((from, to)) = self.sweep_hole(memory, block, live) {
                self.sweep_at = to;
                let bytes = (to - from) * GRANULE_BYTES;
                self.free_bytes += u64::from(bytes);
                let address = metadata::granule_of(from);
                // A block's last granule never ends at 2^32: that page is not taken.
                if bytes >= size_bytes {
                    self.claim(address, address + bytes);
                    return true;
                }
                if size_bytes != NO_HOLE_BYTES {
                    self.set_aside(memory, address, address + bytes);
                }
            }
            self.sweep_index += 1;
            self.sweep_at = 0;
        }
        false
    }

    /// Allocates in a block of its own, from now on. Only when every block is swept.
    pub fn take_block<M: Memory>(&mut self, supply: &mut Supply<M>) -> bool {
        if !self.list.reserve(supply, (self.count + 1) * WORD_BYTES) {
            return false;
        }
        let Some(block) = supply.take_block() else {
            return false;
        };
        if !self.cover(supply, block >> BLOCK_SHIFT) {
            supply.give_block(block);
            return false;
        }
        self.set_rest_aside(&mut supply.memory);
        supply.memory.store_u8(self.map.address + (block >> BLOCK_SHIFT), BLOCK);
        supply.memory.store_u32(self.list.address + self.count * WORD_BYTES, block);
        self.count += 1;
        self.sweep_index = self.count;
        self.free_bytes += u64::from(PAYLOAD_BYTES);
        self.claim(block + (BLOCK_BYTES - PAYLOAD_BYTES), block + BLOCK_BYTES);
        supply.memory.fill(block, BLOCK_GRANULES, 0);
        true
    }

    /// Sweeps what is left, so that no object of another colour than `live` remains.
    pub fn finish_sweep<M: Memory>(&mut self, memory: &mut M, live: u8) {
        #[cfg(feature = "stress")]
        self.end_quarantine();
        self.retire();
        // The sweep after the mark finds the holes again: nothing is written into them.
        self.next_hole(memory, NO_HOLE_BYTES, live);
    }

    /// Begins a lazy sweep: blocks in which nothing was marked go back as pages.
    pub fn begin_sweep<M: Memory>(&mut self, supply: &mut Supply<M>) {
        let mut index = 0;
        while index < self.count {
            let block = self.block(&supply.memory, index);
            let entry = self.map.address + (block >> BLOCK_SHIFT);
            if supply.memory.load_u8(entry) == BLOCK_MARKED {
                supply.memory.store_u8(entry, BLOCK);
                index += 1;
                continue;
            }
            supply.memory.store_u8(entry, 0);
            supply.give_block(block);
            self.count -= 1;
            let last = self.block(&supply.memory, self.count);
            supply.memory.store_u32(self.list.address + index * WORD_BYTES, last);
        }
        self.list.fit(supply, self.count * WORD_BYTES);
        self.sweep_index = 0;
        self.sweep_at = 0;
        self.free_bytes = 0;
    }

    /// The page map as marking reads it: its address and its pages.
    pub fn page_map(&self) -> PageMap {
        PageMap { address: self.map.address, pages: self.map.size_bytes }
    }

    /// How many blocks there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The address of a block.
    pub fn block<M: Memory>(&self, memory: &M, index: u32) -> u32 {
        memory.load_u32(self.list.address + index * WORD_BYTES)
    }

    /// Whether the block at an index may still hold objects of the dead colour,
    /// from the given metadata byte on.
    pub fn is_swept(&self, index: u32, metadata: u32) -> bool {
        #[cfg(feature = "stress")]
        if self.is_quarantined {
            return false;
        }
        index < self.sweep_index || (index == self.sweep_index && metadata < self.sweep_at)
    }

    /// The rest of the hole that allocation is in: the next free address, up to
    /// where memory is zero, and the end.
    pub fn hole(&self) -> (u32, u32, u32) {
        (self.cursor, self.limit, self.end)
    }

    /// Calls `visit` with each hole set aside, from and to.
    pub fn for_each_hole_aside<M: Memory>(&self, memory: &M, mut visit: impl FnMut(u32, u32)) {
        for mut hole in self.chains {
            while hole != 0 {
                visit(hole, memory.load_u32(hole + WORD_BYTES));
                hole = memory.load_u32(hole);
            }
        }
    }

    /// Takes over what a mutator's own code allocated in the current hole: below
    /// `cursor`, and from `end` on. What cannot be is taken for all of it.
    #[cfg(feature = "core")]
    #[inline]
    pub fn adopt_hole(&mut self, cursor: u32, end: u32) {
        let is_possible = self.cursor <= cursor
            && cursor <= self.limit
            && self.limit <= end
            && end <= self.end
            && (cursor | end).is_multiple_of(GRANULE_BYTES);
        (self.cursor, self.end) =
            if is_possible { (cursor, end) } else { (self.limit, self.limit) };
    }

    /// An upper bound of the bytes that were live at the last collection; exact
    /// when the sweep is done.
    pub fn live_bytes(&self) -> u64 {
        self.payload_bytes() - self.free_bytes
    }

    /// Bytes for objects in all blocks, used or free.
    pub fn payload_bytes(&self) -> u64 {
        u64::from(self.count) * u64::from(PAYLOAD_BYTES)
    }

    /// Bytes that a sweep of all blocks reads.
    pub fn metadata_bytes(&self) -> u64 {
        u64::from(self.count) * u64::from(BLOCK_GRANULES)
    }

    /// Bytes given to objects, ever.
    pub fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes + u64::from(self.hole_bytes - (self.end - self.cursor))
    }

    /// Bytes in objects of the live colour, by reading all metadata.
    pub fn count_live_bytes<M: Memory>(&self, memory: &M, live: u8) -> u64 {
        let mut bytes = 0;
        self.for_each_object(memory, live, |_, start| {
            bytes += u64::from(metadata::object_size(memory, start));
        });
        bytes
    }

    /// Calls `visit` with the address and the start byte's address of each object
    /// of the given colour.
    pub fn for_each_object<M: Memory>(
        &self,
        memory: &M,
        colour: u8,
        mut visit: impl FnMut(u32, u32),
    ) {
        for index in 0..self.count {
            let block = self.block(memory, index);
            let end = metadata::metadata_end(block);
            let mut at = metadata::first_metadata(block);
            loop {
                at = metadata::find(memory, at, end, colour);
                if at == end {
                    break;
                }
                visit(metadata::granule_of(at), at);
                at += 1;
            }
        }
    }

    /// Bytes that the list and the map take.
    pub fn tables_bytes(&self) -> u32 {
        self.map.size_bytes + self.list.size_bytes
    }

    /// Gives all blocks and tables back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.retire();
        for index in 0..self.count {
            let block = self.block(&supply.memory, index);
            supply.give_block(block);
        }
        self.count = 0;
        self.sweep_index = 0;
        self.map.release(supply);
        self.list.release(supply);
    }

    /// The first block at which the list and the map disagree, or the count
    /// where the map names more.
    pub fn inconsistency<M: Memory>(&self, memory: &M) -> Option<u32> {
        let map = self.page_map();
        let named = (0..map.pages).filter(|&page| memory.load_u8(map.address + page) != 0).count();
        (0..self.count)
            .find(|&index| !map.is_block(memory, self.block(memory, index)))
            .or((named != self.count as usize).then_some(self.count))
    }

    /// Takes a block out of the map and leaves it in the list.
    #[cfg(test)]
    pub fn forget_in_map<M: Memory>(&self, memory: &mut M, block: u32) {
        memory.store_u8(self.map.address + (block >> BLOCK_SHIFT), 0);
    }

    /// The next hole of the block that is being swept.
    #[inline(always)]
    fn sweep_hole<M: Memory>(&self, memory: &mut M, block: u32, live: u8) -> Option<(u32, u32)> {
        #[cfg(feature = "stress")]
        if self.is_quarantined {
            return quarantine::free_hole(memory, block, self.sweep_at);
        }
        sweep_hole(memory, block, self.sweep_at, live)
    }

    /// Allocates in a hole from now on.
    fn claim(&mut self, from: u32, to: u32) {
        self.cursor = from;
        self.limit = from;
        self.end = to;
        self.hole_bytes = to - from;
    }

    /// Leaves the current hole. What is left of it is free, and zero in metadata.
    fn leave_hole(&mut self) -> (u32, u32) {
        let (from, to) = (self.cursor, self.end);
        self.allocated_bytes += u64::from(self.hole_bytes - (to - from));
        self.claim(0, 0);
        (from, to)
    }

    fn set_rest_aside<M: Memory>(&mut self, memory: &mut M) {
        let (from, to) = self.leave_hole();
        self.set_aside(memory, from, to);
    }

    /// Sets a hole aside, unless it is tiny.
    fn set_aside<M: Memory>(&mut self, memory: &mut M, from: u32, to: u32) {
        let bytes = to - from;
        if bytes < 1 << LEAST_ASIDE_SHIFT {
            return;
        }
        let chain = chain_for(bytes);
        let first = &mut self.chains[chain as usize];
        memory.store_u32(from, *first);
        memory.store_u32(from + WORD_BYTES, to);
        *first = from;
        self.chains_mask |= 1 << chain;
    }

    /// Allocates in a hole that was set aside, if one is large enough.
    fn claim_aside<M: Memory>(&mut self, memory: &mut M, size_bytes: u32) -> bool {
        let least = chain_for(size_bytes.max(1 << LEAST_ASIDE_SHIFT));
        let mut candidates = self.chains_mask & u32::MAX << least;
        while candidates != 0 {
            let chain = candidates.trailing_zeros();
            candidates &= candidates - 1;
            let mut previous = 0;
            let mut hole = self.chains[chain as usize];
            // Only in the first chain can there be any that are too small.
            for _ in 0..LOOKED_AT {
                if hole == 0 {
                    break;
                }
                let next = memory.load_u32(hole);
                let end = memory.load_u32(hole + WORD_BYTES);
                if end - hole >= size_bytes {
                    if previous != 0 {
                        memory.store_u32(previous, next);
                    } else {
                        self.chains[chain as usize] = next;
                        if next == 0 {
                            self.chains_mask &= !(1 << chain);
                        }
                    }
                    self.claim(hole, end);
                    return true;
                }
                previous = hole;
                hole = next;
            }
        }
        false
    }

    /// Leaves the current hole and those set aside, to be found again by a sweep.
    pub fn retire(&mut self) {
        self.leave_hole();
        self.chains = [0; CHAINS];
        self.chains_mask = 0;
    }

    /// Makes the map cover a page.
    fn cover<M: Memory>(&mut self, supply: &mut Supply<M>, page: u32) -> bool {
        let covered = self.map.size_bytes;
        if !self.map.reserve(supply, page + 1) {
            return false;
        }
        let added = self.map.size_bytes - covered;
        if added > 0 {
            supply.memory.fill(self.map.address + covered, added, 0);
        }
        true
    }
}

/// The next hole of a block from the metadata byte `at` on, which is the start of
/// an object or of a hole; clears the metadata of the dead in it.
#[inline]
fn sweep_hole<M: Memory>(memory: &mut M, block: u32, mut at: u32, live: u8) -> Option<(u32, u32)> {
    let end = metadata::metadata_end(block);
    while at < end {
        let next_live = metadata::find(memory, at, end, live);
        if next_live > at {
            memory.clear(at, next_live - at);
            return Some((at, next_live));
        }
        at = metadata::end_of_run(memory, at, end, live);
    }
    None
}

/// Which pages are blocks.
#[derive(Clone, Copy, Debug)]
pub struct PageMap {
    address: u32,
    pages: u32,
}

impl PageMap {
    /// Whether an address lies in a block.
    #[inline(always)]
    pub fn is_block<M: Memory>(self, memory: &M, address: u32) -> bool {
        let page = address >> BLOCK_SHIFT;
        page < self.pages && memory.load_u8(self.address + page) != 0
    }

    /// Notes that something in the block of this address is marked.
    #[inline(always)]
    pub fn note_marked<M: Memory>(self, memory: &mut M, address: u32) {
        memory.store_u8(self.address + (address >> BLOCK_SHIFT), BLOCK_MARKED);
    }

    /// The metadata byte of the granule at an address, where it is the start of
    /// an object in a block.
    #[inline(always)]
    pub fn start<M: Memory>(self, memory: &M, address: u32) -> Option<u32> {
        if !address.is_multiple_of(GRANULE_BYTES) || !self.is_block(memory, address) {
            return None;
        }
        let metadata = metadata::metadata_of(address);
        (memory.load_u8(metadata) & START != 0).then_some(metadata)
    }
}
