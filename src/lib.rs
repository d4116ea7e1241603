//! A garbage collector for languages that compile to WebAssembly's linear memory.
//!
//! A [`Heap`] has objects, and roots that keep them alive: a shadow stack, scopes, pins and root
//! ranges. It also has a *wrap table*, which tethers handles of the host (of a decimal, a map, a
//! socket) to objects, their *wrappers*. A handle is released once its wrapper is dead, and the
//! host then drops the resource.
//!
//! ```
//! # #[cfg(not(target_arch = "wasm32"))] {
//! use tether_gc::{Heap, Options, Words, memory::model::ModelMemory};
//!
//! let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT)?;
//!
//! // A list node: a reference to the next node, and a number.
//! let node = heap.define_layout(Words::new(2, 0b01), Words::NONE)?;
//! let first = heap.allocate(node, 0)?;
//! heap.push(first)?; // a root: every object that it reaches stays alive
//! let second = heap.create(node, 0, &[0, 7])?;
//! heap.set(first, 0, second)?;
//!
//! // A wrapper: it owns handle 42 of the host. Nothing refers to it.
//! heap.wrap(/* kind */ 1, /* handle */ 42, /* weight */ 0)?;
//!
//! heap.collect()?;
//! assert_eq!(heap.get(second, 1)?, 7);
//! let released = heap.drain_one().expect("the wrapper is dead");
//! assert_eq!((released.kind, released.handle), (1, 42));
//! # }
//! # Ok::<(), tether_gc::Error>(())
//! ```
//!
//! # Rules for the mutator
//!
//! - Objects never move. A [`Reference`] is an object's address; null is 0.
//! - An operation whose docs say *may collect* frees every object that no root reaches. Roots are
//!   the shadow stack ([`Heap::push`]), scopes ([`Heap::enter_scope`]), pins ([`Heap::pin`]) and
//!   root ranges ([`Heap::add_roots`]). The operation itself keeps the objects that are passed to
//!   it.
//! - No operation panics or traps, whatever a mutator passes. A failure is an [`Error`], and
//!   changes nothing beyond what the operation's docs say.
//! - Every handle is released exactly once: after its wrapper's death, by [`Heap::dispose`], or by
//!   [`Heap::close`]. Released handles wait for [`Heap::drain_one`]. If the heap is dropped,
//!   handles that it still has go to [`Observer::undrained`].
//!
//! The crate is `no_std`. On Wasm it needs no allocator; natively, the model memory needs `alloc`.
//! ARCHITECTURE.md in the repository explains how the collector works.

#![no_std]

#[cfg(test)]
extern crate std;

mod blocks;
mod buffer;
mod config;
mod error;
mod heap;
mod index;
mod large;
pub mod layout;
mod mark;
pub mod memory;
mod metadata;
mod observer;
mod pins;
mod ranges;
mod roots;
mod table;
mod units;
mod verify;
mod wrap_table;

pub use config::{Options, Sizing, StressModes};
pub use error::{Error, OptionName};
pub use heap::{BuildError, Heap, Statistics, Store, window};
pub use layout::{LayoutId, Words};
pub use observer::{Cause, Collection, Observer, Silent};
pub use units::{LARGEST_OBJECT_BYTES, Reference};
pub use verify::{Invariant, Violation};
pub use wrap_table::{Handle, Registration};
