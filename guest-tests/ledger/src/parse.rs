//! From a document to its tree in the heap, in one pass and without recursion.
//!
//! Of the whole document, the guest's memory holds the chunk and the text of the lexer, the
//! program of the builder, one run, and for each open container one [`Frame`] of some
//! bytes.
//!
//! If numbers are packed ([`pack`](crate::pack)), an array begins as a part of the run. The
//! innermost [`packed`](Parser::packed) frames are such arrays. The frames around them are
//! branches. The part of the run before the first packed array holds children of the
//! innermost branch.

use alloc::vec::Vec;

use crate::imports::{Failure, Imports, Reference};
use crate::lexer::{DEPTH_MAX, Fault, Lexer, SyntaxError, Token};
use crate::pack::{Packed, RUN_BYTES};
use crate::tree::{Builder, Children, Layouts, Tag};

/// An open container.
struct Frame {
    kind: Container,
    children: Children,
    /// The place in the run at which it begins, if it is a part of the run.
    packed_at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// The tokens that are due next.
#[derive(Clone, Copy)]
enum Due {
    Value,
    ValueOrBracket,
    Key,
    KeyOrBrace,
    Colon,
    CommaOrBracket,
    CommaOrBrace,
    End,
}

impl Due {
    fn in_words(self) -> &'static str {
        match self {
            Due::Value => "a value",
            Due::ValueOrBracket => "a value or `]`",
            Due::Key => "a key",
            Due::KeyOrBrace => "a key or `}`",
            Due::Colon => "`:`",
            Due::CommaOrBracket => "`,` or `]`",
            Due::CommaOrBrace => "`,` or `}`",
            Due::End => "the end of the document",
        }
    }

    /// After a value in `container`.
    fn after_value(container: Option<&Frame>) -> Due {
        match container.map(|frame| frame.kind) {
            None => Due::End,
            Some(Container::Array) => Due::CommaOrBracket,
            Some(Container::Object) => Due::CommaOrBrace,
        }
    }
}

/// Parses the document that the host has, on an empty shadow stack, and gives
/// its root.
pub fn parse<I: Imports>(
    imports: &I,
    layouts: Layouts,
    packs_numbers: bool,
) -> Result<Reference, Failure> {
    let mut parser = Parser {
        lexer: Lexer::new(|max| imports.document_read(max)),
        builder: Builder::new(imports, layouts)?,
        open: Vec::new(),
        packs_numbers,
        run: Vec::new(),
        packed: 0,
    };
    parser.document()?;
    parser.flush()?;
    parser.builder.finish()
}

struct Parser<'a, I, R> {
    lexer: Lexer<R>,
    builder: Builder<'a, I>,
    open: Vec<Frame>,
    packs_numbers: bool,
    /// The run: events that are packed, and not built yet.
    run: Vec<u8>,
    /// How many of the innermost frames are in the run.
    packed: usize,
}

