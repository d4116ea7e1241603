//! The block space: objects of up to 8 KiB, bump-allocated into holes.
//!
//! A block is a page. Its first 8 KiB are metadata (one byte a granule, see [`metadata`]), the rest
//! is objects. A *hole* is a run of free granules between live objects. Allocation works through
//! one hole. If an object does not fit, allocation goes on to the next hole, which the sweep finds
//! at that moment [immix §3].
//!
//! A hole is used from both ends. From its low end a cursor is bumped through memory that was
//! zeroed a few KiB ahead, so that it is still in the cache. From its high end come objects whose
//! content need not be zero.
//!
//! A hole that is too small for the object at hand goes into the [hole set](hole_set), which is
//! tried before the sweep goes on.
//!
//! Two tables stand beside the blocks: a list of their addresses, and the page map. The map has a
//! byte for each page of memory, which says whether the page is a block, and whether anything in it
//! was marked. Every reference is checked against the map.
//!
//! Invariants:
//! 1. The list and the map name the same blocks.
//! 2. No object of the dead colour is in a block before `sweep_index`, nor below `sweep_at` in the
//!    block at `sweep_index`. Later blocks are not swept yet.
//! 3. The granules between `cursor` and `end`, and those of the hole set, are zero in metadata.
//! 4. Between `cursor` and `limit` memory is zero.
//!
//! Deliberately absent are free lists of objects by size, and coalescing: neighbours that died are
//! one hole.

mod hole_set;
mod quarantine;

pub use hole_set::HoleSet;

use crate::buffer::Buffer;
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::metadata::{self, START, TEMPLATE_GRANULES};
use crate::units::{
    BLOCK_BYTES, BLOCK_GRANULES, BLOCK_SHIFT, GRANULE_BYTES, PAYLOAD_BYTES, WORD_BYTES,
};

/// The map's byte for a page that is a block.
const BLOCK: u8 = 1;
/// The map's byte for a block in which the last collection marked an object.
const BLOCK_MARKED: u8 = 2;

/// How far ahead of the cursor memory is zeroed at a time. The memory is still in the first-level
/// cache when objects are written there.
const ZEROED_AHEAD_BYTES: u32 = 4 * 1024;

/// A size that no hole has. A search for it sweeps all blocks.
const NO_HOLE_BYTES: u32 = u32::MAX;

/// The hole that allocation is in; all 0 if allocation is in none.
#[derive(Clone, Copy, Debug)]
struct Hole {
    /// Where the next zeroed object goes.
    cursor: u32,
    /// Between `cursor` and this address memory is zero.
    limit: u32,
    /// The end of the hole. Objects whose content need not be zero end here.
    end: u32,
    /// The hole's size when allocation entered it, for counting.
    size_bytes: u32,
}

/// The blocks, and where allocation is.
#[derive(Debug)]
pub struct Blocks {
    hole: Hole,
    /// The page map.
    map: Buffer,
    /// The blocks' addresses.
    list: Buffer,
    count: u32,
    /// The block that the sweep has come to, and the metadata byte there; 0 if the sweep has not
    /// begun with the block.
    sweep_index: u32,
    sweep_at: u32,
    /// Free bytes that the sweep has found since the last collection, with all bytes of the blocks
    /// that were taken since then.
    free_bytes: u64,
    /// Bytes given to objects since the heap was made, without those in the current hole.
    allocated_bytes: u64,
    /// Holes that allocation passed over.
    hole_set: HoleSet,
    /// Whether the sweep leaves dead objects where they are.
    is_quarantined: bool,
}

impl Blocks {
    /// Makes a space without blocks.
    pub const fn new() -> Self {
        Blocks {
            hole: Hole { cursor: 0, limit: 0, end: 0, size_bytes: 0 },
            map: Buffer::EMPTY,
            list: Buffer::EMPTY,
            count: 0,
            sweep_index: 0,
            sweep_at: 0,
            hole_set: HoleSet::EMPTY,
            free_bytes: 0,
            allocated_bytes: 0,
            is_quarantined: false,
        }
    }

