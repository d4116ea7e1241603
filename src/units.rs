//! Sizes and constants that the whole collector shares.
//!
//! A *granule* is the unit of allocation and of metadata: every object starts at a multiple of
//! [`GRANULE_BYTES`] and takes a whole number of granules. A *block* is one Wasm page. So
//! `memory.grow` always yields aligned blocks, and an address is masked to find its block.

/// The address of a heap object, or 0 for null. An object keeps its address for life.
pub type Reference = u32;

/// The logarithm of a block's size in bytes.
pub const BLOCK_SHIFT: u32 = 16;
/// Bytes in a block, which is one Wasm page.
pub const BLOCK_BYTES: u32 = 1 << BLOCK_SHIFT;
/// The logarithm of a granule's size in bytes.
pub const GRANULE_SHIFT: u32 = 3;
/// Bytes in a granule.
pub const GRANULE_BYTES: u32 = 1 << GRANULE_SHIFT;
/// Words in a granule.
pub const GRANULE_WORDS: u32 = GRANULE_BYTES / WORD_BYTES;
/// Granules in a block. A block has as many bytes of metadata.
pub const BLOCK_GRANULES: u32 = BLOCK_BYTES >> GRANULE_SHIFT;
/// Granules at the start of a block that hold its metadata. The metadata bytes of these granules
/// describe no object, and are zero except during a marking.
pub const METADATA_GRANULES: u32 = BLOCK_GRANULES >> GRANULE_SHIFT;
/// Bytes of a block that can hold objects.
pub const PAYLOAD_BYTES: u32 = (BLOCK_GRANULES - METADATA_GRANULES) << GRANULE_SHIFT;
/// The largest size of an object in a block. A larger object is a *large object*.
pub const LARGEST_BLOCK_OBJECT_BYTES: u32 = 8 * 1024;
/// The largest size of any object.
pub const LARGEST_OBJECT_BYTES: u32 = 0x7fff_0000;
/// Bytes in a word, which is the size of a slot and of a reference.
pub const WORD_BYTES: u32 = 4;

/// Rounds a size up to whole granules, and to at least one. None if it exceeds the largest
/// object's.
pub fn object_bytes(bytes: u64) -> Option<u32> {
    if bytes > u64::from(LARGEST_OBJECT_BYTES) {
        return None;
    }
    // The check above keeps the sum from wrapping.
    let bytes = (bytes as u32).max(1);
    Some((bytes + GRANULE_BYTES - 1) & !(GRANULE_BYTES - 1))
}
