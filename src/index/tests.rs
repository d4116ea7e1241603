//! The index by itself: how far a search looks, and how full the index may be.

use super::Index;
use crate::memory::model::ModelMemory;
use crate::memory::supply::Supply;
use crate::units::WORD_BYTES;

struct Fixture {
    supply: Supply<ModelMemory>,
    index: Index,
}

impl Fixture {
    fn with_room_for(entries: u32) -> Self {
        let mut supply = Supply::new(ModelMemory::new());
        let mut index = Index::new();
        assert!(index.enlarge(&mut supply, entries));
        Fixture { supply, index }
    }

    /// Inserts records at positions from 0 on. The key of each is `key` of its position.
    fn fill(&mut self, entries: u32, key: impl Fn(u32) -> u32) {
        for position in 0..entries {
            self.index.insert(&mut self.supply.memory, key(position), position);
        }
    }

    /// Returns how many slots are looked at to find each record once.
    fn steps(&self, key: impl Fn(u32) -> u32) -> u64 {
        let Fixture { supply, index } = self;
        let mask = index.count() - 1;
        (0..index.count())
            .filter_map(|slot| {
                let position = index.slot(&supply.memory, slot).checked_sub(1)?;
                let home = index.home(key(position));
                Some(u64::from(1 + (slot.wrapping_sub(home) & mask)))
            })
            .sum()
    }
}

/// With Fibonacci hashing the 20,000 addresses of objects of 24,000 bytes clustered, so that a
/// look-up took eight times as long as for other sizes. The model does not look at time.
#[test]
#[cfg_attr(miri, ignore = "makes a hundred large tables")]
fn keys_of_any_stride_are_found_in_few_steps() {
    const KEYS: u32 = 20_000;
    let powers = (3..=20).map(|shift| 1 << shift);
    let sums = (3..20).map(|shift| (1 << shift) + 8);
    let sizes = [10_000, 23_992, 24_000, 24_008, 60_016, 65_552, 100_000];
    for stride in powers.chain(sums).chain(sizes) {
        // No more records than there are addresses.
        let count = KEYS.min(u32::MAX / stride - 1);
        let key = |position: u32| (position + 1) * stride;
        let mut fixture = Fixture::with_room_for(count);
        fixture.fill(count, key);
        let steps = fixture.steps(key);
        // At a load of two thirds, random keys take two steps [knuth3 §6.4].
        assert!(steps <= 2 * u64::from(count), "stride {stride}: {steps} steps for {count}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "a large table")]
fn without_memory_for_more_slots_seven_eighths_are_used() {
    let mut fixture = Fixture::with_room_for(8_192);
    let slots = fixture.index.size_bytes() / WORD_BYTES;
    assert_eq!((slots, fixture.index.capacity()), (16_384, 14_336));
    fixture.supply.set_limit(0);
    assert!(!fixture.index.enlarge(&mut fixture.supply, 8_193));
    let key = |position: u32| position.wrapping_mul(24) + 8;
    let room = fixture.index.capacity();
    fixture.fill(room, key);
    assert_eq!(fixture.index.used(&fixture.supply.memory), room);
    assert!(fixture.steps(key) <= 6 * u64::from(room), "{}", fixture.steps(key));
}

#[test]
fn what_would_be_mostly_empty_is_given_back() {
    let mut fixture = Fixture::with_room_for(1_000);
    fixture.fill(1_000, |position| position * 8);
    // 513 entries would use a quarter of 2,048 slots.
    fixture.index.clear_and_shrink(&mut fixture.supply, 257);
    assert_eq!(fixture.index.size_bytes(), 2_048 * WORD_BYTES);
    fixture.index.clear_and_shrink(&mut fixture.supply, 256);
    assert_eq!(fixture.index.size_bytes(), 512 * WORD_BYTES);
    assert_eq!(fixture.index.used(&fixture.supply.memory), 0);
    assert_eq!(fixture.supply.used_bytes(), 2_048);
    fixture.fill(256, |position| position * 8);
    let found = fixture.index.find(&fixture.supply.memory, 800, |position| position == 100);
    assert_eq!(found, Some(100));
    fixture.index.release(&mut fixture.supply);
    assert_eq!(fixture.supply.used_bytes(), 0);
}
