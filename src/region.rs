//! A growable range of the collector's memory, for its own tables.
//!
//! A table whose growth is refused keeps what it has: nothing here traps, and
//! nothing is lost.

use crate::memory::Memory;
use crate::memory::supply::{Purpose, Supply};

/// A region that may not double grows by a half of what it has, a quarter, and so on; this is
/// the logarithm of the smallest part, a thirty-second.
const LEAST_GROWTH_SHIFT: u32 = 5;

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
    /// Grows to twice what it has; where that is refused by less, down to a thirty-second,
    /// so that it is not copied for each few bytes. Whether it has them.
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

    /// Its size and a part of that, by the part's logarithm.
    fn enlarged(&self, shift: u32) -> u32 {
        self.size_bytes.saturating_add(self.size_bytes >> shift)
    }

    /// Exactly `size_bytes` bytes with undefined content, for a region that has none.
    #[must_use]
    pub fn take<M: Memory>(supply: &mut Supply<M>, size_bytes: u32) -> Option<Region> {
        let address = supply.take_bytes(Purpose::Table, size_bytes)?;
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

    /// Gives back what is beyond twice `needed_bytes`, if that is most of it.
    pub fn fit<M: Memory>(&mut self, supply: &mut Supply<M>, needed_bytes: u32) {
        let kept_bytes = needed_bytes.saturating_mul(2).max(Self::LEAST_BYTES);
        if kept_bytes <= self.size_bytes / 2 {
            self.shorten(supply, kept_bytes);
        }
    }

    /// Gives back all but the first `size_bytes` bytes, if it has more.
    pub fn shorten<M: Memory>(&mut self, supply: &mut Supply<M>, size_bytes: u32) {
        if size_bytes >= self.size_bytes {
            return;
        }
        supply.shorten_table(self.address, self.size_bytes, self.size_bytes - size_bytes);
        self.size_bytes = size_bytes;
    }

    /// Gives the bytes back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if self.size_bytes > 0 {
            supply.give_bytes(Purpose::Table, self.address, self.size_bytes);
        }
        *self = Region::EMPTY;
    }
}
