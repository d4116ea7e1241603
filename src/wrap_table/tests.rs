//! When the table grows, and what its own check finds. `tests/wrappers.rs` has what a heap does with
//! the table.

use super::{Registration, WrapTable};
use crate::error::Error;
use crate::memory::model::ModelMemory;
use crate::memory::supply::Supply;

/// More than the least memory that a table takes.
const CAPACITY: u32 = 32;
const LIMIT: u32 = 400;
const WEIGHT_BYTES: u32 = 5;

struct Fixture {
    supply: Supply<ModelMemory>,
    table: WrapTable,
}

impl Fixture {
    fn with_entries(count: u32) -> Self {
        let mut supply = Supply::new(ModelMemory::new());
        let mut table = WrapTable::new(CAPACITY, LIMIT);
        assert!(table.take_memory(&mut supply));
        let mut fixture = Fixture { supply, table };
        fixture.push(count);
        fixture
    }

    /// Pushes entries. There is room for them.
    fn push(&mut self, count: u32) {
        for _ in 0..count {
            let handle = self.table.registered() as u32;
            let wrapper = (handle + 1) * 8;
            let entry = Registration { wrapper, kind: 1, handle, weight_bytes: WEIGHT_BYTES };
            self.table.push(&mut self.supply.memory, entry);
        }
    }

    /// Releases the first `count` entries. None of them is drained.
    fn release(&mut self, count: u32) {
        let mut left = count;
        self.table.release_dead(&mut self.supply, |_, _| {
            let is_dead = left > 0;
            left -= u32::from(is_dead);
            !is_dead
        });
    }

    /// Returns the capacity after a collection that left all entries, once a full table is asked for
    /// one more.
    fn capacity_after_collection(&mut self) -> u32 {
        self.release(0);
        let more = self.table.capacity() + 1 - self.table.length();
        let grown = self.table.has_room_after_growth(&mut self.supply, more);
        assert_eq!(grown, self.table.has_room(more));
        self.table.capacity()
    }
}

#[test]
fn relief_doubles_a_table_that_is_more_than_half_live() {
    for (entries, capacity) in [(0, 32), (15, 32), (16, 32), (17, 64), (32, 64)] {
        let relieved = Fixture::with_entries(entries).capacity_after_collection();
        assert_eq!(relieved, capacity, "{entries} entries");
    }
}

#[test]
fn relief_stays_within_the_limit() {
    let mut fixture = Fixture::with_entries(CAPACITY);
    for capacity in [64, 128, 256, LIMIT, LIMIT] {
        let more = fixture.table.capacity() - fixture.table.length();
        fixture.push(more);
        assert_eq!(fixture.capacity_after_collection(), capacity);
    }
}

#[test]
fn a_reservation_within_the_capacity_leaves_it() {
    for entries in 0..=CAPACITY {
        let mut fixture = Fixture::with_entries(entries);
        fixture.table.reserve(&mut fixture.supply, CAPACITY - entries).unwrap();
        assert_eq!(fixture.table.capacity(), CAPACITY, "{entries} entries");
    }
}

#[test]
fn a_reservation_beyond_the_capacity_doubles_it_or_takes_what_it_needs() {
    for (count, capacity) in [(30, 64), (61, 64), (62, 65), (397, LIMIT)] {
        let mut fixture = Fixture::with_entries(3);
        fixture.table.reserve(&mut fixture.supply, count).unwrap();
        assert_eq!(fixture.table.capacity(), capacity, "{count} more");
        assert!(fixture.table.entries.capacity() >= capacity);
    }
}

#[test]
fn a_reservation_beyond_the_limit_is_refused() {
    let mut fixture = Fixture::with_entries(3);
    let refused = fixture.table.reserve(&mut fixture.supply, LIMIT - 2);
    assert_eq!(refused, Err(Error::WrapTableFull { capacity: CAPACITY }));
    let refused = fixture.table.reserve(&mut fixture.supply, u32::MAX);
    assert_eq!(refused, Err(Error::WrapTableFull { capacity: CAPACITY }));
}

#[test]
fn waiting_handles_take_room_of_their_own() {
    let mut fixture = Fixture::with_entries(CAPACITY);
    fixture.release(CAPACITY);
    assert!(fixture.table.has_room(CAPACITY) && !fixture.table.is_ready());
    fixture.table.reserve(&mut fixture.supply, CAPACITY).unwrap();
    assert_eq!(fixture.table.capacity(), CAPACITY);
    assert!(fixture.table.entries.capacity() >= 2 * CAPACITY);
    fixture.push(CAPACITY);
    assert_eq!(fixture.table.inconsistency(&fixture.supply.memory), None);
    let mut into = [super::Handle { kind: 0, handle: 0 }; 2 * CAPACITY as usize];
    let drained = fixture.table.drain(&fixture.supply.memory, &mut into);
    let mut handles: std::vec::Vec<u32> = into[..drained].iter().map(|one| one.handle).collect();
    handles.sort_unstable();
    assert!(handles.iter().copied().eq(0..CAPACITY), "{handles:?}");
}

#[test]
fn a_table_that_memory_refuses_to_let_grow_takes_no_more_than_it_needs() {
    let mut fixture = Fixture::with_entries(3);
    // Room for 40 entries, but not for 64.
    fixture.supply.use_up(&[40 * super::RECORD_BYTES]);
    fixture.supply.set_limit(fixture.supply.taken_bytes());
    fixture.table.reserve(&mut fixture.supply, 37).unwrap();
    assert_eq!(fixture.table.capacity(), 40);
    let refused = fixture.table.reserve(&mut fixture.supply, 80);
    assert_eq!(refused, Err(Error::OutOfMemory { needed_bytes: 83 * super::RECORD_BYTES }));
    assert_eq!(fixture.table.capacity(), 40);
}

#[test]
fn the_check_sees_each_sum_that_does_not_add_up() {
    let inconsistency = |fixture: &Fixture| fixture.table.inconsistency(&fixture.supply.memory);
    let mut fixture = Fixture::with_entries(5);
    fixture.release(2);
    assert_eq!(inconsistency(&fixture), None);
    fixture.table.external_bytes += 1;
    assert_eq!(inconsistency(&fixture), Some(3));
    fixture.table.external_bytes -= 1;
    fixture.table.registered += 1;
    assert_eq!(inconsistency(&fixture), Some(3));
    fixture.table.registered -= 1;
    fixture.table.drained += 1;
    assert_eq!(inconsistency(&fixture), Some(3));
    fixture.table.drained -= 1;
    assert_eq!(inconsistency(&fixture), None);
}

/// A table whose capacity depended on what waits differed between the components that push
/// handles and those that are drained.
#[test]
fn what_waits_does_not_change_the_capacity() {
    for waiting in 0..CAPACITY {
        let mut fixture = Fixture::with_entries(CAPACITY);
        fixture.release(waiting);
        let count = CAPACITY + 1 - fixture.table.length();
        fixture.table.reserve(&mut fixture.supply, count).unwrap();
        assert_eq!(fixture.table.capacity(), 2 * CAPACITY, "{waiting} wait");
    }
}
