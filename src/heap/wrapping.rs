//! Wrappers: `register` and its kin, and the handles they release. A wrapper that `wrap` makes is
//! one granule: the kind and the handle.
//!
//! `register` fails only when every entry is live. When the table is full it
//! (1) pushes the wrapper in flight on the shadow stack, (2) collects, which
//! releases the handles of dead wrappers and compacts the table, (3) pops the
//! temporary root, (4) looks again. The same happens, before the table is full,
//! when many handles or heavy ones have been registered since the last
//! collection: the host pays for those, and the heap's own size does not show it.

use super::access::Object;
use super::{Heap, InFlight, NOTHING};
use crate::error::Error;
use crate::layout;
use crate::memory::Memory;
use crate::metadata::{self, END, WRAPPER};
use crate::observer::{Cause, Observer};
use crate::units::{GRANULE_BYTES, Reference};
use crate::wrap_table::{Handle, Registration};

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Makes `wrapper` the owner of a host handle. `weight_bytes` is what the
    /// resource costs the host, or 0.
    ///
    /// May collect, and keeps `wrapper` alive meanwhile. Errors:
    /// `WrapTableFull`, `AlreadyRegistered`, `InvalidRef`, `OutOfMemory`,
    /// `Closed`; then the handle is still the caller's.
    #[inline(always)]
    pub fn register(
        &mut self,
        wrapper: Reference,
        kind: u32,
        handle: u32,
        weight_bytes: u32,
    ) -> Result<(), Error> {
        self.try_register(wrapper, kind, handle, weight_bytes)
            .map_or_else(|| self.register_in_full(wrapper, kind, handle, weight_bytes), Ok)
    }

    /// [`register`](Self::register), of an object in a block, if there is room in the table and
    /// no collection is due.
    #[inline(always)]
    pub fn try_register(
        &mut self,
        wrapper: Reference,
        kind: u32,
        handle: u32,
        weight_bytes: u32,
    ) -> Option<()> {
        if self.closed || !self.is_ready_to_wrap(weight_bytes) {
            return None;
        }
        let start = self.find_in_block(wrapper)?;
        let byte = self.supply.memory.load_u8(start);
        if byte & WRAPPER != 0 {
            return None;
        }
        self.supply.memory.store_u8(start, byte | WRAPPER);
        self.push_entry(Registration { wrapper, kind, handle, weight_bytes });
        Some(())
    }

    /// [`register`](Self::register) without its quick case in line: smaller code, for a caller
    /// that has tried [`try_register`](Self::try_register).
    #[doc(hidden)]
    pub fn register_in_full(
        &mut self,
        wrapper: Reference,
        kind: u32,
        handle: u32,
        weight_bytes: u32,
    ) -> Result<(), Error> {
        self.check_open()?;
        self.check_unregistered(wrapper)?;
        if self.is_collection_due(1, u64::from(weight_bytes)) || self.reserve(1).is_err() {
            self.collect_rooting(Cause::Handles, wrapper);
        }
        self.reserve(1)?;
        self.add_entry(Registration { wrapper, kind, handle, weight_bytes });
        Ok(())
    }

    /// Registers many: all of them or, at an error, none. Keeps the wrappers alive
    /// meanwhile. May collect. Errors: as [`register`](Self::register).
    pub fn register_many(&mut self, registrations: &[Registration]) -> Result<(), Error> {
        self.check_open()?;
        let count = self.mark_as_wrappers(registrations)?;
        // The wrapper bits are set already, to find doubles; entries follow at once
        // or the bits go again. A collection looks at entries, not at bits.
        let weight = registrations.iter().map(|entry| u64::from(entry.weight_bytes)).sum();
        let in_flight = InFlight::Wrappers(registrations);
        self.stressed.set_bits_ahead(true);
        let room = self.make_room(count, weight, in_flight);
        self.stressed.set_bits_ahead(false);
        for &registration in registrations {
            self.set_wrapper_bit(registration.wrapper, false);
            if room.is_ok() {
                self.add_entry(registration);
            }
        }
        room
    }

    /// Allocates a wrapper and registers it: a leaf of two words, kind and handle.
    ///
    /// May collect. Errors: as [`allocate`](Self::allocate) and
    /// [`register`](Self::register); then the handle is still the caller's.
    #[inline(always)]
    pub fn wrap(&mut self, kind: u32, handle: u32, weight_bytes: u32) -> Result<Reference, Error> {
        self.try_wrap(kind, handle, weight_bytes)
            .map_or_else(|| self.wrap_in_full(kind, handle, weight_bytes), Ok)
    }

    /// [`wrap`](Self::wrap), in the hole at hand, if there is room in the table and no collection
    /// is due.
    #[inline(always)]
    pub fn try_wrap(&mut self, kind: u32, handle: u32, weight_bytes: u32) -> Option<Reference> {
        if self.roots.scope_depth() > 0 || !self.is_ready_to_wrap(weight_bytes) {
            return None;
        }
        let wrapper = self.blocks.bump_zeroed(GRANULE_BYTES)?;
        self.make_wrapper(Registration { wrapper, kind, handle, weight_bytes });
        Some(wrapper)
    }

    /// [`wrap`](Self::wrap) without its quick case in line: smaller code, for a caller that has
    /// tried [`try_wrap`](Self::try_wrap).
    #[doc(hidden)]
    pub fn wrap_in_full(
        &mut self,
        kind: u32,
        handle: u32,
        weight_bytes: u32,
    ) -> Result<Reference, Error> {
        self.check_open()?;
        // First, while there is no wrapper yet that a collection could find dead.
        self.make_room(1, u64::from(weight_bytes), NOTHING)?;
        let wrapper = self.allocate_wrapper(1, NOTHING)?;
        self.make_wrapper(Registration { wrapper, kind, handle, weight_bytes });
        Ok(wrapper)
    }

    /// Wraps many handles of one kind: all of them or, at an error, none. The
    /// wrappers are written to `into`, and stay alive until this returns.
    ///
    /// May collect. Errors: as [`wrap`](Self::wrap), and `OutOfBounds` if
    /// `into` is not as long as `handles`.
    pub fn wrap_many(
        &mut self,
        kind: u32,
        handles: &[u32],
        weight_bytes: u32,
        into: &mut [Reference],
    ) -> Result<(), Error> {
        self.check_open()?;
        if handles.len() != into.len() {
            let size_bytes = u32::try_from(size_of_val(into)).unwrap_or(u32::MAX);
            return Err(Error::OutOfBounds { size_bytes });
        }
        let count = u32::try_from(handles.len()).unwrap_or(u32::MAX);
        let weight = u64::from(count) * u64::from(weight_bytes);
        self.make_room(count, weight, NOTHING)?;
        let scoped = self.roots.scoped();
        if let Err(error) = self.allocate_wrappers(into) {
            // The scope must not root those that were made: they would fill it.
            self.roots.unroot_scoped(scoped);
            return Err(error);
        }
        for (&wrapper, &handle) in into.iter().zip(handles) {
            self.make_wrapper(Registration { wrapper, kind, handle, weight_bytes });
        }
        Ok(())
    }

    /// Allocates an object for one of `count` entries for which room was made.
    fn allocate_wrapper(
        &mut self,
        count: u32,
        in_flight: InFlight<'_>,
    ) -> Result<Reference, Error> {
        let allocated = self.allocate_with(layout::LEAF, GRANULE_BYTES, in_flight);
        if allocated.is_err() && self.wrap_table.shrink_to_need(&mut self.supply, count) {
            return self.allocate_with(layout::LEAF, GRANULE_BYTES, in_flight);
        }
        allocated
    }

    /// Allocates the objects of `wrap_many`, and makes room for their entries.
    fn allocate_wrappers(&mut self, into: &mut [Reference]) -> Result<(), Error> {
        let count = into.len() as u32;
        for index in 0..into.len() {
            // A collection in here keeps the wrappers made so far.
            let (made, rest) = into.split_at_mut(index);
            rest[0] = self.allocate_wrapper(count, InFlight::Words(made))?;
        }
        // Room was made, and collections since can only have left more of it,
        // unless the handles that they released took the memory: then look once more.
        self.reserve(count)
    }

    /// Makes the granule at `wrapper` a wrapper, and registers it. The granule is free and in the
    /// hole at hand, or it is a new leaf; and there is room in the table.
    #[inline(always)]
    pub(super) fn make_wrapper(&mut self, registration: Registration) {
        let Registration { wrapper, kind, handle, .. } = registration;
        let memory = &mut self.supply.memory;
        memory.store_u64(wrapper, u64::from(kind) | u64::from(handle) << 32);
        memory.store_u8(metadata::metadata_of(wrapper), self.live | END | WRAPPER);
        self.push_entry(registration);
    }

    /// Whether a handle of this weight can be wrapped without a collection or growth.
    pub(super) fn is_ready_to_wrap(&self, weight_bytes: u32) -> bool {
        self.options.stress == 0
            && !self.presses(1, u64::from(weight_bytes))
            && self.wrap_table.is_ready()
    }

    /// The handle that `wrapper` owns. Errors: `InvalidRef`, `NotRegistered`.
    pub fn handle_of(&mut self, wrapper: Reference) -> Result<Handle, Error> {
        self.check_open()?;
        self.find(wrapper)?;
        self.wrap_table
            .lookup(&mut self.supply, wrapper)
            .ok_or(Error::NotRegistered { reference: wrapper })
    }

    /// Says what the resource of `wrapper` costs the host now, in bytes. What it
    /// grew by brings the next collection nearer, as if it were registered.
    ///
    /// Errors: `InvalidRef`, `NotRegistered`.
    pub fn set_weight(&mut self, wrapper: Reference, weight_bytes: u32) -> Result<(), Error> {
        self.check_open()?;
        self.find(wrapper)?;
        if !self.wrap_table.set_weight(&mut self.supply, wrapper, weight_bytes) {
            return Err(Error::NotRegistered { reference: wrapper });
        }
        Ok(())
    }

    /// Releases the handle of `wrapper` now; the object lives on as a plain one.
    ///
    /// Errors: `InvalidRef`, `NotRegistered` (so a second disposal does nothing).
    pub fn dispose(&mut self, wrapper: Reference) -> Result<(), Error> {
        self.check_open()?;
        self.find(wrapper)?;
        if !self.wrap_table.dispose(&mut self.supply, wrapper) {
            return Err(Error::NotRegistered { reference: wrapper });
        }
        self.set_wrapper_bit(wrapper, false);
        Ok(())
    }

    /// Takes one released handle out: drop the host's resource with it. Each is
    /// given once, in no particular order. Works on a closed heap too.
    pub fn drain_one(&mut self) -> Option<Handle> {
        let mut one = [Handle { kind: 0, handle: 0 }];
        (self.drain(&mut one) > 0).then_some(one[0])
    }

    /// Takes at most `into.len()` released handles out, and gives their number.
    pub fn drain(&mut self, into: &mut [Handle]) -> usize {
        let count = self.wrap_table.drain(&self.supply.memory, into);
        self.release_drained();
        count
    }

    /// Offers released handles to `take`, at most 256 at a time, until none is left or `take`
    /// takes fewer than it was offered. `take` gives how many it took, from the first on; the
    /// others wait on. A handle is out of the heap before `take` sees it, so none comes twice.
    pub fn offer(&mut self, mut take: impl FnMut(&[Handle]) -> usize) {
        const BATCH: usize = 256;
        let mut batch = [Handle { kind: 0, handle: 0 }; BATCH];
        while self.pending() > 0 {
            let count = self.wrap_table.drain(&self.supply.memory, &mut batch);
            let taken = take(&batch[..count]).min(count);
            if taken < count {
                self.wrap_table.put_back((count - taken) as u32);
                return;
            }
        }
        self.release_drained();
    }

    /// Gives the wrap table of a closed heap back, once nothing waits in it.
    fn release_drained(&mut self) {
        if self.closed {
            self.wrap_table.release_memory(&mut self.supply);
        }
    }

    /// How many released handles wait to be drained.
    pub fn pending(&self) -> u32 {
        self.wrap_table.pending()
    }

    /// Whether `count` more handles, or so much more weight, are a reason to
    /// collect first.
    fn is_collection_due(&mut self, count: u32, weight_bytes: u64) -> bool {
        if self.options.stress > 0 {
            self.stress_left -= 1;
            if self.stress_left == 0 {
                return true;
            }
        }
        !self.wrap_table.has_room_after_growth(&mut self.supply, count)
            // Those that the last collection left are not likely to be dead.
            || self.presses(count, weight_bytes) && self.wrap_table.has_new()
    }

    /// Whether the table would have more handles, or more weight, than it may before the next
    /// collection.
    fn presses(&self, count: u32, weight_bytes: u64) -> bool {
        self.wrap_table.length().saturating_add(count) > self.most_handles
            || self.wrap_table.external_bytes() + weight_bytes > self.most_weight_bytes
    }

    /// Makes room for `count` more entries, collecting once if that is due or memory is short.
    fn make_room(
        &mut self,
        count: u32,
        weight_bytes: u64,
        in_flight: InFlight<'_>,
    ) -> Result<(), Error> {
        // No collection makes room for more than there may be.
        if self.wrap_table.is_within_limit(count)
            && (self.is_collection_due(count, weight_bytes) || self.reserve(count).is_err())
        {
            self.collect_now(Cause::Handles, in_flight);
        }
        self.reserve(count)
    }

    /// Makes room for `count` more entries, without a collection.
    fn reserve(&mut self, count: u32) -> Result<(), Error> {
        if count == 1 && self.wrap_table.is_ready() {
            return Ok(());
        }
        self.wrap_table.reserve(&mut self.supply, count)
    }

    fn add_entry(&mut self, registration: Registration) {
        self.set_wrapper_bit(registration.wrapper, true);
        self.push_entry(registration);
    }

    /// Adds the entry of an object that has its wrapper bit already.
    #[inline(always)]
    pub(super) fn push_entry(&mut self, registration: Registration) {
        let Registration { wrapper, kind, handle, weight_bytes } = registration;
        self.push_words(wrapper, kind, handle, weight_bytes);
    }

    // Words, and not a record by its address: a record that was just stored word by word is
    // slow to load by twos.
    fn push_words(&mut self, wrapper: Reference, kind: u32, handle: u32, weight_bytes: u32) {
        let registration = Registration { wrapper, kind, handle, weight_bytes };
        self.wrap_table.push(&mut self.supply.memory, registration);
    }

    /// Sets the wrapper bits of all, or of none if one has it already. Returns
    /// their number.
    fn mark_as_wrappers(&mut self, registrations: &[Registration]) -> Result<u32, Error> {
        for (index, registration) in registrations.iter().enumerate() {
            if let Err(error) = self.check_unregistered(registration.wrapper) {
                for marked in &registrations[..index] {
                    self.set_wrapper_bit(marked.wrapper, false);
                }
                return Err(error);
            }
            self.set_wrapper_bit(registration.wrapper, true);
        }
        // Each is an object of its own, so that there are fewer than 2^29.
        Ok(registrations.len() as u32)
    }

    fn check_unregistered(&self, reference: Reference) -> Result<(), Error> {
        let flags = match self.find(reference)? {
            Object::InBlock { start } => self.supply.memory.load_u8(start),
            Object::Large { position } => self.large.flags(&self.supply.memory, position),
        };
        if flags & WRAPPER != 0 {
            return Err(Error::AlreadyRegistered { reference });
        }
        Ok(())
    }

    pub(super) fn set_wrapper_bit(&mut self, wrapper: Reference, set: bool) {
        let memory = &mut self.supply.memory;
        if let Some(start) = self.blocks.page_map().start(memory, wrapper) {
            let byte = memory.load_u8(start) & !WRAPPER;
            memory.store_u8(start, if set { byte | WRAPPER } else { byte });
        } else if let Some(position) = self.large.find(memory, wrapper) {
            self.large.set_wrapper(memory, position, set);
        }
    }
}
