//! Every operation that may collect and has objects among its operands keeps them: when memory
//! is short, and when each operation collects.
//!
//! Nothing else refers to the objects of a case. The model found none of these losses before it knew
//! ranges and tags: its heaps were seldom short of memory at just that call.

mod common;

use common::{array, node};
use tether_gc::memory::Memory;
use tether_gc::memory::model::ModelMemory;
use tether_gc::{Heap, Options, Reference, Registration, Sizing, layout};

/// An operation that has three objects in flight: a small one, a pair that refers to another
/// small one, and a large one. It may fail for lack of memory.
type Operation = fn(&mut Heap<ModelMemory>, &Objects) -> bool;

#[derive(Clone, Copy)]
struct Objects {
    small: Reference,
    pair: Reference,
    large: Reference,
    array: u32,
    /// Memory of the program's own, with these three in its first words.
    words: u32,
}

const OPERATIONS: [(&str, Operation); 7] = [
    ("create", |heap, of| heap.create(of.array, 3, &[of.small, of.pair, of.large]).is_ok()),
    ("create a large object", |heap, of| {
        heap.create(of.array, 3_000, &[of.small, of.pair, of.large]).is_ok()
    }),
    ("build", |heap, of| {
        // push, push, push, object of three references, drop.
        let program = [2, of.small, 2, of.pair, 2, of.large, of.array << 8 | 1, 3, 1 << 8 | 3];
        heap.build(&program).is_ok()
    }),
    ("register", |heap, of| heap.register(of.large, 1, 1, 0).is_ok()),
    ("register_many", |heap, of| {
        let registration = |wrapper| Registration { wrapper, kind: 1, handle: 1, weight_bytes: 0 };
        heap.register_many(&[of.small, of.pair, of.large].map(registration)).is_ok()
    }),
    ("pin", |heap, of| heap.pin(of.pair).is_ok()),
    ("add_roots", |heap, of| heap.add_roots(of.words, of.words + 12).is_ok()),
];

/// Which of the three an operation has among its operands.
fn kept(name: &str, of: &Objects) -> Vec<Reference> {
    match name {
        "register" => vec![of.large],
        "pin" => vec![of.pair],
        _ => vec![of.small, of.pair, of.large],
    }
}

/// Makes the objects, which nothing roots.
fn objects(heap: &mut Heap<ModelMemory>, words: u32) -> Objects {
    let (node, array) = (node(heap), array(heap));
    for object in 0..3 {
        let made = match object {
            0 => heap.allocate(layout::LEAF, 8),
            1 => heap.create(node, 0, &[heap.root(0).unwrap(), 7]),
            _ => heap.allocate(layout::LEAF, 20_000),
        };
        heap.push(made.unwrap()).unwrap();
        heap.memory_mut().store_u32(words + 4 * object, made.unwrap());
    }
    let [small, pair, large] = [0, 1, 2].map(|root| heap.root(root).unwrap());
    Objects { small, pair, large, array, words }
}

fn check(heap: &mut Heap<ModelMemory>, name: &str, operation: Operation, of: &Objects) {
    let before = heap.statistics().collections;
    heap.truncate(0).unwrap();
    let done = operation(heap, of);
    assert!(heap.statistics().collections > before, "{name}: nothing was collected");
    for object in kept(name, of) {
        assert!(heap.is_object(object), "{name}: {object:#x} was lost, done: {done}");
    }
    if name != "register" {
        let held = heap.get(of.pair, 0).unwrap();
        assert!(heap.is_object(held), "{name}: what an operand refers to was lost");
    }
    assert_eq!(heap.verify(), None, "{name}");
}

#[test]
fn operands_live_when_each_operation_collects() {
    for (name, operation) in OPERATIONS {
        // These operations collect only for lack of memory.
        if matches!(name, "pin" | "add_roots") {
            continue;
        }
        let mut memory = ModelMemory::new();
        let words = memory.take_pages(1, 1).unwrap();
        let mut heap = Heap::new(memory, Options { stress: 1, ..Options::DEFAULT }).unwrap();
        let of = objects(&mut heap, words);
        check(&mut heap, name, operation, &of);
    }
}

/// The heap can have not a byte more, and nearly all of it is garbage.
#[test]
#[cfg_attr(miri, ignore = "fills a megabyte for each")]
fn operands_live_when_memory_is_short() {
    for (name, operation) in OPERATIONS {
        let mut memory = ModelMemory::new();
        let words = memory.take_pages(1, 1).unwrap();
        let options = Options {
            heap_limit_bytes: 1 << 20,
            root_capacity: 100_000,
            wrap_capacity: 64,
            wrap_limit: 64,
            handle_floor: 1_000,
            sizing: Sizing::Fixed { budget_bytes: 1 << 30 },
            ..Options::DEFAULT
        };
        let mut heap = Heap::new(memory, options).unwrap();
        let of = objects(&mut heap, words);
        // The wrap table is full of wrappers that will soon be dead.
        for handle in 0..64 {
            let wrapper = heap.wrap(1, 2, handle).unwrap();
            heap.push(wrapper).unwrap();
        }
        // More objects than there will be room to pin.
        for _ in 0..10_000 {
            let filler = heap.allocate(layout::LEAF, 8).unwrap();
            heap.push(filler).unwrap();
        }
        for size_bytes in [30_000, 9_000, 8_000, 1_000, 100, 8] {
            while let Ok(filler) = heap.allocate(layout::LEAF, size_bytes) {
                heap.push(filler).unwrap();
            }
        }
        // The tables of pins and of ranges are full too.
        let mut position = 3;
        while name == "pin" && heap.pin(heap.root(position).unwrap()).is_ok() {
            position += 1;
        }
        let mut empty = of.words + 100..;
        while name == "add_roots"
            && let Some(at) = empty.next()
            && heap.add_roots(at, at).is_ok()
        {}
        check(&mut heap, name, operation, &of);
    }
}
