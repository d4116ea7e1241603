//! Marking with a stack that is too small: in these tests it begins with room for 64 objects, and
//! mostly may not grow.

use std::vec;
use std::vec::Vec;

use super::{LEAST_STACK_BYTES, MarkStack};
use crate::layout::{CONSERVATIVE, LEAF, LayoutId, Words};
use crate::memory::model::ModelMemory;
use crate::memory::supply::Supply;
use crate::units::{Reference, WORD_BYTES};
use crate::{Heap, Options, Sizing};
use tether_model::choices::Choices;

const LEAST_WORDS: u32 = LEAST_STACK_BYTES / WORD_BYTES;
// A larger stack would have room for the objects that these tests make.
const _: () = assert!(LEAST_WORDS <= 64);

#[test]
fn the_stack_grows_and_goes_back_to_its_least_size() {
    let mut supply = Supply::new(ModelMemory::new());
    let mut stack = MarkStack::new();
    assert!(stack.take_memory(&mut supply));
    assert_eq!(stack.size_bytes(), LEAST_STACK_BYTES);
    assert!(stack.has_room(LEAST_WORDS) && !stack.has_room(LEAST_WORDS + 1));
    for index in 0..LEAST_WORDS {
        stack.set_word(&mut supply.memory, index, 1_000 + index);
    }
    stack.length = LEAST_WORDS;
    assert!(stack.has_room(0) && !stack.has_room(1));
    // If memory refuses it, the stack stays as it is.
    supply.use_up(&[]);
    supply.memory.set_exhausted(true);
    assert!(!stack.make_room(&mut supply, 1));
    assert_eq!(stack.size_bytes(), LEAST_STACK_BYTES);
    supply.memory.set_exhausted(false);
    // The stack doubles. If that is not enough, an eighth is added to the need.
    assert!(stack.make_room(&mut supply, 1) && stack.has_room(1));
    stack.length = 800;
    assert!(stack.make_room(&mut supply, 2));
    assert_eq!(stack.size_bytes(), (800 + 100 + 2) * WORD_BYTES);
    for index in 0..LEAST_WORDS {
        assert_eq!(stack.word(&supply.memory, index), 1_000 + index);
    }
    let used = supply.used_bytes();
    stack.shrink_to_least(&mut supply);
    assert_eq!(stack.size_bytes(), LEAST_STACK_BYTES);
    let given = u64::from((800 + 100 + 2) * WORD_BYTES - LEAST_STACK_BYTES);
    assert_eq!(supply.used_bytes(), used - given);
    // A stack of the least size stays as it is.
    let address = stack.words.address;
    stack.shrink_to_least(&mut supply);
    assert_eq!(stack.words.address, address);
}

/// Objects of every kind that marking treats in its own way, and the objects that they refer to.
struct Graph {
    heap: Heap<ModelMemory>,
    objects: Vec<Reference>,
    edges: Vec<Vec<usize>>,
}

impl Graph {
    /// Makes `count` objects, with references between them at random.
    fn new(count: u32, seed: u64) -> Graph {
        // The only collections are those that a test asks for.
        let sizing = Sizing::Fixed { budget_bytes: u32::MAX };
        let options = Options { root_capacity: 100, sizing, ..Options::DEFAULT };
        let mut heap = Heap::new(ModelMemory::new(), options).unwrap();
        let mut define = |fixed, element| heap.define_layout(fixed, element).unwrap();
        let node = define(Words::new(2, 0b11), Words::NONE);
        let tagged = define(Words::new(3, 0b101), Words::NONE);
        let wide = define(Words::new(40, u64::MAX), Words::NONE);
        let array = define(Words::new(1, 0), Words::new(1, 1));
        let entries = define(Words::new(3, 0b010), Words::new(3, 0b011));
        let record = define(Words::new(12, 0b10), Words::NONE);
        let tail = define(Words::new(10, 0b1_0100), Words::NONE);
        let string = define(Words::new(2, 0b01), Words::new(1, 0));
        let buffer = define(Words::new(7, 0b1001), Words::new(2, 0));
        // Layout, length, words, and which of them are references.
        type Kind = (LayoutId, u32, u32, fn(u32) -> bool);
        let kinds: [Kind; 16] = [
            (LEAF, 8, 2, |_| false),
            (node, 0, 2, |_| true),
            (node, 0, 2, |_| true),
            (tagged, 0, 3, |word| word != 1),
            (wide, 0, 40, |_| true),
            (array, 99, 100, |word| word > 0),
            (CONSERVATIVE, 400, 100, |_| true),
            (array, 3_000, 3_001, |word| word > 0),
            (entries, 1_000, 3_003, |word| if word < 3 { word == 1 } else { word % 3 < 2 }),
            (CONSERVATIVE, 12_000, 3_000, |_| true),
            (record, 0, 12, |word| word == 1),
            (tail, 0, 10, |word| word == 2 || word == 4),
            (string, 99, 101, |word| word == 0),
            (string, 3_000, 3_002, |word| word == 0),
            (buffer, 1_500, 3_007, |word| word == 0 || word == 3),
            (LEAF, 12_000, 3_000, |_| false),
        ];
        let mut choices = Choices::seeded(seed);
        let mut graph = Graph { heap, objects: Vec::new(), edges: Vec::new() };
        let mut slots = Vec::new();
        for _ in 0..count {
            let kind = kinds[choices.below(kinds.len() as u32) as usize];
            let object = graph.heap.allocate(kind.0, kind.1).unwrap();
            graph.objects.push(object);
            slots.push(kind);
        }
        for (from, &(_, _, words, is_reference)) in slots.iter().enumerate() {
            let mut edges = Vec::new();
            // The first and the last, and a few between them.
            let few = (0..12).map(|_| choices.below(words));
            let mut at: Vec<u32> = [0, 1, words - 2, words - 1].into_iter().chain(few).collect();
            at.sort_unstable();
            at.dedup();
            for word in at {
                let to = choices.below(count) as usize;
                let value = graph.objects[to];
                // A word that is not a reference has a number that looks like one.
                graph.heap.set(graph.objects[from], word, value).unwrap();
                if is_reference(word) {
                    edges.push(to);
                }
            }
            graph.edges.push(edges);
        }
        assert_eq!(graph.heap.statistics().collections, 0);
        graph
    }

