//! The world of a guest in the same memory: the language drains released handles itself, and its
//! allocator gives the memory of lists that go out.

#![expect(unsafe_code, reason = "the promise of what the world calls, and the guest's allocator")]

use crate::World;
use crate::lists::Caller;
use core::marker::PhantomData;
use tether_door::HeapCell;
use tether_gc::Silent;

static HEAP: HeapCell<Silent> = HeapCell::new(Silent);

/// The world of a guest with this allocator.
pub struct Linked<C>(PhantomData<C>);

// SAFETY: only the guest's allocator is called, and no operation has the heap then.
unsafe impl<C: 'static> World for Linked<C> {
    type Observer = Silent;

    const CALLS_OUT: bool = false;

    fn heap() -> &'static HeapCell<Silent> {
        &HEAP
    }
}

impl<C: Caller> Caller for Linked<C> {
    #[inline(always)]
    unsafe fn allocate(align: usize, size_bytes: usize) -> *mut u8 {
        // SAFETY: the contract is the same.
        unsafe { C::allocate(align, size_bytes) }
    }
}
