//! The findings of a document: the counts by kind, the longest text, the deepest path, and
//! the exact sum.
//!
//! The longest text and the deepest path are kept as references while the walk goes on,
//! and are read when it is done. So this module holds one reference or index for each
//! level of the tree's depth.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::failure::During;
use crate::imports::{Failure, Imports, NULL, Reference, Report};
use crate::sum::Sum;
use crate::tree::{self, Header, Tag};
use crate::walk::{Event, Text, Walk};

/// How much of the longest text is reported; and how much, in a path, of a key
/// that is longer than one piece.
const SHOWN_CHARACTERS: usize = 64;

/// Evaluates the tree from `root`; the numbers go into `sum`.
pub fn evaluate<I: Imports>(
    imports: &I,
    root: Reference,
    mut sum: Sum<I>,
) -> Result<Report, Failure> {
    let mut survey = Survey::default();
    let mut walk = Walk::new(imports, root);
    while let Some(event) = walk.next(&mut sum)? {
        survey.see(event);
    }
    let longest_string = match survey.longest {
        Some(text) => shorten(&beginning(imports, text.object)?.text).to_string(),
        None => String::new(),
    };
    Ok(Report {
        sum: sum.finish()?,
        nulls: survey.nulls,
        booleans: survey.booleans,
        numbers: survey.numbers,
        strings: survey.strings,
        arrays: survey.arrays,
        objects: survey.objects,
        longest_string,
        longest_string_chars: survey.longest.map_or(0, |text| text.characters),
        deepest_path: json_pointer(imports, &survey.deepest)?,
        depth: survey.deepest.len() as u32,
    })
}

/// The findings in the part of a document that was walked.
#[derive(Default)]
struct Survey {
    nulls: u32,
    booleans: u32,
    numbers: u32,
    strings: u32,
    arrays: u32,
    objects: u32,
    longest: Option<Text>,
    /// The way from the root to the current node.
    here: Vec<Position>,
    /// The way to the first of the deepest nodes.
    deepest: Vec<Position>,
}

/// One step of a way from the root.
#[derive(Clone, Copy)]
enum Position {
    /// In an array, of which so many elements have begun.
    Element { begun: u32 },
    /// In an object, at the value of this key; null before the first key.
    Member { key: Reference },
}

impl Survey {
    #[inline]
    fn see(&mut self, event: Event) {
        match event {
            Event::Null => self.value(|survey| &mut survey.nulls),
            Event::Boolean => self.value(|survey| &mut survey.booleans),
            Event::Number => self.value(|survey| &mut survey.numbers),
            Event::String(text) => {
                self.value(|survey| &mut survey.strings);
                self.text(text);
            }
            Event::Key(text) => {
                if let Some(Position::Member { key }) = self.here.last_mut() {
                    *key = text.object;
                }
                self.text(text);
            }
            Event::BeginArray => {
                self.value(|survey| &mut survey.arrays);
                self.here.push(Position::Element { begun: 0 });
            }
            Event::BeginObject => {
                self.value(|survey| &mut survey.objects);
                self.here.push(Position::Member { key: NULL });
            }
            Event::End => {
                self.here.pop();
            }
        }
    }

    /// A value begins, of the kind that `count` counts.
    #[inline]
    fn value(&mut self, count: impl Fn(&mut Self) -> &mut u32) {
        *count(self) += 1;
        if let Some(Position::Element { begun }) = self.here.last_mut() {
            *begun += 1;
        }
        if self.here.len() > self.deepest.len() {
            self.deepest.clone_from(&self.here);
        }
    }

    fn text(&mut self, text: Text) {
        if text.characters > self.longest.map_or(0, |longest| longest.characters) {
            self.longest = Some(text);
        }
    }
}

/// The way as a JSON Pointer (RFC 6901).
fn json_pointer<I: Imports>(imports: &I, way: &[Position]) -> Result<String, Failure> {
    let mut pointer = String::new();
    for position in way {
        pointer.push('/');
        match *position {
            Position::Element { begun } => pointer.push_str(&(begun - 1).to_string()),
            Position::Member { key } => {
                let Beginning { text, is_all } = beginning(imports, key)?;
                let shown = if is_all { &text } else { shorten(&text) };
                pointer.push_str(&shown.replace('~', "~0").replace('/', "~1"));
                if !is_all {
                    pointer.push('…');
                }
            }
        }
    }
    Ok(pointer)
}

/// The beginning of a string or key.
struct Beginning {
    text: String,
    is_all: bool,
}

/// Reads a string or key if it is one leaf, or else the first of its pieces, which
/// are longer than [`SHOWN_CHARACTERS`].
fn beginning<I: Imports>(imports: &I, text: Reference) -> Result<Beginning, Failure> {
    const STEP: &str = "reading a text";
    let mut object = text;
    loop {
        let words = imports.heap_read_objects(&[object], u32::MAX).during(STEP)?;
        let [_size, header, content @ ..] = &words[..] else {
            return Ok(Beginning { text: String::new(), is_all: true });
        };
        let Header { tag, length } = Header::of(*header).during(STEP)?;
        match (tag, content) {
            (Tag::LongString | Tag::LongKey | Tag::Chunk, [first, ..]) => object = *first,
            _ => {
                let bytes: Vec<u8> = tree::bytes_of(content, length).collect();
                return Ok(Beginning {
                    text: String::from_utf8_lossy(&bytes).into_owned(),
                    is_all: object == text,
                });
            }
        }
    }
}

/// The first [`SHOWN_CHARACTERS`] of a text.
fn shorten(text: &str) -> &str {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
