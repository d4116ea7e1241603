//! The shadow stack: roots that the mutator pushes, and scopes.
//!
//! Roots and scopes share one range of memory, whose size is fixed when the heap starts. Roots grow
//! from its low end, and scopes from its high end; the stack is full when the two would meet. One
//! slot between them stays free. An operation that collects while it has an object in flight pushes
//! the object there (`register` its wrapper, `pin` its object), so it cannot fail for lack of a
//! slot.
//!
//! A scope begins with a *link* slot, `previous scope's link << 1 | 1`. It is odd, so it is never a
//! reference. The objects that the collector roots in the scope lie below the link. Scopes work
//! like JNI's local frames [jni §5] and V8's handle scopes.
//!
//! Invariants:
//! 1. `top < low`, except while an object is in flight.
//! 2. Slots of scopes are null or live objects, and so are slots `0..top`, except for words that
//!    compiled code pushed by itself.
//! 3. The links, followed from `link` on, lead upwards, and to [`NO_LINK`] after `scope_depth`
//!    steps.
//! 4. A push below `noted` finds room, and leaves `peak` as it is.

#[cfg(test)]
mod tests;

use crate::buffer::Buffer;
use crate::error::Error;
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::units::{Reference, WORD_BYTES};
use core::ops::Range;

/// The link of the outermost scope.
const NO_LINK: u32 = u32::MAX >> 1;

/// The shadow stack.
#[derive(Debug)]
pub struct Roots {
    slots: Buffer,
    /// Slots for roots and scopes. The memory has one more.
    capacity: u32,
    /// The first free slot above the roots.
    top: u32,
    /// The lowest slot of the scopes.
    low: u32,
    /// The slot of the innermost scope's link.
    link: u32,
    scope_depth: u32,
    /// The most slots that were in use at one time.
    peak: u32,
    /// The slot up to which roots are pushed in line: there is room, and so many slots were in use
    /// before.
    noted: u32,
    /// Whether the top root is an object in flight.
    in_flight: bool,
}

/// The roots in a loop that pushes and pops many of them: as addresses, by value.
#[derive(Clone, Copy, Debug)]
pub struct Operands {
    base: u32,
    top: u32,
    end: u32,
    peak: u32,
}

impl Operands {
    /// Returns true if `count` roots can be popped, and one pushed then.
    #[inline(always)]
    pub fn can_replace(self, count: u32) -> bool {
        count * WORD_BYTES <= self.top - self.base && self.top < self.end
    }

    /// Pops `count` roots, which must be there, and returns the address of the lowest.
    #[inline(always)]
    pub fn pop(&mut self, count: u32) -> u32 {
        self.peak = self.peak.max(self.top);
        self.top -= count * WORD_BYTES;
        self.top
    }

    /// Pushes a root. There is room for it.
    #[inline(always)]
    pub fn push<M: Memory>(&mut self, memory: &mut M, object: Reference) {
        memory.store_u32(self.top, object);
        self.top += WORD_BYTES;
    }
}

impl Roots {
    /// Makes a shadow stack of `capacity` slots, which has no memory yet.
    pub const fn new(capacity: u32) -> Self {
        Roots {
            slots: Buffer::EMPTY,
            capacity,
            top: 0,
            low: capacity.saturating_add(1),
            link: NO_LINK,
            scope_depth: 0,
            peak: 0,
            noted: 0,
            in_flight: false,
        }
    }

    /// Takes the memory. False if memory refuses it.
    #[must_use]
    pub fn take_memory<M: Memory>(&mut self, supply: &mut Supply<M>) -> bool {
        if self.is_given() {
            return true;
        }
        self.slots.reserve(supply, (self.capacity + 1) * WORD_BYTES)
    }

    /// Makes a shadow stack in memory of the program's own: `capacity + 1` words.
    pub const fn in_place(capacity: u32, address: u32) -> Self {
        let mut roots = Self::new(capacity);
        // The buffer has an address and no bytes, so it is never given back.
        roots.slots = Buffer { address, size_bytes: 0 };
        roots
    }

    /// Returns true if the memory is the program's own.
    fn is_given(&self) -> bool {
        self.slots.size_bytes == 0 && self.slots.address != 0
    }

