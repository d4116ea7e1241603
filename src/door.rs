//! The doors to the collector from outside Rust: the component, and the core door.
//!
//! Only these modules know WIT and the C ABI. Each turns a call into one operation
//! of a [`Heap`](crate::Heap), and an error into what its callers understand.

#[cfg(feature = "component")]
mod component;
#[cfg(feature = "core")]
mod core_abi;
mod operation;
mod place;
mod words;
