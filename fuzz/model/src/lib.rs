//! A model of Tether's contract, and a generator of programs: what the property test,
//! the fuzz target, the soak and the differential test have in common.
//!
//! [`graph`] is the model's heap, a plain graph in maps. [`operations`] makes operations
//! of [`choices`], a fuzzer's bytes or a seed; [`model`] performs each on a [`subject`],
//! a collector, and knows what must come of it. [`trace`] records a run so that another
//! collector can be asked to do the same. [`run`] has whole runs on the native
//! collector, [`faults`] those in which memory refuses, [`limits`] each limit at ±1.
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
