//! Tests of the window, and of what else compiled code uses: a shadow stack in the program's own
//! memory, and handles that the program does not take.

use super::tests::at_size;
use super::window::Window;
use super::*;
use crate::layout::{CONSERVATIVE, LEAF, Words};
use crate::memory::model::ModelMemory;
use crate::metadata::{self, COLOUR_B, END, REFERENCE_0, TRACED, WRAPPER};
use crate::units::LARGEST_BLOCK_OBJECT_BYTES;
use crate::wrap_table::Handle;
use std::vec::Vec;

const CAPACITY: u32 = 10;

/// A heap whose shadow stack has `CAPACITY` slots at a place of the program's own.
fn heap_with_stack() -> (Heap<ModelMemory>, u32) {
    let mut memory = ModelMemory::new();
    let base = memory.take_pages(1, 1).unwrap();
    let options = Options { root_capacity: CAPACITY, ..Options::DEFAULT };
    let mut heap = Heap::unstarted(memory, Silent);
    heap.start_on_stack(options, base).unwrap();
    (heap, base)
}

/// Adopts the window as it is, but for the top of the stack.
fn adopt_top(heap: &mut Heap<ModelMemory>, top: u32) -> Result<(), Error> {
    let window = heap.window();
    heap.adopt(window.cursor, window.end, top)
}

/// Bumps an object as compiled code does, and tells the heap.
fn bump(heap: &mut Heap<ModelMemory>, granules: u32, references: u64) -> Option<u32> {
    let window = heap.window();
    let size_bytes = granules * 8;
    if window.limit - window.cursor < size_bytes {
        return None;
    }
    let template = metadata::template(granules, references) | u64::from(window.colour);
    let start = metadata::metadata_of(window.cursor);
    metadata::store_template(heap.memory_mut(), start, granules, template);
    heap.adopt(window.cursor + size_bytes, window.end, window.stack_top).unwrap();
    Some(window.cursor)
}

#[test]
fn a_stack_of_the_programs_own_is_used_up_to_its_end_and_never_given_back() {
    let (mut heap, base) = heap_with_stack();
    let taken = heap.statistics().heap_bytes;
    let window = heap.window();
    assert_eq!(window.stack_base, base);
    assert_eq!(window.stack_top, base);
    assert_eq!(window.stack_limit, base + CAPACITY * 4);
    let object = heap.allocate(LEAF, 8).unwrap();
    for slot in 0..CAPACITY {
        heap.memory_mut().store_u32(base + slot * 4, object);
        adopt_top(&mut heap, base + (slot + 1) * 4).unwrap();
        assert_eq!(heap.depth(), slot + 1);
        assert_eq!(heap.window().stack_top, base + (slot + 1) * 4);
        assert_eq!(heap.statistics().roots_peak, slot + 1);
    }
    let full = Err(Error::RootStackFull { capacity: CAPACITY });
    for wrong in [base - 4, base + CAPACITY * 4 + 4, base + 1, base + 2, 0, u32::MAX - 3] {
        assert_eq!(adopt_top(&mut heap, wrong), full, "{wrong:#x}");
        assert_eq!(heap.depth(), CAPACITY);
    }
    heap.collect().unwrap();
    assert!(heap.is_object(object));
    assert_eq!(heap.verify(), None);
    adopt_top(&mut heap, base).unwrap();
    heap.collect().unwrap();
    assert!(!heap.is_object(object), "what was popped roots nothing");
    assert!(heap.statistics().heap_bytes <= taken + 4 * 65_536);
    heap.close().unwrap();
    assert_eq!(heap.statistics().heap_bytes, 0);
    assert_eq!(heap.memory().free_pages(), heap.memory().pages() - 2, "all but others' two");
    assert_eq!(heap.window(), Window::default());
    assert_eq!(heap.adopt(1, 2, 3), Ok(()), "a closed heap has no window to spoil");
    // The page is still the program's.
    heap.memory_mut().give_pages(base, 1);
}