    /// Makes room for a zeroed object. None if the current hole has too little room.
    pub fn bump<M: Memory>(&mut self, memory: &mut M, size_bytes: u32) -> Option<u32> {
        let address = self.hole.cursor;
        if size_bytes > self.hole.limit - address {
            if size_bytes > self.hole.end - address {
                return None;
            }
            self.zero_ahead(memory, address + size_bytes);
        }
        self.hole.cursor = address + size_bytes;
        Some(address)
    }

    /// Makes room for a zeroed object in memory that is zero already. None if the current hole has
    /// too little such memory.
    #[inline(always)]
    pub fn bump_zeroed(&mut self, size_bytes: u32) -> Option<u32> {
        let address = self.hole.cursor;
        if size_bytes > self.hole.limit - address {
            return None;
        }
        self.hole.cursor = address + size_bytes;
        Some(address)
    }

    /// Makes room for a zeroed object of a template's granules at most, as
    /// [`bump_zeroed`](Self::bump_zeroed). None also if the current hole has less room than for the
    /// largest of them.
    #[inline(always)]
    pub fn bump_in_room(&mut self, size_bytes: u32) -> Option<u32> {
        let address = self.hole.cursor;
        if self.hole.limit - address < TEMPLATE_GRANULES * GRANULE_BYTES {
            return None;
        }
        self.hole.cursor = address + size_bytes;
        Some(address)
    }

    /// Makes room for an object whose content need not be zero. None if the current hole has too
    /// little room.
    pub fn bump_from_end(&mut self, size_bytes: u32) -> Option<u32> {
        if size_bytes > self.hole.end - self.hole.cursor {
            return None;
        }
        self.hole.end -= size_bytes;
        self.hole.limit = self.hole.limit.min(self.hole.end);
        Some(self.hole.end)
    }

    /// Skips granules until the cursor is a multiple of `alignment`. The caller has checked that
    /// the hole has room.
    pub fn align<M: Memory>(&mut self, memory: &mut M, alignment: u32) {
        let skipped = self.hole.cursor.wrapping_neg() & (alignment - 1);
        self.bump(memory, skipped);
    }

    /// Zeroes the hole up to `least`, and some KiB beyond it.
    fn zero_ahead<M: Memory>(&mut self, memory: &mut M, least: u32) {
        let limit = least.max(self.hole.limit + ZEROED_AHEAD_BYTES).min(self.hole.end);
        memory.fill(self.hole.limit, limit - self.hole.limit, 0);
        self.hole.limit = limit;
    }

