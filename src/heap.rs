//! The heap: allocation, and the sequence of a collection.
//!
//! [`Heap`] owns the spaces, the roots and the wrap table, and is the crate's
//! door. This file has its life from `new` to `close`, allocation and
//! collection; what else it does stands in the modules below.
//!
//! Between operations the heap is consistent: every live object has the *live*
//! colour, and `verify` finds nothing. Collections run only inside operations
//! that say so.

mod access;
mod build;
mod inspect;
mod rooting;
mod wrapping;

#[cfg(test)]
mod tests;

pub use build::BuildError;
pub use inspect::Statistics;

use crate::blocks::Blocks;
use crate::config::Options;
use crate::error::Error;
use crate::large::LargeObjects;
use crate::layout::{self, LayoutId, Layouts, Shape, Words};
use crate::mark::{MarkStack, Marker, Near};
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::metadata::{
    self, COLOUR_A, CONSERVATIVE, END, REFERENCE_0, REFERENCE_1, REFERENCE_SHIFT, START, TRACED,
};
use crate::observer::{Cause, Collection, Observer, Silent};
use crate::pins::Pins;
use crate::roots::Roots;
use crate::table::RECORD_BYTES;
use crate::units::{
    GRANULE_BYTES, LARGEST_BLOCK_OBJECT_BYTES, Reference, WORD_BYTES, object_bytes,
};
use crate::wrap_table::WrapTable;

/// A garbage-collected heap over a memory.
///
/// See the [crate's front page](crate) for an example.
#[derive(Debug)]
pub struct Heap<M: Memory, O: Observer = Silent> {
    supply: Supply<M>,
    observer: O,
    options: Options,
    layouts: Layouts,
    blocks: Blocks,
    large: LargeObjects,
    roots: Roots,
    pins: Pins,
    wrap_table: WrapTable,
    mark_stack: MarkStack,
    /// The colour of every live object.
    live: u8,
    closed: bool,
    collections: u32,
    collections_for_handles: u32,
    /// Handles and weight registered since the last collection, and live after it.
    handles_since: u32,
    handles_live: u32,
    weight_since: u64,
    weight_live: u64,
    /// Operations until the next collection, where `stress` is set.
    stress_left: u32,
}

/// References that an operation holds and that no root names yet: calls its
/// argument with each. A collection that the operation starts keeps them.
type InFlight<'a> = &'a dyn Fn(&mut dyn FnMut(Reference));

/// Nothing is in flight.
const NOTHING: InFlight<'static> = &|_| {};

impl<M: Memory> Heap<M> {
    /// A heap over `memory`.
    ///
    /// Takes the shadow stack, the wrap table and the mark stack at once; blocks
    /// as they are needed. Errors: `InvalidOption`, `OutOfMemory`.
    pub fn new(memory: M, options: Options) -> Result<Self, Error> {
        Heap::with_observer(memory, options, Silent)
    }
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// A heap whose collections are watched.
    pub fn with_observer(memory: M, options: Options, observer: O) -> Result<Self, Error> {
        options.check()?;
        let mut heap = Heap {
            supply: Supply::new(memory, options.heap_limit_bytes),
            observer,
            options,
            layouts: Layouts::new(),
            blocks: Blocks::new(),
            large: LargeObjects::new(),
            roots: Roots::new(options.root_capacity),
            pins: Pins::new(),
            wrap_table: WrapTable::new(options.wrap_capacity, options.wrap_limit),
            mark_stack: MarkStack::new(),
            live: COLOUR_A,
            closed: false,
            collections: 0,
            collections_for_handles: 0,
            handles_since: 0,
            handles_live: 0,
            weight_since: 0,
            weight_live: 0,
            stress_left: options.stress,
        };
        let taken = heap.roots.take_memory(&mut heap.supply)
            && heap.wrap_table.take_memory(&mut heap.supply)
            && heap.mark_stack.take_memory(&mut heap.supply);
        if taken {
            return Ok(heap);
        }
        heap.release_memory();
        let slots = u64::from(options.root_capacity) * u64::from(WORD_BYTES);
        let entries = u64::from(options.wrap_capacity) * u64::from(RECORD_BYTES);
        let needed_bytes = u32::try_from(slots + entries).unwrap_or(u32::MAX);
        Err(Error::OutOfMemory { needed_bytes })
    }

