//! The core door's contract: its exports, its answers to what is wrong, and what compiled code
//! may do by itself.

use std::fmt::Write;

use tether_door::OptionWords;
use tether_gc::OptionName;
use tether_model::call::Code;
use tether_runner::subject::state::{
    COLOUR, CURSOR, END, LIMIT, STACK_BASE, STACK_LIMIT, STACK_TOP,
};
use wasmtime::{Engine, ExternType, Val};

use crate::bare_core::{BOUND, Core, SCRATCH, module};

/// Layouts 0 and 1.
const LEAF: u32 = 0;
const CONSERVATIVE: u32 = 1;

/// Name, kind and type of all that a module imports and exports, a line each.
fn interface(name: &str) -> String {
    let engine = Engine::default();
    let module = module(&engine, name);
    let mut lines: Vec<String> = module
        .imports()
        .map(|import| {
            format!("import {} {} {}", import.module(), import.name(), describe(&import.ty()))
        })
        .chain(
            module
                .exports()
                .map(|export| format!("export {} {}", export.name(), describe(&export.ty()))),
        )
        .collect();
    lines.sort();
    lines.join("\n") + "\n"
}

fn describe(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(function) => {
            let mut text = String::from("(");
            for (index, parameter) in function.params().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                write!(text, "{comma}{parameter}").unwrap();
            }
            text.push(')');
            for result in function.results() {
                write!(text, " -> {result}").unwrap();
            }
            text
        }
        ExternType::Global(global) => format!("global {}", global.content()),
        ExternType::Memory(_) => "memory".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_interface_is_what_was_promised() {
    // To promise more: change the file, the header and docs/core-abi.md with it.
    assert_eq!(interface("tether_gc.core.wasm"), include_str!("core_abi.txt"));
    let without_diagnostics: String = include_str!("core_abi.txt")
        .lines()
        .filter(|line| {
            ["tether_verify", "tether_read_statistics", "tether_stress"]
                .iter()
                .all(|name| !line.contains(name))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(interface("tether_gc.core-lean.wasm"), without_diagnostics);
}

#[test]
fn all_that_the_collector_keeps_lies_above_the_bound() {
    let mut core = Core::new();
    let pages = core.memory.size(&core.store) as usize;
    let mut below = vec![0; BOUND as usize];
    core.memory.read(&core.store, 0, &mut below).unwrap();
    assert!(below.iter().all(|&byte| byte == 0), "something is below the bound");
    assert!(core.state >= BOUND && pages >= 17);
    // A whole life leaves every byte below as it was.
    core.memory.write(&mut core.store, 0, &vec![0xa5; BOUND as usize]).unwrap();
    assert_eq!(core.call("start", &[0]), 0);
    let mut list = 0;
    for _ in 0..100_000 {
        list = core.pair(list, 0);
        let base = core.state(STACK_BASE);
        core.put(base, list);
        core.set_state(STACK_TOP, base + 4);
    }
    core.call("collect", &[]);
    assert_eq!(core.call("verify", &[0]), 0);
    core.memory.read(&core.store, 0, &mut below).unwrap();
    assert!(below.iter().all(|&byte| byte == 0xa5), "something was written below the bound");
}

#[test]
fn objects_are_described_by_layout_template_or_neither() {
    let mut core = Core::started();
    let node = core.layout((3, 0b101), (0, 0));
    let array = core.layout((0, 0), (1, 1));
    assert!(node > 1 && array > node);
    let inner = core.call("allocate", &[node, 0]);
    let outer = core.call("allocate", &[array, 1000]);
    let large = core.call("allocate", &[array, 100_000]);
    let conservative = core.call("allocate_conservative", &[24]);
    core.push_by_hand(large);
    core.put(large + 99_999 * 4, outer);
    core.put(outer + 4, conservative);
    core.put(conservative + 16, inner);
    let lost = core.call("allocate", &[node, 0]);
    // A scalar that looks like a reference keeps nothing.
    core.put(inner + 4, lost);
    core.call("collect", &[]);
    core.assert_sound();
    for object in [inner, outer, large, conservative] {
        assert!(core.is_object(object), "{object:#x} was lost");
    }
    assert!(!core.is_object(lost));
    assert_eq!(core.call("size_of", &[inner]), 16);
    assert_eq!(core.call("size_of", &[outer]), 4000);
    assert_eq!(core.get(inner), 0);
}

#[test]
fn leaves_of_every_size_can_be_had_side_by_side_with_traced_objects() {
    let mut core = Core::started();
    let mut kept = Vec::new();
    for round in 0..4 {
        for size in (0..400).chain([4_000, 8_192, 8_193, 100_000]) {
            let leaf = core.call("allocate_leaf", &[size]);
            assert_ne!(leaf, 0);
            core.put(leaf, leaf);
            let pair = core.pair(leaf, 0);
            if (size + round) % 3 == 0 {
                core.push_by_hand(pair);
                kept.push((pair, leaf));
            }
        }
        core.call("collect", &[]);
        core.assert_sound();
    }
    for (pair, leaf) in kept {
        assert_eq!(core.get(pair), leaf);
        assert_eq!(core.get(leaf), leaf);
    }
}

#[test]
fn aligned_objects_are_where_they_should_be() {
    let mut core = Core::started();
    for (layout, length) in [(LEAF, 40), (CONSERVATIVE, 5_000), (LEAF, 20_000)] {
        for shift in 0..=12 {
            let object = core.call("allocate_aligned", &[layout, length, 1 << shift]);
            assert_ne!(object, 0);
            assert_eq!(object % (1 << shift), 0);
            core.push_by_hand(object);
        }
    }
    core.call("collect", &[]);
    core.assert_sound();
    for alignment in [0, 3, 8192] {
        assert_eq!(core.call("allocate_aligned", &[LEAF, 8, alignment]), 0);
        assert_eq!(core.last_error().0, Code::OutOfBounds as u32);
    }
    let base = core.state(STACK_BASE);
    core.set_state(STACK_TOP, base);
    core.call("collect", &[]);
    core.assert_sound();
    assert_eq!(core.statistic(4), 0, "what was dead was not given back");
}

#[test]
fn what_compiled_code_bumps_and_pushes_is_taken_over() {
    let mut core = Core::started();
    core.pair(0, 0);
    let cursor = core.state(CURSOR);
    assert!(core.state(LIMIT) - cursor >= 16);
    // A pair of references, as compiled code makes it.
    core.set_state(CURSOR, cursor + 8);
    let metadata = (cursor & 0xffff_0000) | ((cursor & 0xffff) >> 3);
    let byte = core.state(COLOUR) as u8 | 0x20 | 3 << 3 | 4;
    core.memory.write(&mut core.store, metadata as usize, &[byte]).unwrap();
    core.push_by_hand(cursor);
    let other = core.pair(0, 0);
    assert_ne!(other, cursor);
    core.put(cursor, other);
    core.call("collect", &[]);
    core.assert_sound();
    assert!(core.is_object(cursor) && core.is_object(other));
    let top = core.state(STACK_TOP);
    core.set_state(STACK_TOP, top - 4);
    core.call("collect", &[]);
    assert!(!core.is_object(cursor) && !core.is_object(other));
}

#[test]
fn words_that_compiled_code_spoilt_are_an_error_or_cost_a_hole() {
    let mut core = Core::started();
    let kept = core.pair(0, 0);
    core.push_by_hand(kept);
    for cursor in [0, 1, 4, u32::MAX, 0x8000_0000] {
        core.set_state(CURSOR, cursor);
        assert_eq!(core.call("collect", &[]), 0);
        core.assert_sound();
        core.set_state(END, cursor);
        assert_ne!(core.call("allocate_conservative", &[24]), 0);
        core.assert_sound();
    }
    let top = core.state(STACK_TOP);
    let limit = core.state(STACK_LIMIT);
    for wrong in [0, top - 8, limit + 4, top + 1, u32::MAX] {
        core.set_state(STACK_TOP, wrong);
        assert_eq!(core.call("collect", &[]), Code::RootStackFull as u32);
        assert_eq!(core.call("allocate", &[LEAF, 8_000]), 0);
        assert_eq!(core.last_error(), (Code::RootStackFull as u32, 16_384));
    }
    core.set_state(STACK_TOP, top);
    assert_eq!(core.call("collect", &[]), 0);
    assert!(core.is_object(kept));
    core.assert_sound();
}

#[test]
fn words_on_the_stack_and_in_slots_that_are_no_references_do_no_harm() {
    let mut core = Core::started();
    let kept = core.pair(0, 0);
    let mut junk = vec![1, 3, 7, kept + 1, kept + 4, kept + 8, BOUND, u32::MAX, 0xffff_fff8];
    junk.extend((0..64).map(|index| kept.wrapping_add(index * 997)));
    core.push_by_hand(kept);
    for &word in &junk {
        core.push_by_hand(word);
        let holder = core.pair(word, word ^ 0x5555_5555);
        core.push_by_hand(holder);
    }
    for _ in 0..3 {
        assert_eq!(core.call("collect", &[]), 0);
    }
    assert!(core.is_object(kept));
    assert_eq!(core.get(kept), 0);
}

#[test]
fn in_a_scope_every_object_comes_to_the_collector_and_lives() {
    let mut core = Core::started();
    core.pair(0, 0);
    assert_eq!(core.call("enter_scope", &[]), 0);
    assert_eq!(core.state(CURSOR), core.state(LIMIT));
    let inside: Vec<u32> = (0..100)
        .map(
            |index| {
                if index % 2 == 0 { core.pair(0, 0) } else { core.call("allocate_leaf", &[20]) }
            },
        )
        .collect();
    core.call("collect", &[]);
    assert!(inside.iter().all(|&object| core.is_object(object)));
    core.assert_sound();
    assert_eq!(core.call("leave_scope", &[inside[0]]), 0);
    assert!(core.state(CURSOR) <= core.state(LIMIT));
    core.call("collect", &[]);
    assert!(!inside.iter().any(|&object| core.is_object(object)));
    assert_eq!(core.call("leave_scope", &[0]), Code::NoScope as u32);
}

#[test]
fn the_shadow_stack_is_where_and_as_large_as_was_asked() {
    let place = 65_536;
    let mut core = Core::with_options(OptionWords {
        root_capacity: 10,
        stack_base: place,
        ..OptionWords::default()
    });
    assert_eq!(core.state(STACK_BASE), place);
    assert_eq!(core.state(STACK_TOP), place);
    assert_eq!(core.state(STACK_LIMIT), place + 40);
    let objects: Vec<u32> = (0..10).map(|_| core.pair(0, 0)).collect();
    for &object in &objects {
        assert_eq!(core.call("push", &[object]), 0);
    }
    assert_eq!(core.state(STACK_TOP), core.state(STACK_LIMIT));
    assert_eq!(core.call("push", &[objects[0]]), Code::RootStackFull as u32);
    assert_eq!(core.call("enter_scope", &[]), Code::RootStackFull as u32);
    // Registering roots its wrapper all the same.
    core.call("collect", &[]);
    core.assert_sound();
    assert!(objects.iter().all(|&object| core.is_object(object)));
    assert_eq!(core.call("pop", &[]), objects[9]);
    assert_eq!(core.call("truncate", &[2]), 0);
    assert_eq!(core.call("truncate", &[3]), Code::NoSuchRoot as u32);
    assert_eq!(core.state(STACK_TOP), place + 8);
    assert_eq!(core.call("close", &[]), 0);
    assert_eq!(core.state(STACK_LIMIT), 0);
}

#[test]
fn ranges_are_scanned_and_a_pointer_into_an_object_keeps_it() {
    let mut core = Core::started();
    let (begin, end) = (65_536, 65_536 + 64);
    let pair = core.pair(0, 0);
    let leaf = core.call("allocate_leaf", &[500]);
    let large = core.call("allocate_leaf", &[50_000]);
    core.put(begin + 4, pair);
    core.put(begin + 8, leaf + 499);
    core.put(end - 4, large + 40_000);
    assert_eq!(core.call("add_roots", &[begin, end]), 0);
    core.call("collect", &[]);
    for object in [pair, leaf, large] {
        assert!(core.is_object(object));
    }
    // A range that was added again has another end.
    assert_eq!(core.call("add_roots", &[begin, begin + 8]), 0);
    core.call("collect", &[]);
    assert!(core.is_object(pair) && !core.is_object(leaf) && !core.is_object(large));
    assert_eq!(core.call("remove_roots", &[begin]), 0);
    core.call("collect", &[]);
    assert!(!core.is_object(pair));
    assert_eq!(core.call("remove_roots", &[begin]), Code::NoSuchRoot as u32);
    assert_eq!(core.call("add_roots", &[begin, 0]), Code::OutOfBounds as u32);
    assert_eq!(core.call("add_roots", &[begin, begin - 4]), Code::OutOfBounds as u32);
    assert_eq!(core.call("add_roots", &[begin, u32::MAX]), Code::OutOfBounds as u32);
    core.assert_sound();
}

#[test]
fn handles_that_the_program_does_not_take_wait_to_be_drained() {
    let mut core = Core::started();
    for handle in 0..1000 {
        assert_ne!(core.call("wrap", &[7, handle, 0]), 0);
    }
    core.call("collect", &[]);
    assert_eq!(core.call("pending", &[]), 1000);
    let mut drained = Vec::new();
    loop {
        let count = core.call("drain", &[SCRATCH, 300]);
        if count == 0 {
            break;
        }
        for index in 0..count {
            assert_eq!(core.get(SCRATCH + index * 8), 7);
            drained.push(core.get(SCRATCH + index * 8 + 4));
        }
    }
    drained.sort_unstable();
    assert_eq!(drained, (0..1000).collect::<Vec<_>>());
    assert!(core.store.data().released.is_empty());
}

#[test]
fn what_the_program_takes_in_part_comes_once() {
    let mut core = Core::started();
    core.store.data_mut().takes = 100;
    for handle in 0..1000 {
        core.call("wrap", &[7, handle, 0]);
    }
    core.call("collect", &[]);
    assert_eq!(core.store.data().answer_inside, Some(Code::Busy as u32));
    assert!(core.store.data().allocated_inside.len() >= 3);
    assert!(core.store.data().allocated_inside.iter().all(|&object| object == 0));
    core.assert_sound();
    let taken = core.store.data().released.len() as u32;
    assert!(taken > 0);
    assert_eq!(core.call("pending", &[]), 1000 - taken);
    core.store.data_mut().takes = u32::MAX;
    core.call("wrap", &[7, 1000, 0]);
    assert_eq!(core.call("close", &[]), 0);
    let mut released = core.store.data().released.clone();
    released.sort_unstable();
    assert_eq!(released, (0..=1000).collect::<Vec<_>>());
    assert_eq!(core.call("drain", &[SCRATCH, 10]), 0);
    assert_eq!(core.statistic(2), 0, "a closed heap keeps memory");
}

#[test]
fn a_closed_heap_keeps_what_was_not_taken() {
    let mut core = Core::started();
    for handle in 0..100 {
        core.call("wrap", &[7, handle, 0]);
    }
    assert_eq!(core.call("close", &[]), 0);
    assert_eq!(core.call("close", &[]), Code::Closed as u32);
    assert_eq!(core.call("allocate", &[LEAF, 8]), 0);
    assert_eq!(core.call("allocate_leaf", &[8]), 0);
    assert_eq!(core.small(1, 4), 0);
    assert_eq!(core.last_error().0, Code::Closed as u32);
    // The answer may lie at an odd address.
    assert_eq!(core.call("drain", &[SCRATCH + 1, 1000]), 100);
    let mut handles: Vec<u32> =
        (0..100).map(|index| core.get(SCRATCH + 1 + index * 8 + 4)).collect();
    handles.sort_unstable();
    assert_eq!(handles, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_table_in_which_all_is_live_is_full_and_the_next_handle_stays_the_callers() {
    let mut core = Core::with_options(OptionWords {
        wrap_capacity: 8,
        handle_floor: 8,
        ..OptionWords::default()
    });
    for handle in 0..8 {
        let wrapper = core.call("wrap", &[1, handle, 0]);
        core.push_by_hand(wrapper);
    }
    assert_eq!(core.call("wrap", &[1, 8, 0]), 0);
    assert_eq!(core.last_error(), (Code::WrapTableFull as u32, 8));
    let plain = core.pair(0, 0);
    assert_eq!(core.call("register", &[plain, 1, 9, 0]), Code::WrapTableFull as u32);
    assert!(core.is_object(plain), "the wrapper in flight was swept");
    let top = core.state(STACK_TOP);
    core.set_state(STACK_TOP, top - 4);
    assert_eq!(core.call("register", &[plain, 1, 9, 0]), 0);
    assert_eq!(core.call("pending", &[]), 1);
    core.assert_sound();
}

#[test]
fn wrappers_weights_and_pins_answer_for_what_they_are() {
    let mut core = Core::started();
    let object = core.pair(0, 0);
    core.push_by_hand(object);
    assert_eq!(core.call("set_weight", &[object, 5]), Code::NotRegistered as u32);
    assert_eq!(core.call("register", &[object, 3, 42, 1000]), 0);
    assert_eq!(core.call("register", &[object, 3, 43, 0]), Code::AlreadyRegistered as u32);
    assert_eq!(core.call("handle_of", &[object, SCRATCH]), 0);
    assert_eq!((core.get(SCRATCH), core.get(SCRATCH + 4)), (3, 42));
    // The weight is large enough for a collection at the next registration.
    let before = core.collections();
    assert_eq!(core.call("set_weight", &[object, 200 << 20]), 0);
    core.call("wrap", &[3, 44, 1]);
    assert_eq!(core.collections(), before + 1);
    assert_eq!(core.call("dispose", &[object]), 0);
    assert_eq!(core.call("dispose", &[object]), Code::NotRegistered as u32);
    assert_eq!(core.call("handle_of", &[object, SCRATCH]), Code::NotRegistered as u32);
    let pinned = core.pair(0, 0);
    assert_eq!(core.call("pin", &[pinned]), 0);
    assert_eq!(core.call("pin", &[pinned]), 0);
    assert_eq!(core.call("unpin", &[pinned]), 0);
    core.call("collect", &[]);
    assert!(core.is_object(pinned));
    assert_eq!(core.call("unpin", &[pinned]), 0);
    assert_eq!(core.call("unpin", &[pinned]), Code::NotPinned as u32);
    core.call("collect", &[]);
    assert!(!core.is_object(pinned));
    core.assert_sound();
}

#[test]
fn a_wrapper_in_the_window_is_registered_where_it_lies() {
    let mut core = Core::with_options(OptionWords {
        wrap_capacity: 16,
        wrap_limit: 16,
        handle_floor: 1 << 20,
        ..OptionWords::default()
    });
    let first = core.small(1, 4);
    core.push_by_hand(first);
    let (mut registered, mut bumped) = (0, 0);
    for handle in 0..100 {
        let mut object = core.state(CURSOR);
        if core.state(LIMIT) - object < 8 {
            // After a collection the window is empty until the next hole is found.
            object = core.small(1, 4);
        } else {
            // Compiled code makes the object, so the heap does not know of it yet.
            core.set_state(CURSOR, object + 8);
            let at = (object & 0xffff_0000) | ((object & 0xffff) >> 3);
            let described = (core.get(at) & !0xff) | core.state(COLOUR) | 4;
            core.put(at, described);
            bumped += 1;
        }
        assert_eq!(core.call("register", &[object, 7, handle, 0]), 0);
        assert_eq!(core.call("register", &[object, 7, handle, 0]), Code::AlreadyRegistered as u32);
        assert_eq!(core.call("register", &[object + 4, 7, handle, 0]), Code::InvalidRef as u32);
        registered += 1;
    }
    assert!(bumped > 80);
    // A full table has had its collections, and what died in them came back once.
    assert!(core.collections() >= 5);
    let large = core.call("allocate", &[CONSERVATIVE, 20_000]);
    assert_eq!(core.call("register", &[large, 7, 100, 0]), 0);
    core.call("collect", &[]);
    core.assert_sound();
    let count = core.call("drain", &[SCRATCH, 1000]);
    let mut handles: Vec<u32> = (0..count).map(|index| core.get(SCRATCH + index * 8 + 4)).collect();
    handles.sort_unstable();
    assert_eq!(handles, (0..=registered).collect::<Vec<_>>());
    assert_eq!(core.call("close", &[]), 0);
    assert_eq!(core.call("register", &[first, 7, 0, 0]), Code::Closed as u32);
}

#[test]
fn bad_arguments_are_named() {
    let mut core = Core::started();
    assert_eq!(core.call("start", &[0]), Code::AlreadyStarted as u32);
    for wrong in [0, 8, BOUND, u32::MAX] {
        assert_eq!(core.call("register", &[wrong, 1, 1, 0]), Code::InvalidRef as u32);
        assert_eq!(core.last_error(), (Code::InvalidRef as u32, wrong));
        assert_eq!(core.call("pin", &[wrong]), Code::InvalidRef as u32);
        assert_eq!(core.call("size_of", &[wrong]), 0);
    }
    assert_eq!(core.call("allocate", &[99, 1]), 0);
    assert_eq!(core.last_error(), (Code::InvalidLayout as u32, 99));
    assert_eq!(core.layout((65, 0), (0, 0)), 0);
    assert_eq!(core.last_error(), (Code::InvalidLayout as u32, 65));
    for granules in [0, 9, 0x2000_0000, u32::MAX] {
        assert_eq!(core.small(granules, 4), 0);
        assert_eq!(core.last_error().0, Code::InvalidLayout as u32);
    }
    for size in [0x7fff_0001, 0xffff_fff0, 0xffff_ffff] {
        assert_eq!(core.call("allocate_leaf", &[size]), 0);
        assert_eq!(core.last_error().0, Code::OutOfMemory as u32);
        assert_eq!(core.call("allocate_conservative", &[size]), 0);
    }
    let nowhere = u32::MAX - 4;
    let object = core.call("wrap", &[1, 1, 0]);
    assert_eq!(core.call("handle_of", &[object, nowhere]), Code::OutOfBounds as u32);
    assert_eq!(core.call("read_statistics", &[nowhere]), Code::OutOfBounds as u32);
    core.call("collect", &[]);
    assert_eq!(core.call("drain", &[nowhere, 1]), 0);
    assert_eq!(core.call("pending", &[]), 1, "a handle was lost");
    core.assert_sound();
}

#[test]
fn bad_options_are_named_and_the_heap_can_still_be_started() {
    let mut core = Core::new();
    let defaults = OptionWords::default();
    for (options, name) in [
        (OptionWords { sizing: 9, ..defaults }, OptionName::Sizing),
        (OptionWords { root_capacity: 1 << 27, ..defaults }, OptionName::RootCapacity),
        (OptionWords { wrap_capacity: 1 << 27, ..defaults }, OptionName::WrapCapacity),
    ] {
        core.configure(options);
        assert_eq!(core.call("start", &[SCRATCH]), Code::InvalidOption as u32, "{name:?}");
        assert_eq!(core.last_error(), (Code::InvalidOption as u32, name as u32));
    }
    core.configure(OptionWords {
        root_capacity: 1000,
        stack_base: u32::MAX - 8,
        ..OptionWords::default()
    });
    assert_eq!(core.call("start", &[SCRATCH]), Code::OutOfBounds as u32);
    assert_eq!(core.call("start", &[u32::MAX - 8]), Code::OutOfBounds as u32);
    assert_eq!(core.call("start", &[0]), 0);
}

#[test]
fn the_trapping_forms_trap_and_the_others_do_not() {
    for (name, words) in [
        ("allocate_or_trap", &[LEAF, 1 << 20][..]),
        ("allocate_leaf_or_trap", &[1 << 20]),
        ("allocate_conservative_or_trap", &[1 << 20]),
        ("push_or_trap", &[12]),
        ("register_or_trap", &[12, 1, 1, 0]),
    ] {
        let values: Vec<Val> = words.iter().map(|&word| Val::I32(word as i32)).collect();
        let mut core =
            Core::with_options(OptionWords { heap_limit_bytes: 600_000, ..OptionWords::default() });
        let plain = name.trim_end_matches("_or_trap");
        let answer = core.call_with(plain, &values).expect("this form does not trap");
        assert_eq!(answer != 0, plain == "push" || plain == "register", "{plain} worked");
        assert!(core.call_with(name, &values).is_err(), "{name} did not trap");
    }
    let mut core = Core::with_options(OptionWords {
        wrap_capacity: 1,
        handle_floor: 1,
        ..OptionWords::default()
    });
    let wrapper = core.call("wrap_or_trap", &[1, 1, 0]);
    core.push_by_hand(wrapper);
    let values = [1, 2, 0].map(Val::I32);
    assert!(core.call_with("wrap_or_trap", &values).is_err());
}

#[test]
fn memory_that_does_not_grow_is_an_error_and_nothing_is_lost() {
    let mut core = Core::started();
    let first = core.pair(0, 0);
    core.push_by_hand(first);
    core.store.data_mut().refuses_growth = true;
    let mut list = first;
    loop {
        let node = core.pair(list, 0);
        if node == 0 {
            break;
        }
        list = node;
        let base = core.state(STACK_BASE);
        core.put(base, list);
    }
    assert_eq!(core.last_error(), (Code::OutOfMemory as u32, 8));
    assert_eq!(core.call("allocate_leaf", &[100_000]), 0);
    core.assert_sound();
    let mut length = 0;
    let mut at = list;
    while at != 0 {
        length += 1;
        at = core.get(at);
    }
    assert!(length > 1000);
    core.store.data_mut().refuses_growth = false;
    assert_ne!(core.pair(0, 0), 0);
    core.assert_sound();
}

#[test]
fn under_stress_every_allocation_comes_to_the_collector() {
    let mut core = Core::with_options(OptionWords { stress: 1, ..OptionWords::default() });
    let kept = core.pair(0, 0);
    core.push_by_hand(kept);
    let before = core.collections();
    let lost = core.pair(0, 0);
    // The next object may have the place of the lost one.
    let next = core.pair(0, 0);
    assert_eq!(core.collections(), before + 2);
    assert!(core.is_object(kept) && (next == lost || !core.is_object(lost)));
}
