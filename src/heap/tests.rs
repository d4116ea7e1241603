//! Tests that look inside the heap: what the collector does when, and that the
//! verifier sees what is broken.

use super::*;
use crate::config::Sizing;
use crate::layout::{LEAF, Words};
use crate::memory::model::ModelMemory;
use crate::memory::supply::Purpose;
use crate::metadata::{self, END, LAST_REFERENCES, REFERENCE_0, START, TRACED};
use crate::units::Reference;
use crate::units::{BLOCK_BYTES, PAYLOAD_BYTES};
use crate::verify::Invariant;
use crate::wrap_table::Handle;
use std::vec::Vec;

fn heap_with(options: Options) -> Heap<ModelMemory> {
    Heap::new(ModelMemory::new(), options).unwrap()
}

/// A heap that is collected when a test says so, up to 4 MiB.
fn heap() -> Heap<ModelMemory> {
    heap_with(Options { sizing: Sizing::Fixed { budget_bytes: 4 << 20 }, ..Options::DEFAULT })
}

/// The invariant that the verifier names.
fn broken(heap: &Heap<ModelMemory>) -> Option<Invariant> {
    heap.verify().map(|violation| violation.invariant)
}

/// Small objects of the busy heap: `objects[LARGE]` is its large one.
const LARGE: usize = at_size(100, 12) as usize;
/// Words of the large one.
const LARGE_WORDS: u32 = at_size(4_000, 2_050);

/// A test's size: another under Miri, which is thousands of times as slow as a processor.
pub(super) const fn at_size(usual: u32, under_miri: u32) -> u32 {
    if cfg!(miri) { under_miri } else { usual }
}

/// A heap with some of everything, in which nothing is wrong.
fn busy_heap() -> (Heap<ModelMemory>, Vec<Reference>) {
    let mut heap = heap();
    let pair = heap.define_layout(Words::new(2, 0b01), Words::NONE).unwrap();
    let array = heap.define_layout(Words::NONE, Words::new(1, 1)).unwrap();
    let mut objects = Vec::new();
    for index in 0..LARGE as u32 {
        let object = heap.create(pair, 0, &[objects.last().copied().unwrap_or(0), index]).unwrap();
        heap.push(object).unwrap();
        objects.push(object);
    }
    let large = heap.allocate(array, LARGE_WORDS).unwrap();
    heap.set(large, LARGE_WORDS - 1, objects[7]).unwrap();
    heap.push(large).unwrap();
    objects.push(large);
    heap.pin(objects[5]).unwrap();
    heap.register(objects[3], 1, 33, 100).unwrap();
    heap.enter_scope().unwrap();
    heap.allocate(LEAF, 24).unwrap();
    (heap, objects)
}

#[test]
fn the_verifier_sees_nothing_where_nothing_is_wrong() {
    let (heap, _) = busy_heap();
    assert_eq!(heap.verify(), None);
}

#[test]
fn register_roots_the_wrapper_in_flight() {
    let options = Options { wrap_capacity: 8, wrap_limit: 8, ..Options::DEFAULT };
    let mut heap = heap_with(options);
    for handle in 0..8 {
        heap.wrap(1, handle, 0).unwrap();
    }
    let depth = heap.depth();
    let wrapper = heap.allocate(LEAF, 8).unwrap();
    heap.set(wrapper, 0, 4711).unwrap();
    heap.register(wrapper, 1, 8, 0).unwrap();
    assert_eq!(heap.statistics().collections, 1, "the ninth registration collects");
    assert_eq!(heap.depth(), depth, "the temporary root is gone");
    assert!(heap.is_object(wrapper), "the wrapper in flight was swept");
    // Whatever is allocated next must not take the wrapper's place.
    for _ in 0..at_size(1_000, 20) {
        assert_ne!(heap.allocate(LEAF, 8).unwrap(), wrapper);
    }
    assert_eq!(heap.get(wrapper, 0), Ok(4711));
    assert_eq!(heap.verify(), None);
}