    /// Returns the addresses of the first slot, of the next free slot, and of the end, for code
    /// that pushes and pops by itself.
    pub fn addresses(&self) -> (u32, u32, u32) {
        let Operands { base, top, end, .. } = self.operands();
        (base, top, end)
    }

    /// Takes over what other code pushed and popped. `next_slot` is the address of the next free
    /// slot.
    ///
    /// Errors: `RootStackFull` if the address is that of no slot.
    pub fn adopt_top(&mut self, next_slot: u32) -> Result<(), Error> {
        let (base, _, end) = self.addresses();
        if !(base..=end).contains(&next_slot) || !next_slot.is_multiple_of(WORD_BYTES) {
            return Err(Error::RootStackFull { capacity: self.capacity });
        }
        self.top = (next_slot - base) / WORD_BYTES;
        self.note_peak();
        Ok(())
    }

    /// Returns the number of roots that are pushed.
    pub fn depth(&self) -> u32 {
        self.top
    }

    /// Returns the number of open scopes.
    pub fn scope_depth(&self) -> u32 {
        self.scope_depth
    }

    /// Returns the number of slots in use, by roots and by scopes.
    pub fn used(&self) -> u32 {
        self.top + (self.capacity + 1 - self.low)
    }

    /// Returns the most slots that were in use at one time.
    pub fn peak(&self) -> u32 {
        self.peak
    }

    /// Returns true if `count` more slots are free.
    #[inline(always)]
    pub fn has_room(&self, count: u32) -> bool {
        count < self.low - self.top
    }

    /// Checks that `count` more slots are free. Errors: `RootStackFull`.
    pub fn check_room(&self, count: u32) -> Result<(), Error> {
        if !self.has_room(count) {
            return Err(Error::RootStackFull { capacity: self.capacity });
        }
        Ok(())
    }

    /// Pushes a root. Errors: `RootStackFull`.
    pub fn push<M: Memory>(&mut self, memory: &mut M, object: Reference) -> Result<(), Error> {
        self.check_room(1)?;
        self.put(memory, self.top, object);
        self.top += 1;
        self.note_peak();
        Ok(())
    }

    /// Returns true if a root can be pushed [in line](Self::push_in_line).
    #[inline(always)]
    pub fn pushes_in_line(&self) -> bool {
        self.top < self.noted
    }

    /// Pushes a root below the most slots that were ever in use, so there is nothing to note.
    #[inline(always)]
    pub fn push_in_line<M: Memory>(&mut self, memory: &mut M, object: Reference) {
        // `top` is written first: behind the store to memory the compiler would load it again.
        let top = self.top;
        self.top = top + 1;
        self.put(memory, top, object);
    }

    /// Pops the top root. None if there is none.
    #[inline(always)]
    pub fn pop<M: Memory>(&mut self, memory: &M) -> Option<Reference> {
        let top = self.top.checked_sub(1)?;
        self.top = top;
        Some(self.slot(memory, top))
    }

    /// Pops roots until `depth` are left. Errors: `NoSuchRoot` if fewer are pushed.
    pub fn truncate(&mut self, depth: u32) -> Result<(), Error> {
        if depth > self.top {
            return Err(Error::NoSuchRoot { index: depth });
        }
        self.top = depth;
        Ok(())
    }

    /// Returns the roots as operands.
    #[inline(always)]
    pub fn operands(&self) -> Operands {
        let slot = |index| self.slots.address + index * WORD_BYTES;
        let top = slot(self.top);
        Operands { base: slot(0), top, end: slot(self.low - 1), peak: top }
    }

    /// Takes over what a loop pushed and popped.
    #[inline(always)]
    pub fn adopt_operands(&mut self, operands: Operands) {
        self.top = (operands.peak.max(operands.top) - operands.base) / WORD_BYTES;
        self.note_peak();
        self.top = (operands.top - operands.base) / WORD_BYTES;
    }

    /// Pops roots until `depth` are left, and pushes one. There is room for it: at least one was
    /// popped, or room was checked for.
    pub fn replace_from<M: Memory>(&mut self, memory: &mut M, depth: u32, object: Reference) {
        self.put(memory, depth, object);
        self.top = depth + 1;
        self.note_peak();
    }

