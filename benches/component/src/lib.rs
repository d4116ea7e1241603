//! The workloads W1, W2, W3 and W6 as a component that imports Tether's interfaces, with a call for
//! each operation; W1 and W6 also with batches. It roots the objects that a compiler would root.
//!
//! The crate is a component's core module. Natively it is empty.
#![no_std]

#[cfg(target_arch = "wasm32")]
extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit", "wit"],
        world: "tether:bench/bench",
        generate_all,
    });
}

#[cfg(target_arch = "wasm32")]
mod gcbench;
#[cfg(target_arch = "wasm32")]
mod handles;
#[cfg(target_arch = "wasm32")]
mod lists;
#[cfg(target_arch = "wasm32")]
mod trees;

#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "generated: the export")]
mod component {
    use crate::{gcbench, handles, lists, trees};

    #[global_allocator]
    static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        core::arch::wasm32::unreachable()
    }

    struct Bench;

    impl crate::bindings::Guest for Bench {
        fn w1(max_depth: i32) -> i64 {
            trees::run(max_depth as u32, trees::Calls::new())
        }

        fn w1_batched(max_depth: i32) -> i64 {
            trees::run(max_depth as u32, trees::Batches::new())
        }

        fn w2(stretch_depth: i32) -> i64 {
            gcbench::run(stretch_depth as u32)
        }

        fn w3(millions: i32) -> i64 {
            lists::run(millions as u32)
        }

        fn w6(thousands: i32) -> i64 {
            handles::one_by_one(thousands)
        }

        fn w6_batched(thousands: i32) -> i64 {
            handles::batched(thousands)
        }

        fn crossings(thousands: i32) -> i64 {
            handles::crossings(thousands)
        }
    }

    crate::bindings::export!(Bench with_types_in crate::bindings);
}
