//! Addresses that are not the start of a live object, to every operation that takes a
//! reference: each is refused as `invalid-ref`, and nothing else happens.

use crate::bare::{Answer, CONSERVATIVE, ErrorCode, Heap, LEAF, Registration, Words, Write, fresh};
use crate::support::{Form, on_every_form};

/// A reference, and a number.
const PAIR: Words = Words { count: 2, references: 0b01 };
const NOTHING: Words = Words { count: 0, references: 0 };

/// Addresses that are not the start of a live object, each with a description.
type BadReferences = Vec<(&'static str, u32)>;

/// A heap with a rooted small and a rooted large object.
fn heap_with_bad_references(form: Form) -> (Heap, BadReferences) {
    let mut heap = fresh(form);
    let bad = bad_references(&mut heap);
    (heap, bad)
}

/// Makes the addresses. Their descriptions hold until the next object is made.
fn bad_references(heap: &mut Heap) -> BadReferences {
    let small = heap.allocate(LEAF, 64).unwrap();
    heap.push(small).unwrap();
    let large = heap.allocate(CONSERVATIVE, 1 << 20).unwrap();
    heap.push(large).unwrap();
    let freed = heap.allocate(LEAF, 24).unwrap();
    let freed_large = heap.allocate(LEAF, 1 << 20).unwrap();
    heap.collect().unwrap();
    vec![
        ("null", 0),
        ("the address space's first word", 4),
        ("unaligned by a byte", small + 1),
        ("unaligned by a word", small + 4),
        ("inside a small object", small + 8),
        ("a small object's last granule", small + 56),
        ("freed", freed),
        ("a freed large object", freed_large),
        ("inside a large object", large + 8),
        ("a page into a large object", large + 65_536),
        ("a block's metadata", small & !0xffff),
        ("far outside", 0xf000_0000),
        ("the last granule of all", 0xffff_fff8),
    ]
}

fn assert_invalid<T: std::fmt::Debug>(answer: Answer<T>, value: u32, what: &str) {
    let error = answer.expect_err(what);
    assert_eq!((error.code, error.value), (ErrorCode::InvalidRef, value), "{what}");
}

fn are_refused_by_every_operation(form: Form) {
    let (mut heap, bad) = heap_with_bad_references(form);
    let before = observed(&mut heap);
    for (what, bad) in bad {
        assert_invalid(heap.get(bad, 0), bad, what);
        assert_invalid(heap.set(bad, 0, 1), bad, what);
        assert_invalid(heap.read_bytes(bad, 0, 1), bad, what);
        assert_invalid(heap.write_bytes(bad, 0, &[1]), bad, what);
        assert_invalid(heap.read_objects(&[bad], 100), bad, what);
        let store = Write { object: bad, index: 0, value: 1 };
        assert_invalid(heap.write_many(&[store]), bad, what);
        assert_invalid(heap.pin(bad), bad, what);
        assert_invalid(heap.unpin(bad), bad, what);
        assert_invalid(heap.register(bad, 1, 2, 3), bad, what);
        let registration = Registration { wrapper: bad, kind: 1, handle: 2, weight_bytes: 3 };
        assert_invalid(heap.register_many(&[registration]), bad, what);
        assert_invalid(heap.handle_of(bad), bad, what);
        assert_invalid(heap.dispose(bad), bad, what);
    }
    assert_eq!(observed(&mut heap), before);
    heap.assert_sound();
}

fn are_refused_as_roots_and_in_slots_where_null_is_allowed(form: Form) {
    let mut heap = fresh(form);
    let pair = heap.define_layout(PAIR, NOTHING).unwrap();
    let holder = heap.create(pair, 0, &[0, 7]).unwrap();
    heap.push(holder).unwrap();
    let bad = bad_references(&mut heap);
    heap.enter_scope().unwrap();
    let before = observed(&mut heap);
    for (what, bad) in bad.into_iter().filter(|(_, bad)| *bad != 0) {
        assert_invalid(heap.leave_scope(bad), bad, what);
        assert_invalid(heap.push(bad), bad, what);
        assert_invalid(heap.set_root(0, bad), bad, what);
        assert_invalid(heap.set(holder, 0, bad), bad, what);
        assert_invalid(heap.create(pair, 0, &[bad, 8]), bad, what);
        let stopped = heap.build(&[2, bad]).expect_err(what);
        assert_eq!((stopped.at, stopped.reason.code), (0, ErrorCode::InvalidRef), "{what}");
    }
    assert_eq!(heap.words(holder, 2).unwrap(), [0, 7]);
    assert_eq!(observed(&mut heap), before);
    heap.assert_sound();
}

fn in_a_conservative_object_retain_at_most_and_corrupt_nothing(form: Form) {
    let (mut heap, bad) = heap_with_bad_references(form);
    let holder = heap.allocate(CONSERVATIVE, 4 * bad.len() as u32).unwrap();
    heap.push(holder).unwrap();
    let words: Vec<u32> = bad.iter().map(|(_, bad)| *bad).collect();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    heap.write_bytes(holder, 0, &bytes).unwrap();
    for _ in 0..3 {
        heap.collect().unwrap();
        heap.assert_sound();
    }
    assert_eq!(heap.words(holder, words.len() as u32).unwrap(), words);
}

fn a_reference_past_an_objects_end_is_out_of_bounds(form: Form) {
    let mut heap = fresh(form);
    let size = 64;
    let object = heap.allocate(LEAF, size).unwrap();
    heap.push(object).unwrap();
    for answer in [
        heap.get(object, size / 4).map(drop),
        heap.set(object, u32::MAX, 1),
        heap.read_bytes(object, size - 1, 2).map(drop),
        heap.read_bytes(object, u32::MAX, u32::MAX).map(drop),
        heap.write_bytes(object, size, &[1]),
    ] {
        let error = answer.expect_err("this leaves the object");
        assert_eq!((error.code, error.value), (ErrorCode::OutOfBounds, size));
    }
    assert_eq!(heap.read_bytes(object, 0, size).unwrap(), vec![0; size as usize]);
    heap.assert_sound();
}

/// The observations that a refused operation must leave as they were.
fn observed(heap: &mut Heap) -> (u32, u32, u64, u32, u32, u64) {
    let statistics = heap.statistics();
    (
        heap.depth(),
        statistics.live_bytes,
        statistics.wrappers_registered,
        statistics.wrappers_live,
        statistics.roots,
        statistics.handles_released,
    )
}

on_every_form!(
    are_refused_by_every_operation,
    are_refused_as_roots_and_in_slots_where_null_is_allowed,
    in_a_conservative_object_retain_at_most_and_corrupt_nothing,
    a_reference_past_an_objects_end_is_out_of_bounds,
);
