//! Someone who watches collections: for tracing and for timing pauses.

/// What started a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The mutator asked for it.
    Asked,
    /// The heap's budget was used up, or memory could not be had.
    Space,
    /// The wrap table was full, or many or heavy handles had been registered.
    Handles,
    /// The option `stress`.
    Stress,
}

/// What a collection did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its number, from 1.
    pub number: u32,
    /// What started it.
    pub cause: Cause,
    /// Memory that the collector takes now, in bytes.
    pub heap_bytes: u64,
    /// Wrappers that are live.
    pub wrappers_live: u32,
    /// Handles that this collection released.
    pub handles_released: u32,
}

/// Called around each collection, and for what a heap still had when it was dropped. It must
/// not call the heap.
pub trait Observer {
    /// A collection begins.
    fn begins(&mut self) {}
    /// It ended, and the heap is consistent.
    fn ended(&mut self, _collection: Collection) {}
    /// The heap was dropped, and a handle of this kind was still registered or waiting to be
    /// drained: it is released now.
    fn undrained(&mut self, _kind: u32, _handle: u32) {}
    /// The heap was verified after a collection, and is broken: an invariant's number,
    /// and where. Called for the first one only.
    #[cfg(feature = "stress")]
    fn broken(&mut self, _invariant: u32, _at: u32) {}
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
