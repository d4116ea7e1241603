//! What the model knows: objects with their content, and the roots that keep them.
//!
//! The collector's roots are precise, so the model is precise too: `objects` has the objects that
//! the collector has, and no others. A collection removes every object that no root reaches. After
//! that, an address in `objects` is an object's, and any other address is not.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::subject::RANGE_WORDS;

/// Sizes are multiples of this.
pub const GRANULE_BYTES: u32 = 8;
/// The largest size of an object in a block, with the bytes that it needs to be aligned. A larger
/// object has a range of its own.
pub const LARGEST_IN_BLOCK_BYTES: u32 = 8 * 1024;

/// Which words of an object are references.
#[derive(Clone, Debug)]
pub enum Tracing {
    /// No word is a reference.
    Leaf,
    /// Every word may be a reference.
    Conservative,
    /// The references are those of a layout or a template.
    Precise(Rc<Pattern>),
}

/// The words of a layout, and for each whether it is a reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// The fixed words.
    pub fixed: Vec<bool>,
    /// The words of an element.
    pub element: Vec<bool>,
}

impl Pattern {
    /// Returns a flag for each of `count` words, by the bits of `references`.
    pub fn words(count: u32, references: u64) -> Vec<bool> {
        (0..count).map(|word| references >> word & 1 != 0).collect()
    }

    /// Returns true if a word is a reference slot.
    pub fn is_reference(&self, index: usize) -> bool {
        match index.checked_sub(self.fixed.len()) {
            None => self.fixed[index],
            Some(_) if self.element.is_empty() => false,
            Some(behind) => self.element[behind % self.element.len()],
        }
    }

    /// Returns the bytes of an object with `length` elements, before rounding.
    pub fn bytes(&self, length: u32) -> u64 {
        let words = self.fixed.len() as u64 + self.element.len() as u64 * u64::from(length);
        words * 4
    }
}

impl Tracing {
    /// Returns true if a word is known to be a reference slot.
    pub fn is_reference(&self, index: usize) -> bool {
        matches!(self, Tracing::Precise(pattern) if pattern.is_reference(index))
    }
}

/// What a wrapper owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The kind, as registered.
    pub kind: u32,
    /// The handle, as registered. No two handles are equal.
    pub handle: u32,
    /// The weight, as registered or set later.
    pub weight: u32,
}

/// An object.
#[derive(Clone, Debug)]
pub struct Object {
    /// The object's number, counted from 0 in order of allocation.
    pub id: u32,
    /// The object's content.
    pub words: Vec<u32>,
    /// How the object is traced.
    pub tracing: Tracing,
    /// What the object owns, if it is a wrapper.
    pub owned: Option<Owned>,
    /// The bytes that the object counts for: its size, and for a large object also the bytes that
    /// it needs to be aligned.
    pub counted_bytes: u32,
}

impl Object {
    /// Returns the object's size.
    pub fn size_bytes(&self) -> u32 {
        self.words.len() as u32 * 4
    }

    /// Returns true if the object has a range of its own.
    pub fn is_large(&self) -> bool {
        self.counted_bytes > LARGEST_IN_BLOCK_BYTES
    }
}

/// Returns the address in a word of a reference slot or of the shadow stack, whose lowest bits may
/// be a tag.
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
    /// The objects that each open scope roots.
    pub scopes: Vec<Vec<u32>>,
    /// Pinned objects, in the order of their first pin, and how often each is pinned.
    pub pins: Vec<(u32, u32)>,
    /// The words of the root range, while it is registered.
    pub range: Option<[u32; RANGE_WORDS as usize]>,
    /// Whether a word that points into an object keeps the object also if the word is in a
    /// conservative object.
    pub interior_pointers: bool,
}

impl Graph {
    /// Returns the object that an address lies in, and the object's own address.
    pub fn containing(&self, address: u32) -> Option<(u32, &Object)> {
        let (&start, object) = self.objects.range(..=address).next_back()?;
        (address - start < object.size_bytes()).then_some((start, object))
    }

    /// Returns the object that a word in a conservative object keeps.
    fn kept_by_word(&self, word: u32) -> Option<u32> {
        let (start, _) = self.containing(word)?;
        let offset = word - start;
        (offset < GRANULE_BYTES || self.interior_pointers).then_some(start)
    }

    /// Returns the number of slots of the shadow stack that scopes take.
    pub fn scope_slots(&self) -> u32 {
        self.scopes.iter().map(|scope| 1 + scope.len() as u32).sum()
    }

    /// Returns the objects that a collection keeps. `in_flight` has the words that an operation
    /// holds.
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