    /// Describes a layout: the words of `fixed`, then any number of elements of the
    /// words of `element` each. One of the two may have no words.
    ///
    /// The same description gives the same number. May collect, where memory is
    /// short. Errors: `InvalidLayout`, `OutOfMemory`, `Closed`. Cost: a look at
    /// every layout defined so far.
    pub fn define_layout(&mut self, fixed: Words, element: Words) -> Result<LayoutId, Error> {
        self.check_open()?;
        let shape = Shape::new(fixed, element)?;
        if let Ok(layout) = self.layouts.define(&mut self.supply, shape) {
            return Ok(layout);
        }
        self.collect_keeping(Cause::Space, NOTHING);
        self.layouts.define(&mut self.supply, shape)
    }

    /// Allocates a zeroed object: of `length` bytes for [`layout::LEAF`] and
    /// [`layout::CONSERVATIVE`], of `length` elements for a defined layout.
    ///
    /// May collect. Errors: `OutOfMemory`, `InvalidLayout`, `Closed`, and, in a
    /// scope, `RootStackFull`. Cost: a bump and some bytes of metadata; now and
    /// then the sweep to the next hole.
    #[inline]
    pub fn allocate(&mut self, layout: LayoutId, length: u32) -> Result<Reference, Error> {
        self.check_open()?;
        self.allocate_keeping(layout, length, NOTHING)
    }

    /// Collects now.
    ///
    /// Cost: proportional to the live objects, and one byte read for each
    /// granule of the blocks not swept since the last collection.
    pub fn collect(&mut self) -> Result<(), Error> {
        self.check_open()?;
        self.collect_keeping(Cause::Asked, NOTHING);
        Ok(())
    }

    /// Releases every handle that is still registered (take them with
    /// [`drain`](Self::drain)) and gives the heap's memory back. Every operation
    /// but `drain`, `pending`, `statistics` and `verify` answers `Closed` from then
    /// on, and so does a second `close`. Gives the number of handles that wait.
    pub fn close(&mut self) -> Result<u32, Error> {
        self.check_open()?;
        self.closed = true;
        self.wrap_table.close(&mut self.supply.memory);
        self.release_memory();
        Ok(self.wrap_table.pending())
    }

    /// Gives everything back but what released handles wait in.
    #[inline(never)]
    fn release_memory(&mut self) {
        self.roots.release(&mut self.supply);
        self.pins.release(&mut self.supply);
        self.blocks.release(&mut self.supply);
        self.large.release(&mut self.supply);
        self.layouts.release(&mut self.supply);
        self.mark_stack.release(&mut self.supply);
        self.wrap_table.release_memory(&mut self.supply);
    }

    /// The memory, for a host that shares it.
    pub fn memory(&self) -> &M {
        &self.supply.memory
    }

