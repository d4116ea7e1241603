//! A garbage collector for languages that compile to WebAssembly linear memory.
//!
//! Tether owns a heap, a shadow stack of roots, and a *wrap table* that tethers
//! host handles (a decimal, a map, a socket that lives in the host) to heap
//! objects, so that the host's resource is released when the object that wraps
//! it dies.
//!
//! ```
//! # #[cfg(not(target_arch = "wasm32"))] {
//! use tether_gc::{Heap, Options, Words, memory::model::ModelMemory};
//!
//! let mut heap = Heap::new(ModelMemory::new(), Options::DEFAULT)?;
//!
//! // A list node: a reference to the next one, and a number.
//! let node = heap.define_layout(Words::new(2, 0b01), Words::NONE)?;
//! let first = heap.allocate(node, 0)?;
//! heap.push(first)?; // a root: what it reaches stays alive
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
//! - Objects never move. A [`Reference`] is an address; 0 is null.
//! - Operations whose text says *may collect* free whatever no root reaches:
//!   roots are the shadow stack ([`Heap::push`]), scopes ([`Heap::enter_scope`])
//!   and pins ([`Heap::pin`]).
//! - Nothing here panics or traps for anything a mutator passes: see [`Error`].
//! - Every handle is released exactly once: after its wrapper's death, by
//!   [`Heap::dispose`], or by [`Heap::close`]. Take them with [`Heap::drain_one`]. What is
//!   left when the heap is dropped goes to [`Observer::undrained`].
//!
//! The crate is `no_std`. On Wasm it needs no allocator of yours; natively, the
//! model memory needs `alloc`. ARCHITECTURE.md in the repository explains how it
//! works.

#![no_std]
// The core door, which is for Wasm alone, uses all of it.
#![cfg_attr(
    all(feature = "core", not(target_arch = "wasm32")),
    allow(dead_code, reason = "natively only tests do what the core door does")
)]

#[cfg(test)]
extern crate std;

mod blocks;
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
#[cfg(feature = "interior-pointers")]
mod ranges;
mod region;
mod roots;
mod table;
mod units;
mod verify;
mod wrap_table;

#[cfg(target_arch = "wasm32")]
mod door;

#[cfg(feature = "stress")]
pub use config::StressModes;
pub use config::{Options, Sizing};
pub use error::{Error, OptionName};
#[cfg(feature = "core")]
pub use heap::Window;
pub use heap::{BuildError, Heap, Statistics, Store, WordBuffer};
pub use layout::{LayoutId, Words};
pub use observer::{Cause, Collection, Observer, Silent};
pub use units::{LARGEST_OBJECT_BYTES, Reference};
pub use verify::{Invariant, Violation};
pub use wrap_table::{Handle, Registration};
