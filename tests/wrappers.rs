//! The wrap table: every handle is released exactly once, and the table is full only if every entry
//! is live.

mod common;

use common::{at_size, drain, heap};
use std::collections::HashSet;
use tether_gc::memory::Memory;
use tether_gc::memory::model::ModelMemory;
use tether_gc::{Error, Handle, Heap, Options, Registration, layout::LEAF};

/// Entries of the wrap table. A collection is due after as many handles.
const CAPACITY: u32 = at_size(Options::DEFAULT.wrap_capacity, 16);
/// The default options, with a table of that size.
const OPTIONS: Options = Options {
    wrap_capacity: CAPACITY,
    wrap_limit: CAPACITY,
    handle_floor: CAPACITY - 1,
    ..Options::DEFAULT
};

/// Closes a heap, and checks that handles `0..given` of kind 1 were each released once: those in
/// `released` before, and the rest now.
fn close_and_check(heap: &mut Heap<ModelMemory>, mut released: Vec<Handle>, given: u32) {
    heap.close().unwrap();
    released.extend(drain(heap));
    let distinct: HashSet<_> = released.iter().copied().collect();
    assert_eq!(distinct.len(), released.len(), "a handle was released twice");
    let expected: HashSet<_> = (0..given).map(|handle| Handle { kind: 1, handle }).collect();
    assert_eq!(distinct, expected);
    let statistics = heap.statistics();
    assert_eq!(statistics.wrappers_registered, u64::from(given));
    assert_eq!(statistics.handles_released, u64::from(given));
    assert_eq!(statistics.heap_bytes, 0, "a closed and drained heap keeps memory");
    assert_eq!(heap.verify(), None);
    assert_eq!(heap.close(), Err(Error::Closed));
}

#[test]
fn a_million_dead_wrappers_go_through_a_table_of_4096() {
    const HANDLES: u32 = at_size(1_000_000, 50);
    assert!(cfg!(miri) || OPTIONS == Options::DEFAULT);
    let full = Options { handle_floor: CAPACITY, ..OPTIONS };
    // The number of handles starts the collections, or the full table. `entries` is their number
    // then.
    for (options, entries) in [(OPTIONS, CAPACITY - 1), (full, CAPACITY)] {
        let mut heap = heap(options);
        let mut released = Vec::new();
        for handle in 0..HANDLES {
            heap.wrap(1, handle, 0).unwrap();
            if heap.pending() > 0 {
                released.extend(drain(&mut heap));
            }
        }
        let statistics = heap.statistics();
        assert_eq!(statistics.wrap_table_capacity, CAPACITY);
        assert_eq!(statistics.wrap_table_peak, entries);
        // The handles that wait to be drained, and the one being registered.
        assert_eq!(statistics.unreleased_peak, entries + 1);
        assert_eq!(statistics.collections, HANDLES / entries);
        close_and_check(&mut heap, released, HANDLES);
    }
}

#[test]
fn a_million_dead_wrappers_that_nobody_drains_are_not_lost() {
    const HANDLES: u32 = at_size(1_000_000, 50);
    let mut heap = heap(OPTIONS);
    for handle in 0..HANDLES {
        heap.wrap(1, handle, 0).unwrap();
    }
    assert!(heap.statistics().wrap_table_peak <= CAPACITY);
    close_and_check(&mut heap, Vec::new(), HANDLES);
}

