//! Faults, one at a time: each growth of memory refused in turn, and forged references.

use std::ops::Range;

use tether_gc::memory::Memory;
use tether_gc::memory::model::ModelMemory;
use tether_gc::{Error, Options, Sizing, Store};

use crate::choices::Choices;
use crate::model::{Counts, Limits, Model};
use crate::subject::{Native, Subject};

/// Options with which a program of some thousand operations grows memory often.
pub const GROWING: Options = Options {
    root_capacity: 5_000,
    wrap_capacity: 64,
    wrap_limit: 4_000,
    handle_floor: 2_000,
    sizing: Sizing::Fixed { budget_bytes: 20_000_000 },
    ..Options::DEFAULT
};

/// How many objects a busy heap has.
const BUSY: usize = 200;

/// What the model must know of [`GROWING`].
pub const GROWING_LIMITS: Limits = Limits {
    root_capacity: GROWING.root_capacity,
    wrap_limit: GROWING.wrap_limit,
    may_exhaust: true,
    least_freed_bytes: u64::MAX,
    interior_pointers: GROWING.interior_pointers,
    may_dangle: false,
    is_high: false,
    is_quarantined: false,
};

/// What a series of runs with refusals covered.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// How often the program grows memory if nothing is refused.
    pub growths: u64,
    /// Runs with one growth refused each.
    pub runs: u64,
    /// Runs in which the heap could not be made.
    pub not_started: u64,
    /// What all runs covered.
    pub counts: Counts,
}

/// Runs a program once for each growth of memory that it asks for, and refuses that growth. `make`
/// returns a collector whose memory refuses the growths of a range; none if the collector cannot
/// start. At the end of each run memory is back, and the program goes on.
///
/// `every` is the step from one refused growth to the next: 1 refuses each.
pub fn refuse_each_growth<S: Subject>(
    seed: u64,
    steps: u32,
    every: u64,
    mut make: impl FnMut(Range<u64>) -> Option<S>,
) -> Refusals {
    let mut run = |refused: Range<u64>| {
        let mut model = Model::new(make(refused)?, Choices::seeded(seed), GROWING_LIMITS);
        model.define_layouts();
        // The program itself has nothing refused, so that there is one fault at a time.
        model.is_refusing = false;
        model.is_heavy = true;
        for _ in 0..steps {
            model.step();
        }
        let growths = model.subject.growths();
        // Memory comes back: everything works again.
        model.subject.refuse_growths(0..0);
        model.limits.may_exhaust = false;
        model.define_layouts();
        for _ in 0..100 {
            model.step();
        }
        Some((growths, model.end().1))
    };
    let (growths, counts) = run(0..0).expect("nothing is refused");
    let mut all = Refusals { growths, counts, ..Refusals::default() };
    let mut index = 0;
    while index < growths {
        match run(index..index + 1) {
            Some((_, counts)) => {
                assert_eq!(counts.refusals, 1, "growth {index} was not asked for");
                all.counts.add(&counts);
            }
            None => all.not_started += 1,
        }
        all.runs += 1;
        index += every;
    }
    all
}

/// Makes a native collector whose memory refuses some growths. None if the collector cannot start.
pub fn native(refused: Range<u64>) -> Option<Native> {
    let mut memory = ModelMemory::new();
    memory.refuse_growths(refused);
    match Native::over(memory, GROWING) {
        Ok(native) => Some(native),
        Err(error) => {
            assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
            None
        }
    }
}

/// Passes forged references to every operation that takes one, in the busy heap that a program of
/// at most `steps` steps makes. Checks that nothing is changed, and that a reference is accepted
/// only if it is an object's. Returns how many references were.
pub fn forge(seed: u64, steps: u32, references: u64) -> u64 {
    // Nothing is collected, so that there are many objects.
    let limits = Limits { root_capacity: 5_000, wrap_limit: 4_096, ..GROWING_LIMITS };
    let options = Options { root_capacity: 5_000, ..Options::DEFAULT };
    let native = Native::over(ModelMemory::new(), options).expect("there is memory for a heap");
    let mut model = Model::new(native, Choices::seeded(seed), limits);
    model.define_layouts();
    model.is_refusing = false;
    for step in 0.. {
        let objects = model.graph.objects.len();
        if objects >= BUSY || step == steps {
            assert!(objects > BUSY / 2, "the heap is not busy: {objects} objects");
            break;
        }
        model.step();
    }
    let Model { mut subject, graph, mut choices, .. } = model;
    let end = subject.heap().memory().size_bytes() as u32;
    let before = digest(subject.heap().memory());
    let mut named = 0;
    let heap = subject.heap();
    for _ in 0..references {
        // An address anywhere, one in memory, or a granule in memory.
        let reference = match choices.below(4) {
            0 => choices.word(),
            1 => choices.below(end),
            _ => choices.below(end) & !7,
        };
        if graph.objects.contains_key(&reference) {
            assert!(heap.is_object(reference), "{reference:#x} was not found");
            named += 1;
            continue;
        }
        let refused = Error::InvalidRef { reference };
        let answer = match choices.below(12) {
            0 => heap.get(reference, 0).map(drop),
            1 => heap.set(reference, 0, 1),
            2 => heap.size_of(reference).map(drop),
            3 => heap.write_bytes(reference, 0, &[1]),
            4 => heap.write_many(&[Store { object: reference, index: 0, value: 1 }]),
            5 => heap.register(reference, 1, 2, 3),
            6 => heap.pin(reference).map(drop),
            7 => heap.unpin(reference).map(drop),
            8 => heap.dispose(reference),
            9 => heap.handle_of(reference).map(drop),
            _ if reference == 0 => Err(refused),
            10 => heap.push(reference),
            _ => heap.leave_scope(reference),
        };
        assert_eq!(answer, Err(refused));
    }
    assert_eq!(digest(subject.heap().memory()), before, "a forged reference was written through");
    assert_eq!(subject.heap().verify(), None);
    named
}

/// Returns a number that differs if memory was written to.
fn digest(memory: &ModelMemory) -> u64 {
    const FIRST_PAGE: u64 = 65_536;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for address in (FIRST_PAGE..memory.size_bytes()).step_by(8) {
        hash = (hash ^ memory.load_u64(address as u32)).wrapping_mul(0x100_0000_01b3);
    }
    hash
}
