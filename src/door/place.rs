//! The one heap of a door, and whether an operation has it.
//!
//! A state, and not a `RefCell`: a call that comes from inside another is an error with a
//! name, and taking the heap is a few instructions.

#![expect(unsafe_code, reason = "the state is what a RefCell would have, with less code")]

use crate::error::Error;
use crate::heap::Heap;
use crate::memory::linear::LinearMemory;
use crate::observer::Observer;
use core::cell::{Cell, UnsafeCell};

/// A door's heap. A static: its heap is made where it stays.
pub struct Place<O: Observer> {
    heap: UnsafeCell<Heap<LinearMemory, O>>,
    state: Cell<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// It is not started, and no operation may be called.
    NotStarted,
    /// It is started, and no reference to it is alive.
    Idle,
    /// An operation has it.
    Busy,
}

// SAFETY: memory::linear refuses builds with threads.
unsafe impl<O: Observer> Sync for Place<O> {}

#[expect(clippy::mut_from_ref, reason = "the state says that no other reference is alive")]
impl<O: Observer> Place<O> {
    /// A place for a heap over linear memory.
    pub const fn new(observer: O) -> Self {
        // SAFETY: the value goes straight to a heap.
        let memory = unsafe { LinearMemory::new() };
        Place {
            heap: UnsafeCell::new(Heap::unstarted(memory, observer)),
            state: Cell::new(State::NotStarted),
        }
    }

    /// The heap, where it is started and no operation has it: for what neither collects
    /// nor calls out. Nothing can come back to the door meanwhile, and so the state stays.
    #[inline(always)]
    pub fn idle(&'static self) -> Option<&'static mut Heap<LinearMemory, O>> {
        // SAFETY: no other reference is alive, and no caller keeps this one until
        // another operation.
        (self.state.get() == State::Idle).then(|| unsafe { &mut *self.heap.get() })
    }

    /// Takes the heap for one operation, which [`leave`](Self::leave) ends; starts it at
    /// the first one.
    ///
    /// Errors: `Busy`, and those of `start`.
    #[inline]
    pub fn enter(
        &'static self,
        start: impl FnOnce(&mut Heap<LinearMemory, O>) -> Result<(), Error>,
    ) -> Result<&'static mut Heap<LinearMemory, O>, Error> {
        let state = self.state.replace(State::Busy);
        if state == State::Busy {
            return Err(Error::Busy);
        }
        // SAFETY: no operation had it, so no other reference is alive; the state stays
        // until `leave`, after which no caller uses this one.
        let heap = unsafe { &mut *self.heap.get() };
        if state == State::NotStarted
            && let Err(error) = start(heap)
        {
            self.state.set(State::NotStarted);
            return Err(error);
        }
        Ok(heap)
    }

    /// The same, and only to start it.
    ///
    /// Errors: `AlreadyStarted`, `Busy`, and those of `start`.
    pub fn start(
        &'static self,
        start: impl FnOnce(&mut Heap<LinearMemory, O>) -> Result<(), Error>,
    ) -> Result<&'static mut Heap<LinearMemory, O>, Error> {
        match self.state.get() {
            State::NotStarted => self.enter(start),
            State::Idle => Err(Error::AlreadyStarted),
            State::Busy => Err(Error::Busy),
        }
    }

    /// Ends an operation.
    pub fn leave(&self) {
        self.state.set(State::Idle);
    }
}
