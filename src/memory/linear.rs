//! Wasm's linear memory, and the one place of raw loads and stores.
//!
//! Pages come from `memory.grow` or from a bitmap of pages that were given back.
//! Other code in the program may call `memory.grow` too: nothing here assumes that
//! pages are adjacent. What Rust code in the module allocates comes from the same
//! pages.
//!
//! Not done here: threads. The statics below have no locks, and a build with
//! Wasm's atomics is refused.

#![expect(
    unsafe_code,
    reason = "raw loads and stores, memory.grow, and an allocator's interface live here and nowhere else"
)]

use crate::memory::Memory;
use crate::memory::extents::Extents;
use crate::memory::pages::{ALL_PAGES, FreePages};
use crate::units::BLOCK_SHIFT;
use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::UnsafeCell;
use core::hint::black_box;
use core::ptr;

#[cfg(target_feature = "atomics")]
compile_error!("tether-gc is single-threaded: build without the atomics target feature");

/// A static that one thread alone can reach.
struct SingleThreaded<T>(UnsafeCell<T>);

// SAFETY: the target has one thread (the check above), so no two threads share it.
unsafe impl<T> Sync for SingleThreaded<T> {}

/// Growing has its price, so memory grows by this part of its size at a time,
/// from 1 page up to 16.
const GROWTH_SHIFT: u32 = 5;
const MOST_GROWTH_PAGES: u32 = 16;

/// Pages that nobody uses: given back, or left of a growth.
static FREE_PAGES: SingleThreaded<FreePages> = SingleThreaded(UnsafeCell::new(FreePages::new()));

fn with_free_pages<R>(operation: impl FnOnce(&mut FreePages) -> R) -> R {
    // SAFETY: one thread, and `operation` (methods of `FreePages`, and `take_pages`) does not
    // come back here, so the reference is the only one.
    operation(unsafe { &mut *FREE_PAGES.0.get() })
}

/// Takes adjacent pages, of those that are free or behind them by growing memory.
fn take_pages(free: &mut FreePages, pages: u32, most_growth: u32) -> Option<u32> {
    if let Some(first) = free.take(pages) {
        return Some(first);
    }
    let end = memory_size(0) as u32;
    // Pages that are free at the end need not be grown.
    let least = pages - free.count_below(end, pages);
    if least > most_growth {
        return None;
    }
    let step = (end >> GROWTH_SHIFT).clamp(1, MOST_GROWTH_PAGES).min(most_growth);
    let mut grown = least.max(step);
    let mut first = memory_grow(0, grown as usize);
    if first == usize::MAX {
        grown = least;
        first = memory_grow(0, grown as usize);
    }
    if first != usize::MAX {
        let first = first as u32;
        // The last page ends at 2^32, which no u32 can say: do without it.
        free.give(first, grown - u32::from(first + grown == ALL_PAGES));
    }
    free.take(pages)
}

/// Up to here clearing is a loop: `memory.fill` is a call out of the module on most
/// engines.
const MOST_BYTES_IN_LINE: u32 = 56;

/// Eight bytes at any address.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Unaligned(u64);

/// The alignment of whatever the extents give.
const LIST_ALIGN: usize = 16;

/// Pages that lists keep.
const LIST_PAGES: u32 = 16;

/// What Rust code in the same module allocates: lists that cross a component's
/// boundary. The collector never has memory beside a Rust object's. Pages once taken are kept, as
/// long as they are 1 MiB and less, so that lists of that size fit when memory is exhausted.
static LISTS: SingleThreaded<Extents> = SingleThreaded(UnsafeCell::new(Extents::new(LIST_PAGES)));

/// A global allocator for a module that is nothing but this collector: its
/// pages come from the pages of [`LinearMemory`].
pub struct RustAllocator;

// SAFETY: a range that `Extents` gives is in pages that nobody else has, and in no other range that
// it gave and did not get back; it is aligned to `LIST_ALIGN`.
unsafe impl GlobalAlloc for RustAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > LIST_ALIGN {
            // No type that crosses a component's boundary needs more.
            return ptr::null_mut();
        }
        // SAFETY: one thread, and `take` does not come back here.
        let lists = unsafe { &mut *LISTS.0.get() };
        let size_bytes = layout.size() as u32;
        let address = lists.take(&mut LinearMemory(()), size_bytes, ALL_PAGES, ALL_PAGES);
        address.map_or(ptr::null_mut(), |address| address as *mut u8)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _: Layout) {
        // SAFETY: as above. The caller gives a range of `alloc`'s.
        unsafe { &mut *LISTS.0.get() }.give(&mut LinearMemory(()), pointer as u32);
    }
}

