//! Objects: layouts, references that are checked, words that look like references.

mod common;

use common::shared::Shared;
use common::{array, at_size, heap, node};
use tether_gc::memory::model::ModelMemory;
use tether_gc::{
    BuildError, Error, Heap, LARGEST_OBJECT_BYTES, Options, Reference, Sizing, Store, Words, layout,
};

/// Words that are not references to live objects, each with the reason.
fn bad_references(heap: &mut Heap<ModelMemory>) -> Vec<(&'static str, Reference)> {
    let live = heap.allocate(layout::LEAF, 64).unwrap();
    heap.push(live).unwrap();
    let large = heap.allocate(layout::LEAF, 100_000).unwrap();
    heap.push(large).unwrap();
    let freed_large = heap.allocate(layout::LEAF, 200_000).unwrap();
    let freed = heap.allocate(layout::LEAF, 64).unwrap();
    heap.collect().unwrap();
    vec![
        ("null", 0),
        ("unaligned", live + 4),
        ("odd", live + 1),
        ("interior", live + 8),
        ("freed", freed),
        ("a large object's middle", large + 4_096),
        ("a freed large object", freed_large),
        ("a block's metadata", live & !0xffff),
        ("below the heap", 8),
        ("at the end of the address space", 0xffff_fff8),
        ("behind memory", 0xf000_0000),
    ]
}

#[test]
fn what_is_no_object_is_refused_and_nothing_happens() {
    let mut heap = heap(Options::DEFAULT);
    let node = node(&mut heap);
    let holder = heap.create(node, 0, &[0, 5]).unwrap();
    heap.push(holder).unwrap();
    let bad = bad_references(&mut heap);
    let before = heap.statistics();
    for (what, reference) in bad {
        let refused = Error::InvalidRef { reference };
        assert_eq!(heap.get(reference, 0), Err(refused), "get, {what}");
        assert_eq!(heap.set(reference, 0, 0), Err(refused), "set, {what}");
        assert_eq!(heap.size_of(reference), Err(refused), "size_of, {what}");
        assert_eq!(heap.read_words(reference, 0, &mut [0]), Err(refused), "read_words, {what}");
        assert_eq!(heap.read_bytes(reference, 0, &mut [0]), Err(refused), "read_bytes, {what}");
        assert_eq!(heap.write_words(reference, 0, &[0]), Err(refused), "write_words, {what}");
        assert_eq!(heap.write_bytes(reference, 0, &[0]), Err(refused), "write_bytes, {what}");
        let read = heap.read_objects(&[reference], &mut []);
        assert_eq!(read, Err(refused), "read-objects, {what}");
        assert_eq!(heap.pin(reference), Err(refused), "pin, {what}");
        assert_eq!(heap.unpin(reference), Err(refused), "unpin, {what}");
        assert_eq!(heap.register(reference, 1, 1, 0), Err(refused), "register, {what}");
        assert_eq!(heap.handle_of(reference), Err(refused), "handle_of, {what}");
        assert_eq!(heap.dispose(reference), Err(refused), "dispose, {what}");
        if reference != 0 {
            assert_eq!(heap.push(reference), Err(refused), "push, {what}");
            assert_eq!(heap.set_root(0, reference), Err(refused), "set_root, {what}");
            assert_eq!(heap.set(holder, 0, reference), Err(refused), "store, {what}");
            assert_eq!(heap.create(node, 0, &[reference]), Err(refused), "create, {what}");
            let stopped = BuildError { at: 0, reason: refused };
            assert_eq!(heap.build(&[2, reference]), Err(stopped), "build, {what}");
        }
        let store = |object, index, value| Store { object, index, value };
        let many = [store(holder, 1, 7), store(reference, 0, 0)];
        assert_eq!(heap.write_many(&many), Err(refused), "write_many, {what}");
    }
    assert_eq!(heap.get(holder, 0), Ok(0));
    assert_eq!(heap.get(holder, 1), Ok(5), "write_many writes all or none");
    assert_eq!(heap.statistics(), before);
    assert_eq!(heap.verify(), None);
}

