//! Marking: gives every reachable object the new colour.
//!
//! Depth-first over an explicit stack of objects whose references are still to be
//! visited. Leaves are marked and never looked at; arrays of references that are
//! large objects are traced a piece at a time, so that one array does not fill
//! the stack.
//!
//! The stack grows when it is full. When that is refused, the object that did
//! not fit stays *unmarked*, and a flag is set; once the stack is empty, all
//! marked objects are traced again, which finds every unmarked one that they
//! refer to. Each such pass marks at least one object more, so it ends; nothing
//! traps and nothing live is dropped, whatever the heap's shape
//! ([handbook §2.2], [boehm-overflow]).
//!
//! Invariants: an object on the stack is marked and traced; a marked object's
//! references are marked or on the way to be, except those that the flag is for.

use crate::blocks::{Blocks, PageMap};
use crate::large::LargeObjects;
use crate::layout::{CONSERVATIVE as CONSERVATIVE_LAYOUT, LEAF, Layouts};
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::metadata::{self, CONSERVATIVE, END, REFERENCE_0, REFERENCE_1, TRACED};
use crate::region::Region;
use crate::units::{GRANULE_BYTES, Reference, WORD_BYTES};

/// Bytes of the mark stack that a heap always has: 2,048 objects.
const LEAST_STACK_BYTES: u32 = 8 * 1024;
/// Words of a large object that are traced before others get their turn.
const PIECE_WORDS: u32 = 512;

/// The mark stack, empty between collections.
///
/// An entry is an object's address, or, for a large object of which a part is
/// traced, two words: the index of the next word, then the address with bit 0 set.
#[derive(Clone, Copy, Debug)]
pub struct MarkStack {
    words: Region,
    length: u32,
}

impl MarkStack {
    /// A stack that has no memory yet.
    pub const fn new() -> Self {
        MarkStack { words: Region::EMPTY, length: 0 }
    }

    /// Takes the least memory. Whether it could be had.
    #[must_use]
    pub fn take_memory<M: Memory>(&mut self, supply: &mut Supply<M>) -> bool {
        self.words.reserve(supply, LEAST_STACK_BYTES)
    }

    /// Bytes that the stack takes.
    pub fn size_bytes(&self) -> u32 {
        self.words.size_bytes
    }

    /// Whether `count` words are free.
    #[inline(always)]
    fn has_room(&self, count: u32) -> bool {
        (self.length + count) * WORD_BYTES <= self.words.size_bytes
    }

    /// Makes sure of `count` free words, growing by an eighth at least: a stack
    /// that grew by a word at a time would be copied at each.
    fn make_room<M: Memory>(&mut self, supply: &mut Supply<M>, count: u32) -> bool {
        self.words.reserve(supply, (self.length + self.length / 8 + count) * WORD_BYTES)
    }

    #[inline(always)]
    fn push<M: Memory>(&mut self, memory: &mut M, word: u32) {
        memory.store_u32(self.words.address + self.length * WORD_BYTES, word);
        self.length += 1;
    }

    #[inline(always)]
    fn pop<M: Memory>(&mut self, memory: &M) -> Option<u32> {
        self.length = self.length.checked_sub(1)?;
        Some(memory.load_u32(self.words.address + self.length * WORD_BYTES))
    }

    /// Goes back to the least size, where that can be had.
    fn shrink<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if self.words.size_bytes <= LEAST_STACK_BYTES {
            return;
        }
        if let Some(words) = Region::take(supply, LEAST_STACK_BYTES) {
            self.words.release(supply);
            self.words = words;
        }
    }

    /// Gives the memory back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.words.release(supply);
    }
}

/// What the inner loop of marking needs for each reference. It is passed by value,
/// the stack too, so that both stay in locals: a store to memory could otherwise
/// have changed them, for all that the compiler knows.
#[derive(Clone, Copy, Debug)]
pub struct Near {
    /// Which pages are blocks.
    pub map: PageMap,
    /// The colour of objects that are not marked yet. What has neither is no object.
    pub unmarked: u8,
    /// The colour of marked objects.
    pub marked: u8,
}

