//! Reading and writing objects, with every reference and bound checked.
//!
//! Whatever a caller passes is looked up in the page map and the metadata (or the
//! large-object table) before anything is read or written. An operation that
//! writes several words checks all of them first.

use super::{Heap, InFlight};
use crate::error::Error;
use crate::layout::{self, LayoutId};
use crate::memory::Memory;
use crate::metadata::{self, REFERENCE_0};
use crate::observer::Observer;
use crate::units::{GRANULE_BYTES, GRANULE_WORDS, Reference, WORD_BYTES};

/// A live object, found by its reference.
#[derive(Clone, Copy, Debug)]
pub(super) enum Object {
    /// In a block; its start byte's address.
    InBlock { start: u32 },
    /// A large object; its position in the table.
    Large { position: u32 },
}

/// A word to be written into an object.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// The object.
    pub object: Reference,
    /// Which of its words, counted from its start.
    pub index: u32,
    /// The word; in a reference slot null or a live object.
    pub value: u32,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Whether `reference` is the start of a live object. Null is not.
    pub fn is_object(&self, reference: Reference) -> bool {
        self.find(reference).is_ok()
    }

    /// Returns an object's size in bytes: the size that was asked for, rounded up to a multiple
    /// of 8.
    pub fn size_of(&self, object: Reference) -> Result<u32, Error> {
        self.check_open()?;
        let found = self.find(object)?;
        Ok(self.size_of_found(found))
    }

    /// Reads the word at `index`, counted in words from the object's start.
    #[inline(always)]
    pub fn get(&self, object: Reference, index: u32) -> Result<u32, Error> {
        self.try_get(object, index).map_or_else(|| self.get_in_full(object, index), Ok)
    }

    /// [`get`](Self::get), of one of the first 16 words of an object in a block.
    #[inline(always)]
    pub fn try_get(&self, object: Reference, index: u32) -> Option<u32> {
        let start = self.find_in_block(object)?;
        if !metadata::has_word(&self.supply.memory, start, index) {
            return None;
        }
        Some(self.supply.memory.load_u32(object + index * WORD_BYTES))
    }

    /// All of [`get`](Self::get) but its quick case in line: smaller code, for a caller that has
    /// tried [`try_get`](Self::try_get).
    #[doc(hidden)]
    pub fn get_in_full(&self, object: Reference, index: u32) -> Result<u32, Error> {
        self.check_open()?;
        let offset = self.check_words(object, index, 1)?.1;
        Ok(self.supply.memory.load_u32(object + offset))
    }

    /// Writes the word at `index`. In a reference slot it must be null or a live
    /// object.
    #[inline(always)]
    pub fn set(&mut self, object: Reference, index: u32, value: u32) -> Result<(), Error> {
        self.try_set(object, index, value)
            .map_or_else(|| self.set_in_full(object, index, value), Ok)
    }

    /// [`set`](Self::set), of one of the first 16 words of an object in a block.
    #[inline(always)]
    pub fn try_set(&mut self, object: Reference, index: u32, value: u32) -> Option<()> {
        let (start, first_byte) = self.start_in_block(object)?;
        let byte = match index / GRANULE_WORDS {
            0 => first_byte,
            _ if !metadata::has_word(&self.supply.memory, start, index) => return None,
            granule => self.supply.memory.load_u8(start + granule),
        };
        let is_reference = byte & (REFERENCE_0 << (index % GRANULE_WORDS)) != 0;
        if is_reference && value != 0 {
            self.find_in_block(value)?;
        }
        self.supply.memory.store_u32(object + index * WORD_BYTES, value);
        Some(())
    }

    /// All of [`set`](Self::set) but its quick case in line: smaller code, for a caller that has
    /// tried [`try_set`](Self::try_set).
    #[doc(hidden)]
    pub fn set_in_full(&mut self, object: Reference, index: u32, value: u32) -> Result<(), Error> {
        self.check_open()?;
        let (found, offset) = self.check_words(object, index, 1)?;
        self.check_store(found, object, index, value)?;
        self.supply.memory.store_u32(object + offset, value);
        Ok(())
    }

    /// Reads words from word `index` on.
    pub fn read_words(&self, object: Reference, index: u32, into: &mut [u32]) -> Result<(), Error> {
        self.check_open()?;
        let offset = self.check_words(object, index, into.len())?.1;
        for (at, word) in (object + offset..).step_by(WORD_BYTES as usize).zip(into) {
            *word = self.supply.memory.load_u32(at);
        }
        Ok(())
    }

    /// Reads whole objects into the first words of `into`: for each a word with its size in
    /// bytes, and then its words. Stops before the first that does not fit. Gives how many
    /// objects and how many words were read.
    ///
    /// Errors: `InvalidRef`, `Closed`. Cost: a look-up for each object, and a load for each two
    /// words.
    pub fn read_objects(
        &self,
        objects: &[Reference],
        into: &mut [u32],
    ) -> Result<(usize, usize), Error> {
        self.check_open()?;
        let mut used = 0;
        for (index, &object) in objects.iter().enumerate() {
            // Most are in blocks.
            let size_bytes = match self.find_in_block(object) {
                Some(start) => metadata::object_size(&self.supply.memory, start),
                None => self.size_of_found(self.find(object)?),
            };
            let end = used + 1 + (size_bytes / WORD_BYTES) as usize;
            let Some(into) = into.get_mut(used..end) else {
                return Ok((index, used));
            };
            into[0] = size_bytes;
            let mut at = object;
            for granule in into[1..].chunks_exact_mut(GRANULE_WORDS as usize) {
                let pair = self.supply.memory.load_u64(at);
                (granule[0], granule[1]) = (pair as u32, (pair >> 32) as u32);
                at += GRANULE_BYTES;
            }
            used = end;
        }
        Ok((objects.len(), used))
    }

    /// Writes words from word `index` on: all of them or, at an error, none.
    pub fn write_words(
        &mut self,
        object: Reference,
        index: u32,
        words: &[u32],
    ) -> Result<(), Error> {
        self.check_open()?;
        let (found, offset) = self.check_words(object, index, words.len())?;
        for (slot, &word) in (index..).zip(words) {
            self.check_store(found, object, slot, word)?;
        }
        self.put_words(object + offset, words);
        Ok(())
    }

    /// Reads bytes from byte `offset` on.
    pub fn read_bytes(&self, object: Reference, offset: u32, into: &mut [u8]) -> Result<(), Error> {
        self.check_open()?;
        self.check_bytes(object, offset, into.len())?;
        self.supply.memory.read(object + offset, into);
        Ok(())
    }

    /// Writes bytes from byte `offset` on, over scalar slots only.
    pub fn write_bytes(
        &mut self,
        object: Reference,
        offset: u32,
        bytes: &[u8],
    ) -> Result<(), Error> {
        self.check_open()?;
        let found = self.check_bytes(object, offset, bytes.len())?;
        if self.has_references(found) {
            let end = offset + bytes.len() as u32;
            for index in offset / WORD_BYTES..end.div_ceil(WORD_BYTES) {
                if self.is_reference_slot(found, object, index) {
                    return Err(Error::ReferenceSlot { offset_bytes: index * WORD_BYTES });
                }
            }
        }
        self.supply.memory.write(object + offset, bytes);
        Ok(())
    }

    /// Writes one word each into many objects: all of them or, at an error, none.
    pub fn write_many(&mut self, stores: &[Store]) -> Result<(), Error> {
        self.check_open()?;
        for &Store { object, index, value } in stores {
            let found = self.check_words(object, index, 1)?.0;
            self.check_store(found, object, index, value)?;
        }
        for store in stores {
            self.supply.memory.store_u32(store.object + store.index * WORD_BYTES, store.value);
        }
        Ok(())
    }

    /// Allocates an object and writes its first words. The references among them
    /// are kept alive through a collection that this starts.
    ///
    /// May collect. Errors: as [`allocate`](Self::allocate) and
    /// [`write_words`](Self::write_words).
    pub fn create(
        &mut self,
        layout: LayoutId,
        length: u32,
        words: &[u32],
    ) -> Result<Reference, Error> {
        self.check_open()?;
        let new = self.describe(layout, length)?;
        let size_bytes = new.size_bytes;
        if words.len() > (size_bytes / WORD_BYTES) as usize {
            return Err(Error::OutOfBounds { size_bytes });
        }
        if let Ok(shape) = self.layouts.shape(&self.supply.memory, layout) {
            for (index, &word) in (0..).zip(words) {
                if shape.is_reference(index) {
                    self.check_reference(word)?;
                }
            }
        }
        let object = self.make(&new, InFlight::Words(words))?;
        self.put_words(object, words);
        Ok(object)
    }

    /// Null or a live object, or an error.
    pub(super) fn check_reference(&self, reference: Reference) -> Result<(), Error> {
        if reference != 0 {
            self.find(reference)?;
        }
        Ok(())
    }

    /// The live object that starts at `reference`.
    pub(super) fn find(&self, reference: Reference) -> Result<Object, Error> {
        if let Some(start) = self.find_in_block(reference) {
            return Ok(Object::InBlock { start });
        }
        // The address of a dead object in a block is not a large object's: a page is one or the
        // other.
        let position = self.large.find(&self.supply.memory, reference);
        let position = position.ok_or(Error::InvalidRef { reference })?;
        Ok(Object::Large { position })
    }

    /// The address of the start byte of the live object that starts at `reference`, in a block.
    #[inline(always)]
    pub(super) fn find_in_block(&self, reference: Reference) -> Option<u32> {
        self.start_in_block(reference).map(|(start, _)| start)
    }

    /// The start byte of the live object that starts at `reference`, in a block: its address, and
    /// the byte.
    #[inline(always)]
    fn start_in_block(&self, reference: Reference) -> Option<(u32, u8)> {
        let memory = &self.supply.memory;
        let aligned = reference.is_multiple_of(GRANULE_BYTES);
        if !aligned || !self.blocks.page_map().is_block(memory, reference) {
            return None;
        }
        let start = metadata::metadata_of(reference);
        let byte = memory.load_u8(start);
        (byte & self.live != 0).then_some((start, byte))
    }

    pub(super) fn size_of_found(&self, object: Object) -> u32 {
        match object {
            Object::InBlock { start } => metadata::object_size(&self.supply.memory, start),
            Object::Large { position } => self.large.size(&self.supply.memory, position),
        }
    }

    /// Whether some slots of the object are known to be references.
    fn has_references(&self, object: Object) -> bool {
        let memory = &self.supply.memory;
        match object {
            Object::InBlock { start } => {
                let byte = memory.load_u8(start);
                metadata::is_traced(byte) && !metadata::is_conservative(byte)
            }
            Object::Large { position } => {
                let layout = self.large.layout(memory, position);
                layout != layout::LEAF && layout != layout::CONSERVATIVE
            }
        }
    }

    fn is_reference_slot(&self, found: Object, object: Reference, index: u32) -> bool {
        let memory = &self.supply.memory;
        match found {
            Object::InBlock { .. } => {
                let address = object + index * WORD_BYTES;
                let byte = memory.load_u8(metadata::metadata_of(address));
                let bit = REFERENCE_0 << (address % GRANULE_BYTES / WORD_BYTES);
                byte & bit != 0
            }
            Object::Large { position } => {
                let shape = self.layouts.shape(memory, self.large.layout(memory, position));
                shape.is_ok_and(|shape| shape.is_reference(index))
            }
        }
    }

    fn check_store(
        &self,
        found: Object,
        object: Reference,
        index: u32,
        value: u32,
    ) -> Result<(), Error> {
        if value != 0 && self.is_reference_slot(found, object, index) {
            self.check_reference(value)?;
        }
        Ok(())
    }

    /// Finds an object, and the offset of its word `index`. Errors: `OutOfBounds` if `count` words
    /// from there on are not in the object.
    fn check_words(
        &self,
        object: Reference,
        index: u32,
        count: usize,
    ) -> Result<(Object, u32), Error> {
        let found = self.find(object)?;
        let size_bytes = self.size_of_found(found);
        let words = size_bytes / WORD_BYTES;
        if index > words || count > (words - index) as usize {
            return Err(Error::OutOfBounds { size_bytes });
        }
        Ok((found, index * WORD_BYTES))
    }

    fn check_bytes(&self, object: Reference, offset: u32, count: usize) -> Result<Object, Error> {
        let found = self.find(object)?;
        let size_bytes = self.size_of_found(found);
        if offset > size_bytes || count > (size_bytes - offset) as usize {
            return Err(Error::OutOfBounds { size_bytes });
        }
        Ok(found)
    }

    pub(super) fn put_words(&mut self, address: u32, words: &[u32]) {
        for (at, &word) in (address..).step_by(WORD_BYTES as usize).zip(words) {
            self.supply.memory.store_u32(at, word);
        }
    }
}
