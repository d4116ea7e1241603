//! The ledger: a small language runtime on Tether.
//!
//! It parses a JSON document into the collector's heap and adds up its numbers,
//! exactly, with decimals that live in the host. No part of the
//! tree stays in the guest's own memory. Each decimal is owned by a wrapper in the heap, and is
//! dropped when the collector finds the wrapper dead.
//!
//! | module | what it does |
//! |---|---|
//! | [`lexer`] | tokens from chunks of the document |
//! | [`tree`] | the nodes' form, and the programs that build them |
//! | [`pack`] | many numbers in one node, if the settings ask for it |
//! | [`parse`] | from tokens to the tree |
//! | [`walk`] | from the tree to events, in the document's order |
//! | [`evaluate`] | counts, the longest text, the deepest path |
//! | [`sum`] | the exact sum |
//! | [`handles`] | decimals, dropped exactly once |
//! | [`run`] | all of it, from settings to outcome |
//! | [`imports`], [`failure`] | the edges: the operations that come in, and the errors that go out |
//! | `core_door` | the imports of a ledger that is linked with the collector (feature `core-door`) |

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(all(feature = "core-door", target_arch = "wasm32"))]
mod core_door;
pub mod evaluate;
pub mod failure;
pub mod handles;
pub mod imports;
pub mod lexer;
pub mod pack;
pub mod parse;
pub mod run;
pub mod sum;
pub mod tree;
pub mod walk;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

#[expect(missing_docs, reason = "generated; the texts in wit/ are there")]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit", "wit"],
        world: "tether:ledger/ledger",
        generate_all,
    });
}

/// The export that makes the crate a component's core module.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "generated: the export")]
mod component {
    use crate::bindings::exports::tether::ledger::program::{Guest, Outcome, Settings};
    #[cfg(feature = "core-door")]
    use crate::core_door::CoreDoor;
    #[cfg(not(feature = "core-door"))]
    use crate::imports::Component;

    #[global_allocator]
    static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo) -> ! {
        core::arch::wasm32::unreachable()
    }

    struct Ledger;

    impl Guest for Ledger {
        fn run(settings: Settings) -> Outcome {
            #[cfg(feature = "core-door")]
            let door = CoreDoor::default();
            #[cfg(not(feature = "core-door"))]
            let door = Component;
            crate::run::run(&door, &settings)
        }
    }

    crate::bindings::export!(Ledger with_types_in crate::bindings);
}
