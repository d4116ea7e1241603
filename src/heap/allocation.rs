//! Allocation: from a description of the object to its metadata.
//!
//! Small objects are bumped into the hole at hand; when it is used up, the next
//! one is swept for, then a block is taken if the heap may be larger, then the
//! heap is collected. Large objects have ranges of their own.

use super::{Heap, InFlight, NOTHING};
use crate::error::Error;
use crate::large::NewLarge;
use crate::layout::{self, LayoutId, Shape, Small};
use crate::memory::Memory;
use crate::metadata::{
    self, CONSERVATIVE, END, LAST_REFERENCES, REFERENCE_0, REFERENCE_1, REFERENCE_SHIFT,
    TEMPLATE_GRANULES, TRACED,
};
use crate::observer::{Cause, Observer};
use crate::units::{
    GRANULE_BYTES, GRANULE_WORDS, LARGEST_BLOCK_OBJECT_BYTES, PAYLOAD_BYTES, Reference,
    object_bytes,
};

/// The largest alignment that can be asked for, in bytes.
pub const MOST_ALIGNMENT_BYTES: u32 = 4096;

/// An object that is about to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewObject {
    layout: LayoutId,
    /// Rounded up to granules.
    pub(super) size_bytes: u32,
    /// A power of two, at least a granule.
    alignment: u32,
    zeroed: bool,
    /// Its metadata, if it is small and of fixed size; 0 if the layout says how to write it.
    template: u64,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Allocates a zeroed object: of `length` bytes for [`layout::LEAF`] and
    /// [`layout::CONSERVATIVE`], of `length` elements for a defined layout.
    ///
    /// May collect. Errors: `OutOfMemory`, `InvalidLayout`, `Closed`, and, in a
    /// scope, `RootStackFull`. Cost: a bump and some bytes of metadata; now and
    /// then the sweep to the next hole.
    #[inline(always)]
    pub fn allocate(&mut self, layout: LayoutId, length: u32) -> Result<Reference, Error> {
        self.try_allocate(layout, length).map_or_else(|| self.allocate_in_full(layout, length), Ok)
    }

    /// [`allocate`](Self::allocate), of a small object in the hole at hand.
    #[inline(always)]
    pub fn try_allocate(&mut self, layout: LayoutId, length: u32) -> Option<Reference> {
        let small = self.layouts.small(&self.supply.memory, layout, length)?;
        if self.options.stress > 0 {
            return None;
        }
        if self.roots.scope_depth() > 0 {
            return self.try_allocate_scoped(small);
        }
        self.bump_small(small.words, small.template)
    }

    /// [`try_allocate`](Self::try_allocate) in a scope.
    fn try_allocate_scoped(&mut self, small: Small) -> Option<Reference> {
        if !self.roots.has_room(1) {
            return None;
        }
        let object = self.bump_small(small.words, small.template)?;
        self.roots.push_scoped(&mut self.supply.memory, object);
        Some(object)
    }

    /// Makes an object of so many words, at most 16, in the hole at hand, by its template.
    #[inline(always)]
    pub(super) fn bump_small(&mut self, words: u32, template: u64) -> Option<Reference> {
        let granules = words.div_ceil(GRANULE_WORDS);
        let template = template | u64::from(self.live);
        // If the hole has room for the largest template, all of it can be stored: behind the
        // object it is zero, as the metadata there.
        if let Some(address) = self.blocks.bump_in_room(granules * GRANULE_BYTES) {
            self.supply.memory.store_u64(metadata::metadata_of(address), template);
            return Some(address);
        }
        let address = self.blocks.bump_zeroed(granules * GRANULE_BYTES)?;
        let start = metadata::metadata_of(address);
        metadata::store_template(&mut self.supply.memory, start, granules, template);
        Some(address)
    }

    /// [`allocate`](Self::allocate) without its quick case in line: smaller code, for a caller
    /// that has tried [`try_allocate`](Self::try_allocate).
    #[doc(hidden)]
    pub fn allocate_in_full(&mut self, layout: LayoutId, length: u32) -> Result<Reference, Error> {
        self.allocate_with(layout, length, NOTHING)
    }

    /// Allocates as [`allocate`](Self::allocate) does. A collection that this starts keeps what
    /// is in flight.
    pub(super) fn allocate_with(
        &mut self,
        layout: LayoutId,
        length: u32,
        in_flight: InFlight<'_>,
    ) -> Result<Reference, Error> {
        self.check_open()?;
        let new = self.describe(layout, length)?;
        self.make(&new, in_flight)
    }

    /// Allocates an object without references whose content is whatever the memory
    /// held: for a caller who writes all of it.
    ///
    /// May collect. Errors: as [`allocate`](Self::allocate). Cost: as `allocate`,
    /// without zeroing.
    pub fn allocate_leaf(&mut self, size_bytes: u32) -> Result<Reference, Error> {
        self.check_open()?;
        let new = self.describe(layout::LEAF, size_bytes)?;
        self.make(&NewObject { zeroed: false, ..new }, NOTHING)
    }

    /// Allocates a zeroed object at a multiple of `alignment`, a power of two up
    /// to 4,096.
    ///
    /// May collect. Errors: as [`allocate`](Self::allocate), and `OutOfBounds` for
    /// another alignment. Cost: as `allocate`, and up to `alignment` bytes that stay
    /// unused until the next collection.
    pub fn allocate_aligned(
        &mut self,
        layout: LayoutId,
        length: u32,
        alignment: u32,
    ) -> Result<Reference, Error> {
        self.check_open()?;
        if !alignment.is_power_of_two() || alignment > MOST_ALIGNMENT_BYTES {
            return Err(Error::OutOfBounds { size_bytes: MOST_ALIGNMENT_BYTES });
        }
        let new = self.describe(layout, length)?;
        self.make(&NewObject { alignment: alignment.max(GRANULE_BYTES), ..new }, NOTHING)
    }

    /// Allocates a zeroed object of a few granules, with a bit in `references` for
    /// each word that holds one.
    pub fn allocate_small(&mut self, granules: u32, references: u64) -> Result<Reference, Error> {
        self.check_open()?;
        if granules == 0 || granules > TEMPLATE_GRANULES {
            return Err(Error::InvalidLayout { layout: granules });
        }
        let words = granules * GRANULE_WORDS;
        let references = references & ((1 << words) - 1);
        let new = NewObject {
            layout: layout::LEAF,
            size_bytes: granules * GRANULE_BYTES,
            alignment: GRANULE_BYTES,
            zeroed: true,
            template: metadata::template(granules, references),
        };
        self.make(&new, NOTHING)
    }

    /// Describes the object that a layout and a length make.
    pub(super) fn describe(&self, layout: LayoutId, length: u32) -> Result<NewObject, Error> {
        let (template, bytes) = match layout {
            layout::LEAF | layout::CONSERVATIVE => (0, u64::from(length)),
            _ => {
                let shape = self.layouts.shape(&self.supply.memory, layout)?;
                let bytes = shape.bytes(length).ok_or(Error::InvalidLayout { layout })?;
                (shape.template(), bytes)
            }
        };
        let needed_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let size_bytes = object_bytes(bytes).ok_or(Error::OutOfMemory { needed_bytes })?;
        Ok(NewObject { layout, size_bytes, alignment: GRANULE_BYTES, zeroed: true, template })
    }

    /// Makes a new object, wherever it has room, and has the innermost scope root it.
    pub(super) fn make(
        &mut self,
        new: &NewObject,
        in_flight: InFlight<'_>,
    ) -> Result<Reference, Error> {
        let scoped = self.roots.scope_depth() > 0;
        if scoped {
            self.roots.check_room(1)?;
        }
        self.stress(in_flight);
        let needed_bytes = new.size_bytes;
        let room_bytes = new.size_bytes + (new.alignment - GRANULE_BYTES);
        let made = if room_bytes <= LARGEST_BLOCK_OBJECT_BYTES {
            self.make_in_block(new, room_bytes, in_flight)
        } else {
            self.make_large(new, room_bytes, in_flight)
        };
        let address = made.ok_or(Error::OutOfMemory { needed_bytes })?;
        if scoped {
            self.roots.push_scoped(&mut self.supply.memory, address);
        }
        Ok(address)
    }

    fn make_in_block(
        &mut self,
        new: &NewObject,
        room_bytes: u32,
        in_flight: InFlight<'_>,
    ) -> Option<Reference> {
        let (cursor, _, end) = self.blocks.hole();
        if room_bytes > end - cursor {
            self.refill(room_bytes, in_flight)?;
        }
        let memory = &mut self.supply.memory;
        let address = if new.zeroed {
            if new.alignment > GRANULE_BYTES {
                self.blocks.align(memory, new.alignment);
            }
            self.blocks.bump(memory, new.size_bytes)?
        } else {
            self.blocks.bump_from_end(new.size_bytes)?
        };
        self.write_metadata(address, new);
        Some(address)
    }

    /// Describes a new object in its metadata bytes, which are zero.
    fn write_metadata(&mut self, address: Reference, new: &NewObject) {
        let memory = &mut self.supply.memory;
        let start = metadata::metadata_of(address);
        let granules = new.size_bytes / GRANULE_BYTES;
        let last = start + granules - 1;
        if new.template != 0 {
            let template = new.template | u64::from(self.live);
            return metadata::store_template(memory, start, granules, template);
        }
        if new.layout == layout::LEAF {
            return metadata::store_leaf(memory, start, new.size_bytes, self.live);
        }
        let mut first_byte = CONSERVATIVE;
        if new.layout != layout::CONSERVATIVE {
            let Ok(shape) = self.layouts.shape(memory, new.layout) else { return };
            first_byte = 0;
            if !shape.is_leaf() {
                first_byte = write_references(memory, start, last, shape);
            }
        }
        memory.store_u8(start, self.live | first_byte);
        let last_byte = memory.load_u8(last) | END;
        memory.store_u8(last, last_byte);
    }

    /// Goes on to a hole that has room: the next one, or a new block if the heap
    /// may be larger, or what a collection finds.
    #[cold]
    fn refill(&mut self, room_bytes: u32, in_flight: InFlight<'_>) -> Option<()> {
        if self.blocks.next_hole(&mut self.supply.memory, room_bytes, self.live) {
            return Some(());
        }
        if self.is_collection_due_for(PAYLOAD_BYTES) {
            self.collect_now(Cause::Space, in_flight);
        } else if self.blocks.take_block(&mut self.supply) {
            return Some(());
        } else {
            self.collect_for_space(in_flight);
        }
        let found = self.blocks.next_hole(&mut self.supply.memory, room_bytes, self.live)
            || self.blocks.take_block(&mut self.supply);
        found.then_some(())
    }

    #[cold]
    fn make_large(
        &mut self,
        new: &NewObject,
        room_bytes: u32,
        in_flight: InFlight<'_>,
    ) -> Option<Reference> {
        if !self.supply.is_within_limit(room_bytes) {
            // No collection makes room for more than there may be.
            return None;
        }
        // An object without references is marked and not traced.
        let shape = self.layouts.shape(&self.supply.memory, new.layout);
        let leaf = shape.is_ok_and(Shape::is_leaf);
        let mut large = NewLarge {
            size_bytes: new.size_bytes,
            layout: if leaf { layout::LEAF } else { new.layout },
            alignment: new.alignment,
            zeroed: new.zeroed,
            colour: self.live,
        };
        if self.is_collection_due_for(room_bytes) {
            self.collect_now(Cause::Space, in_flight);
        } else if let Some(address) = self.large.allocate(&mut self.supply, large) {
            return Some(address);
        } else {
            self.collect_for_space(in_flight);
        }
        large.colour = self.live;
        self.large.allocate(&mut self.supply, large)
    }

    /// Whether a heap larger by so many bytes should rather be collected.
    ///
    /// Not before a half of the growth that is allowed was allocated: if free memory is in
    /// holes that are too small for the request, the heap would be collected again and again for
    /// little. And not before as much was allocated as the sweep reads: a
    /// heap that was once large has many blocks to sweep, however little lives.
    fn is_collection_due_for(&self, more_bytes: u32) -> bool {
        let more = u64::from(more_bytes);
        let heap = self.blocks.payload_bytes() + self.large.bytes() + more;
        let live = self.blocks.live_bytes() + self.large.live_bytes();
        // Less than the address space has.
        let budget = self.options.sizing.budget_bytes(live as u32, self.root_bytes);
        let allocated = self.allocated_bytes() + more - self.allocated_before;
        heap > live + budget && allocated >= (budget / 2).max(self.blocks.metadata_bytes())
    }

    /// Bytes given to objects, ever.
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.blocks.allocated_bytes() + self.large.allocated_bytes()
    }
}

/// Sets the reference bits of an object's metadata bytes. Returns the byte that the first one
/// is to be.
fn write_references<M: Memory>(memory: &mut M, start: u32, last: u32, shape: Shape) -> u8 {
    let last_references = start + shape.last_references().min(last - start);
    let all_from = shape.all_references_from();
    let mut index = 0;
    for at in start..=last_references {
        if index >= all_from {
            // The rest is references, to the end and the padding behind it.
            memory.fill(at, last + 1 - at, REFERENCE_0 | REFERENCE_1);
            break;
        }
        let pair =
            u8::from(shape.is_reference(index)) | u8::from(shape.is_reference(index + 1)) << 1;
        memory.store_u8(at, pair << REFERENCE_SHIFT);
        index += 2;
    }
    if last_references < last {
        let byte = memory.load_u8(last_references) | LAST_REFERENCES;
        memory.store_u8(last_references, byte);
        if last_references == start {
            return byte;
        }
    }
    memory.load_u8(start) | TRACED
}
