//! The form of a document in the heap, and the programs that build it.
//!
//! Each node is one object whose first word, its [`Header`], has the node's kind
//! and its length. Three shapes:
//!
//! | shape | words | nodes |
//! |---|---|---|
//! | leaf | header, bytes | null, true, false, a number's text, a string, a key, a piece of a long text, a run |
//! | branch | header, a reference for each child | array, object, long string, long key, chunk |
//! | kept | header, handle, reference to the number | a number with its decimal, a wrapper |
//!
//! A branch has few children of its own. When [`FAN_OUT`] of them wait on the
//! shadow stack, they go into a *chunk*, which waits in their place; when as many
//! chunks wait, they go into a chunk too. The nodes that wait when the container ends are
//! the branch's children. Hence:
//!
//! 1. Read from the left, a branch's children with every chunk replaced by its
//!    own are the container's children in the order of the document.
//! 2. An open branch has less than [`FAN_OUT`] children of each level on the shadow
//!    stack, and a branch's object has only those and no more.
//! 3. An object's children are a key, its value, a key, its value, and so on. A
//!    chunk never parts a key from its value, because [`FAN_OUT`] is even.
//!
//! The parser never reads a node back. So nodes are only *written*, as instructions for
//! `heap.build`, and many instructions are sent together: a call costs microseconds on
//! some hosts, and an instruction nanoseconds on all of them.

use alloc::vec::Vec;

use crate::failure::During;
use crate::imports::{Decimal, Error, ErrorCode, Failure, Imports, Layout, Reference, Words};

/// How many children a chunk takes.
pub const FAN_OUT: u8 = 16;

/// How many kinds of waiting children there are: children, chunks of children,
/// chunks of chunks, and so on. 16⁸ children are more than addresses.
const LEVELS: usize = 8;

/// The most children of a branch that wait at a time, if the branch has less than 16⁵
/// (a million) of them. A document in which a thousand open branches each have
/// more is larger than 2 GiB.
pub const PENDING_MAX: u32 = (FAN_OUT as u32 - 1) * 5;

/// The slot of the shadow stack that has the document's root node.
pub const ROOT_SLOT: u32 = 3;

/// When the program has this many words, it is sent.
const PROGRAM_WORDS: usize = 16 * 1024;

/// The instructions of `heap.build` that are used here: a leaf of as many bytes as
/// the opcode's upper bits say, then its words.
pub const OPCODE_LEAF: u32 = 0;
/// An object of the layout in the upper bits, its length, and its scalars. Its
/// references are popped.
pub const OPCODE_OBJECT: u32 = 1;
/// A push of an object that exists already.
pub const OPCODE_PUSH: u32 = 2;

/// The kind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `null`
    Null,
    /// `true`
    True,
    /// `false`
    False,
    /// A number's text.
    Number,
    /// A string of at most [`PART_MAX_BYTES`](crate::lexer::PART_MAX_BYTES).
    String,
    /// A key of at most [`PART_MAX_BYTES`](crate::lexer::PART_MAX_BYTES).
    Key,
    /// A piece of a long string or key.
    Piece,
    /// An array.
    Array,
    /// An object: keys and values in turn.
    Object,
    /// A longer string, of pieces.
    LongString,
    /// A longer key, of pieces.
    LongKey,
    /// Children of the branch around it.
    Chunk,
    /// A number that keeps its decimal.
    Kept,
    /// Numbers, literals and arrays of them, as bytes: see [`pack`](crate::pack).
    Run,
}

/// The first word of a node: a tag in the lowest four bits; above it the length,
/// in bytes for a leaf, in children for a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The node's kind.
    pub tag: Tag,
    /// How long it is.
    pub length: u32,
}

impl Header {
    const TAG_BITS: u32 = 4;

    /// As a word.
    pub fn word(self) -> u32 {
        self.length << Self::TAG_BITS | self.tag as u32
    }

