//! Each search of the metadata is compared with a search that reads a byte at a time.

use super::*;
use crate::memory::model::ModelMemory;
use crate::units::LARGEST_BLOCK_OBJECT_BYTES;
use std::vec::Vec;
use tether_model::choices::Choices;

/// A block of free granules.
fn block() -> (ModelMemory, u32) {
    let mut memory = ModelMemory::new();
    let block = memory.take_pages(1, 1).unwrap();
    memory.fill(block, BLOCK_GRANULES, 0);
    (memory, block)
}

/// An object, or free granules: the first metadata byte, how many there are, and a colour
/// or 0.
type Run = (u32, u32, u8);

/// Fills the metadata of a block up to its end: objects of either colour, with and without
/// reference bits, from one granule to many, and holes between some.
fn fill(memory: &mut ModelMemory, block: u32, choices: &mut Choices<'_>) -> Vec<Run> {
    let end = metadata_end(block);
    // No search may take the content of the first objects for metadata.
    // This looks like a start, the last granule of another, and nothing.
    memory.store_u64(end, u64::from(START) | u64::from(END) << 8);
    let mut at = first_metadata(block);
    let mut runs = Vec::new();
    while at < end {
        let most = [1, 2, 9, 40, 200, LARGEST_BLOCK_OBJECT_BYTES / GRANULE_BYTES];
        let most = most[choices.below(most.len() as u32) as usize];
        let granules = (1 + choices.below(most)).min(end - at);
        let colour = [COLOUR_A, COLOUR_A, COLOUR_B, 0][choices.below(4) as usize];
        runs.push((at, granules, colour));
        if colour != 0 {
            memory.store_u8(at, colour);
            let last = at + granules - 1;
            memory.store_u8(last, memory.load_u8(last) | END);
            if choices.below(2) == 0 {
                for byte in at..=last {
                    let bits = (choices.below(4) as u8) << REFERENCE_SHIFT;
                    memory.store_u8(byte, memory.load_u8(byte) | bits);
                }
                memory.store_u8(at, memory.load_u8(at) | TRACED);
            }
        }
        at += granules;
    }
    runs
}

#[test]
fn an_address_and_its_metadata_name_each_other() {
    for block in [0x1_0000, 0x8_0000, 0xfffe_0000] {
        for granule in METADATA_GRANULES..BLOCK_GRANULES {
            let address = block + granule * GRANULE_BYTES;
            assert_eq!(metadata_of(address), block + granule);
            assert_eq!(metadata_of(address + 7), block + granule, "the last byte of it");
            assert_eq!(granule_of(block + granule), address);
            assert_eq!(block_of(address), block);
        }
    }
}

#[test]
fn a_template_has_a_byte_for_each_granule() {
    let mut choices = Choices::seeded(1);
    for granules in 1..=TEMPLATE_GRANULES {
        assert_eq!(leaf_template(granules), template(granules, 0));
        for round in 0..40 {
            let words = granules * 2;
            let some = u64::from(choices.below(1 << words));
            let references = [0, 1, 1 << (words - 1), (1 << words) - 1, some][round % 5];
            let (mut memory, block) = block();
            let start = first_metadata(block) + choices.below(16);
            let object = template(granules, references) | u64::from(COLOUR_B);
            // The bytes before it and behind it are other objects'.
            let neighbours = [start - 1, start + granules];
            for at in neighbours {
                memory.store_u8(at, END | COLOUR_A);
            }
            store_template(&mut memory, start, granules, object);
            assert_eq!(neighbours.map(|at| memory.load_u8(at)), [END | COLOUR_A; 2]);
            for granule in 0..granules {
                let mut expected = ((references >> (granule * 2) & 3) as u8) << REFERENCE_SHIFT;
                let is_last = granule + 1 == granules;
                let here = references >> (granule * 2);
                let ends_here = !is_last && (1..4).contains(&here);
                expected |= if ends_here { LAST_REFERENCES } else { 0 };
                if granule == 0 {
                    let is_traced = references != 0 && !ends_here;
                    expected |= COLOUR_B | if is_traced { TRACED } else { 0 };
                }
                expected |= if is_last { END } else { 0 };
                assert_eq!(memory.load_u8(start + granule), expected, "{granules} {references:b}");
            }
            assert_eq!(template_references(object), references);
            assert_eq!(object_size(&memory, start), granules * GRANULE_BYTES);
        }
    }
}

