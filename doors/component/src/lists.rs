//! Lists that cross the boundary, and their memory.
//!
//! A list that comes in is in memory that `cabi_realloc` gave to the caller's adapter, and is a
//! `Vec` from then on. A list that goes out is in a buffer that stays, so that many small ones
//! cost no allocation: the adapter reads a list before it does anything else, and so there is
//! nothing to be done after a return.
//!
//! The memory comes from the pages of linear memory, as the heap's does. A caller cannot be told
//! that there is none for a list that it passes: `cabi_realloc` traps then. So some is kept for
//! lists from the start.

#![expect(unsafe_code, reason = "lists by address and length, in memory that may be refused")]

use alloc::alloc::{alloc, dealloc};
use alloc::vec::Vec;
use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::{ptr, slice};
use tether_gc::{Error, Handle, Registration, Store};

/// Bytes that lists have from the start, so that those up to about that length can be
/// passed when memory is exhausted. A buffer that is larger does not stay.
const RESERVE_BYTES: usize = 100_000;

/// The alignment of everything that crosses.
const ALIGN: usize = 8;

/// An item of a list: an integer or a record of integers.
///
/// # Safety
///
/// Any bytes are a value of the type, and it is laid out as the canonical ABI says, at an
/// alignment of at most 8.
pub unsafe trait Item: Copy {}
// SAFETY: integers.
unsafe impl Item for u8 {}
// SAFETY: integers.
unsafe impl Item for u32 {}
// SAFETY: integers, by `repr(C)`.
unsafe impl Item for Store {}
// SAFETY: integers, by `repr(C)`.
unsafe impl Item for Registration {}
// SAFETY: integers, by `repr(C)`.
unsafe impl Item for Handle {}

/// The memory of lists that go out.
pub struct Lists {
    address: *mut u8,
    size_bytes: usize,
}

/// The one of this component. Whoever has the heap has it too.
pub struct OfComponent(UnsafeCell<Lists>);

// SAFETY: memory::linear refuses builds with threads.
unsafe impl Sync for OfComponent {}

static LISTS: OfComponent = OfComponent(UnsafeCell::new(Lists {
    address: ptr::without_provenance_mut(ALIGN),
    size_bytes: 0,
}));

impl Lists {
    /// The one of this component.
    ///
    /// # Safety
    ///
    /// The caller has the heap of this component lent to it, and calls this once.
    pub unsafe fn of_component() -> &'static mut Self {
        // SAFETY: the heap is lent to one operation at a time, and so there is no other
        // reference.
        unsafe { &mut *LISTS.0.get() }
    }

    /// Has the allocator take the reserve.
    pub fn reserve(&mut self) {
        // If even this cannot be had, the heap will say so.
        let _ = self.resize(RESERVE_BYTES);
        let _ = self.resize(0);
    }

    /// A list of so many items, whatever they are. It is [given](Given::first) to the caller.
    ///
    /// Errors: `OutOfMemory`.
    pub fn list<T: Item>(&mut self, count: usize) -> Result<&mut [T], Error> {
        let size_bytes = count.saturating_mul(size_of::<T>());
        let is_too_large = self.size_bytes > RESERVE_BYTES && size_bytes <= RESERVE_BYTES;
        if size_bytes > self.size_bytes || is_too_large {
            self.resize(size_bytes)?;
        }
        // SAFETY: there are so many bytes, aligned, and any bytes are items.
        Ok(unsafe { slice::from_raw_parts_mut(self.address.cast(), count) })
    }

    /// Other memory of so many bytes, which are zero.
    fn resize(&mut self, size_bytes: usize) -> Result<(), Error> {
        let needed_bytes = u32::try_from(size_bytes).unwrap_or(u32::MAX);
        let layout = layout(size_bytes).ok_or(Error::OutOfMemory { needed_bytes })?;
        // SAFETY: the old memory was taken here, with that size. The new one has so many bytes.
        unsafe {
            if self.size_bytes > 0 {
                dealloc(self.address, Layout::from_size_align_unchecked(self.size_bytes, ALIGN));
                self.size_bytes = 0;
            }
            if size_bytes > 0 {
                let address = alloc(layout);
                if address.is_null() {
                    return Err(Error::OutOfMemory { needed_bytes });
                }
                address.write_bytes(0, size_bytes);
                (self.address, self.size_bytes) = (address, size_bytes);
            }
        }
        Ok(())
    }
}

fn layout(size_bytes: usize) -> Option<Layout> {
    Layout::from_size_align(size_bytes, ALIGN).ok()
}

/// A list that goes out: its address and its length. It is there until the next is made.
#[derive(Clone, Copy)]
pub struct Given<T> {
    address: u32,
    count: u32,
    items: PhantomData<T>,
}

impl<T> Given<T> {
    /// No items.
    pub const NONE: Given<T> = Given { address: ALIGN as u32, count: 0, items: PhantomData };

    /// The first items of a list.
    pub fn first(list: &[T], count: usize) -> Self {
        let count = count.min(list.len()) as u32;
        Given { address: list.as_ptr() as u32, count, items: PhantomData }
    }

    /// The address and the length.
    pub fn parts(self) -> (u32, u32) {
        (self.address, self.count)
    }
}

/// Takes over a list that an adapter passed.
///
/// # Safety
///
/// The list is in memory of `cabi_realloc`'s, for so many items and no more, and nobody else
/// has it.
#[inline(always)]
pub unsafe fn take<T: Item>(address: u32, count: u32) -> Vec<T> {
    // SAFETY: the contract. `cabi_realloc` takes memory from the global allocator, which frees a
    // range by its address alone: the layouts need not agree.
    unsafe { Vec::from_raw_parts(address as *mut T, count as usize, count as usize) }
}

/// Memory for a list or a string that comes in; what the adapters call. It traps if there is none:
/// the canonical ABI has no other answer. Only a string grows on its way, and only those of WASI
/// come in.
///
/// # Safety
///
/// As of the canonical ABI's `realloc`.
#[unsafe(export_name = "cabi_realloc")]
unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_bytes: usize,
    align: usize,
    size_bytes: usize,
) -> *mut u8 {
    if size_bytes == 0 {
        return ptr::without_provenance_mut(align);
    }
    let Some(layout) = layout(size_bytes) else { core::arch::wasm32::unreachable() };
    // SAFETY: the layout has bytes. The old memory is of this function's.
    unsafe {
        let memory = alloc(layout);
        if memory.is_null() {
            core::arch::wasm32::unreachable()
        }
        if old_bytes > 0 {
            ptr::copy_nonoverlapping(old, memory, old_bytes.min(size_bytes));
            dealloc(old, Layout::from_size_align_unchecked(old_bytes, ALIGN));
        }
        memory
    }
}
