//! What a language can choose: limits, capacities and when to collect.

use crate::error::{Error, OptionName};

/// When the heap collects instead of growing: how much may be allocated after a
/// collection that left `live` bytes before the next one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizing {
    /// So many bytes, whatever is live.
    Fixed {
        /// Bytes between collections.
        budget_bytes: u32,
    },
    /// `live · percent / 100`, and never less than [`Sizing::FLOOR_BYTES`].
    Factor {
        /// Percent of what is live.
        percent: u32,
    },
    /// `percent / 100 · √(live · 1 MiB)`, and never less than the floor
    /// ([optimal-limits]).
    SquareRoot {
        /// The constant before the root, in percent.
        percent: u32,
    },
}

impl Sizing {
    /// The least that is allocated between two collections for lack of space.
    pub const FLOOR_BYTES: u64 = 4 << 20;

    /// How many bytes may be allocated when `live_bytes` are live.
    pub fn budget_bytes(self, live_bytes: u32) -> u64 {
        let product = |factor: u32, percent: u32| u64::from(factor) * u64::from(percent) / 100;
        match self {
            Sizing::Fixed { budget_bytes } => u64::from(budget_bytes),
            Sizing::Factor { percent } => Self::FLOOR_BYTES.max(product(live_bytes, percent)),
            Sizing::SquareRoot { percent } => {
                // √(live · 1 MiB) = √live · 1 KiB
                Self::FLOOR_BYTES.max(product(square_root(live_bytes) << 10, percent))
            }
        }
    }
}

/// The square root, rounded down, bit by bit: it runs once a collection, and the
/// library's is ten times larger.
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

/// Options for a heap, fixed when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most memory for everything that the collector keeps, in bytes.
    pub heap_limit_bytes: u64,
    /// Slots of the shadow stack, scopes included.
    pub root_capacity: u32,
    /// Entries of the wrap table at the start.
    pub wrap_capacity: u32,
    /// Entries to which the wrap table may grow.
    pub wrap_limit: u32,
    /// How many handles may be registered between collections, at the least.
    pub handle_floor: u32,
    /// How many external bytes may be registered between collections, at the least.
    pub weight_floor_bytes: u32,
    /// When to collect.
    pub sizing: Sizing,
    /// Whether a conservatively traced word that points inside an object keeps
    /// it alive.
    #[cfg(feature = "interior-pointers")]
    pub interior_pointers: bool,
    /// Collect at every so many allocations and registrations; 0 for never.
    pub stress: u32,
}

impl Options {
    /// The default: 16,384 roots, a wrap table of 4,096 that does not grow, and
    /// as much memory as there is.
    pub const DEFAULT: Options = Options {
        heap_limit_bytes: u64::MAX,
        root_capacity: 16_384,
        wrap_capacity: 4_096,
        wrap_limit: 4_096,
        handle_floor: 4_096,
        weight_floor_bytes: 64 << 20,
        sizing: Sizing::Factor { percent: 100 },
        #[cfg(feature = "interior-pointers")]
        interior_pointers: false,
        stress: 0,
    };

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
        if self.heap_limit_bytes == 0 {
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
