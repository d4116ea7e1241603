//! The hole set, and the counts of bytes.

use std::vec::Vec;

use super::*;
use crate::layout::LEAF;
use crate::memory::model::ModelMemory;
use crate::units::Reference;
use crate::units::{LARGEST_BLOCK_OBJECT_BYTES, PAYLOAD_BYTES};

/// The smallest size of each chain.
const SIZES: [u32; 7] = [32, 64, 128, 256, 512, 1_024, 2_048];

/// A heap with so many holes of each size, each between objects that live, and their
/// addresses; all of them passed over once, and in the hole set.
fn heap_with_holes(each: usize) -> (Heap<ModelMemory>, Vec<(u32, Reference)>) {
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    let mut holes = Vec::new();
    for size in SIZES.repeat(each) {
        holes.push((size, heap.allocate(LEAF, size).unwrap()));
        let kept = heap.allocate(LEAF, 400).unwrap();
        heap.push(kept).unwrap();
    }
    // What is left of the block, so that no larger hole is there.
    let left = |heap: &Heap<ModelMemory>| {
        let (cursor, _, end) = heap.blocks.hole();
        end - cursor
    };
    while left(&heap) > 0 {
        let rest = heap.allocate(LEAF, left(&heap).min(400)).unwrap();
        heap.push(rest).unwrap();
    }
    heap.collect().unwrap();
    // No hole is large enough for these, which fill a block.
    let large = PAYLOAD_BYTES / LARGEST_BLOCK_OBJECT_BYTES;
    for _ in 0..large {
        let object = heap.allocate(LEAF, LARGEST_BLOCK_OBJECT_BYTES).unwrap();
        heap.push(object).unwrap();
    }
    assert_eq!(heap.verify(), None);
    (heap, holes)
}

#[test]
#[cfg_attr(miri, ignore = "fills blocks")]
fn holes_that_were_too_small_for_one_object_are_used_for_others() {
    for each in 1..=3 {
        let (mut heap, mut holes) = heap_with_holes(each);
        let blocks = heap.blocks.count();
        let collections = heap.statistics().collections;
        // Each hole is just large enough for one: the larger first, the smaller first.
        holes.sort_unstable();
        if each == 2 {
            holes.reverse();
        }
        let mut addresses = Vec::new();
        for &(size, _) in &holes {
            let object = heap.allocate(LEAF, size).unwrap();
            heap.push(object).unwrap();
            addresses.push(object);
        }
        addresses.sort_unstable();
        let mut expected: Vec<_> = holes.iter().map(|hole| hole.1).collect();
        expected.sort_unstable();
        assert_eq!(addresses, expected, "{each} of each size");
        assert_eq!((heap.blocks.count(), heap.statistics().collections), (blocks, collections));
        // Now there is none left.
        let one_more = heap.allocate(LEAF, 32).unwrap();
        assert!(!expected.contains(&one_more));
        assert_eq!(heap.blocks.count(), blocks + 1);
        assert_eq!(heap.verify(), None);
    }
}

#[test]
#[cfg_attr(miri, ignore = "fills blocks")]
fn a_small_object_takes_a_hole_of_the_hole_set_and_leaves_the_rest_of_it() {
    let (mut heap, holes) = heap_with_holes(1);
    let blocks = heap.blocks.count();
    let bytes: u32 = holes.iter().map(|hole| hole.0).sum();
    for _ in 0..bytes / 8 {
        let object = heap.allocate(LEAF, 8).unwrap();
        heap.push(object).unwrap();
        let hole = holes.iter().find(|&&(size, at)| (at..at + size).contains(&object));
        assert!(hole.is_some(), "{object:#x} is in no hole");
    }
    assert_eq!(heap.blocks.count(), blocks);
    assert_eq!(heap.verify(), None);
}

#[test]
#[cfg_attr(miri, ignore = "fills blocks")]
fn bytes_that_were_allocated_and_that_live_are_counted() {
    let (mut heap, holes) = heap_with_holes(2);
    let before = heap.statistics();
    let mut bytes = 0;
    for &(size, _) in &holes {
        heap.allocate(LEAF, size - 8).unwrap();
        bytes += u64::from(size - 8);
    }
    assert_eq!(heap.statistics().allocated_bytes - before.allocated_bytes, bytes);
    heap.collect().unwrap();
    let live = before.live_bytes;
    assert_eq!(heap.statistics().live_bytes, live, "all of these are dead");
    heap.blocks.finish_sweep(&mut heap.supply.memory, heap.live);
    assert_eq!(heap.blocks.live_bytes(), live, "what the sweep found");
    assert_eq!(heap.blocks.allocated_bytes(), before.allocated_bytes + bytes);
}

/// It was collected for each 2 MiB, and each time all blocks were swept.
#[test]
#[cfg_attr(miri, ignore = "fills a heap")]
fn a_heap_that_was_large_is_not_collected_for_each_few_objects() {
    let options = Options { root_capacity: 100_000, ..Options::DEFAULT };
    let mut heap = Heap::new(ModelMemory::new(), options).unwrap();
    // 96 MiB, of which a granule in each 4 KiB stays: no hole has 8 KiB.
    while heap.blocks.payload_bytes() < 96 << 20 {
        for size_bytes in [8, 4_088] {
            let object = heap.allocate(LEAF, size_bytes).unwrap();
            heap.push(object).unwrap();
        }
    }
    for index in (1..heap.depth()).step_by(2) {
        heap.set_root(index, 0).unwrap();
    }
    heap.collect().unwrap();
    let before = heap.statistics().collections;
    for _ in 0..6_400 {
        heap.allocate(LEAF, LARGEST_BLOCK_OBJECT_BYTES).unwrap();
    }
    let collections = heap.statistics().collections - before;
    assert!(collections <= 5, "{collections} collections for 50 MiB");
}
