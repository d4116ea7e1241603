//! `build`: many objects from one program. Small objects are made in a loop of their own, which
//! must do what the general way does. In a scope the general way makes all of them.

mod common;

use common::{at_size, heap};
use tether_gc::memory::model::ModelMemory;
use tether_gc::{BuildError, Error, Heap, LayoutId, Options, Reference, Words};

const PUSH: u32 = 2;
/// The instruction that pops one root.
const DROP_ONE: u32 = 1 << 8 | 3;

/// The instruction that makes a leaf of `bytes` bytes.
const fn leaf(bytes: u32) -> u32 {
    bytes << 8
}

/// The instruction that makes an object of a layout.
const fn object(layout: LayoutId) -> u32 {
    layout << 8 | 1
}

/// The instruction that makes an object of a layout with nothing in it.
const fn new(layout: LayoutId) -> u32 {
    layout << 8 | 4
}

/// A heap with room at hand, as it has after its first object.
fn heap_with_room(options: Options) -> Heap<ModelMemory> {
    let mut heap = heap(options);
    heap.allocate(0, 8).unwrap();
    heap
}

/// The bytes of an object.
fn content(heap: &Heap<ModelMemory>, object: Reference) -> Vec<u8> {
    let mut bytes = vec![0; heap.size_of(object).unwrap() as usize];
    heap.read_bytes(object, 0, &mut bytes).unwrap();
    bytes
}

#[test]
fn objects_are_made_in_postfix_order() {
    let mut heap = heap(Options::DEFAULT);
    let pair = heap.define_layout(Words::new(3, 0b101), Words::NONE).unwrap();
    let list = heap.define_layout(Words::new(1, 0), Words::new(1, 1)).unwrap();
    // (leaf "abcde", pair {leaf, 7, null}, list [pair, leaf])
    let program = [
        5 << 8,
        u32::from_le_bytes(*b"abcd"),
        u32::from(b'e'),
        2,
        0,
        pair << 8 | 1,
        0,
        7,
        4 << 8,
        u32::from_le_bytes(*b"wxyz"),
        list << 8 | 1,
        2,
        99,
    ];
    assert_eq!(heap.build(&program), Ok(1));
    let root = heap.root(0).unwrap();
    heap.collect().unwrap();
    assert_eq!(heap.get(root, 0), Ok(99));
    let (first, second) = (heap.get(root, 1).unwrap(), heap.get(root, 2).unwrap());
    let mut bytes = [0; 4];
    heap.read_bytes(second, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"wxyz");
    assert_eq!(heap.get(first, 1), Ok(7));
    assert_eq!(heap.get(first, 2), Ok(0));
    let leaf = heap.get(first, 0).unwrap();
    let mut bytes = [0; 8];
    heap.read_bytes(leaf, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"abcde\0\0\0");
    assert_eq!(heap.verify(), None);
}

#[test]
fn a_program_stops_at_the_failing_instruction() {
    let mut heap = heap(Options { root_capacity: 4, ..Options::DEFAULT });
    let pair = heap.define_layout(Words::new(2, 0b11), Words::NONE).unwrap();
    let stopped = |at, reason| Err(BuildError { at, reason });
    let cut_off = |word| Error::InvalidInstruction { word };
    assert_eq!(heap.build(&[2, 0, 9]), stopped(2, cut_off(9)));
    assert_eq!(heap.depth(), 1, "what came before stands");
    assert_eq!(heap.build(&[8 << 8, 1]), stopped(0, cut_off(8 << 8)));
    assert_eq!(heap.build(&[pair << 8 | 1]), stopped(0, cut_off(pair << 8 | 1)));
    assert_eq!(heap.build(&[9 << 8 | 3]), stopped(0, Error::NoSuchRoot { index: 9 }));
    assert_eq!(heap.build(&[77 << 8 | 1, 0]), stopped(0, Error::InvalidLayout { layout: 77 }));
    assert_eq!(heap.build(&[u32::MAX << 8]), stopped(0, cut_off(u32::MAX << 8)));
    let full = Error::RootStackFull { capacity: 4 };
    assert_eq!(heap.build(&[2, 0, 2, 0, 2, 0, 2, 0]), stopped(6, full));
    assert_eq!(heap.build(&[0]), stopped(0, full));
    // Two roots are popped, so one can be pushed.
    assert_eq!(heap.build(&[pair << 8 | 1, 0]), Ok(3));
    assert_eq!(heap.build(&[3 << 8 | 3]), Ok(0));
    assert_eq!(heap.build(&[]), Ok(0));
    assert_eq!(heap.verify(), None);
}

