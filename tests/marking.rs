//! Marking survives any shape of heap, also when memory refuses to grow.

mod common;

use common::shared::Shared;
use common::{array, heap, node};
use tether_gc::memory::model::ModelMemory;
use tether_gc::{Heap, Options, Reference, Sizing, Words, layout};

/// Collects twice: while no memory can be had, and with memory to spare.
fn collect_both_ways(heap: &mut Heap<ModelMemory>) {
    heap.memory_mut().set_exhausted(true);
    heap.collect().unwrap();
    heap.memory_mut().set_exhausted(false);
    assert_eq!(heap.verify(), None);
    heap.collect().unwrap();
    assert_eq!(heap.verify(), None);
}

fn list_length(heap: &Heap<ModelMemory>, mut at: Reference) -> u32 {
    let mut length = 0;
    while at != 0 {
        length += 1;
        at = heap.get(at, 0).unwrap();
    }
    length
}

#[test]
#[cfg_attr(miri, ignore = "five million nodes")]
fn a_list_of_five_million_nodes() {
    const NODES: u32 = 5_000_000;
    let mut heap = heap(Options::DEFAULT);
    let node = node(&mut heap);
    heap.push(0).unwrap();
    for number in 0..NODES {
        let next = heap.root(0).unwrap();
        let object = heap.create(node, 0, &[next, number]).unwrap();
        heap.set_root(0, object).unwrap();
    }
    collect_both_ways(&mut heap);
    assert_eq!(list_length(&heap, heap.root(0).unwrap()), NODES);
    heap.pop().unwrap();
    heap.collect().unwrap();
    assert_eq!(heap.statistics().live_bytes, 0);
}

#[test]
#[cfg_attr(miri, ignore = "four million objects")]
fn an_array_of_four_million_references_to_traced_objects() {
    const LENGTH: u32 = 4_000_000;
    let mut heap = heap(Options::DEFAULT);
    let (node, array) = (node(&mut heap), array(&mut heap));
    let all = heap.allocate(array, LENGTH).unwrap();
    heap.push(all).unwrap();
    let shared = heap.create(node, 0, &[0, 99]).unwrap();
    heap.set(all, 0, shared).unwrap();
    for index in 1..LENGTH {
        let object = heap.create(node, 0, &[shared, index]).unwrap();
        heap.set(all, index, object).unwrap();
    }
    collect_both_ways(&mut heap);
    for index in (1..LENGTH).step_by(1_001) {
        let object = heap.get(all, index).unwrap();
        assert_eq!(heap.get(object, 1), Ok(index));
    }
    assert_eq!(heap.statistics().live_bytes, 4 * u64::from(LENGTH) + 8 * u64::from(LENGTH));
}

/// A tree whose nodes are arrays of `fan_out` references, `depth` levels deep,
/// with numbered leaves. Returns the tree's root, which is pushed.
fn tree(heap: &mut Heap<ModelMemory>, fan_out: u32, depth: u32) -> Reference {
    let array = array(heap);
    if depth == 0 {
        let leaf = heap.allocate(layout::LEAF, 8).unwrap();
        heap.push(leaf).unwrap();
        return leaf;
    }
    let object = heap.allocate(array, fan_out).unwrap();
    heap.push(object).unwrap();
    for index in 0..fan_out {
        let child = tree(heap, fan_out, depth - 1);
        heap.set(object, index, child).unwrap();
        heap.pop().unwrap();
    }
    object
}

fn count(heap: &Heap<ModelMemory>, object: Reference, fan_out: u32, depth: u32) -> u32 {
    if depth == 0 {
        assert!(heap.is_object(object));
        return 1;
    }
    (0..fan_out)
        .map(|index| count(heap, heap.get(object, index).unwrap(), fan_out, depth - 1))
        .sum()
}