#[test]
fn with_4096_live_wrappers_the_next_is_refused_and_nothing_changes() {
    let mut heap = heap(OPTIONS);
    for handle in 0..CAPACITY {
        let wrapper = heap.wrap(1, handle, 0).unwrap();
        heap.push(wrapper).unwrap();
    }
    let wrapper = heap.allocate(LEAF, 8).unwrap();
    heap.push(wrapper).unwrap();
    for _ in 0..3 {
        let refused = heap.register(wrapper, 1, CAPACITY, 0);
        assert_eq!(refused, Err(Error::WrapTableFull { capacity: CAPACITY }));
        assert_eq!(heap.depth(), CAPACITY + 1);
        assert_eq!(heap.verify(), None);
        assert_eq!(heap.pending(), 0);
    }
    assert_eq!(heap.handle_of(wrapper), Err(Error::NotRegistered { reference: wrapper }));
    // One wrapper dies.
    heap.set_root(7, 0).unwrap();
    heap.register(wrapper, 1, CAPACITY, 0).unwrap();
    assert_eq!(heap.depth(), CAPACITY + 1);
    assert_eq!(heap.verify(), None);
    let released = drain(&mut heap);
    assert_eq!(released, [Handle { kind: 1, handle: 7 }]);
    close_and_check(&mut heap, released, CAPACITY + 1);
}

#[test]
fn a_table_with_a_higher_limit_grows() {
    const LIMIT: u32 = at_size(20_000, 40);
    let options = Options { wrap_limit: LIMIT, root_capacity: 30_000, ..OPTIONS };
    let mut heap = heap(options);
    for handle in 0..LIMIT {
        let wrapper = heap.wrap(1, handle, 0).unwrap();
        heap.push(wrapper).unwrap();
    }
    assert_eq!(heap.statistics().wrap_table_capacity, LIMIT);
    assert_eq!(heap.statistics().wrap_table_peak, LIMIT);
    // Growth is by doubling, so collections are few.
    assert!(heap.statistics().collections <= 8, "{}", heap.statistics().collections);
    let full = heap.wrap(1, LIMIT, 0);
    assert_eq!(full, Err(Error::WrapTableFull { capacity: LIMIT }));
    close_and_check(&mut heap, Vec::new(), LIMIT);
}

#[test]
fn the_entries_that_survive_compaction_are_the_live_ones() {
    const LIVE: u32 = at_size(1_000, 20);
    let mut heap = heap(Options::DEFAULT);
    let mut live = Vec::new();
    for handle in 0..3 * LIVE {
        let wrapper = heap.wrap(1, handle, 10).unwrap();
        if handle % 3 == 0 {
            heap.push(wrapper).unwrap();
            live.push((wrapper, handle));
        }
    }
    heap.collect().unwrap();
    for &(wrapper, handle) in &live {
        assert_eq!(heap.handle_of(wrapper), Ok(Handle { kind: 1, handle }));
    }
    assert_eq!(heap.statistics().wrappers_live, LIVE);
    assert_eq!(heap.statistics().external_bytes, 10 * u64::from(LIVE));
    assert_eq!(heap.pending(), 2 * LIVE);
    assert_eq!(heap.verify(), None);
    close_and_check(&mut heap, Vec::new(), 3 * LIVE);
}

#[test]
fn the_number_of_dead_handles_is_bounded_though_nothing_is_allocated() {
    // The table is large, so only the number of handles can start a collection.
    const HANDLES: u32 = at_size(5_000, 40);
    let options = Options { wrap_capacity: 1 << 16, wrap_limit: 1 << 16, ..OPTIONS };
    let mut heap = heap(options);
    let mut wrappers = Vec::new();
    for _ in 0..HANDLES {
        let wrapper = heap.allocate(LEAF, 8).unwrap();
        heap.push(wrapper).unwrap();
        wrappers.push(wrapper);
    }
    for (handle, &wrapper) in (0..).zip(&wrappers) {
        heap.register(wrapper, 1, handle, 0).unwrap();
        let position = heap.depth() - 1;
        heap.set_root(handle.min(position), 0).unwrap();
    }
    let statistics = heap.statistics();
    assert!(statistics.wrappers_live <= CAPACITY, "{} dead handles", statistics.wrappers_live);
    assert!(statistics.collections_for_handles >= 1);
    close_and_check(&mut heap, Vec::new(), HANDLES);
}