#[test]
fn scopes_take_slots_from_the_end_of_the_stack_and_shut_the_window() {
    let (mut heap, base) = heap_with_stack();
    heap.allocate(LEAF, 8).unwrap();
    heap.enter_scope().unwrap();
    let kept = heap.allocate(LEAF, 8).unwrap();
    let window = heap.window();
    assert_eq!(window.stack_limit, base + (CAPACITY - 2) * 4);
    assert_eq!((window.limit, window.end), (window.cursor, window.cursor));
    // What code in line would have done with a shut window is not believed.
    heap.adopt(window.cursor + 8, window.end, window.stack_top).unwrap();
    assert_eq!(heap.window().cursor, window.cursor);
    assert_eq!(adopt_top(&mut heap, base + (CAPACITY - 2) * 4), Ok(()));
    assert!(adopt_top(&mut heap, base + (CAPACITY - 1) * 4).is_err());
    heap.truncate(0).unwrap();
    heap.collect().unwrap();
    assert!(heap.is_object(kept));
    assert_eq!(heap.verify(), None);
    heap.leave_scope(0).unwrap();
    assert_eq!(heap.window().stack_limit, base + CAPACITY * 4);
    // More than the hole between the two objects has.
    heap.allocate(LEAF, 64).unwrap();
    let window = heap.window();
    assert!(window.limit > window.cursor, "the window is open again");
}

#[test]
fn what_is_bumped_in_the_window_is_an_object() {
    const OBJECTS: u32 = at_size(2_000, 60);
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    heap.allocate(LEAF, 8).unwrap();
    let mut list = 0;
    for index in 0..OBJECTS {
        let granules = 1 + index % 8;
        let object = bump(&mut heap, granules, 1)
            .unwrap_or_else(|| heap.allocate_small(granules, 1).unwrap());
        assert_eq!(heap.size_of(object), Ok(granules * 8));
        for word in 0..granules * 2 {
            assert_eq!(heap.get(object, word), Ok(0), "it is not zero");
        }
        heap.set(object, 0, list).unwrap();
        assert_eq!(
            heap.set(object, 0, object + 4),
            Err(Error::InvalidRef { reference: object + 4 })
        );
        list = object;
        if index % at_size(100, 40) == 0 {
            heap.push(list).unwrap();
            heap.collect().unwrap();
            assert_eq!(heap.verify(), None);
        }
    }
    let mut length = 0;
    while list != 0 {
        length += 1;
        list = heap.get(list, 0).unwrap();
    }
    assert_eq!(length, OBJECTS);
}

#[test]
fn a_window_that_was_spoilt_is_given_up_until_the_next_collection() {
    let spoilt: [fn(Window) -> (u32, u32); 8] = [
        |window| (window.cursor - 8, window.end),
        |window| (window.limit + 8, window.end),
        |window| (window.cursor, window.limit - 8),
        |window| (window.cursor, window.end + 8),
        |window| (window.cursor + 4, window.end),
        |window| (window.cursor, window.end - 4),
        |window| (window.cursor + 4, window.end - 4),
        |_| (0, u32::MAX),
    ];
    for spoil in spoilt.into_iter().step_by(at_size(1, 3) as usize) {
        let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
        let kept = heap.allocate(LEAF, 8).unwrap();
        heap.push(kept).unwrap();
        let window = heap.window();
        let (cursor, end) = spoil(window);
        heap.adopt(cursor, end, window.stack_top).unwrap();
        let given_up = heap.window();
        assert_eq!(given_up.cursor, given_up.end);
        let next = heap.allocate(LEAF, 8).unwrap();
        assert!(!(window.cursor..window.end).contains(&next));
        heap.collect().unwrap();
        assert_eq!(heap.verify(), None);
        assert!(heap.is_object(kept));
    }
    // As far as it goes is right.
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    heap.allocate(LEAF, 8).unwrap();
    let window = heap.window();
    heap.adopt(window.limit, window.limit, window.stack_top).unwrap();
    assert_eq!((heap.window().cursor, heap.window().end), (window.limit, window.limit));
}