    /// The header in a word. Errors: `InvalidLayout` for any other word. Such a node was written
    /// by something else than this module.
    pub fn of(word: u32) -> Result<Header, Error> {
        const TAGS: [Tag; 14] = [
            Tag::Null,
            Tag::True,
            Tag::False,
            Tag::Number,
            Tag::String,
            Tag::Key,
            Tag::Piece,
            Tag::Array,
            Tag::Object,
            Tag::LongString,
            Tag::LongKey,
            Tag::Chunk,
            Tag::Kept,
            Tag::Run,
        ];
        let tag = word & ((1 << Self::TAG_BITS) - 1);
        Ok(Header {
            tag: *TAGS
                .get(tag as usize)
                .ok_or(Error { code: ErrorCode::InvalidLayout, value: word })?,
            length: word >> Self::TAG_BITS,
        })
    }
}

/// The layouts of the nodes that hold references.
#[derive(Clone, Copy, Debug)]
pub struct Layouts {
    /// A branch: the header, then children.
    pub branch: Layout,
    /// A kept number: the header, the handle, the number.
    pub kept: Layout,
}

impl Layouts {
    /// Has the heap define the layouts.
    pub fn define<I: Imports>(imports: &I) -> Result<Layouts, Failure> {
        const NONE: Words = Words { count: 0, references: 0 };
        const HEADER: Words = Words { count: 1, references: 0 };
        const CHILD: Words = Words { count: 1, references: 0b1 };
        const KEPT: Words = Words { count: 3, references: 0b100 };
        let define =
            |fixed, element| imports.heap_define_layout(fixed, element).during("defining layouts");
        Ok(Layouts { branch: define(HEADER, CHILD)?, kept: define(KEPT, NONE)? })
    }
}

/// A program for `heap.build`.
#[derive(Default)]
pub struct Program {
    words: Vec<u32>,
}

impl Program {
    /// The words so far.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Pushes a leaf.
    pub fn leaf(&mut self, tag: Tag, bytes: &[u8]) {
        const HEADER_BYTES: u32 = 4;
        let length = bytes.len() as u32;
        self.words.push((HEADER_BYTES + length) << 8 | OPCODE_LEAF);
        self.words.push(Header { tag, length }.word());
        let (whole, rest) = bytes.as_chunks::<4>();
        self.words.extend(whole.iter().map(|bytes| u32::from_le_bytes(*bytes)));
        if !rest.is_empty() {
            let mut padded = [0; 4];
            padded[..rest.len()].copy_from_slice(rest);
            self.words.push(u32::from_le_bytes(padded));
        }
    }

    /// Pops `length` children and pushes the branch that holds them.
    pub fn branch(&mut self, layouts: &Layouts, tag: Tag, length: u32) {
        let header = Header { tag, length }.word();
        self.words.extend([layouts.branch << 8 | OPCODE_OBJECT, length, header]);
    }

    /// Pushes a number that keeps its decimal.
    pub fn kept(&mut self, layouts: &Layouts, number: Reference, handle: Decimal) {
        let header = Header { tag: Tag::Kept, length: 0 };
        self.push(number);
        self.words.extend([layouts.kept << 8 | OPCODE_OBJECT, 0, header.word(), handle]);
    }

    /// Pushes an object that exists already.
    pub fn push(&mut self, object: Reference) {
        self.words.extend([OPCODE_PUSH, object]);
    }

    /// Has the heap run the program. Then it is empty.
    pub fn run<I: Imports>(&mut self, imports: &I, step: &'static str) -> Result<u32, Failure> {
        let depth = imports.heap_build(&self.words).during(step);
        self.words.clear();
        depth
    }
}

/// Builds a document's nodes, from the left, leaves first.
pub struct Builder<'a, I> {
    imports: &'a I,
    layouts: Layouts,
    program: Program,
    null: Reference,
    yes: Reference,
    no: Reference,
}

impl<'a, I: Imports> Builder<'a, I> {
    const STEP: &'static str = "building the tree";

    /// A builder on an empty shadow stack. It pushes the leaves that all nulls
    /// and all booleans share.
    pub fn new(imports: &'a I, layouts: Layouts) -> Result<Self, Failure> {
        let mut program = Program::default();
        for tag in [Tag::Null, Tag::True, Tag::False] {
            program.leaf(tag, &[]);
        }
        program.run(imports, Self::STEP)?;
        let shared = |slot| imports.roots_get(slot).during(Self::STEP);
        Ok(Builder { imports, layouts, program, null: shared(0)?, yes: shared(1)?, no: shared(2)? })
    }