#[test]
fn with_many_live_handles_collections_come_in_proportion() {
    const LIVE: u32 = at_size(40_000, 24);
    let options = Options { wrap_capacity: 1 << 17, wrap_limit: 1 << 17, ..OPTIONS };
    let options = Options { root_capacity: 50_000, ..options };
    let mut heap = heap(options);
    for handle in 0..LIVE {
        let wrapper = heap.wrap(1, handle, 0).unwrap();
        heap.push(wrapper).unwrap();
    }
    heap.collect().unwrap();
    let before = heap.statistics().collections;
    for handle in LIVE..LIVE * 7 / 2 {
        heap.wrap(1, handle, 0).unwrap();
    }
    // live + max(floor, live), and the handles that wait.
    assert!(heap.statistics().wrappers_live <= 2 * LIVE);
    assert_eq!(heap.statistics().collections - before, 2);
    close_and_check(&mut heap, Vec::new(), LIVE * 7 / 2);
}

#[test]
fn heavy_handles_start_collections() {
    let options = Options { weight_floor_bytes: 10 << 20, ..Options::DEFAULT };
    let mut heap = heap(options);
    let mut most = 0;
    const HANDLES: u32 = at_size(1_000, 21);
    for handle in 0..HANDLES {
        heap.wrap(1, handle, 1 << 20).unwrap();
        most = most.max(heap.statistics().external_bytes);
    }
    assert!(most <= 10 << 20, "{most} bytes of the host's at once");
    assert_eq!(heap.statistics().collections_for_handles, (HANDLES - 1) / 10);
    close_and_check(&mut heap, Vec::new(), HANDLES);
}

#[test]
fn handles_and_weights_up_to_the_floor_start_no_collection() {
    let options = Options { handle_floor: 10, weight_floor_bytes: 1_000, ..Options::DEFAULT };
    let collections = |heap: &Heap<ModelMemory>| heap.statistics().collections;
    // 10 handles one by one, and then one more.
    let mut one_by_one = heap(options);
    for handle in 0..10 {
        one_by_one.wrap(1, handle, 0).unwrap();
    }
    assert_eq!(collections(&one_by_one), 0);
    one_by_one.wrap(1, 10, 0).unwrap();
    assert_eq!(collections(&one_by_one), 1);
    // `register` collects at the same number of handles, and its own wrapper survives.
    let mut registered = heap(options);
    for handle in 0..11 {
        let object = registered.allocate(LEAF, 8).unwrap();
        registered.register(object, 1, handle, 0).unwrap();
        assert_eq!(collections(&registered), u32::from(handle == 10));
        assert_eq!(registered.handle_of(object), Ok(Handle { kind: 1, handle }));
    }
    // Several handles at a time, of equal weight, beside one handle without weight, whose wrapper
    // may be dead.
    for (count, weight_bytes, collected) in
        [(9, 0, 0), (10, 0, 1), (9, 111, 0), (9, 112, 1), (1, 1_000, 0), (1, 1_001, 1)]
    {
        let mut many = heap(options);
        many.wrap(1, count, 0).unwrap();
        let handles: Vec<u32> = (0..count).collect();
        let mut wrappers = vec![0; handles.len()];
        many.wrap_many(1, &handles, weight_bytes, &mut wrappers).unwrap();
        assert_eq!(collections(&many), collected, "{count} of {weight_bytes} bytes");
        assert_eq!(many.statistics().external_bytes, u64::from(count * weight_bytes));
        close_and_check(&mut many, Vec::new(), count + 1);
    }
    close_and_check(&mut one_by_one, Vec::new(), 11);
    close_and_check(&mut registered, Vec::new(), 11);
}

