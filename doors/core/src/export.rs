//! The exports: `tether_gc.h` in Rust. Each is the function of the same name of a
//! [`Door`](crate::Door).

/// Exports the door's functions for a program, but for diagnostics.
#[macro_export]
macro_rules! export {
    ($program:ty) => {
        $crate::export_functions! { $program:
            tether_abi_version();
            tether_start(options: u32);
            tether_close();
            tether_define_layout(fixed_words: u32, fixed_references: u64, element_words: u32, element_references: u64);
            tether_allocate(layout: u32, length: u32);
            tether_allocate_leaf(size_bytes: u32);
            tether_allocate_conservative(size_bytes: u32);
            tether_allocate_small(granules: u32, template: u64);
            tether_allocate_aligned(layout: u32, length: u32, alignment: u32);
            tether_allocate_or_trap(layout: u32, length: u32);
            tether_allocate_leaf_or_trap(size_bytes: u32);
            tether_allocate_conservative_or_trap(size_bytes: u32);
            tether_allocate_small_or_trap(granules: u32, template: u64);
            tether_collect();
            tether_set_least_freed(percent: u32);
            tether_is_object(address: u32);
            tether_size_of(object: u32);
            tether_push(object: u32);
            tether_push_or_trap(object: u32);
            tether_pop();
            tether_truncate(depth: u32);
            tether_enter_scope();
            tether_leave_scope(keep: u32);
            tether_pin(object: u32);
            tether_unpin(object: u32);
            tether_add_roots(begin: u32, end: u32);
            tether_remove_roots(begin: u32);
            tether_register(wrapper: u32, kind: u32, handle: u32, weight_bytes: u32);
            tether_register_or_trap(wrapper: u32, kind: u32, handle: u32, weight_bytes: u32);
            tether_wrap(kind: u32, handle: u32, weight_bytes: u32);
            tether_wrap_or_trap(kind: u32, handle: u32, weight_bytes: u32);
            tether_handle_of(wrapper: u32, into: u32);
            tether_set_weight(wrapper: u32, weight_bytes: u32);
            tether_dispose(wrapper: u32);
            tether_drain(into: u32, max: u32);
            tether_pending();
        }
    };
}

/// Exports statistics, verifier and stress modes for a program.
#[macro_export]
macro_rules! export_diagnostics {
    ($program:ty) => {
        $crate::export_functions! { $program:
            tether_read_statistics(into: u32);
            tether_verify(at: u32);
            tether_stress(every: u32, modes: u32);
        }
    };
}

/// Exports functions of a door by their names.
#[doc(hidden)]
#[macro_export]
macro_rules! export_functions {
    ($program:ty: $($name:ident($($parameter:ident: $ty:ty),*);)*) => {
        const _: () = {
            $(
                #[unsafe(no_mangle)]
                extern "C" fn $name($($parameter: $ty),*) -> u32 {
                    $crate::Door::<$program>::$name($($parameter),*)
                }
            )*
        };
    };
}
