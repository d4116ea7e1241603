//! Explicit allocation for the C workloads: dlmalloc or talc, by feature, behind
//! two functions. A block is freed with its size, as Rust programs do and as talc
//! needs; blocks are aligned to 8 bytes.
//!
//! The crate is a static library for Wasm. Natively it is empty.
#![no_std]

#[cfg(all(target_arch = "wasm32", any(feature = "dlmalloc", feature = "talc")))]
#[expect(unsafe_code, reason = "raw memory is what an allocator gives")]
mod wasm {
    use core::alloc::{GlobalAlloc, Layout};

    #[cfg(feature = "dlmalloc")]
    type Allocator = crate::single_threaded::Dlmalloc;
    #[cfg(feature = "talc")]
    type Allocator = talc::wasm::WasmDynamicTalc;

    #[cfg(feature = "dlmalloc")]
    static ALLOCATOR: Allocator = Allocator::new();
    // talc names Rust's `alloc`, which wants one.
    #[cfg(feature = "talc")]
    #[global_allocator]
    static ALLOCATOR: Allocator = talc::wasm::new_wasm_dynamic_allocator();

    const ALIGNMENT: usize = 8;

    /// Gives a block, or null.
    // SAFETY: no other function of a program that links this has the name.
    #[unsafe(no_mangle)]
    extern "C" fn explicit_allocate(size: usize) -> *mut u8 {
        // SAFETY: the size is not zero, and no workload comes near isize::MAX.
        unsafe { ALLOCATOR.alloc(Layout::from_size_align_unchecked(size, ALIGNMENT)) }
    }

    /// Takes back a block of that size.
    // SAFETY: no other function of a program that links this has the name.
    #[unsafe(no_mangle)]
    extern "C" fn explicit_free(block: *mut u8, size: usize) {
        // SAFETY: the workloads free what they were given, once, with its size.
        unsafe { ALLOCATOR.dealloc(block, Layout::from_size_align_unchecked(size, ALIGNMENT)) }
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        core::arch::wasm32::unreachable()
    }
}

#[cfg(all(target_arch = "wasm32", feature = "dlmalloc"))]
#[expect(unsafe_code, reason = "an allocator is a static that changes")]
mod single_threaded {
    //! dlmalloc as a global allocator, as Rust's standard library has it on Wasm.
    use core::alloc::{GlobalAlloc, Layout};
    use core::cell::UnsafeCell;

    pub struct Dlmalloc(UnsafeCell<dlmalloc::Dlmalloc>);

    // SAFETY: Wasm without atomics has one thread.
    unsafe impl Sync for Dlmalloc {}

    impl Dlmalloc {
        pub const fn new() -> Self {
            Dlmalloc(UnsafeCell::new(dlmalloc::Dlmalloc::new()))
        }
    }

    // SAFETY: dlmalloc keeps the contract, and is never entered twice.
    unsafe impl GlobalAlloc for Dlmalloc {
        #[inline]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: one thread, and nothing in here calls back.
            unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
        }

        #[inline]
        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: one thread, and nothing in here calls back; the caller gives the layout that it
            // asked for.
            unsafe { (*self.0.get()).free(block, layout.size(), layout.align()) }
        }
    }
}
