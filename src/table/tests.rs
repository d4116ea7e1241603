//! The table by itself: what the index finds after each operation on the records.

use super::Table;
use crate::memory::model::ModelMemory;
use crate::memory::supply::Supply;
use std::vec::Vec;

/// A test's size; smaller under Miri, which is slow.
const MANY: u32 = if cfg!(miri) { 24 } else { 512 };

struct Fixture {
    supply: Supply<ModelMemory>,
    table: Table,
}

impl Fixture {
    /// Makes a table of records with these keys. The last word of each record is its number.
    fn with_keys(keys: impl IntoIterator<Item = u32>) -> Self {
        let mut fixture = Fixture { supply: Supply::new(ModelMemory::new()), table: Table::new() };
        fixture.push(keys);
        fixture
    }

    fn push(&mut self, keys: impl IntoIterator<Item = u32>) {
        for key in keys {
            let length = self.table.length();
            assert!(self.table.reserve(&mut self.supply, length + 1));
            let position = self.table.push(&mut self.supply.memory, [key, 0, 0, length]);
            assert_eq!(position, length);
        }
    }

    fn indexed(mut self) -> Self {
        self.table.index_all(&mut self.supply);
        assert_eq!(self.table.indexed, self.table.length());
        self
    }

    fn keys(&self) -> Vec<u32> {
        let memory = &self.supply.memory;
        (0..self.table.length()).map(|position| self.table.word(memory, position, 0)).collect()
    }

    /// Checks that every key is found at its position, and that no other key is found.
    fn check(&self) {
        let memory = &self.supply.memory;
        assert_eq!(self.table.inconsistency(memory), None);
        for (position, key) in self.keys().into_iter().enumerate() {
            assert_eq!(self.table.find(memory, key), Some(position as u32), "key {key}");
            assert_eq!(self.table.find(memory, key + 4), None);
        }
    }
}

/// Keys that are far from sorted, and distinct.
fn scattered(count: u32) -> impl Iterator<Item = u32> {
    (1..=count).map(|number| number.wrapping_mul(2_654_435_761) & !7)
}

#[test]
fn records_are_found_with_an_index_of_none_of_some_and_of_all() {
    for count in [0, 1, 16, 17, MANY] {
        Fixture::with_keys(scattered(count)).check();
        let mut fixture = Fixture::with_keys(scattered(count)).indexed();
        fixture.check();
        fixture.push([8, 16, 24]);
        fixture.check();
        fixture.indexed().check();
    }
}

#[test]
fn a_sorted_table_finds_what_it_found_before() {
    for count in [0, 1, 2, 3, 4, 7, 8, 9, 2 * MANY] {
        let mut fixture = Fixture::with_keys(scattered(count)).indexed();
        let mut sorted = fixture.keys();
        sorted.sort_unstable();
        fixture.table.sort(&mut fixture.supply);
        assert_eq!(fixture.keys(), sorted);
        fixture.check();
        let fixture = fixture.indexed();
        fixture.check();
        // The words behind the key came along.
        for (number, key) in scattered(count).enumerate() {
            let position = fixture.table.find(&fixture.supply.memory, key).unwrap();
            assert_eq!(fixture.table.word(&fixture.supply.memory, position, 3), number as u32);
        }
    }
}

#[test]
fn the_last_key_up_to_any_word() {
    let mut fixture = Fixture::with_keys([80, 16, 48]);
    fixture.table.sort(&mut fixture.supply);
    let expected =
        [(0, None), (15, None), (16, Some(0)), (47, Some(0)), (48, Some(1)), (79, Some(1))];
    for (key, position) in expected.into_iter().chain([(80, Some(2)), (u32::MAX, Some(2))]) {
        assert_eq!(fixture.table.last_up_to(&fixture.supply.memory, key), position, "{key}");
    }
    let empty = Fixture::with_keys([]);
    assert_eq!(empty.table.last_up_to(&empty.supply.memory, u32::MAX), None);
}

#[test]
fn any_record_can_be_removed_from_any_index() {
    // Nothing, some and all of the records are in the index.
    for (before, after) in [(0, 40), (20, 20), (40, 0)] {
        for victim in (0..40).step_by(if cfg!(miri) { 19 } else { 1 }) {
            let mut fixture = Fixture::with_keys(scattered(before));
            fixture.table.index_all(&mut fixture.supply);
            fixture.push(scattered(before + after).skip(before as usize));
            let mut keys = fixture.keys();
            let removed = keys.swap_remove(victim);
            fixture.table.swap_remove(&mut fixture.supply.memory, victim as u32);
            assert_eq!(fixture.keys(), keys);
            // The removed record stands behind the others.
            let length = fixture.table.length();
            assert_eq!(fixture.table.record(&fixture.supply.memory, length)[0], removed);
            assert_eq!(fixture.table.find(&fixture.supply.memory, removed), None);
            fixture.check();
            fixture.indexed().check();
        }
    }
}