#[test]
fn a_registration_is_one_of_the_operations_that_stress_counts() {
    let mut heap = heap(Options::DEFAULT);
    let objects: Vec<_> = (0..7).map(|_| heap.allocate(LEAF, 8).unwrap()).collect();
    heap.push_many(&objects).unwrap();
    heap.set_stress(3, Default::default());
    for (&object, handle) in objects.iter().zip(0..) {
        heap.register(object, 1, handle, 0).unwrap();
        assert_eq!(heap.statistics().collections, (handle + 1) / 3);
    }
    close_and_check(&mut heap, Vec::new(), 7);
}

#[test]
fn a_closed_heap_gives_its_memory_back_with_the_last_batch() {
    let mut heap = heap(Options::DEFAULT);
    for handle in 0..25 {
        heap.wrap(1, handle, 0).unwrap();
    }
    heap.close().unwrap();
    let mut batch = [Handle { kind: 0, handle: 0 }; 10];
    for (drained, left) in [(10, 15), (10, 5), (5, 0)] {
        assert_ne!(heap.statistics().heap_bytes, 0);
        assert_eq!((heap.drain(&mut batch), heap.pending()), (drained, left));
    }
    assert_eq!(heap.statistics().heap_bytes, 0);
}

#[test]
fn dispose_releases_once() {
    let mut heap = heap(Options::DEFAULT);
    let wrapper = heap.wrap(1, 0, 5).unwrap();
    heap.push(wrapper).unwrap();
    heap.wrap(1, 1, 5).unwrap();
    heap.dispose(wrapper).unwrap();
    assert_eq!(heap.dispose(wrapper), Err(Error::NotRegistered { reference: wrapper }));
    assert_eq!(heap.pending(), 1);
    assert_eq!(heap.statistics().external_bytes, 5);
    assert_eq!(heap.get(wrapper, 1), Ok(0), "the object lives on");
    // The object may own another handle now.
    heap.register(wrapper, 1, 2, 0).unwrap();
    assert_eq!(
        heap.register(wrapper, 1, 3, 0),
        Err(Error::AlreadyRegistered { reference: wrapper })
    );
    assert_eq!(heap.verify(), None);
    heap.collect().unwrap();
    let released = drain(&mut heap);
    assert_eq!(released.len(), 2);
    close_and_check(&mut heap, released, 3);
}

#[test]
fn wrap_many_wraps_all_or_none() {
    let mut heap = heap(Options { wrap_capacity: 100, wrap_limit: 100, ..Options::DEFAULT });
    heap.enter_scope().unwrap();
    let handles: Vec<u32> = (0..60).collect();
    let mut wrappers = vec![0; 60];
    heap.wrap_many(1, &handles, 3, &mut wrappers).unwrap();
    let more: Vec<u32> = (60..120).collect();
    let mut none = vec![0; 60];
    let full = Err(Error::WrapTableFull { capacity: 100 });
    assert_eq!(heap.wrap_many(1, &more, 3, &mut none), full);
    assert_eq!(heap.statistics().wrappers_registered, 60);
    for (&wrapper, &handle) in wrappers.iter().zip(&handles) {
        assert_eq!(heap.handle_of(wrapper), Ok(Handle { kind: 1, handle }));
        assert_eq!(heap.get(wrapper, 1), Ok(handle));
    }
    heap.leave_scope(0).unwrap();
    heap.wrap_many(1, &more, 3, &mut none).unwrap();
    assert_eq!(heap.verify(), None);
    close_and_check(&mut heap, Vec::new(), 120);
}

#[test]
fn wrap_many_keeps_its_wrappers_until_it_returns() {
    // Each allocation collects.
    let mut heap = heap(Options { stress: 1, ..Options::DEFAULT });
    const COUNT: u32 = at_size(300, 8);
    let handles: Vec<u32> = (0..COUNT).collect();
    let mut wrappers = vec![0; COUNT as usize];
    heap.wrap_many(1, &handles, 0, &mut wrappers).unwrap();
    assert!(heap.statistics().collections >= COUNT);
    for (&wrapper, &handle) in wrappers.iter().zip(&handles) {
        assert_eq!(heap.handle_of(wrapper), Ok(Handle { kind: 1, handle }));
    }
    assert_eq!(heap.verify(), None);
    close_and_check(&mut heap, Vec::new(), COUNT);
}