    /// Returns the root at an index from the bottom. Errors: `NoSuchRoot`.
    pub fn get<M: Memory>(&self, memory: &M, index: u32) -> Result<Reference, Error> {
        self.check_index(index)?;
        Ok(self.slot(memory, index))
    }

    /// Replaces the root at an index from the bottom. Errors: `NoSuchRoot`.
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
    /// [`pop_in_flight`](Self::pop_in_flight) must be the next call that changes the roots.
    pub fn push_in_flight<M: Memory>(&mut self, memory: &mut M, object: Reference) {
        self.put(memory, self.top, object);
        self.top += 1;
        self.in_flight = true;
    }

    /// Pops the object in flight.
    pub fn pop_in_flight(&mut self) {
        self.top -= 1;
        self.in_flight = false;
    }

    /// Opens a scope. Errors: `RootStackFull`.
    pub fn enter_scope<M: Memory>(&mut self, memory: &mut M) -> Result<(), Error> {
        self.check_room(1)?;
        self.low -= 1;
        self.put(memory, self.low, self.link << 1 | 1);
        self.link = self.low;
        self.scope_depth += 1;
        self.note_peak();
        Ok(())
    }

    /// Leaves the innermost scope. The scope around it, if there is one, roots `keep`. Errors:
    /// `NoScope`.
    pub fn leave_scope<M: Memory>(&mut self, memory: &mut M, keep: Reference) -> Result<(), Error> {
        if self.scope_depth == 0 {
            return Err(Error::NoScope);
        }
        let outer = self.slot(memory, self.link) >> 1;
        self.low = self.link + 1;
        self.link = outer;
        self.scope_depth -= 1;
        self.note_peak();
        if self.scope_depth > 0 && keep != 0 {
            // There is room: the link's slot has become free.
            self.push_scoped(memory, keep);
        }
        Ok(())
    }

    /// Roots a new object in the innermost scope. Room was checked for.
    pub fn push_scoped<M: Memory>(&mut self, memory: &mut M, object: Reference) {
        self.low -= 1;
        self.put(memory, self.low, object);
        self.note_peak();
    }

    /// Returns the indexes of all slots in use, for [`root`](Self::root).
    pub fn indexes(&self) -> [Range<u32>; 2] {
        [0..self.top, self.low..self.capacity + 1]
    }

    /// Returns the root in a slot in use; null for the slot of a scope's link. Among the scopes'
    /// slots an odd word is a link. A pushed word may be any word.
    pub fn root<M: Memory>(&self, memory: &M, index: u32) -> u32 {
        let word = self.slot(memory, index);
        if index >= self.low && word & 1 != 0 { 0 } else { word }
    }

    /// Returns the bytes of the stack that were taken from the supply.
    pub fn size_bytes(&self) -> u32 {
        self.slots.size_bytes
    }

    /// Returns true if bounds and links hold their invariants.
    pub fn is_consistent<M: Memory>(&self, memory: &M) -> bool {
        let in_flight = u32::from(self.in_flight);
        if self.top >= self.low + in_flight || self.low > self.capacity + 1 {
            return false;
        }
        let scoped = self.capacity + 1 - self.low;
        if self.noted >= self.low || self.noted + scoped > self.peak {
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

    /// Returns the lowest slot of the scopes, for [`unroot_scoped`](Self::unroot_scoped).
    pub fn scoped(&self) -> u32 {
        self.low
    }

    /// Unroots the objects that the innermost scope rooted since [`scoped`](Self::scoped) returned
    /// this slot.
    pub fn unroot_scoped(&mut self, scoped: u32) {
        self.low = scoped;
        self.note_peak();
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
        self.noted = 0;
    }

    fn check_index(&self, index: u32) -> Result<(), Error> {
        if index >= self.top {
            return Err(Error::NoSuchRoot { index });
        }
        Ok(())
    }

    /// Notes how many slots are in use, after a change of `low` or a push that is not in line.
    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.used());
        let scoped = self.capacity + 1 - self.low;
        self.noted = (self.peak - scoped).min(self.low - 1);
    }

    fn slot<M: Memory>(&self, memory: &M, index: u32) -> u32 {
        memory.load_u32(self.slots.address + index * WORD_BYTES)
    }

    fn put<M: Memory>(&self, memory: &mut M, index: u32, value: u32) {
        memory.store_u32(self.slots.address + index * WORD_BYTES, value);
    }
}
