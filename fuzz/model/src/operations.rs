//! The generator: choices become operations, right ones and hostile ones.
//!
//! The proportions are such that the rare states come often: a full table, a full
//! shadow stack, large objects, holes of one granule between live objects, memory that
//! refuses. Operands are chosen by place (the third root, the second pin, the object
//! that the fourth slot of those names), never by address, so that a program means the
//! same wherever objects lie.

mod roots;
mod wrappers;

use std::rc::Rc;

use crate::call::{Code, Failure, Name};
use crate::graph::{GRANULE_BYTES, Object, Pattern, Tracing, untagged};
use crate::model::{KIND, Layout, Model, RECENT};
use crate::subject::{RANGE_WORDS, Subject};

const LEAF: u32 = 0;
const CONSERVATIVE: u32 = 1;
/// Objects from which on a program lets go of its roots.
const MANY_OBJECTS: usize = 3_000;
const MOST_SCOPES: usize = 6;
/// A component's lists pass through an allocator that traps where memory is refused, but
/// has this much from the start.
const LONG_LIST_WORDS: u32 = 4_096;
/// Scalars have this bit, or are small, so that none is an address by chance; where memory
/// is in the upper half, they have it not.
const SCALAR: u32 = 1 << 31;

/// An operation of the program, and how often it comes, in 256.
const WEIGHTS: [(u32, Operation); 27] = [
    (54, Operation::Allocate),
    (12, Operation::Leaf),
    (10, Operation::Small),
    (4, Operation::Aligned),
    (10, Operation::Create),
    (5, Operation::Build),
    (32, Operation::Set),
    (10, Operation::Write),
    (8, Operation::Read),
    (14, Operation::Register),
    (20, Operation::Wrap),
    (3, Operation::RegisterMany),
    (3, Operation::WrapMany),
    (6, Operation::Handle),
    (5, Operation::Drain),
    (14, Operation::Push),
    (8, Operation::Pop),
    (4, Operation::Truncate),
    (5, Operation::Root),
    (6, Operation::EnterScope),
    (7, Operation::LeaveScope),
    (6, Operation::Pin),
    (3, Operation::Range),
    (2, Operation::DefineLayout),
    (2, Operation::Collect),
    (2, Operation::Sizes),
    (1, Operation::Refuse),
];

#[derive(Clone, Copy, Debug)]
enum Operation {
    Allocate,
    Leaf,
    Small,
    Aligned,
    Create,
    Build,
    Set,
    Write,
    Read,
    Register,
    Wrap,
    RegisterMany,
    WrapMany,
    Handle,
    Drain,
    Push,
    Pop,
    Truncate,
    Root,
    EnterScope,
    LeaveScope,
    Pin,
    Range,
    DefineLayout,
    Collect,
    Sizes,
    Refuse,
}

/// What was expected of an operation that takes a reference.
type Expected = Result<(), Failure>;

