//! W3: a long live list, then short-lived nodes.

use crate::bindings::tether::gc::heap::{self, Words};
use crate::bindings::tether::gc::roots;
use crate::trees::must;

/// The words of a node: the next node, one unused, and a value of two.
const NEXT: u32 = 0;
const VALUE: u32 = 2;

/// The workload. A value is below 2^32, and its upper word stays 0.
pub fn run(millions: u32) -> i64 {
    let link = must(heap::define_layout(
        Words { count: 4, references: 0b1 },
        Words { count: 0, references: 0 },
    ));
    let mut head = 0;
    must(roots::push(head));
    for value in 0..millions * 50_000 {
        let node = must(heap::allocate(link, 0));
        must(heap::set(node, VALUE, value));
        must(heap::set(node, NEXT, head));
        head = node;
        must(roots::set(0, head));
    }
    let mut sum = 0;
    for value in 0..millions * 1_000_000 {
        let dead = must(heap::allocate(link, 0));
        must(heap::set(dead, VALUE, value));
        sum += i64::from(must(heap::get(dead, VALUE)));
    }
    while head != 0 {
        sum += i64::from(must(heap::get(head, VALUE)));
        head = must(heap::get(head, NEXT));
    }
    must(roots::pop());
    sum
}
