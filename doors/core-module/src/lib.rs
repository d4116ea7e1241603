//! The core door as a module, which imports `tether_release` from its host.
//!
//! It is for Wasm; natively there is nothing in this crate.

#![cfg(target_arch = "wasm32")]
#![no_std]

use tether_core_door::Host;

tether_core_door::export!(Host);
tether_core_door::export_diagnostics!(Host);
