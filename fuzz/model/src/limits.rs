//! Every limit of the collector at one below, exactly, and one above, on any subject. Up to the
//! limit every operation succeeds. One more is refused with the limit's own error and figure, and
//! nothing is lost. After one is given back, the next one works.
//!
//! Pins and layouts have no limit of their own that a test could reach. Memory limits them, so the
//! heap is filled first.

use tether_gc::Options;

use crate::call::{Answer, Code, Failure, Name};
use crate::model::KIND;
use crate::subject::Subject;

/// The options that the subject is to be made with.
pub const OPTIONS: Options = Options {
    heap_limit_bytes: 1 << 20,
    root_capacity: 8_000,
    wrap_capacity: 16,
    wrap_limit: 100,
    ..Options::DEFAULT
};

/// [`OPTIONS`] without the heap's limit, for memory that ends.
pub const UNLIMITED: Options = Options { heap_limit_bytes: u64::MAX, ..OPTIONS };

const LEAF: u32 = 0;
/// Bytes of a record in the table of pins, and in that of layouts.
const PIN_BYTES: u32 = 16;
const LAYOUT_BYTES: u32 = 32;

/// A subject, with calls that must succeed or must be refused.
struct Asked<'a>(&'a mut dyn Subject);

impl Asked<'_> {
    fn call(&mut self, name: Name, words: &[u32]) -> Answer {
        self.0.call(name, words)
    }

    fn get(&mut self, name: Name, words: &[u32]) -> Vec<u32> {
        let answer = self.call(name, words);
        answer.unwrap_or_else(|failure| panic!("{name:?}({words:x?}): {failure}"))
    }

    fn refused(&mut self, name: Name, words: &[u32], code: Code, value: u32) {
        for _ in 0..2 {
            assert_eq!(self.call(name, words), Err(Failure::new(code, value)), "{name:?}");
            assert_eq!(self.get(Name::Verify, &[]), [0; 0], "{name:?} broke the heap");
        }
    }

    fn root(&mut self, objects: &[u32]) {
        for &object in objects {
            self.get(Name::Push, &[object]);
        }
    }

    fn allocate(&mut self, bytes: u32) -> u32 {
        self.get(Name::Allocate, &[LEAF, bytes])[0]
    }

    /// Returns an object's size in bytes; none if the reference is not an object's. Every door has
    /// the call that this makes.
    fn size_of(&mut self, object: u32) -> Option<u32> {
        match self.call(Name::ReadObjects, &[u32::MAX, object]) {
            Ok(words) => Some(words[0]),
            Err(failure) => {
                assert_eq!(failure, Failure::new(Code::InvalidRef, object));
                None
            }
        }
    }

    /// Allocates and roots objects until no byte is left. Returns the objects.
    fn fill(&mut self) -> Vec<u32> {
        // More objects than a full memory has room to pin.
        let mut objects: Vec<u32> = (0..1_000).map(|_| self.allocate(8)).collect();
        self.root(&objects);
        for bytes in [8_000, 512, 64, 8, 30_000, 8_200] {
            loop {
                match self.call(Name::Allocate, &[LEAF, bytes]) {
                    Ok(given) => {
                        self.root(&given);
                        objects.push(given[0]);
                    }
                    Err(Failure { code: Code::OutOfMemory, .. }) => break,
                    Err(failure) => panic!("{failure}"),
                }
            }
        }
        objects
    }
}

/// Checks each limit on a fresh heap.
pub fn each<S: Subject>(fresh: impl Fn() -> S) {
    root_slots(&mut fresh());
    scopes(&mut fresh());
    wrappers(&mut fresh());
    assert!(pins(&mut fresh()) > 10);
    assert!(layouts(&mut fresh()) > 5);
}