impl<I: Imports, R: FnMut(u32) -> Vec<u8>> Parser<'_, I, R> {
    fn document(&mut self) -> Result<(), Failure> {
        let mut due = Due::Value;
        loop {
            let token = self.lexer.token()?;
            due = match (due, token) {
                (Due::Value | Due::ValueOrBracket, Token::Number) => {
                    self.number()?;
                    self.due_after_value()
                }
                (Due::Value | Due::ValueOrBracket, Token::String | Token::StringBegin) => {
                    self.text(token, Tag::String, Tag::LongString)?;
                    self.child()?;
                    self.due_after_value()
                }
                (Due::Value | Due::ValueOrBracket, Token::Null) => {
                    self.literal(Packed::Null)?;
                    self.due_after_value()
                }
                (Due::Value | Due::ValueOrBracket, Token::True | Token::False) => {
                    self.literal(Packed::Boolean(token == Token::True))?;
                    self.due_after_value()
                }
                (Due::Value | Due::ValueOrBracket, Token::BeginArray) => {
                    self.begin(Container::Array)?;
                    Due::ValueOrBracket
                }
                (Due::Value | Due::ValueOrBracket, Token::BeginObject) => {
                    self.begin(Container::Object)?;
                    Due::KeyOrBrace
                }
                (Due::ValueOrBracket | Due::CommaOrBracket, Token::EndArray) => {
                    self.end(Tag::Array)?
                }
                (Due::KeyOrBrace | Due::CommaOrBrace, Token::EndObject) => self.end(Tag::Object)?,
                (Due::Key | Due::KeyOrBrace, Token::String | Token::StringBegin) => {
                    self.text(token, Tag::Key, Tag::LongKey)?;
                    self.child()?;
                    Due::Colon
                }
                (Due::Colon, Token::Colon) => Due::Value,
                (Due::CommaOrBracket, Token::Comma) => Due::Value,
                (Due::CommaOrBrace, Token::Comma) => Due::Key,
                (Due::End, Token::End) => return Ok(()),
                (Due::Value, Token::End) if self.open.is_empty() => {
                    return Err(self.error(Fault::Empty).into());
                }
                (due, found) => {
                    let expected = due.in_words();
                    return Err(self.error(Fault::Unexpected { expected, found }).into());
                }
            };
        }
    }

    fn number(&mut self) -> Result<(), Failure> {
        let number = Packed::Number(self.lexer.text());
        if self.packs_numbers && number.fits() {
            number.write(&mut self.run);
            return self.flush_if_innermost_is_long();
        }
        self.flush()?;
        self.builder.leaf(Tag::Number, self.lexer.text())?;
        self.child()
    }

    /// `null`, `true` or `false`
    fn literal(&mut self, literal: Packed<'_>) -> Result<(), Failure> {
        if self.packs_numbers {
            literal.write(&mut self.run);
            return self.flush_if_innermost_is_long();
        }
        match literal {
            Packed::Boolean(value) => self.builder.boolean(value)?,
            _ => self.builder.null()?,
        }
        self.child()
    }

    /// A string or a key, whose first part the lexer has.
    fn text(&mut self, token: Token, short: Tag, long: Tag) -> Result<(), Failure> {
        self.flush()?;
        if token == Token::String {
            return self.builder.leaf(short, self.lexer.text());
        }
        let mut pieces = Children::default();
        let mut complete = false;
        loop {
            self.builder.leaf(Tag::Piece, self.lexer.text())?;
            pieces.add(&mut self.builder)?;
            if complete {
                return pieces.close(&mut self.builder, long);
            }
            complete = self.lexer.string_part()?;
        }
    }

    fn begin(&mut self, kind: Container) -> Result<(), Failure> {
        if self.open.len() == DEPTH_MAX {
            return Err(self.error(Fault::TooDeep).into());
        }
        let is_packed = self.packs_numbers && kind == Container::Array;
        if !is_packed {
            self.flush()?;
        }
        let packed_at = self.run.len();
        self.open.push(Frame { kind, children: Children::default(), packed_at });
        if is_packed {
            self.packed += 1;
            Packed::BeginArray.write(&mut self.run);
        }
        Ok(())
    }

    /// Ends the innermost container, which is a `tag`.
    fn end(&mut self, tag: Tag) -> Result<Due, Failure> {
        if self.packed > 0 {
            self.packed -= 1;
            self.open.pop();
            Packed::EndArray.write(&mut self.run);
            if self.run.len() >= RUN_BYTES {
                self.flush()?;
            }
            return Ok(self.due_after_value());
        }
        self.flush()?;
        if let Some(frame) = self.open.pop() {
            frame.children.close(&mut self.builder, tag)?;
        }
        self.child()?;
        Ok(self.due_after_value())
    }

    /// Notes that a key or a value is built.
    fn child(&mut self) -> Result<(), Failure> {
        match self.open.last_mut() {
            Some(frame) => frame.children.add(&mut self.builder),
            None => Ok(()),
        }
    }

    /// Short arrays stay whole: a run that is long enough is built when one ends, and
    /// only a long one is broken up.
    fn flush_if_innermost_is_long(&mut self) -> Result<(), Failure> {
        let begin = match self.open.last() {
            Some(frame) if self.packed > 0 => frame.packed_at,
            _ => 0,
        };
        if self.run.len() - begin >= RUN_BYTES { self.flush() } else { Ok(()) }
    }

    /// Builds the run, and makes branches of the arrays that begin in it and do not end in it.
    /// If no frame is open, the run is the whole document.
    fn flush(&mut self) -> Result<(), Failure> {
        if self.run.is_empty() {
            return Ok(());
        }
        let mut begin = 0;
        for index in self.open.len() - self.packed..=self.open.len() {
            let end = self.open.get(index).map_or(self.run.len(), |frame| frame.packed_at);
            if begin < end {
                self.builder.leaf(Tag::Run, &self.run[begin..end])?;
                if let Some(around) = index.checked_sub(1) {
                    self.open[around].children.add(&mut self.builder)?;
                }
            }
            // Behind the byte with which it begins.
            begin = end + 1;
        }
        self.packed = 0;
        self.run.clear();
        Ok(())
    }

    fn due_after_value(&self) -> Due {
        Due::after_value(self.open.last())
    }

    fn error(&self, fault: Fault) -> SyntaxError {
        self.lexer.error_at_token(fault)
    }
}
