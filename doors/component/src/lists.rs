//! Lists that cross the boundary, and their memory.
//!
//! From a caller in another memory a list comes in through memory that `cabi_realloc` gave to the
//! caller's adapter, and is a `Vec` until the operation is over. A list that goes out is in a
//! buffer that stays, so that many small ones cost no allocation: the adapter reads a list before
//! it does anything else, and so there is nothing to be done after a return.
//!
//! The memory comes from the pages of linear memory, as the heap's does. A caller cannot be told
//! that there is none for a list that it passes: `cabi_realloc` traps then. So some is kept for
//! lists from the start.
//!
//! A caller in the same memory has its lists read where they are. A list that goes out is copied
//! from the buffer into memory of the caller's own allocator, of exactly the list's size, as an
//! adapter would do it.

#![expect(unsafe_code, reason = "lists by address and length, in memory that may be refused")]

use alloc::alloc::{alloc, dealloc};
use alloc::vec::Vec;
use core::alloc::Layout;
use core::arch::wasm32::memory_size;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::{mem, ptr, slice};
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

static LISTS: OfComponent = OfComponent(UnsafeCell::new(Lists::EMPTY));

impl Lists {
    const EMPTY: Lists = Lists { address: ptr::without_provenance_mut(ALIGN), size_bytes: 0 };

    /// The one of this component.
    ///
    /// # Safety
    ///
    /// There is no other reference. The caller has the heap of this component lent to it, and calls
    /// this once; or no operation has the heap.
    pub unsafe fn of_component() -> &'static mut Self {
        // SAFETY: the contract.
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

    /// Takes the memory out.
    fn take(&mut self) -> Lists {
        mem::replace(self, Lists::EMPTY)
    }

    /// Puts memory back that was taken out, in the place of what there is by now.
    fn put_back(&mut self, lists: Lists) {
        let _ = self.resize(0);
        *self = lists;
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
/// The list is in memory of [`reallocate`]'s, for so many items and no more, and nobody else
/// has it.
#[inline(always)]
pub unsafe fn take<T: Item>(address: u32, count: u32) -> Vec<T> {
    // SAFETY: the contract. `reallocate` takes memory from the global allocator, which frees a
    // range by its address alone: the layouts need not agree.
    unsafe { Vec::from_raw_parts(address as *mut T, count as usize, count as usize) }
}

/// A list of a caller in the same memory, where it is. It traps if the list is not aligned, or not
/// in memory, as an adapter does: the canonical ABI has no other answer.
///
/// # Safety
///
/// Nobody writes to the list for as long as it is borrowed: it lies in the caller's own memory,
/// and not in the collector's.
#[inline(always)]
pub unsafe fn borrow<'a, T: Item>(address: u32, count: u32) -> &'a [T] {
    let size_bytes = u64::from(count) * size_of::<T>() as u64;
    check(address, size_bytes, align_of::<T>() as u32);
    if count == 0 {
        // An empty list may be at address 0, at which no slice can be.
        return &[];
    }
    // SAFETY: the range is aligned memory, and the contract. Any bytes are items.
    unsafe { slice::from_raw_parts(address as *const T, count as usize) }
}

/// Traps if a range is not aligned memory.
#[inline(never)]
fn check(address: u32, size_bytes: u64, align: u32) {
    let end = (memory_size(0) as u64) << 16;
    if !address.is_multiple_of(align) || u64::from(address) + size_bytes > end {
        core::arch::wasm32::unreachable()
    }
}

/// The allocator of a caller in the same memory.
pub trait Caller {
    /// Memory for a list: what the caller's `cabi_realloc` gives.
    ///
    /// # Safety
    ///
    /// No operation has the heap.
    unsafe fn allocate(align: usize, size_bytes: usize) -> *mut u8;
}

/// Gives a list to a caller in the same memory, which owns it from then on: its address and its
/// length.
///
/// # Safety
///
/// No operation has the heap, and no list was made since this one.
pub unsafe fn hand_over<C: Caller, T: Item>(list: Given<T>) -> (u32, u32) {
    let (from, count) = list.parts();
    let align = align_of::<T>();
    if count == 0 {
        return (align as u32, 0);
    }
    let size_bytes = count as usize * size_of::<T>();
    // By the canonical ABI the caller's allocator calls no import, but nothing here keeps it from
    // calling this door. The list's buffer is out of the way of a list that it makes then.
    // SAFETY: no operation has the heap.
    let buffer = unsafe { Lists::of_component() }.take();
    // SAFETY: the contract.
    let address = unsafe { C::allocate(align, size_bytes) };
    check(address as u32, size_bytes as u64, align as u32);
    // SAFETY: the buffer has so many bytes, and so has what the caller's allocator gave.
    unsafe { ptr::copy_nonoverlapping(from as *const u8, address, size_bytes) };
    // SAFETY: no operation has the heap.
    unsafe { Lists::of_component() }.put_back(buffer);
    (address as u32, count)
}

/// Memory for a list or a string that comes in; what adapters call, as `cabi_realloc`. It traps if
/// there is none: the canonical ABI has no other answer. Only a string grows on its way, and only
/// those of WASI come in.
///
/// # Safety
///
/// As of the canonical ABI's `realloc`.
pub unsafe fn reallocate(
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
