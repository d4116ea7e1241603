//! The collector that pushes: released handles come to the host by themselves,
//! each once, and a `release` that calls back in does no harm.
//!
//! The host decides whether such a call reaches the collector. wasmtime 48 stops it ("cannot
//! enter component instance") if its support for concurrency is on. In these tests that support
//! is off, and jco never checks, so the collector answers on both hosts.

use serde_json::json;

use crate::bare::{ErrorCode, LEAF, code, fresh_push};
use crate::support::{artifact, jco_harness, on_every_jco, run_json};

#[test]
fn every_handle_comes_once_without_draining() {
    const WRAPPERS: u32 = 100_000;
    let mut heap = fresh_push();
    for handle in 0..WRAPPERS {
        heap.wrap(7, handle, 0).unwrap();
        assert_eq!(heap.pending(), 0);
    }
    heap.close().unwrap();
    assert!(heap.drain_all().is_empty());
    let batches = &heap.world().releases.batches;
    assert!(batches.len() < WRAPPERS as usize / 100, "they come in batches");
    assert!(batches.iter().all(|batch| !batch.is_empty()));
    let mut released: Vec<u32> = batches.concat();
    released.sort_unstable();
    assert_eq!(released, (0..WRAPPERS).collect::<Vec<u32>>());
    assert_eq!(heap.statistics().handles_released, u64::from(WRAPPERS));
}

#[test]
fn dispose_pushes_at_once() {
    let mut heap = fresh_push();
    let wrapper = heap.wrap(7, 42, 0).unwrap();
    heap.push(wrapper).unwrap();
    heap.dispose(wrapper).unwrap();
    assert_eq!(heap.world().releases.batches, [[42]]);
    assert_eq!(code(heap.dispose(wrapper)), ErrorCode::NotRegistered);
    heap.close().unwrap();
    assert_eq!(heap.world().releases.batches, [[42]]);
}

#[test]
fn a_release_that_calls_back_in_finds_it_busy_on_wasmtime() {
    let mut heap = fresh_push();
    heap.call_back_from_release();
    for handle in 0..1000 {
        heap.wrap(7, handle, 0).unwrap();
    }
    heap.collect().unwrap();
    let releases = &heap.world().releases;
    let mut released = releases.batches.concat();
    released.sort_unstable();
    assert_eq!(released, (0..1000).collect::<Vec<u32>>());
    assert_eq!(releases.answers, vec![Some(ErrorCode::Busy); releases.batches.len()]);
    heap.assert_sound();
    assert_eq!(heap.statistics().handles_released, 1000);
    heap.allocate(LEAF, 8).unwrap();
}

on_every_jco![a_release_that_calls_back_in_finds_it_busy];

fn a_release_that_calls_back_in_finds_it_busy(version: &str) {
    let (exit, seen) =
        run_json(jco_harness("push.mjs", version).arg(artifact("tether-gc-push.wasm")));
    assert_eq!(exit, 0, "{seen}");
    assert_eq!(seen["registered"], 10_000, "{seen}");
    assert_eq!(seen["released"], 10_000, "{seen}");
    assert_eq!(seen["released_twice"], 0, "{seen}");
    assert_eq!(seen["answers"], json!(["busy"]), "{seen}");
    assert_eq!(seen["violation"], json!(null), "{seen}");
    assert!(seen["batches"].as_u64().unwrap() >= 2, "{seen}");
}