#[test]
fn small_objects_have_their_words_where_the_layout_says() {
    for words in (1..=17).step_by(at_size(1, 15) as usize) {
        for references in [0, 1, 0b10, 0b101, 0b1_0110_1001, 1 << (words - 1), u64::MAX] {
            let references = references & ((1 << words) - 1);
            let mut heap = heap_with_room(Options::DEFAULT);
            let layout = heap.define_layout(Words::new(words, references), Words::NONE).unwrap();
            let mut program = Vec::new();
            let mut scalars = Vec::new();
            for index in 0..words {
                match references >> index & 1 {
                    // A leaf whose content differs from the others'.
                    1 => program.extend([leaf(4), 1_000 + index]),
                    _ => scalars.push(2_000 + index),
                }
            }
            program.extend([object(layout), 0]);
            program.extend(scalars);
            // The layout is known when the second and the third object are made.
            assert_eq!(heap.build(&program.repeat(3)), Ok(3));
            for depth in 0..3 {
                let made = heap.root(depth).unwrap();
                for index in 0..words {
                    let word = heap.get(made, index).unwrap();
                    match references >> index & 1 {
                        1 => assert_eq!(heap.get(word, 0), Ok(1_000 + index)),
                        _ => assert_eq!(word, 2_000 + index),
                    }
                }
                assert_eq!(heap.size_of(made), Ok(words.next_multiple_of(2) * 4));
            }
            heap.collect().unwrap();
            assert_eq!(heap.verify(), None, "{words} words, references {references:b}");
        }
    }
}

#[test]
fn leaves_of_all_small_sizes_have_their_bytes_and_then_zeros() {
    let mut heap = heap_with_room(Options::DEFAULT);
    let mut program = Vec::new();
    let sizes = || (0..=80).step_by(at_size(1, 16) as usize);
    let bytes = |size: u32| (1..=size).map(|byte| byte as u8);
    for size in sizes() {
        program.push(leaf(size));
        let bytes: Vec<u8> = bytes(size).collect();
        program.extend(bytes.chunks(4).map(|word| {
            let mut whole = [0; 4];
            whole[..word.len()].copy_from_slice(word);
            u32::from_le_bytes(whole)
        }));
    }
    assert_eq!(heap.build(&program), Ok(sizes().count() as u32));
    for (root, size) in (0..).zip(sizes()) {
        let made = heap.root(root).unwrap();
        let granules = size.div_ceil(8).max(1);
        assert_eq!(heap.size_of(made), Ok(granules * 8), "{size} bytes");
        let expected: Vec<u8> =
            bytes(size).chain(std::iter::repeat(0)).take(granules as usize * 8).collect();
        assert_eq!(content(&heap, made), expected, "{size} bytes");
    }
    heap.collect().unwrap();
    assert_eq!(heap.verify(), None);
}

#[test]
fn an_object_wants_as_many_roots_as_it_has_references() {
    for references in (1..=8).step_by(at_size(1, 7) as usize) {
        let mut heap = heap_with_room(Options::DEFAULT);
        let all = Words::new(references, (1 << references) - 1);
        let layout = heap.define_layout(all, Words::NONE).unwrap();
        for depth in 0..references {
            let mut program = [PUSH, 0].repeat(depth as usize);
            program.extend([object(layout), 0]);
            // A program that could not have enough of either would be cut off.
            program.extend([PUSH, 0].repeat(8));
            let expected =
                BuildError { at: 2 * depth, reason: Error::NoSuchRoot { index: references } };
            assert_eq!(heap.build(&program), Err(expected), "{depth} of {references} roots");
            assert_eq!(heap.depth(), depth);
            heap.truncate(0).unwrap();
        }
        let mut program = [PUSH, 0].repeat(references as usize);
        program.extend([object(layout), 0]);
        assert_eq!(heap.build(&program), Ok(1));
        assert_eq!(heap.verify(), None);
    }
}

