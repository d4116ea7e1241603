//! Ranges keep their content, whatever is taken and given back in between.

use super::Extents;
use crate::memory::Memory;
use crate::memory::model::ModelMemory;
use crate::memory::supply::{Purpose, Supply};
use crate::units::BLOCK_BYTES;
use std::collections::BTreeMap;
use std::vec::Vec;

/// The distance of the words that a range is checked by; larger under Miri, which is slow.
const STEP_BYTES: usize = if cfg!(miri) { 4_096 } else { 4 };

/// A supply whose ranges can be told apart: each is filled with its own address.
struct Checked {
    supply: Supply<ModelMemory>,
    ranges: BTreeMap<u32, u32>,
}

impl Checked {
    fn over(memory: ModelMemory) -> Self {
        Checked { supply: Supply::new(memory), ranges: BTreeMap::new() }
    }

    fn take(&mut self, size_bytes: u32) -> Option<u32> {
        let address = self.supply.take_bytes(Purpose::Table, size_bytes)?;
        assert_eq!(address % 16, 0);
        for at in (address..address + (size_bytes & !3)).step_by(STEP_BYTES) {
            self.supply.memory.store_u32(at, address);
        }
        self.ranges.insert(address, size_bytes);
        Some(address)
    }

    fn is_intact(&self, address: u32) -> bool {
        let end = address + (self.ranges[&address] & !3);
        (address..end).step_by(STEP_BYTES).all(|at| self.supply.memory.load_u32(at) == address)
    }

    fn give(&mut self, address: u32) {
        assert!(self.is_intact(address), "{address:#x} was overwritten");
        let size_bytes = self.ranges.remove(&address).unwrap();
        self.supply.give_bytes(Purpose::Table, address, size_bytes);
    }

    fn shrink_to(&mut self, address: u32, less_bytes: u32) {
        let size_bytes = self.ranges.get_mut(&address).unwrap();
        self.supply.shrink_table(address, *size_bytes, less_bytes);
        *size_bytes -= less_bytes;
    }

    /// Returns the pages that are neither free nor somebody else's.
    fn taken_pages(&self) -> u32 {
        (self.supply.taken_bytes() / u64::from(BLOCK_BYTES)) as u32
    }

    fn check(&self) {
        assert_eq!(self.supply.inconsistency(), None);
        let used: u64 = self.ranges.values().map(|&size| u64::from(size)).sum();
        assert_eq!(self.supply.used_bytes(), used);
    }
}

/// Returns the numbers of xorshift.
fn numbers(mut state: u32) -> impl FnMut(u32) -> u32 {
    move |below| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % below
    }
}

#[test]
fn ranges_are_apart_and_what_is_given_back_can_all_be_had() {
    let rounds = if cfg!(miri) { 40 } else { 3_000 };
    let seeds = [(1, 0), (3, 1), (2, 0), (4, 2)];
    for (seed, gap_pages) in seeds.into_iter().take(if cfg!(miri) { 2 } else { 4 }) {
        let mut number = numbers(seed);
        let mut memory = ModelMemory::with_limit(4_000);
        memory.set_gap_pages(gap_pages);
        let mut checked = Checked::over(memory);
        let mut blocks = Vec::new();
        for _ in 0..rounds {
            match number(9) {
                0..4 => {
                    let size_bytes = match number(4) {
                        0 => number(40),
                        1 => number(9_000),
                        2 => number(100_000),
                        // Sizes at which rounding to pages matters.
                        _ => (1 + number(4)) * BLOCK_BYTES - number(64),
                    };
                    checked.take(size_bytes).expect("there is memory");
                }
                4 => blocks.push(checked.supply.take_block().expect("there is memory")),
                5 if !blocks.is_empty() => {
                    let block = blocks.swap_remove(number(blocks.len() as u32) as usize);
                    checked.supply.give_block(block);
                    checked.supply.memory.fill(block, 0, 0);
                }
                kind if !checked.ranges.is_empty() => {
                    let index = number(checked.ranges.len() as u32) as usize;
                    let (&address, &size_bytes) = checked.ranges.iter().nth(index).unwrap();
                    match kind {
                        6 => checked.shrink_to(address, number(size_bytes + 1)),
                        _ => checked.give(address),
                    }
                }
                _ => {}
            }
            assert_eq!(checked.supply.inconsistency(), None);
        }
        for block in blocks {
            checked.supply.give_block(block);
        }
        checked.check();
        for address in checked.ranges.keys().copied().collect::<Vec<u32>>() {
            checked.give(address);
            checked.check();
        }
        assert_eq!(checked.taken_pages(), 0);
        let others = 1 + checked.supply.memory.growths() as u32 * gap_pages;
        assert_eq!(checked.supply.memory.free_pages(), checked.supply.memory.pages() - others);
    }
}

