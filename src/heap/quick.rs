//! The common case of the commonest operations: an object in a block, room in the hole at
//! hand, nothing to collect. Some ten instructions, which are inlined where they are used.
//!
//! Each does what the operation of the same name does, or does nothing and says so by
//! `None`; then the `…_slowly` of that name is to be called, which knows all cases and all
//! errors. None of them collects. A closed heap has no objects, no hole and no roots.

use super::Heap;
use crate::layout::LayoutId;
use crate::memory::Memory;
use crate::metadata::{self, REFERENCE_0, WRAPPER};
use crate::observer::Observer;
use crate::units::{GRANULE_BYTES, GRANULE_WORDS, Reference, WORD_BYTES};
use crate::wrap_table::Registration;

impl<M: Memory, O: Observer> Heap<M, O> {
    /// [`allocate`](Self::allocate), of a leaf of up to 8 granules, or an object of a
    /// layout of fixed size that has no more.
    #[inline(always)]
    pub(crate) fn allocate_quickly(&mut self, layout: LayoutId, length: u32) -> Option<Reference> {
        let small = self.layouts.small(&self.supply.memory, layout, length)?;
        self.place_by_template(small.words, small.template)
    }

    #[inline(always)]
    fn place_by_template(&mut self, words: u32, template: u64) -> Option<Reference> {
        let is_scoped = self.roots.scope_depth() > 0;
        if self.options.stress > 0 || is_scoped && !self.roots.has_room(1) {
            return None;
        }
        let address = self.place_in_hole(words, template)?;
        if is_scoped {
            self.roots.push_scoped(&mut self.supply.memory, address);
        }
        Some(address)
    }

    /// An object of so many words, by its template, that no scope roots.
    #[inline(always)]
    pub(super) fn place_in_hole(&mut self, words: u32, template: u64) -> Option<Reference> {
        let granules = words.div_ceil(GRANULE_WORDS);
        let address = self.blocks.bump_zeroed(granules * GRANULE_BYTES)?;
        let start = metadata::metadata_of(address);
        let template = template | u64::from(self.live);
        metadata::store_template(&mut self.supply.memory, start, granules, template);
        Some(address)
    }

    /// [`get`](Self::get), of a word in the object's first granule: every object has one.
    #[inline(always)]
    pub(crate) fn get_quickly(&self, object: Reference, index: u32) -> Option<u32> {
        if index >= GRANULE_WORDS {
            return None;
        }
        self.find_in_block(object)?;
        Some(self.supply.memory.load_u32(object + index * WORD_BYTES))
    }

    /// [`set`](Self::set), of a word in the object's first granule.
    #[inline(always)]
    pub(crate) fn set_quickly(&mut self, object: Reference, index: u32, value: u32) -> Option<()> {
        if index >= GRANULE_WORDS {
            return None;
        }
        let start = self.find_in_block(object)?;
        let is_reference = self.supply.memory.load_u8(start) & (REFERENCE_0 << index) != 0;
        if is_reference && value != 0 {
            self.find_in_block(value)?;
        }
        self.supply.memory.store_u32(object + index * WORD_BYTES, value);
        Some(())
    }

    /// [`push`](Self::push), of an object in a block, or null.
    #[inline(always)]
    pub(crate) fn push_quickly(&mut self, object: Reference) -> Option<()> {
        if self.closed || !self.roots.has_room(1) {
            return None;
        }
        if object != 0 {
            self.find_in_block(object)?;
        }
        self.roots.push_in_room(&mut self.supply.memory, object);
        Some(())
    }

    /// [`pop`](Self::pop), where there is a root.
    #[inline(always)]
    pub(crate) fn pop_quickly(&mut self) -> Option<Reference> {
        self.roots.pop_one(&self.supply.memory)
    }

    /// [`wrap`](Self::wrap), where the hole at hand and the table have room.
    #[inline(always)]
    pub(crate) fn wrap_quickly(
        &mut self,
        kind: u32,
        handle: u32,
        weight_bytes: u32,
    ) -> Option<Reference> {
        if self.roots.scope_depth() > 0 || !self.is_ready_to_wrap(weight_bytes) {
            return None;
        }
        let wrapper = self.blocks.bump_zeroed(GRANULE_BYTES)?;
        self.wrap_in_window(Registration { wrapper, kind, handle, weight_bytes });
        Some(wrapper)
    }

    /// [`register`](Self::register), of an object in a block, where the table has room.
    #[inline(always)]
    pub(crate) fn register_quickly(&mut self, registration: Registration) -> Option<()> {
        if self.closed || !self.is_ready_to_wrap(registration.weight_bytes) {
            return None;
        }
        let start = self.find_in_block(registration.wrapper)?;
        let memory = &mut self.supply.memory;
        let byte = memory.load_u8(start);
        if byte & WRAPPER != 0 {
            return None;
        }
        memory.store_u8(start, byte | WRAPPER);
        self.push_entry(registration);
        Some(())
    }
}
