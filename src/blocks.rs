//! The block space: objects of up to 8 KiB, bump-allocated into holes.
//!
//! A block is a page. Its first 8 KiB are metadata (one byte a granule, see
//! [`metadata`](crate::metadata)), the rest is objects. Allocation bumps a cursor
//! through a *hole*, a run of free granules, and goes on to the next hole when it
//! is used up, sweeping as it goes: a hole is whatever lies between live objects.
//! There are no free lists [immix §3].
//!
//! Two tables stand beside the blocks: their addresses in a list, and a map with
//! a byte for each page of memory, which says whether the page is a block and
//! whether anything in it was marked. Every reference is checked against it.
//!
//! Invariants: the list and the map name the same blocks; blocks before
//! `sweep_index` are swept (no object of the dead colour is left), those after it
//! are not, and the one at it is swept below `sweep_at`; the granules between
//! `cursor` and `limit` are free and zero; a hole that was found is zero in
//! metadata.

use crate::memory::supply::Supply;
use crate::memory::{Memory, Pages};
use crate::metadata::{self, END, START};
use crate::region::Region;
use crate::units::{BLOCK_BYTES, BLOCK_SHIFT, GRANULE_BYTES, PAYLOAD_BYTES, WORD_BYTES};

/// The map's byte for a page that is a block.
const BLOCK: u8 = 1;
/// And for one in which something was marked by the last collection.
const BLOCK_MARKED: u8 = 2;

/// The blocks, and where allocation is.
#[derive(Debug)]
pub struct Blocks {
    map: Region,
    list: Region,
    count: u32,
    sweep_index: u32,
    sweep_at: u32,
    cursor: u32,
    limit: u32,
    /// Where the current hole begins, for counting.
    hole: u32,
    /// Free bytes found by sweeping since the last collection, and those of new
    /// blocks, used or not.
    free_bytes: u64,
    /// Bytes of holes and new blocks given to allocation since then.
    claimed_bytes: u64,
    allocated_bytes: u64,
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
            hole: 0,
            free_bytes: 0,
            claimed_bytes: 0,
            allocated_bytes: 0,
        }
    }

    /// Bumps the cursor, where the current hole has `size_bytes` left.
    #[inline(always)]
    pub fn bump(&mut self, size_bytes: u32) -> Option<u32> {
        let address = self.cursor;
        if size_bytes > self.limit - address {
            return None;
        }
        self.cursor = address + size_bytes;
        Some(address)
    }

    /// Goes on to the next hole of at least `size_bytes`, sweeping up to it.
    /// Smaller ones are left for after the next collection.
    pub fn next_hole<M: Memory>(&mut self, memory: &mut M, size_bytes: u32, live: u8) -> bool {
        self.retire();
        while self.sweep_index < self.count {
            let block = self.block(memory, self.sweep_index);
            if self.sweep_at == 0 {
                self.sweep_at = metadata::first_metadata(block);
            }
            while let Some((from, to)) = sweep_hole(memory, block, self.sweep_at, live) {
                self.sweep_at = to;
                let bytes = (to - from) * GRANULE_BYTES;
                self.free_bytes += u64::from(bytes);
                if bytes >= size_bytes {
                    let address = metadata::granule_of(from);
                    memory.fill(address, bytes, 0);
                    self.claim(address, bytes);
                    return true;
                }
            }
            self.sweep_index += 1;
            self.sweep_at = 0;
        }
        false
    }

    /// Allocates in a block of its own, from now on. Only when every block is swept.
    pub fn take_block<M: Memory>(&mut self, supply: &mut Supply<M>) -> bool {
        self.retire();
        if !self.list.reserve(supply, (self.count + 1) * WORD_BYTES) {
            return false;
        }
        let Some(pages) = supply.take_block() else {
            return false;
        };
        if !self.cover(supply, pages.address >> BLOCK_SHIFT) {
            supply.give_block(pages.address);
            return false;
        }
        let Pages { address: block, zeroed } = pages;
        if !zeroed {
            supply.memory.fill(block, BLOCK_BYTES, 0);
        }
        supply.memory.store_u8(self.map.address + (block >> BLOCK_SHIFT), BLOCK);
        supply.memory.store_u32(self.list.address + self.count * WORD_BYTES, block);
        self.count += 1;
        self.sweep_index = self.count;
        self.free_bytes += u64::from(PAYLOAD_BYTES);
        self.claim(block + (BLOCK_BYTES - PAYLOAD_BYTES), PAYLOAD_BYTES);
        true
    }

    /// Sweeps what is left, so that no object of the dead colour remains. Only the
    /// dead are looked for: a block without any costs a read of its metadata.
    pub fn finish_sweep<M: Memory>(&mut self, memory: &mut M, dead: u8) {
        self.retire();
        while self.sweep_index < self.count {
            let block = self.block(memory, self.sweep_index);
            let end = metadata::metadata_end(block);
            let mut at = self.sweep_at.max(metadata::first_metadata(block));
            loop {
                at = metadata::find(memory, at, end, dead);
                if at == end {
                    break;
                }
                let next = metadata::find(memory, at, end, END) + 1;
                memory.fill(at, next - at, 0);
                at = next;
            }
            self.sweep_index += 1;
            self.sweep_at = 0;
        }
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
        self.sweep_index = 0;
        self.sweep_at = 0;
        self.free_bytes = 0;
        self.claimed_bytes = 0;
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
        index < self.sweep_index || (index == self.sweep_index && metadata < self.sweep_at)
    }

    /// The free granules that allocation bumps through.
    pub fn hole(&self) -> (u32, u32) {
        (self.cursor, self.limit)
    }

    /// An upper bound of the bytes that were live at the last collection; exact
    /// when the sweep is done.
    pub fn live_bytes(&self) -> u64 {
        let payload = u64::from(self.count) * u64::from(PAYLOAD_BYTES);
        payload.saturating_sub(self.free_bytes)
    }

    /// Bytes given to allocation since the last collection.
    pub fn claimed_bytes(&self) -> u64 {
        self.claimed_bytes
    }

    /// Bytes given to objects, ever.
    pub fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes + u64::from(self.cursor - self.hole)
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

    fn claim(&mut self, address: u32, bytes: u32) {
        self.hole = address;
        self.cursor = address;
        // A block's last granule never ends at 2^32: that page is not taken.
        self.limit = address + bytes;
        self.claimed_bytes += u64::from(bytes);
    }

    /// Leaves the current hole. What is left of it is free, and zero in metadata.
    pub fn retire(&mut self) {
        self.allocated_bytes += u64::from(self.cursor - self.hole);
        self.hole = 0;
        self.cursor = 0;
        self.limit = 0;
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
            memory.fill(at, next_live - at, 0);
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
