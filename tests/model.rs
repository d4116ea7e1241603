//! Random programs against a model: a plain graph in maps.
//!
//! After every operation the cheap facts agree; after every collection, whatever
//! the model reaches is intact, and whatever it does not reach is released after
//! two collections at the latest.

mod common;

use common::drain;
use std::collections::{BTreeMap, BTreeSet};
use tether_gc::memory::model::ModelMemory;
use tether_gc::{Error, Heap, LayoutId, Options, Reference, Sizing, Words, layout};

/// A small random generator (xorshift64*), so that a seed tells a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit.max(1))) as u32
    }
}

/// An object as the model knows it.
#[derive(Clone, Debug)]
struct Object {
    words: Vec<u32>,
    /// Which words are references.
    references: Vec<bool>,
    handle: Option<u32>,
}

struct Model {
    heap: Heap<ModelMemory>,
    random: Random,
    layouts: Vec<(LayoutId, u32, Vec<bool>)>,
    objects: BTreeMap<Reference, Object>,
    roots: Vec<Reference>,
    /// What each open scope roots.
    scopes: Vec<Vec<Reference>>,
    pins: BTreeMap<Reference, u32>,
    next_handle: u32,
    unreleased: BTreeSet<u32>,
    collections: u32,
}

const ROOTS: u32 = 300;

impl Model {
    fn new(seed: u64, options: Options) -> Self {
        let options = Options { root_capacity: ROOTS, ..options };
        let mut heap = Heap::new(ModelMemory::with_limit(400), options).unwrap();
        let mut layouts = Vec::new();
        for (fixed, bits, element, element_bits) in [
            (1, 1, 0, 0),
            (2, 1, 0, 0),
            (4, 0b1010, 0, 0),
            (1, 0, 1, 1),
            (0, 0, 3, 0b101),
            (9, 0x1ff, 2, 0),
        ] {
            let layout = heap
                .define_layout(Words::new(fixed, bits), Words::new(element, element_bits))
                .unwrap();
            let mut pattern: Vec<bool> = (0..fixed).map(|word| bits >> word & 1 != 0).collect();
            pattern.extend((0..element).map(|word| element_bits >> word & 1 != 0));
            layouts.push((layout, element, pattern));
        }
        Model {
            heap,
            random: Random(seed | 1),
            layouts,
            objects: BTreeMap::new(),
            roots: Vec::new(),
            scopes: Vec::new(),
            pins: BTreeMap::new(),
            next_handle: 0,
            unreleased: BTreeSet::new(),
            collections: 0,
        }
    }

    fn reachable(&self) -> BTreeSet<Reference> {
        let mut found = BTreeSet::new();
        let mut work: Vec<Reference> = self.roots.clone();
        work.extend(self.scopes.iter().flatten());
        work.extend(self.pins.keys());
        while let Some(reference) = work.pop() {
            if reference == 0 || !found.insert(reference) {
                continue;
            }
            let object = &self.objects[&reference];
            for (&word, &is_reference) in object.words.iter().zip(&object.references) {
                if is_reference {
                    work.push(word);
                }
            }
        }
        found
    }

    /// A reachable object, or null.
    fn some_object(&mut self) -> Reference {
        let from_root = match self.random.below(3) {
            0 if !self.roots.is_empty() => {
                let index = self.random.below(self.roots.len() as u32);
                self.roots[index as usize]
            }
            1 if !self.pins.is_empty() => {
                let index = self.random.below(self.pins.len() as u32);
                *self.pins.keys().nth(index as usize).unwrap()
            }
            _ => match self.scopes.last() {
                Some(scope) if !scope.is_empty() => {
                    scope[self.random.below(scope.len() as u32) as usize]
                }
                _ => self.roots.last().copied().unwrap_or(0),
            },
        };
        self.step_in(from_root)
    }

    /// Goes a few references further in.
    fn step_in(&mut self, mut at: Reference) -> Reference {
        for _ in 0..self.random.below(4) {
            let Some(object) = self.objects.get(&at) else { return at };
            let slots: Vec<_> = (0..object.words.len())
                .filter(|&index| object.references[index] && object.words[index] != 0)
                .collect();
            if slots.is_empty() {
                return at;
            }
            let words = object.words.clone();
            at = words[slots[self.random.below(slots.len() as u32) as usize]];
        }
        at
    }

    /// Compares with the heap after a collection, if there was one.
    fn note_collections(&mut self) {
        let now = self.heap.statistics().collections;
        if now != self.collections {
            self.collections = now;
            self.check_all();
        }
    }

