//! Marking: gives every reachable object the new colour.
//!
//! Marking goes depth-first, over an explicit stack of objects whose references are still to be
//! visited. A leaf is marked and not looked at. Of a large object one word is visited at a time (of
//! a conservative one 64), and the objects that this brings are traced before the next word. So an
//! array does not fill the stack.
//!
//! A full stack grows. If memory refuses that, an object that does not fit is marked and noted as
//! *untraced*: by a bit in the first KiB of its block, or by a flag in the table of large objects.
//! (The first KiB describes the block's own metadata, and is zero at other times.) Once the stack
//! is empty, the untraced objects are found by these bits and traced. So every live object is
//! marked, and hardly any is traced twice, whatever the heap's shape. [handbook §2.2] describes how
//! others handle a full stack.
//!
//! Invariants:
//! 1. An object on the stack is marked, and has something to trace.
//! 2. If an object is marked, its references are marked, or the object is on the stack, being
//!    traced, or untraced.
//! 3. After marking no object is untraced, and the notes are zero again.

#[cfg(test)]
mod tests;

use crate::blocks::PageMap;
use crate::buffer::Buffer;
use crate::large::LargeObjects;
use crate::layout::{LEAF, LayoutId, Layouts};
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::metadata::{self, END, LAST_REFERENCES, REFERENCE_0, REFERENCE_1};
use crate::units::{BLOCK_SHIFT, GRANULE_BYTES, Reference, WORD_BYTES};

/// Bytes of the mark stack that a heap always has: room for 2,048 objects. The tests inside the
/// crate have room for 64, so that a few objects overflow it.
const LEAST_STACK_BYTES: u32 = if cfg!(test) { 256 } else { 8 * 1024 };
/// Bytes of a large conservative object that are visited at a time.
const CONSERVATIVE_BYTES: u32 = 256;

/// The mark stack, which is empty between collections.
///
/// The entry of an object in a block is its address. The entry of a large object is two words: the
/// address to go on at, then the object's position in the table, doubled, with bit 0 set. The large
/// object that is being traced is *open*. Its entry stays on the stack until its last word is
/// visited, and above the entry are the objects that its words have brought.
///
/// The object to trace next is kept outside the stack, in `next`. So along a list nothing is pushed
/// and popped.
#[derive(Clone, Copy, Debug)]
pub struct MarkStack {
    words: Buffer,
    length: u32,
    /// How many words of the stack the open large object's entry takes, with everything below it; 0
    /// if none is open.
    floor: u32,
    open_large: OpenLarge,
    /// An object in a block that is marked and to be traced next, or 0.
    next: Reference,
}

impl MarkStack {
    /// Makes a stack that has no memory yet.
    pub const fn new() -> Self {
        MarkStack {
            words: Buffer::EMPTY,
            length: 0,
            floor: 0,
            open_large: OpenLarge::NONE,
            next: 0,
        }
    }

    /// Takes the least memory. False if memory is refused.
    #[must_use]
    pub fn take_memory<M: Memory>(&mut self, supply: &mut Supply<M>) -> bool {
        self.words.reserve(supply, LEAST_STACK_BYTES)
    }

    /// Returns the bytes that the stack takes.
    pub fn size_bytes(&self) -> u32 {
        self.words.size_bytes
    }

    /// Returns true if `count` words are free.
    #[inline(always)]
    fn has_room(&self, count: u32) -> bool {
        (self.length + count) * WORD_BYTES <= self.words.size_bytes
    }

    /// Makes sure of `count` free words. Grows by at least an eighth: a stack that grew word by
    /// word would be copied each time.
    fn make_room<M: Memory>(&mut self, supply: &mut Supply<M>, count: u32) -> bool {
        self.words.reserve(supply, (self.length + self.length / 8 + count) * WORD_BYTES)
    }

    fn word<M: Memory>(&self, memory: &M, index: u32) -> u32 {
        memory.load_u32(self.words.address + index * WORD_BYTES)
    }

    fn set_word<M: Memory>(&self, memory: &mut M, index: u32, word: u32) {
        memory.store_u32(self.words.address + index * WORD_BYTES, word);
    }

    /// Returns the stack's state as addresses.
    #[inline(always)]
    fn cursor(&self) -> Cursor {
        let base = self.words.address;
        Cursor {
            floor: base + self.floor * WORD_BYTES,
            top: base + self.length * WORD_BYTES,
            end: base + (self.words.size_bytes & !(WORD_BYTES - 1)),
            next: self.next,
        }
    }

