//! The shadow stack: roots that the mutator pushes, and scopes.
//!
//! Both share one range of memory whose size is fixed when the heap is made.
//! Roots grow from its low end and scopes from its high end; they are full when
//! they would meet. One slot between them always stays free: `register` pushes
//! its wrapper in flight there, so that it can never fail for lack of a slot.
//!
//! A scope begins with a *link* slot, `previous scope's link << 1 | 1`, odd and so
//! never a reference. What the collector roots in the scope lies below it.
//! Scopes work like JNI's local frames [jni §5] and V8's handle scopes.
//!
//! Invariants: `top < low`; slots `0..top` and the scopes' slots are null or live
//! objects; following the links from `link` ends at [`NO_LINK`] after
//! `scope_depth` steps, upwards.

#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::region::Region;
use crate::units::{Reference, WORD_BYTES};
use core::ops::Range;

/// The link of the outermost scope.
const NO_LINK: u32 = u32::MAX >> 1;

/// Roots and scopes.
#[derive(Debug)]
pub struct Roots {
    slots: Region,
    capacity: u32,
    top: u32,
    low: u32,
    link: u32,
    scope_depth: u32,
    peak: u32,
}

/// The roots as a loop has them that pushes and pops many: addresses, by value.
#[derive(Clone, Copy, Debug)]
pub struct Operands {
    base: u32,
    top: u32,
    end: u32,
    peak: u32,
}

impl Operands {
    /// Whether so many can be popped, and then one pushed.
    #[inline(always)]
    pub fn can_replace(self, count: u32) -> bool {
        count * WORD_BYTES <= self.top - self.base && self.top < self.end
    }

    /// Pops so many, which are there. Gives the address of the first of them.
    #[inline(always)]
    pub fn pop(&mut self, count: u32) -> u32 {
        self.peak = self.peak.max(self.top);
        self.top -= count * WORD_BYTES;
        self.top
    }

    /// Pushes one, for which there is room.
    #[inline(always)]
    pub fn push<M: Memory>(&mut self, memory: &mut M, object: Reference) {
        memory.store_u32(self.top, object);
        self.top += WORD_BYTES;
    }
}

impl Roots {
    /// A shadow stack of `capacity` slots, which has no memory yet.
    pub const fn new(capacity: u32) -> Self {
        Roots {
            slots: Region::EMPTY,
            capacity,
            top: 0,
            low: capacity.saturating_add(1),
            link: NO_LINK,
            scope_depth: 0,
            peak: 0,
        }
    }

    /// Takes the memory. Whether it could be had.
    #[must_use]
    pub fn take_memory<M: Memory>(&mut self, supply: &mut Supply<M>) -> bool {
        if self.is_given() {
            return true;
        }
        self.slots.reserve(supply, (self.capacity + 1) * WORD_BYTES)
    }

    /// A shadow stack in memory of the program's own: `capacity + 1` words.
    #[cfg(feature = "core")]
    pub const fn in_place(capacity: u32, address: u32) -> Self {
        let mut roots = Self::new(capacity);
        // A region of no bytes at an address: not taken, and so never given back.
        roots.slots = Region { address, size_bytes: 0 };
        roots
    }

    fn is_given(&self) -> bool {
        self.slots.size_bytes == 0 && self.slots.address != 0
    }

    /// Where the shadow stack begins, where its next slot is, and where its slots
    /// end: as addresses, for code that pushes by itself.
    #[cfg(feature = "core")]
    pub fn addresses(&self) -> (u32, u32, u32) {
        let Operands { base, top, end, .. } = self.operands();
        (base, top, end)
    }

    /// Takes over what other code pushed and popped: the address of the next slot.
    #[cfg(feature = "core")]
    pub fn adopt_top(&mut self, next_slot: u32) -> Result<(), Error> {
        let (base, _, end) = self.addresses();
        if !(base..=end).contains(&next_slot) || !next_slot.is_multiple_of(WORD_BYTES) {
            return Err(Error::RootStackFull { capacity: self.capacity });
        }
        self.top = (next_slot - base) / WORD_BYTES;
        self.note_peak();
        Ok(())
    }