    /// Collects while no memory can be had, and checks that exactly the objects live that the roots
    /// reach.
    fn check(&mut self, roots: &[usize]) {
        for &root in roots {
            self.heap.push(self.objects[root]).unwrap();
        }
        let mut is_reached = vec![false; self.objects.len()];
        let mut left = roots.to_vec();
        while let Some(at) = left.pop() {
            if !is_reached[at] {
                is_reached[at] = true;
                left.extend(&self.edges[at]);
            }
        }
        self.heap.memory_mut().set_exhausted(true);
        self.heap.collect().unwrap();
        self.heap.memory_mut().set_exhausted(false);
        for (at, &object) in self.objects.iter().enumerate() {
            assert_eq!(self.heap.is_object(object), is_reached[at], "object {at}, roots {roots:?}");
        }
        assert_eq!(self.heap.verify(), None);
    }
}

#[test]
#[cfg_attr(miri, ignore = "a hundred thousand references")]
fn what_is_reached_lives_however_small_the_stack_is() {
    for seed in 0..30 {
        let mut graph = Graph::new(300, seed);
        // Three roots reach nearly all objects; then one root is left, and then none.
        graph.check(&[0, 1, 2]);
        graph.heap.truncate(0).unwrap();
        let next = (3..graph.objects.len()).find(|&at| graph.heap.is_object(graph.objects[at]));
        graph.check(next.as_slice());
        graph.heap.truncate(0).unwrap();
        graph.check(&[]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "a hundred thousand references")]
fn large_objects_that_hold_each_other_are_traced_to_their_ends() {
    const DEPTH: usize = 50;
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    let array = heap.define_layout(Words::NONE, Words::new(1, 1)).unwrap();
    let pair = heap.define_layout(Words::new(2, 0b11), Words::NONE).unwrap();
    // Each object has the next one in its middle, and an object of its own at either end.
    let arrays: Vec<_> = (0..DEPTH).map(|_| heap.allocate(array, 2_100).unwrap()).collect();
    heap.push(arrays[0]).unwrap();
    let mut held = Vec::new();
    for (index, &object) in arrays.iter().enumerate() {
        heap.set(object, 1_000, arrays.get(index + 1).copied().unwrap_or(arrays[0])).unwrap();
        for word in [0, 999, 1_001, 2_099] {
            let leaf = heap.allocate(LEAF, 8).unwrap();
            let holder = heap.create(pair, 0, &[leaf, arrays[DEPTH - 1 - index]]).unwrap();
            heap.set(object, word, holder).unwrap();
            held.extend([leaf, holder]);
        }
    }
    assert_eq!(heap.statistics().collections, 0);
    for exhausted in [true, false] {
        heap.memory_mut().set_exhausted(exhausted);
        heap.collect().unwrap();
        assert!(held.iter().chain(&arrays).all(|&object| heap.is_object(object)));
        assert_eq!(heap.verify(), None);
    }
}

#[test]
#[cfg_attr(miri, ignore = "a hundred thousand references")]
fn large_objects_that_do_not_fit_on_the_stack_are_found_again() {
    const COUNT: u32 = LEAST_WORDS / 2 + 8;
    let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT).unwrap();
    let wide = heap.define_layout(Words::new(COUNT, u64::MAX), Words::NONE).unwrap();
    let array = heap.define_layout(Words::NONE, Words::new(1, 1)).unwrap();
    let root = heap.allocate(wide, 0).unwrap();
    heap.push(root).unwrap();
    // Each takes two words of the stack, so the last eight have no room.
    let mut held = Vec::new();
    for index in 0..COUNT {
        let large = heap.allocate(array, 2_100).unwrap();
        let leaf = heap.allocate(LEAF, 8).unwrap();
        heap.set(large, index, leaf).unwrap();
        heap.set(root, index, large).unwrap();
        held.extend([large, leaf]);
    }
    assert_eq!(heap.statistics().collections, 0);
    heap.memory_mut().set_exhausted(true);
    heap.collect().unwrap();
    assert!(held.iter().all(|&object| heap.is_object(object)));
    assert_eq!(heap.verify(), None);
}
