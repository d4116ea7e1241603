//! Layouts: which words of an object are references.
//!
//! A layout is some fixed words, and then elements of equal shape. Each of these two parts is a
//! bitmap of at most 64 words. Two numbers are built in, *leaf* and *conservative*. A description
//! that was given before gets the number that it got then.

use crate::buffer::Buffer;
use crate::error::Error;
use crate::index::{Index, mix};
use crate::memory::Memory;
use crate::memory::supply::Supply;
use crate::metadata::{self, TEMPLATE_GRANULES};
use crate::units::{GRANULE_BYTES, GRANULE_WORDS, WORD_BYTES};

/// A layout's number: [`LEAF`], [`CONSERVATIVE`], or a number that `define_layout` returned.
pub type LayoutId = u32;

/// The layout of objects without references.
pub const LEAF: LayoutId = 0;
/// The layout of objects in which every aligned word may be a reference.
pub const CONSERVATIVE: LayoutId = 1;

/// The number of the first defined layout.
pub(crate) const FIRST_DEFINED: LayoutId = 2;
/// The most words that either part of a layout may have.
pub const MOST_WORDS: u32 = 64;
/// Bytes of a layout in the table: the two bitmaps, the template, the two lengths.
const ENTRY_BYTES: u32 = 32;
/// Where an entry has the template.
const TEMPLATE_OFFSET: u32 = 16;
/// Where an entry has the length of the fixed part, in words.
const FIXED_WORDS_OFFSET: u32 = 24;
/// The most layouts, so that a number fits into an instruction of a build program. The tests inside
/// the crate reach a smaller number.
pub(crate) const MOST_LAYOUTS: u32 = if cfg!(test) { 20 } else { (1 << 24) - FIRST_DEFINED };

/// One part of a layout: a number of words, and which of them are references.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// How many words, at most [`MOST_WORDS`].
    pub count: u32,
    /// A bit for each word, the lowest bit for the first word. A set bit is a reference.
    pub references: u64,
}

impl Words {
    /// No words.
    pub const NONE: Words = Words { count: 0, references: 0 };

    /// Describes `count` words, with a bit in `references` for each word that is a reference.
    pub const fn new(count: u32, references: u64) -> Self {
        Words { count, references }
    }

    /// Returns the bits of the words that exist.
    fn known_references(self) -> u64 {
        match self.count {
            0 => 0,
            count => self.references & u64::MAX >> (MOST_WORDS - count),
        }
    }
}

/// A layout as the table holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    fixed_words: u32,
    fixed: u64,
    element_words: u32,
    element: u64,
    template: u64,
}

impl Shape {
    /// The shape of an object without references.
    pub const LEAF: Shape =
        Shape { fixed_words: 0, fixed: 0, element_words: 0, element: 0, template: 0 };

    /// Makes a shape of two parts.
    ///
    /// Errors: `InvalidLayout` if both parts are empty, or one has too many words.
    pub fn new(fixed: Words, element: Words) -> Result<Shape, Error> {
        let layout = fixed.count.max(element.count);
        if layout == 0 || layout > MOST_WORDS {
            return Err(Error::InvalidLayout { layout });
        }
        let references = fixed.known_references();
        let is_small = element.count == 0 && fixed.count <= TEMPLATE_GRANULES * GRANULE_WORDS;
        let granules = fixed.count.div_ceil(GRANULE_WORDS);
        Ok(Shape {
            fixed_words: fixed.count,
            fixed: references,
            element_words: element.count,
            element: element.known_references(),
            template: if is_small { metadata::template(granules, references) } else { 0 },
        })
    }

    /// Returns a number that equal shapes share, and different shapes seldom do.
    fn key(self) -> u32 {
        let halves = |bits: u64| [bits as u32, (bits >> 32) as u32];
        let [[a, b], [c, d]] = [halves(self.fixed), halves(self.element)];
        [a, b, c, d, self.element_words].iter().fold(self.fixed_words, |key, word| mix(key ^ word))
    }

    /// Returns the metadata of an object of this shape, without a colour. 0 if the object is not of
    /// fixed size, or has more than eight granules.
    pub fn template(self) -> u64 {
        self.template
    }

    /// Returns the size of an object with `elements` elements, in bytes, before rounding. None if
    /// the layout has no elements and some are asked for.
    pub fn bytes(self, elements: u32) -> Option<u64> {
        if self.element_words == 0 && elements > 0 {
            return None;
        }
        let words =
            u64::from(self.fixed_words) + u64::from(elements) * u64::from(self.element_words);
        Some(words * u64::from(WORD_BYTES))
    }

    /// Returns true if no word is a reference.
    pub fn is_leaf(self) -> bool {
        self.fixed | self.element == 0
    }

    /// Returns true if the word at `index` is a reference slot.
    pub fn is_reference(&self, index: u32) -> bool {
        if index < self.fixed_words {
            return self.fixed >> index & 1 != 0;
        }
        self.element != 0
            && self.element >> ((index - self.fixed_words) % self.element_words) & 1 != 0
    }

    /// Returns the last granule with references, counted from the object's start. If the elements
    /// have references, returns a granule beyond any object. The shape is not that of a leaf.
    pub fn last_references(&self) -> u32 {
        if self.element != 0 {
            return u32::MAX / GRANULE_BYTES - 1;
        }
        (63 - self.fixed.leading_zeros()) / GRANULE_WORDS
    }

