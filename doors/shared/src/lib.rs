//! The parts that Tether's doors share: the one heap of a module, and options as words.
//!
//! A door turns a call from outside Rust into one operation of a heap, and an error into what
//! its callers understand. Doors are for Wasm. Natively this crate has the options alone, for
//! tests and hosts.

#![no_std]

#[cfg(target_arch = "wasm32")]
mod cell;
mod options;

#[cfg(target_arch = "wasm32")]
pub use cell::HeapCell;
pub use options::OptionWords;
