//! What a language can choose: limits, capacities and when to collect.

use crate::error::{Error, OptionName};
use crate::units::BLOCK_BYTES;

/// When the heap collects instead of growing: how large it may become after a
/// collection that left `live` bytes. Except where the sizing is fixed, it never
/// collects for space below a floor: sixteen times what a collection looks at, and at
/// least [`Sizing::LEAST_FLOOR_BYTES`], at most [`Sizing::MOST_FLOOR_BYTES`]. So little
/// that lives is soon collected, in a heap that stays in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizing {
    /// `1.4 · live` more, but at most `4.7 · √(live · 1 MiB)`: the less, in
    /// proportion, the more is live, because then it is memory that is dear.
    Balanced,
    /// So many bytes more, whatever is live.
    Fixed {
        /// Bytes between collections.
        budget_bytes: u32,
    },
    /// `live · percent / 100` more.
    Factor {
        /// Percent of what is live.
        percent: u32,
    },
    /// `percent / 100 · √(live · 1 MiB)` more ([optimal-limits]).
    SquareRoot {
        /// The constant before the root, in percent.
        percent: u32,
    },
}

impl Sizing {
    /// The floor is never lower than this.
    pub const LEAST_FLOOR_BYTES: u64 = 512 << 10;
    /// The floor is never higher than this.
    pub const MOST_FLOOR_BYTES: u64 = 4 << 20;
    /// The floor is so many times what a collection looks at.
    const FLOOR_FACTOR: u64 = 16;

    /// How much larger than its live bytes a heap may be. `root_bytes` is what a collection
    /// looks at besides.
    pub fn budget_bytes(self, live_bytes: u32, root_bytes: u64) -> u64 {
        let live = u64::from(live_bytes);
        // In practice no bound: the other one counts.
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

/// The square root, rounded down, bit by bit: it runs once for a block or a large object
/// that memory is asked for, and the library's is ten times larger.
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

/// What a collection does besides, to bring a missing root to light: for hunting it in a
/// compiler. docs/guide/missing-roots.md shows how.
#[cfg(feature = "stress")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StressModes {
    /// Overwrite dead objects with [`StressModes::POISON`].
    pub poison: bool,
    /// Give no dead object's address to another before the next collection but one.
    /// Takes that much more memory.
    pub quarantine: bool,
    /// Verify the heap: [`Heap::violation`](crate::Heap::violation) has what was found
    /// first.
    pub verify: bool,
}

#[cfg(feature = "stress")]
impl StressModes {
    /// None of them.
    pub const NONE: StressModes = StressModes { poison: false, quarantine: false, verify: false };
    /// The word that dead objects are filled with. It is odd, and so never a reference.
    pub const POISON: u32 = 0xdead_beef;
}

/// Options for a heap, fixed when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most memory for everything that the collector keeps, in bytes, rounded down to whole
    /// pages of 64 KiB. It bounds pages taken and those that lie free between them, and so what
    /// memory grows by. With the default capacities a heap takes 4 pages at once, and a block as
    /// soon as it has an object.
    pub heap_limit_bytes: u64,
    /// Slots of the shadow stack, scopes included.
    pub root_capacity: u32,
    /// Entries of the wrap table at the start.
    pub wrap_capacity: u32,
    /// Entries to which the wrap table may grow.
    pub wrap_limit: u32,
    /// How many handles may be registered between collections, at the least. By default
    /// one less than the table's entries: a host whose next handle starts the collection
    /// then has as many as the table.
    pub handle_floor: u32,
    /// How many external bytes may be registered between collections, at the least.
    pub weight_floor_bytes: u32,
    /// When to collect.
    pub sizing: Sizing,
    /// When memory is refused, a collection makes room. If less than this part of the heap, in
    /// percent, is allocated before memory is refused again, it was *futile*; and after
    /// [`Options::MOST_FUTILE`] in a row, requests are refused without another: one, before the
    /// next collection two, then four, up to [`Options::REFUSALS`]; until so much was allocated
    /// after all, until there are fewer roots (slots that are not null, pins, ranges), or until
    /// [`collect`](crate::Heap::collect).
    /// A program that makes room in another way, as by dropping references in objects or in root
    /// ranges, calls `collect` itself. 0: collect for each such request, however little
    /// that frees. (HotSpot's limit of overhead is alike.)
    pub least_freed_percent: u32,
    /// Whether a conservatively traced word that points inside an object keeps
    /// it alive.
    #[cfg(feature = "interior-pointers")]
    pub interior_pointers: bool,
    /// Collect at every so many allocations and registrations; 0 for never.
    pub stress: u32,
    /// What each collection does besides.
    #[cfg(feature = "stress")]
    pub stress_modes: StressModes,
}

impl Options {
    /// The default: 16,384 roots, a wrap table of 4,096 that does not grow, and
    /// as much memory as there is.
    pub const DEFAULT: Options = Options {
        heap_limit_bytes: u64::MAX,
        root_capacity: 16_384,
        wrap_capacity: 4_096,
        wrap_limit: 4_096,
        handle_floor: 4_095,
        weight_floor_bytes: 64 << 20,
        sizing: Sizing::Balanced,
        least_freed_percent: 2,
        #[cfg(feature = "interior-pointers")]
        interior_pointers: false,
        stress: 0,
        #[cfg(feature = "stress")]
        stress_modes: StressModes::NONE,
    };

    /// How many collections in a row may be futile (`least_freed_percent`).
    pub const MOST_FUTILE: u32 = 8;
    /// The most requests that are refused without a collection, before there is one again.
    pub const REFUSALS: u32 = 64;

    /// The most slots or entries that an option can ask for, so that sizes in
    /// bytes stay in range.
    pub const MOST_ENTRIES: u32 = 1 << 26;

    /// Whether every option is in its range.
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
