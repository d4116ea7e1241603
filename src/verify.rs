//! The heap verifier: numbered invariants, checked by a walk over the whole heap.
//!
//! The verifier is for tests, and for hunting a fault. It changes nothing, and costs nothing while
//! it is not called. ARCHITECTURE.md explains each invariant under its number.

use crate::blocks::Blocks;
use crate::large::LargeObjects;
use crate::layout::{CONSERVATIVE as CONSERVATIVE_LAYOUT, LEAF, Layouts, Shape};
use crate::memory::Memory;
use crate::metadata::{
    self, END, LAST_REFERENCES, REFERENCE_0, REFERENCE_1, START, TRACED, WRAPPER,
};
use crate::pins::Pins;
use crate::roots::Roots;
use crate::units::{GRANULE_BYTES, Reference, WORD_BYTES};
use crate::wrap_table::WrapTable;
use core::cell::Cell;

/// The invariants, by their numbers. `tests/tables.rs` compares ARCHITECTURE.md with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Invariant {
    /// The list of blocks and the page map name the same pages.
    BlockMap = 1,
    /// Every metadata byte is one that an object or a free granule can have.
    Metadata = 2,
    /// Objects tile a block: each object ends before the next one starts.
    Tiling = 3,
    /// Every reference slot of a live object is null or names a live object.
    References = 4,
    /// In swept blocks, and among large objects, there is no object of the dead colour.
    Colours = 5,
    /// The granules of the current hole and of the hole set are free, and those below the current
    /// hole's limit are zero in memory.
    Hole = 6,
    /// The large-object table and its sums are right.
    LargeTable = 7,
    /// Wrap-table entries and wrapper bits agree, and its sums are right.
    WrapTable = 8,
    /// The memory that is counted is the memory that is taken.
    Accounting = 9,
    /// The shadow stack and the scopes are in bounds, and name live objects.
    Roots = 10,
    /// Pinned objects are live, and their counts above 0.
    Pins = 11,
}

/// An invariant that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: Invariant,
    /// Where it is broken: an address, or a position in a table.
    pub at: u32,
}

/// Returns the reference in a word that compiled code stored. The lowest three bits may be a tag.
fn untagged(word: u32) -> Reference {
    word & !(GRANULE_BYTES - 1)
}

/// Everything that is checked.
pub struct Verifier<'a, M> {
    /// The memory.
    pub memory: &'a M,
    /// The block space.
    pub blocks: &'a Blocks,
    /// The large objects.
    pub large: &'a LargeObjects,
    /// The layouts.
    pub layouts: &'a Layouts,
    /// The shadow stack.
    pub roots: &'a Roots,
    /// The pins.
    pub pins: &'a Pins,
    /// The wrap table.
    pub wrap_table: &'a WrapTable,
    /// The colour of live objects.
    pub live: u8,
    /// Whether the supply counts as many blocks and bytes as the spaces and tables have, and its
    /// extents hold their invariants.
    pub is_accounted: bool,
    /// The first violation found.
    pub first: Cell<Option<Violation>>,
}