    /// A number, a string, a key, a piece or a run.
    pub fn leaf(&mut self, tag: Tag, bytes: &[u8]) -> Result<(), Failure> {
        self.program.leaf(tag, bytes);
        self.send_if_long()
    }

    /// `null`
    pub fn null(&mut self) -> Result<(), Failure> {
        self.shared(self.null)
    }

    /// `true` or `false`
    pub fn boolean(&mut self, value: bool) -> Result<(), Failure> {
        self.shared(if value { self.yes } else { self.no })
    }

    /// The document's root, now in [`ROOT_SLOT`].
    pub fn finish(mut self) -> Result<Reference, Failure> {
        self.program.run(self.imports, Self::STEP)?;
        self.imports.roots_get(ROOT_SLOT).during(Self::STEP)
    }

    fn shared(&mut self, leaf: Reference) -> Result<(), Failure> {
        self.program.push(leaf);
        self.send_if_long()
    }

    fn branch(&mut self, tag: Tag, length: u32) -> Result<(), Failure> {
        self.program.branch(&self.layouts, tag, length);
        self.send_if_long()
    }

    #[inline]
    fn send_if_long(&mut self) -> Result<(), Failure> {
        if self.program.words().len() >= PROGRAM_WORDS {
            self.program.run(self.imports, Self::STEP)?;
        }
        Ok(())
    }
}

/// How many children of an open branch wait on the shadow stack, at each level. The highest
/// level is deepest in the stack. The guest's memory holds these counts alone.
#[derive(Clone, Copy, Default)]
pub struct Children {
    waiting: [u8; LEVELS],
}

impl Children {
    /// Counts a child that was just built, and puts full levels into chunks.
    #[inline]
    pub fn add<I: Imports>(&mut self, builder: &mut Builder<I>) -> Result<(), Failure> {
        self.waiting[0] += 1;
        if self.waiting[0] == FAN_OUT {
            self.fold(builder)?;
        }
        Ok(())
    }

    /// Ends the branch: it takes the place of its children.
    pub fn close<I: Imports>(self, builder: &mut Builder<I>, tag: Tag) -> Result<(), Failure> {
        let length = self.waiting.iter().map(|&waiting| u32::from(waiting)).sum();
        builder.branch(tag, length)
    }

    fn fold<I: Imports>(&mut self, builder: &mut Builder<I>) -> Result<(), Failure> {
        for level in 0..LEVELS - 1 {
            if self.waiting[level] < FAN_OUT {
                break;
            }
            builder.branch(Tag::Chunk, u32::from(FAN_OUT))?;
            self.waiting[level] = 0;
            self.waiting[level + 1] += 1;
        }
        Ok(())
    }
}

/// The first `length` bytes of words that came from a leaf.
pub fn bytes_of(words: &[u32], length: u32) -> impl Iterator<Item = u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).take(length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_its_word() {
        for tag in [Tag::Null, Tag::Piece, Tag::Kept, Tag::Run] {
            let header = Header { tag, length: 100_000 };
            assert_eq!(Header::of(header.word()).unwrap(), header);
        }
        assert!(Header::of(15).is_err());
    }

    #[test]
    fn a_leaf_is_padded_to_whole_words() {
        for (text, words) in [("", 2), ("1", 3), ("1234", 3), ("12345", 4)] {
            let mut program = Program::default();
            program.leaf(Tag::Number, text.as_bytes());
            let program = program.words();
            assert_eq!(program.len(), words, "{text}");
            assert_eq!(program[0], (4 + text.len() as u32) << 8);
            let header = Header::of(program[1]).unwrap();
            assert!(bytes_of(&program[2..], header.length).eq(text.bytes()));
        }
    }

    #[test]
    fn instructions_have_the_documented_form() {
        let layouts = Layouts { branch: 2, kept: 3 };
        let mut program = Program::default();
        program.branch(&layouts, Tag::Array, 5);
        assert_eq!(program.words(), [2 << 8 | 1, 5, 5 << 4 | Tag::Array as u32]);

        let mut program = Program::default();
        program.kept(&layouts, 64, 7);
        assert_eq!(program.words(), [2, 64, 3 << 8 | 1, 0, Tag::Kept as u32, 7]);
    }
}
