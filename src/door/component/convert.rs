//! WIT's types to the collector's, and back.

use super::bindings::exports::tether::gc::{diagnostics, heap, types};
use super::{ComponentHeap, watch};
use crate::config::{Options, Sizing};
use crate::error::Error;
use crate::heap::{BuildError, Statistics};
use crate::layout::Words;
use crate::verify::Violation;

impl From<Error> for types::Error {
    // Every export would have its own copy.
    #[inline(never)]
    fn from(error: Error) -> Self {
        use types::ErrorCode as Code;
        let (code, value) = match error {
            Error::OutOfMemory { needed_bytes } => (Code::OutOfMemory, needed_bytes),
            Error::WrapTableFull { capacity } => (Code::WrapTableFull, capacity),
            Error::RootStackFull { capacity } => (Code::RootStackFull, capacity),
            Error::NoSuchRoot { index } => (Code::NoSuchRoot, index),
            Error::NoScope => (Code::NoScope, 0),
            Error::InvalidRef { reference } => (Code::InvalidRef, reference),
            Error::InvalidLayout { layout } => (Code::InvalidLayout, layout),
            Error::OutOfBounds { size_bytes } => (Code::OutOfBounds, size_bytes),
            Error::ReferenceSlot { offset_bytes } => (Code::ReferenceSlot, offset_bytes),
            Error::AlreadyRegistered { reference } => (Code::AlreadyRegistered, reference),
            Error::NotRegistered { reference } => (Code::NotRegistered, reference),
            Error::NotPinned { reference } => (Code::NotPinned, reference),
            Error::InvalidInstruction { word } => (Code::InvalidInstruction, word),
            Error::InvalidOption { option } => (Code::InvalidOption, option as u32),
            Error::AlreadyStarted => (Code::AlreadyStarted, 0),
            Error::Busy => (Code::Busy, 0),
            Error::Closed => (Code::Closed, 0),
        };
        types::Error { code, value }
    }
}

impl From<BuildError> for heap::BuildError {
    fn from(error: BuildError) -> Self {
        heap::BuildError { at: error.at, reason: error.reason.into() }
    }
}

impl From<heap::Options> for Options {
    fn from(wit: heap::Options) -> Self {
        let default = Options::DEFAULT;
        let or = |value: u32, default: u32| if value == 0 { default } else { value };
        let wrap_capacity = or(wit.wrap_capacity, default.wrap_capacity);
        Options {
            heap_limit_bytes: match wit.heap_limit_bytes {
                0 => default.heap_limit_bytes,
                limit => u64::from(limit),
            },
            root_capacity: or(wit.root_capacity, default.root_capacity),
            wrap_capacity,
            wrap_limit: or(wit.wrap_limit, wrap_capacity),
            handle_floor: or(wit.handle_floor, default.handle_floor),
            weight_floor_bytes: or(wit.weight_floor_bytes, default.weight_floor_bytes),
            sizing: wit.sizing.map_or(default.sizing, |sizing| match sizing {
                heap::Sizing::Fixed(budget_bytes) => Sizing::Fixed { budget_bytes },
                heap::Sizing::Factor(percent) => Sizing::Factor { percent },
                heap::Sizing::SquareRoot(percent) => Sizing::SquareRoot { percent },
            }),
            stress: wit.stress,
            #[cfg(feature = "stress")]
            stress_modes: default.stress_modes,
            #[cfg(feature = "interior-pointers")]
            interior_pointers: default.interior_pointers,
        }
    }
}

impl From<heap::Words> for Words {
    fn from(wit: heap::Words) -> Self {
        Words::new(wit.count, wit.references)
    }
}

impl From<Violation> for diagnostics::Violation {
    fn from(violation: Violation) -> Self {
        diagnostics::Violation { invariant: violation.invariant as u32, at: violation.at }
    }
}

/// Bytes as WIT gives them: a 32-bit memory holds no more.
fn bytes(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The statistics of a heap that is not there, or busy.
pub const NO_STATISTICS: diagnostics::Statistics = diagnostics::Statistics {
    collections: 0,
    collections_for_handles: 0,
    heap_bytes: 0,
    heap_peak_bytes: 0,
    live_bytes: 0,
    allocated_bytes: 0,
    wrappers_registered: 0,
    handles_released: 0,
    wrappers_live: 0,
    unreleased_peak: 0,
    wrap_table_capacity: 0,
    wrap_table_peak: 0,
    roots: 0,
    roots_peak: 0,
    external_bytes: 0,
    pause_longest_ns: 0,
    pause_total_ns: 0,
};

/// The statistics of a heap, with its pauses.
pub fn statistics(heap: &ComponentHeap) -> diagnostics::Statistics {
    let Statistics {
        collections,
        collections_for_handles,
        heap_bytes,
        heap_peak_bytes,
        live_bytes,
        allocated_bytes,
        wrappers_registered,
        handles_released,
        wrappers_live,
        unreleased_peak,
        wrap_table_capacity,
        wrap_table_peak,
        roots,
        roots_peak,
        external_bytes,
    } = heap.statistics();
    let (pause_longest_ns, pause_total_ns) = watch::pauses(heap.observer());
    diagnostics::Statistics {
        collections,
        collections_for_handles,
        heap_bytes: bytes(heap_bytes),
        heap_peak_bytes: bytes(heap_peak_bytes),
        live_bytes: bytes(live_bytes),
        allocated_bytes,
        wrappers_registered,
        handles_released,
        wrappers_live,
        unreleased_peak,
        wrap_table_capacity,
        wrap_table_peak,
        roots,
        roots_peak,
        external_bytes,
        pause_longest_ns,
        pause_total_ns,
    }
}
