//! W1: binary trees, as in the Benchmarks Game.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::bindings::tether::gc::heap::{self, Words};
use crate::bindings::tether::gc::roots;
use crate::bindings::tether::gc::types::Error;

const MIN_DEPTH: u32 = 4;

/// How trees are made and counted.
pub trait Door {
    /// A new tree, rooted by nothing.
    fn make(&mut self, depth: u32) -> u32;
    /// How many nodes a tree has. Collects nothing.
    fn count(&mut self, tree: u32) -> u32;
}

/// The workload.
pub fn run(max_depth: u32, mut door: impl Door) -> i64 {
    let stretch = door.make(max_depth + 1);
    let mut sum = i64::from(door.count(stretch));
    let long_lived = door.make(max_depth);
    must(roots::push(long_lived));
    for depth in (MIN_DEPTH..=max_depth).step_by(2) {
        for _ in 0..1 << (max_depth - depth + MIN_DEPTH) {
            let tree = door.make(depth);
            sum += i64::from(depth) * i64::from(door.count(tree));
        }
    }
    let long_lived = must(roots::pop());
    sum + i64::from(door.count(long_lived))
}

/// A call for each operation.
pub struct Calls {
    pair: u32,
}

impl Calls {
    /// Defines the layout.
    pub fn new() -> Self {
        Calls { pair: define_pair() }
    }
}

impl Door for Calls {
    fn make(&mut self, depth: u32) -> u32 {
        if depth == 0 {
            return must(heap::allocate(self.pair, 0));
        }
        must(roots::push(self.make(depth - 1)));
        must(roots::push(self.make(depth - 1)));
        let node = must(heap::allocate(self.pair, 0));
        must(heap::set(node, 1, must(roots::pop())));
        must(heap::set(node, 0, must(roots::pop())));
        node
    }

    fn count(&mut self, tree: u32) -> u32 {
        match must(heap::get(tree, 0)) {
            0 => 1,
            left => 1 + self.count(left) + self.count(must(heap::get(tree, 1))),
        }
    }
}

/// `build` and `read-objects`, with some thousand words at a time.
pub struct Batches {
    program: Box<[u32; PROGRAM_WORDS + LEAF_WORDS]>,
    length: usize,
    /// The instruction that makes a node.
    node: u32,
    /// Objects still to be read.
    waiting: Vec<u32>,
}

const OBJECT: u32 = 1;
const PUSH: u32 = 2;
const PROGRAM_WORDS: usize = 4096;
/// Two nulls pushed, and the node.
const LEAF_WORDS: usize = 6;
const READ_OBJECTS: usize = 512;
/// An object's size and its two words.
const WORDS_EACH: usize = 3;

impl Batches {
    /// Defines the layout.
    pub fn new() -> Self {
        Batches {
            program: Box::new([0; PROGRAM_WORDS + LEAF_WORDS]),
            length: 0,
            node: define_pair() << 8 | OBJECT,
            waiting: Vec::with_capacity(64 * READ_OBJECTS),
        }
    }

    /// Appends the program that makes a tree, running what is there when it is long.
    fn emit(&mut self, depth: u32) {
        if depth == 0 {
            self.append([PUSH, 0, PUSH, 0, self.node, 0]);
        } else {
            self.emit(depth - 1);
            self.emit(depth - 1);
            self.append([self.node, 0]);
        }
    }

    fn append<const N: usize>(&mut self, words: [u32; N]) {
        if self.length >= PROGRAM_WORDS {
            self.build();
        }
        self.program[self.length..][..N].copy_from_slice(&words);
        self.length += N;
    }

    /// Runs the program and empties it.
    fn build(&mut self) {
        if heap::build(&self.program[..self.length]).is_err() {
            core::arch::wasm32::unreachable()
        }
        self.length = 0;
    }
}

impl Door for Batches {
    fn make(&mut self, depth: u32) -> u32 {
        self.emit(depth);
        self.build();
        must(roots::pop())
    }

    fn count(&mut self, tree: u32) -> u32 {
        self.waiting.push(tree);
        let mut count = 0;
        while !self.waiting.is_empty() {
            let first = self.waiting.len().saturating_sub(READ_OBJECTS);
            let batch = &self.waiting[first..];
            let nodes = batch.len();
            let words = must(heap::read_objects(batch, (nodes * WORDS_EACH) as u32));
            count += nodes as u32;
            // Children take their parents' place.
            self.waiting.resize(first + 2 * nodes, 0);
            let mut next = first;
            for node in words.chunks_exact(WORDS_EACH) {
                for &child in &node[1..] {
                    self.waiting[next] = child;
                    next += usize::from(child != 0);
                }
            }
            self.waiting.truncate(next);
        }
        count
    }
}

fn define_pair() -> u32 {
    must(heap::define_layout(
        Words { count: 2, references: 0b11 },
        Words { count: 0, references: 0 },
    ))
}

/// What cannot fail here.
pub fn must<T>(result: Result<T, Error>) -> T {
    match result {
        Ok(value) => value,
        Err(_) => core::arch::wasm32::unreachable(),
    }
}
