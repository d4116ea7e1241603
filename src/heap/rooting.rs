//! The heap's roots as its users see them: the shadow stack, scopes and pins,
//! with every reference checked before it becomes a root.

use super::{Heap, InFlight};
use crate::error::Error;
use crate::memory::Memory;
use crate::observer::Observer;
#[cfg(feature = "interior-pointers")]
use crate::ranges::Ranges;
use crate::units::Reference;

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Pushes a root; null may be pushed.
    ///
    /// Errors: `RootStackFull`, `InvalidRef`, `Closed`; then nothing is pushed.
    #[inline]
    pub fn push(&mut self, object: Reference) -> Result<(), Error> {
        match self.push_quickly(object) {
            Some(()) => Ok(()),
            None => self.push_slowly(object),
        }
    }

    pub(crate) fn push_slowly(&mut self, object: Reference) -> Result<(), Error> {
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
    #[inline]
    pub fn pop(&mut self) -> Result<Reference, Error> {
        self.pop_quickly().map_or_else(|| self.pop_slowly(), Ok)
    }

    pub(crate) fn pop_slowly(&mut self) -> Result<Reference, Error> {
        self.check_open()?;
        self.roots.pop(&self.supply.memory)
    }

    /// How many roots are pushed.
    pub fn depth(&self) -> u32 {
        self.roots.depth()
    }

    /// Pops roots until `depth` are left: to leave a frame, or to unwind.
    ///
    /// Errors: `NoSuchRoot` where fewer are pushed.
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

    /// Leaves the innermost scope. What it rooted is rooted no longer, except
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
    /// number of its pins (one that has `u32::MAX` is pinned for good). May collect, where
    /// memory is short; the object is kept.
    /// Errors: `InvalidRef`, `OutOfMemory`.
    pub fn pin(&mut self, object: Reference) -> Result<u32, Error> {
        self.check_open()?;
        self.find(object)?;
        if let Ok(count) = self.pins.pin(&mut self.supply, object) {
            return Ok(count);
        }
        self.collect_for_space(InFlight::Words(&[object]));
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
    /// May collect, where memory is short, and keeps what the range names. Errors:
    /// `OutOfMemory`, `OutOfBounds` where the range ends before it begins, or not in memory.
    #[cfg(feature = "interior-pointers")]
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

    /// Scans a range no longer. Errors: `NoSuchRoot` where there is none.
    #[cfg(feature = "interior-pointers")]
    pub fn remove_roots(&mut self, begin: u32) -> Result<(), Error> {
        self.check_open()?;
        let removed = self.ranges.remove(&mut self.supply.memory, begin);
        removed.then_some(()).ok_or(Error::NoSuchRoot { index: begin })
    }
}
