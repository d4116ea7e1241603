//! From a document to its tree in the heap, in one pass and without recursion.
//!
//! The guest's memory holds, of the whole document, what the lexer and the
//! program builder hold, and for each open container one [`Frame`] of some bytes.

use alloc::vec::Vec;

use crate::imports::{Failure, Imports, Reference};
use crate::lexer::{DEPTH_MAX, Fault, Lexer, SyntaxError, Token};
use crate::tree::{Builder, Children, Layouts, Tag};

/// An open container.
struct Frame {
    kind: Container,
    children: Children,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// What is due next.
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
pub fn parse<I: Imports>(imports: &I, layouts: Layouts) -> Result<Reference, Failure> {
    let mut parser = Parser {
        lexer: Lexer::new(|max| imports.document_read(max)),
        builder: Builder::new(imports, layouts)?,
        open: Vec::new(),
    };
    parser.document()?;
    parser.builder.finish()
}

struct Parser<'a, I, R> {
    lexer: Lexer<R>,
    builder: Builder<'a, I>,
    open: Vec<Frame>,
}

impl<I: Imports, R: FnMut(u32) -> Vec<u8>> Parser<'_, I, R> {
    fn document(&mut self) -> Result<(), Failure> {
        let mut due = Due::Value;
        loop {
            let token = self.lexer.token()?;
            due = match (due, token) {
                (Due::Value | Due::ValueOrBracket, Token::Number) => {
                    self.builder.leaf(Tag::Number, self.lexer.text())?;
                    self.after_value()?
                }
                (Due::Value | Due::ValueOrBracket, Token::String | Token::StringBegin) => {
                    self.text(token, Tag::String, Tag::LongString)?;
                    self.after_value()?
                }
                (Due::Value | Due::ValueOrBracket, Token::Null) => {
                    self.builder.null()?;
                    self.after_value()?
                }
                (Due::Value | Due::ValueOrBracket, Token::True | Token::False) => {
                    self.builder.boolean(token == Token::True)?;
                    self.after_value()?
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

    /// A string or a key, whose first part the lexer has.
    fn text(&mut self, token: Token, short: Tag, long: Tag) -> Result<(), Failure> {
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

    fn begin(&mut self, kind: Container) -> Result<(), SyntaxError> {
        if self.open.len() == DEPTH_MAX {
            return Err(self.error(Fault::TooDeep));
        }
        self.open.push(Frame { kind, children: Children::default() });
        Ok(())
    }

    /// Ends the innermost container, which is a `tag`.
    fn end(&mut self, tag: Tag) -> Result<Due, Failure> {
        if let Some(frame) = self.open.pop() {
            frame.children.close(&mut self.builder, tag)?;
        }
        self.after_value()
    }

    /// A value is built.
    fn after_value(&mut self) -> Result<Due, Failure> {
        self.child()?;
        Ok(Due::after_value(self.open.last()))
    }

    /// A key or a value is built.
    fn child(&mut self) -> Result<(), Failure> {
        match self.open.last_mut() {
            Some(frame) => frame.children.add(&mut self.builder),
            None => Ok(()),
        }
    }

    fn error(&self, fault: Fault) -> SyntaxError {
        self.lexer.error_at_token(fault)
    }
}
