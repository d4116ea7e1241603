//! Where the heap's bytes are: a trait, implemented for Wasm's linear memory and for a native
//! model.
//!
//! The collector addresses memory by `u32` and knows nothing else of it. So the same collector runs
//! over Wasm's linear memory and over a boxed slice. A memory gives whole pages. A block is one
//! page; large objects and the collector's own tables are *extents*, which are cut from pages.
//! Pages that blocks give back can become extents, and the reverse.

mod extents;
#[cfg(target_arch = "wasm32")]
pub mod linear;
#[cfg(not(target_arch = "wasm32"))]
pub mod model;
mod pages;
pub(crate) mod supply;

/// Byte-addressed memory whose pages can be taken and given back.
///
/// The caller of a load or a store passes addresses in pages that were taken and not given back. An
/// implementation may panic on other addresses, and need not. Values are little-endian. The
/// address of a load of one word is a multiple of 4; any other address may be any.
pub trait Memory {
    /// Loads a byte.
    fn load_u8(&self, address: u32) -> u8;
    /// Loads a word.
    fn load_u32(&self, address: u32) -> u32;
    /// Loads two words, at any address.
    fn load_u64(&self, address: u32) -> u64;
    /// Stores a byte.
    fn store_u8(&mut self, address: u32, value: u8);
    /// Stores two bytes, at any address.
    fn store_u16(&mut self, address: u32, value: u16);
    /// Stores a word, at any address.
    fn store_u32(&mut self, address: u32, value: u32);
    /// Stores two words, at any address.
    fn store_u64(&mut self, address: u32, value: u64);
    /// Fills a range with a byte.
    fn fill(&mut self, address: u32, length_bytes: u32, value: u8);
    /// Fills a range with zeros. Meant for short ranges.
    fn clear(&mut self, address: u32, length_bytes: u32) {
        self.fill(address, length_bytes, 0);
    }
    /// Copies a range to another range that does not overlap it.
    fn copy(&mut self, from: u32, to: u32, length_bytes: u32);
    /// Copies a range into a slice.
    fn read(&self, address: u32, into: &mut [u8]);
    /// Copies a slice to a range.
    fn write(&mut self, address: u32, bytes: &[u8]);

    /// Takes adjacent pages of 64 KiB, whose content is undefined, and returns their address, a
    /// multiple of the page size.
    ///
    /// Takes free pages first. If none fit, memory grows, by at most `most_growth_pages`; free
    /// pages at the end of memory then count as part of the request. None if memory would have to
    /// grow by more, or refuses to grow.
    fn take_pages(&mut self, pages: u32, most_growth_pages: u32) -> Option<u32>;
    /// Gives adjacent pages back.
    fn give_pages(&mut self, address: u32, pages: u32);
    /// Returns how many pages are free: given back, or left over from a growth, and not taken.
    fn free_pages(&self) -> u32;
    /// Declares the content of a range undefined: no one may read a byte of it before the byte is
    /// written. A model overwrites the range, so that a read too early is found; the default does
    /// nothing.
    fn forget(&mut self, _address: u32, _length_bytes: u32) {}
    /// Returns the end of readable memory, in bytes.
    fn size_bytes(&self) -> u64;
    /// Returns an address in the native stack, a multiple of 4. The frames of all callers lie above
    /// it.
    fn stack_pointer(&self) -> u32;
}
