//! A heap that is dropped: its memory comes back, and its handles reach the observer.

use std::cell::RefCell;
use std::rc::Rc;

use tether_gc::memory::Memory;
use tether_gc::memory::model::ModelMemory;
use tether_gc::{Error, Heap, Observer, Options, Words, layout};

/// A memory that outlives its heap.
#[derive(Clone)]
struct Shared(Rc<RefCell<ModelMemory>>);

impl Shared {
    fn new() -> Self {
        Shared(Rc::new(RefCell::new(ModelMemory::with_limit(1_000))))
    }

    /// Pages that are taken, but the first one, which is somebody else's.
    fn taken_pages(&self) -> u32 {
        let memory = self.0.borrow();
        memory.pages() - 1 - memory.free_pages()
    }
}

impl Memory for Shared {
    fn load_u8(&self, address: u32) -> u8 {
        self.0.borrow().load_u8(address)
    }
    fn load_u32(&self, address: u32) -> u32 {
        self.0.borrow().load_u32(address)
    }
    fn load_u64(&self, address: u32) -> u64 {
        self.0.borrow().load_u64(address)
    }
    fn store_u8(&mut self, address: u32, value: u8) {
        self.0.borrow_mut().store_u8(address, value);
    }
    fn store_u16(&mut self, address: u32, value: u16) {
        self.0.borrow_mut().store_u16(address, value);
    }
    fn store_u32(&mut self, address: u32, value: u32) {
        self.0.borrow_mut().store_u32(address, value);
    }
    fn store_u64(&mut self, address: u32, value: u64) {
        self.0.borrow_mut().store_u64(address, value);
    }
    fn fill(&mut self, address: u32, length_bytes: u32, value: u8) {
        self.0.borrow_mut().fill(address, length_bytes, value);
    }
    fn copy(&mut self, from: u32, to: u32, length_bytes: u32) {
        self.0.borrow_mut().copy(from, to, length_bytes);
    }
    fn read(&self, address: u32, into: &mut [u8]) {
        self.0.borrow().read(address, into);
    }
    fn write(&mut self, address: u32, bytes: &[u8]) {
        self.0.borrow_mut().write(address, bytes);
    }
    fn take_pages(&mut self, pages: u32, most_growth_pages: u32) -> Option<u32> {
        self.0.borrow_mut().take_pages(pages, most_growth_pages)
    }
    fn give_pages(&mut self, address: u32, pages: u32) {
        self.0.borrow_mut().give_pages(address, pages);
    }
    fn free_pages(&self) -> u32 {
        self.0.borrow().free_pages()
    }
    fn size_bytes(&self) -> u64 {
        self.0.borrow().size_bytes()
    }
    fn stack_pointer(&self) -> u32 {
        self.0.borrow().stack_pointer()
    }
}

/// The handles of a host, which are released when the heap is dropped.
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

/// A heap with some of everything; handles 0 to 9, of which 7, 8 and 9 are dead, and 9 was
/// drained.
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
    let (memory, host) = (Shared::new(), Host::default());
    let heap = busy_heap(&memory, &host);
    assert!(memory.taken_pages() > 5);
    assert_eq!(host.released(), []);
    drop(heap);
    assert_eq!(memory.taken_pages(), 0);
    assert_eq!(host.released(), (0..9).collect::<Vec<u32>>());
}

#[test]
fn a_heap_that_was_closed_has_what_was_not_drained() {
    let (memory, host) = (Shared::new(), Host::default());
    let mut heap = busy_heap(&memory, &host);
    assert_eq!(heap.close(), Ok(9));
    let drained = heap.drain_one().unwrap().handle;
    assert_eq!(host.released(), []);
    drop(heap);
    assert_eq!(memory.taken_pages(), 0);
    let rest: Vec<u32> = (0..9).filter(|&handle| handle != drained).collect();
    assert_eq!(host.released(), rest);
}

/// Also one that could not be made, and one of many in the same memory.
#[test]
fn what_is_dropped_can_be_had_by_the_next() {
    let (memory, host) = (Shared::new(), Host::default());
    for _ in 0..20 {
        drop(busy_heap(&memory, &host));
        assert_eq!(memory.taken_pages(), 0);
    }
    assert!(memory.0.borrow().pages() < 40);
    memory.0.borrow_mut().set_exhausted(true);
    let refused = Heap::new(memory.clone(), Options::DEFAULT).map(drop);
    assert!(matches!(refused, Err(Error::OutOfMemory { .. })));
    assert_eq!(memory.taken_pages(), 0);
}
