//! The metadata byte: what the collector knows about one granule.
//!
//! Every granule of a block has a byte in the block's first 8 KiB, found by a shift and a mask. The
//! byte of an object's first granule says that an object starts here, its colour, and how it is
//! traced. The byte of its last granule says that the object ends here. And each byte says which of
//! its granule's two words are references. So an object needs no header, and a precise object is
//! traced from metadata alone. Metadata apart from the objects, a byte a granule, swept without
//! touching an object, is nofl's idea [nofl §3]; reference bits in the byte are ours.
//!
//! | bit | where | why |
//! |---|---|---|
//! | 0, 1 | start | the colour. Exactly one is set where an object starts. The two take turns as *live*, so that marking never clears anything first |
//! | 2 | last | the object's size, without a header |
//! | 3, 4 | any | word 0 and word 1 of this granule are reference slots |
//! | 5 | start | there is something to trace: a leaf is marked and not looked at |
//! | 6 | any but the last | no granule behind this one has references, so tracing ends here; in a start byte instead of bit 5 |
//! | 5 and 6 | start | conservative: every word may be a reference |
//! | 7 | start | a wrapper: it owns an entry of the wrap table |
//!
//! Invariants:
//! 1. A byte that is zero is of a free granule, or of one inside an object.
//! 2. An object ends in the block in which it starts.
//! 3. The bytes of the metadata's own granules have no colour, and are zero except during a
//!    marking.
//!
//! Deliberately absent is a pinned bit: objects do not move, so a pin is only a root.

#[cfg(test)]
mod tests;

use crate::memory::Memory;
use crate::units::{
    BLOCK_BYTES, BLOCK_GRANULES, GRANULE_BYTES, GRANULE_SHIFT, GRANULE_WORDS, METADATA_GRANULES,
};

/// Both colours. If a byte has either, an object starts at its granule.
pub const START: u8 = COLOUR_A | COLOUR_B;
/// One colour.
pub const COLOUR_A: u8 = 1;
/// The other colour.
pub const COLOUR_B: u8 = 1 << 1;
/// The granule is its object's last one.
pub const END: u8 = 1 << 2;
/// Word 0 of the granule is a reference slot.
pub const REFERENCE_0: u8 = 1 << 3;
/// Word 1 of the granule is a reference slot.
pub const REFERENCE_1: u8 = 1 << 4;
/// The object has something to trace.
pub const TRACED: u8 = 1 << 5;
/// No granule behind this one has anything to trace. In a start byte this bit stands instead of
/// [`TRACED`].
pub const LAST_REFERENCES: u8 = 1 << 6;
/// Every aligned word of the object may be a reference.
pub const CONSERVATIVE: u8 = TRACED | LAST_REFERENCES;
/// The object owns an entry of the wrap table.
pub const WRAPPER: u8 = 1 << 7;

/// The position of the first reference bit in the byte.
pub const REFERENCE_SHIFT: u32 = 3;

/// The most granules of an object whose metadata fits in a template.
pub const TEMPLATE_GRANULES: u32 = 8;

/// Returns true if an object with this start byte has something to trace.
#[inline(always)]
pub const fn is_traced(start_byte: u8) -> bool {
    start_byte & CONSERVATIVE != 0
}

/// Returns true if every word of an object with this start byte may be a reference.
#[inline(always)]
pub const fn is_conservative(start_byte: u8) -> bool {
    start_byte & CONSERVATIVE == CONSERVATIVE
}

/// Returns the metadata of an object of so many granules, at most [`TEMPLATE_GRANULES`], without a
/// colour: a byte for each granule, the first one lowest. `references` has a bit for each word.
pub fn template(granules: u32, references: u64) -> u64 {
    let last = granules - 1;
    let end = u64::from(END) << (last * 8);
    let bits = |granule| (references >> (granule * 2) & 3) << (granule * 8 + REFERENCE_SHIFT);
    let mut template = (0..granules).fold(end, |template, granule| template | bits(granule));
    if let Some(last_word) = references.checked_ilog2() {
        let granule = last_word / GRANULE_WORDS;
        if granule < last {
            template |= u64::from(LAST_REFERENCES) << (granule * 8);
        }
        if granule > 0 || last == 0 {
            template |= u64::from(TRACED);
        }
    }
    template
}

/// Returns the metadata of a leaf of so many granules, at most [`TEMPLATE_GRANULES`], without a
/// colour.
#[inline(always)]
pub const fn leaf_template(granules: u32) -> u64 {
    (END as u64) << ((granules - 1) * 8)
}

