//! W1: binary trees, as in the Benchmarks Game.

use alloc::boxed::Box;

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

/// Makes and counts trees with a call for each operation.
pub struct Calls {
    layout: u32,
}

impl Calls {
    /// Defines a layout of two references.
    pub fn new() -> Self {
        Self::of(define_pair())
    }

    /// With nodes of a layout whose first two words are references.
    pub fn of(layout: u32) -> Self {
        Calls { layout }
    }
}

impl Door for Calls {
    fn make(&mut self, depth: u32) -> u32 {
        if depth == 0 {
            return must(heap::allocate(self.layout, 0));
        }
        must(roots::push(self.make(depth - 1)));
        must(roots::push(self.make(depth - 1)));
        let node = must(heap::allocate(self.layout, 0));
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

/// Makes and counts trees with `build` and `read-objects`, some thousand words at a time.
pub struct Batches {
    program: Box<[u32; PROGRAM_WORDS + MOST_WORDS]>,
    length: usize,
    /// The instructions that make a leaf, and a node of two that are on the stack.
    leaf: u32,
    node: u32,
    /// Objects still to be read: of a tree of depth 32 and less they are so many at most.
    waiting: Box<[u32; 64 * READ_OBJECTS]>,
}

const OBJECT: u32 = 1;
const NEW: u32 = 4;
const PROGRAM_WORDS: usize = 4096;
/// The most words that are appended at once.
const MOST_WORDS: usize = 6;
const READ_OBJECTS: usize = 512;
/// An object's size and its two words.
const WORDS_EACH: usize = 3;

impl Batches {
    /// Defines the layout.
    pub fn new() -> Self {
        let pair = define_pair();
        Batches {
            program: Box::new([0; PROGRAM_WORDS + MOST_WORDS]),
            length: 0,
            leaf: pair << 8 | NEW,
            node: pair << 8 | OBJECT,
            waiting: Box::new([0; 64 * READ_OBJECTS]),
        }
    }

    /// Appends the program that makes a tree. Runs the program so far when it is long.
    fn emit(&mut self, depth: u32) {
        match depth {
            0 => self.append([self.leaf, 0]),
            1 => self.append([self.leaf, 0, self.leaf, 0, self.node, 0]),
            _ => {
                self.emit(depth - 1);
                self.emit(depth - 1);
                self.append([self.node, 0]);
            }
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
        self.waiting[0] = tree;
        let (mut length, mut count) = (1_usize, 0);
        while length > 0 {
            let first = length.saturating_sub(READ_OBJECTS);
            let batch = &self.waiting[first..length];
            let words = must(heap::read_objects(batch, (batch.len() * WORDS_EACH) as u32));
            count += batch.len() as u32;
            // Children take their parents' place.
            length = first;
            for node in words.chunks_exact(WORDS_EACH) {
                for &child in &node[1..] {
                    self.waiting[length] = child;
                    length += usize::from(child != 0);
                }
            }
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

/// The value of an operation that cannot fail here.
pub fn must<T>(result: Result<T, Error>) -> T {
    match result {
        Ok(value) => value,
        Err(_) => core::arch::wasm32::unreachable(),
    }
}