/// Leaves come from the end of the hole, which is not zeroed; what is bumped behind them
/// must be zero all the same, and neither may reach the other.
#[test]
fn leaves_from_the_end_and_objects_from_the_front_share_a_hole() {
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    let pair = heap.define_layout(Words::new(2, 0b01), Words::NONE).unwrap();
    let mut kept: Vec<(u32, u32)> = Vec::new();
    for round in 0..3 {
        for index in (0..4_000).step_by(at_size(1, 801) as usize) {
            let bytes = 8 * (1 + index % 40);
            let leaf = heap.allocate_leaf(bytes).unwrap();
            for word in 0..bytes / 4 {
                heap.set(leaf, word, u32::MAX).unwrap();
            }
            let node = heap.allocate(pair, 0).unwrap();
            assert_eq!((heap.get(node, 0), heap.get(node, 1)), (Ok(0), Ok(0)), "{round} {index}");
            heap.set(node, 0, leaf).unwrap();
            if index % 7 == round {
                heap.push(node).unwrap();
                kept.push((node, bytes));
            }
        }
        assert_eq!(heap.verify(), None);
        heap.collect().unwrap();
    }
    for (node, bytes) in kept {
        let leaf = heap.get(node, 0).unwrap();
        assert_eq!(heap.size_of(leaf), Ok(bytes));
        assert!((0..bytes / 4).all(|word| heap.get(leaf, word) == Ok(u32::MAX)));
    }
    assert_eq!(heap.verify(), None);
}

/// When the end comes down below where memory is zeroed, the zeroed part ends there.
#[test]
fn a_leaf_that_reaches_into_zeroed_memory_ends_it() {
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    heap.allocate(LEAF, 8).unwrap();
    let window = heap.window();
    let left = window.end - window.cursor;
    for _ in 0..left / LARGEST_BLOCK_OBJECT_BYTES {
        heap.allocate_leaf(LARGEST_BLOCK_OBJECT_BYTES).unwrap();
    }
    let window = heap.window();
    let rest = window.end - window.cursor;
    assert!(rest > 64 && rest < LARGEST_BLOCK_OBJECT_BYTES);
    let leaf = heap.allocate_leaf(rest - 32).unwrap();
    let window = heap.window();
    assert_eq!((leaf, window.end - window.cursor), (window.end, 32));
    assert_eq!(window.limit, window.end, "zeroed memory reaches into the leaf");
    assert_eq!(heap.verify(), None);
    assert_eq!(heap.allocate(LEAF, 32).unwrap(), window.cursor);
    assert_eq!(heap.window().cursor, heap.window().end);
}

#[test]
fn templates_say_which_words_are_references_and_nothing_else() {
    for granules in 1..=8 {
        let all = (1_u64 << (granules * 2)) - 1;
        for references in [0, 1, all, all & 0x5555, all & 0xaaaa] {
            let template = metadata::template(granules, references);
            assert_eq!(metadata::template_references(template), references);
            assert_eq!(metadata::is_traced(template as u8), references != 0);
            assert!(!metadata::is_conservative(template as u8));
            let last = template >> ((granules - 1) * 8);
            assert_eq!(last as u8 & END, END);
            assert_eq!(last >> 8, 0, "there is metadata behind the last granule");
        }
    }
    // As docs/core-abi.md has them.
    assert_eq!(metadata::template(1, 0b01), 0x2c);
    assert_eq!(metadata::template(1, 0b11), 0x3c);
    assert_eq!(metadata::template(2, 0b11), 0x0458);
    assert_eq!(metadata::template(3, 0b000101), 0x04_4828);
    assert_eq!(metadata::template(3, 0b100001), 0x14_0028);
    // Colour, end and wrapper bits of a caller's template are not references.
    let others = u64::from(COLOUR_B | END | TRACED | WRAPPER);
    assert_eq!(metadata::template_references(others), 0);
    assert_eq!(metadata::template_references(u64::from(REFERENCE_0) << 56), 1 << 14);
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    for granules in [0, 9, u32::MAX] {
        let refused = Err(Error::InvalidLayout { layout: granules });
        assert_eq!(heap.allocate_small(granules, 0), refused);
    }
}

