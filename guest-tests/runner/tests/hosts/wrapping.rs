//! The wrap table from outside: far more wrappers than entries, a table full of
//! live ones, and collections that handles alone start.

use crate::bare::{DEFAULTS, ErrorCode, Heap, LEAF, Options, Registration, code, fresh};
use crate::support::{Form, on_every_form};

const TABLE: u32 = 4096;

/// Notes the handles that were released, and fails the test at a second release.
struct Ledger(Vec<bool>);

impl Ledger {
    fn of(handles: u32) -> Self {
        Ledger(vec![false; handles as usize])
    }

    fn release(&mut self, handles: Vec<u32>) {
        for handle in handles {
            let released = &mut self.0[handle as usize];
            assert!(!*released, "{handle} was released twice");
            *released = true;
        }
    }

    fn count(&self) -> u32 {
        self.0.iter().filter(|released| **released).count() as u32
    }
}

/// Closes the heap and asserts that everything was released exactly once.
fn assert_all_released_at_close(heap: &mut Heap, ledger: &mut Ledger) {
    heap.close().unwrap();
    let left = heap.drain_all();
    ledger.release(left);
    assert_eq!(ledger.count() as usize, ledger.0.len());
    let statistics = heap.statistics();
    assert_eq!(statistics.handles_released, ledger.0.len() as u64);
    assert_eq!(statistics.wrappers_registered, ledger.0.len() as u64);
    assert_eq!(statistics.wrappers_live, 0);
    assert_eq!(heap.pending(), 0);
}

fn a_million_dead_wrappers_go_through_a_table_of_4096(form: Form) {
    const WRAPPERS: u32 = 1_000_000;
    let mut heap = fresh(form);
    let mut ledger = Ledger::of(WRAPPERS);
    for handle in 0..WRAPPERS {
        heap.wrap(7, handle, 0).unwrap();
        if heap.pending() >= 1000 {
            let dead = heap.drain_all();
            ledger.release(dead);
        }
    }
    let statistics = heap.statistics();
    assert_eq!(statistics.wrap_table_capacity, TABLE);
    assert!(statistics.wrap_table_peak <= TABLE);
    assert!(statistics.collections_for_handles >= WRAPPERS / TABLE - 1);
    heap.assert_sound();
    assert_all_released_at_close(&mut heap, &mut ledger);
}

fn a_million_in_batches_go_through_as_well(form: Form) {
    const BATCH: u32 = 1000;
    const BATCHES: u32 = 1000;
    let mut heap = fresh(form);
    let mut ledger = Ledger::of(BATCH * BATCHES);
    for batch in 0..BATCHES {
        let handles: Vec<u32> = (batch * BATCH..(batch + 1) * BATCH).collect();
        let wrappers = heap.wrap_many(7, &handles, 0).unwrap();
        assert_eq!(wrappers.len(), handles.len());
        assert_eq!(heap.handle_of(wrappers[17]).unwrap().handle, handles[17]);
        let dead = heap.drain_all();
        ledger.release(dead);
    }
    assert!(heap.statistics().wrap_table_peak <= TABLE);
    assert_all_released_at_close(&mut heap, &mut ledger);
}

fn a_table_full_of_live_wrappers_is_an_error_until_one_dies(form: Form) {
    let mut heap = fresh(form);
    let mut ledger = Ledger::of(TABLE + 2);
    for handle in 0..TABLE {
        let wrapper = heap.wrap(7, handle, 0).unwrap();
        heap.push(wrapper).unwrap();
    }
    // Nothing roots the object: a failed registration must not free it.
    let late = heap.allocate(LEAF, 8).unwrap();
    let depth = heap.depth();
    let collections = heap.statistics().collections;

    let error = heap.register(late, 7, TABLE, 0).unwrap_err();
    assert_eq!((error.code, error.value), (ErrorCode::WrapTableFull, TABLE));
    assert!(heap.statistics().collections > collections, "it tried");
    assert_eq!(heap.depth(), depth);
    assert_eq!(code(heap.handle_of(late)), ErrorCode::NotRegistered);
    assert_eq!(heap.pending(), 0);
    heap.assert_sound();
    assert_eq!(code(heap.wrap(7, TABLE, 0)), ErrorCode::WrapTableFull);
    assert_eq!(code(heap.wrap_many(7, &[TABLE], 0)), ErrorCode::WrapTableFull);

    let dying = heap.pop().unwrap();
    let handle = heap.handle_of(dying).unwrap().handle;
    let late = heap.allocate(LEAF, 8).unwrap();
    heap.register(late, 7, TABLE, 0).unwrap();
    assert_eq!(heap.handle_of(late).unwrap().handle, TABLE);
    let dead = heap.drain_all();
    assert_eq!(dead, [handle]);
    ledger.release(dead);

    // By dispose as well as by death.
    heap.push(late).unwrap();
    heap.dispose(late).unwrap();
    assert_eq!(code(heap.dispose(late)), ErrorCode::NotRegistered);
    heap.register(late, 7, TABLE + 1, 0).unwrap();
    heap.assert_sound();
    assert_all_released_at_close(&mut heap, &mut ledger);
}

