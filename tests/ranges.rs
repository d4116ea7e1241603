//! Root ranges: memory of the program's own whose words keep objects.

mod common;

use common::heap;
use tether_gc::layout::LEAF;
use tether_gc::memory::Memory;
use tether_gc::memory::model::ModelMemory;
use tether_gc::{Error, Heap, Options, Reference};

/// Makes a heap, and 8 words of the program's own, all zero. Returns the heap and their address.
fn heap_with_words() -> (Heap<ModelMemory>, u32) {
    let mut heap = heap(Options::DEFAULT);
    let words = heap.memory_mut().take_pages(1, 1).unwrap();
    heap.memory_mut().fill(words, 32, 0);
    (heap, words)
}

/// Allocates an object and stores its address plus `offset` in the word at `address`. Nothing else
/// refers to the object.
fn put(heap: &mut Heap<ModelMemory>, address: u32, offset: u32) -> Reference {
    let object = heap.allocate(LEAF, 40).unwrap();
    heap.memory_mut().store_u32(address, object + offset);
    object
}

#[test]
fn the_words_of_a_range_keep_what_they_point_into() {
    let (mut heap, words) = heap_with_words();
    heap.add_roots(words + 4, words + 16).unwrap();
    let objects: Vec<_> =
        [0, 0, 39, 20, 0].iter().zip(0..).map(|(&o, i)| put(&mut heap, words + i * 4, o)).collect();
    heap.collect().unwrap();
    let live: Vec<_> = objects.iter().map(|&object| heap.is_object(object)).collect();
    assert_eq!(live, [false, true, true, true, false]);
    assert_eq!(heap.verify(), None);
    heap.remove_roots(words + 4).unwrap();
    heap.collect().unwrap();
    assert!(objects.iter().all(|&object| !heap.is_object(object)));
    let none = Err(Error::NoSuchRoot { index: words + 4 });
    assert_eq!(heap.remove_roots(words + 4), none);
}

#[test]
fn a_range_is_of_whole_words() {
    let (mut heap, words) = heap_with_words();
    // Of five words the range has the second and the third.
    heap.add_roots(words + 1, words + 15).unwrap();
    let objects: Vec<_> = (0..5).map(|index| put(&mut heap, words + index * 4, 0)).collect();
    heap.collect().unwrap();
    let live: Vec<_> = objects.iter().map(|&object| heap.is_object(object)).collect();
    assert_eq!(live, [false, true, true, false, false]);
    // A range is known by its beginning.
    assert_eq!(heap.remove_roots(words + 1), Ok(()));
}

#[test]
fn a_range_that_is_added_again_has_another_end() {
    let (mut heap, words) = heap_with_words();
    heap.add_roots(words, words + 4).unwrap();
    heap.add_roots(words, words + 8).unwrap();
    heap.add_roots(words + 16, words + 20).unwrap();
    let objects: Vec<_> = (0..5).map(|index| put(&mut heap, words + index * 4, 0)).collect();
    heap.collect().unwrap();
    let live: Vec<_> = objects.iter().map(|&object| heap.is_object(object)).collect();
    assert_eq!(live, [true, true, false, false, true]);
    heap.remove_roots(words).unwrap();
    assert_eq!(heap.remove_roots(words), Err(Error::NoSuchRoot { index: words }));
    heap.collect().unwrap();
    assert!(heap.is_object(objects[4]), "the other range stays");
}

#[test]
#[cfg_attr(miri, ignore = "fills megabytes")]
fn a_heap_may_be_larger_where_there_is_more_to_scan() {
    let mut heap = heap(Options::DEFAULT);
    let words = heap.memory_mut().take_pages(1, 1).unwrap();
    heap.memory_mut().fill(words, 65_536, 0);
    let bytes_between_collections = |heap: &mut Heap<ModelMemory>| {
        let before = heap.statistics().collections;
        let mut bytes = 0;
        while heap.statistics().collections == before {
            heap.allocate(LEAF, 8_000).unwrap();
            bytes += 8_000;
        }
        bytes
    };
    // A floor of 512 KiB at first, less what blocks keep for themselves.
    let few = bytes_between_collections(&mut heap);
    assert!((400_000..600_000).contains(&few), "{few}");
    heap.add_roots(words, words + 50_000).unwrap();
    heap.collect().unwrap();
    let more = bytes_between_collections(&mut heap);
    // Sixteen times the range and the wrap table.
    assert!((1_600_000..=1_850_000).contains(&more), "{more}");
}

