//! What the model knows: objects and what they hold, and what keeps them.
//!
//! The collector is precise where roots are, so the model is too: `objects` has just
//! what the collector has. A collection takes out of it whatever no root reaches, and
//! after that an address in it is an object, and any other is none.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::subject::RANGE_WORDS;

/// Sizes are multiples of this.
pub const GRANULE_BYTES: u32 = 8;
/// What is larger has a range of its own, with what it needs to be aligned.
pub const LARGEST_IN_BLOCK_BYTES: u32 = 8 * 1024;

/// Which words of an object are references.
#[derive(Clone, Debug)]
pub enum Tracing {
    /// None.
    Leaf,
    /// Any may be.
    Conservative,
    /// As a layout, or a template, says.
    Precise(Rc<Pattern>),
}

/// The words of a layout, and for each whether it is a reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// The fixed ones.
    pub fixed: Vec<bool>,
    /// Those of an element.
    pub element: Vec<bool>,
}

impl Pattern {
    /// So many words, with a bit for each that is a reference.
    pub fn words(count: u32, references: u64) -> Vec<bool> {
        (0..count).map(|word| references >> word & 1 != 0).collect()
    }

    /// Whether a word is a reference slot.
    pub fn is_reference(&self, index: usize) -> bool {
        match index.checked_sub(self.fixed.len()) {
            None => self.fixed[index],
            Some(_) if self.element.is_empty() => false,
            Some(behind) => self.element[behind % self.element.len()],
        }
    }

    /// Bytes of an object with so many elements, before rounding.
    pub fn bytes(&self, length: u32) -> u64 {
        let words = self.fixed.len() as u64 + self.element.len() as u64 * u64::from(length);
        words * 4
    }
}

impl Tracing {
    /// Whether a word is known to be a reference slot.
    pub fn is_reference(&self, index: usize) -> bool {
        matches!(self, Tracing::Precise(pattern) if pattern.is_reference(index))
    }
}

/// What a wrapper owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// As registered.
    pub kind: u32,
    /// As registered; no two are the same.
    pub handle: u32,
    /// As registered, or set since.
    pub weight: u32,
}

/// An object.
#[derive(Clone, Debug)]
pub struct Object {
    /// In order of allocation, from 0.
    pub id: u32,
    /// Its content.
    pub words: Vec<u32>,
    /// How it is traced.
    pub tracing: Tracing,
    /// What it owns.
    pub owned: Option<Owned>,
    /// The bytes that it counts for, which for a large one include its alignment.
    pub counted_bytes: u32,
}

impl Object {
    /// Its size.
    pub fn size_bytes(&self) -> u32 {
        self.words.len() as u32 * 4
    }

    /// Whether it has a range of its own.
    pub fn is_large(&self) -> bool {
        self.counted_bytes > LARGEST_IN_BLOCK_BYTES
    }
}

/// The address of what a word in a reference slot or on the shadow stack names: its lowest
/// bits may be a tag.
pub fn untagged(word: u32) -> u32 {
    word & !(GRANULE_BYTES - 1)
}

/// Objects and roots.
#[derive(Debug, Default)]
pub struct Graph {
    /// Every object that the collector has, by its address.
    pub objects: BTreeMap<u32, Object>,
    /// The words of the shadow stack, which compiled code may have tagged.
    pub roots: Vec<u32>,
    /// What each open scope roots.
    pub scopes: Vec<Vec<u32>>,
    /// Pinned objects, in the order of their first pin, and how often each is pinned.
    pub pins: Vec<(u32, u32)>,
    /// The words of the root range, while it is registered.
    pub range: Option<[u32; RANGE_WORDS as usize]>,
    /// Whether a word inside an object keeps it, in conservative objects too.
    pub interior_pointers: bool,
}

impl Graph {
    /// The object that an address lies in, and its own address.
    pub fn containing(&self, address: u32) -> Option<(u32, &Object)> {
        let (&start, object) = self.objects.range(..=address).next_back()?;
        (address - start < object.size_bytes()).then_some((start, object))
    }

    /// The object that a word in a conservative object keeps.
    fn kept_by_word(&self, word: u32) -> Option<u32> {
        let (start, _) = self.containing(word)?;
        let offset = word - start;
        (offset < GRANULE_BYTES || self.interior_pointers).then_some(start)
    }

    /// Slots of the shadow stack that scopes take.
    pub fn scope_slots(&self) -> u32 {
        self.scopes.iter().map(|scope| 1 + scope.len() as u32).sum()
    }

    /// What a collection keeps, with some words that an operation has in flight.
    pub fn reachable(&self, in_flight: &[u32]) -> BTreeMap<u32, ()> {
        let mut work: Vec<u32> = self.roots.clone();
        work.extend(self.scopes.iter().flatten());
        work.extend(self.pins.iter().map(|&(object, _)| object));
        work.extend(in_flight.iter().filter_map(|&word| self.kept_by_word(word)));
        let range = self.range.iter().flatten();
        work.extend(range.filter_map(|&word| Some(self.containing(word)?.0)));
        let mut found = BTreeMap::new();
        while let Some(word) = work.pop() {
            let address = untagged(word);
            if address == 0 || found.insert(address, ()).is_some() {
                continue;
            }
            let object = &self.objects[&address];
            for (index, &word) in object.words.iter().enumerate() {
                match &object.tracing {
                    Tracing::Leaf => break,
                    Tracing::Conservative => work.extend(self.kept_by_word(word)),
                    Tracing::Precise(pattern) if pattern.is_reference(index) => work.push(word),
                    Tracing::Precise(_) => {}
                }
            }
        }
        found
    }
}