#[test]
fn a_full_shadow_stack_is_no_reason_for_register_to_fail() {
    let options = Options { wrap_capacity: 4, wrap_limit: 4, root_capacity: 6, ..Options::DEFAULT };
    let mut heap = heap_with(options);
    for _ in 0..6 {
        heap.push(0).unwrap();
    }
    assert_eq!(heap.push(0), Err(Error::RootStackFull { capacity: 6 }));
    for handle in 0..at_size(100, 10) {
        let wrapper = heap.wrap(1, handle, 0).unwrap();
        assert!(heap.is_object(wrapper));
    }
    assert_eq!(heap.depth(), 6);
    assert_eq!(heap.verify(), None);
}

#[test]
fn sweeping_waits_until_allocation_needs_it() {
    const PAIRS: u32 = at_size(40, 4);
    let mut heap = heap();
    let keep: Vec<_> = (0..PAIRS)
        .map(|_| {
            let kept = heap.allocate(LEAF, 8_000).unwrap();
            heap.push(kept).unwrap();
            heap.allocate(LEAF, 8_000).unwrap();
            kept
        })
        .collect();
    assert!(heap.blocks.count() >= PAIRS / 4);
    heap.collect().unwrap();
    let dead_metadata = |heap: &Heap<ModelMemory>| {
        let mut dead = 0;
        let other = START & !heap.live;
        heap.blocks.for_each_object(&heap.supply.memory, other, |_, _| dead += 1);
        dead
    };
    let before = dead_metadata(&heap);
    assert!(before >= PAIRS * 3 / 4, "the collection itself swept: {before} dead objects left");
    heap.allocate(LEAF, 8).unwrap();
    let after = dead_metadata(&heap);
    assert!(after < before && before - after <= 3, "one allocation swept one hole: {after}");
    assert!(keep.iter().all(|&object| heap.is_object(object)));
    assert_eq!(heap.verify(), None);
}

#[test]
fn a_dead_object_that_is_not_swept_yet_is_no_object() {
    let mut heap = heap();
    let kept = heap.allocate(LEAF, 64).unwrap();
    heap.push(kept).unwrap();
    let dead = heap.allocate(LEAF, 64).unwrap();
    heap.collect().unwrap();
    let byte = heap.supply.memory.load_u8(metadata::metadata_of(dead));
    assert_ne!(byte & START, 0, "its metadata is still there");
    assert_eq!(heap.get(dead, 0), Err(Error::InvalidRef { reference: dead }));
}

#[test]
#[cfg_attr(miri, ignore = "fills eight megabytes twenty times")]
fn empty_blocks_become_large_objects_and_the_reverse() {
    let options = Options { heap_limit_bytes: 8 << 20, ..Options::DEFAULT };
    let mut heap = heap_with(options);
    for round in 0..20 {
        for _ in 0..6 << 20 >> 10 {
            heap.allocate(LEAF, 1_000).unwrap();
        }
        heap.collect().unwrap();
        let large = heap.allocate(LEAF, 6 << 20).unwrap();
        assert!(heap.is_object(large), "round {round}");
        heap.collect().unwrap();
    }
    let pages = heap.memory().pages();
    assert!(pages < 8 * 16 + 120, "{pages} pages: one kind does not reuse the other's");
    assert_eq!(heap.verify(), None);
}

#[test]
fn blocks_that_are_empty_after_a_collection_go_back() {
    const SIZE_BYTES: u32 = at_size(64, 8_000);
    const BLOCKS: u32 = at_size(50, 2);
    let mut heap = heap();
    for _ in 0..(BLOCKS + 1) * PAYLOAD_BYTES / SIZE_BYTES {
        heap.allocate(LEAF, SIZE_BYTES).unwrap();
    }
    let blocks = heap.blocks.count();
    assert!(blocks > BLOCKS);
    heap.collect().unwrap();
    assert_eq!(heap.blocks.count(), 0);
    assert_eq!(heap.memory().free_pages(), blocks);
}

