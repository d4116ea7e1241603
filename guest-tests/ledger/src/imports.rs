//! The ledger's imports as a trait, so that native tests can put a heap of their own in
//! the collector's place. The component's implementation,
//! [`Component`], only forwards.
//!
//! The contract of each operation is the text in `wit/`; nothing is added here.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bindings::tether::gc::{diagnostics, heap, roots, wrappers};
use crate::bindings::tether::ledger::{decimals, document};

pub use crate::bindings::exports::tether::ledger::program::{
    CollectorFailure, Failure, Malformed, Outcome, Place, Report, Settings,
};
pub use crate::bindings::tether::gc::diagnostics::Statistics;
pub use crate::bindings::tether::gc::heap::{BuildError, Options, Store, Words};
pub use crate::bindings::tether::gc::types::{Error, ErrorCode, Layout, Reference};
pub use crate::bindings::tether::gc::wrappers::{DeadHandle, Registration};
pub use crate::bindings::tether::ledger::decimals::{Decimal, Refused};

/// The null reference.
pub const NULL: Reference = 0;

/// The operations, under the names of their interfaces.
#[expect(missing_docs, reason = "documented in wit/")]
pub trait Imports {
    fn document_read(&self, max: u32) -> Vec<u8>;

    fn decimals_parse_many(&self, texts: &[u8], ends: &[u32]) -> Result<Vec<Decimal>, Refused>;
    fn decimals_running_sums(&self, start: Decimal, addends: &[Decimal]) -> Vec<Decimal>;
    fn decimals_to_text(&self, value: Decimal) -> String;
    fn decimals_drop_many(&self, values: &[Decimal]);

    fn heap_configure(&self, options: Options) -> Result<(), Error>;
    fn heap_define_layout(&self, fixed: Words, element: Words) -> Result<Layout, Error>;
    fn heap_build(&self, program: &[u32]) -> Result<u32, BuildError>;
    fn heap_read_objects(&self, objects: &[Reference], max_words: u32) -> Result<Vec<u32>, Error>;
    fn heap_write_many(&self, stores: &[Store]) -> Result<(), Error>;

    fn roots_push(&self, object: Reference) -> Result<(), Error>;
    fn roots_truncate(&self, depth: u32) -> Result<(), Error>;
    fn roots_get(&self, index: u32) -> Result<Reference, Error>;
    fn roots_set(&self, index: u32, object: Reference) -> Result<(), Error>;
    fn roots_enter_scope(&self) -> Result<(), Error>;
    fn roots_leave_scope(&self, keep: Reference) -> Result<(), Error>;

    fn wrappers_register_many(&self, registrations: &[Registration]) -> Result<(), Error>;
    fn wrappers_wrap_many(
        &self,
        kind: u32,
        handles: &[u32],
        weight_bytes: u32,
    ) -> Result<Vec<Reference>, Error>;
    fn wrappers_drain(&self, max: u32) -> Vec<DeadHandle>;
    fn wrappers_close(&self) -> Result<u32, Error>;

    fn diagnostics_read_statistics(&self) -> Statistics;
}

/// The component's real imports.
#[derive(Default)]
pub struct Component;

impl Imports for Component {
    fn document_read(&self, max: u32) -> Vec<u8> {
        document::read(max)
    }

    fn decimals_parse_many(&self, texts: &[u8], ends: &[u32]) -> Result<Vec<Decimal>, Refused> {
        decimals::parse_many(texts, ends)
    }

    fn decimals_running_sums(&self, start: Decimal, addends: &[Decimal]) -> Vec<Decimal> {
        decimals::running_sums(start, addends)
    }

    fn decimals_to_text(&self, value: Decimal) -> String {
        decimals::to_text(value)
    }

    fn decimals_drop_many(&self, values: &[Decimal]) {
        decimals::drop_many(values);
    }

    fn heap_configure(&self, options: Options) -> Result<(), Error> {
        heap::configure(options)
    }

    fn heap_define_layout(&self, fixed: Words, element: Words) -> Result<Layout, Error> {
        heap::define_layout(fixed, element)
    }

    fn heap_build(&self, program: &[u32]) -> Result<u32, BuildError> {
        heap::build(program)
    }

    fn heap_read_objects(&self, objects: &[Reference], max_words: u32) -> Result<Vec<u32>, Error> {
        heap::read_objects(objects, max_words)
    }

    fn heap_write_many(&self, stores: &[Store]) -> Result<(), Error> {
        heap::write_many(stores)
    }

    fn roots_push(&self, object: Reference) -> Result<(), Error> {
        roots::push(object)
    }

    fn roots_truncate(&self, depth: u32) -> Result<(), Error> {
        roots::truncate(depth)
    }

    fn roots_get(&self, index: u32) -> Result<Reference, Error> {
        roots::get(index)
    }

    fn roots_set(&self, index: u32, object: Reference) -> Result<(), Error> {
        roots::set(index, object)
    }

    fn roots_enter_scope(&self) -> Result<(), Error> {
        roots::enter_scope()
    }

    fn roots_leave_scope(&self, keep: Reference) -> Result<(), Error> {
        roots::leave_scope(keep)
    }

    fn wrappers_register_many(&self, registrations: &[Registration]) -> Result<(), Error> {
        wrappers::register_many(registrations)
    }

    fn wrappers_wrap_many(
        &self,
        kind: u32,
        handles: &[u32],
        weight_bytes: u32,
    ) -> Result<Vec<Reference>, Error> {
        wrappers::wrap_many(kind, handles, weight_bytes)
    }

    fn wrappers_drain(&self, max: u32) -> Vec<DeadHandle> {
        wrappers::drain(max)
    }

    fn wrappers_close(&self) -> Result<u32, Error> {
        wrappers::close()
    }

    fn diagnostics_read_statistics(&self) -> Statistics {
        diagnostics::read_statistics()
    }
}