/// The linear memory of this module.
#[derive(Debug)]
pub struct LinearMemory(());

impl LinearMemory {
    /// Linear memory, for a heap.
    ///
    /// # Safety
    ///
    /// The value's loads and stores are not checked. Give it to
    /// [`Heap::new`](crate::Heap::new), which writes only to addresses that it took and
    /// reads besides them only root ranges, and call none of its operations yourself. Some
    /// operations of the heap and functions of [`window`](crate::window) work on memory that the
    /// caller names: pass to them only a stack of your own, and the window that the heap published.
    pub const unsafe fn new() -> Self {
        LinearMemory(())
    }
}

impl Memory for LinearMemory {
    #[inline(always)]
    fn load_u8(&self, address: u32) -> u8 {
        // SAFETY: `new`'s contract: the address was taken. So below.
        unsafe { (address as *const u8).read() }
    }

    #[inline(always)]
    fn load_u32(&self, address: u32) -> u32 {
        // SAFETY: as `load_u8`; unaligned reads cost nothing on Wasm.
        unsafe { (address as *const u32).read_unaligned() }
    }

    #[inline(always)]
    fn load_u64(&self, address: u32) -> u64 {
        // SAFETY: as `load_u32`.
        unsafe { (address as *const u64).read_unaligned() }
    }

    #[inline(always)]
    fn store_u8(&mut self, address: u32, value: u8) {
        // SAFETY: as `load_u8`.
        unsafe { (address as *mut u8).write(value) }
    }

    #[inline(always)]
    fn store_u16(&mut self, address: u32, value: u16) {
        // SAFETY: as `load_u32`.
        unsafe { (address as *mut u16).write_unaligned(value) }
    }

    #[inline(always)]
    fn store_u32(&mut self, address: u32, value: u32) {
        // SAFETY: as `load_u32`.
        unsafe { (address as *mut u32).write_unaligned(value) }
    }

    #[inline(always)]
    fn store_u64(&mut self, address: u32, value: u64) {
        // SAFETY: as `load_u32`.
        unsafe { (address as *mut u64).write_unaligned(value) }
    }

    #[inline(always)]
    fn fill(&mut self, address: u32, length_bytes: u32, value: u8) {
        // SAFETY: as `load_u8`, for the whole range.
        unsafe { ptr::write_bytes(address as *mut u8, value, length_bytes as usize) }
    }

    fn clear(&mut self, address: u32, length_bytes: u32) {
        if length_bytes > MOST_BYTES_IN_LINE {
            return self.fill(address, length_bytes, 0);
        }
        let end = address + length_bytes;
        let mut at = address;
        // Volatile, or the compiler would make one fill of them again.
        while end - at >= 8 {
            // SAFETY: as `load_u8`; unaligned stores cost nothing on Wasm.
            unsafe { (at as *mut Unaligned).write_volatile(Unaligned(0)) };
            at += 8;
        }
        while at < end {
            // SAFETY: as `load_u8`.
            unsafe { (at as *mut u8).write_volatile(0) };
            at += 1;
        }
    }

    fn copy(&mut self, from: u32, to: u32, length_bytes: u32) {
        // SAFETY: as `load_u8`, for both ranges; `copy` allows any overlap.
        unsafe { ptr::copy(from as *const u8, to as *mut u8, length_bytes as usize) }
    }

    fn read(&self, address: u32, into: &mut [u8]) {
        // SAFETY: as `load_u8`; `into` is a Rust object, so it is not in the range.
        unsafe { ptr::copy_nonoverlapping(address as *const u8, into.as_mut_ptr(), into.len()) }
    }

    fn write(&mut self, address: u32, bytes: &[u8]) {
        // SAFETY: as `read`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) }
    }

    fn take_pages(&mut self, pages: u32, most_growth_pages: u32) -> Option<u32> {
        let first = with_free_pages(|free| take_pages(free, pages, most_growth_pages))?;
        Some(first << BLOCK_SHIFT)
    }

    fn give_pages(&mut self, address: u32, pages: u32) {
        with_free_pages(|free| free.give(address >> BLOCK_SHIFT, pages));
    }

    fn free_pages(&self) -> u32 {
        with_free_pages(|free| free.count())
    }

    fn size_bytes(&self) -> u64 {
        (memory_size(0) as u64) << BLOCK_SHIFT
    }

    // In line, the variable would be in the caller's frame, whose others may lie below it.
    #[inline(never)]
    fn stack_pointer(&self) -> u32 {
        let in_this_frame = 0_u32;
        &raw const *black_box(&in_this_frame) as u32
    }
}