#[test]
fn what_leaves_an_object_is_refused() {
    let mut heap = heap(Options::DEFAULT);
    for length in [1, 8, 24, 8_192, 8_193, 500_000] {
        let object = heap.allocate(layout::LEAF, length).unwrap();
        heap.push(object).unwrap();
        let size_bytes = heap.size_of(object).unwrap();
        assert_eq!(size_bytes, length.next_multiple_of(8));
        let out = Err(Error::OutOfBounds { size_bytes });
        let words = size_bytes / 4;
        assert_eq!(heap.get(object, words - 1), Ok(0));
        for index in [words, words + 1, u32::MAX / 4, u32::MAX] {
            assert_eq!(heap.get(object, index).map(drop), out);
            assert_eq!(heap.set(object, index, 1), out);
        }
        assert_eq!(heap.write_words(object, words - 1, &[1, 2]), out);
        assert_eq!(heap.write_words(object, words, &[]), Ok(()));
        assert_eq!(heap.read_words(object, words - 1, &mut [0, 0]), out);
        assert_eq!(heap.read_bytes(object, size_bytes - 1, &mut [0, 0]), out);
        assert_eq!(heap.write_bytes(object, size_bytes - 1, &[1, 2]), out);
        assert_eq!(heap.write_bytes(object, u32::MAX, &[1]), out);
        assert_eq!(heap.write_bytes(object, size_bytes - 1, &[1]), Ok(()));
    }
    assert_eq!(heap.verify(), None);
}

#[test]
fn impossible_sizes_are_errors() {
    let mut heap = heap(Options::DEFAULT);
    let wide = heap.define_layout(Words::NONE, Words::new(64, 1)).unwrap();
    let fixed = heap.define_layout(Words::new(2, 0), Words::NONE).unwrap();
    for (layout, length) in [
        (layout::LEAF, u32::MAX),
        (layout::CONSERVATIVE, LARGEST_OBJECT_BYTES + 1),
        (wide, u32::MAX),
    ] {
        let result = heap.allocate(layout, length);
        assert!(matches!(result, Err(Error::OutOfMemory { .. })), "{layout}, {length}: {result:?}");
    }
    assert_eq!(heap.allocate(fixed, 1), Err(Error::InvalidLayout { layout: fixed }));
    assert_eq!(heap.allocate(77, 1), Err(Error::InvalidLayout { layout: 77 }));
    let none = heap.define_layout(Words::NONE, Words::NONE);
    assert_eq!(none, Err(Error::InvalidLayout { layout: 0 }));
    let many = heap.define_layout(Words::new(65, 0), Words::NONE);
    assert_eq!(many, Err(Error::InvalidLayout { layout: 65 }));
    assert_eq!(heap.define_layout(Words::new(2, 0), Words::NONE), Ok(fixed));
    assert_eq!(heap.define_layout(Words::new(2, !0 << 2), Words::NONE), Ok(fixed));
    assert_eq!(heap.verify(), None);
}

#[test]
#[cfg_attr(miri, ignore = "reads and writes 30 megabytes")]
fn objects_are_zeroed_also_where_others_were() {
    let mut heap = heap(Options::DEFAULT);
    for round in 0..200_000_u32 {
        let length = 8 + round % 300;
        let object = heap.allocate(layout::LEAF, length).unwrap();
        let mut bytes = vec![1; length as usize];
        heap.read_bytes(object, 0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0), "round {round}");
        bytes.fill(0xee);
        heap.write_bytes(object, 0, &bytes).unwrap();
        if round % 50 == 0 {
            heap.push(object).unwrap();
        }
        if heap.depth() == 1_000 {
            heap.truncate(0).unwrap();
        }
    }
    assert!(heap.statistics().collections > 3);
    assert_eq!(heap.verify(), None);
}