    /// Returns the index from which on every word is a reference, as in an array of references. If
    /// the elements have other words, returns an index beyond any object.
    pub fn all_references_from(self) -> u32 {
        let are_references =
            self.element_words > 0 && self.element == u64::MAX >> (64 - self.element_words);
        if are_references { self.fixed_words } else { u32::MAX / WORD_BYTES }
    }
}

/// How to make a small object.
#[derive(Clone, Copy, Debug)]
pub struct Small {
    /// How many words the object has.
    pub words: u32,
    /// The object's metadata, without a colour.
    pub template: u64,
    /// A bit for each word that is a reference.
    pub references: u32,
}

/// The layouts of a heap.
#[derive(Debug, Default)]
pub struct Layouts {
    table: Buffer,
    /// The index by [`Shape::key`].
    index: Index,
    count: u32,
}

impl Layouts {
    /// Makes a table with only the built-in layouts.
    pub const fn new() -> Self {
        Layouts { table: Buffer::EMPTY, index: Index::new(), count: 0 }
    }

    /// Returns the number of a shape, which may be new or known.
    ///
    /// Errors: `OutOfMemory` if there is no room for one more; `InvalidLayout` if all numbers are
    /// in use.
    pub fn define<M: Memory>(
        &mut self,
        supply: &mut Supply<M>,
        shape: Shape,
    ) -> Result<LayoutId, Error> {
        let key = shape.key();
        let memory = &supply.memory;
        let known = self.index.find(memory, key, |index| self.load(memory, index) == shape);
        if let Some(index) = known {
            return Ok(FIRST_DEFINED + index);
        }
        let needed_bytes = (self.count + 1) * ENTRY_BYTES;
        if self.count == MOST_LAYOUTS {
            return Err(Error::InvalidLayout { layout: FIRST_DEFINED + self.count });
        }
        if self.index.enlarge(supply, self.count + 1) {
            for index in 0..self.count {
                let key = self.load(&supply.memory, index).key();
                self.index.insert(&mut supply.memory, key, index);
            }
        }
        if self.count == self.index.capacity() || !self.table.reserve(supply, needed_bytes) {
            return Err(Error::OutOfMemory { needed_bytes });
        }
        let at = self.table.address + self.count * ENTRY_BYTES;
        let memory = &mut supply.memory;
        memory.store_u64(at, shape.fixed);
        memory.store_u64(at + 8, shape.element);
        memory.store_u64(at + TEMPLATE_OFFSET, shape.template);
        memory.store_u32(at + FIXED_WORDS_OFFSET, shape.fixed_words);
        memory.store_u32(at + 28, shape.element_words);
        self.index.insert(memory, key, self.count);
        self.count += 1;
        Ok(FIRST_DEFINED + self.count - 1)
    }

    /// Returns the shape of a defined layout.
    ///
    /// Errors: `InvalidLayout`.
    pub fn shape<M: Memory>(&self, memory: &M, layout: LayoutId) -> Result<Shape, Error> {
        match layout.checked_sub(FIRST_DEFINED) {
            Some(index) if index < self.count => Ok(self.load(memory, index)),
            _ => Err(Error::InvalidLayout { layout }),
        }
    }

    /// Returns how to make a small object: a leaf of up to 8 granules, or an object of a layout of
    /// fixed size of up to 8 granules. None for any other object.
    #[inline(always)]
    pub fn small<M: Memory>(&self, memory: &M, layout: LayoutId, length: u32) -> Option<Small> {
        if layout == LEAF && length <= TEMPLATE_GRANULES * GRANULE_BYTES {
            let granules = length.div_ceil(GRANULE_BYTES).max(1);
            let template = metadata::leaf_template(granules);
            return Some(Small { words: granules * GRANULE_WORDS, template, references: 0 });
        }
        let index = layout.wrapping_sub(FIRST_DEFINED);
        if index >= self.count || length > 0 {
            return None;
        }
        let at = self.table.address + index * ENTRY_BYTES;
        let template = memory.load_u64(at + TEMPLATE_OFFSET);
        (template != 0).then(|| Small {
            words: memory.load_u32(at + FIXED_WORDS_OFFSET),
            template,
            // A small object has at most 16 words, so the low half of the bitmap is enough.
            references: memory.load_u32(at),
        })
    }

    fn load<M: Memory>(&self, memory: &M, index: u32) -> Shape {
        let at = self.table.address + index * ENTRY_BYTES;
        Shape {
            fixed: memory.load_u64(at),
            element: memory.load_u64(at + 8),
            template: memory.load_u64(at + TEMPLATE_OFFSET),
            fixed_words: memory.load_u32(at + FIXED_WORDS_OFFSET),
            element_words: memory.load_u32(at + 28),
        }
    }

    /// Returns the bytes that the table takes.
    pub fn size_bytes(&self) -> u32 {
        self.table.size_bytes + self.index.size_bytes()
    }

    /// Gives the table back.
    pub fn release<M: Memory>(&mut self, supply: &mut Supply<M>) {
        self.table.release(supply);
        self.index.release(supply);
        self.count = 0;
    }
}
