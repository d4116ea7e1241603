//! Where the heap's bytes are: a trait, with linear memory and a native model.
//!
//! The collector addresses memory by `u32` and knows nothing else of it, so the
//! same collector runs over Wasm's linear memory and over a `Vec<u8>`. Memory is
//! had in two ways: whole pages, for blocks, and byte ranges, for large objects
//! and the collector's own tables. What one way gives back, the other can take.

#[cfg(target_arch = "wasm32")]
pub mod linear;
#[cfg(not(target_arch = "wasm32"))]
pub mod model;
pub mod supply;

/// Byte-addressed memory that can be taken and given back.
///
/// Addresses passed to the load and store operations lie in memory that was
/// taken and not given back; an implementation may panic on others, and need not.
/// Values are little-endian. Wide loads are aligned, stores need not be.
pub trait Memory {
    /// Loads a byte.
    fn load_u8(&self, address: u32) -> u8;
    /// Loads a word.
    fn load_u32(&self, address: u32) -> u32;
    /// Loads two words.
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
    /// Fills a range with zeros; made for short ones.
    fn clear(&mut self, address: u32, length_bytes: u32) {
        self.fill(address, length_bytes, 0);
    }
    /// Copies a range to one that does not overlap it.
    fn copy(&mut self, from: u32, to: u32, length_bytes: u32);
    /// Reads a range.
    fn read(&self, address: u32, into: &mut [u8]);
    /// Writes a range.
    fn write(&mut self, address: u32, bytes: &[u8]);

    /// Takes adjacent pages of 64 KiB, with undefined content; none where memory
    /// refuses to grow. Gives their address, a multiple of the page size.
    fn take_pages(&mut self, pages: u32) -> Option<u32>;
    /// Gives pages back.
    fn give_pages(&mut self, address: u32, pages: u32);
    /// Takes a range of bytes, aligned to 8, with undefined content.
    fn take_bytes(&mut self, size_bytes: u32) -> Option<u32>;
    /// Gives back a range that `take_bytes` gave.
    fn give_bytes(&mut self, address: u32, size_bytes: u32);
    /// The end of memory that can be read.
    fn size_bytes(&self) -> u64;
    /// An address in the stack that no caller's frame is below: a multiple of 4.
    fn stack_pointer(&self) -> u32;
    /// Called after many `give_bytes`: a good time to turn ranges into pages again.
    fn settle(&mut self);
}