    /// How many roots are pushed.
    #[inline]
    pub fn depth(&self) -> u32 {
        self.top
    }

    /// How many scopes are open.
    #[inline]
    pub fn scope_depth(&self) -> u32 {
        self.scope_depth
    }

    /// Slots in use, by roots and by scopes.
    pub fn used(&self) -> u32 {
        self.top + (self.capacity + 1 - self.low)
    }

    /// The most slots that were in use.
    pub fn peak(&self) -> u32 {
        self.peak
    }

    /// Whether `count` more slots are free.
    #[inline(always)]
    pub fn has_room(&self, count: u32) -> bool {
        count < self.low - self.top
    }

    /// The same, as an error.
    #[inline]
    pub fn check_room(&self, count: u32) -> Result<(), Error> {
        if !self.has_room(count) {
            return Err(Error::RootStackFull { capacity: self.capacity });
        }
        Ok(())
    }

    /// Pushes a root.
    #[inline]
    pub fn push<M: Memory>(&mut self, memory: &mut M, object: Reference) -> Result<(), Error> {
        self.check_room(1)?;
        self.push_in_room(memory, object);
        Ok(())
    }

    /// Pushes a root, for which there is room.
    #[inline(always)]
    pub fn push_in_room<M: Memory>(&mut self, memory: &mut M, object: Reference) {
        self.put(memory, self.top, object);
        self.top += 1;
        self.note_peak();
    }

    /// Pops the top root.
    pub fn pop<M: Memory>(&mut self, memory: &M) -> Result<Reference, Error> {
        self.pop_one(memory).ok_or(Error::NoSuchRoot { index: 0 })
    }

    /// Pops the top root, if there is one.
    #[inline(always)]
    pub fn pop_one<M: Memory>(&mut self, memory: &M) -> Option<Reference> {
        let top = self.top.checked_sub(1)?;
        self.top = top;
        Some(self.slot(memory, top))
    }

    /// Pops roots until `depth` are left.
    pub fn truncate(&mut self, depth: u32) -> Result<(), Error> {
        if depth > self.top {
            return Err(Error::NoSuchRoot { index: depth });
        }
        self.top = depth;
        Ok(())
    }

    /// The roots as operands.
    #[inline(always)]
    pub fn operands(&self) -> Operands {
        let slot = |index| self.slots.address + index * WORD_BYTES;
        let top = slot(self.top);
        Operands { base: slot(0), top, end: slot(self.low - 1), peak: top }
    }

    /// Takes over what became of them.
    #[inline(always)]
    pub fn adopt_operands(&mut self, operands: Operands) {
        self.top = (operands.peak.max(operands.top) - operands.base) / WORD_BYTES;
        self.note_peak();
        self.top = (operands.top - operands.base) / WORD_BYTES;
    }

    /// Pops roots until `depth` are left, and pushes one instead. There is room: one was
    /// popped, or it was checked for.
    #[inline]
    pub fn replace_from<M: Memory>(&mut self, memory: &mut M, depth: u32, object: Reference) {
        self.put(memory, depth, object);
        self.top = depth + 1;
        self.note_peak();
    }

    /// The root at an index from the bottom.
    pub fn get<M: Memory>(&self, memory: &M, index: u32) -> Result<Reference, Error> {
        self.check_index(index)?;
        Ok(self.slot(memory, index))
    }

    /// Replaces the root at an index from the bottom.
    pub fn set<M: Memory>(
        &mut self,
        memory: &mut M,
        index: u32,
        object: Reference,
    ) -> Result<(), Error> {
        self.check_index(index)?;
        self.put(memory, index, object);
        Ok(())
    }

    /// Pushes an object in flight, in the slot that is kept free for it.
    /// [`pop_in_flight`](Self::pop_in_flight) follows, before anything else.
    pub fn push_in_flight<M: Memory>(&mut self, memory: &mut M, object: Reference) {
        self.put(memory, self.top, object);
        self.top += 1;
    }

