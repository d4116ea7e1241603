//! The heap: allocation, and the sequence of a collection.
//!
//! [`Heap`] owns the spaces, the roots and the wrap table, and is the crate's
//! door. This file has its life from `new` to `close`, and collection; what else
//! it does stands in the modules below.
//!
//! Between operations the heap is consistent: every live object has the *live*
//! colour, and `verify` finds nothing. Collections run only inside operations
//! that say so.

mod access;
mod allocation;
mod program;
mod rooting;
mod statistics;
mod stress;
pub mod window;
mod wrapping;

#[cfg(test)]
mod hole_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;

pub use access::Store;
pub use program::BuildError;
pub use statistics::Statistics;

use crate::blocks::Blocks;
use crate::config::Options;
use crate::error::Error;
use crate::large::LargeObjects;
use crate::layout::{LayoutId, Layouts, Shape, Words};
use crate::mark::{MarkStack, Marker, Marking, Untraced};
use crate::memory::Memory;
#[cfg(not(target_arch = "wasm32"))]
use crate::memory::model::ModelMemory;
use crate::memory::supply::Supply;
use crate::metadata::{COLOUR_A, START};
use crate::observer::{Cause, Collection, Observer, Silent};
use crate::pins::Pins;
use crate::ranges::Ranges;
use crate::roots::Roots;
use crate::table::RECORD_BYTES;
use crate::units::{BLOCK_BYTES, Reference, WORD_BYTES};
use crate::wrap_table::{Handle, Registration, WrapTable};

/// A garbage-collected heap over a memory.
///
/// A heap that is dropped gives its memory back. Handles that it still has go to its
/// observer, one by one ([`Observer::undrained`]): a program that has handles either closes
/// and drains the heap itself, or makes it [with an observer](Heap::with_observer) that
/// releases them.
///
/// The value is some 18 KB large: it belongs in a static or a box, if the stack is small.
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
    ranges: Ranges,
    wrap_table: WrapTable,
    mark_stack: MarkStack,
    /// The colour of every live object.
    live: u8,
    /// Whether the heap was started, ever; and whether it is not in use: it was not started yet, or
    /// it was closed.
    started: bool,
    closed: bool,
    collections: u32,
    collections_for_handles: u32,
    /// The most handles, and the most weight, that the wrap table may have before the next
    /// collection: twice what was live after the last one, or that and the options' floors.
    /// A handle that is disposed of leaves the table, and so counts no longer.
    most_handles: u32,
    most_weight_bytes: u64,
    /// Two figures of the last collection: the bytes that it looked at besides objects, and the
    /// bytes that had been allocated until then.
    root_bytes: u64,
    allocated_before: u64,
    /// Collections in a row that were futile, or were started because one was; the requests
    /// that were refused since without one; and the fewest roots there were meanwhile.
    futile: u32,
    refusals: u32,
    fewest_roots: u32,
    /// Operations until the next collection, if `stress` is set.
    stress_left: u32,
    stressed: stress::Stressed<M, O>,
}