#[test]
fn register_many_registers_all_or_none_and_keeps_its_wrappers() {
    let mut heap = heap(Options { wrap_capacity: 10, wrap_limit: 10, ..Options::DEFAULT });
    for handle in 0..10 {
        heap.wrap(1, handle, 0).unwrap();
    }
    let registrations: Vec<_> = (10..20)
        .map(|handle| Registration {
            wrapper: heap.allocate(LEAF, 8).unwrap(),
            kind: 1,
            handle,
            weight_bytes: 1,
        })
        .collect();
    let double = [registrations[0], registrations[1], registrations[0]];
    let already = Error::AlreadyRegistered { reference: registrations[0].wrapper };
    assert_eq!(heap.register_many(&double), Err(already));
    assert_eq!(heap.statistics().wrappers_registered, 10);
    assert_eq!(heap.verify(), None);
    heap.register_many(&registrations).unwrap();
    assert_eq!(heap.statistics().collections, 1);
    for entry in &registrations {
        heap.push(entry.wrapper).unwrap();
        assert_eq!(heap.handle_of(entry.wrapper).unwrap().handle, entry.handle);
    }
    let eleventh = Registration { wrapper: heap.allocate(LEAF, 8).unwrap(), ..registrations[0] };
    let full = Error::WrapTableFull { capacity: 10 };
    assert_eq!(heap.register_many(&[eleventh]), Err(full));
    assert_eq!(heap.verify(), None);
    close_and_check(&mut heap, Vec::new(), 20);
}

#[test]
fn large_objects_can_be_wrappers() {
    let mut heap = heap(Options::DEFAULT);
    let kept = heap.allocate(LEAF, 20_000).unwrap();
    heap.push(kept).unwrap();
    heap.register(kept, 1, 0, 0).unwrap();
    let dead = heap.allocate(LEAF, 20_000).unwrap();
    heap.register(dead, 1, 1, 0).unwrap();
    heap.collect().unwrap();
    assert_eq!(drain(&mut heap), [Handle { kind: 1, handle: 1 }]);
    assert_eq!(heap.handle_of(kept), Ok(Handle { kind: 1, handle: 0 }));
    heap.dispose(kept).unwrap();
    assert_eq!(heap.verify(), None);
    close_and_check(&mut heap, vec![Handle { kind: 1, handle: 1 }], 2);
}

#[test]
fn a_closed_heap_answers_closed() {
    let mut heap = heap(Options::DEFAULT);
    let wrapper = heap.wrap(1, 0, 0).unwrap();
    heap.push(wrapper).unwrap();
    assert_eq!(heap.close(), Ok(1));
    assert_eq!(heap.allocate(LEAF, 8), Err(Error::Closed));
    assert_eq!(heap.get(wrapper, 0), Err(Error::Closed));
    assert_eq!(heap.push(0), Err(Error::Closed));
    assert_eq!(heap.enter_scope(), Err(Error::Closed));
    assert_eq!(heap.register(wrapper, 1, 1, 0), Err(Error::Closed));
    assert_eq!(heap.wrap(1, 1, 0), Err(Error::Closed));
    assert_eq!(heap.dispose(wrapper), Err(Error::Closed));
    assert_eq!(heap.collect(), Err(Error::Closed));
    assert_eq!(heap.build(&[]).map_err(|error| error.reason), Err(Error::Closed));
    assert_eq!(heap.pending(), 1);
    assert_eq!(drain(&mut heap), [Handle { kind: 1, handle: 0 }]);
    assert_eq!(heap.memory().free_pages(), heap.memory().pages() - 1, "all but the first");
}

