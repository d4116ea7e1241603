//! The nodes of a tree in the order of the document, read in batches.
//!
//! A walk keeps a stack of *steps*, the next one on top. A step is either an
//! event to report or an unread node. When an unread node is on top, it is read together
//! with the unread nodes that stand highest below it. Each is replaced by its own steps: a
//! leaf by one event, a container by its opening, its children, and its closing. So the
//! order is that of a walk in depth, and a call reads hundreds of objects.
//!
//! 1. The steps from top to bottom are the rest of the document in its order.
//! 2. Above [`STEPS_MANY`] steps fewer nodes are read at a time. So the stack holds no
//!    more than that many steps and those of a depth-first walk: the waiting siblings on
//!    the way down to one node.
//! 3. No root names the references in the steps. Their objects are in the tree, whose root
//!    is on the shadow stack. The tree changes only in numbers that were read before.
//!
//! Numbers go to the [`Sum`] when they are read, ahead of their events. The order of a sum
//! does not matter, and so no text has to wait in a step.

use alloc::vec::Vec;

use crate::failure::During;
use crate::imports::{Failure, Imports, NULL, Reference};
use crate::pack::{Packed, unpack};
use crate::sum::{Slot, Sum};
use crate::tree::{self, Header, Tag};

/// How many nodes are read at a time.
const READ_NODES: usize = 1024;

/// The most words that a read gives, a single larger node excepted.
const READ_WORDS: u32 = 32 * 1024;

/// How many steps are searched for nodes to read.
const LOOK_AT_STEPS: usize = 4 * READ_NODES;

/// From this many steps on, [`READ_NODES_WHEN_MANY`] nodes are read at a time.
const STEPS_MANY: usize = 64 * 1024;

const READ_NODES_WHEN_MANY: usize = 16;

/// An event of a document. The events come in the document's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number; the sum has it.
    Number,
    /// A string.
    String(Text),
    /// A key; its value follows.
    Key(Text),
    /// An array begins.
    BeginArray,
    /// An object begins.
    BeginObject,
    /// The innermost array or object ends.
    End,
}

/// A string or a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its node.
    pub object: Reference,
    /// Its length in characters.
    pub characters: u32,
}

#[derive(Clone, Copy)]
enum Step {
    Unread(Slot),
    Event(Event),
    /// A long text begins; its pieces follow.
    LongText,
    Piece {
        characters: u32,
    },
    /// The long text ends.
    LongTextEnd {
        object: Reference,
        is_key: bool,
    },
}

/// A walk through a tree.
pub struct Walk<'a, I> {
    imports: &'a I,
    steps: Vec<Step>,
    /// The length, so far, of the long text that the walk is in.
    long_text_characters: u32,
    // The fields from here on are empty between reads, and keep their memory.
    batch: Vec<Reference>,
    found: Vec<usize>,
    old_steps: Vec<Step>,
    run: Vec<u8>,
}

impl<'a, I: Imports> Walk<'a, I> {
    const STEP: &'static str = "reading the tree";

    /// A walk from `root`.
    pub fn new(imports: &'a I, root: Reference) -> Self {
        Walk {
            imports,
            steps: Vec::from([Step::Unread(Slot { object: root, parent: NULL, index: 0 })]),
            long_text_characters: 0,
            batch: Vec::new(),
            found: Vec::new(),
            old_steps: Vec::new(),
            run: Vec::new(),
        }
    }

    /// The next event, none at the end.
    #[inline]
    pub fn next(&mut self, sum: &mut Sum<I>) -> Result<Option<Event>, Failure> {
        loop {
            let Some(&step) = self.steps.last() else {
                return Ok(None);
            };
            if let Step::Unread(_) = step {
                self.read_ahead(sum)?;
                continue;
            }
            self.steps.pop();
            match step {
                Step::Event(event) => return Ok(Some(event)),
                Step::Unread(_) => {}
                Step::LongText => self.long_text_characters = 0,
                Step::Piece { characters } => self.long_text_characters += characters,
                Step::LongTextEnd { object, is_key } => {
                    let characters = self.long_text_characters;
                    let text = Text { object, characters };
                    return Ok(Some(if is_key { Event::Key(text) } else { Event::String(text) }));
                }
            }
        }
    }

