//! The heap's roots as its users see them: the shadow stack, scopes and pins,
//! with every reference checked before it becomes a root.

use super::{Heap, InFlight};
use crate::error::Error;
use crate::memory::Memory;
use crate::observer::{Cause, Observer};
use crate::ranges::Ranges;
use crate::units::Reference;

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Pushes a root; null may be pushed.
    ///
    /// Errors: `RootStackFull`, `InvalidRef`, `Closed`; then nothing is pushed.
    #[inline(always)]
    pub fn push(&mut self, object: Reference) -> Result<(), Error> {
        self.try_push(object).map_or_else(|| self.push_in_full(object), Ok)
    }

    /// [`push`](Self::push), of null or an object in a block, below the most slots
    /// that were ever in use.
    #[inline(always)]
    pub fn try_push(&mut self, object: Reference) -> Option<()> {
        if !self.roots.pushes_in_line() {
            return None;
        }
        if object != 0 {
            self.find_in_block(object)?;
        }
        self.roots.push_in_line(&mut self.supply.memory, object);
        Some(())
    }

    /// All of [`push`](Self::push) but its quick case in line: smaller code, for a caller that has
    /// tried [`try_push`](Self::try_push).
    #[doc(hidden)]
    pub fn push_in_full(&mut self, object: Reference) -> Result<(), Error> {
        self.check_open()?;
        self.check_reference(object)?;
        self.roots.push(&mut self.supply.memory, object)
    }

    /// Pushes many roots, the last on top: all of them or, at an error, none.
    pub fn push_many(&mut self, objects: &[Reference]) -> Result<(), Error> {
        self.check_open()?;
        self.roots.check_room(u32::try_from(objects.len()).unwrap_or(u32::MAX))?;
        objects.iter().try_for_each(|&object| self.check_reference(object))?;
        objects.iter().try_for_each(|&object| self.roots.push(&mut self.supply.memory, object))
    }

    /// Pops the top root. Errors: `NoSuchRoot`.
    #[inline(always)]
    pub fn pop(&mut self) -> Result<Reference, Error> {
        if let Some(object) = self.try_pop() {
            return Ok(object);
        }
        self.check_open()?;
        Err(Error::NoSuchRoot { index: 0 })
    }

    /// [`pop`](Self::pop), if there is a root.
    #[inline(always)]
    pub fn try_pop(&mut self) -> Option<Reference> {
        self.roots.pop(&self.supply.memory)
    }

    /// How many roots are pushed.
    pub fn depth(&self) -> u32 {
        self.roots.depth()
    }

    /// Pops roots until `depth` are left: to leave a frame, or to unwind.
    ///
    /// Errors: `NoSuchRoot` if fewer are pushed.
    pub fn truncate(&mut self, depth: u32) -> Result<(), Error> {
        self.check_open()?;
        self.roots.truncate(depth)
    }

    /// The root at `index`, counted from the bottom. Errors: `NoSuchRoot`.
    pub fn root(&self, index: u32) -> Result<Reference, Error> {
        self.check_open()?;
        self.roots.get(&self.supply.memory, index)
    }

    /// Replaces the root at `index`. Errors: `NoSuchRoot`, `InvalidRef`.
    pub fn set_root(&mut self, index: u32, object: Reference) -> Result<(), Error> {
        self.check_open()?;
        self.check_reference(object)?;
        self.roots.set(&mut self.supply.memory, index, object)
    }

    /// Opens a scope: until it is left, every new object is rooted.
    ///
    /// Errors: `RootStackFull`.
    pub fn enter_scope(&mut self) -> Result<(), Error> {
        self.check_open()?;
        self.roots.enter_scope(&mut self.supply.memory)
    }

    /// Leaves the innermost scope. Its objects are rooted no longer, except
    /// `keep` (null for nothing), which the scope around it roots. With no scope
    /// around it, `keep` is the caller's to root before the next operation that
    /// may collect.
    ///
    /// Errors: `NoScope`, `InvalidRef`; then the scope stays open.
    pub fn leave_scope(&mut self, keep: Reference) -> Result<(), Error> {
        self.check_open()?;
        self.check_reference(keep)?;
        self.roots.leave_scope(&mut self.supply.memory, keep)
    }

    /// How many scopes are open.
    pub fn scope_depth(&self) -> u32 {
        self.roots.scope_depth()
    }

    /// Pins an object: it lives until it has been unpinned as often. Gives the
    /// number of its pins (one that has `u32::MAX` is pinned for good). May collect, if
    /// memory is short; the object is kept.
    /// Errors: `InvalidRef`, `OutOfMemory`.
    pub fn pin(&mut self, object: Reference) -> Result<u32, Error> {
        self.check_open()?;
        self.find(object)?;
        if let Ok(count) = self.pins.pin(&mut self.supply, object) {
            return Ok(count);
        }
        if !self.is_futile() {
            self.collect_rooting(Cause::Space, object);
        }
        self.pins.pin(&mut self.supply, object)
    }

    /// Takes one pin back, and gives the number left. Errors: `InvalidRef`, `NotPinned`.
    pub fn unpin(&mut self, object: Reference) -> Result<u32, Error> {
        self.check_open()?;
        self.find(object)?;
        self.pins.unpin(&mut self.supply.memory, object)
    }

    /// Scans memory from `begin` to `end` for roots, at every collection: each
    /// aligned word that points to an object, or into one, keeps it. 0 for `begin`
    /// is the stack pointer. Adding a range with the same beginning changes its end.
    ///
    /// May collect, if memory is short, and keeps the objects that the range names. Errors:
    /// `OutOfMemory`; `OutOfBounds` if the range ends before it begins, or outside memory.
    pub fn add_roots(&mut self, begin: u32, end: u32) -> Result<(), Error> {
        self.check_open()?;
        if end < begin || u64::from(end) > self.supply.memory.size_bytes() {
            return Err(Error::OutOfBounds { size_bytes: end });
        }
        let added = self.ranges.add(&mut self.supply, begin, end);
        if !matches!(added, Err(Error::OutOfMemory { .. })) {
            return added;
        }
        let (from, to) = Ranges::bounds(&self.supply.memory, begin, end);
        self.collect_for_space(InFlight::Range(from, to));
        self.ranges.add(&mut self.supply, begin, end)
    }

    /// Ends the scanning of a range. Errors: `NoSuchRoot` if no range begins there.
    pub fn remove_roots(&mut self, begin: u32) -> Result<(), Error> {
        self.check_open()?;
        let removed = self.ranges.remove(&mut self.supply.memory, begin);
        removed.then_some(()).ok_or(Error::NoSuchRoot { index: begin })
    }
}