    fn check_all(&mut self) {
        assert_eq!(self.heap.verify(), None);
        let reachable = self.reachable();
        for &reference in &reachable {
            let object = &self.objects[&reference];
            let mut words = vec![0; object.words.len()];
            self.heap.read_words(reference, 0, &mut words).unwrap();
            assert_eq!(words, object.words, "{reference:#x} changed");
            let handle = self.heap.handle_of(reference).ok().map(|handle| handle.handle);
            assert_eq!(handle, object.handle, "{reference:#x} owns another handle");
        }
        for dead in drain(&mut self.heap) {
            assert!(self.unreleased.remove(&dead.handle), "{} released twice", dead.handle);
            let owner = reachable
                .iter()
                .find(|reference| self.objects[reference].handle == Some(dead.handle));
            assert_eq!(owner, None, "handle {} was released early", dead.handle);
        }
        self.objects.retain(|reference, _| reachable.contains(reference));
    }

    fn add(&mut self, reference: Reference, object: Object) {
        self.note_collections();
        assert!(!self.reachable().contains(&reference), "{reference:#x} was given twice");
        self.objects.insert(reference, object);
        match self.scopes.last_mut() {
            Some(scope) => scope.push(reference),
            None => {
                // The caller roots it, or drops it.
                if self.random.below(3) > 0 && self.heap.push(reference).is_ok() {
                    self.roots.push(reference);
                }
            }
        }
    }

    fn allocate(&mut self) {
        let choice = self.random.below(self.layouts.len() as u32 + 2) as usize;
        let length = match self.random.below(40) {
            0 => self.random.below(5_000),
            1..4 => self.random.below(300),
            _ => self.random.below(12),
        };
        let (layout, length, pattern, element) = match self.layouts.get(choice) {
            Some((layout, 0, pattern)) => (*layout, 0, pattern.clone(), 0),
            Some((layout, element, pattern)) => (*layout, length, pattern.clone(), *element),
            None => (layout::LEAF, length * 4, Vec::new(), 0),
        };
        let result = self.heap.allocate(layout, length);
        let Ok(reference) = result else {
            self.note_collections();
            return self.expect_exhausted(result.unwrap_err());
        };
        let words = if layout == layout::LEAF {
            self.heap.size_of(reference).unwrap() / 4
        } else {
            pattern.len() as u32 - element + element * length
        };
        let fixed = pattern.len() as u32 - element;
        let references = (0..words)
            .map(|word| match word.checked_sub(fixed) {
                _ if layout == layout::LEAF => false,
                Some(behind) => pattern[(fixed + behind % element) as usize],
                None => pattern[word as usize],
            })
            .collect();
        let words = vec![0; words as usize];
        self.add(reference, Object { words, references, handle: None });
    }

    fn store(&mut self) {
        let holder = self.some_object();
        let value = self.some_object();
        let Some(object) = self.objects.get_mut(&holder) else { return };
        if object.words.is_empty() {
            return;
        }
        let index = self.random.below(object.words.len() as u32);
        let number = self.random.next() as u32;
        let value = if object.references[index as usize] { value } else { number };
        self.heap.set(holder, index, value).unwrap();
        self.objects.get_mut(&holder).unwrap().words[index as usize] = value;
    }

    fn register(&mut self) {
        let wrapper = self.some_object();
        let handle = self.next_handle;
        let weight = self.random.below(1 << 20);
        let result = self.heap.register(wrapper, 1, handle, weight);
        match self.objects.get_mut(&wrapper) {
            None => assert_eq!(result, Err(Error::InvalidRef { reference: wrapper })),
            Some(object) if object.handle.is_some() => {
                assert_eq!(result, Err(Error::AlreadyRegistered { reference: wrapper }));
            }
            Some(object) => match result {
                Ok(()) => {
                    object.handle = Some(handle);
                    self.unreleased.insert(handle);
                    self.next_handle += 1;
                }
                Err(error) => self.expect_exhausted(error),
            },
        }
        self.note_collections();
    }

    fn wrap(&mut self) {
        let handle = self.next_handle;
        match self.heap.wrap(1, handle, 0) {
            Ok(wrapper) => {
                self.next_handle += 1;
                self.unreleased.insert(handle);
                let object = Object {
                    words: vec![1, handle],
                    references: vec![false; 2],
                    handle: Some(handle),
                };
                self.add(wrapper, object);
            }
            Err(error) => {
                self.note_collections();
                self.expect_exhausted(error);
                // In a scope, a wrapper whose registration failed stays rooted.
                self.forget_scopes();
            }
        }
    }

    /// Closes all scopes, for when the model does not know what they hold.
    fn forget_scopes(&mut self) {
        while self.heap.scope_depth() > 0 {
            self.heap.leave_scope(0).unwrap();
        }
        self.scopes.clear();
    }

    fn dispose(&mut self) {
        let wrapper = self.some_object();
        let result = self.heap.dispose(wrapper);
        match self.objects.get_mut(&wrapper) {
            Some(object) if object.handle.is_some() => {
                assert_eq!(result, Ok(()));
                object.handle = None;
            }
            Some(_) => assert_eq!(result, Err(Error::NotRegistered { reference: wrapper })),
            None => assert_eq!(result, Err(Error::InvalidRef { reference: wrapper })),
        }
    }

    /// Exhaustion is the only error that a right call may meet.
    fn expect_exhausted(&self, error: Error) {
        let exhausted = matches!(
            error,
            Error::OutOfMemory { .. } | Error::WrapTableFull { .. } | Error::RootStackFull { .. }
        );
        assert!(exhausted, "{error}");
    }