    /// Takes over what the inner loop made of the cursor.
    #[inline(always)]
    fn take_back(&mut self, cursor: Cursor) {
        self.length = (cursor.top - self.words.address) / WORD_BYTES;
        self.next = cursor.next;
    }

    /// Gives all memory back but the least.
    fn shrink_to_least<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.words.shrink_to(supply, LEAST_STACK_BYTES);
    }

    /// Gives the memory back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.words.release(supply);
    }
}

/// The page map and the colours: what the inner loop of marking looks up for each reference.
///
/// `Marking` and [`Cursor`] are passed by value, and only to functions that are inlined, so both
/// stay in locals. Otherwise the compiler must assume that a store to memory has changed them.
#[derive(Clone, Copy, Debug)]
pub struct Marking {
    /// Which pages are blocks.
    pub map: PageMap,
    /// The colour of objects that are not marked yet. A byte with neither colour is not the start
    /// of an object.
    pub unmarked: u8,
    /// The colour of marked objects.
    pub marked: u8,
}

/// The mark stack in the inner loop, as addresses.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// The end of the open large object's entry, or the stack's beginning.
    floor: u32,
    /// The end of the last entry.
    top: u32,
    /// The end of the stack's memory.
    end: u32,
    /// An object in a block that is marked and to be traced next, or 0.
    next: Reference,
}

/// What is left to visit of the open large object.
#[derive(Clone, Copy, Debug)]
struct OpenLarge {
    /// The word to visit next.
    at: u32,
    /// No word from here on is a reference.
    end: u32,
    /// Every word from here on is a reference.
    all_references_from: u32,
    address: Reference,
    layout: LayoutId,
}

impl OpenLarge {
    const NONE: OpenLarge =
        OpenLarge { at: 0, end: 0, all_references_from: 0, address: 0, layout: LEAF };

    /// Returns true if the next word is known to be a reference without a look at the layout, and
    /// is not the last word.
    #[inline(always)]
    fn is_reference_next(&self) -> bool {
        self.at >= self.all_references_from && self.end - self.at > WORD_BYTES
    }
}

/// One marking of the heap.
pub struct Marker<'a, M> {
    /// Memory: objects, metadata, and the mark stack's growth.
    pub supply: &'a mut Supply<M>,
    /// The large objects. They are sorted by address if a word may point inside one: with
    /// `interior_pointers`, and with root ranges.
    pub large: &'a LargeObjects,
    /// The layouts of large objects.
    pub layouts: &'a Layouts,
    /// The mark stack.
    pub stack: &'a mut MarkStack,
    /// The page map and the colours.
    pub marking: Marking,
    /// Whether a conservatively traced word may point inside an object.
    pub interior_pointers: bool,
    /// Where the objects are that did not fit on the stack.
    pub untraced: Untraced,
}

/// Where to look for untraced objects.
#[derive(Clone, Copy, Debug)]
pub struct Untraced {
    /// Whether memory refused to let the stack grow. The stack then does not ask again in this
    /// collection.
    growth_refused: bool,
    /// The pages with untraced objects lie between these two: the first, and the one behind the
    /// last.
    pages: (u32, u32),
    /// The positions of untraced large objects in their table: the first, and the one behind the
    /// last.
    positions: (u32, u32),
}

impl Untraced {
    const NOWHERE: (u32, u32) = (u32::MAX, 0);
    /// No object is untraced.
    pub const NONE: Untraced =
        Untraced { growth_refused: false, pages: Self::NOWHERE, positions: Self::NOWHERE };

    fn note(bounds: &mut (u32, u32), at: u32) {
        *bounds = (bounds.0.min(at), bounds.1.max(at + 1));
    }
}

