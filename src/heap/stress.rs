//! Stress modes: what a collection does besides, so that a missing root shows at once.
//!
//! An object that no root names dies at the next collection, and usually nobody notices
//! until another object has its place. With *quarantine* no other object gets it, so the next
//! operation on it answers `InvalidRef` and names it. With *poison* its words say that it is dead,
//! to code that reads it by itself. With *verify* a slot that still refers to it is found.
//!
//! Invariant: ranges of large objects in quarantine are taken from the supply, and counted
//! here; each ends with two words, the end of the next and its own size.

use super::Heap;
use crate::config::StressModes;
use crate::memory::Memory;
use crate::memory::supply::{Purpose, Supply};
use crate::metadata::{self, START};
use crate::observer::Observer;
use crate::units::{Reference, WORD_BYTES};
use crate::verify::Violation;

/// Bytes at a range's end: the end of the next range, and its own size.
const LINK_BYTES: u32 = 2 * WORD_BYTES;

/// A part of a collection that only stress modes have.
type Step<M, O> = Option<fn(&mut Heap<M, O>)>;

/// The stress modes that are on, and their state.
///
/// A collection comes here through two function pointers, which only
/// [`set_stress`](Heap::set_stress) sets: in a program that does not call it, the linker leaves
/// all of this out.
#[derive(Debug)]
pub(super) struct Stressed<M: Memory, O: Observer> {
    modes: StressModes,
    /// Runs after marking, before the sweep.
    pub(super) after_mark: Step<M, O>,
    /// Runs when the collection is done.
    pub(super) at_end: Step<M, O>,
    /// The end of the first range in quarantine, or 0.
    first: u32,
    bytes: u64,
    /// Whether objects have wrapper bits and no entries yet.
    bits_ahead: bool,
    violation: Option<Violation>,
}

impl<M: Memory, O: Observer> Stressed<M, O> {
    /// No stress modes.
    pub(super) const fn new() -> Self {
        Stressed {
            modes: StressModes::NONE,
            after_mark: None,
            at_end: None,
            first: 0,
            bytes: 0,
            bits_ahead: false,
            violation: None,
        }
    }

    pub(super) fn set_bits_ahead(&mut self, ahead: bool) {
        self.bits_ahead = ahead;
    }

    fn keep(&mut self, memory: &mut M, range: u32, size_bytes: u32) {
        let end = range + size_bytes;
        memory.store_u32(end - LINK_BYTES, self.first);
        memory.store_u32(end - WORD_BYTES, size_bytes);
        self.first = end;
        self.bytes += u64::from(size_bytes);
    }

    /// Calls `visit` with each range, beginning and size.
    fn for_each(&self, memory: &M, mut visit: impl FnMut(u32, u32)) {
        let mut end = self.first;
        while end != 0 {
            let size_bytes = memory.load_u32(end - WORD_BYTES);
            visit(end - size_bytes, size_bytes);
            end = memory.load_u32(end - LINK_BYTES);
        }
    }

    /// Gives all ranges back.
    pub(super) fn release(&mut self, supply: &mut Supply<M>) {
        while self.first != 0 {
            let end = self.first;
            let size_bytes = supply.memory.load_u32(end - WORD_BYTES);
            self.first = supply.memory.load_u32(end - LINK_BYTES);
            supply.give_bytes(Purpose::Object, end - size_bytes, size_bytes);
        }
        self.bytes = 0;
    }
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Collects at every so many allocations and registrations from now on (0: at none), as the
    /// option `stress` does, and chooses what collections do besides.
    pub fn set_stress(&mut self, every: u32, modes: StressModes) {
        self.options.stress = every;
        self.stress_left = every;
        self.stressed.modes = modes;
        self.stressed.after_mark = Some(Self::stress_dead);
        self.stressed.at_end = Some(Self::stress_verify);
    }

    /// The first violation that was found after a collection (`StressModes::verify`).
    pub fn violation(&self) -> Option<Violation> {
        self.stressed.violation
    }

    /// Whether an address lies in an object that the last collection found dead. Known
    /// in quarantine only.
    pub fn was_freed(&self, reference: Reference) -> bool {
        let memory = &self.supply.memory;
        let mut in_range = false;
        self.stressed.for_each(memory, |range, size_bytes| {
            in_range |= (range..range + size_bytes).contains(&reference);
        });
        let start = self.blocks.page_map().start(memory, reference);
        in_range || start.is_some_and(|start| memory.load_u8(start) & self.live == 0)
    }

    pub(super) fn quarantined_bytes(&self) -> u64 {
        self.stressed.bytes
    }

    /// Runs after marking and before the sweep, when the objects that are about to be freed have
    /// the dead colour.
    fn stress_dead(&mut self) {
        self.stressed.release(&mut self.supply);
        let modes = self.stressed.modes;
        if modes.poison {
            self.poison_dead();
        }
        if modes.quarantine {
            self.blocks.begin_quarantine(&mut self.supply.memory);
            let stressed = &mut self.stressed;
            self.large.sweep_with(
                &mut self.supply,
                self.live,
                &mut |supply, range, range_bytes| {
                    stressed.keep(&mut supply.memory, range, range_bytes);
                },
            );
        }
    }

    fn poison_dead(&mut self) {
        let dead = START & !self.live;
        let memory = &mut self.supply.memory;
        for index in 0..self.blocks.count() {
            let block = self.blocks.block(memory, index);
            let end = metadata::metadata_end(block);
            let mut at = metadata::find(memory, metadata::first_metadata(block), end, dead);
            while at < end {
                let size_bytes = metadata::object_size(memory, at);
                poison(memory, metadata::granule_of(at), size_bytes);
                at = metadata::find(memory, at + 1, end, dead);
            }
        }
        for position in 0..self.large.count() {
            if self.large.flags(memory, position) & dead != 0 {
                let address = self.large.address(memory, position);
                poison(memory, address, self.large.size(memory, position));
            }
        }
    }

    /// After a collection; not while `register_many` has set wrapper bits ahead of their
    /// entries.
    fn stress_verify(&mut self) {
        let Stressed { modes, violation, bits_ahead, .. } = self.stressed;
        if !modes.verify || violation.is_some() || bits_ahead {
            return;
        }
        self.stressed.violation = self.verify();
        if let Some(Violation { invariant, at }) = self.stressed.violation {
            self.observer.broken(invariant as u32, at);
        }
    }
}

fn poison<M: Memory>(memory: &mut M, from: u32, size_bytes: u32) {
    for at in (from..from + size_bytes).step_by(WORD_BYTES as usize) {
        memory.store_u32(at, StressModes::POISON);
    }
}
