//! Memory that refuses to grow, at every point of a program in turn: nothing is lost, nothing
//! panics, and later operations work.

mod common;

use common::drain;
use std::collections::HashSet;
use tether_gc::memory::model::ModelMemory;
use tether_gc::{Error, Heap, Options, Sizing, Words, layout};

/// A program with some of everything: how many handles it has handed over, and the handles that it
/// has drained.
struct Program {
    given: u32,
    released: Vec<u32>,
}

impl Program {
    fn run(&mut self, heap: &mut Heap<ModelMemory>) -> Result<(), Error> {
        let pair = heap.define_layout(Words::new(2, 0b01), Words::NONE)?;
        let array = heap.define_layout(Words::new(1, 0), Words::new(1, 1))?;
        heap.push(0)?;
        for round in 0..40 {
            heap.enter_scope()?;
            let table = heap.allocate(array, 20_000)?;
            for index in 0..200 {
                let object = heap.create(pair, 0, &[heap.root(0)?, index])?;
                heap.allocate(layout::LEAF, 500)?;
                heap.set(table, 1 + index, object)?;
                if index % 20 == 0 {
                    heap.set_root(0, object)?;
                }
                if index % 3 == 0 {
                    heap.wrap(1, self.given, 100)?;
                    self.given += 1;
                }
            }
            heap.leave_scope(table)?;
            if round % 2 == 0 {
                heap.pin(table)?;
            }
            let string = heap.allocate(layout::LEAF, 5_000)?;
            heap.register(string, 1, self.given, 0)?;
            self.given += 1;
            if round % 8 == 7 {
                self.released.extend(drain(heap).iter().map(|dead| dead.handle));
            }
        }
        Ok(())
    }
}

fn check_end(heap: &mut Heap<ModelMemory>, mut program: Program) {
    assert_eq!(heap.verify(), None);
    heap.close().unwrap();
    program.released.extend(drain(heap).iter().map(|dead| dead.handle));
    let distinct: HashSet<_> = program.released.iter().copied().collect();
    assert_eq!(distinct.len(), program.released.len(), "a handle was released twice");
    assert_eq!(distinct, (0..program.given).collect(), "a handle was lost");
}

/// A table that is small and grows, and collections that come often.
fn options() -> Options {
    let sizing = Sizing::Fixed { budget_bytes: 2_000_000 };
    Options { wrap_capacity: 64, wrap_limit: 4_096, handle_floor: 500, sizing, ..Options::DEFAULT }
}

#[test]
#[cfg_attr(miri, ignore = "a program of megabytes for each growth; tests/model.rs has small ones")]
fn every_growth_in_turn_is_refused() {
    let mut heap = Heap::new(ModelMemory::new(), options()).unwrap();
    let mut program = Program { given: 0, released: Vec::new() };
    program.run(&mut heap).unwrap();
    let growths = heap.memory().growths();
    assert!(growths > 20, "the program grows memory only {growths} times");
    check_end(&mut heap, program);

    for refused_from in 0..growths {
        let mut memory = ModelMemory::new();
        memory.refuse_growth_after(Some(refused_from));
        let mut heap = match Heap::new(memory, options()) {
            Ok(heap) => heap,
            Err(error) => {
                assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
                continue;
            }
        };
        let mut program = Program { given: 0, released: Vec::new() };
        if let Err(error) = program.run(&mut heap) {
            assert!(matches!(error, Error::OutOfMemory { .. }), "{refused_from}: {error}");
            assert_eq!(heap.verify(), None, "{refused_from}");
        }
        // Memory comes back: everything works again.
        heap.memory_mut().refuse_growth_after(None);
        while heap.scope_depth() > 0 {
            heap.leave_scope(0).unwrap();
        }
        heap.truncate(0).unwrap();
        program.run(&mut heap).unwrap();
        check_end(&mut heap, program);
    }
}

#[test]
#[cfg_attr(miri, ignore = "a program of megabytes for each of 64 limits")]
fn every_heap_limit_is_kept() {
    for limit_kib in (100..4_000).step_by(61) {
        let heap_limit_bytes = limit_kib << 10;
        let options = Options { heap_limit_bytes, ..options() };
        let Ok(mut heap) = Heap::new(ModelMemory::new(), options) else {
            continue;
        };
        let mut program = Program { given: 0, released: Vec::new() };
        if let Err(error) = program.run(&mut heap) {
            assert!(matches!(error, Error::OutOfMemory { .. }), "{limit_kib} KiB: {error}");
        }
        assert!(heap.statistics().heap_peak_bytes <= heap_limit_bytes);
        check_end(&mut heap, program);
    }
}

