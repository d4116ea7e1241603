//! The core door as a module without statistics, verifier and stress modes.
//!
//! It is for Wasm; natively there is nothing in this crate.

#![cfg(target_arch = "wasm32")]
#![no_std]

use tether_core_door::Host;

tether_core_door::export!(Host);
