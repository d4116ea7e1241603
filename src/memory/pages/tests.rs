//! The set of free pages is compared with a set that is searched page by page.

use super::{ALL_PAGES, FreePages};
use std::collections::BTreeSet;

/// Returns the first run of `pages` pages.
fn first_run(free: &BTreeSet<u32>, pages: u32) -> Option<u32> {
    free.iter().copied().find(|&first| (first..first + pages).all(|page| free.contains(&page)))
}

#[test]
fn the_lowest_run_is_taken_wherever_it_lies_in_the_words() {
    let rounds = if cfg!(miri) { 100 } else { 20_000 };
    let mut state = 1_u32;
    let mut number = |below: u32| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % below
    };
    let (mut pages, mut model) = (FreePages::new(), BTreeSet::new());
    // The pages are at both ends of the address space.
    for bound in [200, ALL_PAGES - 1] {
        for _ in 0..rounds {
            let count = 1 + number(70);
            let first = bound - 200 + 1 + number(200 - 1);
            let all_taken = (first..first + count).all(|page| !model.contains(&page));
            if number(2) == 0 && all_taken && first + count <= bound {
                pages.give(first, count);
                model.extend(first..first + count);
            } else {
                let most = if number(2) == 0 { 3 } else { 70 };
                let count = 1 + number(most);
                let expected = first_run(&model, count);
                assert_eq!(pages.take(count), expected, "{count} pages");
                if let Some(first) = expected {
                    model.retain(|page| !(first..first + count).contains(page));
                }
            }
            assert_eq!(pages.count(), model.len() as u32);
            let end = first + count.min(bound - first);
            let below = (1..end).take_while(|below| model.contains(&(end - below))).count() as u32;
            assert_eq!(pages.count_below(end, 100), below.min(100));
        }
    }
}
