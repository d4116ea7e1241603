//! The shadow stack's own check finds each fault by itself.

use super::{NO_LINK, Roots};
use crate::memory::Memory;
use crate::memory::model::ModelMemory;
use crate::memory::supply::Supply;
use tether_model::choices::Choices;

const CAPACITY: u32 = 10;

/// A stack with three roots and two scopes, one of which roots two objects.
fn stack() -> (Supply<ModelMemory>, Roots) {
    let mut supply = Supply::new(ModelMemory::new());
    let mut roots = Roots::new(CAPACITY);
    assert!(roots.take_memory(&mut supply));
    let memory = &mut supply.memory;
    for _ in 0..3 {
        roots.push(memory, 8).unwrap();
    }
    roots.enter_scope(memory).unwrap();
    roots.push_scoped(memory, 16);
    roots.push_scoped(memory, 24);
    roots.enter_scope(memory).unwrap();
    assert!(roots.is_consistent(memory));
    (supply, roots)
}

/// Pushes in line and by the other way, scopes, and whatever takes roots away again: the peak is
/// the most slots that were ever in use.
#[test]
fn the_peak_is_the_most_that_was_in_use() {
    let seeds = if cfg!(miri) { 3 } else { 200 };
    for seed in 0..seeds {
        let mut supply = Supply::new(ModelMemory::new());
        let mut roots = Roots::new(CAPACITY);
        assert!(roots.take_memory(&mut supply));
        let memory = &mut supply.memory;
        let mut choices = Choices::seeded(seed);
        let mut most = 0;
        for step in 0..300 {
            match choices.below(8) {
                0..=2 if roots.pushes_in_line() => roots.push_in_line(memory, 8),
                0..=2 => drop(roots.push(memory, 8)),
                3 => drop(roots.pop(memory)),
                4 => roots.truncate(choices.below(roots.depth() + 1)).unwrap(),
                5 => drop(roots.enter_scope(memory)),
                6 => drop(roots.leave_scope(memory, 16)),
                _ if roots.scope_depth() > 0 && roots.has_room(1) => {
                    let scoped = roots.scoped();
                    roots.push_scoped(memory, 24);
                    most = most.max(roots.used());
                    if choices.below(2) == 0 {
                        roots.unroot_scoped(scoped);
                    }
                }
                _ if roots.has_room(1) => roots.replace_from(memory, roots.depth(), 32),
                _ => {}
            }
            most = most.max(roots.used());
            assert_eq!(roots.peak(), most, "seed {seed}, step {step}");
            assert!(roots.is_consistent(memory), "seed {seed}, step {step}");
        }
    }
}

#[test]
fn its_ends_are_in_bounds() {
    let (supply, mut roots) = stack();
    for wrong in [roots.low, roots.low + 1] {
        roots.top = wrong;
        assert!(!roots.is_consistent(&supply.memory));
    }
    roots.top = roots.low - 1;
    assert!(roots.is_consistent(&supply.memory), "one slot is left");
    // Without scopes nothing else fixes the low end.
    let mut empty = Roots::new(CAPACITY);
    assert!(empty.is_consistent(&supply.memory));
    empty.low += 1;
    assert!(!empty.is_consistent(&supply.memory));
}

#[test]
fn links_are_slots_of_scopes() {
    let (mut supply, mut roots) = stack();
    let link = roots.link;
    // The word there would be a link if it were in bounds.
    for wrong in [roots.low - 1, CAPACITY + 1] {
        let before = roots.slot(&supply.memory, wrong);
        roots.put(&mut supply.memory, wrong, NO_LINK << 1 | 1);
        (roots.link, roots.scope_depth) = (wrong, 1);
        assert!(!roots.is_consistent(&supply.memory), "link {wrong}");
        roots.put(&mut supply.memory, wrong, before);
    }
    (roots.link, roots.scope_depth) = (link, 2);
    assert!(roots.is_consistent(&supply.memory));
}

#[test]
fn links_are_odd_and_lead_upwards() {
    let (mut supply, mut roots) = stack();
    let (inner, outer) = (roots.link, CAPACITY);
    // The link is even, and otherwise right.
    roots.put(&mut supply.memory, outer, NO_LINK << 1);
    assert!(!roots.is_consistent(&supply.memory));
    // The two links are exchanged: they end after two steps, but lead downwards first.
    roots.link = outer;
    roots.put(&mut supply.memory, outer, inner << 1 | 1);
    roots.put(&mut supply.memory, inner, NO_LINK << 1 | 1);
    assert!(!roots.is_consistent(&supply.memory));
}

#[test]
fn there_are_as_many_links_as_scopes() {
    let (supply, mut roots) = stack();
    for wrong in [0, 1, 3] {
        roots.scope_depth = wrong;
        assert!(!roots.is_consistent(&supply.memory), "{wrong} scopes");
    }
}

#[test]
fn all_slots_in_use_are_indexes() {
    let (supply, roots) = stack();
    let memory = &supply.memory;
    let words: std::vec::Vec<u32> =
        roots.indexes().into_iter().flatten().map(|index| roots.root(memory, index)).collect();
    assert_eq!(words, [8, 8, 8, 0, 24, 16, 0], "a link is no root");
    assert_eq!((roots.used(), memory.load_u32(roots.slots.address)), (7, 8));
}
