//! W6: handles of the host, each owned by a wrapper that dies at once.

use alloc::vec::Vec;

use crate::bindings::tether::bench::host;
use crate::bindings::tether::gc::{heap, wrappers};
use crate::trees::must;

const KIND: u32 = 1;
const BATCH: usize = 1024;

/// Wraps each handle with a call of its own.
pub fn one_by_one(thousands: i32) -> i64 {
    for _ in 0..thousands {
        for _ in 0..1000 {
            must(wrappers::wrap(KIND, host::acquire(), 0));
        }
        drain();
    }
    release_all();
    i64::from(thousands)
}

/// Wraps a thousand handles with each call.
pub fn batched(thousands: i32) -> i64 {
    let mut handles = Vec::with_capacity(1000);
    for _ in 0..thousands {
        handles.clear();
        handles.extend((0..1000).map(|_| host::acquire()));
        must(wrappers::wrap_many(KIND, &handles, 0));
        drain();
    }
    release_all();
    i64::from(thousands)
}

/// Acquires and releases handles without a collector: the cost of the host alone.
pub fn crossings(thousands: i32) -> i64 {
    for _ in 0..thousands {
        for _ in 0..1000 {
            host::release(host::acquire());
        }
    }
    i64::from(thousands)
}

fn release_all() {
    must(heap::collect());
    drain();
}

fn drain() {
    loop {
        let dead = wrappers::drain(BATCH as u32);
        for one in &dead {
            host::release(one.handle);
        }
        if dead.len() < BATCH {
            return;
        }
    }
}
