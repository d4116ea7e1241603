//! Tether on its hosts: the ledger composed with the collector, on wasmtime and
//! on two versions of jco, guests linked with it, and the bare collector driven from
//! outside.
//!
//! One program, so that wasmtime is linked once. It needs the artifacts of
//! `cargo xtask build`, jco, and the default document; `cargo xtask test` brings
//! all of that.

mod bad_references;
mod bare;
mod bare_core;
mod command_line;
mod composed;
mod core_abi;
mod core_door;
mod differential;
mod forms;
mod fused;
mod guests;
mod harness;
mod ledger;
mod limits;
mod linked;
mod malformed;
mod memory;
mod missing_root;
mod oracle;
mod push;
mod random;
mod support;
mod throwing;
mod wasi;
mod wrapping;