#[test]
fn removal_closes_gaps_in_long_probes() {
    // Half of the records are removed, in an order of their own, from the fullest index.
    let mut fixture = Fixture::with_keys((1..=MANY).map(|number| number * 8)).indexed();
    for step in 0..MANY / 2 {
        let position = step.wrapping_mul(97) % fixture.table.length();
        fixture.table.swap_remove(&mut fixture.supply.memory, position);
        fixture.check();
    }
}

#[test]
fn a_partition_keeps_the_order_and_has_the_others_behind() {
    let mut fixture = Fixture::with_keys((1..=100).map(|number| number * 8)).indexed();
    fixture.table.partition(&mut fixture.supply, |_, record| record[0] % 24 == 0);
    let kept: Vec<u32> = (1..=100).map(|number| number * 8).filter(|key| key % 24 == 0).collect();
    assert_eq!(fixture.keys(), kept);
    fixture.check();
    let memory = &fixture.supply.memory;
    let mut behind: Vec<u32> =
        (33..100).map(|position| fixture.table.record(memory, position)[0]).collect();
    behind.sort_unstable();
    assert_eq!(behind, (1..=100).map(|n| n * 8).filter(|key| key % 24 != 0).collect::<Vec<_>>());
    fixture.indexed().check();
}

#[test]
fn a_partition_that_drops_nothing_keeps_the_index() {
    let mut fixture = Fixture::with_keys(scattered(50)).indexed();
    fixture.table.partition(&mut fixture.supply, |_, _| true);
    assert_eq!(fixture.table.indexed, 50);
    fixture.check();
}

#[test]
fn without_memory_for_an_index_records_are_found_all_the_same() {
    let mut fixture = Fixture::with_keys(scattered(50));
    fixture.supply.use_up(&[]);
    fixture.supply.set_limit(fixture.supply.taken_bytes());
    fixture.table.index_all(&mut fixture.supply);
    assert_eq!(fixture.table.indexed, 0);
    fixture.check();
}

/// If the index had no slots, each of many records would be looked for one by one.
#[test]
fn what_is_reserved_with_an_index_has_a_place_in_it() {
    let mut fixture = Fixture::with_keys(scattered(10)).indexed();
    assert!(fixture.table.reserve(&mut fixture.supply, 40));
    fixture.supply.use_up(&[]);
    fixture.supply.set_limit(fixture.supply.taken_bytes());
    // There is room for all records, but only seven eighths of the 32 slots can be used.
    assert!(fixture.table.reserve_indexed(&mut fixture.supply, 28));
    assert!(!fixture.table.reserve_indexed(&mut fixture.supply, 29));
    fixture.push(scattered(28).skip(10));
    let mut fixture = fixture.indexed();
    fixture.check();
    // One more record is found all the same.
    fixture.push([1 << 20]);
    fixture.table.index_all(&mut fixture.supply);
    assert_eq!(fixture.table.indexed, 28);
    fixture.check();
}

#[test]
fn the_check_sees_an_index_that_disagrees() {
    let fixture = Fixture::with_keys(scattered(20)).indexed();
    let Fixture { mut supply, mut table } = fixture;
    assert_eq!(table.inconsistency(&supply.memory), None);
    // The key is not at the position that the index has.
    let key = table.word(&supply.memory, 7, 0);
    table.set_word(&mut supply.memory, 7, 0, key ^ 0x1000);
    assert_eq!(table.inconsistency(&supply.memory), Some(7));
    table.set_word(&mut supply.memory, 7, 0, key);
    // Fewer slots than records, and more.
    table.indexed -= 1;
    assert_eq!(table.inconsistency(&supply.memory), Some(20));
    table.indexed += 2;
    assert_eq!(table.inconsistency(&supply.memory), Some(20));
    table.indexed -= 1;
    // As many slots as records, but more than there are.
    table.length -= 1;
    assert_eq!(table.inconsistency(&supply.memory), Some(19));
}

#[test]
fn sizes_out_of_range_are_refused() {
    let mut fixture = Fixture::with_keys([]);
    assert!(!fixture.table.reserve(&mut fixture.supply, super::MOST_RECORDS + 1));
    assert!(!fixture.table.reserve(&mut fixture.supply, u32::MAX));
    assert_eq!(fixture.table.size_bytes(), 0);
}

#[test]
fn what_is_released_is_given_back() {
    let mut fixture = Fixture::with_keys(scattered(100)).indexed();
    assert_eq!(u64::from(fixture.table.size_bytes()), fixture.supply.used_bytes());
    fixture.table.release(&mut fixture.supply);
    assert_eq!((fixture.table.size_bytes(), fixture.supply.taken_bytes()), (0, 0));
    fixture.push([8, 16]);
    fixture.check();
}
