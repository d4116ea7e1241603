//! The generator: choices become operations, right ones and hostile ones.
//!
//! The proportions make the rare states frequent: a full table, a full shadow stack, large objects,
//! holes of one granule between live objects, memory that refuses. An operand is chosen by its
//! place (the third root, the second pin, the object in the fourth slot of one of those), never by
//! its address. So a program means the same wherever objects lie.

mod access;
mod allocation;
mod roots;
mod wrappers;

use std::rc::Rc;

use crate::call::{Code, Failure, Name};
use crate::graph::{GRANULE_BYTES, Object, Pattern, Tracing, untagged};
use crate::model::{KIND, Layout, Model, RECENT};
use crate::subject::{RANGE_WORDS, Subject};

const LEAF: u32 = 0;
const CONSERVATIVE: u32 = 1;
/// More objects than this make a program drop its roots.
const MANY_OBJECTS: usize = 3_000;
const MOST_SCOPES: usize = 6;
/// The longest list, in words, that a program passes to a component. A component's lists pass
/// through an allocator that traps if memory is refused, but that has this much from the start.
const LONG_LIST_WORDS: u32 = 4_096;
/// A scalar has this bit, or is small, so that it is not an address by chance. If memory is in the
/// upper half of the address space, a scalar does not have the bit.
const SCALAR: u32 = 1 << 31;

/// The operations of a program, and how often each comes in 256.
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

/// The expected outcome of an operation that takes a reference.
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

    /// Performs one operation, and compares what is cheap to compare; after a collection, compares
    /// everything.
    pub fn step(&mut self) {
        let collections = self.counts.collections;
        self.operate();
        if self.counts.collections != collections {
            self.check_all();
        }
        self.check_pending();
        if self.graph.objects.len() > MANY_OBJECTS || self.choices.one_in(1_000) {
            self.drop_roots();
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

    /// Returns the inline form of an operation half of the time, if there is one.
    fn inline_or(&mut self, inline: Name, called: Name) -> Name {
        if self.may(inline) && self.choices.one_in(2) { inline } else { called }
    }

    // ---- Operands ----

    /// Returns an object or null: mostly an object that a root reaches, sometimes one that was just
    /// made and that nothing roots.
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

    /// Follows a few references from an object, and returns the object at the end.
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

    /// Returns mostly an object, sometimes a word that is not the address of a live object.
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
                // The word stays inside the object: what lies beyond differs with the address.
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

    /// Returns a value for a word of an object: mostly a right one, sometimes a wrong one.
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
                        Some(object) if self.limits.may_dangle || self.limits.interior_pointers => {
                            object.size_bytes()
                        }
                        Some(_) => GRANULE_BYTES,
                    };
                    object + self.choices.below(inside)
                }
            },
        }
    }

    // ---- The heap ----

    /// Performs a collection.
    pub fn collect(&mut self) {
        assert_eq!(self.call(Name::Collect, &[], &[]), Ok(vec![]));
    }

    /// Has memory refuse to grow, or lets it grow again.
    fn refuse(&mut self) {
        if self.is_portable || !self.is_refusing {
            return self.collect();
        }
        let next = self.subject.growths();
        let count = self.choices.of(&[0, 1, 3, u64::MAX / 2]);
        let first = next + u64::from(self.choices.below(3));
        self.subject.refuse_growths(first..first + count);
    }

    /// Drops most roots.
    fn drop_roots(&mut self) {
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
