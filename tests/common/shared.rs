//! A memory that outlives its heap, and counts accesses.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tether_gc::memory::Memory;
use tether_gc::memory::model::ModelMemory;

/// The memory. All clones are one memory.
#[derive(Clone)]
pub struct Shared {
    memory: Rc<RefCell<ModelMemory>>,
    accesses: Rc<Cell<u64>>,
}

#[allow(dead_code, reason = "each test file uses a part")]
impl Shared {
    /// Makes memory of at most `most_pages` pages.
    pub fn new(most_pages: u32) -> Self {
        let memory = ModelMemory::with_limit(most_pages);
        Shared { memory: Rc::new(RefCell::new(memory)), accesses: Rc::default() }
    }

    /// Returns how many pages are taken, without the first one, which is somebody else's.
    pub fn taken_pages(&self) -> u32 {
        let memory = self.memory.borrow();
        memory.pages() - 1 - memory.free_pages()
    }

    /// Returns how many pages memory has.
    pub fn pages(&self) -> u32 {
        self.memory.borrow().pages()
    }

    /// While this is set, nothing can be taken.
    pub fn set_exhausted(&self, exhausted: bool) {
        self.memory.borrow_mut().set_exhausted(exhausted);
    }

    /// Returns the number of loads and stores until now. An access to a range counts once for each
    /// 8 bytes.
    pub fn accesses(&self) -> u64 {
        self.accesses.get()
    }

    fn count(&self, length_bytes: u32) {
        self.accesses.set(self.accesses.get() + u64::from(length_bytes.div_ceil(8)));
    }
}

impl Memory for Shared {
    fn load_u8(&self, address: u32) -> u8 {
        self.count(1);
        self.memory.borrow().load_u8(address)
    }
    fn load_u32(&self, address: u32) -> u32 {
        self.count(4);
        self.memory.borrow().load_u32(address)
    }
    fn load_u64(&self, address: u32) -> u64 {
        self.count(8);
        self.memory.borrow().load_u64(address)
    }
    fn store_u8(&mut self, address: u32, value: u8) {
        self.count(1);
        self.memory.borrow_mut().store_u8(address, value);
    }
    fn store_u16(&mut self, address: u32, value: u16) {
        self.count(2);
        self.memory.borrow_mut().store_u16(address, value);
    }
    fn store_u32(&mut self, address: u32, value: u32) {
        self.count(4);
        self.memory.borrow_mut().store_u32(address, value);
    }
    fn store_u64(&mut self, address: u32, value: u64) {
        self.count(8);
        self.memory.borrow_mut().store_u64(address, value);
    }
    fn fill(&mut self, address: u32, length_bytes: u32, value: u8) {
        self.count(length_bytes);
        self.memory.borrow_mut().fill(address, length_bytes, value);
    }
    fn copy(&mut self, from: u32, to: u32, length_bytes: u32) {
        self.count(length_bytes);
        self.memory.borrow_mut().copy(from, to, length_bytes);
    }
    fn read(&self, address: u32, into: &mut [u8]) {
        self.count(into.len() as u32);
        self.memory.borrow().read(address, into);
    }
    fn write(&mut self, address: u32, bytes: &[u8]) {
        self.count(bytes.len() as u32);
        self.memory.borrow_mut().write(address, bytes);
    }
    fn take_pages(&mut self, pages: u32, most_growth_pages: u32) -> Option<u32> {
        self.memory.borrow_mut().take_pages(pages, most_growth_pages)
    }
    fn give_pages(&mut self, address: u32, pages: u32) {
        self.memory.borrow_mut().give_pages(address, pages);
    }
    fn free_pages(&self) -> u32 {
        self.memory.borrow().free_pages()
    }
    fn size_bytes(&self) -> u64 {
        self.memory.borrow().size_bytes()
    }
    fn stack_pointer(&self) -> u32 {
        self.memory.borrow().stack_pointer()
    }
}