#[test]
fn handles_that_never_met_a_collection_are_released_by_close() {
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    for handle in 1..=100 {
        heap.wrap(7, handle, 0).unwrap();
    }
    heap.close().unwrap();
    let mut released: Vec<u32> = Vec::new();
    while let Some(dead) = heap.drain_one() {
        assert_eq!(dead.kind, 7);
        released.push(dead.handle);
    }
    released.sort_unstable();
    assert_eq!(released, (1..=100).collect::<Vec<_>>());
}

/// If memory refuses the index, the table is searched entry by entry. If the index has only a part
/// of the entries, the others are searched one by one.
#[test]
#[cfg_attr(miri, ignore = "looks for each of 350 handles, one by one")]
fn handles_are_found_when_there_is_no_memory_for_an_index() {
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    let mut wrappers: Vec<(u32, u32)> = Vec::new();
    let add = |heap: &mut Heap<ModelMemory>, wrappers: &mut Vec<(u32, u32)>, count: u32| {
        for _ in 0..count {
            let handle = wrappers.len() as u32 + 1;
            let wrapper = heap.wrap(7, handle, 0).unwrap();
            heap.push(wrapper).unwrap();
            wrappers.push((wrapper, handle));
        }
    };
    let check = |heap: &mut Heap<ModelMemory>, wrappers: &[(u32, u32)], disposed: &[usize]| {
        for (index, &(wrapper, handle)) in wrappers.iter().enumerate() {
            let found = heap.handle_of(wrapper);
            if disposed.contains(&index) {
                assert_eq!(found, Err(Error::NotRegistered { reference: wrapper }));
            } else {
                assert_eq!(found, Ok(Handle { kind: 7, handle }));
            }
        }
        assert_eq!(heap.verify(), None);
    };
    add(&mut heap, &mut wrappers, 200);
    heap.memory_mut().set_exhausted(true);
    heap.dispose(wrappers[0].0).unwrap();
    check(&mut heap, &wrappers, &[0]);
    heap.memory_mut().set_exhausted(false);
    heap.dispose(wrappers[5].0).unwrap();
    check(&mut heap, &wrappers, &[0, 5]);
    // There are more entries than the index has room for, and it stays as it is.
    add(&mut heap, &mut wrappers, 150);
    heap.memory_mut().set_exhausted(true);
    for index in [7, 340, 349, 20, 250] {
        heap.dispose(wrappers[index].0).unwrap();
    }
    check(&mut heap, &wrappers, &[0, 5, 7, 20, 250, 340, 349]);
    heap.memory_mut().set_exhausted(false);
    check(&mut heap, &wrappers, &[0, 5, 7, 20, 250, 340, 349]);
    assert_eq!(drain(&mut heap).len(), 7);
}

/// A batch that failed in a scope used to leave its objects on the shadow stack for good. The model
/// left its scopes at such an error, and so never saw that.
#[test]
fn a_wrap_many_that_fails_in_a_scope_leaves_no_roots_there() {
    let mut heap = heap(Options { root_capacity: 100, ..Options::DEFAULT });
    heap.enter_scope().unwrap();
    let kept = heap.wrap(1, 0, 0).unwrap();
    let before = heap.statistics();
    let (handles, mut wrappers) = ([7; 1_000], [0; 1_000]);
    let full = Error::RootStackFull { capacity: 100 };
    assert_eq!(heap.wrap_many(1, &handles, 5, &mut wrappers), Err(full));
    let after = heap.statistics();
    assert_eq!((after.roots, after.wrappers_live), (before.roots, before.wrappers_live));
    assert_eq!(after.external_bytes, before.external_bytes);
    heap.push(kept).unwrap();
    heap.allocate(LEAF, 8).unwrap();
    assert_eq!(heap.verify(), None);
    heap.leave_scope(0).unwrap();
    heap.collect().unwrap();
    assert_eq!(heap.statistics().live_bytes, 8, "only the one that is pushed");
}

