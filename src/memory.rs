//! Where the heap's bytes are: a trait, with linear memory and a native model.
//!
//! The collector addresses memory by `u32` and knows nothing else of it, so the
//! same collector runs over Wasm's linear memory and over a boxed slice. A memory
//! gives whole pages. A block is one; large objects and the collector's own tables
//! are [`extents`], which are cut from pages. What one of them gives back, the
//! other can take.

pub mod extents;
#[cfg(target_arch = "wasm32")]
pub mod linear;
#[cfg(not(target_arch = "wasm32"))]
pub mod model;
mod pages;
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

    /// Takes adjacent pages of 64 KiB, with undefined content: pages that were given back, or
    /// such at the end of memory with what it grows by, at most `most_growth_pages`. None if
    /// there are none, or memory refuses to grow. Gives their address, a multiple of the page
    /// size.
    fn take_pages(&mut self, pages: u32, most_growth_pages: u32) -> Option<u32>;
    /// Gives pages back.
    fn give_pages(&mut self, address: u32, pages: u32);
    /// Pages that were given back, or grown beyond need, and not taken.
    fn free_pages(&self) -> u32;
    /// Told of each range whose content nobody may read before it is written. Does nothing, or
    /// overwrites it, to find those who read it all the same.
    fn forget(&mut self, _address: u32, _length_bytes: u32) {}
    /// The end of memory that can be read.
    fn size_bytes(&self) -> u64;
    /// An address in the stack that no caller's frame is below: a multiple of 4.
    fn stack_pointer(&self) -> u32;
}