#[test]
fn a_wrapper_in_the_window_is_one_like_any_other() {
    let options = Options { wrap_capacity: 8, wrap_limit: 8, ..Options::DEFAULT };
    let mut heap = Heap::new(ModelMemory::new(), options).unwrap();
    heap.allocate(LEAF, 8).unwrap();
    for handle in 0..8 {
        let window = heap.window();
        let free = (window.cursor, window.limit);
        assert_eq!(heap.wrap_in_window((free.0, free.0 + 7), 3, handle, 100), None);
        let wrapper = heap.wrap_in_window(free, 3, handle, 100).unwrap();
        assert_eq!(wrapper, window.cursor);
        heap.adopt(wrapper + 8, window.end, window.stack_top).unwrap();
        assert_eq!(heap.handle_of(wrapper), Ok(Handle { kind: 3, handle }));
        assert_eq!((heap.get(wrapper, 0), heap.get(wrapper, 1)), (Ok(3), Ok(handle)));
        assert_eq!(heap.verify(), None);
    }
    assert!(!heap.is_ready_to_wrap(0), "the table is full");
    heap.collect().unwrap();
    assert_eq!(heap.pending(), 8);
    assert!(heap.is_ready_to_wrap(options.weight_floor_bytes));
    assert!(!heap.is_ready_to_wrap(options.weight_floor_bytes + 1));
}

#[test]
fn handles_that_were_not_taken_are_put_back_in_their_order() {
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    for handle in 0..10 {
        heap.wrap(1, handle, 0).unwrap();
    }
    heap.collect().unwrap();
    let mut first = Vec::new();
    heap.offer(|batch| {
        first.extend_from_slice(batch);
        2
    });
    assert_eq!(first.len(), 10);
    assert_eq!((heap.pending(), heap.statistics().handles_released), (8, 10));
    assert_eq!(heap.verify(), None);
    let mut again = Vec::new();
    heap.offer(|batch| {
        again.extend_from_slice(batch);
        batch.len()
    });
    assert_eq!(heap.pending(), 0);
    assert_eq!(again, first[2..], "they come again as they came before");
    let mut all: Vec<u32> = first.iter().map(|dead| dead.handle).collect();
    all.sort_unstable();
    assert_eq!(all, (0..10).collect::<Vec<_>>());
    assert_eq!(heap.statistics().unreleased_peak, 10);
}

#[test]
fn handles_are_offered_in_batches_until_none_is_left_or_one_is_not_taken() {
    let options = Options { wrap_capacity: 1_000, wrap_limit: 1_000, ..Options::DEFAULT };
    let mut heap = Heap::new(ModelMemory::new(), options).unwrap();
    for handle in 0..at_size(700, 600) {
        heap.wrap(1, handle, 0).unwrap();
    }
    heap.collect().unwrap();
    let mut calls = 0;
    heap.offer(|batch| {
        calls += 1;
        batch.len().min(300 - 256 * (calls - 1))
    });
    assert_eq!(calls, 2, "the second took 44");
    assert_eq!(heap.pending(), at_size(700, 600) - 300);
    // More than it was offered is all of it.
    heap.offer(|batch| batch.len() + 1);
    assert_eq!(heap.pending(), 0);
    heap.offer(|_| panic!("there is none"));
}

#[test]
fn a_closed_heap_gives_its_table_back_when_all_handles_are_taken() {
    for takes in [false, true] {
        let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
        heap.wrap(1, 5, 0).unwrap();
        heap.offer(|_| 1);
        assert_eq!(heap.statistics().wrappers_live, 1, "an open heap keeps its table");
        assert_eq!(heap.close(), Ok(1));
        heap.offer(|_| 0);
        assert_ne!(heap.statistics().heap_bytes, 0, "one waits in it");
        if takes {
            heap.offer(|batch| batch.len());
        } else {
            assert_eq!(heap.drain_one(), Some(Handle { kind: 1, handle: 5 }));
        }
        assert_eq!(heap.statistics().heap_bytes, 0);
    }
}

