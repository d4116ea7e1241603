//! A model of Tether's contract, and a generator of programs. The crate's model tests, the fuzz
//! target, the soak and the differential test all use them.
//!
//! - [`choices`]: a source of choices, a fuzzer's bytes or a seed.
//! - [`operations`]: makes operations of choices.
//! - [`subject`]: a collector that performs operations. [`call`] has the operations as words, and
//!   [`window`] what compiled code does by itself.
//! - [`graph`]: the model's heap, a plain graph in maps.
//! - [`model`]: performs each operation on a subject, and compares the outcome with the graph.
//! - [`trace`]: records a run, so that another collector can be asked to do the same.
//! - [`run`], [`faults`] and [`limits`]: whole runs on the native collector, runs in which memory
//!   refuses, and each limit at ±1.
//!
//! A run that finds a fault panics, so that a fuzzer and a test see it.

pub mod call;
pub mod choices;
pub mod faults;
pub mod graph;
pub mod limits;
pub mod model;
pub mod operations;
pub mod run;
pub mod subject;
pub mod trace;
pub mod window;
