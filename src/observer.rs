//! Observers of collections: for tracing, and for timing pauses.

/// What started a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The mutator asked for the collection.
    Asked,
    /// The heap's budget was used up, or memory was refused.
    Space,
    /// The wrap table was full, or many or heavy handles had been registered since the last
    /// collection.
    Handles,
    /// The option `stress`.
    Stress,
}

/// What a collection did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collection {
    /// The collection's number, counted from 1.
    pub number: u32,
    /// What started the collection.
    pub cause: Cause,
    /// Bytes of the pages that the collector has after the collection.
    pub heap_bytes: u64,
    /// Wrappers that are live.
    pub wrappers_live: u32,
    /// Handles that this collection released.
    pub handles_released: u32,
}

/// Is called around each collection, and for each handle that a heap still has when it is dropped.
/// An observer must not call the heap.
pub trait Observer {
    /// A collection begins.
    fn begins(&mut self) {}
    /// A collection has ended, and the heap is consistent.
    fn ended(&mut self, _collection: Collection) {}
    /// The heap is dropped, and a handle of this kind was still registered or waiting to be
    /// drained. The handle is now released.
    fn undrained(&mut self, _kind: u32, _handle: u32) {}
    /// The verifier found a violation after a collection: the invariant's number and where it is
    /// broken. Called for the first violation only.
    fn broken(&mut self, _invariant: u32, _at: u32) {}
}

/// An observer that does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
