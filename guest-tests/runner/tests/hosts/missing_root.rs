//! A missing root comes to light: in a guest that has one, on every host, and at the
//! collector's doors.

use serde_json::{Value, json};

use crate::bare::{ErrorCode, LEAF, fresh_wasi};
use crate::guests::Guest;
use crate::support::{Host, on_every_host};

const GUEST: Guest =
    Guest { artifact: "c-missing-root.wasm", interface: ["tether:c-guest", "pairs", "0.1.0"] };
const ROUNDS: u32 = 1_000;
/// `TETHER_POISON`, `TETHER_QUARANTINE`.
const POISON: u32 = 1;
const QUARANTINE: u32 = 2;

on_every_host![quarantine_names_the_object_that_no_root_kept];

fn add_up(host: Host, every: u32, modes: u32) -> Value {
    GUEST.call(host, &json!([["add-up", ROUNDS, every, modes]])).answers.remove(0)
}

fn quarantine_names_the_object_that_no_root_kept(host: Host) {
    let sum = 3 * (0..ROUNDS).sum::<u32>();
    // Without stress nobody sees the mistake. With stress the sum is wrong, but there is no
    // error.
    assert_eq!(add_up(host, 0, 0), sum);
    let wrong = add_up(host, 1, 0);
    assert!(wrong.is_u64() && wrong != sum, "{wrong}");
    for modes in [QUARANTINE, QUARANTINE | POISON] {
        let named = add_up(host, 1, modes);
        let object = named["error"].as_u64().unwrap_or_else(|| panic!("no error: {named}"));
        assert!(object > 0 && object.is_multiple_of(8), "{named}");
    }
}

/// The collector for WASI says so on stderr, too.
#[test]
fn the_collector_for_wasi_hosts_tells_which_object_was_freed() {
    for (options, is_told) in
        [("stress=1,quarantine=1,poison=1,verify=1", true), ("stress=1", false)]
    {
        let mut heap = fresh_wasi(Some(options));
        let lost = heap.allocate(LEAF, 24).unwrap();
        let next = heap.allocate(LEAF, 24).unwrap();
        let answer = heap.push(lost);
        let stderr = String::from_utf8(heap.world().wasi.stderr.clone()).unwrap();
        let line = format!("tether-gc: {lost:#x} was freed by the last collection");
        assert_eq!(stderr.contains(&line), is_told, "{options}: {stderr}");
        // Without quarantine the next object has the dead one's address, and nothing fails.
        match answer {
            Err(error) => {
                assert_eq!((error.code, error.value), (ErrorCode::InvalidRef, lost));
                assert_ne!(next, lost);
            }
            Ok(()) => assert_eq!(next, lost),
        }
        assert_eq!(answer_is_error(&mut heap, lost), is_told);
        heap.assert_sound();
    }
}

fn answer_is_error(heap: &mut crate::bare::Heap, object: u32) -> bool {
    heap.get(object, 0).is_err()
}