/// Checks the slots of the shadow stack: filled by roots, by scopes, and by both.
pub fn root_slots(subject: &mut dyn Subject) {
    let capacity = OPTIONS.root_capacity;
    let mut asked = Asked(subject);
    let object = asked.allocate(8);
    for _ in 0..capacity - 1 {
        asked.get(Name::Push, &[object]);
    }
    asked.get(Name::EnterScope, &[]);
    asked.refused(Name::Push, &[object], Code::RootStackFull, capacity);
    asked.refused(Name::EnterScope, &[], Code::RootStackFull, capacity);
    asked.refused(Name::Allocate, &[LEAF, 8], Code::RootStackFull, capacity);
    asked.get(Name::LeaveScope, &[0]);
    asked.get(Name::Push, &[object]);
    asked.refused(Name::Push, &[object], Code::RootStackFull, capacity);
    asked.refused(Name::EnterScope, &[], Code::RootStackFull, capacity);
    assert_eq!(asked.get(Name::Pop, &[]), [object]);
    asked.get(Name::Push, &[object]);
    assert_eq!(asked.get(Name::Depth, &[]), [capacity]);
    asked.get(Name::Collect, &[]);
    assert_eq!(asked.size_of(object), Some(8));
}

/// Checks the number of open scopes.
pub fn scopes(subject: &mut dyn Subject) {
    let capacity = OPTIONS.root_capacity;
    let mut asked = Asked(subject);
    for _ in 0..capacity {
        asked.get(Name::EnterScope, &[]);
    }
    asked.refused(Name::EnterScope, &[], Code::RootStackFull, capacity);
    asked.refused(Name::Wrap, &[KIND, 1, 0], Code::RootStackFull, capacity);
    asked.get(Name::LeaveScope, &[0]);
    let object = asked.allocate(8);
    asked.refused(Name::EnterScope, &[], Code::RootStackFull, capacity);
    // Leaving a scope frees two slots, its own and the object's. The scope around it then roots the
    // object, which takes one.
    asked.get(Name::LeaveScope, &[object]);
    asked.get(Name::EnterScope, &[]);
    asked.refused(Name::EnterScope, &[], Code::RootStackFull, capacity);
    for _ in 0..capacity - 1 {
        asked.get(Name::LeaveScope, &[0]);
    }
    let failure = Failure::new(Code::NoScope, 0);
    assert_eq!(asked.call(Name::LeaveScope, &[0]), Err(failure));
    assert_eq!(asked.get(Name::Verify, &[]), [0; 0]);
}

/// Checks the number of entries of the wrap table.
pub fn wrappers(subject: &mut dyn Subject) {
    let limit = OPTIONS.wrap_limit;
    let mut asked = Asked(subject);
    let mut first = 0;
    for handle in 0..limit {
        let wrapper = asked.get(Name::Wrap, &[KIND, handle, 0]);
        asked.get(Name::Push, &wrapper);
        first = if first == 0 { wrapper[0] } else { first };
    }
    let plain = asked.allocate(8);
    asked.get(Name::Push, &[plain]);
    asked.refused(Name::Wrap, &[KIND, limit, 0], Code::WrapTableFull, limit);
    asked.refused(Name::Register, &[plain, KIND, limit, 0], Code::WrapTableFull, limit);
    assert_eq!(asked.get(Name::Pending, &[]), [0]);
    asked.get(Name::Dispose, &[first]);
    asked.get(Name::Register, &[plain, KIND, limit, 0]);
    asked.refused(Name::Wrap, &[KIND, limit + 1, 0], Code::WrapTableFull, limit);
    assert_eq!(asked.get(Name::Drain, &[9]), [KIND, 0]);
    assert_eq!(asked.get(Name::HandleOf, &[plain]), [KIND, limit]);
    asked.get(Name::Close, &[]);
    let mut released = vec![0];
    loop {
        let drained = asked.get(Name::Drain, &[50]);
        if drained.is_empty() {
            break;
        }
        released.extend(drained.chunks_exact(2).map(|dead| dead[1]));
    }
    released.sort_unstable();
    assert_eq!(released, (0..=limit).collect::<Vec<u32>>());
}

