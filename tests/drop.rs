//! A heap that is dropped: its memory comes back, and its handles reach the observer.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::shared::Shared;
use tether_gc::{Error, Heap, Observer, Options, Words, layout};

/// The handles of a host, which the observer releases when the heap is dropped.
#[derive(Clone, Default)]
struct Host(Rc<RefCell<Vec<u32>>>);

impl Observer for Host {
    fn undrained(&mut self, kind: u32, handle: u32) {
        assert_eq!(kind, 1);
        self.0.borrow_mut().push(handle);
    }
}

impl Host {
    fn released(&self) -> Vec<u32> {
        let mut handles = self.0.borrow().clone();
        handles.sort_unstable();
        handles
    }
}

/// A heap with some of everything. It has registered handles 0 to 9. The wrappers of 7, 8 and 9 are
/// dead, and handle 9 was drained.
fn busy_heap(memory: &Shared, host: &Host) -> Heap<Shared, Host> {
    let mut heap = Heap::with_observer(memory.clone(), Options::DEFAULT, host.clone()).unwrap();
    let pair = heap.define_layout(Words::new(2, 0b11), Words::NONE).unwrap();
    for handle in 0..10 {
        let wrapper = heap.wrap(1, handle, 0).unwrap();
        let object = heap.create(pair, 0, &[wrapper, 0]).unwrap();
        let large = heap.allocate(layout::LEAF, 50_000).unwrap();
        if handle < 7 {
            heap.pin(object).unwrap();
            heap.push(large).unwrap();
        }
    }
    heap.collect().unwrap();
    assert_eq!(heap.pending(), 3);
    let drained = heap.drain_one().unwrap();
    assert_eq!(drained.handle, 9);
    heap
}

#[test]
fn a_heap_that_is_dropped_gives_its_memory_back_and_its_handles_up() {
    let (memory, host) = (Shared::new(1_000), Host::default());
    let heap = busy_heap(&memory, &host);
    assert!(memory.taken_pages() > 5);
    assert_eq!(host.released(), []);
    drop(heap);
    assert_eq!(memory.taken_pages(), 0);
    assert_eq!(host.released(), (0..9).collect::<Vec<u32>>());
}

#[test]
fn a_heap_that_was_closed_has_what_was_not_drained() {
    let (memory, host) = (Shared::new(1_000), Host::default());
    let mut heap = busy_heap(&memory, &host);
    assert_eq!(heap.close(), Ok(9));
    let drained = heap.drain_one().unwrap().handle;
    assert_eq!(host.released(), []);
    drop(heap);
    assert_eq!(memory.taken_pages(), 0);
    let rest: Vec<u32> = (0..9).filter(|&handle| handle != drained).collect();
    assert_eq!(host.released(), rest);
}

/// Many heaps have one memory in turn, and a heap that cannot be made keeps nothing of it.
#[test]
fn what_is_dropped_can_be_had_by_the_next() {
    let (memory, host) = (Shared::new(1_000), Host::default());
    for _ in 0..20 {
        drop(busy_heap(&memory, &host));
        assert_eq!(memory.taken_pages(), 0);
    }
    assert!(memory.pages() < 40);
    memory.set_exhausted(true);
    let refused = Heap::new(memory.clone(), Options::DEFAULT).map(drop);
    assert!(matches!(refused, Err(Error::OutOfMemory { .. })));
    assert_eq!(memory.taken_pages(), 0);
}
