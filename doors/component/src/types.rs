//! The types of `wit/`, by their names there.

use crate::answer::pack;
pub use tether_gc::{Handle as DeadHandle, Registration, Store, Words};

/// `types.error`.
#[derive(Clone, Copy, Debug)]
pub struct Error {
    /// The number of the case of `error-code`, from 0 on.
    pub code: u8,
    /// The figure.
    pub value: u32,
}

impl From<tether_gc::Error> for Error {
    fn from(error: tether_gc::Error) -> Self {
        let packed = pack(Err(error));
        Error { code: (packed >> 32) as u8 - 1, value: packed as u32 }
    }
}

/// `heap.sizing`.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "as in wit/")]
pub enum Sizing {
    Fixed(u32),
    Factor(u32),
    SquareRoot(u32),
}

/// `heap.options`.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "as in wit/")]
pub struct Options {
    pub heap_limit_bytes: u32,
    pub root_capacity: u32,
    pub wrap_capacity: u32,
    pub wrap_limit: u32,
    pub handle_floor: u32,
    pub weight_floor_bytes: u32,
    pub sizing: Option<Sizing>,
    pub stress: u32,
}

/// `heap.build-error`.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "as in wit/")]
pub struct BuildError {
    pub at: u32,
    pub reason: Error,
}

/// `diagnostics.statistics`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "as in wit/")]
pub struct Statistics {
    pub collections: u32,
    pub collections_for_handles: u32,
    pub heap_bytes: u32,
    pub heap_peak_bytes: u32,
    pub live_bytes: u32,
    pub allocated_bytes: u64,
    pub wrappers_registered: u64,
    pub handles_released: u64,
    pub wrappers_live: u32,
    pub unreleased_peak: u32,
    pub wrap_table_capacity: u32,
    pub wrap_table_peak: u32,
    pub roots: u32,
    pub roots_peak: u32,
    pub external_bytes: u64,
    pub pause_longest_ns: u64,
    pub pause_total_ns: u64,
}

/// `diagnostics.violation`.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "as in wit/")]
pub struct Violation {
    pub invariant: u32,
    pub at: u32,
}
