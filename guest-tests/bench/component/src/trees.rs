//! W1: binary trees, as in the Benchmarks Game.

use alloc::vec::Vec;
use core::cell::RefCell;

use crate::bindings::tether::gc::heap::{self, Words};
use crate::bindings::tether::gc::roots;
use crate::bindings::tether::gc::types::Error;

const MIN_DEPTH: u32 = 4;

/// How trees are made and counted.
pub trait Door {
    /// A new tree, rooted by nothing.
    fn make(&self, depth: u32) -> u32;
    /// How many nodes a tree has. Collects nothing.
    fn count(&self, tree: u32) -> u32;
}

/// The workload.
pub fn run(max_depth: u32, door: &impl Door) -> i64 {
    let mut sum = i64::from(door.count(door.make(max_depth + 1)));
    let long_lived = door.make(max_depth);
    must(roots::push(long_lived));
    for depth in (MIN_DEPTH..=max_depth).step_by(2) {
        for _ in 0..1 << (max_depth - depth + MIN_DEPTH) {
            sum += i64::from(depth) * i64::from(door.count(door.make(depth)));
        }
    }
    sum + i64::from(door.count(must(roots::pop())))
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
    fn make(&self, depth: u32) -> u32 {
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

    fn count(&self, tree: u32) -> u32 {
        match must(heap::get(tree, 0)) {
            0 => 1,
            left => 1 + self.count(left) + self.count(must(heap::get(tree, 1))),
        }
    }
}

/// `build` and `read-objects`, with some thousand words at a time.
pub struct Batches {
    pair: u32,
    program: RefCell<Vec<u32>>,
}

const OBJECT: u32 = 1;
const PUSH: u32 = 2;
const PROGRAM_WORDS: usize = 4096;
const READ_OBJECTS: usize = 512;
/// An object's size and its two words.
const WORDS_EACH: usize = 3;

impl Batches {
    /// Defines the layout.
    pub fn new() -> Self {
        Batches {
            pair: define_pair(),
            program: RefCell::new(Vec::with_capacity(PROGRAM_WORDS + 8)),
        }
    }

    /// Appends the program that makes a tree, running what is there when it is long.
    fn emit(&self, depth: u32) {
        if depth == 0 {
            self.program.borrow_mut().extend([PUSH, 0, PUSH, 0]);
        } else {
            self.emit(depth - 1);
            self.emit(depth - 1);
        }
        let mut program = self.program.borrow_mut();
        program.extend([self.pair << 8 | OBJECT, 0]);
        if program.len() >= PROGRAM_WORDS {
            build(&mut program);
        }
    }
}

impl Door for Batches {
    fn make(&self, depth: u32) -> u32 {
        self.emit(depth);
        build(&mut self.program.borrow_mut());
        must(roots::pop())
    }

    fn count(&self, tree: u32) -> u32 {
        let mut waiting = Vec::from([tree]);
        let mut count = 0;
        while !waiting.is_empty() {
            let batch = waiting.split_off(waiting.len().saturating_sub(READ_OBJECTS));
            let words = must(heap::read_objects(&batch, (batch.len() * WORDS_EACH) as u32));
            count += batch.len() as u32;
            for object in words.chunks_exact(WORDS_EACH) {
                waiting.extend(object[1..].iter().filter(|child| **child != 0));
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

/// Runs a program and empties it.
fn build(program: &mut Vec<u32>) {
    if heap::build(program).is_err() {
        core::arch::wasm32::unreachable()
    }
    program.clear();
}

/// What cannot fail here.
pub fn must<T>(result: Result<T, Error>) -> T {
    match result {
        Ok(value) => value,
        Err(_) => core::arch::wasm32::unreachable(),
    }
}
