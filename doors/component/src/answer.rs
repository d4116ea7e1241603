//! Answers: results, at the place where the canonical ABI wants them.
//!
//! A function whose result does not fit in a word stores it. An export of a component stores it in
//! an [`Area`] of its own and gives the address, and its caller's adapter reads it before it does
//! anything else. A function that a guest in the same memory imports stores it at the [`Place`]
//! that the guest gives.
//!
//! Source: the component model's Canonical ABI [canonical-abi].

#![expect(unsafe_code, reason = "answers by address")]

use core::cell::UnsafeCell;

/// Bytes of the longest answer, the statistics.
const MOST_BYTES: usize = 96;

/// Where an answer goes.
pub trait Answer: Copy {
    /// Stores a part of the answer, an integer, at an offset from the answer's beginning.
    fn put<T>(self, offset: usize, value: T);

    /// Stores a byte.
    #[inline(always)]
    fn put_u8(self, offset: usize, value: u8) {
        self.put(offset, value);
    }

    /// Stores a word.
    #[inline(always)]
    fn put_u32(self, offset: usize, value: u32) {
        self.put(offset, value);
    }

    /// Stores two words.
    #[inline(always)]
    fn put_u64(self, offset: usize, value: u64) {
        self.put(offset, value);
    }

    /// Stores a `result` of a word.
    #[inline(always)]
    fn put_word(self, outcome: Outcome) {
        match outcome {
            Outcome::Now(word) => {
                self.put_u8(0, 0);
                self.put_u32(4, word);
            }
            Outcome::Packed(packed) => put_packed(self, packed),
        }
    }

    /// Stores a `result` of nothing.
    #[inline(always)]
    fn put_done(self, outcome: Outcome) {
        match outcome {
            Outcome::Now(_) => self.put_u8(0, 0),
            Outcome::Packed(packed) => put_packed(self, packed),
        }
    }

    /// Stores an error: the case of a `result`, then the record.
    #[inline(always)]
    fn refuse(self, error: tether_gc::Error) {
        put_packed(self, pack(Err(error)));
    }
}

#[repr(C, align(8))]
struct Bytes(UnsafeCell<[u8; MOST_BYTES]>);

// SAFETY: memory::linear refuses builds with threads.
unsafe impl Sync for Bytes {}

static BYTES: Bytes = Bytes(UnsafeCell::new([0; MOST_BYTES]));

/// The component's own area for the answer of the function at hand.
#[derive(Clone, Copy)]
pub struct Area(());

impl Area {
    /// The area, for an answer of so many bytes.
    pub const fn of<const SIZE_BYTES: usize>() -> Self {
        assert!(SIZE_BYTES <= MOST_BYTES, "the area is too small for this answer");
        Area(())
    }

    /// The address of the answer, for the caller.
    #[inline(always)]
    pub fn address(self) -> u32 {
        BYTES.0.get() as u32
    }
}

impl Answer for Area {
    #[inline(always)]
    fn put<T>(self, offset: usize, value: T) {
        // Offsets are constants: this costs nothing.
        assert!(offset + size_of::<T>() <= MOST_BYTES, "outside the answer");
        // SAFETY: the value fits, and nothing has a reference to the area. Its alignment is that of
        // the canonical ABI.
        unsafe { BYTES.0.get().cast::<u8>().add(offset).cast::<T>().write(value) };
    }
}

/// The place that a guest in the same memory gives for an answer: its address.
#[derive(Clone, Copy)]
pub struct Place(u32);

impl Place {
    /// The place at an address.
    ///
    /// # Safety
    ///
    /// By the canonical ABI the guest has memory there for the whole answer, and nothing else has a
    /// reference to it.
    #[inline(always)]
    pub unsafe fn at(address: u32) -> Self {
        Place(address)
    }
}

impl Answer for Place {
    #[inline(always)]
    fn put<T>(self, offset: usize, value: T) {
        let place = self.0 as *mut u8;
        // SAFETY: the contract of `at`. If what the guest gives is no memory, the store traps, as an
        // adapter would.
        unsafe { place.wrapping_add(offset).cast::<T>().write_unaligned(value) };
    }
}

/// The answer of most functions: a word, or nothing, or an error.
#[derive(Clone, Copy)]
pub enum Outcome {
    /// The common case was done in line: the word, or 0.
    Now(u32),
    /// The result of an operation, in one register: see [`pack`].
    Packed(u64),
}

/// An operation's result in one register: the error's code, or 0, is in the upper half, and the
/// error's figure or the word in the lower.
#[inline(never)]
pub fn pack(result: Result<u32, tether_gc::Error>) -> u64 {
    let (code, word) = match result {
        Ok(word) => (0, word),
        Err(error) => (error.code(), error.value()),
    };
    u64::from(code) << 32 | u64::from(word)
}

/// Answers with a packed result.
#[inline(never)]
fn put_packed<A: Answer>(answer: A, packed: u64) {
    match (packed >> 32) as u8 {
        0 => answer.put_word(Outcome::Now(packed as u32)),
        code => {
            answer.put_u8(0, 1);
            answer.put_u8(4, code - 1);
            answer.put_u32(8, packed as u32);
        }
    }
}