/// One marking of the heap.
pub struct Marker<'a, M> {
    /// Memory: objects, metadata, and the mark stack's growth.
    pub supply: &'a mut Supply<M>,
    /// The large objects, sorted if `interior_pointers`.
    pub large: &'a LargeObjects,
    /// The layouts that large objects have.
    pub layouts: &'a Layouts,
    /// The stack.
    pub stack: &'a mut MarkStack,
    /// The page map and the colours.
    pub near: Near,
    /// Whether a conservatively traced word may point inside an object.
    #[cfg(feature = "interior-pointers")]
    pub interior_pointers: bool,
    /// Whether an object was left out because the stack could not grow.
    pub overflowed: bool,
}

impl<M: Memory> Marker<'_, M> {
    /// Marks what a root names, and what that reaches. The stack is empty before
    /// and after, so the root itself always fits: an overflow only ever leaves out
    /// what a marked object refers to.
    #[inline(never)]
    pub fn mark_root(&mut self, address: Reference) {
        self.visit(address);
        self.drain();
    }

    /// Marks the object at an address, if there is an unmarked one.
    #[inline(never)]
    fn visit(&mut self, address: Reference) {
        let mut stack = *self.stack;
        self.visit_with(self.near, &mut stack, address);
        *self.stack = stack;
    }

    /// Marks the object that a word may name: its start, or, if that is asked
    /// for, any address in it.
    #[cfg(feature = "interior-pointers")]
    fn visit_conservatively(&mut self, word: u32) {
        if !self.interior_pointers {
            return self.visit(word);
        }
        let memory = &self.supply.memory;
        if self.near.map.is_block(memory, word) {
            if let Some(start) = metadata::start_of(memory, metadata::metadata_of(word)) {
                self.visit(metadata::granule_of(start));
            }
        } else if let Some(position) = self.large.find_inside(memory, word) {
            self.mark_large(position);
        }
    }

    #[cfg(not(feature = "interior-pointers"))]
    fn visit_conservatively(&mut self, word: u32) {
        self.visit(word);
    }

    /// After the roots: traces until nothing reachable is unmarked, then shrinks
    /// the stack.
    pub fn finish(&mut self, blocks: &Blocks) {
        while self.overflowed {
            self.overflowed = false;
            self.trace_marked_again(blocks);
        }
        self.stack.shrink(self.supply);
    }

    /// The heart of marking: one reference.
    #[inline(always)]
    fn visit_with(&mut self, near: Near, stack: &mut MarkStack, address: Reference) {
        let memory = &mut self.supply.memory;
        if !near.map.is_block(memory, address) {
            if address != 0 {
                self.visit_elsewhere(stack, address);
            }
            return;
        }
        if !address.is_multiple_of(GRANULE_BYTES) {
            return;
        }
        let start = metadata::metadata_of(address);
        let byte = memory.load_u8(start);
        if byte & near.unmarked == 0 {
            return;
        }
        if byte & TRACED != 0 {
            if !stack.has_room(1) && !stack.make_room(self.supply, 1) {
                self.overflowed = true;
                return;
            }
            stack.push(&mut self.supply.memory, address);
        }
        let memory = &mut self.supply.memory;
        memory.store_u8(start, byte ^ (near.unmarked | near.marked));
        near.map.note_marked(memory, address);
    }

    /// An address that lies in no block: a large object's, or nothing.
    #[cold]
    #[inline(never)]
    fn visit_elsewhere(&mut self, stack: &mut MarkStack, address: Reference) {
        *self.stack = *stack;
        if let Some(position) = self.large.find(&self.supply.memory, address) {
            self.mark_large(position);
        }
        *stack = *self.stack;
    }

    fn mark_large(&mut self, position: u32) {
        let memory = &mut self.supply.memory;
        if self.large.flags(memory, position) & self.near.unmarked == 0 {
            return;
        }
        if self.large.layout(memory, position) == LEAF {
            return self.large.set_colour(memory, position, self.near.marked);
        }
        if !self.stack.has_room(2) && !self.stack.make_room(self.supply, 2) {
            self.overflowed = true;
            return;
        }
        let memory = &mut self.supply.memory;
        self.large.set_colour(memory, position, self.near.marked);
        let address = self.large.address(memory, position);
        self.push_rest(address, 0);
    }

    /// Room for two words was made.
    fn push_rest(&mut self, address: Reference, next_word: u32) {
        self.stack.push(&mut self.supply.memory, next_word);
        self.stack.push(&mut self.supply.memory, address | 1);
    }

    /// Traces what is on the stack, and what that brings there.
    #[inline(never)]
    fn drain(&mut self) {
        let near = self.near;
        let mut stack = *self.stack;
        while let Some(entry) = stack.pop(&self.supply.memory) {
            if entry & 1 == 0 {
                self.trace_with(near, &mut stack, entry);
            } else if let Some(next_word) = stack.pop(&self.supply.memory) {
                *self.stack = stack;
                self.trace_large_piece(entry & !1, next_word);
                stack = *self.stack;
            }
        }
        *self.stack = stack;
    }

    /// Visits the references of an object in a block.
    #[inline(always)]
    fn trace_with(&mut self, near: Near, stack: &mut MarkStack, address: Reference) {
        let mut at = address;
        let mut metadata = metadata::metadata_of(address);
        let mut byte = self.supply.memory.load_u8(metadata);
        if byte & CONSERVATIVE != 0 {
            *self.stack = *stack;
            self.trace_conservatively(address, metadata);
            *stack = *self.stack;
            return;
        }
        loop {
            let mut slots = byte & (REFERENCE_0 | REFERENCE_1);
            let mut slot = at;
            while slots != 0 {
                if slots & REFERENCE_0 != 0 {
                    let reference = self.supply.memory.load_u32(slot);
                    self.visit_with(near, stack, reference);
                }
                // The bit of word 1 comes where that of word 0 was.
                slots = (slots & REFERENCE_1) >> 1;
                slot += WORD_BYTES;
            }
            if byte & END != 0 {
                return;
            }
            at += GRANULE_BYTES;
            metadata += 1;
            byte = self.supply.memory.load_u8(metadata);
        }
    }

    #[cold]
    fn trace_conservatively(&mut self, address: Reference, start: u32) {
        let size_bytes = metadata::object_size(&self.supply.memory, start);
        for offset in (0..size_bytes).step_by(WORD_BYTES as usize) {
            let word = self.supply.memory.load_u32(address + offset);
            self.visit_conservatively(word);
        }
    }

    /// Traces some words of a large object, and puts the rest back first: room
    /// for that is where its entry just was.
    fn trace_large_piece(&mut self, address: Reference, from_word: u32) {
        let memory = &self.supply.memory;
        let Some(position) = self.large.find(memory, address) else {
            return;
        };
        let words = self.large.size(memory, position) / WORD_BYTES;
        let to_word = words.min(from_word + PIECE_WORDS);
        if to_word < words {
            self.push_rest(address, to_word);
        }
        self.trace_large_words(position, address, from_word, to_word);
    }

    fn trace_large_words(&mut self, position: u32, address: Reference, from: u32, to: u32) {
        let memory = &self.supply.memory;
        let layout = self.large.layout(memory, position);
        if layout == CONSERVATIVE_LAYOUT {
            for index in from..to {
                let word = self.supply.memory.load_u32(address + index * WORD_BYTES);
                self.visit_conservatively(word);
            }
            return;
        }
        let Ok(shape) = self.layouts.shape(memory, layout) else {
            return;
        };
        for index in from..to {
            if shape.is_reference(index) {
                let reference = self.supply.memory.load_u32(address + index * WORD_BYTES);
                self.visit(reference);
            }
        }
    }

    /// After an overflow: traces every marked object again, one at a time. The
    /// stack is empty before each, so there is room for it.
    #[cold]
    fn trace_marked_again(&mut self, blocks: &Blocks) {
        for index in 0..blocks.count() {
            let block = blocks.block(&self.supply.memory, index);
            let end = metadata::metadata_end(block);
            let mut at = metadata::first_metadata(block);
            loop {
                at = metadata::find(&self.supply.memory, at, end, self.near.marked);
                if at == end {
                    break;
                }
                if self.supply.memory.load_u8(at) & TRACED != 0 {
                    self.stack.push(&mut self.supply.memory, metadata::granule_of(at));
                    self.drain();
                }
                at += 1;
            }
        }
        for position in 0..self.large.count() {
            let memory = &self.supply.memory;
            let marked = self.large.flags(memory, position) & self.near.marked != 0;
            if marked && self.large.layout(memory, position) != LEAF {
                self.push_rest(self.large.address(memory, position), 0);
                self.drain();
            }
        }
    }
}