#[test]
fn options_out_of_range_are_named() {
    use tether_gc::OptionName as Name;
    let with = |change: fn(&mut Options)| {
        let mut options = Options::DEFAULT;
        change(&mut options);
        Heap::new(ModelMemory::new(), options).map(drop)
    };
    let refused = |option| Err(Error::InvalidOption { option });
    assert_eq!(with(|options| options.root_capacity = 0), refused(Name::RootCapacity));
    assert_eq!(with(|options| options.root_capacity = u32::MAX), refused(Name::RootCapacity));
    assert_eq!(with(|options| options.wrap_capacity = 0), refused(Name::WrapCapacity));
    assert_eq!(with(|options| options.wrap_limit = 4_095), refused(Name::WrapLimit));
    assert_eq!(with(|options| options.wrap_limit = u32::MAX), refused(Name::WrapLimit));
    assert_eq!(with(|options| options.heap_limit_bytes = 0), refused(Name::HeapLimitBytes));
    assert_eq!(
        with(|options| options.sizing = Sizing::Factor { percent: 0 }),
        refused(Name::Sizing)
    );
    assert_eq!(with(|options| options.heap_limit_bytes = 65_535), refused(Name::HeapLimitBytes));
    // The error's figure is enough.
    let result = with(|options| options.heap_limit_bytes = 65_536);
    assert_eq!(result, Err(Error::OutOfMemory { needed_bytes: 4 * 65_536 }));
    assert_eq!(with(|options| options.heap_limit_bytes = 4 * 65_536), Ok(()));
}

#[test]
#[cfg_attr(miri, ignore = "fills a megabyte")]
fn what_needs_a_table_to_grow_collects_before_it_gives_up() {
    // There is no collection before memory is exhausted.
    let sizing = Sizing::Fixed { budget_bytes: 1 << 30 };
    let options = Options { heap_limit_bytes: 1 << 20, sizing, ..Options::DEFAULT };
    let mut heap = Heap::new(ModelMemory::new(), options).unwrap();
    let objects: Vec<_> = (0..6_000).map(|_| heap.allocate(layout::LEAF, 8).unwrap()).collect();
    for &object in &objects {
        heap.push(object).unwrap();
    }
    // Everything else is garbage, to the last page of the limit.
    while heap.statistics().heap_bytes < 1 << 20 {
        heap.allocate(layout::LEAF, 1_000).unwrap();
    }
    assert_eq!(heap.statistics().collections, 0);
    for &object in &objects {
        heap.pin(object).unwrap();
    }
    assert!(heap.statistics().collections >= 1);
    assert_eq!(heap.verify(), None);
}

/// Such a request used to be refused only after a full collection. No program of the model asked for
/// more than its limit.
#[test]
fn what_no_collection_can_help_is_refused_without_one() {
    let options = Options { heap_limit_bytes: 1 << 20, ..Options::DEFAULT };
    let mut heap = Heap::new(ModelMemory::new(), options).unwrap();
    for size_bytes in [(1 << 20) + 8, 300 << 20] {
        let refused = Error::OutOfMemory { needed_bytes: size_bytes };
        assert_eq!(heap.allocate(layout::LEAF, size_bytes), Err(refused));
        assert_eq!(heap.create(layout::LEAF, size_bytes, &[]), Err(refused));
    }
    assert_eq!(heap.statistics().collections, 0);
}

/// A heap of 2 MiB in which everything lives but a few objects, and those few.
fn full_heap(options: Options) -> (Heap<ModelMemory>, Vec<u32>) {
    let options = Options { heap_limit_bytes: 2 << 20, root_capacity: 30_000, ..options };
    let mut heap = Heap::new(ModelMemory::new(), options).unwrap();
    let mut objects = Vec::new();
    while let Ok(object) = heap.allocate(layout::LEAF, 100) {
        heap.push(object).unwrap();
        objects.push(object);
    }
    (heap, objects)
}