/// Handles that were disposed of used to bring a collection, though never more than one handle was
/// out. The model does not notice collections that are not necessary.
#[test]
fn a_handle_that_is_disposed_of_brings_no_collection() {
    let mut heap = heap(Options::DEFAULT);
    let wrapper = heap.allocate(LEAF, 8).unwrap();
    heap.push(wrapper).unwrap();
    for handle in 0..at_size(20_000, 50) {
        heap.register(wrapper, 1, handle, 1 << 20).unwrap();
        assert_eq!(heap.set_weight(wrapper, 2 << 20), Ok(()));
        assert_eq!(heap.set_weight(wrapper, 1 << 20), Ok(()));
        heap.dispose(wrapper).unwrap();
        heap.drain_one().unwrap();
    }
    assert_eq!(heap.statistics().collections, 0);
}

/// No more handles than the bound may be dead, whatever is disposed of in between.
#[test]
fn disposing_of_handles_does_not_put_a_collection_off() {
    let mut heap = heap(Options { handle_floor: 100, ..Options::DEFAULT });
    let mine = heap.allocate(LEAF, 8).unwrap();
    heap.push(mine).unwrap();
    for handle in 0..1_000 {
        for _ in 0..3 {
            heap.register(mine, 1, handle, 0).unwrap();
            heap.dispose(mine).unwrap();
        }
        heap.wrap(1, handle, 0).unwrap();
        let live = heap.statistics().wrappers_live;
        assert!(live <= 101, "{live} handles, of which none is live");
    }
}

/// A table that live entries nearly filled used to grow after each collection, before the request
/// that had started the collection was served.
#[test]
fn the_table_grows_when_a_registration_asks_and_not_for_an_allocation() {
    let options = Options { wrap_capacity: 8, wrap_limit: 64, ..Options::DEFAULT };
    let mut heap = heap(options);
    for handle in 0..8 {
        let wrapper = heap.wrap(1, handle, 0).unwrap();
        heap.push(wrapper).unwrap();
    }
    heap.collect().unwrap();
    assert_eq!(heap.statistics().wrap_table_capacity, 8);
    heap.wrap(1, 8, 0).unwrap();
    let statistics = heap.statistics();
    assert_eq!((statistics.wrap_table_capacity, statistics.collections), (16, 1));
}

/// Three full collections that used to be made in vain: of a table without dead entries, of a table
/// that can never have so many, and a second one of the same heap.
#[test]
#[cfg_attr(miri, ignore = "thousands of handles")]
fn no_registration_collects_in_vain() {
    let collections = |heap: &Heap<ModelMemory>| heap.statistics().collections;
    // The weight exceeds the floor, so that a collection is always due.
    let mut weights = heap(Options::DEFAULT);
    let wrapper = weights.allocate(LEAF, 8).unwrap();
    weights.push(wrapper).unwrap();
    for handle in 0..100 {
        weights.register(wrapper, 1, handle, 65 << 20).unwrap();
        weights.dispose(wrapper).unwrap();
    }
    assert_eq!(collections(&weights), 0);
    // A dead wrapper is found all the same.
    for handle in 100..200 {
        weights.wrap(1, handle, 65 << 20).unwrap();
        assert!(weights.statistics().wrappers_live <= 2);
    }
    close_and_check(&mut weights, Vec::new(), 200);

    let mut many = heap(Options::DEFAULT);
    let full = Error::WrapTableFull { capacity: 4_096 };
    assert_eq!(many.wrap_many(1, &[0; 5_000], 0, &mut [0; 5_000]), Err(full));
    assert_eq!(collections(&many), 0);

    // The table may grow, and memory may not.
    let options = Options {
        wrap_limit: 1 << 20,
        root_capacity: 20_000,
        handle_floor: 1 << 20,
        ..Options::DEFAULT
    };
    let mut exhausted = heap(options);
    for handle in 0..4_096 {
        let wrapper = exhausted.wrap(1, handle, 0).unwrap();
        exhausted.push(wrapper).unwrap();
    }
    exhausted.memory_mut().set_exhausted(true);
    while exhausted.wrap(1, 9_999, 0).is_ok() {
        // The entries go into the rest of the tables' last page.
        let wrapper = exhausted.allocate(LEAF, 8).unwrap();
        exhausted.push(wrapper).unwrap();
    }
    let before = collections(&exhausted);
    let object = exhausted.root(0).unwrap();
    exhausted.dispose(object).unwrap();
    for _ in 0..10 {
        let _ = exhausted.wrap_many(1, &[0; 1_000], 0, &mut [0; 1_000]).unwrap_err();
    }
    assert_eq!(collections(&exhausted), before + 10);
}