#[test]
fn a_new_object_is_null_and_zero() {
    let mut heap = heap_with_room(Options::DEFAULT);
    let node = heap.define_layout(Words::new(3, 0b11), Words::NONE).unwrap();
    let array = heap.define_layout(Words::new(1, 0), Words::new(2, 0b01)).unwrap();
    let scalars = heap.define_layout(Words::new(2, 0), Words::NONE).unwrap();
    // The object gets the room of a dead one.
    let old = [leaf(16), !0, !0, !0, !0, DROP_ONE].repeat(100);
    heap.build(&old).unwrap();
    heap.collect().unwrap();
    let kinds = [(node, 0, 16), (array, 2, 24), (scalars, 0, 8), (0, 12, 16), (1, 12, 16)];
    let large = [(array, 2_000, 16_008), (0, 20_000, 20_000)];
    for (layout, length, size_bytes) in kinds.into_iter().chain(large) {
        // The second time the layout is known.
        let program = [new(layout), length].repeat(2);
        assert_eq!(heap.build(&program), Ok(2), "{layout}");
        for index in 0..2 {
            let made = heap.root(index).unwrap();
            assert_eq!(heap.size_of(made), Ok(size_bytes));
            assert!(content(&heap, made).iter().all(|&byte| byte == 0), "{layout}");
        }
        heap.truncate(0).unwrap();
    }
    // What it is made of is traced: its references, and a node's third word is none.
    assert_eq!(heap.build(&[new(node), 0, leaf(4), 7]), Ok(2));
    let (made, held) = (heap.root(0).unwrap(), heap.root(1).unwrap());
    heap.set(made, 1, held).unwrap();
    heap.truncate(1).unwrap();
    heap.collect().unwrap();
    assert_eq!(heap.get(held, 0), Ok(7));
    assert_eq!(heap.set(made, 2, 12_345), Ok(()));
    assert_eq!(heap.set(made, 0, 12_345), Err(Error::InvalidRef { reference: 12_345 }));
    let stopped = |at, reason| Err(BuildError { at, reason });
    assert_eq!(heap.build(&[new(node)]), stopped(0, Error::InvalidInstruction { word: new(node) }));
    let no_elements = Error::InvalidLayout { layout: node };
    assert_eq!(heap.build(&[new(node), 1]), stopped(0, no_elements));
    let unknown = Error::InvalidLayout { layout: 77 };
    assert_eq!(heap.build(&[new(77), 0]), stopped(0, unknown));
    // Nothing that was remembered is taken for another instruction, nor is what is no
    // instruction, wherever it stands.
    for no_instruction in [u32::MAX, 5, 0xff, new(node) | 8, PUSH | 1 << 31] {
        let reason = Error::InvalidInstruction { word: no_instruction };
        assert_eq!(heap.build(&[no_instruction, 0, 0]), stopped(0, reason));
        let program = [new(node), 0, no_instruction, 0, 0];
        assert_eq!(heap.build(&program), stopped(2, reason));
        heap.truncate(1).unwrap();
    }
    assert_eq!(heap.verify(), None);
}

#[test]
fn many_kinds_of_objects_take_turns() {
    let mut heap = heap_with_room(Options::DEFAULT);
    let layouts: Vec<LayoutId> = (1..=16)
        .map(|words| heap.define_layout(Words::new(words, 0), Words::NONE).unwrap())
        .collect();
    let mut program = Vec::new();
    for (&layout, words) in layouts.iter().zip(1..) {
        program.extend([object(layout), 0]);
        program.extend((0..words).map(|index| words << 8 | index));
        program.extend([new(layout), 0]);
    }
    assert_eq!(heap.build(&program.repeat(2)), Ok(64));
    for index in 0..64 {
        let words = index / 2 % 16 + 1;
        let made = heap.root(index).unwrap();
        assert_eq!(heap.size_of(made), Ok(words.next_multiple_of(2) * 4));
        for word in 0..words {
            let expected = if index % 2 == 0 { words << 8 | word } else { 0 };
            assert_eq!(heap.get(made, word), Ok(expected));
        }
    }
    assert_eq!(heap.verify(), None);
}

#[test]
fn the_last_free_root_is_used_and_no_more() {
    let options = Options { root_capacity: 5, ..Options::DEFAULT };
    let full = Error::RootStackFull { capacity: 5 };
    let mut heap = heap_with_room(options);
    let pair = heap.define_layout(Words::new(2, 0b11), Words::NONE).unwrap();
    let scalar = heap.define_layout(Words::new(1, 0), Words::NONE).unwrap();
    for instruction in [[PUSH, 0], [leaf(4), 7], [leaf(1), 7], [new(scalar), 0]] {
        assert_eq!(heap.build(&instruction.repeat(5)), Ok(5));
        let stopped = Err(BuildError { at: 0, reason: full });
        assert_eq!(heap.build(&instruction), stopped);
        assert_eq!(heap.build(&[object(scalar), 0, 1]), stopped);
        assert_eq!(heap.depth(), 5);
        heap.truncate(3).unwrap();
        let stopped = Err(BuildError { at: 4, reason: full });
        assert_eq!(heap.build(&instruction.repeat(3)), stopped);
        // An instruction that pops more than it pushes needs no room.
        assert_eq!(heap.build(&[object(pair), 0]), Ok(4));
        heap.truncate(0).unwrap();
    }
    assert_eq!(heap.verify(), None);
}