#[test]
fn layouts_say_what_is_traced() {
    let mut heap = heap(Options::DEFAULT);
    // A scalar, two references, two scalars; then elements of a reference and a scalar.
    let mixed = heap.define_layout(Words::new(5, 0b00110), Words::new(2, 0b01)).unwrap();
    for elements in [0, 1, 2, 7, at_size(500, 8), at_size(3_000, 9)] {
        let words = 5 + 2 * elements;
        let is_reference =
            |index: u32| if index < 5 { index == 1 || index == 2 } else { index % 2 == 1 };
        let object = heap.allocate(mixed, elements).unwrap();
        heap.push(object).unwrap();
        let targets: Vec<_> = (0..words)
            .map(|index| {
                let target = heap.allocate(layout::LEAF, 16).unwrap();
                heap.set(object, index, target).unwrap();
                target
            })
            .collect();
        heap.collect().unwrap();
        for (index, &target) in (0..).zip(&targets) {
            assert_eq!(heap.is_object(target), is_reference(index), "{elements}, word {index}");
            let junk = heap.set(object, index, 3);
            assert_eq!(junk.is_err(), is_reference(index), "{elements}, word {index}");
            let bytes = heap.write_bytes(object, index * 4 + 1, &[9]);
            assert_eq!(bytes.is_err(), is_reference(index), "{elements}, word {index}");
        }
        heap.pop().unwrap();
    }
    assert_eq!(heap.verify(), None);
}

#[test]
fn leaves_keep_nothing_and_conservative_objects_keep_what_they_name() {
    let mut heap = heap(Options::DEFAULT);
    for size in [64, 40_000] {
        let leaf = heap.allocate(layout::LEAF, size).unwrap();
        heap.push(leaf).unwrap();
        let conservative = heap.allocate(layout::CONSERVATIVE, size).unwrap();
        heap.push(conservative).unwrap();
        let targets: Vec<_> = (0..3).map(|_| heap.allocate(layout::LEAF, 24).unwrap()).collect();
        let large = heap.allocate(layout::LEAF, 30_000).unwrap();
        heap.set(leaf, 0, targets[0]).unwrap();
        heap.set(conservative, 3, targets[1]).unwrap();
        heap.set(conservative, 4, targets[2] + 8).unwrap();
        heap.set(conservative, 5, large).unwrap();
        heap.collect().unwrap();
        assert!(!heap.is_object(targets[0]), "a leaf was traced");
        assert!(heap.is_object(targets[1]));
        assert!(!heap.is_object(targets[2]), "an interior word kept an object, unasked");
        assert!(heap.is_object(large));
        assert_eq!(heap.verify(), None);
    }
}

#[test]
fn interior_words_keep_objects_where_that_is_asked_for() {
    let sizing = Sizing::Fixed { budget_bytes: 1 << 20 };
    let mut heap = heap(Options { interior_pointers: true, sizing, ..Options::DEFAULT });
    let conservative = heap.allocate(layout::CONSERVATIVE, 64).unwrap();
    heap.push(conservative).unwrap();
    let filler: Vec<_> = (0..40).map(|_| heap.allocate(layout::LEAF, 9_000).unwrap()).collect();
    let small = heap.allocate(layout::LEAF, 400).unwrap();
    let medium = heap.allocate(layout::LEAF, 8_000).unwrap();
    let large = heap.allocate(layout::LEAF, 300_000).unwrap();
    heap.set(conservative, 0, small + 399).unwrap();
    heap.set(conservative, 1, medium + 7_999).unwrap();
    heap.set(conservative, 2, large + 299_999).unwrap();
    heap.set(conservative, 3, filler[7] + 10).unwrap();
    // Just behind an object is not inside it.
    heap.set(conservative, 4, filler[9] + 9_000).unwrap();
    heap.collect().unwrap();
    for object in [small, medium, large, filler[7]] {
        assert!(heap.is_object(object));
    }
    assert!(!heap.is_object(filler[8]));
    heap.set(conservative, 0, 0).unwrap();
    heap.set(conservative, 1, 0).unwrap();
    heap.set(conservative, 2, 0).unwrap();
    heap.collect().unwrap();
    for object in [small, medium, large] {
        assert!(!heap.is_object(object));
    }
    assert_eq!(heap.verify(), None);
}

#[test]
fn words_that_look_like_references_never_corrupt() {
    let mut heap = heap(Options { interior_pointers: true, ..Options::DEFAULT });
    let array = array(&mut heap);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u32
    };
    let keep = heap.allocate(array, 200).unwrap();
    heap.push(keep).unwrap();
    for round in 0..at_size(60, 2) {
        for index in 0..at_size(200, 5) {
            let object =
                heap.allocate(layout::CONSERVATIVE, 8 + random() % at_size(600, 60)).unwrap();
            heap.set(keep, index, object).unwrap();
            let words = heap.size_of(object).unwrap() / 4;
            for word in 0..words {
                // Addresses near real objects, and anywhere.
                let forged = match random() % 3 {
                    0 => keep.wrapping_add(random() % 200_000),
                    1 => random(),
                    _ => object.wrapping_sub(random() % 4_096),
                };
                heap.set(object, word, forged).unwrap();
            }
        }
        heap.collect().unwrap();
        assert_eq!(heap.verify(), None, "round {round}");
    }
}

