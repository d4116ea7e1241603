//! What the tests of the crate share.

#[allow(dead_code, reason = "few test files need it")]
pub mod shared;

use tether_gc::memory::model::ModelMemory;
use tether_gc::{Handle, Heap, LayoutId, Options, Words};

/// A test's size: another under Miri, which is thousands of times as slow as a processor.
#[allow(dead_code, reason = "not every test file is too large for Miri")]
pub const fn at_size(usual: u32, under_miri: u32) -> u32 {
    if cfg!(miri) { under_miri } else { usual }
}

/// A heap over fresh memory.
#[allow(dead_code, reason = "some tests make the memory themselves")]
pub fn heap(options: Options) -> Heap<ModelMemory> {
    Heap::new(ModelMemory::new(), options).expect("there is memory for a heap")
}

/// A layout of two words, the first a reference.
#[allow(dead_code, reason = "not every test file has lists")]
pub fn node(heap: &mut Heap<ModelMemory>) -> LayoutId {
    heap.define_layout(Words::new(2, 0b01), Words::NONE).expect("there is room for a layout")
}

/// A layout of elements that are references.
#[allow(dead_code, reason = "not every test file has arrays")]
pub fn array(heap: &mut Heap<ModelMemory>) -> LayoutId {
    heap.define_layout(Words::NONE, Words::new(1, 1)).expect("there is room for a layout")
}

/// Takes every released handle out.
#[allow(dead_code, reason = "not every test file has wrappers")]
pub fn drain(heap: &mut Heap<ModelMemory>) -> Vec<Handle> {
    std::iter::from_fn(|| heap.drain_one()).collect()
}