/// References that an operation holds and that no root names yet. A collection that the
/// operation starts keeps their objects.
#[derive(Clone, Copy)]
enum InFlight<'a> {
    /// Words that are about to be stored in an object.
    Words(&'a [u32]),
    /// Objects that are about to be wrappers.
    Wrappers(&'a [Registration]),
    /// A root range that is about to be added: the addresses of its first word and of its end.
    Range(u32, u32),
}

/// Nothing is in flight.
const NOTHING: InFlight<'static> = InFlight::Words(&[]);

impl<M: Memory, O: Observer> Drop for Heap<M, O> {
    fn drop(&mut self) {
        // A heap that is closed already may still have handles.
        let _ = self.close();
        while let Some(Handle { kind, handle }) = self.drain_one() {
            self.observer.undrained(kind, handle);
        }
    }
}

impl<M: Memory> Heap<M> {
    /// A heap over `memory`.
    ///
    /// Takes the shadow stack, the wrap table and the mark stack at once; blocks
    /// as they are needed. Errors: `InvalidOption`, `OutOfMemory`.
    pub fn new(memory: M, options: Options) -> Result<Self, Error> {
        Heap::with_observer(memory, options, Silent)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl<O: Observer> Heap<ModelMemory, O> {
    /// The memory, for a native mutator that writes to root ranges and to the
    /// [window](crate::window) by itself, and for tests that have memory refused.
    pub fn memory_mut(&mut self) -> &mut ModelMemory {
        &mut self.supply.memory
    }
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// A heap whose collections are watched.
    pub fn with_observer(memory: M, options: Options, observer: O) -> Result<Self, Error> {
        let mut heap = Heap::unstarted(memory, observer);
        heap.start(options)?;
        Ok(heap)
    }

    /// Makes a heap that has no memory yet, for a static: [`start`](Self::start) comes before
    /// any other operation. Until then every operation answers `Closed`.
    pub const fn unstarted(memory: M, observer: O) -> Self {
        Heap {
            supply: Supply::new(memory),
            observer,
            options: Options::DEFAULT,
            layouts: Layouts::new(),
            blocks: Blocks::new(),
            large: LargeObjects::new(),
            roots: Roots::new(0),
            pins: Pins::new(),
            ranges: Ranges::new(),
            wrap_table: WrapTable::new(0, 0),
            mark_stack: MarkStack::new(),
            live: COLOUR_A,
            started: false,
            closed: true,
            collections: 0,
            collections_for_handles: 0,
            most_handles: 0,
            most_weight_bytes: 0,
            root_bytes: 0,
            allocated_before: 0,
            futile: 0,
            refusals: 0,
            fewest_roots: 0,
            stress_left: 0,
            stressed: stress::Stressed::new(),
        }
    }

    /// Gives an unstarted heap its options and its first memory. After `InvalidOption` or
    /// `OutOfMemory` it can be called again.
    ///
    /// Errors: `InvalidOption`, `OutOfMemory`; `AlreadyStarted`, or `Closed` after
    /// [`close`](Self::close).
    pub fn start(&mut self, options: Options) -> Result<(), Error> {
        self.start_with(options, Roots::new(options.root_capacity))
    }

    /// As [`start`](Self::start), with the shadow stack at `stack_base`, in memory of the
    /// program's own: `root_capacity + 1` words, which the heap never gives back.
    ///
    /// Errors: as `start`; `OutOfBounds` if there is no such memory, with its size in bytes, and
    /// `InvalidRef` if it is not aligned to a word.
    pub fn start_on_stack(&mut self, options: Options, stack_base: u32) -> Result<(), Error> {
        let bytes = (u64::from(options.root_capacity) + 1) * u64::from(WORD_BYTES);
        if stack_base == 0 || u64::from(stack_base) + bytes > self.supply.memory.size_bytes() {
            let size_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            return Err(Error::OutOfBounds { size_bytes });
        }
        if !stack_base.is_multiple_of(WORD_BYTES) {
            return Err(Error::InvalidRef { reference: stack_base });
        }
        self.start_with(options, Roots::in_place(options.root_capacity, stack_base))
    }

    fn start_with(&mut self, options: Options, roots: Roots) -> Result<(), Error> {
        if self.started {
            return Err(if self.closed { Error::Closed } else { Error::AlreadyStarted });
        }
        options.check()?;
        self.supply.set_limit(options.heap_limit_bytes);
        self.roots = roots;
        self.wrap_table = WrapTable::new(options.wrap_capacity, options.wrap_limit);
        self.stress_left = options.stress;
        self.options = options;
        self.limit_pressure();
        let taken = self.roots.take_memory(&mut self.supply)
            && self.wrap_table.take_memory(&mut self.supply)
            && self.mark_stack.take_memory(&mut self.supply);
        if taken {
            (self.started, self.closed) = (true, false);
            return Ok(());
        }
        self.release_memory();
        // Of `Options::MOST_ENTRIES` each, it is below 2^31. With the mark stack, and rounding
        // to pages, so much is enough.
        let slots = options.root_capacity * WORD_BYTES;
        let entries = options.wrap_capacity * RECORD_BYTES;
        Err(Error::OutOfMemory { needed_bytes: slots + entries + 2 * BLOCK_BYTES })
    }

    /// Describes a layout: the words of `fixed`, then any number of elements of the
    /// words of `element` each. One of the two may have no words.
    ///
    /// The same description gives the same number. May collect, where memory is
    /// short. Errors: `InvalidLayout`, `OutOfMemory`, `Closed`. Cost: constant, but for the
    /// growth of the table.
    pub fn define_layout(&mut self, fixed: Words, element: Words) -> Result<LayoutId, Error> {
        self.check_open()?;
        let shape = Shape::new(fixed, element)?;
        let defined = self.layouts.define(&mut self.supply, shape);
        if !matches!(defined, Err(Error::OutOfMemory { .. })) {
            return defined;
        }
        self.collect_for_space(NOTHING);
        self.layouts.define(&mut self.supply, shape)
    }

    /// Collects now.
    ///
    /// Cost: proportional to the live objects, and one byte read for each
    /// granule of the blocks not swept since the last collection.
    pub fn collect(&mut self) -> Result<(), Error> {
        self.check_open()?;
        self.futile = 0;
        self.collect_now(Cause::Asked, NOTHING);
        Ok(())
    }

    /// Chooses anew when collections for space count as futile
    /// ([`Options::least_freed_percent`]). Errors: `Closed`.
    pub fn set_least_freed(&mut self, percent: u32) -> Result<(), Error> {
        self.check_open()?;
        self.options.least_freed_percent = percent;
        self.futile = 0;
        Ok(())
    }

    /// Releases every handle that is still registered (take them with
    /// [`drain`](Self::drain)) and gives the heap's memory back. Every operation
    /// but `drain`, `pending`, `statistics` and `verify` answers `Closed` from then
    /// on, and so does a second `close`. Gives the number of handles that wait.
    pub fn close(&mut self) -> Result<u32, Error> {
        self.check_open()?;
        self.closed = true;
        // Nothing is wrapped in a window that was published before.
        self.most_handles = 0;
        self.wrap_table.close(&mut self.supply);
        self.release_memory();
        Ok(self.wrap_table.pending())
    }

    /// Gives all memory back, except the memory in which released handles wait.
    fn release_memory(&mut self) {
        self.roots.release(&mut self.supply);
        self.pins.release(&mut self.supply);
        self.ranges.release(&mut self.supply);
        self.blocks.release(&mut self.supply);
        self.large.release(&mut self.supply);
        self.stressed.release(&mut self.supply);
        self.layouts.release(&mut self.supply);
        self.mark_stack.release(&mut self.supply);
        self.wrap_table.release_memory(&mut self.supply);
    }

    /// The memory, for a host that shares it.
    pub fn memory(&self) -> &M {
        &self.supply.memory
    }

    /// The observer.
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// The observer, to be told something.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.closed { Err(Error::Closed) } else { Ok(()) }
    }

    /// Collects at every so many operations, if the option `stress` asks for that.
    fn stress(&mut self, in_flight: InFlight<'_>) {
        if self.options.stress > 0 {
            self.stress_left -= 1;
            if self.stress_left == 0 {
                self.collect_now(Cause::Stress, in_flight);
            }
        }
    }

    // ---- Collection ----

    /// Collects because memory was refused, unless that is likely to be futile.
    fn collect_for_space(&mut self, in_flight: InFlight<'_>) {
        if !self.is_futile() {
            self.collect_now(Cause::Space, in_flight);
        }
    }

    /// Whether another collection for space is likely to make no room: see
    /// `Options::least_freed_percent`.
    fn is_futile(&mut self) -> bool {
        let allocated = self.allocated_bytes() - self.allocated_before;
        let percent = u64::from(self.options.least_freed_percent);
        if allocated * 100 >= self.supply.taken_bytes() * percent {
            self.futile = 0;
            return false;
        }
        let roots = self.count_roots();
        if self.futile == 0 || roots < self.fewest_roots {
            self.futile = self.futile.max(1);
            self.fewest_roots = roots;
            return false;
        }
        // At once, eight times; then after 1 refusal, after 2, after 4, … after 64.
        if let Some(doublings) = self.futile.checked_sub(Options::MOST_FUTILE)
            && self.refusals < 1 << doublings.min(Options::REFUSALS.ilog2())
        {
            self.refusals += 1;
            return true;
        }
        self.futile += 1;
        self.refusals = 0;
        false
    }

    /// Roots that are not null, pins and ranges.
    fn count_roots(&self) -> u32 {
        let mut roots = self.pins.length();
        for slots in self.roots.indexes() {
            for slot in slots {
                roots += u32::from(self.roots.root(&self.supply.memory, slot) != 0);
            }
        }
        roots + self.ranges.length()
    }

    /// Collects with one object in flight: roots it on the shadow stack, in the slot that is
    /// kept free for this, collects, and takes it off again.
    #[cold]
    fn collect_rooting(&mut self, cause: Cause, object: Reference) {
        self.roots.push_in_flight(&mut self.supply.memory, object);
        self.collect_now(cause, NOTHING);
        self.roots.pop_in_flight();
    }

    fn collect_now(&mut self, cause: Cause, in_flight: InFlight<'_>) {
        self.observer.begins();
        let released_before = self.wrap_table.released();
        self.mark(in_flight);
        self.release_dead_wrappers();
        if let Some(run) = self.stressed.after_mark {
            run(self);
        }
        self.large.sweep(&mut self.supply, self.live);
        self.blocks.begin_sweep(&mut self.supply);
        self.pins.shrink(&mut self.supply);
        self.ranges.shrink(&mut self.supply);
        self.note_collection(cause);
        self.observer.ended(Collection {
            number: self.collections,
            cause,
            heap_bytes: self.supply.taken_bytes(),
            wrappers_live: self.wrap_table.length(),
            handles_released: (self.wrap_table.released() - released_before) as u32,
        });
        if let Some(run) = self.stressed.at_end {
            run(self);
        }
    }

    /// Exchanges the colours, and marks the objects that the roots reach. An object that is not
    /// reached keeps the colour that is no longer live.
    fn mark(&mut self, in_flight: InFlight<'_>) {
        // Every object must have the live colour now, or be gone: the other
        // colour is about to mean "live".
        let dead = START & !self.live;
        self.blocks.finish_sweep(&mut self.supply.memory, self.live);
        if self.options.interior_pointers
            || self.ranges.length() > 0
            || matches!(in_flight, InFlight::Range(..))
        {
            self.large.sort(&mut self.supply);
        }
        let unmarked = self.live;
        self.live = dead;
        let mut marker = Marker {
            supply: &mut self.supply,
            large: &self.large,
            layouts: &self.layouts,
            stack: &mut self.mark_stack,
            marking: Marking { map: self.blocks.page_map(), unmarked, marked: self.live },
            interior_pointers: self.options.interior_pointers,
            untraced: Untraced::NONE,
        };
        for slots in self.roots.indexes() {
            for slot in slots {
                marker.mark_root(self.roots.root(&marker.supply.memory, slot));
            }
        }
        for position in 0..self.pins.length() {
            marker.mark_root(self.pins.object(&marker.supply.memory, position));
        }
        for position in 0..self.ranges.length() {
            let (from, to) = self.ranges.range(&marker.supply.memory, position);
            marker.mark_range(from, to);
        }
        match in_flight {
            InFlight::Words(words) => words.iter().for_each(|&word| marker.mark_word(word)),
            InFlight::Wrappers(wrappers) => {
                wrappers.iter().for_each(|entry| marker.mark_root(entry.wrapper));
            }
            InFlight::Range(from, to) => marker.mark_range(from, to),
        }
        marker.finish();
    }

    /// Moves the entries of dead wrappers to the released ones. The objects are
    /// not swept yet: a dead one still has its other colour.
    fn release_dead_wrappers(&mut self) {
        let (map, large, live) = (self.blocks.page_map(), &self.large, self.live);
        self.wrap_table.release_dead(&mut self.supply, |memory, wrapper| {
            match map.start(memory, wrapper) {
                Some(start) => memory.load_u8(start) & live != 0,
                None => large
                    .find(memory, wrapper)
                    .is_some_and(|position| large.flags(memory, position) & live != 0),
            }
        });
    }

    /// The bytes that a collection looks at besides objects: roots, and tables in their full size.
    fn count_root_bytes(&self) -> u64 {
        let tables = self.wrap_table.size_bytes() + self.pins.size_bytes();
        u64::from(tables + self.roots.used() * WORD_BYTES)
            + self.ranges.scanned_bytes(&self.supply.memory)
    }

    fn note_collection(&mut self, cause: Cause) {
        self.root_bytes = self.count_root_bytes();
        self.allocated_before = self.allocated_bytes();
        self.collections = self.collections.saturating_add(1);
        if cause == Cause::Handles {
            self.collections_for_handles = self.collections_for_handles.saturating_add(1);
        }
        self.limit_pressure();
        self.stress_left = self.options.stress;
    }

    /// Sets the number and the weight of handles at which the next collection is due, by those
    /// that are in the wrap table now.
    fn limit_pressure(&mut self) {
        let (handles, weight_bytes) = (self.wrap_table.length(), self.wrap_table.external_bytes());
        let weight_floor = u64::from(self.options.weight_floor_bytes);
        self.most_handles = handles.saturating_add(handles.max(self.options.handle_floor));
        self.most_weight_bytes = weight_bytes + weight_bytes.max(weight_floor);
    }
}
