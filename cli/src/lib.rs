//! The library behind the command `tether`: a language's core module becomes a program
//! with Tether's collector in it, and core modules become components.
//!
//! - [`link`] merges a guest with the collector's core module, optimises both as one with
//!   Binaryen's tools, and makes a component of the result;
//! - [`encode`] makes a component of a core module that carries its WIT in a custom section
//!   (wit-bindgen puts it there), or for a world that is named;
//! - [`compose`] connects two components;
//! - [`inspect`] says what a file asks of its host, and how large it is.
//!
//! `wit-component` and `wac-graph` are used as libraries. Binaryen's tools are programs,
//! which [`binaryen`] finds and runs; [`artifacts`] finds the collector.

pub mod artifacts;
pub mod binaryen;
pub mod commands;
mod compose;
mod encode;
pub mod files;
pub mod folder;
pub mod inspect;
pub mod link;
pub mod module;
pub mod world;

pub use compose::compose;
pub use encode::encode;