/// How large the blocks of a heap become before it collects, with so much that lives, and
/// with roots and tables as they are prepared.
fn bytes_without_collection(live_bytes: u32, prepare: fn(&mut Heap<ModelMemory>)) -> u64 {
    const SIZE_BYTES: u32 = 8_000;
    let options = Options { wrap_capacity: 8, wrap_limit: 10_000, ..Options::DEFAULT };
    let mut heap = heap_with(options);
    let holder = heap.define_layout(Words::NONE, Words::new(1, 1)).unwrap();
    let holder = heap.allocate(holder, 1_000).unwrap();
    heap.push(holder).unwrap();
    for index in 0..live_bytes.div_ceil(SIZE_BYTES) {
        let object = heap.allocate(LEAF, SIZE_BYTES).unwrap();
        heap.set(holder, index, object).unwrap();
    }
    prepare(&mut heap);
    heap.collect().unwrap();
    let collections = heap.collections;
    let mut bytes = 0;
    while heap.collections == collections {
        bytes = heap.blocks.payload_bytes();
        heap.allocate(LEAF, SIZE_BYTES).unwrap();
    }
    // It collected rather than take one block more.
    bytes + u64::from(PAYLOAD_BYTES)
}

#[test]
#[cfg_attr(miri, ignore = "fills megabytes")]
fn a_heap_may_be_sixteen_times_what_a_collection_looks_at() {
    /// The holder of what lives.
    const HOLDER: u64 = 4_000;
    let near = |bytes: u64, expected: u64| {
        assert!(bytes > expected, "{bytes} bytes, where {expected} are no reason to collect");
        // Tables are larger than what is in them.
        let most = 2 * expected + 2 * u64::from(PAYLOAD_BYTES);
        assert!(bytes <= most, "{bytes} bytes, where {expected} are enough");
    };
    let nothing = |_: &mut Heap<ModelMemory>| {};
    near(bytes_without_collection(0, nothing), 512 << 10);
    near(bytes_without_collection(96_000, nothing), 16 * (HOLDER + 96_000));
    near(bytes_without_collection(1_600_000, nothing), 4 << 20);
    let push = |heap: &mut Heap<ModelMemory>| (0..16_000).for_each(|_| heap.push(0).unwrap());
    near(bytes_without_collection(0, push), 16 * (HOLDER + 64_000));
    let scoped = |heap: &mut Heap<ModelMemory>| {
        heap.enter_scope().unwrap();
        for _ in 0..10_000 {
            heap.allocate(LEAF, 8).unwrap();
        }
    };
    near(bytes_without_collection(0, scoped), 16 * (HOLDER + 10_000 * (8 + 4)));
    let pin = |heap: &mut Heap<ModelMemory>| {
        for _ in 0..2_000 {
            let object = heap.allocate(LEAF, 8).unwrap();
            heap.pin(object).unwrap();
        }
    };
    near(bytes_without_collection(0, pin), 16 * (HOLDER + 2_000 * (8 + 16)));
    let wrap = |heap: &mut Heap<ModelMemory>| {
        for handle in 0..3_000 {
            let wrapper = heap.wrap(1, handle, 0).unwrap();
            heap.push(wrapper).unwrap();
        }
    };
    near(bytes_without_collection(0, wrap), 16 * (HOLDER + 3_000 * (8 + 16 + 4)));
}

#[test]
#[cfg_attr(miri, ignore = "fills megabytes")]
fn holes_too_small_for_what_is_asked_for_are_no_reason_to_collect() {
    // Objects that live, few and everywhere, leave no hole for buffers as large as these.
    for (keep_one_in, buffer_bytes) in [(256, 8_192), (64, 8_192), (32, 6_000)] {
        let mut heap = heap_with(Options { wrap_capacity: 8, wrap_limit: 8, ..Options::DEFAULT });
        for index in 0..30_000 {
            let object = heap.allocate(LEAF, 16).unwrap();
            if index % keep_one_in == 0 {
                heap.push(object).unwrap();
            }
        }
        let before = heap.statistics();
        for _ in 0..2_000 {
            heap.allocate(LEAF, buffer_bytes).unwrap();
        }
        let after = heap.statistics();
        let collections = u64::from(after.collections - before.collections);
        let allocated = after.allocated_bytes - before.allocated_bytes;
        assert!(allocated / collections >= 128 << 10, "{collections} collections");
        assert!(after.heap_bytes < 2 << 20, "{} bytes", after.heap_bytes);
    }
}