#[test]
#[cfg_attr(miri, ignore = "a million objects")]
fn full_trees_wide_and_narrow() {
    for (fan_out, depth) in [(2, 18), (64, 3), (2_000, 2), (100_000, 1)] {
        let mut heap = heap(Options::DEFAULT);
        let root = tree(&mut heap, fan_out, depth);
        collect_both_ways(&mut heap);
        assert_eq!(count(&heap, root, fan_out, depth), fan_out.pow(depth), "{fan_out}, {depth}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "needs more objects than the mark stack has room for")]
fn a_heap_that_needs_a_large_mark_stack_which_is_refused() {
    // Each of many arrays refers to many others: depth-first marking wants a
    // place on the stack for each reference of each array on the way.
    const ARRAYS: u32 = 3_000;
    const WIDTH: u32 = 1_500;
    let mut heap = heap(Options::DEFAULT);
    let array = array(&mut heap);
    let all = heap.allocate(array, ARRAYS).unwrap();
    heap.push(all).unwrap();
    for index in 0..ARRAYS {
        let object = heap.allocate(array, WIDTH).unwrap();
        heap.set(all, index, object).unwrap();
    }
    let objects: Vec<_> = (0..ARRAYS).map(|index| heap.get(all, index).unwrap()).collect();
    for (index, &object) in objects.iter().enumerate() {
        for slot in 0..WIDTH {
            let other = (index * 7 + slot as usize * 13 + 1) % objects.len();
            heap.set(object, slot, objects[other]).unwrap();
        }
    }
    // From now on only the first array is rooted.
    heap.set_root(0, objects[0]).unwrap();
    heap.memory_mut().set_exhausted(true);
    heap.collect().unwrap();
    heap.collect().unwrap();
    assert!(objects.iter().all(|&object| heap.is_object(object)));
    assert!(!heap.is_object(all));
    assert_eq!(heap.verify(), None);
}

#[test]
#[cfg_attr(miri, ignore = "fills 24 megabytes")]
fn marking_at_the_heap_limit() {
    let options = Options { heap_limit_bytes: 24 << 20, ..Options::DEFAULT };
    let mut heap = heap(options);
    let node = node(&mut heap);
    heap.push(0).unwrap();
    let mut length = 0;
    let error = loop {
        let next = heap.root(0).unwrap();
        match heap.create(node, 0, &[next, length]) {
            Ok(object) => heap.set_root(0, object).unwrap(),
            Err(error) => break error,
        }
        length += 1;
    };
    assert_eq!(error, tether_gc::Error::OutOfMemory { needed_bytes: 8 });
    assert_eq!(heap.verify(), None);
    assert_eq!(list_length(&heap, heap.root(0).unwrap()), length);
    assert!(u64::from(length) * 8 > 18 << 20, "{length} nodes: most of the limit was used");
    // Half of the heap dies, and allocation works again.
    let mut middle = heap.root(0).unwrap();
    for _ in 0..length / 2 {
        middle = heap.get(middle, 0).unwrap();
    }
    heap.set_root(0, middle).unwrap();
    for _ in 0..length / 4 {
        heap.create(node, 0, &[0, 0]).unwrap();
    }
    assert_eq!(list_length(&heap, heap.root(0).unwrap()), length - length / 2);
    assert_eq!(heap.verify(), None);
}

/// There are more roots, pushed ones and pins, than the mark stack has room for, and the stack may
/// not grow. Each root is an object with references.
#[test]
#[cfg_attr(miri, ignore = "needs more objects than the mark stack has room for")]
fn many_roots_while_the_mark_stack_may_not_grow() {
    const ROOTS: u32 = 10_000;
    let mut heap = heap(Options::DEFAULT);
    let node = node(&mut heap);
    let objects: Vec<_> = (0..2 * ROOTS)
        .map(|number| {
            let object = heap.create(node, 0, &[0, number]).unwrap();
            if number % 2 == 0 {
                heap.push(object).unwrap();
            } else {
                heap.pin(object).unwrap();
            }
            object
        })
        .collect();
    heap.memory_mut().set_exhausted(true);
    heap.collect().unwrap();
    heap.collect().unwrap();
    for (number, &object) in (0..).zip(&objects) {
        assert_eq!(heap.get(object, 1), Ok(number));
    }
    assert_eq!(heap.verify(), None);
}

/// An operation that collects holds more objects than the mark stack has room for.
#[test]
#[cfg_attr(miri, ignore = "needs more objects than the mark stack has room for")]
fn many_references_in_flight_while_the_mark_stack_may_not_grow() {
    const OBJECTS: u32 = 10_000;
    let mut heap = heap(Options { stress: 2 * OBJECTS, ..Options::DEFAULT });
    let (node, array) = (node(&mut heap), array(&mut heap));
    heap.collect().unwrap();
    for _ in 0..OBJECTS - 1 {
        heap.allocate(layout::LEAF, 8).unwrap();
    }
    let objects: Vec<_> =
        (0..OBJECTS).map(|number| heap.create(node, 0, &[0, number]).unwrap()).collect();
    let before = heap.statistics().collections;
    heap.memory_mut().set_exhausted(true);
    // The collection comes first; then there is no memory for so large an object.
    assert!(heap.create(array, OBJECTS, &objects).is_err());
    assert!(heap.statistics().collections > before);
    assert_eq!(heap.verify(), None);
    for (number, &object) in (0..).zip(&objects) {
        assert_eq!(heap.get(object, 1), Ok(number), "what was in flight is gone");
    }
    heap.memory_mut().set_exhausted(false);
    let all = heap.create(array, OBJECTS, &objects).unwrap();
    for index in 0..OBJECTS {
        assert_eq!(heap.get(heap.get(all, index).unwrap(), 1), Ok(index));
    }
    heap.push(all).unwrap();
    assert_eq!(heap.verify(), None);
}

/// An array of references to large objects, each of which refers to others: large
/// objects that do not fit on the mark stack are not lost.
#[test]
#[cfg_attr(miri, ignore = "needs more objects than the mark stack has room for")]
fn many_large_objects_while_the_mark_stack_may_not_grow() {
    const LARGE: u32 = 1_800;
    let mut heap = heap(Options::DEFAULT);
    let (node, array) = (node(&mut heap), array(&mut heap));
    let all = heap.allocate(array, LARGE).unwrap();
    heap.push(all).unwrap();
    for index in 0..LARGE {
        let large = heap.allocate(array, 2_100).unwrap();
        heap.set(all, index, large).unwrap();
        let child = heap.create(node, 0, &[0, index]).unwrap();
        heap.set(large, 2_099, child).unwrap();
    }
    collect_both_ways(&mut heap);
    for index in 0..LARGE {
        let child = heap.get(heap.get(all, index).unwrap(), 2_099).unwrap();
        assert_eq!(heap.get(child, 1), Ok(index));
    }
}

#[test]
fn a_word_in_flight_that_points_inside_an_object_keeps_it() {
    let options = Options { interior_pointers: true, stress: 1, ..Options::DEFAULT };
    let mut heap = heap(options);
    for size_bytes in [64, 100_000] {
        let leaf = heap.allocate(layout::LEAF, size_bytes).unwrap();
        // Nothing roots the leaf, and this collects.
        let holder = heap.create(layout::CONSERVATIVE, 8, &[leaf + 40]).unwrap();
        assert_eq!(heap.get(holder, 0), Ok(leaf + 40));
        assert!(heap.is_object(leaf), "{size_bytes} bytes were lost");
    }
}

/// Makes a shape of objects, all of which the first root reaches. Returns how many objects.
type Shape = fn(&mut Heap<Shared>) -> u32;

/// A list in the order of addresses. Each node holds an older object, far away.
fn list_over_older(heap: &mut Heap<Shared>) -> u32 {
    const COUNT: u32 = 30_000;
    let pair = heap.define_layout(Words::new(2, 0b11), Words::NONE).unwrap();
    for _ in 0..COUNT {
        let older = heap.create(pair, 0, &[heap.root(0).unwrap(), 0]).unwrap();
        heap.set_root(0, older).unwrap();
    }
    heap.push(0).unwrap();
    for _ in 0..COUNT {
        let older = heap.root(0).unwrap();
        let first = heap.create(pair, 0, &[older, heap.root(1).unwrap()]).unwrap();
        heap.set_root(0, heap.get(older, 0).unwrap()).unwrap();
        heap.set(older, 0, 0).unwrap();
        heap.set_root(1, first).unwrap();
    }
    2 * COUNT
}

/// A chain of objects of 8 KiB, each with 2,047 children.
fn chain_of_wide(heap: &mut Heap<Shared>) -> u32 {
    const COUNT: u32 = 40;
    let children = heap.define_layout(Words::NONE, Words::new(1, 1)).unwrap();
    let child = heap.define_layout(Words::new(2, 0b01), Words::NONE).unwrap();
    for _ in 0..COUNT {
        let parent = heap.create(children, 2_048, &[heap.root(0).unwrap()]).unwrap();
        heap.set_root(0, parent).unwrap();
        for index in 1..2_048 {
            let child = heap.allocate(child, 0).unwrap();
            heap.set(parent, index, child).unwrap();
        }
    }
    COUNT * 2_048
}

/// Chains that fill the stack, and at the end of each an object whose children lie in many
/// pages, one in each.
fn strewn(heap: &mut Heap<Shared>) -> u32 {
    const ROUNDS: u32 = 25;
    const PAGES: u32 = 40;
    const SPINE: u32 = 2_047;
    let pair = heap.define_layout(Words::new(2, 0b11), Words::NONE).unwrap();
    let array = heap.define_layout(Words::NONE, Words::new(1, 1)).unwrap();
    heap.push(0).unwrap();
    // Objects that no two rounds share, from page to page.
    let all = heap.allocate(array, ROUNDS * PAGES).unwrap();
    heap.set_root(1, all).unwrap();
    for page in 0..PAGES {
        for round in 0..ROUNDS {
            let object = heap.allocate(pair, 0).unwrap();
            heap.set(all, round * PAGES + page, object).unwrap();
        }
        for _ in 0..7 {
            heap.allocate(layout::LEAF, 8_000).unwrap();
        }
    }
    for round in 0..ROUNDS {
        let fan = heap.allocate(array, PAGES).unwrap();
        heap.push(fan).unwrap();
        for page in 0..PAGES {
            let all = heap.root(1).unwrap();
            let object = heap.get(all, round * PAGES + page).unwrap();
            heap.set(fan, page, object).unwrap();
        }
        let spine = heap.create(pair, 0, &[fan, heap.root(0).unwrap()]).unwrap();
        heap.set_root(0, spine).unwrap();
        heap.pop().unwrap();
        // The next node is near and the leaf is far: each node leaves one more leaf on the stack.
        let leaves = heap.depth();
        for _ in 0..SPINE {
            let leaf = heap.allocate(pair, 0).unwrap();
            heap.push(leaf).unwrap();
        }
        for leaf in leaves..leaves + SPINE {
            let words = [heap.root(leaf).unwrap(), heap.root(0).unwrap()];
            let spine = heap.create(pair, 0, &words).unwrap();
            heap.set_root(0, spine).unwrap();
        }
        heap.truncate(leaves).unwrap();
    }
    heap.set_root(1, 0).unwrap();
    ROUNDS * (PAGES + 2 + 2 * SPINE)
}

/// All marked objects used to be traced again after each overflow of the stack. The model's heaps
/// have too few objects to overflow it, and the model does not look at time.
#[test]
#[cfg_attr(miri, ignore = "a hundred thousand objects")]
fn without_memory_for_its_stack_marking_takes_at_most_three_times_as_long() {
    let shapes: [(&str, Shape); 3] =
        [("list", list_over_older), ("wide", chain_of_wide), ("strewn", strewn)];
    for (name, shape) in shapes {
        let sizing = Sizing::Fixed { budget_bytes: 1 << 30 };
        let memory = Shared::new(4_000);
        let mut heap = Heap::new(memory.clone(), Options { sizing, ..Options::DEFAULT }).unwrap();
        heap.push(0).unwrap();
        let count = shape(&mut heap);
        // The rest of the tables' pages would do for a stack that is somewhat larger.
        memory.set_exhausted(true);
        let mut empty = 70_000..;
        while let Some(at) = empty.next()
            && heap.add_roots(at, at).is_ok()
        {}
        while let Ok(object) = heap.allocate(layout::LEAF, 8)
            && heap.pin(object).is_ok()
        {}
        let mut collect = |exhausted| {
            memory.set_exhausted(exhausted);
            let before = memory.accesses();
            heap.collect().unwrap();
            let accesses = memory.accesses() - before;
            memory.set_exhausted(false);
            assert_eq!(heap.verify(), None);
            accesses
        };
        // Twice each, so that objects that were dead at first are swept.
        let [_, usual] = [false; 2].map(&mut collect);
        let [_, exhausted] = [true; 2].map(&mut collect);
        assert!(exhausted <= 3 * usual, "{name}: {exhausted} accesses, and {usual} with memory");
        let live = heap.statistics().live_bytes;
        assert!(live >= 8 * u64::from(count), "{name}: {live} bytes of {count} objects live");
    }
}
