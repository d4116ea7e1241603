//! A growable range of the collector's memory, for its own tables.
//!
//! If memory refuses a growth, the buffer keeps what it has. Nothing here traps, and nothing is
//! lost.

use crate::memory::Memory;
use crate::memory::supply::{Purpose, Supply};

/// The logarithm of the smallest part by which a buffer grows, a thirty-second. If memory does not
/// let a buffer double, it grows by a half of what it has, a quarter, and so on down to this part.
const LEAST_GROWTH_SHIFT: u32 = 5;

/// A range of bytes, or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Buffer {
    /// Where the range starts; 0 if it has no bytes.
    pub address: u32,
    /// How many bytes the range has.
    pub size_bytes: u32,
}

impl Buffer {
    /// A buffer without bytes.
    pub const EMPTY: Buffer = Buffer { address: 0, size_bytes: 0 };

    /// The size of the smallest buffer, so that small tables do not grow often.
    const LEAST_BYTES: u32 = 256;

    /// Makes sure of `size_bytes` bytes. Keeps the content, which may move. The buffer grows to
    /// twice its size, or to less if memory refuses that, so that it is not copied for each few
    /// bytes. False if memory refuses even `size_bytes`.
    #[must_use]
    pub fn reserve<M: Memory>(&mut self, supply: &mut Supply<M>, size_bytes: u32) -> bool {
        if size_bytes <= self.size_bytes {
            return true;
        }
        for shift in 0..LEAST_GROWTH_SHIFT {
            let more = self.enlarged(shift).max(Self::LEAST_BYTES);
            if more > size_bytes && self.grow(supply, more) {
                return true;
            }
        }
        self.grow(supply, self.enlarged(LEAST_GROWTH_SHIFT).max(size_bytes))
    }

    /// Returns the size together with a part of it, whose logarithm is `shift`.
    fn enlarged(&self, shift: u32) -> u32 {
        self.size_bytes.saturating_add(self.size_bytes >> shift)
    }

    /// Takes a buffer of exactly `size_bytes` bytes, whose content is undefined.
    #[must_use]
    pub fn take<M: Memory>(supply: &mut Supply<M>, size_bytes: u32) -> Option<Buffer> {
        let address = supply.take_bytes(Purpose::Table, size_bytes)?;
        Some(Buffer { address, size_bytes })
    }

    /// Moves the content to a new range of `size_bytes` bytes. False if memory refuses it.
    fn grow<M: Memory>(&mut self, supply: &mut Supply<M>, size_bytes: u32) -> bool {
        let Some(new) = Self::take(supply, size_bytes) else {
            return false;
        };
        if self.size_bytes > 0 {
            supply.memory.copy(self.address, new.address, self.size_bytes);
        }
        self.release(supply);
        *self = new;
        true
    }

    /// Gives back what is beyond twice `needed_bytes`, if that is half of the buffer or more.
    pub fn shrink<M: Memory>(&mut self, supply: &mut Supply<M>, needed_bytes: u32) {
        let kept_bytes = needed_bytes.saturating_mul(2).max(Self::LEAST_BYTES);
        if kept_bytes <= self.size_bytes / 2 {
            self.shrink_to(supply, kept_bytes);
        }
    }

    /// Gives back everything behind the first `size_bytes` bytes.
    pub fn shrink_to<M: Memory>(&mut self, supply: &mut Supply<M>, size_bytes: u32) {
        if size_bytes >= self.size_bytes {
            return;
        }
        supply.shrink_table(self.address, self.size_bytes, self.size_bytes - size_bytes);
        self.size_bytes = size_bytes;
    }

    /// Gives all bytes back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if self.size_bytes > 0 {
            supply.give_bytes(Purpose::Table, self.address, self.size_bytes);
        }
        *self = Buffer::EMPTY;
    }
}