fn registering_many_is_all_or_nothing(form: Form) {
    let mut heap = fresh(form);
    let mut ledger = Ledger::of(TABLE);
    for handle in 0..TABLE - 1 {
        let wrapper = heap.wrap(7, handle, 0).unwrap();
        heap.push(wrapper).unwrap();
    }
    let registrations = [TABLE - 1, TABLE].map(|handle| {
        let wrapper = heap.allocate(LEAF, 8).unwrap();
        heap.push(wrapper).unwrap();
        Registration { wrapper, kind: 7, handle, weight_bytes: 0 }
    });
    assert_eq!(code(heap.register_many(&registrations)), ErrorCode::WrapTableFull);
    for registration in &registrations {
        assert_eq!(code(heap.handle_of(registration.wrapper)), ErrorCode::NotRegistered);
    }
    heap.register_many(&registrations[..1]).unwrap();
    heap.assert_sound();
    assert_all_released_at_close(&mut heap, &mut ledger);
}

fn a_limit_above_the_capacity_lets_the_table_grow(form: Form) {
    const WRAPPERS: u32 = 50_000;
    let mut heap = fresh(form);
    heap.configure(Options {
        wrap_capacity: 16,
        wrap_limit: WRAPPERS,
        root_capacity: WRAPPERS + 1,
        ..DEFAULTS
    })
    .unwrap();
    let mut ledger = Ledger::of(WRAPPERS);
    for handle in 0..WRAPPERS {
        let wrapper = heap.wrap(7, handle, 0).unwrap();
        heap.push(wrapper).unwrap();
    }
    assert_eq!(heap.statistics().wrap_table_capacity, WRAPPERS);
    assert_eq!(code(heap.wrap(7, WRAPPERS, 0)), ErrorCode::WrapTableFull);
    heap.assert_sound();
    assert_all_released_at_close(&mut heap, &mut ledger);
}

fn handles_alone_start_collections(form: Form) {
    const WRAPPERS: u32 = 5000;
    let mut heap = fresh(form);
    heap.configure(Options { wrap_capacity: 100_000, handle_floor: 500, ..DEFAULTS }).unwrap();
    let mut ledger = Ledger::of(WRAPPERS);
    for handle in 0..WRAPPERS {
        heap.wrap(7, handle, 0).unwrap();
        assert!(heap.statistics().wrappers_live <= 501);
    }
    assert!(heap.pending() >= WRAPPERS - 501);
    assert!(heap.statistics().collections_for_handles >= 9);
    assert_all_released_at_close(&mut heap, &mut ledger);
}

fn weight_alone_starts_collections(form: Form) {
    const WRAPPERS: u32 = 1000;
    const MEBIBYTE: u32 = 1 << 20;
    let mut heap = fresh(form);
    let mut ledger = Ledger::of(WRAPPERS);
    for handle in 0..WRAPPERS {
        heap.wrap(7, handle, MEBIBYTE).unwrap();
        let weight = heap.statistics().external_bytes;
        assert!(weight <= 65 * u64::from(MEBIBYTE), "{weight} bytes are held");
    }
    assert!(heap.statistics().collections_for_handles >= 14);
    assert_all_released_at_close(&mut heap, &mut ledger);
}

fn a_scope_keeps_wrappers_until_it_is_left(form: Form) {
    let mut heap = fresh(form);
    heap.enter_scope().unwrap();
    let wrappers: Vec<u32> = (0..100).map(|handle| heap.wrap(7, handle, 0).unwrap()).collect();
    heap.collect().unwrap();
    assert_eq!(heap.pending(), 0);
    heap.enter_scope().unwrap();
    heap.wrap(7, 100, 0).unwrap();
    let kept = heap.wrap(7, 101, 0).unwrap();
    heap.leave_scope(kept).unwrap();
    heap.collect().unwrap();
    assert_eq!(heap.drain_all(), [100]);
    assert_eq!(heap.handle_of(kept).unwrap().handle, 101);
    heap.leave_scope(wrappers[17]).unwrap();
    heap.push(wrappers[17]).unwrap();
    heap.collect().unwrap();
    assert_eq!(heap.drain_all().len(), 100);
    assert_eq!(heap.handle_of(wrappers[17]).unwrap().handle, 17);
    assert_eq!(code(heap.leave_scope(0)), ErrorCode::NoScope);
    heap.assert_sound();
}

fn a_closed_heap_answers_closed(form: Form) {
    let mut heap = fresh(form);
    let wrapper = heap.wrap(7, 0, 0).unwrap();
    heap.push(wrapper).unwrap();
    assert_eq!(heap.close().unwrap(), 1);
    for (operation, answer) in [
        ("allocate", heap.allocate(LEAF, 8).map(drop)),
        ("get", heap.get(wrapper, 0).map(drop)),
        ("push", heap.push(wrapper)),
        ("pop", heap.pop().map(drop)),
        ("wrap", heap.wrap(7, 1, 0).map(drop)),
        ("dispose", heap.dispose(wrapper)),
        ("collect", heap.collect()),
        ("close", heap.close().map(drop)),
    ] {
        let error = answer.expect_err(operation);
        assert_eq!(error.code, ErrorCode::Closed, "{operation}");
    }
    assert_eq!(heap.pending(), 1);
    assert_eq!(heap.drain_all(), [0]);
}

on_every_form!(
    a_million_dead_wrappers_go_through_a_table_of_4096,
    a_million_in_batches_go_through_as_well,
    a_table_full_of_live_wrappers_is_an_error_until_one_dies,
    registering_many_is_all_or_nothing,
    a_limit_above_the_capacity_lets_the_table_grow,
    handles_alone_start_collections,
    weight_alone_starts_collections,
    a_scope_keeps_wrappers_until_it_is_left,
    a_closed_heap_answers_closed,
);