impl<M: Memory> Verifier<'_, M> {
    /// Returns the first violation. A violation of an invariant that a program's own words can
    /// break is returned only if there is no other.
    pub fn violation(&self) -> Option<Violation> {
        self.expect_none(self.blocks.inconsistency(self.memory), Invariant::BlockMap);
        self.expect_none(self.large.inconsistency(self.memory), Invariant::LargeTable);
        let mut wrappers = 0;
        for index in 0..self.blocks.count() {
            wrappers += self.check_block(index);
        }
        for position in 0..self.large.count() {
            wrappers += self.check_large(position);
        }
        self.check_hole();
        self.check_wrap_table(wrappers);
        self.check_roots();
        self.check_pins();
        self.expect(self.is_accounted, Invariant::Accounting, 0);
        self.first.get()
    }

    /// Notes a violation, unless one was noted before that is as grave.
    #[inline(never)]
    fn expect(&self, holds: bool, invariant: Invariant, at: u32) {
        if holds {
            return;
        }
        // Compiled code may store any word in a reference slot or as a root.
        let is_mild = |of| matches!(of, Invariant::References | Invariant::Roots);
        let is_worse = match self.first.get() {
            None => true,
            Some(noted) => is_mild(noted.invariant) && !is_mild(invariant),
        };
        if is_worse {
            self.first.set(Some(Violation { invariant, at }));
        }
    }

    fn expect_none(&self, position: Option<u32>, invariant: Invariant) {
        self.expect(position.is_none(), invariant, position.unwrap_or(0));
    }

    /// Returns the start byte, or the flags, of the live object at an address; 0 if there is none.
    fn live_byte(&self, reference: Reference) -> u8 {
        let byte = match self.blocks.page_map().start(self.memory, reference) {
            Some(start) => self.memory.load_u8(start),
            None => match self.large.find(self.memory, reference) {
                Some(position) => self.large.flags(self.memory, position),
                None => 0,
            },
        };
        if byte & self.live == 0 { 0 } else { byte }
    }

    fn is_live(&self, reference: Reference) -> bool {
        self.live_byte(reference) != 0
    }

    fn check_reference(&self, slot: u32) {
        let reference = self.memory.load_u32(slot);
        self.expect(
            reference == 0 || self.is_live(untagged(reference)),
            Invariant::References,
            slot,
        );
    }

    /// Finds the first metadata byte in `from..end` that is not zero; `end` if there is none.
    fn next_used(&self, from: u32, end: u32) -> u32 {
        metadata::find(self.memory, from, end, u8::MAX)
    }

    /// Checks a block, and returns the number of wrappers in it.
    fn check_block(&self, index: u32) -> u32 {
        let block = self.blocks.block(self.memory, index);
        let end = metadata::metadata_end(block);
        let own_end = metadata::first_metadata(block);
        let own = self.next_used(block, own_end);
        self.expect(own == own_end, Invariant::Metadata, own);
        let mut wrappers = 0;
        let mut at = own_end;
        loop {
            at = self.next_used(at, end);
            if at == end {
                return wrappers;
            }
            let byte = self.memory.load_u8(at);
            if byte & START == self.live {
                wrappers += u32::from(byte & WRAPPER != 0);
                at = self.check_object(at, end);
                continue;
            }
            self.expect(byte & START != START, Invariant::Metadata, at);
            self.expect(!self.blocks.is_swept(index, at), Invariant::Colours, at);
            at += 1;
        }
    }

    /// Checks the live object whose start byte is at `start`, and returns where the next one may
    /// start.
    fn check_object(&self, start: u32, end: u32) -> u32 {
        let first = self.memory.load_u8(start);
        // Whether the granule at `at` may have reference bits.
        let mut is_precise = metadata::is_traced(first) && !metadata::is_conservative(first);
        let mut at = start;
        loop {
            let byte = self.memory.load_u8(at);
            if at != start {
                self.expect(byte & START == 0, Invariant::Tiling, at);
                self.expect(byte & (TRACED | WRAPPER) == 0, Invariant::Metadata, at);
            }
            for (bit, word) in [(REFERENCE_0, 0), (REFERENCE_1, 1)] {
                if byte & bit != 0 {
                    self.expect(is_precise, Invariant::Metadata, start);
                    self.check_reference(metadata::granule_of(at) + word * WORD_BYTES);
                }
            }
            if byte & END != 0 {
                return at + 1;
            }
            is_precise &= byte & LAST_REFERENCES == 0;
            at = self.next_used(at + 1, end);
            if at == end {
                self.expect(false, Invariant::Tiling, start);
                return at;
            }
        }
    }

    /// Checks a large object, and returns 1 if it is a wrapper, otherwise 0.
    fn check_large(&self, position: u32) -> u32 {
        let flags = self.large.flags(self.memory, position);
        let address = self.large.address(self.memory, position);
        self.expect(flags & START == self.live, Invariant::Colours, address);
        let layout = self.large.layout(self.memory, position);
        if layout != LEAF && layout != CONSERVATIVE_LAYOUT {
            let shape = self.layouts.shape(self.memory, layout);
            self.expect(shape.is_ok(), Invariant::LargeTable, address);
            let shape = shape.unwrap_or(Shape::LEAF);
            let (mut slot, mut index) = (address, 0);
            while slot < address + self.large.size(self.memory, position) {
                if shape.is_reference(index) {
                    self.check_reference(slot);
                }
                slot += WORD_BYTES;
                index += 1;
            }
        }
        u32::from(flags & WRAPPER != 0)
    }

    fn check_hole(&self) {
        let (cursor, limit, end) = self.blocks.hole();
        self.check_free(cursor, end, limit);
        self.blocks.hole_set().for_each(self.memory, |from, to| self.check_free(from, to, from));
    }

    /// Checks that the granules from `from` to `to`, in one block, are free, and zero in memory up
    /// to `limit`.
    fn check_free(&self, from: u32, to: u32, limit: u32) {
        let first = metadata::metadata_of(from);
        let end = first + (to - from) / GRANULE_BYTES;
        // There may be no hole.
        let used = if from == to { end } else { self.next_used(first, end) };
        self.expect(used == end, Invariant::Hole, metadata::granule_of(used));
        let mut address = from;
        while address < limit {
            self.expect(self.memory.load_u64(address) == 0, Invariant::Hole, address);
            address += GRANULE_BYTES;
        }
    }

    fn check_wrap_table(&self, wrappers: u32) {
        self.expect_none(self.wrap_table.inconsistency(self.memory), Invariant::WrapTable);
        for position in 0..self.wrap_table.length() {
            let wrapper = self.wrap_table.wrapper(self.memory, position);
            let is_wrapper = self.live_byte(wrapper) & WRAPPER != 0;
            self.expect(is_wrapper, Invariant::WrapTable, position);
        }
        let length = self.wrap_table.length();
        self.expect(wrappers == length, Invariant::WrapTable, length);
    }

    fn check_roots(&self) {
        self.expect(self.roots.is_consistent(self.memory), Invariant::Roots, 0);
        for slots in self.roots.indexes() {
            for slot in slots {
                let word = self.roots.root(self.memory, slot);
                // A mutator that pushes by itself may push a word that is not a heap address.
                let elsewhere = !self.blocks.page_map().is_block(self.memory, word);
                let holds = elsewhere || self.is_live(untagged(word));
                self.expect(holds, Invariant::Roots, slot);
            }
        }
    }

    fn check_pins(&self) {
        self.expect_none(self.pins.inconsistency(self.memory), Invariant::Pins);
        for position in 0..self.pins.length() {
            let object = self.pins.object(self.memory, position);
            self.expect(self.is_live(object), Invariant::Pins, object);
        }
    }
}