/// Returns the reference bits of a template, one for each word.
pub fn template_references(template: u64) -> u64 {
    let bits = |granule| (template >> (granule * 8 + REFERENCE_SHIFT) & 3) << (granule * 2);
    (0..TEMPLATE_GRANULES).fold(0, |references, granule| references | bits(granule))
}

/// Returns true if the object with this start byte has a word `index`, and `index` is one of the
/// first 16: no granule in front of the word's is the last.
#[inline(always)]
pub fn has_word<M: Memory>(memory: &M, start: u32, index: u32) -> bool {
    const ENDS: u64 = u64::from_ne_bytes([END; TEMPLATE_GRANULES as usize]);
    let granule = index / GRANULE_WORDS;
    // Every object has a first granule.
    granule == 0
        || granule < TEMPLATE_GRANULES && {
            // Behind the object's end there may be anything, even other than metadata.
            let in_front = (1 << (granule * 8)) - 1;
            memory.load_u64(start) & ENDS & in_front == 0
        }
}

/// Describes a new object by a template with a colour. The object's metadata bytes were zero.
#[inline(never)]
pub fn store_template<M: Memory>(memory: &mut M, mut start: u32, granules: u32, mut template: u64) {
    if granules & 8 != 0 {
        memory.store_u64(start, template);
        return;
    }
    if granules & 4 != 0 {
        memory.store_u32(start, template as u32);
        template >>= 32;
        start += 4;
    }
    if granules & 2 != 0 {
        memory.store_u16(start, template as u16);
        template >>= 16;
        start += 2;
    }
    if granules & 1 != 0 {
        memory.store_u8(start, template as u8);
    }
}

/// Describes a new object without references. The object's metadata bytes were zero.
#[inline(always)]
pub fn store_leaf<M: Memory>(memory: &mut M, start: u32, size_bytes: u32, colour: u8) {
    if size_bytes == GRANULE_BYTES {
        return memory.store_u8(start, colour | END);
    }
    memory.store_u8(start, colour);
    memory.store_u8(start + size_bytes / GRANULE_BYTES - 1, END);
}

/// Returns the block that `address` lies in.
#[inline(always)]
pub const fn block_of(address: u32) -> u32 {
    address & !(BLOCK_BYTES - 1)
}

/// Returns the address of the metadata byte of the granule at `address`.
#[inline(always)]
pub const fn metadata_of(address: u32) -> u32 {
    block_of(address) + ((address & (BLOCK_BYTES - 1)) >> GRANULE_SHIFT)
}

/// Returns the address of the granule whose metadata byte is at `metadata`.
#[inline(always)]
pub const fn granule_of(metadata: u32) -> u32 {
    block_of(metadata) + ((metadata & (BLOCK_BYTES - 1)) << GRANULE_SHIFT)
}

/// Returns the address of the first metadata byte of `block` that can describe an object.
pub const fn first_metadata(block: u32) -> u32 {
    block + METADATA_GRANULES
}

/// Returns the end of the metadata of `block`.
pub const fn metadata_end(block: u32) -> u32 {
    block + BLOCK_GRANULES
}

/// The bits that note untraced objects, in the first KiB of a block. That KiB is the metadata of
/// the metadata's own granules, which are in no object. It is zero except during a marking that has
/// untraced objects.
///
/// A byte there stands for eight granules of the block, and one of these bits for two granules. No
/// bit is a colour, so still no object is found there. If any byte of the KiB is not zero, the
/// first one is not.
const UNTRACED: u8 = 0xf0;
const UNTRACED_SHIFT: u32 = 4;

/// Notes the object whose start byte is at `start` as untraced.
pub fn note_untraced<M: Memory>(memory: &mut M, start: u32) {
    let block = block_of(start);
    let granule = start - block;
    let at = block + (granule >> 3);
    let bit = 1 << (UNTRACED_SHIFT + (granule >> 1 & 3));
    let byte = memory.load_u8(at) | bit;
    memory.store_u8(at, byte);
    memory.store_u8(block, UNTRACED);
}

