//! W2: GCBench, by Ellis, Kovac and Boehm.

use crate::bindings::tether::gc::heap::{self, Words};
use crate::bindings::tether::gc::roots;
use crate::trees::{Calls, Door, must};

const MIN_DEPTH: u32 = 4;

/// The layout 0 is a leaf.
const LEAF: u32 = 0;

const ARRAY_DOUBLES: usize = 500_000;
const DOUBLE_BYTES: usize = 8;
/// The doubles that are written with one call.
const CHUNK_DOUBLES: usize = 500;

/// The workload.
pub fn run(stretch_depth: u32) -> i64 {
    let node = must(heap::define_layout(
        Words { count: 4, references: 0b11 },
        Words { count: 0, references: 0 },
    ));
    let mut bottom_up = Calls::of(node);
    let long_lived_depth = stretch_depth - 2;
    bottom_up.make(stretch_depth);
    let long_lived = must(heap::allocate(node, 0));
    must(roots::push(long_lived));
    populate(node, long_lived_depth, long_lived);
    let array = must(heap::allocate(LEAF, (ARRAY_DOUBLES * DOUBLE_BYTES) as u32));
    must(roots::push(array));
    fill(array);
    let mut sum = 0;
    for depth in (MIN_DEPTH..=long_lived_depth).step_by(2) {
        let iterations = 2 * nodes_of(stretch_depth) / nodes_of(depth);
        for _ in 0..iterations {
            let root = must(heap::allocate(node, 0));
            // Live across `populate`, which it is given, and which roots it.
            populate(node, depth, root);
            sum += has_grandchild(root);
        }
        for _ in 0..iterations {
            let root = bottom_up.make(depth);
            sum += has_grandchild(root);
        }
    }
    sum += i64::from(count(long_lived));
    let thousandth = must(heap::read_bytes(array, 999 * DOUBLE_BYTES as u32, DOUBLE_BYTES as u32));
    let thousandth = f64::from_le_bytes(must_be_double(&thousandth));
    must(roots::pop());
    must(roots::pop());
    sum + (1000.0 / thousandth) as i64
}

fn nodes_of(depth: u32) -> u32 {
    (1 << (depth + 1)) - 1
}

/// Makes a tree under `parent`, top-down.
fn populate(node: u32, depth: u32, parent: u32) {
    if depth == 0 {
        return;
    }
    must(roots::push(parent));
    let left = must(heap::allocate(node, 0));
    must(heap::set(parent, 0, left));
    let right = must(heap::allocate(node, 0));
    must(heap::set(parent, 1, right));
    populate(node, depth - 1, left);
    populate(node, depth - 1, right);
    must(roots::pop());
}

/// 1 if the root's left child has a right one, otherwise 0.
fn has_grandchild(root: u32) -> i64 {
    let left = must(heap::get(root, 0));
    i64::from(must(heap::get(left, 1)) != 0)
}

fn count(node: u32) -> u32 {
    match node {
        0 => 0,
        _ => 1 + count(must(heap::get(node, 0))) + count(must(heap::get(node, 1))),
    }
}

/// The reciprocals of 1 and so on, in the first half.
fn fill(array: u32) {
    let mut bytes = [0; CHUNK_DOUBLES * DOUBLE_BYTES];
    for chunk in 0..ARRAY_DOUBLES / CHUNK_DOUBLES {
        let first = chunk * CHUNK_DOUBLES;
        for (place, double) in bytes.chunks_exact_mut(DOUBLE_BYTES).enumerate() {
            let index = first + place;
            let value = if index < ARRAY_DOUBLES / 2 { 1.0 / (index + 1) as f64 } else { 0.0 };
            double.copy_from_slice(&value.to_le_bytes());
        }
        must(heap::write_bytes(array, (first * DOUBLE_BYTES) as u32, &bytes));
    }
}

fn must_be_double(bytes: &[u8]) -> [u8; DOUBLE_BYTES] {
    match bytes.try_into() {
        Ok(double) => double,
        Err(_) => core::arch::wasm32::unreachable(),
    }
}
