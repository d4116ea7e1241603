//! The hole set: free holes that allocation passed over, by size class.
//!
//! A hole that is too small for the object at hand goes into the set, and the set is tried
//! before the sweep goes on. Without the set, one large object among small ones would waste
//! holes until the next collection. Whippet has such a set, in
//! `nofl-holeset.h` [nofl].
//!
//! A size class is a list that is threaded through the holes: the first word of a hole is the
//! address of the next hole of its class, the second word is the address of its own end.
//!
//! Invariants:
//! 1. Every hole in the set has at least 32 bytes, is free, and stands in the list of its size
//!    class.
//! 2. A bit of `nonempty` is set if the list of that size class has a hole.
//!
//! Not done here: coalescing. A collection empties the set, and the sweep finds the holes again.

use crate::memory::Memory;
use crate::units::WORD_BYTES;

/// The logarithm of the smallest size, in bytes, that the set keeps.
const LEAST_HOLE_SHIFT: u32 = 5;
/// Bytes of the smallest hole that the set keeps.
const LEAST_HOLE_BYTES: u32 = 1 << LEAST_HOLE_SHIFT;
/// Size classes: from 32 bytes on, from 64 bytes on, …, the last from 2 KiB on.
const SIZE_CLASSES: usize = 7;
/// How many holes of a size class are tried for one that is large enough.
const MOST_TRIED: u32 = 4;

/// Free holes, by size class.
#[derive(Debug)]
pub struct HoleSet {
    /// The first hole of each size class, or 0.
    first: [u32; SIZE_CLASSES],
    /// A bit for each size class that has a hole.
    nonempty: u32,
}

/// The size class of holes of `bytes` bytes, at least 32.
fn size_class(bytes: u32) -> u32 {
    (bytes.ilog2() - LEAST_HOLE_SHIFT).min(SIZE_CLASSES as u32 - 1)
}

impl HoleSet {
    /// A set without holes.
    pub const EMPTY: HoleSet = HoleSet { first: [0; SIZE_CLASSES], nonempty: 0 };

    /// Adds the hole from `from` to `to`, unless it has fewer than 32 bytes.
    pub fn push<M: Memory>(&mut self, memory: &mut M, from: u32, to: u32) {
        let bytes = to - from;
        if bytes < LEAST_HOLE_BYTES {
            return;
        }
        let class = size_class(bytes);
        let first = &mut self.first[class as usize];
        memory.store_u32(from, *first);
        memory.store_u32(from + WORD_BYTES, to);
        *first = from;
        self.nonempty |= 1 << class;
    }

    /// Removes a hole of at least `size_bytes` bytes and gives its start and its end. Tries at
    /// most four holes of each size class, so it may miss a hole that is large enough.
    #[inline(always)]
    pub fn try_pop<M: Memory>(&mut self, memory: &mut M, size_bytes: u32) -> Option<(u32, u32)> {
        let least = size_class(size_bytes.max(LEAST_HOLE_BYTES));
        let mut candidates = self.nonempty & u32::MAX << least;
        while candidates != 0 {
            let class = candidates.trailing_zeros();
            candidates &= candidates - 1;
            let mut previous = 0;
            let mut hole = self.first[class as usize];
            // Only the size class of `size_bytes` itself can have holes that are too small.
            for _ in 0..MOST_TRIED {
                if hole == 0 {
                    break;
                }
                let next = memory.load_u32(hole);
                let end = memory.load_u32(hole + WORD_BYTES);
                if end - hole >= size_bytes {
                    if previous != 0 {
                        memory.store_u32(previous, next);
                    } else {
                        self.first[class as usize] = next;
                        if next == 0 {
                            self.nonempty &= !(1 << class);
                        }
                    }
                    return Some((hole, end));
                }
                previous = hole;
                hole = next;
            }
        }
        None
    }

    /// Calls `visit` with the start and the end of each hole.
    pub fn for_each<M: Memory>(&self, memory: &M, mut visit: impl FnMut(u32, u32)) {
        for mut hole in self.first {
            while hole != 0 {
                visit(hole, memory.load_u32(hole + WORD_BYTES));
                hole = memory.load_u32(hole);
            }
        }
    }
}
