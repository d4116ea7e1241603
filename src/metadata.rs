//! The metadata byte: what the collector knows about one granule.
//!
//! Every granule of a block has one byte, at the block's start, found by a shift
//! and a mask. The byte of an object's first granule says that it starts here,
//! its colour and how it is traced; the byte of its last granule says that it
//! ends; and each byte says which of its granule's two words are references. So
//! an object needs no header, and a precise object is traced from metadata alone.
//! The idea of metadata apart from the objects, a byte each, swept without
//! touching them, is nofl's [nofl §3]; reference bits in the byte are ours.
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
//! Invariants: a byte that is zero is a free granule or the inside of an object;
//! a start's object ends in the same block; the bytes of the metadata's own
//! granules stay zero.
//!
//! There is no pinned bit: objects do not move, so a pin is only a root.

#[cfg(test)]
mod tests;

use crate::memory::Memory;
use crate::units::{
    BLOCK_BYTES, BLOCK_GRANULES, GRANULE_BYTES, GRANULE_SHIFT, GRANULE_WORDS, METADATA_GRANULES,
};

/// Both colours: where either is set, an object starts.
pub const START: u8 = COLOUR_A | COLOUR_B;
/// The one colour.
pub const COLOUR_A: u8 = 1;
/// The other.
pub const COLOUR_B: u8 = 1 << 1;
/// The object's last granule.
pub const END: u8 = 1 << 2;
/// Word 0 of the granule is a reference slot; word 1 has the next bit.
pub const REFERENCE_0: u8 = 1 << 3;
/// Word 1 of the granule is a reference slot.
pub const REFERENCE_1: u8 = 1 << 4;
/// The object has something to trace.
pub const TRACED: u8 = 1 << 5;
/// Behind this granule the object has nothing to trace. In its start byte this stands
/// instead of [`TRACED`].
pub const LAST_REFERENCES: u8 = 1 << 6;
/// Every aligned word of the object may be a reference.
pub const CONSERVATIVE: u8 = TRACED | LAST_REFERENCES;
/// The object owns an entry of the wrap table.
pub const WRAPPER: u8 = 1 << 7;

/// How far the reference bits are from bit 0.
pub const REFERENCE_SHIFT: u32 = 3;

/// The most granules whose metadata fits in a template.
pub const TEMPLATE_GRANULES: u32 = 8;

/// Whether an object with this start byte has something to trace.
#[inline(always)]
pub const fn is_traced(start_byte: u8) -> bool {
    start_byte & CONSERVATIVE != 0
}

/// Whether every word of an object with this start byte may be a reference.
#[inline(always)]
pub const fn is_conservative(start_byte: u8) -> bool {
    start_byte & CONSERVATIVE == CONSERVATIVE
}

/// The metadata of an object of so many granules, at most [`TEMPLATE_GRANULES`],
/// with a bit in `references` for each of its words: a byte for each granule, the
/// first one lowest, without a colour.
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

/// The metadata of a leaf of so many granules, at most [`TEMPLATE_GRANULES`], without a
/// colour.
#[inline(always)]
pub const fn leaf_template(granules: u32) -> u64 {
    (END as u64) << ((granules - 1) * 8)
}

/// The reference bits of a template, one for each word.
#[cfg(feature = "core")]
pub fn template_references(template: u64) -> u64 {
    let bits = |granule| (template >> (granule * 8 + REFERENCE_SHIFT) & 3) << (granule * 2);
    (0..TEMPLATE_GRANULES).fold(0, |references, granule| references | bits(granule))
}

/// Describes a new object by a template with a colour. The bytes were zero.
#[inline(always)]
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

/// Describes a new object without references. The bytes were zero.
#[inline(always)]
pub fn store_leaf<M: Memory>(memory: &mut M, start: u32, size_bytes: u32, colour: u8) {
    if size_bytes == GRANULE_BYTES {
        return memory.store_u8(start, colour | END);
    }
    memory.store_u8(start, colour);
    memory.store_u8(start + size_bytes / GRANULE_BYTES - 1, END);
}

/// The block that `address` lies in.
#[inline(always)]
pub const fn block_of(address: u32) -> u32 {
    address & !(BLOCK_BYTES - 1)
}

/// The metadata byte of the granule at `address`.
#[inline(always)]
pub const fn metadata_of(address: u32) -> u32 {
    block_of(address) + ((address & (BLOCK_BYTES - 1)) >> GRANULE_SHIFT)
}

/// The granule whose metadata byte is at `metadata`.
#[inline(always)]
pub const fn granule_of(metadata: u32) -> u32 {
    block_of(metadata) + ((metadata & (BLOCK_BYTES - 1)) << GRANULE_SHIFT)
}

/// The first metadata byte of `block` that can describe an object.
pub const fn first_metadata(block: u32) -> u32 {
    block + METADATA_GRANULES
}

/// The end of the metadata of `block`.
pub const fn metadata_end(block: u32) -> u32 {
    block + BLOCK_GRANULES
}

/// The metadata of the metadata's own granules, which are no objects: the first KiB of a
/// block. It is zero except during a marking that has untraced objects. Then it has a
/// byte for each eight granules of the block, and in that a bit for each two of them; bits that
/// no start has alone, so that still no object is found there. The first byte is not zero
/// if any other is not.
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

/// Forgets the next untraced objects of a block that are noted at `from` or behind. Gives
/// where they were noted, to go on from, and the metadata bytes of the two granules at one of
/// which they start, perhaps at both.
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

/// The first metadata byte in `from..end` that has one of `bits`, or `end`.
/// Reads eight at a time, and 32 where there is nothing for long; `end` is within the block's metadata or its end.
#[inline]
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

#[inline(always)]
fn four_words<M: Memory>(memory: &M, at: u32) -> u64 {
    let pair = |at| memory.load_u64(at) | memory.load_u64(at + 8);
    pair(at) | pair(at + 16)
}

/// Where the run of adjoining objects of one colour that begins at `from` ends:
/// at the first byte that follows a last granule and starts no such object, or at
/// `end`. Eight bytes at a time: whether one follows a last granule is the mask of
/// ends moved by a byte, with a carry from word to word.
#[inline]
pub fn end_of_run<M: Memory>(memory: &M, from: u32, end: u32, colour: u8) -> u32 {
    let starts = colour.trailing_zeros();
    let ends = END.trailing_zeros();
    let mut at = from & !7;
    let mut mask = u64::MAX << ((from & 7) * 8);
    let mut carry = 0;
    while at < end {
        let word = memory.load_u64(at);
        if word | carry == 0 {
            // Deep inside an object without references: on to its last granule.
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

/// The last metadata byte in `first..=from` that has one of `bits`.
#[cfg(feature = "interior-pointers")]
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

/// The size in bytes of the object whose start byte is at `start`.
#[inline]
pub fn object_size<M: Memory>(memory: &M, start: u32) -> u32 {
    if memory.load_u8(start) & END != 0 {
        return GRANULE_BYTES;
    }
    let end = metadata_end(block_of(start));
    (find(memory, start, end, END) + 1 - start) * GRANULE_BYTES
}

/// The start of the object that the granule at `metadata` is a part of: of any
/// colour, so a dead one too where its block is not swept.
#[cfg(feature = "interior-pointers")]
pub fn start_of<M: Memory>(memory: &M, metadata: u32) -> Option<u32> {
    let first = first_metadata(block_of(metadata));
    if metadata < first {
        return None;
    }
    let start = find_back(memory, first, metadata, START)?;
    let end = find(memory, start, metadata_end(block_of(metadata)), END);
    (metadata <= end).then_some(start)
}