impl<M: Memory> Marker<'_, M> {
    /// Marks the object that a root names, and everything that it reaches. The stack is empty
    /// before and after.
    pub fn mark_root(&mut self, address: Reference) {
        self.visit(address);
        self.drain();
    }

    /// Marks the object named by a word that an operation is about to store, and everything that
    /// the object reaches. With `interior_pointers` the word may point anywhere into the object,
    /// because the word may be stored in a conservative object.
    #[inline(always)]
    pub fn mark_word(&mut self, word: u32) {
        if self.interior_pointers {
            self.visit_interior(word);
            return self.drain();
        }
        self.mark_root(word);
    }

    /// Marks the object that an address names, if it is not marked. This covers the cases that the
    /// inner loop leaves out: large objects, and a full stack.
    fn visit(&mut self, address: Reference) {
        if !self.marking.map.is_block(&self.supply.memory, address) {
            // The low bits may be a tag, as in a reference to an object in a block.
            let address = address & !(GRANULE_BYTES - 1);
            if let Some(position) = self.large.find(&self.supply.memory, address) {
                self.mark_large(position);
            }
            return;
        }
        let has_room = self.make_room(1);
        let (cursor, done) = self.visit_in_block(self.marking, self.stack.cursor(), 0, address);
        self.stack.take_back(cursor);
        if !done {
            debug_assert!(!has_room, "what has room is put on the stack");
            self.mark_untraced(address & !(GRANULE_BYTES - 1));
        }
    }

    /// Makes sure of `count` free words on the stack. False if memory is refused, now or before in
    /// this collection.
    fn make_room(&mut self, count: u32) -> bool {
        if self.stack.has_room(count) {
            return true;
        }
        let has_room = !self.untraced.growth_refused && self.stack.make_room(self.supply, count);
        self.untraced.growth_refused = !has_room;
        has_room
    }

    /// Marks an object in a block, and notes it as untraced.
    #[cold]
    fn mark_untraced(&mut self, address: Reference) {
        let memory = &mut self.supply.memory;
        let start = metadata::metadata_of(address);
        let byte = memory.load_u8(start) ^ (self.marking.unmarked | self.marking.marked);
        memory.store_u8(start, byte);
        self.marking.map.note_marked(memory, address);
        metadata::note_untraced(memory, start);
        Untraced::note(&mut self.untraced.pages, address >> BLOCK_SHIFT);
    }

    /// Marks the object that a word may name: an object that starts there or, with
    /// `interior_pointers`, one that the word points into.
    fn visit_conservatively(&mut self, word: u32) {
        if !self.interior_pointers {
            return self.visit(word);
        }
        self.visit_interior(word);
    }

    /// Marks the object that an address lies in, if there is one.
    fn visit_interior(&mut self, word: u32) {
        let memory = &self.supply.memory;
        if self.marking.map.is_block(memory, word) {
            if let Some(start) = metadata::start_of(memory, metadata::metadata_of(word)) {
                self.visit(metadata::granule_of(start));
            }
        } else if let Some(position) = self.large.find_interior(memory, word) {
            self.mark_large(position);
        }
    }

    /// Marks the objects that the words of a range point to or into, and everything that they
    /// reach.
    pub fn mark_range(&mut self, from: u32, to: u32) {
        let mut at = from;
        while at < to && to - at >= WORD_BYTES {
            let word = self.supply.memory.load_u32(at);
            self.visit_interior(word);
            self.drain();
            at += WORD_BYTES;
        }
    }

    /// Ends the marking, after the roots: traces untraced objects until there are none, then gives
    /// back what the stack took.
    pub fn finish(&mut self) {
        while self.untraced.pages != Untraced::NOWHERE
            || self.untraced.positions != Untraced::NOWHERE
        {
            self.trace_untraced();
        }
        self.stack.shrink_to_least(self.supply);
    }

    /// Marks the object that a reference names. Calls a function only if the object is large or the
    /// stack is full.
    #[inline(always)]
    fn visit_reference(
        &mut self,
        marking: Marking,
        cursor: Cursor,
        from: Reference,
        address: Reference,
    ) -> Cursor {
        let (visited, done) = self.visit_in_block(marking, cursor, from, address);
        if done {
            return visited;
        }
        self.stack.take_back(cursor);
        self.visit(address);
        self.stack.cursor()
    }

    /// Marks the object that a reference names, if it is in a block, and keeps it to be traced.
    /// This is the heart of marking. Returns false, with nothing changed, if more is to be done:
    /// the address lies in no block and may be a large object's, or the stack is full.
    #[inline(always)]
    fn visit_in_block(
        &mut self,
        marking: Marking,
        mut cursor: Cursor,
        from: Reference,
        address: Reference,
    ) -> (Cursor, bool) {
        let memory = &mut self.supply.memory;
        if address == 0 {
            return (cursor, true);
        }
        if !marking.map.is_block(memory, address) {
            return (cursor, false);
        }
        // The low bits may be a tag.
        let address = address & !(GRANULE_BYTES - 1);
        let start = metadata::metadata_of(address);
        let byte = memory.load_u8(start);
        if byte & marking.unmarked == 0 {
            return (cursor, true);
        }
        if metadata::is_traced(byte) {
            if cursor.next != 0 {
                if cursor.top == cursor.end {
                    return (cursor, false);
                }
                // The object nearer to `from` comes next, and the other one waits on the stack:
                // above `from` the lower address is nearer, below it the higher.
                let nearer = (address < from) != (address < cursor.next);
                let other = if nearer { cursor.next } else { address };
                memory.store_u32(cursor.top, other);
                cursor.top += WORD_BYTES;
                cursor.next = if nearer { address } else { cursor.next };
            } else {
                cursor.next = address;
            }
        }
        memory.store_u8(start, byte ^ (marking.unmarked | marking.marked));
        marking.map.note_marked(memory, address);
        (cursor, true)
    }

    /// Marks a large object and puts it on the stack, unless it is marked already.
    fn mark_large(&mut self, position: u32) {
        let memory = &mut self.supply.memory;
        if self.large.flags(memory, position) & self.marking.unmarked == 0 {
            return;
        }
        if self.large.layout(memory, position) == LEAF {
            return self.large.set_colour(memory, position, self.marking.marked);
        }
        let has_room = self.make_room(2);
        let memory = &mut self.supply.memory;
        self.large.set_colour(memory, position, self.marking.marked);
        if has_room {
            return self.push_large(position);
        }
        self.large.set_untraced(memory, position, true);
        Untraced::note(&mut self.untraced.positions, position);
    }

    /// Puts a large object on the stack, to be traced from its first word on. Room for two words
    /// was made.
    fn push_large(&mut self, position: u32) {
        let memory = &mut self.supply.memory;
        let length = self.stack.length;
        self.stack.length += 2;
        self.stack.set_word(memory, length, self.large.address(memory, position));
        self.stack.set_word(memory, length + 1, position << 1 | 1);
    }

    /// Traces the objects on the stack, and those that they bring there, until it is empty.
    fn drain(&mut self) {
        let marking = self.marking;
        let mut cursor = self.stack.cursor();
        loop {
            let mut object = cursor.next;
            cursor.next = 0;
            if object == 0 {
                if cursor.top != cursor.floor {
                    let word = self.supply.memory.load_u32(cursor.top - WORD_BYTES);
                    if word & 1 == 0 {
                        cursor.top -= WORD_BYTES;
                        object = word;
                    }
                } else if self.stack.open_large.is_reference_next() {
                    let at = self.stack.open_large.at;
                    self.stack.open_large.at += WORD_BYTES;
                    let reference = self.supply.memory.load_u32(at);
                    cursor = self.visit_reference(marking, cursor, at, reference);
                    continue;
                }
                if object == 0 {
                    self.stack.take_back(cursor);
                    if !self.advance_large() {
                        return;
                    }
                    cursor = self.stack.cursor();
                    continue;
                }
            }
            cursor = self.trace_in_block(marking, cursor, object);
        }
    }

    /// Visits the references of an object in a block.
    #[inline(always)]
    fn trace_in_block(
        &mut self,
        marking: Marking,
        mut cursor: Cursor,
        address: Reference,
    ) -> Cursor {
        let mut at = address;
        let mut metadata = metadata::metadata_of(address);
        let mut byte = self.supply.memory.load_u8(metadata);
        if metadata::is_conservative(byte) {
            self.stack.take_back(cursor);
            self.trace_conservatively(address, metadata);
            return self.stack.cursor();
        }
        loop {
            if byte & REFERENCE_0 != 0 {
                let reference = self.supply.memory.load_u32(at);
                cursor = self.visit_reference(marking, cursor, address, reference);
            }
            if byte & REFERENCE_1 != 0 {
                let reference = self.supply.memory.load_u32(at + WORD_BYTES);
                cursor = self.visit_reference(marking, cursor, address, reference);
            }
            if byte & (END | LAST_REFERENCES) != 0 {
                return cursor;
            }
            at += GRANULE_BYTES;
            metadata += 1;
            byte = self.supply.memory.load_u8(metadata);
        }
    }

    /// Visits the words of a conservative object in a block.
    #[cold]
    fn trace_conservatively(&mut self, address: Reference, start: u32) {
        let size_bytes = metadata::object_size(&self.supply.memory, start);
        self.visit_words(address, address + size_bytes);
    }

    /// Visits the objects that the words of a range may name.
    fn visit_words(&mut self, from: u32, to: u32) {
        let mut at = from;
        while at < to {
            let word = self.supply.memory.load_u32(at);
            self.visit_conservatively(word);
            at += WORD_BYTES;
        }
    }

    /// Opens the large object whose entry is the last of the stack. If another object is open, its
    /// entry takes the word that it goes on at.
    fn open_large(&mut self) {
        let memory = &mut self.supply.memory;
        let stack = &mut *self.stack;
        if stack.floor != 0 {
            stack.set_word(memory, stack.floor - 2, stack.open_large.at);
        }
        let length = stack.length;
        stack.floor = length;
        let position = stack.word(memory, length - 1) >> 1;
        let address = self.large.address(memory, position);
        let layout = self.large.layout(memory, position);
        let mut size_bytes = self.large.size(memory, position);
        let mut all_references_from = u32::MAX;
        if let Ok(shape) = self.layouts.shape(memory, layout) {
            all_references_from = address.saturating_add(shape.all_references_from() * WORD_BYTES);
            size_bytes = size_bytes.min((shape.last_references() + 1) * GRANULE_BYTES);
        }
        let at = stack.word(memory, length - 2);
        stack.open_large =
            OpenLarge { at, end: address + size_bytes, all_references_from, address, layout };
    }

    /// Does one step with large objects: opens the object whose entry is the last of the stack, or
    /// visits a reference of the open object, or some words of a conservative one, or closes it.
    /// False if there is nothing left to do.
    #[cold]
    fn advance_large(&mut self) -> bool {
        if self.stack.length > self.stack.floor {
            self.open_large();
            return true;
        }
        if self.stack.floor == 0 {
            return false;
        }
        let OpenLarge { mut at, end, address, layout, .. } = self.stack.open_large;
        let Ok(shape) = self.layouts.shape(&self.supply.memory, layout) else {
            // Only the conservative layout has no shape.
            let to = end.min(at + CONSERVATIVE_BYTES);
            self.advance_open_large(to);
            self.visit_words(at, to);
            return true;
        };
        while at < end && !shape.is_reference((at - address) / WORD_BYTES) {
            at += WORD_BYTES;
        }
        if at == end {
            self.advance_open_large(end);
            return true;
        }
        self.advance_open_large(at + WORD_BYTES);
        let reference = self.supply.memory.load_u32(at);
        self.visit(reference);
        true
    }

    /// Goes on at an address of the open large object, and closes it if that is its end. The
    /// objects that the last word brings do not need the entry any more. So objects that are
    /// chained by their last words take no more of the stack than one.
    fn advance_open_large(&mut self, at: u32) {
        self.stack.open_large.at = at;
        if at == self.stack.open_large.end {
            self.stack.length = self.stack.floor - 2;
            self.stack.floor = 0;
        }
    }

    /// Traces the untraced objects, one at a time, with an empty stack before each. Objects that
    /// become untraced meanwhile are traced now or in the next round.
    #[cold]
    fn trace_untraced(&mut self) {
        let Untraced { pages, positions, .. } = self.untraced;
        self.untraced.pages = Untraced::NOWHERE;
        self.untraced.positions = Untraced::NOWHERE;
        for page in pages.0..pages.1 {
            let block = page << BLOCK_SHIFT;
            if self.marking.map.is_block(&self.supply.memory, block) {
                self.trace_untraced_in_block(block);
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

    /// Traces the untraced objects of a block.
    fn trace_untraced_in_block(&mut self, block: u32) {
        let mut at = block;
        while let Some((noted, granules)) =
            metadata::take_untraced(&mut self.supply.memory, block, at)
        {
            at = noted;
            for start in granules {
                let byte = self.supply.memory.load_u8(start);
                if byte & self.marking.marked != 0 && metadata::is_traced(byte) {
                    self.stack.next = metadata::granule_of(start);
                    self.drain();
                }
            }
        }
    }
}