/// Returns how many collections `requests` requests start.
fn collections(heap: &mut Heap<ModelMemory>, requests: u32, size_bytes: u32) -> u32 {
    let before = heap.statistics().collections;
    for _ in 0..requests {
        let _ = heap.allocate(layout::LEAF, size_bytes);
    }
    heap.statistics().collections - before
}

/// Each request used to bring a full collection. The model demanded a collection before any
/// refusal.
#[test]
#[cfg_attr(miri, ignore = "fills megabytes")]
fn a_heap_in_which_all_lives_does_not_collect_for_each_request() {
    let (mut heap, objects) = full_heap(Options::DEFAULT);
    assert!(collections(&mut heap, 128, 100) <= 16, "eight, and at 1, 2, 4, …");
    assert!(collections(&mut heap, 6_500, 100) <= 101);
    assert!(collections(&mut heap, 650, 8_000) <= 11);
    // Ten objects are free, and are allocated again and again, with one collection in 64 refusals.
    for root in 0..10 {
        heap.set_root(root, 0).unwrap();
    }
    heap.collect().unwrap();
    assert!(collections(&mut heap, 6_500, 100) <= 120);
    assert!(objects[10..].iter().all(|&object| heap.is_object(object)));

    let never = Options { least_freed_percent: 0, ..Options::DEFAULT };
    let (mut heap, _) = full_heap(never);
    assert_eq!(collections(&mut heap, 100, 100), 100);
    heap.set_least_freed(2).unwrap();
    assert!(collections(&mut heap, 100, 100) <= 15);
}

/// One root reaches all objects. Two ways drop it, and two have the heap forget futile collections.
#[test]
#[cfg_attr(miri, ignore = "fills megabytes")]
fn a_heap_that_has_given_up_sees_that_its_roots_go() {
    let ways: [fn(&mut Heap<ModelMemory>); 4] = [
        |heap| heap.pop().map(drop).unwrap(),
        |heap| heap.set_root(0, 0).unwrap(),
        |heap| heap.set_least_freed(2).unwrap(),
        |heap| heap.collect().unwrap(),
    ];
    for (way, make_room) in ways.into_iter().enumerate() {
        for (percent, collects_before) in [(2, false), (2, true), (100, false), (100, true)] {
            let options = Options {
                heap_limit_bytes: 2 << 20,
                least_freed_percent: percent,
                ..Options::DEFAULT
            };
            let mut heap = Heap::new(ModelMemory::new(), options).unwrap();
            let node = heap.define_layout(Words::new(2, 0b01), Words::NONE).unwrap();
            heap.push(0).unwrap();
            let mut count = 0;
            while let Ok(first) = heap.create(node, 0, &[heap.root(0).unwrap(), count]) {
                heap.set_root(0, first).unwrap();
                count += 1;
                if collects_before && count == 200_000 {
                    heap.collect().unwrap();
                }
            }
            assert!(count > 200_000);
            collections(&mut heap, 200, 8);
            // The last two ways leave the root: no memory can be had, but there is a collection.
            let before = heap.statistics().collections;
            make_room(&mut heap);
            let had = heap.allocate(layout::LEAF, 8).is_ok();
            assert_eq!(had, way < 2, "way {way}, {percent} percent");
            assert!(heap.statistics().collections > before, "way {way}, {percent} percent");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "fills megabytes")]
fn a_heap_that_has_given_up_collects_when_there_are_fewer_roots() {
    let (mut heap, objects) = full_heap(Options::DEFAULT);
    // Pins are roots too.
    heap.pin(objects[0]).unwrap();
    heap.set_root(0, 0).unwrap();
    collections(&mut heap, 200, 100);
    let request = |heap: &mut Heap<ModelMemory>| heap.allocate(layout::LEAF, 100);
    assert!(request(&mut heap).is_err());
    // The pin was one root more. Now there are fewer roots than at any refusal before, and two
    // objects can be had.
    heap.truncate(objects.len() as u32 - 2).unwrap();
    assert!(request(&mut heap).is_ok() && request(&mut heap).is_ok());
    assert!(request(&mut heap).is_err());
    heap.unpin(objects[0]).unwrap();
    assert!(request(&mut heap).is_ok());
    // When most of the heap is free, no collection is futile.
    heap.truncate(1_000).unwrap();
    assert!((0..100_000).all(|_| request(&mut heap).is_ok()));
}
