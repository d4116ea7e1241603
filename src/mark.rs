//! Marking: gives every reachable object the new colour.
//!
//! Depth-first over an explicit stack of objects whose references are still to be
//! visited. Leaves are marked and never looked at. Of a large object one word is
//! visited at a time (of a conservative one, 64), and what that brings is traced
//! before the next, so that an array does not fill the stack.
//!
//! The stack grows when it is full. When that is refused, an object that does not fit is
//! marked all the same and noted as *untraced*: by a bit in the first KiB of its block,
//! which describes the block's own metadata and is zero otherwise, or by a flag in the
//! table of large objects. Once the stack is empty, the untraced objects are found by
//! these bits and traced. So nothing live is dropped and hardly anything is traced
//! twice, whatever the heap's shape ([handbook §2.2] has what others do).
//!
//! Invariants: an object on the stack is marked and has something to trace; a marked
//! object's references are marked, or it is on the stack, being traced, or untraced; after
//! marking no object is untraced, and the bits are zero again.

#[cfg(test)]
mod tests;

use crate::blocks::PageMap;
use crate::large::LargeObjects;
use crate::layout::{LEAF, LayoutId, Layouts};
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::metadata::{self, END, LAST_REFERENCES, REFERENCE_0, REFERENCE_1};
use crate::region::Region;
use crate::units::{BLOCK_SHIFT, GRANULE_BYTES, Reference, WORD_BYTES};

/// Bytes of the mark stack that a heap always has: 2,048 objects. In the tests inside the
/// crate there is room for 64, so that few objects are too many.
const LEAST_STACK_BYTES: u32 = if cfg!(test) { 256 } else { 8 * 1024 };
/// Bytes of a large conservative object that are visited before others get their turn.
const CONSERVATIVE_BYTES: u32 = 256;

/// The mark stack, empty between collections.
///
/// An entry is an object's address, or, for a large object, two words: the address to
/// go on at, then its position in the table, doubled, with bit 0 set. The entry of the
/// large object that is *open*, being traced, stays where it is until its last word is
/// visited; above it is what the object's words have brought.
///
/// The object to be traced next is kept out of it: along a list nothing is pushed
/// and popped.
#[derive(Clone, Copy, Debug)]
pub struct MarkStack {
    words: Region,
    length: u32,
    /// How many words the open large object's entry and what is below it take; 0 where
    /// none is open.
    floor: u32,
    rest: Rest,
    /// An object in a block, marked and to be traced; or 0.
    next: Reference,
}

impl MarkStack {
    /// A stack that has no memory yet.
    pub const fn new() -> Self {
        MarkStack { words: Region::EMPTY, length: 0, floor: 0, rest: Rest::NOTHING, next: 0 }
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

    fn word<M: Memory>(&self, memory: &M, index: u32) -> u32 {
        memory.load_u32(self.words.address + index * WORD_BYTES)
    }

    fn set_word<M: Memory>(&self, memory: &mut M, index: u32, word: u32) {
        memory.store_u32(self.words.address + index * WORD_BYTES, word);
    }

    /// The stack as addresses.
    #[inline(always)]
    fn hot(&self) -> Hot {
        let base = self.words.address;
        Hot {
            floor: base + self.floor * WORD_BYTES,
            top: base + self.length * WORD_BYTES,
            end: base + (self.words.size_bytes & !(WORD_BYTES - 1)),
            next: self.next,
        }
    }

    /// Takes back what became of it.
    #[inline(always)]
    fn cool(&mut self, hot: Hot) {
        self.length = (hot.top - self.words.address) / WORD_BYTES;
        self.next = hot.next;
    }

    /// Goes back to the least size.
    fn shrink<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.words.shorten(supply, LEAST_STACK_BYTES);
    }

    /// Gives the memory back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.words.release(supply);
    }
}

/// What the inner loop of marking needs for each reference. It is passed by value,
/// and so is [`Hot`], and neither to a function that is not inlined: so both stay in
/// locals. A store to memory could otherwise have changed them, for all that the
/// compiler knows.
#[derive(Clone, Copy, Debug)]
pub struct Near {
    /// Which pages are blocks.
    pub map: PageMap,
    /// The colour of objects that are not marked yet. What has neither is no object.
    pub unmarked: u8,
    /// The colour of marked objects.
    pub marked: u8,
}

/// The mark stack as the inner loop has it: addresses.
#[derive(Clone, Copy, Debug)]
struct Hot {
    floor: u32,
    top: u32,
    end: u32,
    next: Reference,
}

/// What is left of the open large object: its words in `at..end`, behind which none is a
/// reference; those from `all_from` on all are.
#[derive(Clone, Copy, Debug)]
struct Rest {
    at: u32,
    end: u32,
    all_from: u32,
    address: Reference,
    layout: LayoutId,
}

