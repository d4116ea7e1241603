//! Random programs against the model (`fuzz/model`). After every operation the facts agree that are
//! cheap to look up, and after every collection everything does. `cargo xtask soak` runs more such
//! programs, `cargo xtask fuzz` those that a fuzzer makes.

use std::env;
use std::ops::Range;

use tether_gc::memory::model::ModelMemory;
use tether_gc::{Options, Sizing, StressModes};
use tether_model::choices::Choices;
use tether_model::faults;
use tether_model::limits;
use tether_model::run::{Setup, run_bytes, run_seed, run_setup};
use tether_model::subject::Native;

/// Whether programs are short: under Miri, which is thousands of times as slow.
const SMALL: bool = cfg!(miri);

/// The seeds of `programs` programs; of a tenth as many if each of many mutants is to be tested.
fn seeds(programs: u64) -> Range<u64> {
    let share = if env::var_os("TETHER_FEW_PROGRAMS").is_some() { 10 } else { 1 };
    0..(programs / share).max(1)
}

#[test]
fn random_programs_agree_with_the_model() {
    let (seeds, steps) = if SMALL { (0..1, 40) } else { (seeds(150), 2_000) };
    let least = if SMALL { 0 } else { 20 * (seeds.end - seeds.start) };
    let collections: u64 = seeds.map(|seed| run_seed(seed, steps).collections).sum();
    assert!(collections > least, "{collections} collections");
}

#[test]
fn random_programs_agree_when_every_operation_collects() {
    let options = Options { stress: 1, root_capacity: 300, ..Options::DEFAULT };
    let setup = Setup {
        options,
        modes: StressModes::NONE,
        most_pages: 4_000,
        gap_pages: 1,
        refuses: false,
        is_heavy: false,
        may_dangle: false,
        is_high: false,
    };
    let (seeds, steps) = if SMALL { (0..1, 15) } else { (seeds(20), 1_000) };
    for seed in seeds {
        let counts = run_setup(&setup, Choices::seeded(seed), steps);
        assert!(counts.collections > u64::from(steps) / 4, "{}", counts.collections);
    }
}

#[test]
fn programs_made_of_bytes_agree_with_the_model() {
    for seed in if SMALL { 0..1 } else { seeds(100) } {
        let mut choices = Choices::seeded(seed);
        let bytes: Vec<u8> =
            (0..if SMALL { 100 } else { 4_096 }).map(|_| choices.below(256) as u8).collect();
        run_bytes(&bytes);
    }
    // The bytes are cut off anywhere, even at the start.
    for length in 0..if SMALL { 3 } else { 64 } {
        run_bytes(&vec![0xff; length]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "a program that fills megabytes, once for each growth")]
fn every_growth_in_turn_is_refused() {
    let refusals = faults::refuse_each_growth(1, 5_000, 1, faults::native);
    assert!(refusals.growths > 15, "{} growths", refusals.growths);
    assert!(refusals.not_started > 0 && refusals.not_started < refusals.runs);
}

#[test]
fn refusals_at_random_lose_nothing() {
    let options = Options {
        sizing: Sizing::Fixed { budget_bytes: 100_000 },
        wrap_capacity: 4,
        wrap_limit: 400,
        ..Options::DEFAULT
    };
    let setup = Setup {
        options,
        modes: StressModes::NONE,
        most_pages: 100,
        gap_pages: 0,
        refuses: true,
        is_heavy: !SMALL,
        may_dangle: false,
        is_high: false,
    };
    let (seeds, steps) = if SMALL { (0..1, 30) } else { (seeds(40), 2_000) };
    let mut refusals = 0;
    for seed in seeds {
        refusals += run_setup(&setup, Choices::seeded(seed), steps).refusals;
    }
    assert!(SMALL || refusals > 0, "{refusals} refusals");
}

#[test]
#[cfg_attr(miri, ignore = "compares all of memory, word by word")]
fn forged_references_are_refused_and_nothing_is_written() {
    const REFERENCES: u64 = 10_000_000;
    let named = faults::forge(7, 5_000, REFERENCES);
    assert!(named < REFERENCES / 10, "{named} of {REFERENCES} named an object");
}

#[test]
#[cfg_attr(miri, ignore = "fills a megabyte for some of them, and nests 8,000 scopes")]
fn limits_hold_exactly() {
    limits::each(|| Native::new(limits::OPTIONS, 4_000, 0).unwrap());
}

#[test]
#[cfg_attr(miri, ignore = "fills five megabytes")]
fn nothing_wraps_around_at_the_end_of_the_address_space() {
    let fresh = |pages, options| Native::over(ModelMemory::at_the_end(pages), options).unwrap();
    limits::address_space(&mut fresh(80, limits::UNLIMITED));
    assert!(limits::pins(&mut fresh(100, limits::OPTIONS)) > 0);
    assert!(limits::layouts(&mut fresh(100, limits::OPTIONS)) > 0);
}

#[test]
#[cfg_attr(miri, ignore = "two thousand steps until memory ends")]
fn random_programs_agree_at_the_end_of_the_address_space() {
    let (mut refusals, seeds) = (0, seeds(60));
    let least = 2 * (seeds.end - seeds.start);
    for seed in seeds {
        let mut choices = Choices::seeded(seed);
        let mut setup = Setup::choose(&mut choices);
        setup.is_high = true;
        setup.most_pages = 30 + choices.below(60);
        setup.is_heavy = true;
        if let Ok(counts) = std::panic::catch_unwind(|| run_setup(&setup, choices, 2_000)) {
            refusals += counts.refusals;
        } else {
            panic!("the program of seed {seed} failed with {setup:?}");
        }
    }
    assert!(refusals > least, "memory ended {refusals} times only");
}
