//! The core door's statistics, verifier and stress modes: the functions that a small
//! build can do without.

use crate::{Door, Program, answer, refuse};
use tether_gc::{Error, OptionName, StressModes};

/// `tether_statistics`.
#[repr(C)]
struct CoreStatistics {
    collections: u32,
    collections_for_handles: u32,
    heap_bytes: u32,
    heap_peak_bytes: u32,
    live_bytes: u64,
    allocated_bytes: u64,
    wrappers_registered: u64,
    handles_released: u64,
    wrappers_live: u32,
    unreleased_peak: u32,
    wrap_table_capacity: u32,
    wrap_table_peak: u32,
    roots: u32,
    roots_peak: u32,
    external_bytes: u64,
}

#[expect(missing_docs, reason = "the header and docs/core-abi.md say what each does")]
impl<P: Program> Door<P> {
    pub fn tether_read_statistics(into: u32) -> u32 {
        let result = Self::with_heap(|heap| {
            let counts = heap.statistics();
            answer(
                into,
                CoreStatistics {
                    collections: counts.collections,
                    collections_for_handles: counts.collections_for_handles,
                    heap_bytes: u32::try_from(counts.heap_bytes).unwrap_or(u32::MAX),
                    heap_peak_bytes: u32::try_from(counts.heap_peak_bytes).unwrap_or(u32::MAX),
                    live_bytes: counts.live_bytes,
                    allocated_bytes: counts.allocated_bytes,
                    wrappers_registered: counts.wrappers_registered,
                    handles_released: counts.handles_released,
                    wrappers_live: counts.wrappers_live,
                    unreleased_peak: counts.unreleased_peak,
                    wrap_table_capacity: counts.wrap_table_capacity,
                    wrap_table_peak: counts.wrap_table_peak,
                    roots: counts.roots,
                    roots_peak: counts.roots_peak,
                    external_bytes: counts.external_bytes,
                },
            )
        });
        result.map_or_else(refuse, |()| 0)
    }

    pub fn tether_verify(at: u32) -> u32 {
        let result = Self::with_heap(|heap| match heap.violation().or_else(|| heap.verify()) {
            None => Ok(0),
            Some(violation) => {
                if at != 0 {
                    answer(at, violation.at)?;
                }
                Ok(violation.invariant as u32)
            }
        });
        result.unwrap_or_else(|error| {
            refuse(error);
            u32::MAX
        })
    }

    /// Collects at every so many allocations and registrations from now on, and chooses what
    /// collections do besides, a bit each.
    pub fn tether_stress(every: u32, modes: u32) -> u32 {
        const POISON: u32 = 1;
        const QUARANTINE: u32 = 1 << 1;
        const VERIFY: u32 = 1 << 2;
        const ALL: u32 = POISON | QUARANTINE | VERIFY;
        let result = Self::with_heap(|heap| {
            if modes & !ALL != 0 {
                return Err(Error::InvalidOption { option: OptionName::Stress });
            }
            heap.set_stress(
                every,
                StressModes {
                    poison: modes & POISON != 0,
                    quarantine: modes & QUARANTINE != 0,
                    verify: modes & VERIFY != 0,
                },
            );
            Ok(())
        });
        result.map_or_else(refuse, |()| 0)
    }
}