#[test]
fn small_objects_fill_the_holes_between_live_ones() {
    const SIZE_BYTES: u32 = at_size(64, 2_048);
    let mut heap = heap();
    let mut live = 0;
    while heap.blocks.count() < at_size(20, 2) {
        let object = heap.allocate(LEAF, SIZE_BYTES).unwrap();
        live += 1;
        if live % 8 == 0 {
            heap.push(object).unwrap();
        }
    }
    heap.collect().unwrap();
    let blocks = heap.blocks.count();
    let free = u64::from(blocks) * u64::from(PAYLOAD_BYTES) - heap.statistics().live_bytes;
    for _ in 0..free / u64::from(SIZE_BYTES) / 2 {
        heap.allocate(LEAF, SIZE_BYTES).unwrap();
    }
    assert_eq!(heap.blocks.count(), blocks, "allocation took new blocks, not holes");
    assert_eq!(heap.verify(), None);
}

#[test]
fn the_verifier_sees_a_block_missing_from_the_map() {
    let (mut heap, objects) = busy_heap();
    let block = objects[0] & !(BLOCK_BYTES - 1);
    heap.blocks.remove_from_map(&mut heap.supply.memory, block);
    assert_eq!(broken(&heap), Some(Invariant::BlockMap));
}

#[test]
fn the_verifier_sees_illegal_metadata() {
    let (mut heap, objects) = busy_heap();
    let start = metadata::metadata_of(objects[1]);
    let byte = heap.supply.memory.load_u8(start);
    heap.supply.memory.store_u8(start, byte & !TRACED);
    assert_eq!(broken(&heap), Some(Invariant::Metadata));
}

#[test]
fn references_behind_the_last_are_illegal_and_not_traced() {
    let mut heap = heap();
    let record = heap.define_layout(Words::new(6, 0b000101), Words::NONE).unwrap();
    let object = heap.allocate(record, 0).unwrap();
    let behind = metadata::metadata_of(object) + 2;
    assert_eq!(heap.supply.memory.load_u8(behind - 1), REFERENCE_0 | LAST_REFERENCES);
    assert_eq!(broken(&heap), None);
    heap.supply.memory.store_u8(behind, END | REFERENCE_0);
    assert_eq!(broken(&heap), Some(Invariant::Metadata));
    // Nobody looks there for references: the one before them keeps its object.
    heap.push(object).unwrap();
    let [kept, left] = [0, 4].map(|word| {
        let child = heap.allocate(LEAF, 8).unwrap();
        heap.supply.memory.store_u32(object + word * WORD_BYTES, child);
        child
    });
    heap.collect().unwrap();
    assert!(heap.is_object(kept));
    assert!(!heap.is_object(left), "marking went on behind the last references");
}

#[test]
fn the_verifier_sees_an_object_without_an_end() {
    let (mut heap, objects) = busy_heap();
    let start = metadata::metadata_of(objects[1]);
    let byte = heap.supply.memory.load_u8(start);
    heap.supply.memory.store_u8(start, byte & !END);
    assert_eq!(broken(&heap), Some(Invariant::Tiling));
}

#[test]
fn the_verifier_sees_a_reference_to_no_object() {
    let (mut heap, objects) = busy_heap();
    heap.supply.memory.store_u32(objects[9], objects[8] & !0xffff | 8);
    assert_eq!(broken(&heap), Some(Invariant::References));
    let (mut heap, objects) = busy_heap();
    let large = objects[LARGE];
    heap.supply.memory.store_u32(large + 400, 12);
    assert_eq!(broken(&heap), Some(Invariant::References));
}

#[test]
fn the_verifier_sees_an_object_of_the_dead_colour() {
    let (mut heap, objects) = busy_heap();
    heap.collect().unwrap();
    heap.blocks.finish_sweep(&mut heap.supply.memory, heap.live);
    assert_eq!(heap.verify(), None);
    // No other object refers to it.
    let start = metadata::metadata_of(objects[LARGE - 1]);
    let byte = heap.supply.memory.load_u8(start);
    heap.supply.memory.store_u8(start, byte ^ START);
    assert_eq!(broken(&heap), Some(Invariant::Colours));
}

