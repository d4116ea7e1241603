//! Wrappers: `register` and its kin, and the handles they release.
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
use crate::units::Reference;
use crate::wrap_table::{Handle, Registration};

/// Bytes of the object that `wrap` makes: the kind and the handle.
const WRAPPER_BYTES: u32 = 8;

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Makes `wrapper` the owner of a host handle. `weight_bytes` is what the
    /// resource costs the host, or 0.
    ///
    /// May collect, and keeps `wrapper` alive meanwhile. Errors:
    /// `WrapTableFull`, `AlreadyRegistered`, `InvalidRef`, `OutOfMemory`,
    /// `Closed`; then the handle is still the caller's.
    #[inline]
    pub fn register(
        &mut self,
        wrapper: Reference,
        kind: u32,
        handle: u32,
        weight_bytes: u32,
    ) -> Result<(), Error> {
        match self.register_quickly(Registration { wrapper, kind, handle, weight_bytes }) {
            Some(()) => Ok(()),
            None => self.register_slowly(wrapper, kind, handle, weight_bytes),
        }
    }

    pub(crate) fn register_slowly(
        &mut self,
        wrapper: Reference,
        kind: u32,
        handle: u32,
        weight_bytes: u32,
    ) -> Result<(), Error> {
        self.check_open()?;
        self.check_unregistered(wrapper)?;
        if self.is_collection_due(1, u64::from(weight_bytes)) || self.make_room(1).is_err() {
            self.collect_with_wrapper_in_flight(wrapper);
        }
        self.make_room(1)?;
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
        #[cfg(feature = "stress")]
        self.stressed.set_bits_ahead(true);
        let room = self.make_room_keeping(count, weight, in_flight);
        #[cfg(feature = "stress")]
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
    #[inline]
    pub fn wrap(&mut self, kind: u32, handle: u32, weight_bytes: u32) -> Result<Reference, Error> {
        let wrapped = self.wrap_quickly(kind, handle, weight_bytes);
        wrapped.map_or_else(|| self.wrap_slowly(kind, handle, weight_bytes), Ok)
    }

    pub(crate) fn wrap_slowly(
        &mut self,
        kind: u32,
        handle: u32,
        weight_bytes: u32,
    ) -> Result<Reference, Error> {
        self.check_open()?;
        // First, while there is no wrapper yet that a collection could find dead.
        self.make_room_keeping(1, u64::from(weight_bytes), NOTHING)?;
        let wrapper = self.allocate_wrapper(1, NOTHING)?;
        let memory = &mut self.supply.memory;
        memory.store_u64(wrapper, u64::from(kind) | u64::from(handle) << 32);
        // So small an object is in a block, and is one granule.
        let start = metadata::metadata_of(wrapper);
        let byte = memory.load_u8(start);
        memory.store_u8(start, byte | WRAPPER);
        self.push_entry(Registration { wrapper, kind, handle, weight_bytes });
        Ok(wrapper)
    }

    /// Wraps many handles of one kind: all of them or, at an error, none. The
    /// wrappers are written to `into`, and stay alive until this returns.
    ///
    /// May collect. Errors: as [`wrap`](Self::wrap), and `OutOfBounds` where
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
        self.make_room_keeping(count, weight, NOTHING)?;
        let scoped = self.roots.scoped();
        if let Err(error) = self.make_wrappers(kind, handles, into) {
            // The scope roots none of them, or what was made would fill it.
            self.roots.unroot_scoped(scoped);
            return Err(error);
        }
        for (&wrapper, &handle) in into.iter().zip(handles) {
            self.add_entry(Registration { wrapper, kind, handle, weight_bytes });
        }
        Ok(())
    }

    /// Allocates an object for one of `count` entries for which room was made.
    #[inline(never)]
    fn allocate_wrapper(
        &mut self,
        count: u32,
        in_flight: InFlight<'_>,
    ) -> Result<Reference, Error> {
        let allocated = self.allocate_keeping(layout::LEAF, WRAPPER_BYTES, in_flight);
        if allocated.is_err() && self.wrap_table.give_comfort_back(&mut self.supply, count) {
            return self.allocate_keeping(layout::LEAF, WRAPPER_BYTES, in_flight);
        }
        allocated
    }

    /// Makes the objects of `wrap_many`, and room for their entries.
    fn make_wrappers(
        &mut self,
        kind: u32,
        handles: &[u32],
        into: &mut [Reference],
    ) -> Result<(), Error> {
        for (index, &handle) in handles.iter().enumerate() {
            // A collection in here keeps the wrappers made so far.
            let made = InFlight::Words(&into[..index]);
            let wrapper = self.allocate_wrapper(handles.len() as u32, made)?;
            self.put_words(wrapper, &[kind, handle]);
            into[index] = wrapper;
        }
        // Room was made, and collections since can only have left more of it,
        // unless what they released took the memory: then look once more.
        self.make_room(handles.len() as u32)
    }

    /// Whether a handle of this weight can be wrapped without a collection or growth.
    #[inline]
    pub(crate) fn is_ready_to_wrap(&self, weight_bytes: u32) -> bool {
        self.options.stress == 0
            && !self.presses(1, u64::from(weight_bytes))
            && self.wrap_table.is_ready()
    }

    /// Describes the granule at `wrapper`, which is free and in the window, as a
    /// wrapper, and registers it. [`is_ready_to_wrap`](Self::is_ready_to_wrap) was true.
    #[inline(always)]
    pub(crate) fn wrap_in_window(&mut self, registration: Registration) {
        let Registration { wrapper, kind, handle, .. } = registration;
        let memory = &mut self.supply.memory;
        memory.store_u64(wrapper, u64::from(kind) | u64::from(handle) << 32);
        memory.store_u8(metadata::metadata_of(wrapper), self.live | END | WRAPPER);
        self.push_entry(registration);
    }

    /// What `wrapper` owns. Errors: `InvalidRef`, `NotRegistered`.
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
        if self.closed && count < into.len() {
            self.wrap_table.release_memory(&mut self.supply);
        }
        count
    }

    /// Takes the last so many handles back that were drained: the caller could not
    /// make use of them. Nothing else happened in between.
    #[cfg(feature = "core")]
    pub(crate) fn put_back(&mut self, count: u32) {
        self.wrap_table.put_back(count);
    }

    /// Gives the wrap table of a closed heap back, once nothing waits in it: for a door
    /// that does not drain until there is nothing.
    #[cfg(feature = "core")]
    pub(crate) fn release_drained(&mut self) {
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
    #[inline]
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
    #[inline]
    fn presses(&self, count: u32, weight_bytes: u64) -> bool {
        self.wrap_table.length().saturating_add(count) > self.most_handles
            || self.wrap_table.external_bytes() + weight_bytes > self.most_weight_bytes
    }

    #[cold]
    fn collect_with_wrapper_in_flight(&mut self, wrapper: Reference) {
        if cfg!(tether_mutation = "register-does-not-root") {
            return self.collect_keeping(Cause::Handles, NOTHING);
        }
        self.roots.push_in_flight(&mut self.supply.memory, wrapper);
        self.collect_keeping(Cause::Handles, NOTHING);
        self.roots.pop_in_flight();
    }

    /// Makes room for many, collecting once if that is due or memory is short.
    #[inline(never)]
    fn make_room_keeping(
        &mut self,
        count: u32,
        weight_bytes: u64,
        in_flight: InFlight<'_>,
    ) -> Result<(), Error> {
        // No collection makes room for more than there may be.
        if self.wrap_table.may_have(count)
            && (self.is_collection_due(count, weight_bytes) || self.make_room(count).is_err())
        {
            self.collect_keeping(Cause::Handles, in_flight);
        }
        self.make_room(count)
    }

    #[inline]
    fn make_room(&mut self, count: u32) -> Result<(), Error> {
        if count == 1 && self.wrap_table.is_ready() {
            return Ok(());
        }
        self.wrap_table.reserve(&mut self.supply, count)
    }

    #[inline]
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

    // Words, and not a record by its address: what was just stored there word by word is
    // slow to load by twos.
    #[inline(never)]
    fn push_words(&mut self, wrapper: Reference, kind: u32, handle: u32, weight_bytes: u32) {
        let registration = Registration { wrapper, kind, handle, weight_bytes };
        self.wrap_table.push(&mut self.supply.memory, registration);
    }

    /// Sets the wrapper bits of all, or of none where one has it already. Gives
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

    #[inline]
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

    #[inline(never)]
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
