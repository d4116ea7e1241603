//! A growable range of the collector's memory, for its own tables.
//!
//! A table whose growth is refused keeps what it has: nothing here traps, and
//! nothing is lost.

use crate::memory::Memory;
use crate::memory::supply::Supply;

/// A range of bytes, or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Region {
    /// Where it starts; 0 while it has no bytes.
    pub address: u32,
    /// How many bytes it has.
    pub size_bytes: u32,
}

impl Region {
    /// A region without bytes.
    pub const EMPTY: Region = Region { address: 0, size_bytes: 0 };

    /// The smallest region that is taken, so that small tables do not grow often.
    const LEAST_BYTES: u32 = 256;

    /// Makes sure of `size_bytes` bytes, keeping the content; it may move.
    /// Grows by doubling, or by as little as needed where that is refused.
    /// Whether it has them.
    #[must_use]
    pub fn reserve<M: Memory>(&mut self, supply: &mut Supply<M>, size_bytes: u32) -> bool {
        if size_bytes <= self.size_bytes {
            return true;
        }
        let doubled = self.size_bytes.saturating_mul(2).max(Self::LEAST_BYTES);
        if doubled > size_bytes && self.grow(supply, doubled) {
            return true;
        }
        self.grow(supply, size_bytes)
    }

    /// Exactly `size_bytes` bytes with undefined content, for a region that has none.
    #[must_use]
    pub fn take<M: Memory>(supply: &mut Supply<M>, size_bytes: u32) -> Option<Region> {
        let address = supply.take_bytes(size_bytes)?;
        Some(Region { address, size_bytes })
    }

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

    /// Gives the bytes back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if self.size_bytes > 0 {
            supply.give_bytes(self.address, self.size_bytes);
        }
        *self = Region::EMPTY;
    }
}