    /// Takes back what `push_in_flight` pushed.
    pub fn pop_in_flight(&mut self) {
        self.top -= 1;
    }

    /// Opens a scope.
    pub fn enter_scope<M: Memory>(&mut self, memory: &mut M) -> Result<(), Error> {
        self.check_room(1)?;
        self.low -= 1;
        self.put(memory, self.low, self.link << 1 | 1);
        self.link = self.low;
        self.scope_depth += 1;
        self.note_peak();
        Ok(())
    }

    /// Leaves the innermost scope; the one around it, if any, roots `keep`.
    pub fn leave_scope<M: Memory>(&mut self, memory: &mut M, keep: Reference) -> Result<(), Error> {
        if self.scope_depth == 0 {
            return Err(Error::NoScope);
        }
        let outer = self.slot(memory, self.link) >> 1;
        self.low = self.link + 1;
        self.link = outer;
        self.scope_depth -= 1;
        if self.scope_depth > 0 && keep != 0 {
            // The link's own slot is free now, so there is room.
            self.push_scoped(memory, keep);
        }
        Ok(())
    }

    /// Roots a new object in the innermost scope. Room was checked for.
    #[inline]
    pub fn push_scoped<M: Memory>(&mut self, memory: &mut M, object: Reference) {
        self.low -= 1;
        self.put(memory, self.low, object);
        self.note_peak();
    }

    /// The indexes of all slots in use, for [`root`](Self::root).
    pub fn indexes(&self) -> [Range<u32>; 2] {
        [0..self.top, self.low..self.capacity + 1]
    }

    /// The root in a slot in use; null in the slot of a scope's link. A pushed word may be
    /// anything: only among the scopes' slots is an odd word a link.
    #[inline]
    pub fn root<M: Memory>(&self, memory: &M, index: u32) -> u32 {
        let word = self.slot(memory, index);
        if index >= self.low && word & 1 != 0 { 0 } else { word }
    }

    /// Bytes that the stack takes.
    pub fn size_bytes(&self) -> u32 {
        self.slots.size_bytes
    }

    /// Whether the links and bounds are as they must be.
    pub fn is_consistent<M: Memory>(&self, memory: &M) -> bool {
        if self.top >= self.low || self.low > self.capacity + 1 {
            return false;
        }
        let mut link = self.link;
        for _ in 0..self.scope_depth {
            if link < self.low || link > self.capacity {
                return false;
            }
            let slot = self.slot(memory, link);
            let outer = slot >> 1;
            if slot & 1 == 0 || outer <= link {
                return false;
            }
            link = outer;
        }
        link == NO_LINK
    }

    /// The lowest slot of the scopes: what is rooted in the innermost one from now on lies
    /// below it, until [`unroot_scoped`](Self::unroot_scoped).
    pub fn scoped(&self) -> u32 {
        self.low
    }

    /// Takes back what the innermost scope rooted since [`scoped`](Self::scoped).
    pub fn unroot_scoped(&mut self, scoped: u32) {
        self.low = scoped;
    }

    /// Gives the memory back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        if !self.is_given() {
            self.slots.release(supply);
        }
        self.top = 0;
        self.low = self.capacity + 1;
        self.link = NO_LINK;
        self.scope_depth = 0;
    }

    fn check_index(&self, index: u32) -> Result<(), Error> {
        if index >= self.top {
            return Err(Error::NoSuchRoot { index });
        }
        Ok(())
    }

    #[inline]
    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.used());
    }

    #[inline]
    fn slot<M: Memory>(&self, memory: &M, index: u32) -> u32 {
        memory.load_u32(self.slots.address + index * WORD_BYTES)
    }

    #[inline]
    fn put<M: Memory>(&self, memory: &mut M, index: u32, value: u32) {
        memory.store_u32(self.slots.address + index * WORD_BYTES, value);
    }
}