/// If the rest of a page were not used, ranges of 100,000 bytes would take two pages each.
#[test]
#[cfg_attr(miri, ignore = "fills megabytes")]
fn pages_side_by_side_are_one_run() {
    let mut checked = Checked::over(ModelMemory::new());
    for _ in 0..100 {
        checked.take(100_000).unwrap();
    }
    checked.check();
    assert!(checked.taken_pages() <= 10_000_000 / BLOCK_BYTES + 3, "{}", checked.taken_pages());
    // Every other range is given back, and half of these have a whole page inside.
    let before = checked.taken_pages();
    for address in checked.ranges.keys().copied().step_by(2).collect::<Vec<u32>>() {
        checked.give(address);
    }
    checked.check();
    assert!(before - checked.taken_pages() >= 20, "{}", checked.taken_pages());
}

/// Free memory at the end used not to be joined with the pages that growth added.
#[test]
#[cfg_attr(miri, ignore = "fills megabytes")]
fn growth_adds_to_what_is_free_at_the_end() {
    let mut checked = Checked::over(ModelMemory::with_limit(101));
    let low = checked.take(39 * BLOCK_BYTES).unwrap();
    let high = checked.take(30 * BLOCK_BYTES - 16).unwrap();
    checked.give(high);
    assert!(checked.take(59 * BLOCK_BYTES).is_some());
    assert!(checked.is_intact(low));
    checked.check();
}

#[test]
fn a_limit_counts_what_lies_fallow() {
    let mut checked = Checked::over(ModelMemory::new());
    checked.supply.set_limit(u64::from(10 * BLOCK_BYTES) + 100);
    let mut ranges = Vec::new();
    for _ in 0..5 {
        ranges.push(checked.take(BLOCK_BYTES - 24).unwrap());
        checked.supply.take_block().unwrap();
    }
    assert_eq!((checked.taken_pages(), checked.take(1)), (10, None));
    for range in ranges {
        checked.give(range);
    }
    assert_eq!((checked.taken_pages(), checked.take(BLOCK_BYTES)), (5, None));
    assert_eq!(checked.supply.memory.pages(), 11);
    for _ in 0..5 {
        assert!(checked.supply.take_block().is_some());
    }
    assert_eq!(checked.supply.take_block(), None);
    assert_eq!(checked.supply.memory.pages(), 11);
    assert_eq!(checked.supply.inconsistency(), None);
}

/// No sum of sizes wraps around.
#[test]
fn sizes_that_no_memory_has_are_refused() {
    for size_bytes in u32::MAX - 70_000 - 65_536..=u32::MAX - 135_400 {
        assert!(Extents::pages_for(size_bytes).is_some());
    }
    for size_bytes in u32::MAX - 32..=u32::MAX {
        assert_eq!(Extents::pages_for(size_bytes), None);
    }
    let mut checked = Checked::over(ModelMemory::with_limit(2));
    for size_bytes in [BLOCK_BYTES, 1 << 31, u32::MAX] {
        assert_eq!(checked.take(size_bytes), None);
    }
    assert!(checked.take(BLOCK_BYTES - 24).is_some());
    checked.check();
}