/// Room in the table used to be refused because of the index, which only look-ups need.
#[test]
#[cfg_attr(miri, ignore = "thousands of handles")]
fn a_table_with_room_takes_many_without_memory_for_its_index() {
    let options = Options {
        wrap_capacity: 16_384,
        wrap_limit: 16_384,
        root_capacity: 20_000,
        handle_floor: 1 << 20,
        ..Options::DEFAULT
    };
    let mut heap = heap(options);
    for handle in 0..9_000 {
        let wrapper = heap.wrap(1, handle, 0).unwrap();
        heap.push(wrapper).unwrap();
        if handle < 10 {
            heap.handle_of(wrapper).unwrap();
        }
    }
    heap.memory_mut().set_exhausted(true);
    heap.wrap_many(1, &[9_000, 9_001], 0, &mut [0; 2]).unwrap();
    assert_eq!(heap.verify(), None);
    close_and_check(&mut heap, Vec::new(), 9_002);
}

/// The table used to double for a wrapper, and the wrapper's own 8 bytes then had no memory.
#[test]
#[cfg_attr(miri, ignore = "thousands of handles")]
fn a_table_gives_up_its_comfort_for_the_wrapper_that_it_grew_for() {
    let full = |limit: u64| {
        let options = Options {
            wrap_limit: 1 << 20,
            root_capacity: 20_000,
            handle_floor: 1 << 20,
            heap_limit_bytes: limit,
            ..Options::DEFAULT
        };
        let mut heap = heap(options);
        for handle in 0..4_096 {
            let wrapper = heap.wrap(1, handle, 0).unwrap();
            heap.push(wrapper).unwrap();
        }
        heap.collect().unwrap();
        // The block is full.
        while heap.depth() < 7_168 {
            let object = heap.allocate(LEAF, 8).unwrap();
            heap.push(object).unwrap();
        }
        heap
    };
    let used = full(u64::MAX).statistics().heap_bytes;
    for pages in 2..6 {
        let mut heap = full(used + pages * 65_536);
        let wrapped = heap.wrap(1, 4_096, 0);
        assert!(wrapped.is_ok() || pages < 3, "{pages} pages: {wrapped:?}");
        assert_eq!(heap.verify(), None);
    }
}

/// A handle that is disposed of leaves room for another, which may be dead.
#[test]
fn handles_that_follow_what_was_disposed_of_start_collections() {
    let options = Options { weight_floor_bytes: 10_000, ..Options::DEFAULT };
    let mut heap = heap(options);
    for handle in 0..50 {
        let wrapper = heap.wrap(1, handle, 0).unwrap();
        heap.push(wrapper).unwrap();
    }
    heap.collect().unwrap();
    for root in 0..50 {
        let wrapper = heap.root(root).unwrap();
        heap.dispose(wrapper).unwrap();
    }
    // As many handles as before, each of a tenth of the floor.
    for handle in 50..100 {
        heap.wrap(1, handle, 1_000).unwrap();
        assert!(heap.statistics().external_bytes <= 10_000);
    }
    close_and_check(&mut heap, Vec::new(), 100);
}