#[test]
fn a_leaf_has_a_first_and_a_last_byte() {
    for granules in 1..=30 {
        let (mut memory, block) = block();
        let start = first_metadata(block) + granules;
        store_leaf(&mut memory, start, granules * GRANULE_BYTES, COLOUR_A);
        for at in first_metadata(block)..first_metadata(block) + 100 {
            let first = if at == start { COLOUR_A } else { 0 };
            let last = if at == start + granules - 1 { END } else { 0 };
            assert_eq!(memory.load_u8(at), first | last);
        }
    }
}

#[test]
fn searches_find_what_is_there_byte_by_byte() {
    let mut choices = Choices::seeded(7);
    for _ in 0..if cfg!(miri) { 1 } else { 30 } {
        let (mut memory, block) = block();
        let runs = fill(&mut memory, block, &mut choices);
        let (first, end) = (first_metadata(block), metadata_end(block));
        let has = |at: u32, bits: u8| memory.load_u8(at) & bits != 0;
        for _ in 0..if cfg!(miri) { 20 } else { 1_000 } {
            let from = first + choices.below(end - first);
            // Sometimes a byte that is near, and the end itself.
            let to = match choices.below(3) {
                0 => end,
                1 => (from + choices.below(20)).min(end),
                _ => from + choices.below(end - from),
            };
            let bits = [COLOUR_A, COLOUR_B, START, END][choices.below(4) as usize];
            let expected = (from..to).find(|&at| has(at, bits)).unwrap_or(to);
            assert_eq!(find(&memory, from, to, bits), expected, "{from:#x}..{to:#x} {bits:#b}");
            assert_eq!(
                find_back(&memory, first, from, bits),
                (first..=from).rev().find(|&at| has(at, bits)),
                "{from:#x} {bits:#b}"
            );
        }
        for (index, &(start, granules, colour)) in runs.iter().enumerate() {
            if colour == 0 {
                for at in [start, start + granules - 1] {
                    assert_eq!(start_of(&memory, at), None, "{at:#x}");
                }
                continue;
            }
            assert_eq!(object_size(&memory, start), granules * GRANULE_BYTES);
            for at in [start, start + granules / 2, start + granules - 1] {
                assert_eq!(start_of(&memory, at), Some(start), "{at:#x}");
            }
            let same = runs[index..].iter().take_while(|run| run.2 == colour);
            let run_end = same.map(|run| run.0 + run.1).last().unwrap();
            assert_eq!(end_of_run(&memory, start, end, colour), run_end, "{start:#x}");
        }
        for at in [block, block + 1, first - 1] {
            assert_eq!(start_of(&memory, at), None, "a granule of metadata");
        }
    }
}

#[test]
fn an_object_has_the_words_up_to_its_end_and_no_others() {
    let (mut memory, block) = block();
    let first = first_metadata(block);
    let end = metadata_end(block);
    for granules in 1..=12 {
        // In the middle of a block, where another object follows, and at its end.
        for start in [first + 5, end - granules] {
            memory.fill(first, end - first, COLOUR_A | END);
            memory.fill(start, granules, 0);
            memory.store_u8(start, COLOUR_B);
            let last = start + granules - 1;
            let byte = memory.load_u8(last);
            memory.store_u8(last, byte | END);
            for index in 0..40 {
                let has = index < granules * GRANULE_WORDS && index < 16;
                assert_eq!(has_word(&memory, start, index), has, "{index} of {granules} granules");
            }
        }
    }
}