    /// Reads the unread nodes that stand highest, and replaces each by its steps.
    fn read_ahead(&mut self, sum: &mut Sum<I>) -> Result<(), Failure> {
        let count = if self.steps.len() < STEPS_MANY { READ_NODES } else { READ_NODES_WHEN_MANY };
        let mut lowest = self.steps.len();
        self.batch.clear();
        let highest_first = self.steps.iter().enumerate().rev();
        for (at, step) in highest_first.take(LOOK_AT_STEPS) {
            if let Step::Unread(slot) = step {
                self.batch.push(slot.object);
                lowest = at;
                if self.batch.len() == count {
                    break;
                }
            }
        }
        let words = self.imports.heap_read_objects(&self.batch, READ_WORDS).during(Self::STEP)?;
        self.find_objects(&words);

        let mut old_steps = core::mem::take(&mut self.old_steps);
        old_steps.extend(self.steps.drain(lowest..));
        let mut rank = self.batch.len();
        for step in old_steps.drain(..) {
            let Step::Unread(slot) = step else {
                self.steps.push(step);
                continue;
            };
            rank -= 1;
            match self.found.get(rank) {
                Some(&at) => self.replace(slot, &words[at..], sum)?,
                None => self.steps.push(step),
            }
        }
        self.old_steps = old_steps;
        Ok(())
    }

    /// Notes at which word of an answer of `read-objects` each object begins. The answer may have
    /// fewer objects than were asked for.
    fn find_objects(&mut self, words: &[u32]) {
        self.found.clear();
        let mut at = 0;
        while let Some(&size_bytes) = words.get(at) {
            self.found.push(at + 1);
            at += 1 + size_bytes as usize / 4;
        }
    }

    /// Pushes the steps of the node in `slot`, the first one last.
    fn replace(&mut self, slot: Slot, words: &[u32], sum: &mut Sum<I>) -> Result<(), Failure> {
        let (&header, content) = words.split_first().unwrap_or((&0, &[]));
        let Header { tag, length } = Header::of(header).during(Self::STEP)?;
        let object = slot.object;
        match tag {
            Tag::Null => self.event(Event::Null),
            Tag::True | Tag::False => self.event(Event::Boolean),
            Tag::Number => {
                sum.number(slot, content, length)?;
                self.event(Event::Number);
            }
            Tag::Kept => self.event(Event::Number),
            Tag::Run => self.run(slot, content, length, sum)?,
            Tag::String | Tag::Key | Tag::Piece => {
                let characters = count_characters(content, length);
                let text = Text { object, characters };
                match tag {
                    Tag::String => self.event(Event::String(text)),
                    Tag::Key => self.event(Event::Key(text)),
                    _ => self.steps.push(Step::Piece { characters }),
                }
            }
            Tag::Array | Tag::Object => {
                self.event(Event::End);
                self.children(object, content, length);
                self.event(if tag == Tag::Array { Event::BeginArray } else { Event::BeginObject });
            }
            Tag::LongString | Tag::LongKey => {
                let is_key = tag == Tag::LongKey;
                self.steps.push(Step::LongTextEnd { object, is_key });
                self.children(object, content, length);
                self.steps.push(Step::LongText);
            }
            Tag::Chunk => self.children(object, content, length),
        }
        Ok(())
    }

    /// Pushes the events of a run.
    fn run(
        &mut self,
        slot: Slot,
        words: &[u32],
        length: u32,
        sum: &mut Sum<I>,
    ) -> Result<(), Failure> {
        let begin = self.steps.len();
        self.run.clear();
        self.run.extend(tree::bytes_of(words, length));
        for packed in unpack(&self.run) {
            self.steps.push(Step::Event(match packed {
                Packed::Number(text) => {
                    sum.packed_number(slot, text)?;
                    Event::Number
                }
                Packed::BeginArray => Event::BeginArray,
                Packed::EndArray => Event::End,
                Packed::Null => Event::Null,
                Packed::Boolean(_) => Event::Boolean,
            }));
        }
        self.steps[begin..].reverse();
        Ok(())
    }

    fn event(&mut self, event: Event) {
        self.steps.push(Step::Event(event));
    }

    fn children(&mut self, parent: Reference, references: &[u32], length: u32) {
        let slots = references
            .iter()
            .zip(1..=length)
            .map(|(&object, index)| Step::Unread(Slot { object, parent, index }));
        let begin = self.steps.len();
        self.steps.extend(slots);
        self.steps[begin..].reverse();
    }
}

/// How many characters the first `length` bytes of `words` have. The bytes are UTF-8.
fn count_characters(words: &[u32], length: u32) -> u32 {
    const CONTINUATION: core::ops::RangeInclusive<u8> = 0x80..=0xBF;
    tree::bytes_of(words, length).filter(|byte| !CONTINUATION.contains(byte)).count() as u32
}
