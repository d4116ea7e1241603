//! The canonical ABI, as far as `wit/` needs it: one answer, one list in, one list out.
//!
//! A function whose result does not fit in a word answers with the address of
//! [`ANSWER`], which its caller's adapter reads before it does anything else. No function
//! takes more than one list, and none answers with more than one. A list that comes in is
//! in memory that [`cabi_realloc`] gave to the adapter, and that goes back when the call is
//! over. A list that goes out is in a buffer that stays until the next, so that many small
//! ones cost no allocation; there is nothing to be done after a return.
//!
//! Source: the component model's Canonical ABI [canonical-abi].

use crate::door::words::error_words;
use crate::error::Error;
use crate::heap::WordBuffer;
use crate::memory::linear::RustAllocator;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::ops::Deref;
use core::{ptr, slice};

/// An address, as results go out.
pub type Address = *const Answer;

/// Where answers are: 96 bytes, as long as the longest, the statistics.
#[repr(C, align(8))]
pub struct Answer(UnsafeCell<[u32; ANSWER_WORDS]>);

const ANSWER_WORDS: usize = 24;

// SAFETY: memory::linear refuses builds with threads.
unsafe impl Sync for Answer {}

static ANSWER: Answer = Answer(UnsafeCell::new([0; ANSWER_WORDS]));

/// Answers with a record of at most as many bytes, laid out by the C rules, which are
/// the canonical ones.
#[inline(always)]
pub fn record<T>(record: T) -> Address {
    const { assert!(size_of::<T>() <= size_of::<Answer>() && align_of::<T>() <= 8) };
    // SAFETY: it fits; nothing else has a reference to the words.
    unsafe { ANSWER.0.get().cast::<T>().write(record) };
    &raw const ANSWER
}

/// Answers with `result<_, error>`, whatever the payload: the case, then, with the
/// alignment of words, some words.
#[inline(always)]
fn result(case: u32, words: [u32; 3]) -> Address {
    record([case, words[0], words[1], words[2]])
}

/// Answers with `ok`, and a word where there is one.
#[inline(always)]
pub fn ok(word: u32) -> Address {
    record([0, word])
}

/// Answers with `ok` and some words.
#[inline(always)]
pub fn ok_words(words: [u32; 3]) -> Address {
    result(0, words)
}

/// Answers with an error.
#[cold]
#[inline(never)]
pub fn refuse(error: Error) -> Address {
    let (code, figure) = error_words(error);
    result(1, [code - 1, figure, 0])
}

/// Answers with `build-error`: where, then the error.
#[cold]
pub fn refuse_at(at: u32, error: Error) -> Address {
    let (code, figure) = error_words(error);
    result(1, [at, code - 1, figure])
}

/// Answers with a word or an error.
#[inline(always)]
pub fn answer(result: Result<u32, Error>) -> Address {
    match result {
        Ok(word) => ok(word),
        Err(error) => refuse(error),
    }
}

/// Answers with nothing or an error.
#[inline(always)]
pub fn done(result: Result<(), Error>) -> Address {
    answer(result.map(|()| 0))
}

/// What any bytes are a value of, and no more than 8-byte aligned.
///
/// # Safety
///
/// That is so.
pub unsafe trait Plain: Copy {}
// SAFETY: integers.
unsafe impl Plain for u8 {}
// SAFETY: integers.
unsafe impl Plain for u32 {}
// SAFETY: two integers.
unsafe impl Plain for crate::wrap_table::Handle {}
// SAFETY: integers.
unsafe impl Plain for crate::heap::Store {}
// SAFETY: integers.
unsafe impl Plain for crate::wrap_table::Registration {}

/// A list that came in. Its memory goes back at the end.
pub struct Incoming<T> {
    items: *mut T,
    count: usize,
}

impl<T: Plain> Incoming<T> {
    /// The list of an exported function's parameters.
    ///
    /// # Safety
    ///
    /// The two are what an adapter passed for a list of such items: nobody else has them.
    pub unsafe fn new(items: *mut T, count: usize) -> Self {
        Incoming { items, count }
    }
}

impl<T: Plain> Deref for Incoming<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `new`'s contract. Without items it is aligned too: see `cabi_realloc`.
        unsafe { slice::from_raw_parts(self.items, self.count) }
    }
}

impl<T> Drop for Incoming<T> {
    fn drop(&mut self) {
        give(self.items.cast(), self.count * size_of::<T>());
    }
}

/// The buffer of lists that go out.
struct Outgoing {
    address: Cell<*mut u8>,
    size_bytes: Cell<usize>,
}

// SAFETY: as `Answer`.
unsafe impl Sync for Outgoing {}

static OUTGOING: Outgoing = Outgoing { address: Cell::new(NO_BYTES), size_bytes: Cell::new(0) };

/// A list of so many items that goes out, whatever they are. The one before is gone.
///
/// Errors: `OutOfMemory`.
pub fn outgoing<T: Plain>(count: usize) -> Result<&'static mut [T], Error> {
    let items = outgoing_bytes(count.saturating_mul(size_of::<T>()), 0)?.cast::<T>();
    // SAFETY: the buffer is as large and is aligned, its bytes are a value, and the caller is
    // the only one who has it until the next call.
    Ok(unsafe { slice::from_raw_parts_mut(items, count) })
}

