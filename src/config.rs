//! The options of a heap: limits, capacities, and when to collect.

use crate::error::{Error, OptionName};
use crate::units::BLOCK_BYTES;

/// How large the heap may become before it collects for space: by how much it may exceed `live`,
/// the bytes that the last collection left.
///
/// Every sizing but `Fixed` also has a floor. A heap that is not larger than the floor is not
/// collected for space. The floor is sixteen times what a collection looks at, but at least
/// [`Sizing::LEAST_FLOOR_BYTES`] and at most [`Sizing::MOST_FLOOR_BYTES`]: collecting little costs
/// little, and a small heap stays in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizing {
    /// `1.4 · live` more, but at most `4.7 · √(live · 1 MiB)` more. The more is live, the dearer is
    /// memory, so a large heap grows by a smaller part.
    Balanced,
    /// A fixed number of bytes more, whatever is live.
    Fixed {
        /// Bytes that are allocated between two collections.
        budget_bytes: u32,
    },
    /// `live · percent / 100` more.
    Factor {
        /// Percent of the live bytes.
        percent: u32,
    },
    /// `percent / 100 · √(live · 1 MiB)` more ([optimal-limits]).
    SquareRoot {
        /// The factor before the square root, in percent.
        percent: u32,
    },
}

impl Sizing {
    /// The lowest floor.
    pub const LEAST_FLOOR_BYTES: u64 = 512 << 10;
    /// The highest floor.
    pub const MOST_FLOOR_BYTES: u64 = 4 << 20;
    /// The floor, in multiples of what a collection looks at.
    const FLOOR_FACTOR: u64 = 16;

    /// Returns by how many bytes a heap may exceed its live bytes. `root_bytes` is what a
    /// collection looks at besides objects.
    pub fn budget_bytes(self, live_bytes: u32, root_bytes: u64) -> u64 {
        let live = u64::from(live_bytes);
        // A percentage so high that the other bound is always the lower one.
        const UNBOUNDED: u32 = u32::MAX;
        let (percent, root_percent) = match self {
            Sizing::Fixed { budget_bytes } => return u64::from(budget_bytes),
            Sizing::Balanced => (140, 470),
            Sizing::Factor { percent } => (percent, UNBOUNDED),
            Sizing::SquareRoot { percent } => (UNBOUNDED, percent),
        };
        let product = |factor: u32, percent: u32| u64::from(factor) * u64::from(percent) / 100;
        // √(live · 1 MiB) = √live · 1 KiB
        let root = square_root(live_bytes) << 10;
        let more = product(live_bytes, percent).min(product(root, root_percent));
        let floor = (live + root_bytes) * Self::FLOOR_FACTOR;
        let floor = floor.clamp(Self::LEAST_FLOOR_BYTES, Self::MOST_FLOOR_BYTES);
        more.max(floor.saturating_sub(live))
    }
}

/// Returns the square root, rounded down. It works bit by bit, because the library's code is ten
/// times larger and this runs only once for a block or a large object that is taken.
fn square_root(value: u32) -> u32 {
    let mut root = 0;
    for bit in (0..16).rev() {
        let more = root | 1 << bit;
        if more * more <= value {
            root = more;
        }
    }
    root
}

/// What a collection does besides, so that a missing root shows at once: for hunting one in a
/// compiler, by [`Heap::set_stress`](crate::Heap::set_stress). docs/guide/missing-roots.md shows
/// how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StressModes {
    /// Overwrite dead objects with [`StressModes::POISON`].
    pub poison: bool,
    /// Leave dead objects where they are until the next collection begins, so that no new object
    /// has the address of one. Takes as much more memory.
    pub quarantine: bool,
    /// Verify the heap after each collection. [`Heap::violation`](crate::Heap::violation) returns
    /// the first violation that was found.
    pub verify: bool,
}

impl StressModes {
    /// No stress mode.
    pub const NONE: StressModes = StressModes { poison: false, quarantine: false, verify: false };
    /// The word that dead objects are filled with. It is odd, so no operation accepts it as a
    /// reference. Marking ignores the lowest three bits of a word, which may be a tag. So if memory
    /// reaches as far as 3.5 GiB, and an object starts at 0xdeadbee8, a root or a reference slot
    /// with this word keeps that object alive.
    pub const POISON: u32 = 0xdead_beef;
}