impl Rest {
    const NOTHING: Rest = Rest { at: 0, end: 0, all_from: 0, address: 0, layout: LEAF };

    /// Whether what comes next is a reference, for all that is known without a look at
    /// the layout, and not the last word.
    #[inline(always)]
    fn is_reference_next(&self) -> bool {
        self.at >= self.all_from && self.end - self.at > WORD_BYTES
    }
}

/// One marking of the heap.
pub struct Marker<'a, M> {
    /// Memory: objects, metadata, and the mark stack's growth.
    pub supply: &'a mut Supply<M>,
    /// The large objects, sorted where words may point inside them: with
    /// `interior_pointers`, and where there are root ranges.
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
    /// What did not fit on the stack.
    pub untraced: Untraced,
}

/// Where the untraced objects are.
#[derive(Clone, Copy, Debug)]
pub struct Untraced {
    /// Whether the stack was refused memory: it is not asked for again.
    refused: bool,
    /// The pages with untraced objects lie between these two, and so do their positions in the
    /// table of large objects: the first, and the one behind the last.
    pages: (u32, u32),
    positions: (u32, u32),
}

impl Untraced {
    const NOWHERE: (u32, u32) = (u32::MAX, 0);
    /// No object is untraced.
    pub const NONE: Untraced =
        Untraced { refused: false, pages: Self::NOWHERE, positions: Self::NOWHERE };

    fn note(bounds: &mut (u32, u32), at: u32) {
        *bounds = (bounds.0.min(at), bounds.1.max(at + 1));
    }
}

