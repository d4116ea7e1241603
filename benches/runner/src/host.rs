//! The imports of a workload: a clock, and a table of host handles that counts.
//!
//! The table is a slab with a free list, as a host would have. The release of a handle that is not
//! out is counted as wrong, and has no other effect.

use std::time::Instant;

use wasmtime::StoreLimits;

/// The state behind a store.
pub struct Host {
    started: Instant,
    /// Whether each handle is held, by its number.
    held: Vec<bool>,
    free: Vec<u32>,
    /// Counts of the handles so far.
    pub counts: Counts,
    /// How large the linear memory may become.
    pub limits: StoreLimits,
}

/// Counts of the handles of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handles given out.
    pub acquired: u64,
    /// Handles that came back.
    pub released: u64,
    /// The most handles that were out at one time.
    pub unreleased_peak: u64,
    /// Releases of handles that were not out.
    pub wrong_releases: u64,
}

impl Host {
    /// A host with no handle out and no limit of memory, whose clock starts now.
    pub fn new() -> Self {
        Host {
            started: Instant::now(),
            held: Vec::new(),
            free: Vec::new(),
            counts: Counts::default(),
            limits: StoreLimits::default(),
        }
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> f64 {
        self.started.elapsed().as_nanos() as f64
    }

    /// Gives out a handle.
    #[inline]
    pub fn acquire(&mut self) -> i32 {
        let handle = match self.free.pop() {
            Some(handle) => handle,
            None => {
                self.held.push(false);
                self.held.len() as u32 - 1
            }
        };
        self.held[handle as usize] = true;
        self.counts.acquired += 1;
        let unreleased = self.counts.acquired - self.counts.released;
        self.counts.unreleased_peak = self.counts.unreleased_peak.max(unreleased);
        handle as i32
    }

    /// Takes a handle back.
    #[inline]
    pub fn release(&mut self, handle: i32) {
        let index = handle as u32 as usize;
        match self.held.get_mut(index) {
            Some(held) if *held => {
                *held = false;
                self.free.push(handle as u32);
                self.counts.released += 1;
            }
            _ => self.counts.wrong_releases += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_counted_and_used_again() {
        let mut host = Host::new();
        assert_eq!((host.acquire(), host.acquire()), (0, 1));
        host.release(0);
        assert_eq!(host.acquire(), 0);
        assert_eq!(
            host.counts,
            Counts { acquired: 3, released: 1, unreleased_peak: 2, wrong_releases: 0 }
        );
    }

    #[test]
    fn a_handle_that_is_not_out_is_wrong_to_release() {
        let mut host = Host::new();
        let handle = host.acquire();
        for wrong in [-1, 7] {
            host.release(wrong);
        }
        host.release(handle);
        host.release(handle);
        assert_eq!(host.counts.released, 1);
        assert_eq!(host.counts.wrong_releases, 3);
    }
}