#[test]
fn a_range_from_0_begins_at_the_stack_pointer() {
    let (mut heap, words) = heap_with_words();
    heap.add_roots(0, words + 16).unwrap();
    let objects: Vec<_> = (0..5).map(|index| put(&mut heap, words + index * 4, 0)).collect();
    for (first, live) in [(1, 3), (2, 2), (4, 0)] {
        heap.memory_mut().set_stack_pointer(words + first * 4);
        heap.collect().unwrap();
        let are_live = objects.iter().filter(|&&object| heap.is_object(object)).count();
        assert_eq!(are_live, live, "from word {first}");
    }
    assert_eq!(heap.remove_roots(0), Ok(()));
    assert_eq!(heap.remove_roots(0), Err(Error::NoSuchRoot { index: 0 }));
}

#[test]
fn a_range_lies_in_memory() {
    let (mut heap, words) = heap_with_words();
    assert_eq!(heap.add_roots(words + 16, words + 16), Ok(()), "an empty one");
    assert_eq!(heap.add_roots(words, words + 4), Ok(()));
    let kept = put(&mut heap, words, 0);
    let lost = put(&mut heap, words + 4, 0);
    let memory = u32::try_from(heap.memory().size_bytes()).unwrap();
    assert_eq!(heap.add_roots(memory - 4, memory), Ok(()), "up to the end");
    for (begin, end) in [(words + 8, words + 4), (words, memory + 1), (memory, memory + 4), (8, 0)]
    {
        let refused = Err(Error::OutOfBounds { size_bytes: end });
        assert_eq!(heap.add_roots(begin, end), refused, "{begin:#x}..{end:#x}");
    }
    // A range that is refused leaves the range before it as it was.
    heap.collect().unwrap();
    assert!(heap.is_object(kept) && !heap.is_object(lost));
    assert_eq!(heap.remove_roots(words), Ok(()));
    assert_eq!(heap.remove_roots(words + 16), Ok(()));
    assert_eq!(heap.remove_roots(memory - 4), Ok(()));
    heap.close().unwrap();
    assert_eq!(heap.add_roots(words, words), Err(Error::Closed));
}

/// `add_roots` used to collect before its own range was among the roots. The model's memory was
/// never short there while the range named an object.
#[test]
fn add_roots_keeps_what_the_range_names_when_it_collects() {
    let mut heap = heap(Options::DEFAULT);
    let words = heap.memory_mut().take_pages(1, 1).unwrap();
    let object = heap.allocate(LEAF, 8).unwrap();
    let large = heap.allocate(LEAF, 20_000).unwrap();
    heap.memory_mut().store_u32(words, object);
    heap.memory_mut().store_u32(words + 4, large + 1_000);
    // There is not a byte for another range.
    heap.memory_mut().set_exhausted(true);
    heap.push(object).unwrap();
    heap.push(large).unwrap();
    let mut empty = words + 8..;
    while let Some(at) = empty.next()
        && heap.add_roots(at, at).is_ok()
    {}
    heap.truncate(0).unwrap();
    let collections = heap.statistics().collections;
    assert!(matches!(heap.add_roots(words, words + 8), Err(Error::OutOfMemory { .. })));
    assert_eq!(heap.statistics().collections, collections + 1);
    assert!(heap.is_object(object) && heap.is_object(large), "in flight while it collected");
    heap.memory_mut().set_exhausted(false);
    heap.add_roots(words, words + 8).unwrap();
    heap.collect().unwrap();
    assert!(heap.is_object(object) && heap.is_object(large));
}

/// Two ranges that begin at different bytes of one word are different ranges.
#[test]
fn a_range_that_begins_some_bytes_earlier_leaves_the_other_as_it_is() {
    let mut heap = heap(Options::DEFAULT);
    let words = heap.memory_mut().take_pages(1, 1).unwrap();
    let object = heap.allocate(LEAF, 8).unwrap();
    heap.memory_mut().fill(words, 16, 0);
    heap.memory_mut().store_u32(words + 12, object);
    heap.add_roots(words + 4, words + 16).unwrap();
    heap.add_roots(words + 1, words + 8).unwrap();
    heap.collect().unwrap();
    assert!(heap.is_object(object));
    heap.remove_roots(words + 4).unwrap();
    heap.collect().unwrap();
    assert!(!heap.is_object(object));
    heap.remove_roots(words + 1).unwrap();
    // No range can begin at the last address, although the stack's range has it as its key.
    heap.add_roots(0, words + 16).unwrap();
    let refused = Error::OutOfBounds { size_bytes: u32::MAX };
    assert_eq!(heap.add_roots(u32::MAX, u32::MAX), Err(refused));
    assert_eq!(heap.remove_roots(u32::MAX), Err(Error::NoSuchRoot { index: u32::MAX }));
    heap.remove_roots(0).unwrap();
    assert_eq!(heap.remove_roots(words + 1), Err(Error::NoSuchRoot { index: words + 1 }));
}