impl<S: Subject> Model<'_, S> {
    /// Defines the layouts that every program starts with.
    pub fn define_layouts(&mut self) {
        for (fixed, bits, element, element_bits) in [
            (1, 1, 0, 0),
            (2, 1, 0, 0),
            (4, 0b1010, 0, 0),
            (1, 0, 1, 1),
            (0, 0, 3, 0b101),
            (9, 0x1ff, 2, 0),
        ] {
            self.define(fixed, bits, element, element_bits);
        }
    }

    /// One operation, and what is cheap to compare after it; after a collection, all.
    pub fn step(&mut self) {
        let collections = self.counts.collections;
        self.operate();
        if self.counts.collections != collections {
            self.check_all();
        }
        self.check_pending();
        if self.graph.objects.len() > MANY_OBJECTS || self.choices.one_in(1_000) {
            self.let_go();
        }
    }

    fn operate(&mut self) {
        let mut choice = self.choices.below(256);
        let mut operation = Operation::Collect;
        for (weight, candidate) in WEIGHTS {
            operation = candidate;
            match choice.checked_sub(weight) {
                Some(rest) => choice = rest,
                None => break,
            }
        }
        match operation {
            Operation::Allocate => self.allocate(),
            Operation::Leaf => self.allocate_leaf(),
            Operation::Small => self.allocate_small(),
            Operation::Aligned => self.allocate_aligned(),
            Operation::Create => self.create(),
            Operation::Build => self.build(),
            Operation::Set => self.set(),
            Operation::Write => self.write(),
            Operation::Read => self.read(),
            Operation::Register => self.register(),
            Operation::Wrap => self.wrap(),
            Operation::RegisterMany => self.register_many(),
            Operation::WrapMany => self.wrap_many(),
            Operation::Handle => self.handle(),
            Operation::Drain => self.drain(),
            Operation::Push => self.push(),
            Operation::Pop => self.pop(),
            Operation::Truncate => self.truncate(),
            Operation::Root => self.root(),
            Operation::EnterScope => self.enter_scope(),
            Operation::LeaveScope => self.leave_scope(),
            Operation::Pin => self.pin(),
            Operation::Range => self.range(),
            Operation::DefineLayout => self.define_layout(),
            // Memory that is free again does not grow.
            Operation::Collect if self.is_heavy && !self.choices.one_in(16) => self.allocate(),
            Operation::Collect => self.collect(),
            Operation::Sizes => self.sizes(),
            Operation::Refuse => self.refuse(),
        }
    }

    fn may(&self, name: Name) -> bool {
        self.allowed.contains(&name)
    }

    /// Half of the time the inline form, where there is one.
    fn inline_or(&mut self, inline: Name, called: Name) -> Name {
        if self.may(inline) && self.choices.one_in(2) { inline } else { called }
    }

    // ---- Operands ----

    /// An object, or null: mostly one that a root reaches, now and then one that was
    /// just made and that nothing roots.
    fn some_object(&mut self) -> u32 {
        let graph = &self.graph;
        let from = match self.choices.below(5) {
            4 => {
                let recent = self.recent[self.choices.below(RECENT as u32) as usize];
                if graph.objects.contains_key(&recent) { recent } else { 0 }
            }
            0 | 1 if !graph.roots.is_empty() => {
                graph.roots[self.choices.below(graph.roots.len() as u32) as usize]
            }
            2 if !graph.pins.is_empty() => {
                graph.pins[self.choices.below(graph.pins.len() as u32) as usize].0
            }
            _ => match graph.scopes.last() {
                Some(scope) if !scope.is_empty() => {
                    scope[self.choices.below(scope.len() as u32) as usize]
                }
                _ => graph.roots.last().copied().unwrap_or(0),
            },
        };
        self.step_in(from)
    }

    /// Goes a few references further in.
    fn step_in(&mut self, from: u32) -> u32 {
        let mut at = untagged(from);
        for _ in 0..self.choices.below(4) {
            let Some(object) = self.graph.objects.get(&at) else { return at };
            let first = self.choices.below(object.words.len() as u32) as usize;
            let slots = (first..object.words.len()).chain(0..first).take(64);
            let mut references =
                slots.filter(|&slot| object.tracing.is_reference(slot) && object.words[slot] != 0);
            match references.next() {
                Some(slot) => at = untagged(object.words[slot]),
                None => return at,
            }
        }
        at
    }

    /// Mostly an object; now and then what is none.
    fn any_reference(&mut self) -> u32 {
        if !self.choices.one_in(16) {
            return self.some_object();
        }
        self.counts.forged += 1;
        let object = self.some_object();
        let inside = [1, 4, 8, 12, 16];
        match self.choices.below(if self.is_portable { 4 } else { 8 }) {
            0 => 0,
            1 => self.choices.of(&[1, 4, 8, 0xfffc, u32::MAX - 7, u32::MAX, 0xf000_0000]),
            2 | 3 if object != 0 => {
                // Not beyond the object: what lies there differs with the address.
                let size_bytes = self.graph.objects[&object].size_bytes();
                object + self.choices.of(&inside).min(size_bytes - 4)
            }
            4 if !self.stale.is_empty() => {
                self.stale[self.choices.below(self.stale.len() as u32) as usize]
            }
            5 => object & !0xffff,
            6 => object.wrapping_sub(self.choices.of(&inside)),
            7 if self.limits.is_high => self.choices.word() | 0xfe00_0000,
            7 => self.choices.word() & 0x01ff_ffff,
            _ => object,
        }
    }

    fn expect_object(&self, reference: u32) -> Expected {
        match self.graph.objects.contains_key(&reference) {
            true => Ok(()),
            false => Err(Failure::new(Code::InvalidRef, reference)),
        }
    }

    fn expect_null_or_object(&self, reference: u32) -> Expected {
        if reference == 0 { Ok(()) } else { self.expect_object(reference) }
    }

    fn scalar(&mut self) -> u32 {
        match self.choices.below(4) {
            0 => self.choices.below(256),
            _ if self.limits.is_high => self.choices.word() & !SCALAR,
            _ => self.choices.word() | SCALAR,
        }
    }

    /// What may be stored at a word of an object: what it should be, and now and then not.
    fn value_for(&mut self, tracing: &Tracing, index: usize) -> u32 {
        match tracing {
            Tracing::Leaf => self.scalar(),
            Tracing::Precise(pattern) if pattern.is_reference(index) => self.any_reference(),
            Tracing::Precise(_) => self.scalar(),
            Tracing::Conservative => match self.choices.below(3) {
                0 => self.scalar(),
                1 => self.some_object(),
                _ => {
                    let object = self.some_object();
                    let inside = match self.graph.objects.get(&object) {
                        None => 1,
                        Some(object) if self.limits.dangles || self.limits.interior_pointers => {
                            object.size_bytes()
                        }
                        Some(_) => GRANULE_BYTES,
                    };
                    object + self.choices.below(inside)
                }
            },
        }
    }

    // ---- Allocation ----

    fn length(&mut self) -> u32 {
        if self.is_heavy && self.choices.one_in(3) {
            let most = self.choices.of(&[2_000, 2_000, 20_000, 50_000]);
            return self.choices.below(most);
        }
        match self.choices.below(64) {
            0 => self.choices.below(20_000),
            1 => 2_000 + self.choices.below(100),
            2..6 => self.choices.below(300),
            _ => self.choices.below(12),
        }
    }

    /// A layout, a length for it, and what an object of them is.
    fn described(&mut self) -> (u32, u32, u64, Tracing) {
        let length = self.length();
        let choice = self.choices.below(self.layouts.len() as u32 + 3) as usize;
        match self.layouts.get(choice).cloned() {
            Some(Layout { number, pattern }) => {
                let length = if pattern.element.is_empty() { 0 } else { length };
                let length = length / pattern.element.len().max(1) as u32;
                (number, length, pattern.bytes(length), Tracing::Precise(pattern))
            }
            None if choice == self.layouts.len() => {
                (CONSERVATIVE, length * 4, u64::from(length) * 4, Tracing::Conservative)
            }
            None => {
                let bytes = length * 4 + self.choices.below(4);
                (LEAF, bytes, u64::from(bytes), Tracing::Leaf)
            }
        }
    }

    /// Adds an object that was made, and remembers it.
    fn add(&mut self, address: u32, object: Object) {
        self.insert(address, object);
        self.recent.rotate_right(1);
        self.recent[0] = address;
    }

    /// The caller of an allocation roots the object, or drops it.
    fn take(&mut self, address: u32, object: Object) {
        self.add(address, object);
        if self.graph.scopes.is_empty() && !self.choices.one_in(3) {
            self.push_this(address);
        }
    }

    fn push_this(&mut self, address: u32) {
        let full = self.stack_full(1);
        let name = self.inline_or(Name::InlinePush, Name::Push);
        // Compiled code may tag what it pushes, and nothing checks that, unless it has to call.
        let may_tag = name == Name::InlinePush && address != 0 && full.is_none();
        let is_tagged = may_tag && self.choices.one_in(3);
        let word = if is_tagged { address | self.choices.below(GRANULE_BYTES) } else { address };
        let pushed = self.call(name, &[word], &[]);
        assert_eq!(pushed, full.map_or(Ok(vec![]), Err));
        if pushed.is_ok() {
            self.graph.roots.push(word);
        }
    }

    /// Slots that an allocation needs.
    fn scope_full(&self) -> Option<Failure> {
        if self.graph.scopes.is_empty() { None } else { self.stack_full(1) }
    }

    /// Notes what an allocation gave: an object, or an error that may be.
    fn taken(&mut self, name: Name, words: &[u32], in_flight: &[u32], object: Object) -> u32 {
        let full = self.scope_full();
        match self.call(name, words, in_flight) {
            Ok(given) => {
                assert_eq!(full, None, "{name:?} had room where there was none");
                self.take(given[0], object);
                given[0]
            }
            Err(failure) => {
                assert!(
                    full == Some(failure) || (full.is_none() && failure.code == Code::OutOfMemory),
                    "{name:?}({words:x?}): {failure}"
                );
                0
            }
        }
    }

    fn allocate(&mut self) {
        let (layout, length, bytes, tracing) = self.described();
        let object = Self::object(bytes, 8, tracing);
        self.taken(Name::Allocate, &[layout, length], &[], object);
    }

    fn allocate_leaf(&mut self) {
        if !self.may(Name::AllocateLeaf) {
            return self.allocate();
        }
        let bytes = self.length() * 4;
        let object = Self::object(u64::from(bytes), 8, Tracing::Leaf);
        let words = object.words.len() as u32;
        let name = self.inline_or(Name::InlineLeaf, Name::AllocateLeaf);
        let address = self.taken(name, &[bytes], &[], object);
        if address != 0 {
            // It has any content, until its program writes all of it.
            let seed = self.choices.word();
            let content: Vec<u32> = (0..words).map(|word| (seed ^ word) | SCALAR).collect();
            self.put_words(address, 0, &content);
        }
    }

    fn allocate_small(&mut self) {
        if !self.may(Name::AllocateSmall) {
            return self.allocate();
        }
        let granules = 1 + self.choices.below(8);
        let references = self.choices.word() & ((1 << (granules * 2)) - 1);
        let fixed = Pattern::words(granules * 2, u64::from(references));
        let pattern = Rc::new(Pattern { fixed, element: Vec::new() });
        let object = Self::object(u64::from(granules * 8), 8, Tracing::Precise(pattern));
        let name = self.inline_or(Name::InlineSmall, Name::AllocateSmall);
        self.taken(name, &[granules, references], &[], object);
    }

    fn allocate_aligned(&mut self) {
        if !self.may(Name::AllocateAligned) {
            return self.allocate();
        }
        let (layout, length, bytes, tracing) = self.described();
        let alignment = 1 << self.choices.below(13);
        let object = Self::object(bytes, alignment, tracing);
        let words = [layout, length, alignment];
        let address = self.taken(Name::AllocateAligned, &words, &[], object);
        assert!(address.is_multiple_of(alignment), "{address:#x} is not aligned to {alignment}");
    }

    fn create(&mut self) {
        if !self.may(Name::Create) {
            return self.allocate();
        }
        let (layout, length, bytes, tracing) = self.described();
        let mut object = Self::object(bytes, 8, tracing.clone());
        let most = object.words.len() as u32;
        let count = self.choices.below(most.min(16) + 1) as usize;
        let mut operands = vec![layout, length];
        let mut expected = Ok(());
        for index in 0..count {
            let word = self.value_for(&tracing, index);
            if tracing.is_reference(index) {
                expected = expected.and(self.expect_null_or_object(word));
            }
            operands.push(word);
            object.words[index] = word;
        }
        if self.choices.one_in(50) && most < LONG_LIST_WORDS {
            operands.resize(2 + most as usize + 1, 0);
            expected = Err(Failure::new(Code::OutOfBounds, object.size_bytes()));
        }
        if let Err(Failure { code, value, .. }) = expected {
            return self.call_in_vain(Name::Create, &operands, code, value);
        }
        let in_flight = operands[2..].to_vec();
        self.taken(Name::Create, &operands, &in_flight, object);
    }

    /// A build program: a push, leaves and empty objects, and an object of what is on top.
    fn build(&mut self) {
        if !self.may(Name::Build) {
            return self.create();
        }
        let objects = self.choices.below(3);
        let mut program = Vec::new();
        let mut made = Vec::new();
        // First, as it may be nobody's, and a leaf may need a collection.
        let pushed = if self.choices.one_in(2) { Some(self.any_reference()) } else { None };
        program.extend(pushed.iter().flat_map(|&reference| [2, reference]));
        for _ in 0..objects {
            if self.choices.one_in(3) {
                let (layout, length, bytes, tracing) = self.described();
                program.extend([layout << 8 | 4, length]);
                made.push(Self::object(bytes, 8, tracing));
                continue;
            }
            let bytes = self.choices.below(40);
            program.push(bytes << 8);
            let mut object = Self::object(u64::from(bytes), 8, Tracing::Leaf);
            for word in 0..bytes.div_ceil(4) as usize {
                object.words[word] = self.scalar();
                program.push(object.words[word]);
            }
            made.push(object);
        }
        // As many operations as need a slot of the stack, and one of the scope.
        let mut needed = objects * (1 + u32::from(!self.graph.scopes.is_empty()));
        needed += u32::from(pushed.is_some());
        let hostile = self.choices.one_in(6);
        if hostile {
            let words = [4, 255, 0x1_0002, 0xffff_ff00, 0x63_01, 0xffff_ff03, 5, u32::MAX];
            program.push(self.choices.of(&words));
            // Behind most of them it does not matter.
            if self.choices.one_in(2) && program.last() != Some(&4) {
                program.push(0);
            }
        }
        let depth = self.graph.roots.len() as u32;
        let wrong = pushed.is_some_and(|reference| self.expect_null_or_object(reference).is_err());
        let in_flight = pushed.as_slice().to_vec();
        let answer = self.call(Name::Build, &program, if wrong { &[] } else { &in_flight });
        match &answer {
            Ok(top) => {
                assert!(!hostile && !wrong && needed <= self.free_slots(), "{program:x?}");
                assert_eq!(top[0], depth + objects + u32::from(pushed.is_some()));
            }
            Err(failure) => {
                let is_right = match failure.code {
                    Code::InvalidRef => wrong,
                    Code::InvalidInstruction | Code::NoSuchRoot | Code::InvalidLayout => hostile,
                    Code::RootStackFull => needed > self.free_slots(),
                    code => code == Code::OutOfMemory,
                };
                assert!(is_right, "{program:x?}: {failure}");
            }
        }
        // What came before the failing instruction stands: it is found on the stack.
        let top = self.call(Name::Depth, &[], &[]).map_or(depth, |top| top[0]);
        let mut index = depth;
        if let Some(reference) = pushed
            && index < top
        {
            assert_eq!(self.call(Name::Root, &[index], &[]), Ok(vec![reference]));
            self.graph.roots.push(reference);
            index += 1;
        }
        for (index, object) in (index..top).zip(made) {
            let address = self.call(Name::Root, &[index], &[]).unwrap()[0];
            self.graph.roots.push(address);
            self.add(address, object);
        }
        self.build_object();
    }

    /// An object of what is on top of the stack.
    fn build_object(&mut self) {
        if self.layouts.is_empty() {
            return;
        }
        let choice = self.choices.below(self.layouts.len() as u32) as usize;
        let Layout { number, pattern } = self.layouts[choice].clone();
        let length = if pattern.element.is_empty() { 0 } else { self.choices.below(4) };
        let tracing = Tracing::Precise(pattern.clone());
        let mut object = Self::object(pattern.bytes(length), 8, tracing);
        let words = (pattern.bytes(length) / 4) as usize;
        let references = (0..words).filter(|&word| pattern.is_reference(word)).count();
        let Some(first) = self.graph.roots.len().checked_sub(references) else { return };
        let slots = u32::from(!self.graph.scopes.is_empty()) + u32::from(references == 0);
        let mut program = vec![number << 8 | 1, length];
        let mut root = first;
        for index in 0..words {
            object.words[index] = if pattern.is_reference(index) {
                root += 1;
                self.graph.roots[root - 1]
            } else {
                program.push(self.scalar());
                program[program.len() - 1]
            };
        }
        let full = self.stack_full(slots);
        match self.call(Name::Build, &program, &[]) {
            Ok(top) => {
                assert_eq!((full, top[0] as usize), (None, first + 1));
                self.graph.roots.truncate(first);
                let address = self.call(Name::Root, &[first as u32], &[]).unwrap()[0];
                self.graph.roots.push(address);
                self.add(address, object);
            }
            Err(failure) => assert!(
                full == Some(failure) || (full.is_none() && failure.code == Code::OutOfMemory),
                "{program:x?}: {failure}"
            ),
        }
    }

    /// Sizes and layouts that cannot be.
    fn sizes(&mut self) {
        let Some(wide) = self.layouts.get(4).map(|layout| layout.number) else { return };
        let (layout, length, code) = self.choices.of(&[
            (LEAF, u32::MAX, Code::OutOfMemory),
            (LEAF, 0x7fff_0001, Code::OutOfMemory),
            (CONSERVATIVE, u32::MAX - 7, Code::OutOfMemory),
            (wide, u32::MAX, Code::OutOfMemory),
            (wide, 0x5555_5556, Code::OutOfMemory),
            (wide, 0xaaaa_aaaa, Code::OutOfMemory),
            (self.layouts[0].number, 1, Code::InvalidLayout),
            (u32::MAX, 0, Code::InvalidLayout),
            (0xff_ffff, 1, Code::InvalidLayout),
        ]);
        let value = match code {
            Code::InvalidLayout => layout,
            _ if layout == wide => u32::try_from(u64::from(length) * 12).unwrap_or(u32::MAX),
            _ => length,
        };
        self.call_in_vain(Name::Allocate, &[layout, length], code, value);
        if self.may(Name::AllocateSmall) {
            let granules = self.choices.of(&[0, 9, 0x2000_0001, u32::MAX]);
            let name = Name::AllocateSmall;
            self.call_in_vain(name, &[granules, 1], Code::InvalidLayout, granules);
        }
        if self.may(Name::AllocateAligned) {
            let alignment = self.choices.of(&[0, 3, 8_192, u32::MAX, 1 << 31]);
            let words = [LEAF, 8, alignment];
            self.call_in_vain(Name::AllocateAligned, &words, Code::OutOfBounds, 4_096);
        }
        let words = self.choices.of(&[0, 65, u32::MAX]);
        let layout = [words, u32::MAX, u32::MAX, 0, 0, 0];
        self.call_in_vain(Name::DefineLayout, &layout, Code::InvalidLayout, words);
    }

    fn define(&mut self, fixed: u32, bits: u64, element: u32, element_bits: u64) {
        let halves = |bits: u64| [bits as u32, (bits >> 32) as u32];
        let ([low, high], [element_low, element_high]) = (halves(bits), halves(element_bits));
        let words = [fixed, low, high, element, element_low, element_high];
        let answer = self.call(Name::DefineLayout, &words, &[]);
        let pattern = Pattern {
            fixed: Pattern::words(fixed, bits),
            element: Pattern::words(element, element_bits),
        };
        match answer {
            Ok(number) => {
                let known = self.layouts.iter().find(|layout| layout.number == number[0]);
                let same = self.layouts.iter().find(|layout| *layout.pattern == pattern);
                assert_eq!(known.map(|layout| layout.number), same.map(|layout| layout.number));
                if known.is_none() {
                    self.layouts.push(Layout { number: number[0], pattern: Rc::new(pattern) });
                }
            }
            Err(failure) => assert_eq!(failure.code, Code::OutOfMemory, "{words:x?}"),
        }
    }

    fn define_layout(&mut self) {
        let most = if self.choices.one_in(4) { 64 } else { 5 };
        let (fixed, element) = (1 + self.choices.below(most), self.choices.below(most));
        let mut bits = || u64::from(self.choices.word()) | u64::from(self.choices.word()) << 32;
        let (bits, element_bits) = (bits(), bits());
        if self.layouts.len() < 40 {
            self.define(fixed, bits, element, element_bits);
        }
    }

    // ---- Reading and writing ----

    /// Writes what is right to write, and notes it.
    fn put_words(&mut self, object: u32, index: u32, words: &[u32]) {
        let mut operands = vec![object, index];
        operands.extend(words);
        assert_eq!(self.call(Name::WriteWords, &operands, &[]), Ok(vec![]));
        let content = &mut self.graph.objects.get_mut(&object).unwrap().words;
        content[index as usize..index as usize + words.len()].copy_from_slice(words);
    }

    /// An object to read or write, or what is none; a word of it, or beyond; what must
    /// come of naming them.
    fn place(&mut self) -> (u32, u32, Expected) {
        let checks = self.checks_access;
        let object = if checks { self.any_reference() } else { self.some_object() };
        let Some(words) = self.graph.objects.get(&object).map(|object| object.words.len() as u32)
        else {
            return (object, self.choices.below(4), self.expect_object(object));
        };
        if checks && self.choices.one_in(40) {
            let index = self.choices.of(&[words, words + 1, 0x4000_0000, u32::MAX]);
            return (object, index, Err(Failure::new(Code::OutOfBounds, words * 4)));
        }
        (object, self.choices.below(words), Ok(()))
    }

    fn set(&mut self) {
        let (object, index, mut expected) = self.place();
        let mut value = self.scalar();
        if expected.is_ok() {
            let tracing = self.graph.objects[&object].tracing.clone();
            value = self.value_for(&tracing, index as usize);
            if tracing.is_reference(index as usize) {
                if !self.checks_access && self.expect_object(value).is_err() {
                    value = 0;
                }
                expected = self.expect_null_or_object(value);
            }
        }
        let many = self.may(Name::WriteMany) && self.choices.one_in(6);
        let (name, mut operands) = match many {
            true => (Name::WriteMany, vec![object, index, value]),
            false => (Name::Set, vec![object, index, value]),
        };
        match expected {
            Err(_) if !self.checks_access => {}
            Err(Failure { code, value, .. }) => {
                if many && self.graph.objects.contains_key(&self.stable_root()) {
                    // What comes before the wrong one is not done either.
                    operands.splice(0..0, [self.stable_root(), 0, 0]);
                }
                self.call_in_vain(name, &operands, code, value);
            }
            Ok(()) => {
                assert_eq!(self.call(name, &operands, &[]), Ok(vec![]));
                self.graph.objects.get_mut(&object).unwrap().words[index as usize] = value;
            }
        }
    }

    fn stable_root(&self) -> u32 {
        untagged(self.graph.roots.first().copied().unwrap_or(0))
    }

    fn write(&mut self) {
        let (object, index, expected) = self.place();
        let Ok(()) = expected else {
            let Err(Failure { code, value, .. }) = expected else { unreachable!() };
            if self.checks_access && self.may(Name::WriteBytes) {
                // A word's index times four may be more than a number holds.
                let offset = index.saturating_mul(4);
                self.call_in_vain(Name::WriteBytes, &[object, offset, 1, 2, 3, 4], code, value);
            }
            return;
        };
        let left = self.graph.objects[&object].words.len() as u32 - index;
        let count = 1 + self.choices.below(left.min(8));
        let tracing = self.graph.objects[&object].tracing.clone();
        let range = index as usize..(index + count) as usize;
        let slot = range.clone().find(|&word| tracing.is_reference(word));
        if self.may(Name::WriteBytes) && self.choices.one_in(2) {
            let mut operands = vec![object, index * 4];
            let words: Vec<u32> = range.clone().map(|_| self.scalar()).collect();
            operands.extend(words.iter().flat_map(|w| w.to_le_bytes().map(u32::from)));
            if let Some(slot) = slot {
                let value = slot as u32 * 4;
                return self.call_in_vain(Name::WriteBytes, &operands, Code::ReferenceSlot, value);
            }
            assert_eq!(self.call(Name::WriteBytes, &operands, &[]), Ok(vec![]));
            self.graph.objects.get_mut(&object).unwrap().words[range].copy_from_slice(&words);
        } else if self.may(Name::WriteWords) {
            let words: Vec<u32> = range
                .map(|word| match tracing.is_reference(word) {
                    true => self.some_object(),
                    false => self.value_for(&tracing, word),
                })
                .collect();
            self.put_words(object, index, &words);
        }
    }

    fn read(&mut self) {
        let (object, index, expected) = self.place();
        match expected {
            Err(_) if !self.checks_access => {}
            Err(Failure { code, value, .. }) => {
                self.call_in_vain(Name::Get, &[object, index], code, value);
                if self.may(Name::ReadBytes) {
                    let operands = [object, index.saturating_mul(4), u32::MAX - 2];
                    self.call_in_vain(Name::ReadBytes, &operands, code, value);
                }
            }
            Ok(()) => {
                let word = self.graph.objects[&object].words[index as usize];
                assert_eq!(self.call(Name::Get, &[object, index], &[]), Ok(vec![word]));
                // An address is other bytes elsewhere.
                let is_portable = word & SCALAR != 0 || word < 256;
                if self.may(Name::ReadBytes) && (is_portable || !self.is_portable) {
                    let read = self.call(Name::ReadBytes, &[object, index * 4, 4], &[]);
                    let bytes = word.to_le_bytes().map(u32::from).to_vec();
                    assert_eq!(read, Ok(bytes));
                }
            }
        }
        let others = [self.any_reference(), self.some_object()];
        match others.map(|other| self.expect_object(other)) {
            [Err(Failure { code, value, .. }), _] | [_, Err(Failure { code, value, .. })] => {
                let [one, other] = others;
                self.call_in_vain(Name::ReadObjects, &[u32::MAX, one, other], code, value);
            }
            _ => {
                let sizes = others.map(|other| self.graph.objects[&other].words.len() as u32 + 1);
                let all = sizes[0] + sizes[1];
                let most = self.choices.of(&[u32::MAX, all, all - 1, 0]);
                let [one, other] = others;
                let read = self.call(Name::ReadObjects, &[most, one, other], &[]).unwrap();
                let expected = if most >= all { all } else { sizes[0] };
                assert_eq!(read.len() as u32, expected, "at most {most} words");
                assert_eq!(read[1..sizes[0] as usize], self.graph.objects[&one].words);
            }
        }
    }

    // ---- Wrappers ----

    /// Collects.
    pub fn collect(&mut self) {
        assert_eq!(self.call(Name::Collect, &[], &[]), Ok(vec![]));
    }

    /// Has memory refuse to grow, or not any more.
    fn refuse(&mut self) {
        if self.is_portable || !self.is_refusing {
            return self.collect();
        }
        let next = self.subject.growths();
        let count = self.choices.of(&[0, 1, 3, u64::MAX / 2]);
        let first = next + u64::from(self.choices.below(3));
        self.subject.refuse_growths(first..first + count);
    }

    /// Lets go of most roots.
    fn let_go(&mut self) {
        self.leave_scopes();
        let kept = self.choices.below(self.graph.roots.len() as u32 + 1) / 4;
        assert_eq!(self.call(Name::Truncate, &[kept], &[]), Ok(vec![]));
        self.graph.roots.truncate(kept as usize);
        for (object, count) in std::mem::take(&mut self.graph.pins) {
            for _ in 0..count {
                self.call(Name::Unpin, &[object], &[]).unwrap();
            }
        }
        if self.graph.objects.len() > MANY_OBJECTS {
            self.collect();
            self.check_all();
        }
    }
}