    /// The memory, for tests that let it refuse to grow.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn memory_mut(&mut self) -> &mut M {
        &mut self.supply.memory
    }

    /// The observer.
    pub fn observer(&self) -> &O {
        &self.observer
    }

    #[inline]
    fn check_open(&self) -> Result<(), Error> {
        if self.closed { Err(Error::Closed) } else { Ok(()) }
    }

    // ---- Allocation ----

    #[inline(never)]
    fn allocate_keeping(
        &mut self,
        layout: LayoutId,
        length: u32,
        in_flight: InFlight<'_>,
    ) -> Result<Reference, Error> {
        let (shape, size_bytes) = self.measure(layout, length)?;
        let scoped = self.roots.scope_depth() > 0;
        if scoped {
            self.roots.check_room(1)?;
        }
        self.stress(in_flight);
        let address = if size_bytes <= LARGEST_BLOCK_OBJECT_BYTES {
            let address = match self.blocks.bump(size_bytes) {
                Some(address) => address,
                None => self
                    .refill(size_bytes, in_flight)
                    .ok_or(Error::OutOfMemory { needed_bytes: size_bytes })?,
            };
            self.write_metadata(address, size_bytes, layout, shape);
            address
        } else {
            self.allocate_large(size_bytes, layout, shape, in_flight)
                .ok_or(Error::OutOfMemory { needed_bytes: size_bytes })?
        };
        if scoped {
            self.roots.push_scoped(&mut self.supply.memory, address);
        }
        Ok(address)
    }

    /// The shape of an object to be, and its size in bytes, rounded up.
    #[inline]
    fn measure(&self, layout: LayoutId, length: u32) -> Result<(Shape, u32), Error> {
        let (shape, bytes) = match layout {
            layout::LEAF | layout::CONSERVATIVE => (Shape::LEAF, u64::from(length)),
            _ => {
                let shape = self.layouts.shape(&self.supply.memory, layout)?;
                let bytes = shape.bytes(length).ok_or(Error::InvalidLayout { layout })?;
                (shape, bytes)
            }
        };
        let needed_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let size_bytes = object_bytes(bytes).ok_or(Error::OutOfMemory { needed_bytes })?;
        Ok((shape, size_bytes))
    }

    /// Describes a new object in its metadata bytes, which are zero.
    #[inline]
    fn write_metadata(
        &mut self,
        address: Reference,
        size_bytes: u32,
        layout: LayoutId,
        shape: Shape,
    ) {
        let memory = &mut self.supply.memory;
        let start = metadata::metadata_of(address);
        let last = start + size_bytes / GRANULE_BYTES - 1;
        let mut first_byte = self.live;
        if layout == layout::CONSERVATIVE {
            first_byte |= TRACED | CONSERVATIVE;
        } else if !shape.is_leaf() {
            first_byte |= TRACED;
            write_references(memory, start, last, shape);
        }
        let first_byte = first_byte | memory.load_u8(start);
        memory.store_u8(start, first_byte);
        let last_byte = memory.load_u8(last) | END;
        memory.store_u8(last, last_byte);
    }

    /// Finds room for an object that the current hole cannot hold: in the next
    /// hole, in a new block if the budget allows one, after a collection if not.
    #[cold]
    fn refill(&mut self, size_bytes: u32, in_flight: InFlight<'_>) -> Option<Reference> {
        if self.blocks.next_hole(&mut self.supply.memory, size_bytes, self.live) {
            return self.blocks.bump(size_bytes);
        }
        if self.is_budget_spent(0) || !self.blocks.take_block(&mut self.supply) {
            self.collect_keeping(Cause::Space, in_flight);
            let found = self.blocks.next_hole(&mut self.supply.memory, size_bytes, self.live)
                || self.blocks.take_block(&mut self.supply);
            if !found {
                return None;
            }
        }
        self.blocks.bump(size_bytes)
    }

    #[cold]
    fn allocate_large(
        &mut self,
        size_bytes: u32,
        layout: LayoutId,
        shape: Shape,
        in_flight: InFlight<'_>,
    ) -> Option<Reference> {
        // What holds no references is marked and not looked at.
        let leaf = layout != layout::CONSERVATIVE && shape.is_leaf();
        let layout = if leaf { layout::LEAF } else { layout };
        if !self.is_budget_spent(size_bytes) {
            let live = self.live;
            if let Some(address) = self.large.allocate(&mut self.supply, size_bytes, layout, live) {
                return Some(address);
            }
        }
        self.collect_keeping(Cause::Space, in_flight);
        self.large.allocate(&mut self.supply, size_bytes, layout, self.live)
    }

    /// Whether `more_bytes` would be more than may be allocated before the next
    /// collection.
    fn is_budget_spent(&self, more_bytes: u32) -> bool {
        let claimed = self.blocks.claimed_bytes() + self.large.claimed_bytes();
        let live = self.blocks.live_bytes() + self.large.live_bytes();
        let live = u32::try_from(live).unwrap_or(u32::MAX);
        claimed + u64::from(more_bytes) > self.options.sizing.budget_bytes(live)
    }

    /// Collects at every so many operations, where the option asks for that.
    #[inline]
    fn stress(&mut self, in_flight: InFlight<'_>) {
        if self.options.stress > 0 {
            self.stress_left -= 1;
            if self.stress_left == 0 {
                self.collect_keeping(Cause::Stress, in_flight);
            }
        }
    }

    // ---- Collection ----

    #[inline(never)]
    fn collect_keeping(&mut self, cause: Cause, in_flight: InFlight<'_>) {
        self.observer.begins();
        let released_before = self.wrap_table.released();
        self.mark(in_flight);
        self.release_dead_wrappers();
        self.large.sweep(&mut self.supply, self.live);
        self.blocks.begin_sweep(&mut self.supply);
        if cause == Cause::Space {
            // What the mark stack and the tables gave back may be pages again.
            self.supply.memory.settle();
        }
        self.wrap_table.relieve(&mut self.supply);
        self.note_collection(cause);
        self.observer.ended(Collection {
            number: self.collections,
            cause,
            heap_bytes: self.supply.taken_bytes(),
            wrappers_live: self.wrap_table.length(),
            handles_released: (self.wrap_table.released() - released_before) as u32,
        });
    }

    /// Turns the colours around and marks whatever the roots reach. What is not
    /// reached keeps the colour that is no longer live.
    fn mark(&mut self, in_flight: InFlight<'_>) {
        // Every object must have the live colour now, or be gone: the other
        // colour is about to mean "live".
        let dead = START & !self.live;
        self.blocks.finish_sweep(&mut self.supply.memory, dead);
        #[cfg(feature = "interior-pointers")]
        if self.options.interior_pointers {
            self.large.sort(&mut self.supply.memory);
        }
        let unmarked = self.live;
        self.live = dead;
        let mut marker = Marker {
            supply: &mut self.supply,
            large: &self.large,
            layouts: &self.layouts,
            stack: &mut self.mark_stack,
            near: Near { map: self.blocks.page_map(), unmarked, marked: self.live },
            #[cfg(feature = "interior-pointers")]
            interior_pointers: self.options.interior_pointers,
            overflowed: false,
        };
        for index in self.roots.indexes() {
            marker.mark_root(self.roots.word(&marker.supply.memory, index));
        }
        for position in 0..self.pins.length() {
            marker.mark_root(self.pins.object(&marker.supply.memory, position));
        }
        in_flight(&mut |reference| marker.mark_root(reference));
        marker.finish(&self.blocks);
    }

    /// Moves the entries of dead wrappers to the released ones. The objects are
    /// not swept yet: a dead one still has its other colour.
    fn release_dead_wrappers(&mut self) {
        let (map, large, live) = (self.blocks.page_map(), &self.large, self.live);
        self.wrap_table.release_dead(&mut self.supply.memory, |memory, wrapper| {
            match map.start(memory, wrapper) {
                Some(start) => memory.load_u8(start) & live != 0,
                None => large
                    .find(memory, wrapper)
                    .is_some_and(|position| large.flags(memory, position) & live != 0),
            }
        });
    }

    fn note_collection(&mut self, cause: Cause) {
        self.collections = self.collections.saturating_add(1);
        if cause == Cause::Handles {
            self.collections_for_handles = self.collections_for_handles.saturating_add(1);
        }
        self.handles_since = 0;
        self.handles_live = self.wrap_table.length();
        self.weight_since = 0;
        self.weight_live = self.wrap_table.external_bytes();
        self.stress_left = self.options.stress;
    }
}

/// Sets the reference bits of an object's metadata bytes.
#[inline]
fn write_references<M: Memory>(memory: &mut M, start: u32, last: u32, shape: Shape) {
    let mut index = 0;
    let fixed_end = shape.fixed_words();
    for at in start..=last {
        if index >= fixed_end && shape.elements_are_references() {
            // The rest is references, to the end and the padding behind it.
            return memory.fill(at, last + 1 - at, REFERENCE_0 | REFERENCE_1);
        }
        let pair =
            u8::from(shape.is_reference(index)) | u8::from(shape.is_reference(index + 1)) << 1;
        memory.store_u8(at, pair << REFERENCE_SHIFT);
        index += 2;
    }
}