/// Options for a heap, fixed when the heap starts; only `least_freed_percent` and `stress` can be
/// changed later ([`Heap::set_least_freed`](crate::Heap::set_least_freed),
/// [`Heap::set_stress`](crate::Heap::set_stress)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most memory that the collector may have, in bytes, rounded down to whole pages of 64
    /// KiB. It bounds the pages that are taken together with the free pages between them, and so
    /// the growth of memory. With the default capacities a heap takes 4 pages when it starts, and a
    /// block with its first object.
    pub heap_limit_bytes: u64,
    /// Slots of the shadow stack, for roots and scopes together.
    pub root_capacity: u32,
    /// Entries that the wrap table has room for at the start.
    pub wrap_capacity: u32,
    /// The most entries that the wrap table may grow to.
    pub wrap_limit: u32,
    /// How many handles may be registered between two collections, at the least. The default is one
    /// less than the table's entries: if a host's next handle starts the collection, the host then
    /// has as many handles as the table.
    pub handle_floor: u32,
    /// How much weight may be registered between two collections, at the least, in bytes of the
    /// host's memory.
    pub weight_floor_bytes: u32,
    /// When to collect for space.
    pub sizing: Sizing,
    /// After memory is refused, a collection makes room. The collection was *futile* if less than
    /// this part of the heap, in percent, is allocated before memory is refused again. The number
    /// of futile collections in a row is limited. After the first one, [`Options::MOST_FUTILE`]
    /// more are made, one at each refusal. Then requests fail without a collection: one request
    /// before the next collection, two before the one after it, then four, and so on up to
    /// [`Options::REFUSALS`].
    ///
    /// The limit ends when enough is allocated after all, or at a call of
    /// [`collect`](crate::Heap::collect). A request still starts a collection if there are fewer
    /// roots than at any refusal since the first futile collection. Roots are here the slots that
    /// are not null, pins and ranges. A program that makes room in another way, for example by
    /// clearing references in objects or in root ranges, calls `collect` itself.
    ///
    /// With 0 there is no limit: every such request starts a collection, however little it frees.
    /// (HotSpot has a similar limit of overhead.)
    pub least_freed_percent: u32,
    /// Whether a word of a conservatively traced object keeps an object alive if the word points
    /// behind that object's first granule.
    pub interior_pointers: bool,
    /// Collect at every so many allocations and registrations; 0 for never.
    pub stress: u32,
}

impl Options {
    /// The default options: 16,384 roots, a wrap table of 4,096 entries that does not grow, and no
    /// limit of memory.
    pub const DEFAULT: Options = Options {
        heap_limit_bytes: u64::MAX,
        root_capacity: 16_384,
        wrap_capacity: 4_096,
        wrap_limit: 4_096,
        handle_floor: 4_095,
        weight_floor_bytes: 64 << 20,
        sizing: Sizing::Balanced,
        least_freed_percent: 2,
        interior_pointers: false,
        stress: 0,
    };

    /// How many further collections, one at each refusal, a futile collection may start
    /// ([`Options::least_freed_percent`]).
    pub const MOST_FUTILE: u32 = 8;
    /// The most requests that fail without a collection before the next collection.
    pub const REFUSALS: u32 = 64;

    /// The most slots or entries that an option can ask for. It keeps sizes in bytes in range.
    pub const MOST_ENTRIES: u32 = 1 << 26;

    /// Checks that every option is in its range. Errors: `InvalidOption`.
    pub fn check(&self) -> Result<(), Error> {
        let refused = |option| Err(Error::InvalidOption { option });
        let entries = 1..=Self::MOST_ENTRIES;
        if !entries.contains(&self.root_capacity) {
            return refused(OptionName::RootCapacity);
        }
        if !entries.contains(&self.wrap_capacity) {
            return refused(OptionName::WrapCapacity);
        }
        if !(self.wrap_capacity..=Self::MOST_ENTRIES).contains(&self.wrap_limit) {
            return refused(OptionName::WrapLimit);
        }
        if self.heap_limit_bytes < u64::from(BLOCK_BYTES) {
            return refused(OptionName::HeapLimitBytes);
        }
        match self.sizing {
            Sizing::Fixed { budget_bytes: 0 }
            | Sizing::Factor { percent: 0 }
            | Sizing::SquareRoot { percent: 0 } => refused(OptionName::Sizing),
            _ => Ok(()),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::Sizing;

    const MIB: u32 = 1 << 20;

    #[test]
    fn a_heap_grows_by_what_its_sizing_says() {
        let limit = |sizing: Sizing, live_mib: u32| {
            (u64::from(live_mib * MIB) + sizing.budget_bytes(live_mib * MIB, 0)) / 1024
        };
        // 1.4 times 4 MiB, or 4.7 times 8 MiB.
        assert_eq!(limit(Sizing::Balanced, 4), 4_096 * 24 / 10);
        assert_eq!(limit(Sizing::Balanced, 64), 64 * 1_024 + 4_096 * 47 * 2 / 10);
        assert_eq!(limit(Sizing::Fixed { budget_bytes: 3 * MIB }, 64), 67 * 1_024);
        assert_eq!(limit(Sizing::Factor { percent: 50 }, 64), 96 * 1_024);
        assert_eq!(limit(Sizing::Factor { percent: 1_000_000 }, 1), 1_024 + 10_000 * 1_024);
        assert_eq!(limit(Sizing::SquareRoot { percent: 200 }, 64), 80 * 1_024);
        assert_eq!(limit(Sizing::SquareRoot { percent: 100_000 }, 4), 4_096 + 2_048_000);
    }

    #[test]
    fn below_the_floor_a_heap_grows() {
        for sizing in
            [Sizing::Balanced, Sizing::Factor { percent: 1 }, Sizing::SquareRoot { percent: 1 }]
        {
            assert_eq!(sizing.budget_bytes(0, 0), 512 << 10);
            assert_eq!(20_000 + sizing.budget_bytes(20_000, 20_000), 640_000);
            assert_eq!(sizing.budget_bytes(0, 1 << 40), 4 << 20);
        }
        assert_eq!(Sizing::Fixed { budget_bytes: 7 }.budget_bytes(9, 1 << 40), 7);
    }
}