#[test]
fn the_verifier_sees_a_large_object_of_the_dead_colour() {
    let (mut heap, objects) = busy_heap();
    let position = heap.large.find(&heap.supply.memory, objects[LARGE]).unwrap();
    heap.large.set_colour(&mut heap.supply.memory, position, START & !heap.live);
    assert_eq!(broken(&heap), Some(Invariant::Colours));
}

#[test]
fn the_verifier_sees_what_is_written_over_a_blocks_own_metadata() {
    let (mut heap, objects) = busy_heap();
    heap.supply.memory.store_u8(metadata::block_of(objects[0]) + 100, 1);
    assert_eq!(broken(&heap), Some(Invariant::Metadata));
}

#[test]
fn the_verifier_sees_an_object_in_a_hole_of_the_hole_set() {
    const HOLES: u32 = at_size(100, 20);
    let mut heap = heap();
    for _ in 0..HOLES {
        let kept = heap.allocate(LEAF, 8).unwrap();
        heap.push(kept).unwrap();
        heap.allocate(LEAF, 64).unwrap();
    }
    heap.collect().unwrap();
    // The holes of 64 bytes are too small for it, and go into the hole set.
    heap.allocate(LEAF, 4_000).unwrap();
    let mut in_set = Vec::new();
    heap.blocks.hole_set().for_each(&heap.supply.memory, |from, _| in_set.push(from));
    assert!(in_set.len() > HOLES as usize / 2);
    assert_eq!(heap.verify(), None);
    let live = heap.live;
    heap.supply.memory.store_u8(metadata::metadata_of(in_set[7]), live | END);
    assert_eq!(broken(&heap), Some(Invariant::Hole));
}

#[test]
fn the_verifier_sees_a_wrapper_bit_that_has_no_entry() {
    let (mut heap, objects) = busy_heap();
    for object in [objects[4], objects[LARGE]] {
        heap.set_wrapper_bit(object, true);
        assert_eq!(broken(&heap), Some(Invariant::WrapTable));
        heap.set_wrapper_bit(object, false);
        assert_eq!(heap.verify(), None);
    }
}

#[test]
fn the_verifier_sees_a_dirty_hole() {
    let (mut heap, _) = busy_heap();
    let (cursor, ..) = heap.blocks.hole();
    heap.supply.memory.store_u32(cursor + 8, 1);
    assert_eq!(broken(&heap), Some(Invariant::Hole));
}

#[test]
fn the_verifier_sees_a_large_object_of_a_wrong_size() {
    let (mut heap, objects) = busy_heap();
    let position = heap.large.find(&heap.supply.memory, objects[LARGE]).unwrap();
    heap.large.set_size(&mut heap.supply.memory, position, 16);
    assert_eq!(broken(&heap), Some(Invariant::LargeTable));
}

#[test]
fn the_verifier_sees_a_wrapper_without_an_entry() {
    let (mut heap, objects) = busy_heap();
    heap.wrap_table.dispose(&mut heap.supply, objects[3]);
    assert_eq!(broken(&heap), Some(Invariant::WrapTable));
}

#[test]
fn the_verifier_sees_memory_that_is_not_accounted_for() {
    let (mut heap, _) = busy_heap();
    heap.supply.take_bytes(Purpose::Table, 64).unwrap();
    assert_eq!(broken(&heap), Some(Invariant::Accounting));
}

#[test]
fn the_verifier_sees_an_extent_of_a_wrong_size() {
    let (mut heap, _) = busy_heap();
    let range = heap.supply.take_bytes(Purpose::Table, 64).unwrap();
    heap.supply.give_bytes(Purpose::Table, range, 64);
    assert_eq!(broken(&heap), None);
    // The second word of the header before it.
    heap.supply.memory.store_u32(range - 4, 48);
    assert_eq!(broken(&heap), Some(Invariant::Accounting));
}

#[test]
fn the_verifier_sees_what_stands_behind_a_reference_to_no_object() {
    let (mut heap, objects) = busy_heap();
    heap.supply.memory.store_u32(objects[9], objects[8] + 4);
    heap.wrap_table.dispose(&mut heap.supply, objects[3]);
    assert_eq!(broken(&heap), Some(Invariant::WrapTable));
}