/// Checks memory that reaches up to the last page of the address space, which a collector never
/// uses: the rest is given out to its end, and no address wraps around.
pub fn address_space(subject: &mut dyn Subject) {
    const LAST_PAGE: u64 = 0xffff_0000;
    const LARGEST_OBJECT_BYTES: u32 = 0x7fff_0000;
    let mut asked = Asked(subject);
    for _ in 0..2 {
        let objects = asked.fill();
        let mut ends: Vec<u64> = Vec::new();
        for &object in &objects {
            let size_bytes = asked.size_of(object).expect("it is pushed");
            ends.push(u64::from(object) + u64::from(size_bytes));
        }
        let end = ends.iter().max().expect("there are objects");
        assert!(*end <= LAST_PAGE && *end > LAST_PAGE - (1 << 16), "the last ends at {end:#x}");
        assert_eq!(asked.get(Name::Verify, &[]), [0; 0]);
        for bytes in [8_000, 8_200, 65_536, LARGEST_OBJECT_BYTES, u32::MAX] {
            let refused =
                asked.call(Name::Allocate, &[LEAF, bytes]).map_err(|failure| failure.code);
            assert_eq!(refused, Err(Code::OutOfMemory), "{bytes} bytes");
        }
        asked.get(Name::Collect, &[]);
        assert!(objects.iter().all(|&object| asked.size_of(object).is_some()));
        for reference in [0xffff_0000, 0xffff_fff8, u32::MAX, *end as u32] {
            assert_eq!(asked.size_of(reference), None);
        }
        asked.get(Name::Truncate, &[0]);
        asked.get(Name::Collect, &[]);
        assert_eq!(asked.get(Name::Verify, &[]), [0; 0]);
    }
}

/// Checks the number of pinned objects in a heap that has not a byte more. Returns how many there
/// could be.
pub fn pins(subject: &mut dyn Subject) -> u32 {
    let mut asked = Asked(subject);
    let objects = asked.fill();
    let mut pinned = 0;
    let failure = loop {
        match asked.call(Name::Pin, &[objects[pinned]]) {
            Ok(_) => pinned += 1,
            Err(failure) => break failure,
        }
    };
    let needed_bytes = (pinned as u32 + 1) * PIN_BYTES;
    assert_eq!(failure, Failure::new(Code::OutOfMemory, needed_bytes));
    asked.refused(Name::Pin, &[objects[pinned]], Code::OutOfMemory, needed_bytes);
    // An object that is pinned can be pinned again, because that needs no memory.
    asked.get(Name::Pin, &[objects[0]]);
    asked.get(Name::Unpin, &[objects[0]]);
    asked.get(Name::Unpin, &[objects[0]]);
    asked.get(Name::Pin, &[objects[pinned]]);
    asked.refused(Name::Pin, &[objects[0]], Code::OutOfMemory, needed_bytes);
    // Only pins keep anything now.
    asked.get(Name::Truncate, &[0]);
    asked.get(Name::Collect, &[]);
    for (position, &object) in objects.iter().enumerate() {
        let lives = (1..=pinned).contains(&position);
        assert_eq!(asked.size_of(object).is_some(), lives, "{position}");
    }
    for &object in &objects[1..=pinned] {
        asked.get(Name::Unpin, &[object]);
        let failure = Failure::new(Code::NotPinned, object);
        assert_eq!(asked.call(Name::Unpin, &[object]), Err(failure));
    }
    asked.get(Name::Collect, &[]);
    assert_eq!(asked.get(Name::Verify, &[]), [0; 0]);
    pinned as u32
}

/// Checks the number of layouts in a heap that has not a byte more. Returns how many there could
/// be.
pub fn layouts(subject: &mut dyn Subject) -> u32 {
    let mut asked = Asked(subject);
    asked.fill();
    // All different, each of one granule.
    let describe = |number: u32| [63, number + 1, 0, 0, 0, 0];
    let mut defined: Vec<u32> = Vec::new();
    let failure = loop {
        match asked.call(Name::DefineLayout, &describe(defined.len() as u32)) {
            Ok(layout) => defined.push(layout[0]),
            Err(failure) => break failure,
        }
    };
    let count = defined.len() as u32;
    let needed_bytes = (count + 1) * LAYOUT_BYTES;
    assert_eq!(failure, Failure::new(Code::OutOfMemory, needed_bytes));
    asked.refused(Name::DefineLayout, &describe(count), Code::OutOfMemory, needed_bytes);
    assert_eq!(defined, (2..count + 2).collect::<Vec<u32>>());
    // A layout that is known needs no memory, and keeps its number.
    for number in 0..count {
        assert_eq!(asked.get(Name::DefineLayout, &describe(number)), [number + 2]);
    }
    asked.get(Name::Truncate, &[0]);
    assert_eq!(asked.get(Name::DefineLayout, &describe(count)), [count + 2]);
    let object = asked.get(Name::Allocate, &[count + 2, 0])[0];
    assert_eq!(asked.size_of(object), Some(256));
    assert_eq!(asked.get(Name::Verify, &[]), [0; 0]);
    count
}
