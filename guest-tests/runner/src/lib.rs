//! Tether's hosts on wasmtime: one for the ledger composed with the collector,
//! and the pieces that tests of the bare collector need.

pub mod decimals;
pub mod differential;
pub mod engine;
pub mod ledger;
pub mod report;
pub mod subject;
pub mod wasi;