#[test]
fn the_verifier_sees_a_root_that_is_no_object() {
    let (mut heap, objects) = busy_heap();
    // A granule of metadata is no object.
    heap.roots.set(&mut heap.supply.memory, 1, objects[0] & !0xffff | 12).unwrap();
    assert_eq!(broken(&heap), Some(Invariant::Roots));
}

#[test]
fn the_verifier_sees_a_pin_of_no_object() {
    let (mut heap, objects) = busy_heap();
    heap.pins.pin(&mut heap.supply, objects[0] + 4).unwrap();
    assert_eq!(broken(&heap), Some(Invariant::Pins));
}

#[test]
fn the_verifier_sees_an_object_that_is_pinned_no_times() {
    let (mut heap, objects) = busy_heap();
    heap.pin(objects[0]).unwrap();
    assert_eq!(broken(&heap), None);
    heap.pins.set_count(&mut heap.supply.memory, 0, 0);
    assert_eq!(broken(&heap), Some(Invariant::Pins));
}

#[test]
fn one_layout_more_than_there_can_be_is_refused() {
    use crate::layout::{FIRST_DEFINED, MOST_LAYOUTS};
    let mut heap = heap();
    let describe = |number: u32| Words::new(20, u64::from(number));
    for number in 0..MOST_LAYOUTS {
        let layout = heap.define_layout(describe(number), Words::NONE);
        assert_eq!(layout, Ok(FIRST_DEFINED + number));
    }
    let refused = Err(Error::InvalidLayout { layout: FIRST_DEFINED + MOST_LAYOUTS });
    assert_eq!(heap.define_layout(describe(MOST_LAYOUTS), Words::NONE), refused);
    assert_eq!(heap.statistics().collections, 0, "none would help");
    let last = heap.define_layout(describe(MOST_LAYOUTS - 1), Words::NONE).unwrap();
    let object = heap.allocate(last, 0).unwrap();
    assert_eq!(heap.size_of(object), Ok(80));
    assert_eq!(heap.verify(), None);
}

#[test]
fn an_object_with_as_many_pins_as_can_be_counted_is_pinned_for_good() {
    let mut heap = heap();
    let object = heap.allocate(LEAF, 8).unwrap();
    heap.pin(object).unwrap();
    heap.pins.set_count(&mut heap.supply.memory, 0, u32::MAX - 2);
    assert_eq!(heap.pin(object), Ok(u32::MAX - 1));
    assert_eq!(heap.unpin(object), Ok(u32::MAX - 2));
    assert_eq!(heap.pin(object), Ok(u32::MAX - 1));
    for _ in 0..3 {
        assert_eq!(heap.pin(object), Ok(u32::MAX));
    }
    for _ in 0..5 {
        assert_eq!(heap.unpin(object), Ok(u32::MAX));
    }
    heap.collect().unwrap();
    assert!(heap.is_object(object));
    assert_eq!(heap.verify(), None);
}

/// How often a figure of the heap changes while `grow` makes it larger, until it cannot.
fn count_changes<T: PartialEq>(
    heap: &mut Heap<ModelMemory>,
    figure: impl Fn(&Heap<ModelMemory>) -> T,
    mut grow: impl FnMut(&mut Heap<ModelMemory>) -> Result<(), Error>,
) -> (u32, u32) {
    let (mut changes, mut last) = (0, figure(heap));
    for count in 0.. {
        if grow(heap).is_err() {
            return (count, changes);
        }
        let now = figure(heap);
        changes += u32::from(now != last);
        last = now;
    }
    unreachable!("the heap has a limit");
}