#[test]
fn objects_are_read_whole_as_many_as_fit() {
    let mut heap = heap(Options::DEFAULT);
    let objects: Vec<_> = (1..=4)
        .map(|number| {
            let object = heap.allocate(layout::LEAF, 8 * number).unwrap();
            heap.push(object).unwrap();
            heap.set(object, 0, number).unwrap();
            object
        })
        .collect();
    let all = [8, 1, 0, 16, 2, 0, 0, 0, 24, 3, 0, 0, 0, 0, 0, 32, 4, 0, 0, 0, 0, 0, 0, 0];
    for (room, read) in [
        (0, (0, 0)),
        (2, (0, 0)),
        (3, (1, 3)),
        (7, (1, 3)),
        (8, (2, 8)),
        (15, (3, 15)),
        (23, (3, 15)),
        (24, (4, 24)),
        (100, (4, 24)),
    ] {
        let mut into = vec![7; room];
        assert_eq!(heap.read_objects(&objects, &mut into), Ok(read));
        assert_eq!(into[..read.1], all[..read.1], "with room for {room} words");
        assert!(into[read.1..].iter().all(|&word| word == 7), "nothing else is written");
    }
    assert_eq!(heap.read_objects(&[], &mut []), Ok((0, 0)));
    // The error comes only when the reading reaches the bad object.
    let bad = Err(Error::InvalidRef { reference: 4 });
    assert_eq!(heap.read_objects(&[objects[0], 4], &mut [0; 3]), bad);
    assert_eq!(heap.read_objects(&[objects[0], 4], &mut [0; 2]), Ok((0, 0)));
}

#[test]
#[cfg_attr(miri, ignore = "half a million objects")]
fn other_growers_of_memory_do_no_harm() {
    let mut memory = ModelMemory::new();
    memory.set_gap_pages(3);
    let mut heap = Heap::new(memory, Options::DEFAULT).unwrap();
    let node = node(&mut heap);
    heap.push(0).unwrap();
    for number in 0..500_000 {
        let next = heap.root(0).unwrap();
        let object = heap.create(node, 0, &[next, number]).unwrap();
        if number % 2 == 0 {
            heap.set_root(0, object).unwrap();
        }
        if number % 100_000 == 0 {
            let large = heap.allocate(layout::LEAF, 100_000).unwrap();
            heap.push(large).unwrap();
        }
    }
    heap.collect().unwrap();
    assert_eq!(heap.verify(), None);
}

/// The table of large objects used to grow before the object was allocated, by so much that the
/// object had no room. And if that growth was refused, the table's index stayed empty.
#[test]
#[cfg_attr(miri, ignore = "megabytes of objects")]
fn a_large_object_comes_before_its_table_grows() {
    let full_of = |count: u32, limit: u64| {
        let memory = Shared::new(4_000);
        let options = Options { heap_limit_bytes: limit, ..Options::DEFAULT };
        let mut heap = Heap::new(memory.clone(), options).unwrap();
        for _ in 0..count {
            let object = heap.allocate(layout::LEAF, 8_300).unwrap();
            heap.push(object).unwrap();
        }
        heap.collect().unwrap();
        (heap, memory)
    };
    for count in [4_000, 4_096] {
        let used = full_of(count, u64::MAX).0.statistics().heap_bytes;
        for pages in 4..8 {
            let (mut heap, memory) = full_of(count, used + pages * 65_536);
            // Three pages are for the table and its index.
            let size_bytes = (pages as u32 - 3) * 65_536 - 24;
            assert!(heap.allocate(layout::LEAF, size_bytes).is_ok(), "{count}, {pages} pages");
            let _ = heap.allocate(layout::LEAF, 65_000);
            // The index finds objects as before.
            let before = memory.accesses();
            heap.collect().unwrap();
            let accesses = memory.accesses() - before;
            assert!(accesses < 40 * u64::from(count), "{count}: {accesses} accesses");
        }
    }
}