#[test]
fn a_weight_that_grows_is_a_reason_to_collect_and_one_that_shrinks_is_taken_back() {
    let options = Options { weight_floor_bytes: 1_000, ..Options::DEFAULT };
    let mut heap = Heap::new(ModelMemory::new(), options).unwrap();
    let wrapper = heap.wrap(1, 1, 400).unwrap();
    heap.push(wrapper).unwrap();
    heap.set_weight(wrapper, 100).unwrap();
    assert_eq!(heap.statistics().external_bytes, 100);
    heap.wrap(1, 2, 600).unwrap();
    assert_eq!(heap.statistics().collections, 0, "100 and 600 are not more than the floor");
    heap.set_weight(wrapper, 101).unwrap();
    assert_eq!(heap.statistics().external_bytes, 701);
    heap.wrap(1, 3, 299).unwrap();
    assert_eq!(heap.statistics().collections, 0, "there are just as many as the floor");
    heap.wrap(1, 4, 1).unwrap();
    assert_eq!(heap.statistics().collections, 1);
    let plain = heap.allocate(LEAF, 8).unwrap();
    let refused = Err(Error::NotRegistered { reference: plain });
    assert_eq!(heap.set_weight(plain, 1), refused);
}

#[test]
fn aligned_objects_are_aligned_and_others_lie_around_them() {
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    let mut objects = Vec::new();
    for shift in (0..=12).step_by(at_size(1, 12) as usize) {
        for (layout, bytes) in [(LEAF, 24), (CONSERVATIVE, 6_000), (LEAF, 9_000), (LEAF, 70_000)] {
            let object = heap.allocate_aligned(layout, bytes, 1 << shift).unwrap();
            assert!(object.is_multiple_of(1 << shift));
            heap.push(object).unwrap();
            objects.push((object, bytes));
            heap.allocate(LEAF, 8).unwrap();
        }
    }
    objects.sort_unstable();
    assert!(objects.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
    heap.collect().unwrap();
    assert_eq!(heap.verify(), None);
    for alignment in [0, 3, 8_192, u32::MAX] {
        let refused = Err(Error::OutOfBounds { size_bytes: 4_096 });
        assert_eq!(heap.allocate_aligned(LEAF, 8, alignment), refused);
    }
    heap.truncate(0).unwrap();
    heap.collect().unwrap();
    assert_eq!(heap.statistics().live_bytes, 0);
}

#[test]
fn the_verifier_sees_a_scope_whose_link_was_overwritten() {
    let (mut heap, base) = heap_with_stack();
    heap.allocate(LEAF, 8).unwrap();
    heap.enter_scope().unwrap();
    heap.allocate(LEAF, 8).unwrap();
    assert_eq!(heap.verify(), None);
    // The outermost scope's link is in the slot behind the last.
    let link = base + CAPACITY * 4;
    for wrong in [0, 1, CAPACITY << 1 | 1] {
        let right = heap.memory().load_u32(link);
        heap.memory_mut().store_u32(link, wrong);
        let broken = heap.verify().map(|violation| violation.invariant);
        assert_eq!(broken, Some(crate::verify::Invariant::Roots), "{wrong}");
        heap.memory_mut().store_u32(link, right);
    }
}

/// Every odd word of the stack was taken for the link of a scope, and a large object was found
/// by its plain address alone. The model pushed no tags.
#[test]
fn a_tagged_word_keeps_its_object_small_or_large() {
    let (mut heap, base) = heap_with_stack();
    let holder = heap.define_layout(Words::new(2, 0b11), Words::NONE).unwrap();
    let many = heap.define_layout(Words::NONE, Words::new(1, 1)).unwrap();
    for tag in 0..8 {
        let [small, nearly, large] =
            [8, 8_000, 9_000].map(|size_bytes| heap.allocate(LEAF, size_bytes).unwrap());
        let (cell, array) =
            (heap.allocate(holder, 0).unwrap(), heap.allocate(many, 3_000).unwrap());
        let [in_cell, in_array] = [9_000, 9_000].map(|size| heap.allocate(LEAF, size).unwrap());
        heap.memory_mut().store_u32(cell, in_cell | tag);
        heap.memory_mut().store_u32(array + 4_000, in_array | tag);
        for (slot, object) in (0..).zip([small, nearly, large, cell, array]) {
            heap.memory_mut().store_u32(base + slot * 4, object | tag);
        }
        adopt_top(&mut heap, base + 20).unwrap();
        heap.collect().unwrap();
        for object in [small, nearly, large, cell, array, in_cell, in_array] {
            assert!(heap.is_object(object), "{object:#x} with tag {tag}");
        }
        assert_eq!(heap.verify(), None, "tag {tag}");
        // In a scope the links are still no roots.
        heap.enter_scope().unwrap();
        let scoped = heap.allocate(LEAF, 8).unwrap();
        heap.collect().unwrap();
        assert!(heap.is_object(scoped) && heap.is_object(large));
        heap.leave_scope(0).unwrap();
        adopt_top(&mut heap, base).unwrap();
        heap.collect().unwrap();
        assert!(!heap.is_object(large) && !heap.is_object(small));
    }
}

#[test]
fn a_heap_is_started_once_and_until_then_it_is_closed() {
    let mut heap = Heap::unstarted(ModelMemory::new(), Silent);
    assert_eq!(heap.allocate(LEAF, 8), Err(Error::Closed));
    assert_eq!(heap.push(0), Err(Error::Closed));
    assert_eq!(heap.register(8, 1, 1, 0), Err(Error::Closed));
    assert_eq!(heap.wrap(1, 1, 0), Err(Error::Closed));
    assert_eq!(heap.close(), Err(Error::Closed));
    assert_eq!(heap.window(), Window::default());
    let bad = Options { root_capacity: 0, ..Options::DEFAULT };
    assert!(matches!(heap.start(bad), Err(Error::InvalidOption { .. })));
    heap.start(Options::DEFAULT).unwrap();
    for handle in 0..5 {
        heap.wrap(1, handle, 0).unwrap();
    }
    assert_eq!(heap.start(Options::DEFAULT), Err(Error::AlreadyStarted));
    assert_eq!(heap.verify(), None);
    assert_eq!(heap.close(), Ok(5));
    assert_eq!(heap.start(Options::DEFAULT), Err(Error::Closed));
    assert_eq!(heap.pending(), 5);
}

#[test]
fn a_stack_that_is_not_in_memory_or_not_aligned_is_refused() {
    let options = Options { root_capacity: CAPACITY, ..Options::DEFAULT };
    let size_bytes = (CAPACITY + 1) * 4;
    let mut memory = ModelMemory::new();
    let base = memory.take_pages(1, 1).unwrap();
    let end = memory.size_bytes() as u32;
    let mut heap = Heap::unstarted(memory, Silent);
    for outside in [0, end - size_bytes + 4, end, 0xffff_fff0] {
        let refused = Err(Error::OutOfBounds { size_bytes });
        assert_eq!(heap.start_on_stack(options, outside), refused, "{outside:#x}");
    }
    let refused = Err(Error::InvalidRef { reference: base + 2 });
    assert_eq!(heap.start_on_stack(options, base + 2), refused);
    heap.start_on_stack(options, end - size_bytes).unwrap();
    heap.push(0).unwrap();
}

#[test]
fn nothing_is_made_in_a_window_that_is_impossible_or_of_a_closed_heap() {
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    heap.wrap(1, 1, 0).unwrap();
    let Window { cursor, limit, end, colour, .. } = heap.window();
    let beyond = (limit + 65_536, limit);
    assert_eq!(heap.wrap_in_window(beyond, 1, 2, 0), None);
    let memory = heap.memory_mut();
    assert_eq!(window::make_small(memory, beyond, colour, 1, 4), None);
    assert_eq!(window::make_leaf(memory, (end, end - 65_528), colour, 8), None);
    assert_eq!(window::make_leaf(memory, (cursor, end), colour, u32::MAX), None);
    assert_eq!(heap.close(), Ok(1));
    assert_eq!(heap.wrap_in_window((cursor, limit), 1, 3, 0), None, "one still waits");
    assert_eq!(heap.pending(), 1);
}