impl<M: Memory> Marker<'_, M> {
    /// Marks what a root names, and what that reaches. The stack is empty before
    /// and after.
    #[inline(never)]
    pub fn mark_root(&mut self, address: Reference) {
        self.visit(address);
        self.drain();
    }

    /// Marks what a word names that an operation is about to store: as the object that
    /// it is stored in would, which may be a conservative one.
    #[inline(always)]
    pub fn mark_word(&mut self, word: u32) {
        #[cfg(feature = "interior-pointers")]
        if self.interior_pointers {
            self.visit_inside(word);
            return self.drain();
        }
        self.mark_root(word);
    }

    /// Marks the object at an address, if there is an unmarked one; with all that the
    /// inner loop leaves to others.
    #[inline(never)]
    fn visit(&mut self, address: Reference) {
        if !self.near.map.is_block(&self.supply.memory, address) {
            // A tag is no part of the address of a large object either.
            let address = address & !(GRANULE_BYTES - 1);
            if let Some(position) = self.large.find(&self.supply.memory, address) {
                self.mark_large(position);
            }
            return;
        }
        let has_room = self.make_room(1);
        let (hot, done) = self.visit_in_block(self.near, self.stack.hot(), 0, address);
        self.stack.cool(hot);
        if !done {
            debug_assert!(!has_room, "what has room is put on the stack");
            self.mark_untraced(address & !(GRANULE_BYTES - 1));
        }
    }

    /// Makes sure of `count` free words of the stack, if memory was not refused before.
    fn make_room(&mut self, count: u32) -> bool {
        if self.stack.has_room(count) {
            return true;
        }
        let has_room = !self.untraced.refused && self.stack.make_room(self.supply, count);
        self.untraced.refused = !has_room;
        has_room
    }

    /// Marks an object in a block, and notes that it is untraced.
    #[cold]
    fn mark_untraced(&mut self, address: Reference) {
        let memory = &mut self.supply.memory;
        let start = metadata::metadata_of(address);
        let byte = memory.load_u8(start) ^ (self.near.unmarked | self.near.marked);
        memory.store_u8(start, byte);
        self.near.map.note_marked(memory, address);
        metadata::note_untraced(memory, start);
        Untraced::note(&mut self.untraced.pages, address >> BLOCK_SHIFT);
    }

    /// Marks the object that a word may name: its start, or, if that is asked
    /// for, any address in it.
    #[cfg(feature = "interior-pointers")]
    fn visit_conservatively(&mut self, word: u32) {
        if !self.interior_pointers {
            return self.visit(word);
        }
        self.visit_inside(word);
    }

    /// Marks the object that an address lies in, if it is in one.
    #[cfg(feature = "interior-pointers")]
    fn visit_inside(&mut self, word: u32) {
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

    /// Marks what the words of a range point to or into, and what that reaches.
    #[cfg(feature = "interior-pointers")]
    pub fn mark_range(&mut self, from: u32, to: u32) {
        let mut at = from;
        while at < to && to - at >= WORD_BYTES {
            let word = self.supply.memory.load_u32(at);
            self.visit_inside(word);
            self.drain();
            at += WORD_BYTES;
        }
    }

    /// After the roots: traces until nothing is untraced, then shrinks the stack.
    pub fn finish(&mut self) {
        while self.untraced.pages != Untraced::NOWHERE
            || self.untraced.positions != Untraced::NOWHERE
        {
            self.trace_untraced();
        }
        self.stack.shrink(self.supply);
    }

    /// One reference. Calls nothing, except where there is no more to be done in line.
    #[inline(always)]
    fn visit_with(&mut self, near: Near, hot: Hot, from: Reference, address: Reference) -> Hot {
        let (visited, done) = self.visit_in_block(near, hot, from, address);
        if done {
            return visited;
        }
        self.stack.cool(hot);
        self.visit(address);
        self.stack.hot()
    }

    /// The heart of marking. Whether it was all that is to be done: an address may lie
    /// in no block, and be a large object's, and the stack may be full.
    #[inline(always)]
    fn visit_in_block(
        &mut self,
        near: Near,
        mut hot: Hot,
        from: Reference,
        address: Reference,
    ) -> (Hot, bool) {
        let memory = &mut self.supply.memory;
        if address == 0 {
            return (hot, true);
        }
        if !near.map.is_block(memory, address) {
            return (hot, false);
        }
        // A word that points into an object's first granule counts as its address.
        let address = address & !(GRANULE_BYTES - 1);
        let start = metadata::metadata_of(address);
        let byte = memory.load_u8(start);
        if byte & near.unmarked == 0 {
            return (hot, true);
        }
        if metadata::is_traced(byte) {
            if hot.next != 0 {
                if hot.top == hot.end {
                    return (hot, false);
                }
                // The nearer of the two comes next, the other has to wait: the first
                // above `from`, the last below it.
                let nearer = (address < from) != (address < hot.next);
                let other = if nearer { hot.next } else { address };
                memory.store_u32(hot.top, other);
                hot.top += WORD_BYTES;
                hot.next = if nearer { address } else { hot.next };
            } else {
                hot.next = address;
            }
        }
        memory.store_u8(start, byte ^ (near.unmarked | near.marked));
        near.map.note_marked(memory, address);
        (hot, true)
    }

    fn mark_large(&mut self, position: u32) {
        let memory = &mut self.supply.memory;
        if self.large.flags(memory, position) & self.near.unmarked == 0 {
            return;
        }
        if self.large.layout(memory, position) == LEAF {
            return self.large.set_colour(memory, position, self.near.marked);
        }
        let has_room = self.make_room(2);
        let memory = &mut self.supply.memory;
        self.large.set_colour(memory, position, self.near.marked);
        if has_room {
            return self.push_large(position);
        }
        self.large.set_untraced(memory, position, true);
        Untraced::note(&mut self.untraced.positions, position);
    }

    /// Puts a large object on the stack, to be traced from its first word on. Room for
    /// two words was made.
    fn push_large(&mut self, position: u32) {
        let memory = &mut self.supply.memory;
        let length = self.stack.length;
        self.stack.length += 2;
        self.stack.set_word(memory, length, self.large.address(memory, position));
        self.stack.set_word(memory, length + 1, position << 1 | 1);
    }

    /// Traces what is on the stack, and what that brings there.
    #[inline(never)]
    fn drain(&mut self) {
        let near = self.near;
        let mut hot = self.stack.hot();
        loop {
            let mut object = hot.next;
            hot.next = 0;
            if object == 0 {
                if hot.top != hot.floor {
                    let word = self.supply.memory.load_u32(hot.top - WORD_BYTES);
                    if word & 1 == 0 {
                        hot.top -= WORD_BYTES;
                        object = word;
                    }
                } else if self.stack.rest.is_reference_next() {
                    let at = self.stack.rest.at;
                    self.stack.rest.at += WORD_BYTES;
                    let reference = self.supply.memory.load_u32(at);
                    hot = self.visit_with(near, hot, at, reference);
                    continue;
                }
                if object == 0 {
                    self.stack.cool(hot);
                    if !self.go_on_with_large() {
                        return;
                    }
                    hot = self.stack.hot();
                    continue;
                }
            }
            hot = self.trace_with(near, hot, object);
        }
    }

    /// Visits the references of an object in a block.
    #[inline(always)]
    fn trace_with(&mut self, near: Near, mut hot: Hot, address: Reference) -> Hot {
        let mut at = address;
        let mut metadata = metadata::metadata_of(address);
        let mut byte = self.supply.memory.load_u8(metadata);
        if metadata::is_conservative(byte) {
            self.stack.cool(hot);
            self.trace_conservatively(address, metadata);
            return self.stack.hot();
        }
        loop {
            if byte & REFERENCE_0 != 0 {
                let reference = self.supply.memory.load_u32(at);
                hot = self.visit_with(near, hot, address, reference);
            }
            if byte & REFERENCE_1 != 0 {
                let reference = self.supply.memory.load_u32(at + WORD_BYTES);
                hot = self.visit_with(near, hot, address, reference);
            }
            if byte & (END | LAST_REFERENCES) != 0 {
                return hot;
            }
            at += GRANULE_BYTES;
            metadata += 1;
            byte = self.supply.memory.load_u8(metadata);
        }
    }

    #[cold]
    #[inline(never)]
    fn trace_conservatively(&mut self, address: Reference, start: u32) {
        let size_bytes = metadata::object_size(&self.supply.memory, start);
        self.visit_words(address, address + size_bytes);
    }

    /// Visits what words name that may be references.
    #[inline(never)]
    fn visit_words(&mut self, from: u32, to: u32) {
        let mut at = from;
        while at < to {
            let word = self.supply.memory.load_u32(at);
            self.visit_conservatively(word);
            at += WORD_BYTES;
        }
    }

    /// Opens the large object whose entry is the last of the stack. Where another is
    /// open, its entry takes the word that it is to go on with.
    fn open_large(&mut self) {
        let memory = &mut self.supply.memory;
        let stack = &mut *self.stack;
        if stack.floor != 0 {
            stack.set_word(memory, stack.floor - 2, stack.rest.at);
        }
        let length = stack.length;
        stack.floor = length;
        let position = stack.word(memory, length - 1) >> 1;
        let address = self.large.address(memory, position);
        let layout = self.large.layout(memory, position);
        let mut size_bytes = self.large.size(memory, position);
        let mut all_from = u32::MAX;
        if let Ok(shape) = self.layouts.shape(memory, layout) {
            all_from = address.saturating_add(shape.all_references_from() * WORD_BYTES);
            size_bytes = size_bytes.min((shape.last_references() + 1) * GRANULE_BYTES);
        }
        let at = stack.word(memory, length - 2);
        stack.rest = Rest { at, end: address + size_bytes, all_from, address, layout };
    }

    /// Opens the large object whose entry is the last of the stack; or visits a reference
    /// of the open one, or some words of a conservative one; or closes it. Whether there
    /// was any of that to be done.
    #[cold]
    #[inline(never)]
    fn go_on_with_large(&mut self) -> bool {
        if self.stack.length > self.stack.floor {
            self.open_large();
            return true;
        }
        if self.stack.floor == 0 {
            return false;
        }
        let Rest { mut at, end, address, layout, .. } = self.stack.rest;
        let Ok(shape) = self.layouts.shape(&self.supply.memory, layout) else {
            // Conservative.
            let to = end.min(at + CONSERVATIVE_BYTES);
            self.go_on_at(to);
            self.visit_words(at, to);
            return true;
        };
        while at < end && !shape.is_reference((at - address) / WORD_BYTES) {
            at += WORD_BYTES;
        }
        if at == end {
            self.go_on_at(end);
            return true;
        }
        self.go_on_at(at + WORD_BYTES);
        let reference = self.supply.memory.load_u32(at);
        self.visit(reference);
        true
    }

    /// Goes on with the open large object at an address; or closes it, where that is its
    /// end: what its last word brings needs none of its entry, so objects chained by their
    /// last words take no more of the stack than one.
    fn go_on_at(&mut self, at: u32) {
        self.stack.rest.at = at;
        if at == self.stack.rest.end {
            self.stack.length = self.stack.floor - 2;
            self.stack.floor = 0;
        }
    }

    /// Traces the untraced objects, one at a time: the stack is empty before each. Where
    /// others become untraced meanwhile, they are traced now or the next time.
    #[cold]
    fn trace_untraced(&mut self) {
        let Untraced { pages, positions, .. } = self.untraced;
        self.untraced.pages = Untraced::NOWHERE;
        self.untraced.positions = Untraced::NOWHERE;
        for page in pages.0..pages.1 {
            let block = page << BLOCK_SHIFT;
            if self.near.map.is_block(&self.supply.memory, block) {
                self.trace_untraced_in(block);
            }
        }
        for position in positions.0..positions.1 {
            let memory = &mut self.supply.memory;
            if self.large.is_untraced(memory, position) {
                self.large.set_untraced(memory, position, false);
                self.push_large(position);
                self.drain();
            }
        }
    }

    fn trace_untraced_in(&mut self, block: u32) {
        let mut at = block;
        while let Some((noted, granules)) =
            metadata::take_untraced(&mut self.supply.memory, block, at)
        {
            at = noted;
            for start in granules {
                let byte = self.supply.memory.load_u8(start);
                if byte & self.near.marked != 0 && metadata::is_traced(byte) {
                    self.stack.next = metadata::granule_of(start);
                    self.drain();
                }
            }
        }
    }
}