    /// Goes on to a hole of at least `size_bytes`: one of the hole set, or the next one that the
    /// sweep finds. False if there is none; then every block is swept. Cost: four tries for each
    /// size class, and the sweep up to the hole.
    pub fn next_hole<M: Memory>(&mut self, memory: &mut M, size_bytes: u32, live: u8) -> bool {
        self.leave_hole_to_set(memory);
        if let Some((from, to)) = self.hole_set.try_pop(memory, size_bytes) {
            self.enter_hole(from, to);
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
                // The sum does not wrap: the page that ends at 2^32 is never taken.
                if bytes >= size_bytes {
                    self.enter_hole(address, address + bytes);
                    return true;
                }
                if size_bytes != NO_HOLE_BYTES {
                    self.hole_set.push(memory, address, address + bytes);
                }
            }
            self.sweep_index += 1;
            self.sweep_at = 0;
        }
        false
    }

    /// Takes a new block, and allocates in it from now on. Every block must be swept. False if
    /// memory is refused.
    pub fn take_block<M: Memory>(&mut self, supply: &mut Supply<M>) -> bool {
        if !self.list.reserve(supply, (self.count + 1) * WORD_BYTES) {
            return false;
        }
        let Some(block) = supply.take_block() else {
            return false;
        };
        if !self.extend_map(supply, block >> BLOCK_SHIFT) {
            supply.give_block(block);
            return false;
        }
        self.leave_hole_to_set(&mut supply.memory);
        supply.memory.store_u8(self.map.address + (block >> BLOCK_SHIFT), BLOCK);
        supply.memory.store_u32(self.list.address + self.count * WORD_BYTES, block);
        self.count += 1;
        self.sweep_index = self.count;
        self.free_bytes += u64::from(PAYLOAD_BYTES);
        self.enter_hole(block + (BLOCK_BYTES - PAYLOAD_BYTES), block + BLOCK_BYTES);
        supply.memory.fill(block, BLOCK_GRANULES, 0);
        true
    }

    /// Sweeps the blocks that are not swept yet. No object of another colour than `live` remains.
    pub fn finish_sweep<M: Memory>(&mut self, memory: &mut M, live: u8) {
        self.end_quarantine();
        self.abandon_holes();
        // No hole goes into the hole set here: the sweep after the mark finds them all again.
        self.next_hole(memory, NO_HOLE_BYTES, live);
    }

    /// Begins a lazy sweep, and gives the blocks back in which nothing was marked.
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
        self.list.shrink(supply, self.count * WORD_BYTES);
        self.sweep_index = 0;
        self.sweep_at = 0;
        self.free_bytes = 0;
    }

    /// Returns the page map as marking reads it.
    pub fn page_map(&self) -> PageMap {
        PageMap { address: self.map.address, pages: self.map.size_bytes }
    }

    /// Returns the number of blocks.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Returns the address of the block at a position in the list.
    pub fn block<M: Memory>(&self, memory: &M, index: u32) -> u32 {
        memory.load_u32(self.list.address + index * WORD_BYTES)
    }

    /// Returns true if the sweep has passed a metadata byte of the block at `index`: no object of
    /// the dead colour is there.
    pub fn is_swept(&self, index: u32, metadata: u32) -> bool {
        if self.is_quarantined {
            return false;
        }
        index < self.sweep_index || (index == self.sweep_index && metadata < self.sweep_at)
    }

    /// Returns what is left of the hole that allocation is in: the next free address, the address
    /// up to which memory is zero, and the end.
    pub fn hole(&self) -> (u32, u32, u32) {
        (self.hole.cursor, self.hole.limit, self.hole.end)
    }

    /// Returns the holes that allocation passed over.
    pub fn hole_set(&self) -> &HoleSet {
        &self.hole_set
    }

    /// Takes over what a mutator's own code allocated in the current hole: everything below
    /// `cursor`, and from `end` on. If the two are impossible, nothing of the hole is taken to be
    /// free any more.
    pub fn adopt_hole(&mut self, cursor: u32, end: u32) {
        let is_possible = self.hole.cursor <= cursor
            && cursor <= self.hole.limit
            && self.hole.limit <= end
            && end <= self.hole.end
            && (cursor | end).is_multiple_of(GRANULE_BYTES);
        (self.hole.cursor, self.hole.end) =
            if is_possible { (cursor, end) } else { (self.hole.limit, self.hole.limit) };
    }

    /// Returns an upper bound of the bytes that were live at the last collection, which is exact
    /// once the sweep is done.
    pub fn live_bytes(&self) -> u64 {
        self.payload_bytes() - self.free_bytes
    }

    /// Returns the bytes of all blocks that can hold objects, used or free.
    pub fn payload_bytes(&self) -> u64 {
        u64::from(self.count) * u64::from(PAYLOAD_BYTES)
    }

    /// Returns how many bytes a sweep of all blocks reads.
    pub fn metadata_bytes(&self) -> u64 {
        u64::from(self.count) * u64::from(BLOCK_GRANULES)
    }

    /// Returns the bytes given to objects since the heap was made.
    pub fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes + u64::from(self.hole.size_bytes - (self.hole.end - self.hole.cursor))
    }

    /// Counts the bytes in objects of the live colour, by reading all metadata.
    pub fn count_live_bytes<M: Memory>(&self, memory: &M, live: u8) -> u64 {
        let mut bytes = 0;
        self.for_each_object(memory, live, |_, start| {
            bytes += u64::from(metadata::object_size(memory, start));
        });
        bytes
    }

    /// Calls `visit` with each object of a colour: its address, and the address of its start byte.
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

    /// Returns the bytes that the list and the map take.
    pub fn tables_bytes(&self) -> u32 {
        self.map.size_bytes + self.list.size_bytes
    }

    /// Gives all blocks and tables back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.abandon_holes();
        for index in 0..self.count {
            let block = self.block(&supply.memory, index);
            supply.give_block(block);
        }
        self.count = 0;
        self.sweep_index = 0;
        self.map.release(supply);
        self.list.release(supply);
    }

    /// Returns the position of the first block that the map does not name; the number of blocks if
    /// the map names more than the list.
    pub fn inconsistency<M: Memory>(&self, memory: &M) -> Option<u32> {
        let map = self.page_map();
        let named = (0..map.pages).filter(|&page| memory.load_u8(map.address + page) != 0).count();
        (0..self.count)
            .find(|&index| !map.is_block(memory, self.block(memory, index)))
            .or((named != self.count as usize).then_some(self.count))
    }

    /// Takes a block out of the map, and leaves it in the list.
    #[cfg(test)]
    pub fn remove_from_map<M: Memory>(&self, memory: &mut M, block: u32) {
        memory.store_u8(self.map.address + (block >> BLOCK_SHIFT), 0);
    }

    /// Finds the next hole of the block that is being swept: its first metadata byte and the one
    /// behind its last.
    #[inline(always)]
    fn sweep_hole<M: Memory>(&self, memory: &mut M, block: u32, live: u8) -> Option<(u32, u32)> {
        if self.is_quarantined {
            return quarantine::free_hole(memory, block, self.sweep_at);
        }
        sweep_hole(memory, block, self.sweep_at, live)
    }

    /// Allocates in a hole from now on.
    fn enter_hole(&mut self, from: u32, to: u32) {
        self.hole.cursor = from;
        self.hole.limit = from;
        self.hole.end = to;
        self.hole.size_bytes = to - from;
    }

    /// Leaves the current hole, and returns the start and the end of what is left of it.
    fn leave_hole(&mut self) -> (u32, u32) {
        let (from, to) = (self.hole.cursor, self.hole.end);
        self.allocated_bytes += u64::from(self.hole.size_bytes - (to - from));
        self.enter_hole(0, 0);
        (from, to)
    }

    /// Leaves the current hole, and puts what is left of it into the hole set.
    fn leave_hole_to_set<M: Memory>(&mut self, memory: &mut M) {
        let (from, to) = self.leave_hole();
        self.hole_set.push(memory, from, to);
    }

    /// Leaves the current hole and empties the hole set. A sweep finds these holes again.
    pub fn abandon_holes(&mut self) {
        self.leave_hole();
        self.hole_set = HoleSet::EMPTY;
    }

    /// Makes the map cover a page. False if memory is refused.
    fn extend_map<M: Memory>(&mut self, supply: &mut Supply<M>, page: u32) -> bool {
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

/// Finds the next hole of a block from the metadata byte `at` on, which is the start of an object
/// or of a hole. Clears the metadata of the dead objects in the hole.
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

/// The page map: which pages are blocks.
#[derive(Clone, Copy, Debug)]
pub struct PageMap {
    address: u32,
    pages: u32,
}

impl PageMap {
    /// Returns true if an address lies in a block.
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

    /// Returns the address of the start byte, if an object in a block starts at `address`.
    #[inline(always)]
    pub fn start<M: Memory>(self, memory: &M, address: u32) -> Option<u32> {
        if !address.is_multiple_of(GRANULE_BYTES) || !self.is_block(memory, address) {
            return None;
        }
        let metadata = metadata::metadata_of(address);
        (memory.load_u8(metadata) & START != 0).then_some(metadata)
    }
}