    fn root(&mut self) {
        match self.random.below(4) {
            0 => {
                let object = self.some_object();
                if self.heap.push(object).is_ok() {
                    self.roots.push(object);
                }
            }
            1 => assert_eq!(self.heap.pop().ok(), self.roots.pop()),
            2 if !self.roots.is_empty() => {
                let object = self.some_object();
                let index = self.random.below(self.roots.len() as u32);
                self.heap.set_root(index, object).unwrap();
                self.roots[index as usize] = object;
            }
            _ => {
                let drop = self.random.below(self.roots.len() as u32 + 1) / 8;
                let depth = self.roots.len() as u32 - drop;
                self.heap.truncate(depth).unwrap();
                self.roots.truncate(depth as usize);
            }
        }
    }

    fn scope(&mut self) {
        if self.scopes.len() < 5 && self.random.below(2) == 0 {
            if self.heap.enter_scope().is_ok() {
                self.scopes.push(Vec::new());
            }
            return;
        }
        let keep = self.some_object();
        let result = self.heap.leave_scope(keep);
        if self.scopes.pop().is_none() {
            return assert_eq!(result, Err(Error::NoScope));
        }
        assert_eq!(result, Ok(()));
        if keep != 0
            && let Some(outer) = self.scopes.last_mut()
        {
            outer.push(keep);
        }
    }

    fn pin(&mut self) {
        let object = self.some_object();
        if self.random.below(2) == 0 {
            match self.heap.pin(object) {
                Ok(count) => {
                    *self.pins.entry(object).or_default() += 1;
                    assert_eq!(count, self.pins[&object]);
                }
                Err(Error::InvalidRef { .. }) => assert_eq!(object, 0),
                Err(error) => self.expect_exhausted(error),
            }
        } else if let Some((&pinned, &count)) = self.pins.iter().next() {
            assert_eq!(self.heap.unpin(pinned), Ok(count - 1));
            if count == 1 {
                self.pins.remove(&pinned);
            } else {
                self.pins.insert(pinned, count - 1);
            }
        }
    }

    /// Passes something that is no object, everywhere.
    fn forge(&mut self) {
        let reference = self.random.next() as u32 & 0x01ff_ffff;
        let known = self.heap.is_object(reference);
        if !known {
            let refused = Error::InvalidRef { reference };
            assert_eq!(self.heap.set(reference, 0, 1), Err(refused));
            assert_eq!(self.heap.register(reference, 1, 1, 1), Err(refused));
            assert_eq!(self.heap.pin(reference), Err(refused));
            assert_eq!(self.heap.dispose(reference), Err(refused));
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..35 => self.allocate(),
            35..60 => self.store(),
            60..68 => self.register(),
            68..74 => self.wrap(),
            74..76 => self.dispose(),
            76..90 => self.root(),
            90..94 => self.scope(),
            94..96 => self.pin(),
            96..98 => self.forge(),
            98 => {
                let refuse = self.random.below(2) == 0;
                self.heap.memory_mut().refuse_growth_after(refuse.then_some(3));
            }
            _ => {
                self.heap.collect().unwrap();
                self.note_collections();
            }
        }
    }

    fn end(mut self) {
        self.heap.collect().unwrap();
        self.note_collections();
        self.heap.collect().unwrap();
        self.note_collections();
        let reachable = self.reachable();
        let live: u64 = reachable
            .iter()
            .map(|&reference| u64::from(self.heap.size_of(reference).unwrap()))
            .sum();
        assert_eq!(self.heap.statistics().live_bytes, live, "something unreachable survived");
        self.heap.close().unwrap();
        for dead in drain(&mut self.heap) {
            assert!(self.unreleased.remove(&dead.handle), "{} released twice", dead.handle);
        }
        assert!(self.unreleased.is_empty(), "handles were lost: {:?}", self.unreleased);
    }
}

fn run(seeds: std::ops::Range<u64>, steps: u32, options: Options) {
    for seed in seeds {
        let mut model = Model::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1, options);
        for _ in 0..steps {
            model.step();
        }
        assert!(model.collections > 0, "seed {seed} never collected");
        model.end();
    }
}

#[test]
fn random_programs_agree_with_the_model() {
    run(0..60, 3_000, Options { wrap_capacity: 40, wrap_limit: 40, ..Options::DEFAULT });
}

#[test]
fn random_programs_agree_where_the_table_grows_and_the_heap_is_small() {
    let sizing = Sizing::Fixed { budget_bytes: 30_000 };
    let options = Options {
        wrap_capacity: 8,
        wrap_limit: 1_000,
        handle_floor: 50,
        sizing,
        ..Options::DEFAULT
    };
    run(100..140, 3_000, options);
}

#[test]
fn random_programs_agree_when_every_operation_collects() {
    run(200..220, 1_000, Options { stress: 1, ..Options::DEFAULT });
}