/// Both tables grew by one record at a time, each with a copy of all and often a collection,
/// once memory did not let them double. The model's limits were smaller than such a table.
#[test]
#[cfg_attr(miri, ignore = "makes 200,000 objects")]
fn a_table_that_may_not_double_grows_by_a_good_part() {
    let options = Options { heap_limit_bytes: 15 << 20, wrap_limit: 1 << 22, ..Options::DEFAULT };
    let mut heap = Heap::new(ModelMemory::new(), options).unwrap();
    let cell = heap.define_layout(Words::new(2, 0b11), Words::NONE).unwrap();
    heap.push(0).unwrap();
    let (wrapped, growths) = count_changes(
        &mut heap,
        |heap| heap.wrap_table.capacity(),
        |heap| {
            let wrapper = heap.wrap(1, 1, 0)?;
            let first = heap.root(0)?;
            let first = heap.create(cell, 0, &[wrapper, first])?;
            heap.set_root(0, first)
        },
    );
    let collections = heap.statistics().collections;
    assert!(wrapped > 200_000, "{wrapped}");
    assert!(growths < 50 && collections < 100, "{growths}, {collections} for {wrapped} wrappers");
    assert_eq!(heap.verify(), None);

    let mut heap = Heap::new(ModelMemory::new(), options).unwrap();
    let (pinned, growths) = count_changes(
        &mut heap,
        |heap| heap.pins.size_bytes(),
        |heap| {
            let object = heap.allocate(LEAF, 8)?;
            heap.pin(object).map(drop)
        },
    );
    let collections = heap.statistics().collections;
    assert!(pinned > 200_000, "{pinned}");
    assert!(growths < 80 && collections < 100, "{growths}, {collections} for {pinned} pins");
    assert_eq!(heap.verify(), None);
}

/// Every collection zeroed an index of 8 MiB, and 24 MiB of tables stayed for good. The model
/// looks at what lives, not at what tables take.
#[test]
#[cfg_attr(miri, ignore = "a hundred thousand wrappers")]
fn tables_shrink_when_little_lives() {
    const MANY: u32 = 100_000;
    let options = Options {
        root_capacity: MANY,
        wrap_limit: MANY,
        sizing: Sizing::Fixed { budget_bytes: 1 << 30 },
        ..Options::DEFAULT
    };
    let mut heap = heap_with(options);
    let least = heap.tables_bytes();
    for handle in 0..MANY {
        let wrapper = heap.wrap(1, handle, 0).unwrap();
        heap.push(wrapper).unwrap();
        heap.pin(wrapper).unwrap();
        assert_eq!(heap.handle_of(wrapper).unwrap().handle, handle);
    }
    for index in 0..MANY / 100 {
        let large = heap.allocate(LEAF, 9_000).unwrap();
        heap.set_root(index, large).unwrap();
    }
    assert!(heap.tables_bytes() > least + 4 * MANY * RECORD_BYTES / 3);
    for index in (100..MANY).rev() {
        let object = heap.root(index).unwrap();
        if heap.handle_of(object).is_ok() {
            heap.unpin(object).unwrap();
        }
    }
    heap.truncate(0).unwrap();
    heap.collect().unwrap();
    // What was released waits in the table.
    assert!(heap.wrap_table.capacity() == 4_096 && heap.wrap_table.pending() > MANY - 2_000);
    let mut handles = [Handle { kind: 0, handle: 0 }; 1_000];
    while heap.drain(&mut handles) > 0 {}
    heap.collect().unwrap();
    let kept = heap.tables_bytes() - least;
    assert!(kept < 200_000, "{kept} bytes");
    assert_eq!(heap.verify(), None);
    assert!(heap.supply.taken_bytes() < u64::from(heap.tables_bytes()) + 12 * 65_536);
}

/// The doors rely on this: they call these operations before they know whether the heap is started.
#[test]
fn quick_operations_do_nothing_on_a_heap_that_is_not_started_or_closed() {
    let mut closed = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    let object = closed.allocate(LEAF, 8).unwrap();
    closed.push(object).unwrap();
    closed.pop().unwrap();
    closed.close().unwrap();
    for mut heap in [Heap::unstarted(ModelMemory::new(), Silent), closed] {
        for object in [0, 8, object] {
            assert_eq!(heap.try_get(object, 0), None);
            assert_eq!(heap.try_set(object, 0, 0), None);
            assert_eq!(heap.try_push(object), None);
            assert_eq!(heap.try_register(object, 1, 2, 3), None);
        }
        for layout in 0..4 {
            assert_eq!(heap.try_allocate(layout, 0), None);
        }
        assert_eq!(heap.try_pop(), None);
        assert_eq!(heap.try_wrap(1, 2, 3), None);
    }
}