/// Finds the next note of untraced objects in a block, at `from` or behind, and clears it. Returns
/// the note's address, to go on from, and the metadata bytes of two granules. An untraced object
/// starts at one of these granules, perhaps at both.
pub fn take_untraced<M: Memory>(
    memory: &mut M,
    block: u32,
    from: u32,
) -> Option<(u32, core::ops::Range<u32>)> {
    if from == block {
        if memory.load_u8(block) == 0 {
            return None;
        }
        memory.store_u8(block, 0);
    }
    let at = find(memory, from, first_metadata(block), UNTRACED);
    if at == first_metadata(block) {
        return None;
    }
    let byte = memory.load_u8(at);
    let bit = byte.trailing_zeros();
    memory.store_u8(at, byte & (byte - 1));
    let first = block + ((at - block) << 3) + ((bit - UNTRACED_SHIFT) << 1);
    Some((at, first..first + 2))
}

const EVERY_BYTE: u64 = 0x0101_0101_0101_0101;

/// Finds the first metadata byte in `from..end` that has one of `bits`; `end` if there is none.
/// `end` must lie in the block's metadata or be its end. Cost: a load for each eight bytes.
pub fn find<M: Memory>(memory: &M, from: u32, end: u32, bits: u8) -> u32 {
    let mask = u64::from(bits) * EVERY_BYTE;
    let mut at = from & !7;
    let mut found = memory.load_u64(at) & mask & (u64::MAX << ((from & 7) * 8));
    while found == 0 {
        at += 8;
        while at + 32 <= end && four_words(memory, at) & mask == 0 {
            at += 32;
        }
        if at >= end {
            return end;
        }
        found = memory.load_u64(at) & mask;
    }
    (at + found.trailing_zeros() / 8).min(end)
}

/// Returns the bits that are set in any of 32 bytes.
#[inline(always)]
fn four_words<M: Memory>(memory: &M, at: u32) -> u64 {
    let pair = |at| memory.load_u64(at) | memory.load_u64(at + 8);
    pair(at) | pair(at + 16)
}

/// Finds the end of a run of adjoining objects of one colour that begins at `from`: the first byte
/// that follows an object's last granule and starts no object of that colour; or `end`. Cost: a
/// load for each eight bytes.
pub fn end_of_run<M: Memory>(memory: &M, from: u32, end: u32, colour: u8) -> u32 {
    // A byte that follows a last granule is found eight bytes at a time: the mask of the last
    // granules is moved by a byte, with a carry from word to word.
    let starts = colour.trailing_zeros();
    let ends = END.trailing_zeros();
    let mut at = from & !7;
    let mut mask = u64::MAX << ((from & 7) * 8);
    let mut carry = 0;
    while at < end {
        let word = memory.load_u64(at);
        if word | carry == 0 {
            // In the middle of an object without references: go on to its last granule.
            at = find(memory, at, end, END) & !7;
            mask = u64::MAX;
            continue;
        }
        let last = word >> ends & EVERY_BYTE & mask;
        let free = (last << 8 | carry) & !(word >> starts & EVERY_BYTE);
        if free != 0 {
            return at + free.trailing_zeros() / 8;
        }
        carry = last >> 56;
        mask = u64::MAX;
        at += 8;
    }
    end
}

/// Finds the last metadata byte in `first..=from` that has one of `bits`.
pub fn find_back<M: Memory>(memory: &M, first: u32, from: u32, bits: u8) -> Option<u32> {
    let mask = u64::from(bits) * EVERY_BYTE;
    let mut at = from & !7;
    let mut found = memory.load_u64(at) & mask & (u64::MAX >> ((7 - (from & 7)) * 8));
    while found == 0 {
        if at <= first {
            return None;
        }
        at -= 8;
        found = memory.load_u64(at) & mask;
    }
    let metadata = at + 7 - found.leading_zeros() / 8;
    (metadata >= first).then_some(metadata)
}

/// Returns the size in bytes of the object whose start byte is at `start`.
pub fn object_size<M: Memory>(memory: &M, start: u32) -> u32 {
    if memory.load_u8(start) & END != 0 {
        return GRANULE_BYTES;
    }
    let end = metadata_end(block_of(start));
    (find(memory, start, end, END) + 1 - start) * GRANULE_BYTES
}

/// Returns the start byte of the object that the granule at `metadata` is a part of. The object may
/// have any colour, so in a block that is not swept it may be dead.
pub fn start_of<M: Memory>(memory: &M, metadata: u32) -> Option<u32> {
    let first = first_metadata(block_of(metadata));
    if metadata < first {
        return None;
    }
    let start = find_back(memory, first, metadata, START)?;
    let end = find(memory, start, metadata_end(block_of(metadata)), END);
    (metadata <= end).then_some(start)
}
