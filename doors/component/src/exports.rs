//! The component's exports: each one operation of the heap.

#![expect(unsafe_code, reason = "the quick cases take the heap without noting that")]

use crate::answer::{Outcome, pack};
use crate::glue::{diagnostics, heap, roots, wrappers};
use crate::lists::{Caller, Given, Lists};
use crate::types;
use crate::{World, WorldHeap};
use core::marker::PhantomData;
use tether_door::OptionWords;
use tether_gc::{Error, Handle, Options, Reference, Registration, Store, Words};

/// The exports of a world.
pub struct Door<W>(PhantomData<W>);

/// The heap and the memory of lists, while an operation has them.
struct Lent<'a, W: World> {
    heap: &'a mut WorldHeap<W>,
    lists: &'a mut Lists,
}

/// Lends the heap, which is started at the first call, and the memory of lists to an operation.
#[inline(always)]
fn lend<W: World, R>(operation: impl FnOnce(Lent<'_, W>) -> Result<R, Error>) -> Result<R, Error> {
    W::heap().with(start::<W>, |heap| {
        // SAFETY: this has the heap.
        let lists = unsafe { Lists::of_component() };
        let result = operation(Lent { heap, lists });
        if let Err(error) = &result {
            W::refused(heap, error);
        }
        W::after(heap);
        result
    })
}

/// Runs an operation that gives a word, and whose parameters are more than words.
#[inline(always)]
fn with_heap<W: World>(operation: impl FnOnce(&mut WorldHeap<W>) -> Result<u32, Error>) -> Outcome {
    Outcome::Packed(pack(lend::<W, _>(|lent| operation(lent.heap))))
}

/// An operation that takes words and gives one, or 0.
type Operation<W> = fn(&mut WorldHeap<W>, [u32; 4]) -> Result<u32, Error>;

/// The word of a packed result, or 0 for an error.
fn count(packed: u64) -> u32 {
    if packed >> 32 == 0 { packed as u32 } else { 0 }
}

/// Runs an operation of words.
#[inline(always)]
fn in_full<W: World>(operation: Operation<W>, [a, b, c, d]: [u32; 4]) -> Outcome {
    Outcome::Packed(run::<W>(operation, a, b, c, d))
}

/// Runs an operation of words, in one piece of code for all of them.
#[inline(never)]
fn run<W: World>(operation: Operation<W>, a: u32, b: u32, c: u32, d: u32) -> u64 {
    pack(lend::<W, _>(|lent| operation(lent.heap, [a, b, c, d])))
}

/// Runs an operation of words: at once, if the heap is idle and `quick` can, and else in full.
///
/// (If the quick case and the rest were one function, it would have a stack frame for the
/// result of the rest, and W1 through the component would take a fifth more instructions.)
#[inline(always)]
fn at_once<W: World>(
    quick: impl FnOnce(&mut WorldHeap<W>) -> Option<u32>,
    operation: Operation<W>,
    operands: [u32; 4],
) -> Outcome {
    let done = if W::CALLS_OUT {
        // SAFETY: `quick` is one of the heap's `try_` operations, which do not collect.
        unsafe { W::heap().with_idle(quick) }.flatten()
    } else {
        // SAFETY: as above, and no call comes from inside an operation. On a heap that is not
        // started the `try_` operations do nothing.
        unsafe { W::heap().with_own(quick) }
    };
    if let Some(word) = done {
        return Outcome::Now(word);
    }
    in_full::<W>(operation, operands)
}

#[cold]
fn start<W: World>(heap: &mut WorldHeap<W>) -> Result<(), Error> {
    configure::<W>(heap, Options::DEFAULT)
}

#[inline(never)]
fn configure<W: World>(heap: &mut WorldHeap<W>, options: Options) -> Result<(), Error> {
    // SAFETY: the cell lends the heap to what starts it.
    unsafe { Lists::of_component() }.reserve();
    W::start(heap, options)
}

impl<W: Caller> Caller for Door<W> {
    #[inline(always)]
    unsafe fn allocate(align: usize, size_bytes: usize) -> *mut u8 {
        // SAFETY: the contract is the same.
        unsafe { W::allocate(align, size_bytes) }
    }
}

impl<W: World> heap::Guest for Door<W> {
    fn configure(options: types::Options) -> Outcome {
        let (sizing, sizing_value) = match options.sizing {
            None => (0, 0),
            Some(types::Sizing::Fixed(bytes)) => (1, bytes),
            Some(types::Sizing::Factor(percent)) => (2, percent),
            Some(types::Sizing::SquareRoot(percent)) => (3, percent),
        };
        let words = OptionWords {
            heap_limit_bytes: options.heap_limit_bytes,
            root_capacity: options.root_capacity,
            wrap_capacity: options.wrap_capacity,
            wrap_limit: options.wrap_limit,
            handle_floor: options.handle_floor,
            weight_floor_bytes: options.weight_floor_bytes,
            sizing,
            sizing_value,
            stress: options.stress,
            ..OptionWords::default()
        };
        let started = words.options().and_then(|options| {
            W::heap().start(|heap| configure::<W>(heap, options))?;
            Ok(0)
        });
        Outcome::Packed(pack(started))
    }

    fn define_layout(fixed: Words, element: Words) -> Outcome {
        with_heap::<W>(|heap| heap.define_layout(fixed, element))
    }

    fn allocate(layout: u32, length: u32) -> Outcome {
        at_once::<W>(
            |heap| heap.try_allocate(layout, length),
            |heap, [a, b, ..]| heap.allocate_in_full(a, b),
            [layout, length, 0, 0],
        )
    }

    fn create(layout: u32, length: u32, words: &[u32]) -> Outcome {
        with_heap::<W>(|heap| heap.create(layout, length, words))
    }

    fn build(program: &[u32]) -> Result<u32, types::BuildError> {
        let mut at = 0;
        let depth = lend::<W, _>(|lent| {
            lent.heap.build(program).map_err(|stopped| {
                at = stopped.at;
                stopped.reason
            })
        });
        depth.map_err(|reason| types::BuildError { at, reason: reason.into() })
    }

    fn get(object: Reference, index: u32) -> Outcome {
        at_once::<W>(
            |heap| heap.try_get(object, index),
            |heap, [a, b, ..]| heap.get_in_full(a, b),
            [object, index, 0, 0],
        )
    }

    fn set(object: Reference, index: u32, value: u32) -> Outcome {
        at_once::<W>(
            |heap| heap.try_set(object, index, value).map(|()| 0),
            |heap, [a, b, c, _]| heap.set_in_full(a, b, c).map(|()| 0),
            [object, index, value, 0],
        )
    }

    fn read_bytes(object: Reference, offset: u32, count: u32) -> Result<Given<u8>, Error> {
        lend::<W, _>(|Lent { heap, lists }| {
            // Before memory is taken for bytes that are not there.
            let size_bytes = heap.size_of(object)?;
            if u64::from(offset) + u64::from(count) > u64::from(size_bytes) {
                return Err(Error::OutOfBounds { size_bytes });
            }
            let bytes = lists.list(count as usize)?;
            heap.read_bytes(object, offset, bytes)?;
            Ok(Given::first(bytes, bytes.len()))
        })
    }

    fn write_bytes(object: Reference, offset: u32, bytes: &[u8]) -> Outcome {
        with_heap::<W>(|heap| heap.write_bytes(object, offset, bytes).map(|()| 0))
    }

    fn read_objects(objects: &[Reference], max_words: u32) -> Result<Given<u32>, Error> {
        lend::<W, _>(|lent| read_objects(lent, objects, max_words as usize))
    }

    fn write_many(stores: &[Store]) -> Outcome {
        with_heap::<W>(|heap| heap.write_many(stores).map(|()| 0))
    }

    fn collect() -> Outcome {
        in_full::<W>(|heap, _| heap.collect().map(|()| 0), [0; 4])
    }

    fn set_least_freed(percent: u32) -> Outcome {
        in_full::<W>(|heap, [a, ..]| heap.set_least_freed(a).map(|()| 0), [percent, 0, 0, 0])
    }
}

/// Reads objects until the next one would bring the list past `most_words`, or past the memory
/// that there is for it; but at least one.
fn read_objects<W: World>(
    Lent { heap, lists }: Lent<'_, W>,
    objects: &[Reference],
    most_words: usize,
) -> Result<Given<u32>, Error> {
    /// A first guess at the words of an object.
    const WORDS_EACH: usize = 8;
    let Some(&first) = objects.first() else { return Ok(Given::NONE) };
    let least = 1 + heap.size_of(first)? as usize / 4;
    let mut length = least.max(most_words.min(objects.len() * WORDS_EACH));
    loop {
        let mut is_short = false;
        while let Err(error) = lists.list::<u32>(length) {
            if length == least {
                return Err(error);
            }
            length = least.max(length / 2);
            is_short = true;
        }
        let room = lists.list(length)?;
        let (read, used) = heap.read_objects(objects, room)?;
        let needed = match objects.get(read) {
            None => 0,
            Some(&next) => used + 1 + heap.size_of(next)? as usize / 4,
        };
        if read == objects.len() || is_short || needed > most_words {
            return Ok(Given::first(room, used));
        }
        length = needed.max(most_words.min(2 * length));
    }
}

impl<W: World> roots::Guest for Door<W> {
    fn push(object: Reference) -> Outcome {
        at_once::<W>(
            |heap| heap.try_push(object).map(|()| 0),
            |heap, [a, ..]| heap.push_in_full(a).map(|()| 0),
            [object, 0, 0, 0],
        )
    }

    fn pop() -> Outcome {
        at_once::<W>(|heap| heap.try_pop(), |heap, _| heap.pop(), [0; 4])
    }

    fn depth() -> u32 {
        count(run::<W>(|heap, _| Ok(heap.depth()), 0, 0, 0, 0))
    }

    fn truncate(depth: u32) -> Outcome {
        in_full::<W>(|heap, [a, ..]| heap.truncate(a).map(|()| 0), [depth, 0, 0, 0])
    }

    fn get(index: u32) -> Outcome {
        in_full::<W>(|heap, [a, ..]| heap.root(a), [index, 0, 0, 0])
    }

    fn set(index: u32, object: Reference) -> Outcome {
        in_full::<W>(|heap, [a, b, ..]| heap.set_root(a, b).map(|()| 0), [index, object, 0, 0])
    }

    fn enter_scope() -> Outcome {
        in_full::<W>(|heap, _| heap.enter_scope().map(|()| 0), [0; 4])
    }

    fn leave_scope(keep: Reference) -> Outcome {
        in_full::<W>(|heap, [a, ..]| heap.leave_scope(a).map(|()| 0), [keep, 0, 0, 0])
    }

    fn pin(object: Reference) -> Outcome {
        in_full::<W>(|heap, [a, ..]| heap.pin(a), [object, 0, 0, 0])
    }

    fn unpin(object: Reference) -> Outcome {
        in_full::<W>(|heap, [a, ..]| heap.unpin(a), [object, 0, 0, 0])
    }
}

impl<W: World> wrappers::Guest for Door<W> {
    fn register(wrapper: Reference, kind: u32, handle: u32, weight_bytes: u32) -> Outcome {
        at_once::<W>(
            |heap| heap.try_register(wrapper, kind, handle, weight_bytes).map(|()| 0),
            |heap, [a, b, c, d]| heap.register_in_full(a, b, c, d).map(|()| 0),
            [wrapper, kind, handle, weight_bytes],
        )
    }

    fn register_many(registrations: &[Registration]) -> Outcome {
        with_heap::<W>(|heap| heap.register_many(registrations).map(|()| 0))
    }

    fn wrap(kind: u32, handle: u32, weight_bytes: u32) -> Outcome {
        at_once::<W>(
            |heap| heap.try_wrap(kind, handle, weight_bytes),
            |heap, [a, b, c, _]| heap.wrap_in_full(a, b, c),
            [kind, handle, weight_bytes, 0],
        )
    }

    fn wrap_many(kind: u32, handles: &[u32], weight_bytes: u32) -> Result<Given<Reference>, Error> {
        lend::<W, _>(|Lent { heap, lists }| {
            let wrappers = lists.list(handles.len())?;
            heap.wrap_many(kind, handles, weight_bytes, wrappers)?;
            Ok(Given::first(wrappers, wrappers.len()))
        })
    }

    fn handle_of(wrapper: Reference) -> Result<Handle, Error> {
        lend::<W, _>(|lent| lent.heap.handle_of(wrapper))
    }

    fn dispose(wrapper: Reference) -> Outcome {
        in_full::<W>(|heap, [a, ..]| heap.dispose(a).map(|()| 0), [wrapper, 0, 0, 0])
    }

    fn drain(max: u32) -> Given<Handle> {
        let drained = lend::<W, _>(|Lent { heap, lists }| {
            let handles = lists.list(heap.pending().min(max) as usize)?;
            let count = heap.drain(handles);
            Ok(Given::first(handles, count))
        });
        // Busy, or no memory for the list: then nothing was taken out.
        drained.unwrap_or(Given::NONE)
    }

    fn pending() -> u32 {
        count(run::<W>(|heap, _| Ok(heap.pending()), 0, 0, 0, 0))
    }

    fn close() -> Outcome {
        in_full::<W>(|heap, _| heap.close(), [0; 4])
    }
}

impl<W: World> diagnostics::Guest for Door<W> {
    fn read_statistics() -> types::Statistics {
        // A heap that is busy, or that cannot start, has no counts.
        lend::<W, _>(|lent| Ok(statistics::<W>(lent.heap))).unwrap_or_default()
    }

    fn verify() -> Result<Option<types::Violation>, Error> {
        lend::<W, _>(|lent| {
            Ok(lent.heap.verify().map(|tether_gc::Violation { invariant, at }| types::Violation {
                invariant: invariant as u32,
                at,
            }))
        })
    }
}

fn statistics<W: World>(heap: &WorldHeap<W>) -> types::Statistics {
    // A 32-bit memory has less than 2^32 bytes that can be taken.
    let bytes = |count: u64| count as u32;
    let counts = heap.statistics();
    let (pause_longest_ns, pause_total_ns) = W::pauses(heap.observer());
    types::Statistics {
        collections: counts.collections,
        collections_for_handles: counts.collections_for_handles,
        heap_bytes: bytes(counts.heap_bytes),
        heap_peak_bytes: bytes(counts.heap_peak_bytes),
        live_bytes: bytes(counts.live_bytes),
        allocated_bytes: counts.allocated_bytes,
        wrappers_registered: counts.wrappers_registered,
        handles_released: counts.handles_released,
        wrappers_live: counts.wrappers_live,
        unreleased_peak: counts.unreleased_peak,
        wrap_table_capacity: counts.wrap_table_capacity,
        wrap_table_peak: counts.wrap_table_peak,
        roots: counts.roots,
        roots_peak: counts.roots_peak,
        external_bytes: counts.external_bytes,
        pause_longest_ns,
        pause_total_ns,
    }
}