/// A list of words that goes out, whose length shows while it is made. No other list that
/// goes out is made meanwhile.
#[derive(Default)]
pub struct OutgoingWords {
    size_bytes: usize,
}

impl OutgoingWords {
    /// The first words, as many as there are of so many.
    pub fn into_list(self, count: usize) -> &'static mut [u32] {
        let count = count.min(OUTGOING.size_bytes.get() / size_of::<u32>());
        // SAFETY: as `outgoing`, of words that the buffer has.
        unsafe { slice::from_raw_parts_mut(OUTGOING.address.get().cast(), count) }
    }
}

impl WordBuffer for OutgoingWords {
    fn reserve(&mut self, words: usize) -> Result<&mut [u32], Error> {
        let items = outgoing_bytes(words.saturating_mul(size_of::<u32>()), self.size_bytes)?;
        self.size_bytes = OUTGOING.size_bytes.get();
        // SAFETY: as `outgoing`, of all the buffer.
        Ok(unsafe { slice::from_raw_parts_mut(items.cast(), self.size_bytes / size_of::<u32>()) })
    }
}

/// The buffer, of at least so many bytes. `kept` is 0, or all that it has: then that stays.
#[inline(never)]
fn outgoing_bytes(needed: usize, kept: usize) -> Result<*mut u8, Error> {
    let (old, old_size) = (OUTGOING.address.get(), OUTGOING.size_bytes.get());
    // One that is too small goes, and so does one that only a long list needed.
    if needed > old_size || (kept == 0 && needed > 0 && old_size > LIST_RESERVE_BYTES) {
        if kept == 0 {
            give(old, old_size);
            set_outgoing(NO_BYTES, 0);
        }
        // Twice as much, or just what is needed.
        let mut size_bytes = needed.saturating_add(kept);
        let mut buffer = take(size_bytes);
        if buffer.is_null() {
            size_bytes = needed;
            buffer = take(size_bytes);
        }
        if buffer.is_null() {
            let needed_bytes = u32::try_from(needed).unwrap_or(u32::MAX);
            return Err(Error::OutOfMemory { needed_bytes });
        }
        // SAFETY: each has as many bytes, and they are apart.
        unsafe {
            buffer.copy_from_nonoverlapping(old, kept);
            buffer.add(kept).write_bytes(0, size_bytes - kept);
        }
        give(old, kept);
        set_outgoing(buffer, size_bytes);
    }
    Ok(OUTGOING.address.get())
}

fn set_outgoing(buffer: *mut u8, size_bytes: usize) {
    OUTGOING.address.set(buffer);
    OUTGOING.size_bytes.set(size_bytes);
}

/// Bytes that lists have from the start, so that those up to about that length can be
/// passed when memory is exhausted.
const LIST_RESERVE_BYTES: usize = 100_000;

/// Has the allocator of lists take its reserve.
pub fn reserve_lists() {
    // Where even this cannot be had, the heap will say so.
    give(take(LIST_RESERVE_BYTES), LIST_RESERVE_BYTES);
}

/// The alignment of everything that crosses.
const ALIGN: usize = 8;
/// Where lists without items are.
const NO_BYTES: *mut u8 = ptr::without_provenance_mut(ALIGN);

fn layout(size_bytes: usize) -> Layout {
    // SAFETY: a power of two; sizes above half the address space are refused by `take`.
    unsafe { Layout::from_size_align_unchecked(size_bytes, ALIGN) }
}

/// Memory for a list, or null.
#[inline(never)]
fn take(size_bytes: usize) -> *mut u8 {
    if size_bytes == 0 {
        return NO_BYTES;
    }
    if size_bytes > isize::MAX as usize {
        return ptr::null_mut();
    }
    // SAFETY: the size is not 0.
    unsafe { RustAllocator.alloc(layout(size_bytes)) }
}

/// Gives memory of `take`'s back, if it is any.
#[inline(never)]
fn give(address: *mut u8, size_bytes: usize) {
    if size_bytes > 0 && !address.is_null() {
        // SAFETY: `take` gave it, with that size.
        unsafe { RustAllocator.dealloc(address, layout(size_bytes)) };
    }
}

/// Memory for a list that comes in; what the adapters call. Traps where there is none:
/// the canonical ABI has no other answer.
///
/// # Safety
///
/// As of the canonical ABI's `realloc`.
#[unsafe(export_name = "cabi_realloc")]
unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_size_bytes: usize,
    _align: usize,
    size_bytes: usize,
) -> *mut u8 {
    let new = take(size_bytes);
    if new.is_null() {
        core::arch::wasm32::unreachable()
    }
    if old_size_bytes > 0 {
        // SAFETY: both are memory of `take`'s, of at least these sizes.
        unsafe { ptr::copy_nonoverlapping(old, new, old_size_bytes.min(size_bytes)) };
        give(old, old_size_bytes);
    }
    new
}