#[test]
fn the_most_roots_there_were_are_counted() {
    let mut heap = heap_with_room(Options::DEFAULT);
    let pair = heap.define_layout(Words::new(2, 0b11), Words::NONE).unwrap();
    let mut program = [PUSH, 0].repeat(9);
    program.extend([object(pair), 0].repeat(8));
    assert_eq!(heap.build(&program), Ok(1));
    assert_eq!(heap.statistics().roots_peak, 9);
    assert_eq!(heap.build(&[PUSH, 0].repeat(10)), Ok(11));
    assert_eq!(heap.statistics().roots_peak, 11);
    assert_eq!(heap.statistics().roots, 11);
}

#[test]
fn only_objects_are_pushed() {
    let mut heap = heap_with_room(Options::DEFAULT);
    let kept = heap.allocate(0, 32).unwrap();
    let large = heap.allocate(0, 100_000).unwrap();
    assert_eq!(heap.build(&[PUSH, kept, PUSH, large, PUSH, 0]), Ok(3));
    for reference in [kept + 4, kept + 8, large + 8, 8, 0xffff_fff8] {
        let stopped = Err(BuildError { at: 2, reason: Error::InvalidRef { reference } });
        assert_eq!(heap.build(&[PUSH, kept, PUSH, reference]), stopped, "{reference:#x}");
        heap.truncate(3).unwrap();
    }
    // These instructions have an operand, and `push` has none.
    let word = PUSH | 1 << 8;
    let cut_off = Err(BuildError { at: 0, reason: Error::InvalidInstruction { word } });
    assert_eq!(heap.build(&[word, kept]), cut_off);
}

#[test]
fn elements_are_asked_of_layouts_that_have_some() {
    let mut heap = heap_with_room(Options::DEFAULT);
    let pair = heap.define_layout(Words::new(2, 0b11), Words::NONE).unwrap();
    let reason = Error::InvalidLayout { layout: pair };
    let program = [PUSH, 0, PUSH, 0, object(pair), 1];
    assert_eq!(heap.build(&program), Err(BuildError { at: 4, reason }));
    for layout in [0, 1] {
        let reason = Error::InvalidLayout { layout };
        assert_eq!(heap.build(&[object(layout), 0]), Err(BuildError { at: 0, reason }));
    }
}

#[test]
fn a_scope_roots_what_a_program_makes() {
    let mut heap = heap_with_room(Options::DEFAULT);
    let pair = heap.define_layout(Words::new(2, 0b11), Words::NONE).unwrap();
    heap.enter_scope().unwrap();
    assert_eq!(heap.build(&[leaf(4), 7, PUSH, 0, object(pair), 0, leaf(4), 8]), Ok(2));
    let (made, last) = (heap.root(0).unwrap(), heap.root(1).unwrap());
    heap.truncate(0).unwrap();
    heap.collect().unwrap();
    let first = heap.get(made, 0).unwrap();
    assert_eq!((heap.get(first, 0), heap.get(last, 0)), (Ok(7), Ok(8)));
    heap.leave_scope(0).unwrap();
    heap.collect().unwrap();
    assert!(!heap.is_object(made) && !heap.is_object(last));
    assert_eq!(heap.verify(), None);
}

#[test]
fn a_program_that_collects_keeps_what_it_has_made() {
    let options = Options { heap_limit_bytes: 1 << 20, ..Options::DEFAULT };
    let mut heap = heap_with_room(options);
    let node = heap.define_layout(Words::new(2, 0b01), Words::NONE).unwrap();
    // A list of 100 nodes, then leaves that die, time and again.
    let list: Vec<u32> =
        [PUSH, 0].into_iter().chain((0..100).flat_map(|n| [object(node), 0, n])).collect();
    assert_eq!(heap.build(&list), Ok(1));
    let garbage = [leaf(60), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, DROP_ONE];
    let rounds = at_size(200, 2);
    for _ in 0..rounds {
        assert_eq!(heap.build(&garbage.repeat(200)), Ok(1));
    }
    if cfg!(miri) {
        heap.collect().unwrap();
    }
    assert!(heap.statistics().collections > 0);
    let mut at = heap.root(0).unwrap();
    for number in (0..100).rev() {
        assert_eq!(heap.get(at, 1), Ok(number));
        at = heap.get(at, 0).unwrap();
    }
    assert_eq!(at, 0);
    assert_eq!(heap.verify(), None);
}
