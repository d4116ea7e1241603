//! Sizes and constants that the whole collector shares.
//!
//! A *granule* is the unit of allocation and of metadata: every object starts at
//! a multiple of [`GRANULE_BYTES`] and takes a whole number of granules. A
//! *block* is one Wasm page, so that `memory.grow` always yields aligned blocks
//! and a block is found by masking an address.

/// The address of a heap object, or 0 for null. Stable for the object's life.
pub type Reference = u32;

/// How many bits of an address are below a block.
pub const BLOCK_SHIFT: u32 = 16;
/// Bytes in a block, which is one Wasm page.
pub const BLOCK_BYTES: u32 = 1 << BLOCK_SHIFT;
/// How many bits of an address are below a granule.
pub const GRANULE_SHIFT: u32 = 3;
/// Bytes in a granule.
pub const GRANULE_BYTES: u32 = 1 << GRANULE_SHIFT;
/// Words in a granule.
pub const GRANULE_WORDS: u32 = GRANULE_BYTES / WORD_BYTES;
/// Granules in a block, and so bytes of metadata in a block.
pub const BLOCK_GRANULES: u32 = BLOCK_BYTES >> GRANULE_SHIFT;
/// Granules at the start of a block that hold its metadata. Their own metadata
/// bytes describe no object and stay zero.
pub const METADATA_GRANULES: u32 = BLOCK_GRANULES >> GRANULE_SHIFT;
/// Bytes of a block that objects can have.
pub const PAYLOAD_BYTES: u32 = (BLOCK_GRANULES - METADATA_GRANULES) << GRANULE_SHIFT;
/// The largest object that lives in a block; larger ones are *large objects*.
pub const LARGEST_BLOCK_OBJECT_BYTES: u32 = 8 * 1024;
/// The largest object there can be.
pub const LARGEST_OBJECT_BYTES: u32 = 0x7fff_0000;
/// Bytes in a word, the size of a slot and of a reference.
pub const WORD_BYTES: u32 = 4;

/// `bytes` rounded up to whole granules, at least one; none where that is more
/// than the largest object.
#[inline]
pub fn object_bytes(bytes: u64) -> Option<u32> {
    if bytes > u64::from(LARGEST_OBJECT_BYTES) {
        return None;
    }
    // In range by the check above, so the sum cannot wrap.
    let bytes = (bytes as u32).max(1);
    Some((bytes + GRANULE_BYTES - 1) & !(GRANULE_BYTES - 1))
}
