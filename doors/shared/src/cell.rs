//! The one heap of a module, and whether an operation has it.
//!
//! The cell lends its heap to a closure. A call that comes from inside another is answered with
//! `Busy`, and lending takes a few instructions: a state does both, where a `RefCell` would
//! panic.

#![expect(unsafe_code, reason = "the cell is what a RefCell would be, with an error of its own")]

use core::cell::{Cell, UnsafeCell};
use tether_gc::memory::linear::LinearMemory;
use tether_gc::{Error, Heap, Observer};

/// A heap in a static, which is made where it stays.
pub struct HeapCell<O: Observer> {
    heap: UnsafeCell<Heap<LinearMemory, O>>,
    state: Cell<State>,
    /// Why the heap was last not lent.
    refusal: Cell<Error>,
}

/// A function that starts a heap.
pub type Start<O> = fn(&mut Heap<LinearMemory, O>) -> Result<(), Error>;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// The heap is not started.
    NotStarted,
    /// The heap is started, and no operation has it.
    Idle,
    /// An operation has the heap.
    Busy,
}

// SAFETY: memory::linear refuses builds with threads.
unsafe impl<O: Observer> Sync for HeapCell<O> {}

impl<O: Observer> HeapCell<O> {
    /// A cell with an unstarted heap over linear memory.
    pub const fn new(observer: O) -> Self {
        // SAFETY: the value goes straight to a heap.
        let memory = unsafe { LinearMemory::new() };
        HeapCell {
            heap: UnsafeCell::new(Heap::unstarted(memory, observer)),
            state: Cell::new(State::NotStarted),
            refusal: Cell::new(Error::Busy),
        }
    }

    /// Lends the heap to an operation, after `start` if this is the first one.
    ///
    /// Errors: `Busy`, those of `start`, and those of the operation.
    #[inline(always)]
    pub fn with<R>(
        &self,
        start: Start<O>,
        operation: impl FnOnce(&mut Heap<LinearMemory, O>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if !self.take(start) {
            return Err(self.refusal.get());
        }
        // SAFETY: no operation had the heap, so there is no other reference to it. The state
        // is `Busy` until this one ends.
        let result = operation(unsafe { &mut *self.heap.get() });
        self.state.set(State::Idle);
        result
    }

    /// Takes the heap for one operation, after `start` if this is the first one. Whether it
    /// could be had; if not, `refusal` says why.
    #[inline(never)]
    fn take(&self, start: Start<O>) -> bool {
        let started = match self.state.replace(State::Busy) {
            State::Idle => return true,
            // SAFETY: as in `with`.
            State::NotStarted => start(unsafe { &mut *self.heap.get() }),
            State::Busy => {
                self.refusal.set(Error::Busy);
                return false;
            }
        };
        if let Err(error) = started {
            self.refusal.set(error);
            self.state.set(State::NotStarted);
        }
        started.is_ok()
    }

    /// Lends the heap to an operation if it is started and no operation has it, and does not note
    /// that: for the few instructions of a common case.
    ///
    /// # Safety
    ///
    /// The operation does not come back to this cell: it calls operations of the heap that do
    /// not collect (a collection calls the observer), and nothing else.
    #[inline(always)]
    pub unsafe fn with_idle<R>(
        &self,
        operation: impl FnOnce(&mut Heap<LinearMemory, O>) -> R,
    ) -> Option<R> {
        if self.state.get() != State::Idle {
            return None;
        }
        // SAFETY: no operation had the heap, and by the contract none takes it before this
        // reference ends.
        Some(operation(unsafe { &mut *self.heap.get() }))
    }

    /// Lends the heap to an operation, and neither looks whether another has it nor notes that this
    /// one does: for the few instructions of a common case.
    ///
    /// # Safety
    ///
    /// No operation has the heap: the module calls nothing outside itself while one does, so no
    /// call comes from inside another. The operation is as for [`with_idle`](Self::with_idle). If
    /// the host goes on after a trap inside an operation, the heap is as the trap left it.
    #[inline(always)]
    pub unsafe fn with_own<R>(&self, operation: impl FnOnce(&mut Heap<LinearMemory, O>) -> R) -> R {
        // SAFETY: by the contract there is no other reference, and none is made before this one
        // ends.
        operation(unsafe { &mut *self.heap.get() })
    }

    /// Starts the heap, before any operation. Errors: `AlreadyStarted`, `Busy`, and those of
    /// `start`.
    pub fn start(
        &self,
        start: impl FnOnce(&mut Heap<LinearMemory, O>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self.state.get() {
            State::NotStarted => {}
            State::Idle => return Err(Error::AlreadyStarted),
            State::Busy => return Err(Error::Busy),
        }
        self.state.set(State::Busy);
        // SAFETY: as in `with`.
        let started = start(unsafe { &mut *self.heap.get() });
        self.state.set(if started.is_ok() { State::Idle } else { State::NotStarted });
        started
    }
}
