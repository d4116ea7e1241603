//! JSON's tokens, from a document that comes in chunks (RFC 8259).
//!
//! The lexer holds one chunk and one text, whatever the document's size:
//!
//! 1. `text` never has more than [`NUMBER_MAX_BYTES`] bytes; a string longer than
//!    [`PART_MAX_BYTES`] is handed out in parts, each of whole characters.
//! 2. The text of a string is valid UTF-8, with its escapes decoded.
//! 3. A number's text is as the document has it, and the host of decimals takes it.
//!
//! The parser checks the order of tokens.

use alloc::vec::Vec;
use core::fmt;

use crate::imports::Place;

/// How much of the document is asked for at a time.
const CHUNK_BYTES: u32 = 64 * 1024;

/// A string goes out in parts of at most this many bytes.
pub const PART_MAX_BYTES: usize = 4096;

/// A number's text is a single object of the heap and goes to the host whole,
/// so its length has a bound.
pub const NUMBER_MAX_BYTES: usize = 100_000;

/// The host's bound, tested here because here the number's place is known.
pub const EXPONENT_MAX: u32 = 100_000;

/// How deep containers may nest.
pub const DEPTH_MAX: usize = 1_000;

/// One token. The text of strings and numbers is in [`Lexer::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// `[`
    BeginArray,
    /// `]`
    EndArray,
    /// `{`
    BeginObject,
    /// `}`
    EndObject,
    /// `:`
    Colon,
    /// `,`
    Comma,
    /// `null`
    Null,
    /// `true`
    True,
    /// `false`
    False,
    /// A number.
    Number,
    /// A string; its text is complete.
    String,
    /// A long string, of which the text is the first part;
    /// [`Lexer::string_part`] gives the others.
    StringBegin,
    /// A byte that begins no token.
    Stray(u8),
    /// The end of the document.
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::BeginArray => out.write_str("`[`"),
            Token::EndArray => out.write_str("`]`"),
            Token::BeginObject => out.write_str("`{`"),
            Token::EndObject => out.write_str("`}`"),
            Token::Colon => out.write_str("`:`"),
            Token::Comma => out.write_str("`,`"),
            Token::Null => out.write_str("`null`"),
            Token::True => out.write_str("`true`"),
            Token::False => out.write_str("`false`"),
            Token::Number => out.write_str("a number"),
            Token::String | Token::StringBegin => out.write_str("a string"),
            Token::Stray(byte) if byte.is_ascii_graphic() => write!(out, "`{}`", *byte as char),
            Token::Stray(byte) => write!(out, "the byte 0x{byte:02X}"),
            Token::End => out.write_str("the end of the document"),
        }
    }
}

/// A mistake in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no token.
    Empty,
    /// The document begins with U+FEFF, which RFC 8259 §8.1 forbids.
    ByteOrderMark,
    /// Another token was due.
    Unexpected {
        /// The tokens that were due, in words.
        expected: &'static str,
        /// The token that stands there.
        found: Token,
    },
    /// A word that begins as this one, and goes on otherwise.
    Misspelt(&'static str),
    /// Containers nest deeper than [`DEPTH_MAX`].
    TooDeep,
    /// A number begins with a zero, and other digits follow.
    LeadingZero,
    /// A number lacks a digit here.
    DigitMissing,
    /// A number of more than [`NUMBER_MAX_BYTES`] bytes.
    NumberTooLong,
    /// An exponent beyond [`EXPONENT_MAX`].
    ExponentTooLarge,
    /// The document ends within a string.
    StringEnds,
    /// A character below U+0020 in a string.
    ControlCharacter(u8),
    /// A backslash that begins no escape.
    InvalidEscape,
    /// Half of a surrogate pair.
    LoneSurrogate(u16),
    /// Bytes in a string that are not UTF-8.
    NotUtf8,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Empty => out.write_str("the document is empty"),
            Fault::ByteOrderMark => {
                out.write_str("a JSON document may not begin with a byte order mark")
            }
            Fault::Unexpected { expected, found } => {
                write!(out, "expected {expected}, found {found}")
            }
            Fault::Misspelt(word) => write!(out, "expected `{word}`"),
            Fault::TooDeep => out.write_str("nested deeper than 1,000 levels"),
            Fault::LeadingZero => out.write_str("a number may not have leading zeros"),
            Fault::DigitMissing => out.write_str("expected a digit"),
            Fault::NumberTooLong => out.write_str("a number of more than 100,000 characters"),
            Fault::ExponentTooLarge => out.write_str("an exponent beyond ±100,000"),
            Fault::StringEnds => out.write_str("the document ends within a string"),
            Fault::ControlCharacter(byte) => {
                write!(out, "a control character in a string must be escaped, as \\u{byte:04X}")
            }
            Fault::InvalidEscape => out.write_str("an invalid escape in a string"),
            Fault::LoneSurrogate(unit) => {
                write!(out, "half of a surrogate pair, \\u{unit:04X}, without the other")
            }
            Fault::NotUtf8 => out.write_str("a string that is not valid UTF-8"),
        }
    }
}

/// A fault and its place.
#[derive(Clone, Copy, Debug)]
pub struct SyntaxError {
    /// The place.
    pub at: Place,
    /// The fault.
    pub fault: Fault,
}

/// The lexer. `R` gives the document's next bytes, none at its end.
pub struct Lexer<R> {
    read: R,
    chunk: Vec<u8>,
    /// The index in `chunk` of the byte to read next.
    next: usize,
    /// Bytes in the chunks before this one.
    before: u64,
    ended: bool,
    line: u32,
    /// The offset in the document of the line's first byte.
    line_start: u64,
    token_at: Place,
    text: Vec<u8>,
}

impl<R: FnMut(u32) -> Vec<u8>> Lexer<R> {
    /// A lexer at the start of a document.
    pub fn new(read: R) -> Self {
        Lexer {
            read,
            chunk: Vec::new(),
            next: 0,
            before: 0,
            ended: false,
            line: 1,
            line_start: 0,
            token_at: Place { line: 1, column: 1 },
            text: Vec::with_capacity(PART_MAX_BYTES),
        }
    }

    /// The text of the string, the part of one or the number that was read last.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// A fault at the token that was read last.
    pub fn error_at_token(&self, fault: Fault) -> SyntaxError {
        SyntaxError { at: self.token_at, fault }
    }

    /// The next token.
    #[inline]
    pub fn token(&mut self) -> Result<Token, SyntaxError> {
        let byte = self.skip_space();
        self.token_at = self.place();
        let Some(byte) = byte else {
            return Ok(Token::End);
        };
        let token = match byte {
            b'[' => Token::BeginArray,
            b']' => Token::EndArray,
            b'{' => Token::BeginObject,
            b'}' => Token::EndObject,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'-' | b'0'..=b'9' => return self.number(),
            b'"' => {
                self.next += 1;
                let complete = self.string_part()?;
                return Ok(if complete { Token::String } else { Token::StringBegin });
            }
            b'n' => return self.word("null", Token::Null),
            b't' => return self.word("true", Token::True),
            b'f' => return self.word("false", Token::False),
            0xEF => return self.byte_order_mark(),
            _ => return Ok(Token::Stray(byte)),
        };
        self.next += 1;
        Ok(token)
    }

    /// The next part of a string, in [`text`](Self::text); true for the last.
    pub fn string_part(&mut self) -> Result<bool, SyntaxError> {
        const CHARACTER_MAX_BYTES: usize = 4;
        self.text.clear();
        while self.text.len() <= PART_MAX_BYTES - CHARACTER_MAX_BYTES {
            match self.peek() {
                None => return Err(self.error_here(Fault::StringEnds)),
                Some(b'"') => {
                    self.next += 1;
                    return Ok(true);
                }
                Some(b'\\') => self.escape()?,
                Some(byte @ ..0x20) => {
                    return Err(self.error_here(Fault::ControlCharacter(byte)));
                }
                Some(0x20..0x80) => self.plain_run(),
                Some(lead) => self.multibyte(lead)?,
            }
        }
        Ok(false)
    }

    /// Takes plain characters, up to the next character that is not plain, the end of the chunk
    /// or the end of the part.
    fn plain_run(&mut self) {
        let room = PART_MAX_BYTES - self.text.len();
        let run = self.chunk[self.next..]
            .iter()
            .take(room)
            .take_while(|byte| matches!(byte, 0x20..0x80) && !matches!(byte, b'"' | b'\\'))
            .count();
        self.text.extend_from_slice(&self.chunk[self.next..self.next + run]);
        self.next += run;
    }

    /// One character of two to four bytes: the well-formed sequences are those
    /// of table 3-7 of the Unicode standard.
    fn multibyte(&mut self, lead: u8) -> Result<(), SyntaxError> {
        let not_utf8 = self.error_here(Fault::NotUtf8);
        let (second, after_it) = match lead {
            0xC2..=0xDF => (0x80..=0xBF, 0),
            0xE0 => (0xA0..=0xBF, 1),
            0xED => (0x80..=0x9F, 1),
            0xE1..=0xEF => (0x80..=0xBF, 1),
            0xF0 => (0x90..=0xBF, 2),
            0xF1..=0xF3 => (0x80..=0xBF, 2),
            0xF4 => (0x80..=0x8F, 2),
            _ => return Err(not_utf8),
        };
        self.take(lead);
        let mut allowed = second;
        for _ in 0..=after_it {
            match self.peek() {
                Some(byte) if allowed.contains(&byte) => self.take(byte),
                _ => return Err(not_utf8),
            }
            allowed = 0x80..=0xBF;
        }
        Ok(())
    }

    /// An escape, decoded.
    fn escape(&mut self) -> Result<(), SyntaxError> {
        let at = self.place();
        let invalid = SyntaxError { at, fault: Fault::InvalidEscape };
        self.next += 1;
        let letter = self.peek().ok_or(invalid)?;
        self.next += 1;
        let byte = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = self.unicode_escape(at)?;
                let mut bytes = [0; 4];
                self.text.extend_from_slice(character.encode_utf8(&mut bytes).as_bytes());
                return Ok(());
            }
            _ => return Err(invalid),
        };
        self.text.push(byte);
        Ok(())
    }

    /// The character of the escape `\u`, or of two such escapes if they are a surrogate pair.
    fn unicode_escape(&mut self, at: Place) -> Result<char, SyntaxError> {
        let unit = self.hex_unit(at)?;
        let lone = SyntaxError { at, fault: Fault::LoneSurrogate(unit) };
        let code = match unit {
            0xD800..0xDC00 => {
                for due in [b'\\', b'u'] {
                    if self.peek() != Some(due) {
                        return Err(lone);
                    }
                    self.next += 1;
                }
                let low = self.hex_unit(at)?;
                if !matches!(low, 0xDC00..0xE000) {
                    return Err(lone);
                }
                0x10000 + ((u32::from(unit) - 0xD800) << 10) + (u32::from(low) - 0xDC00)
            }
            _ => u32::from(unit),
        };
        char::from_u32(code).ok_or(lone)
    }

    fn hex_unit(&mut self, at: Place) -> Result<u16, SyntaxError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self
                .peek()
                .and_then(|byte| char::from(byte).to_digit(16))
                .ok_or(SyntaxError { at, fault: Fault::InvalidEscape })?;
            unit = unit << 4 | digit as u16;
            self.next += 1;
        }
        Ok(unit)
    }

    /// A number, as RFC 8259 §6 has it.
    fn number(&mut self) -> Result<Token, SyntaxError> {
        self.text.clear();
        self.take_one_of(b"-");
        if self.take_one_of(b"0") {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.error_at_token(Fault::LeadingZero));
            }
        } else {
            self.digits()?;
        }
        if self.take_one_of(b".") {
            self.digits()?;
        }
        if self.take_one_of(b"eE") {
            self.take_one_of(b"+-");
            let first_digit = self.text.len();
            self.digits()?;
            let exponent = self.text[first_digit..].iter().fold(0u32, |value, digit| {
                value.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
            });
            if exponent > EXPONENT_MAX {
                return Err(self.error_at_token(Fault::ExponentTooLarge));
            }
        }
        Ok(Token::Number)
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), SyntaxError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.error_here(Fault::DigitMissing));
        }
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.text.len() >= NUMBER_MAX_BYTES {
                return Err(self.error_at_token(Fault::NumberTooLong));
            }
            self.take(digit);
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str, token: Token) -> Result<Token, SyntaxError> {
        for due in word.bytes() {
            if self.peek() != Some(due) {
                return Err(self.error_at_token(Fault::Misspelt(word)));
            }
            self.next += 1;
        }
        Ok(token)
    }

    /// Reads a byte that begins no token, but may begin a byte order mark.
    fn byte_order_mark(&mut self) -> Result<Token, SyntaxError> {
        let at_start = self.offset() == 0;
        let stray = Token::Stray(0xEF);
        for due in [0xEF, 0xBB, 0xBF] {
            if !at_start || self.peek() != Some(due) {
                return Ok(stray);
            }
            self.next += 1;
        }
        Err(self.error_at_token(Fault::ByteOrderMark))
    }

    #[inline]
    fn skip_space(&mut self) -> Option<u8> {
        loop {
            let byte = self.peek();
            match byte {
                Some(b' ' | b'\t' | b'\r') => self.next += 1,
                Some(b'\n') => {
                    self.next += 1;
                    self.line = self.line.saturating_add(1);
                    self.line_start = self.offset();
                }
                _ => return byte,
            }
        }
    }

    /// Moves a byte that [`peek`](Self::peek) showed into the text.
    #[inline]
    fn take(&mut self, byte: u8) {
        self.text.push(byte);
        self.next += 1;
    }

    #[inline]
    fn take_one_of(&mut self, bytes: &[u8]) -> bool {
        match self.peek() {
            Some(byte) if bytes.contains(&byte) => {
                self.take(byte);
                true
            }
            _ => false,
        }
    }

    #[inline]
    fn peek(&mut self) -> Option<u8> {
        match self.chunk.get(self.next) {
            Some(&byte) => Some(byte),
            None => self.refill(),
        }
    }

    #[cold]
    fn refill(&mut self) -> Option<u8> {
        if !self.ended {
            self.before += self.chunk.len() as u64;
            self.chunk = (self.read)(CHUNK_BYTES);
            self.next = 0;
            self.ended = self.chunk.is_empty();
        }
        self.chunk.first().copied()
    }

    fn offset(&self) -> u64 {
        self.before + self.next as u64
    }

    #[inline]
    fn place(&self) -> Place {
        let column = self.offset() - self.line_start + 1;
        Place { line: self.line, column: u32::try_from(column).unwrap_or(u32::MAX) }
    }

    fn error_here(&self, fault: Fault) -> SyntaxError {
        SyntaxError { at: self.place(), fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;

    /// All tokens with their texts, or the fault with line and column. Fails the test if the size
    /// of the chunks makes a difference.
    fn lex(document: &[u8]) -> Result<Vec<(Token, String)>, (Fault, u32, u32)> {
        let whole = lex_in_chunks(document, usize::MAX);
        for chunk_bytes in [1, 2, 3, 7] {
            assert_eq!(lex_in_chunks(document, chunk_bytes), whole);
        }
        whole
    }

    fn lex_in_chunks(
        document: &[u8],
        chunk_bytes: usize,
    ) -> Result<Vec<(Token, String)>, (Fault, u32, u32)> {
        let mut chunks = document.chunks(chunk_bytes.min(document.len().max(1)));
        let mut lexer = Lexer::new(|_| chunks.next().unwrap_or_default().to_vec());
        let failed = |error: SyntaxError| (error.fault, error.at.line, error.at.column);
        let mut tokens = vec![];
        loop {
            let token = lexer.token().map_err(failed)?;
            let mut text = match token {
                Token::Number | Token::String | Token::StringBegin => lexer.text().to_vec(),
                _ => vec![],
            };
            if token == Token::StringBegin {
                while !lexer.string_part().map_err(failed)? {
                    text.extend_from_slice(lexer.text());
                }
                text.extend_from_slice(lexer.text());
            }
            tokens.push((token, String::from_utf8(text).unwrap()));
            if matches!(token, Token::End | Token::Stray(_)) {
                return Ok(tokens);
            }
        }
    }

    fn fault(document: &str) -> (Fault, u32, u32) {
        lex(document.as_bytes()).unwrap_err()
    }

    fn text(document: &str) -> String {
        lex(document.as_bytes()).unwrap().remove(0).1
    }

    #[test]
    fn punctuation_and_words() {
        let tokens: Vec<Token> = lex(b" [ ]\t{ }\r\n: , null true false ")
            .unwrap()
            .into_iter()
            .map(|(token, _)| token)
            .collect();
        assert_eq!(
            tokens,
            [
                Token::BeginArray,
                Token::EndArray,
                Token::BeginObject,
                Token::EndObject,
                Token::Colon,
                Token::Comma,
                Token::Null,
                Token::True,
                Token::False,
                Token::End
            ]
        );
        assert_eq!(fault("\n  nul"), (Fault::Misspelt("null"), 2, 3));
        assert_eq!(fault("truE"), (Fault::Misspelt("true"), 1, 1));
        assert_eq!(lex(b"'").unwrap()[0].0, Token::Stray(b'\''));
    }

    #[test]
    fn numbers_keep_their_text() {
        for number in ["0", "-0", "10", "1.50", "-12.5e+3", "1E-7", "0e0", "1e100000"] {
            assert_eq!(text(number), number);
        }
        assert_eq!(fault("01"), (Fault::LeadingZero, 1, 1));
        assert_eq!(fault("-x"), (Fault::DigitMissing, 1, 2));
        assert_eq!(fault("[1."), (Fault::DigitMissing, 1, 4));
        assert_eq!(fault("1e+"), (Fault::DigitMissing, 1, 4));
        assert_eq!(fault(" 1e100001"), (Fault::ExponentTooLarge, 1, 2));
        assert_eq!(fault("1e-99999999999"), (Fault::ExponentTooLarge, 1, 1));
    }

    #[test]
    fn a_number_has_a_bound() {
        let longest = "7".repeat(NUMBER_MAX_BYTES);
        assert_eq!(text(&longest), longest);
        assert_eq!(fault(&(longest + "7")), (Fault::NumberTooLong, 1, 1));
    }

    #[test]
    fn strings_are_decoded() {
        assert_eq!(text(r#""a\"\\\/\b\f\n\r\tz""#), "a\"\\/\u{8}\u{c}\n\r\tz");
        assert_eq!(text(r#""\u0041\u00e9\uD83D\uDE00\u0000""#), "Aé😀\0");
        assert_eq!(text("\"é€😀\u{10FFFF}\""), "é€😀\u{10FFFF}");
        assert_eq!(text("\"\u{7f}\""), "\u{7f}");
    }

    #[test]
    fn long_strings_come_in_parts_of_whole_characters() {
        for character in ["a", "é", "€", "😀"] {
            for before in 0..4 {
                let long = "x".repeat(before) + &character.repeat(3 * PART_MAX_BYTES);
                assert_eq!(text(&std::format!("\"{long}\"")), long);
            }
        }
    }

    #[test]
    fn faults_in_strings_have_their_place() {
        assert_eq!(fault("\"ab"), (Fault::StringEnds, 1, 4));
        assert_eq!(fault("\"a\nb\""), (Fault::ControlCharacter(b'\n'), 1, 3));
        assert_eq!(fault(r#""a\x""#), (Fault::InvalidEscape, 1, 3));
        assert_eq!(fault(r#""\u12G4""#), (Fault::InvalidEscape, 1, 2));
        assert_eq!(fault(r#""\uD800""#), (Fault::LoneSurrogate(0xD800), 1, 2));
        assert_eq!(fault(r#""\uDC00""#), (Fault::LoneSurrogate(0xDC00), 1, 2));
        assert_eq!(fault(r#""\uD800\u0041""#), (Fault::LoneSurrogate(0xD800), 1, 2));
    }

    #[test]
    fn strings_must_be_utf8() {
        let ill_formed: [&[u8]; 10] = [
            b"\x80",
            b"\xC0\x80",
            b"\xC3x",
            b"\xE0\x9F\xBF",
            b"\xED\xA0\x80",
            b"\xE2\x82",
            b"\xF0\x8F\xBF\xBF",
            b"\xF4\x90\x80\x80",
            b"\xF5\x80\x80\x80",
            b"\xFF",
        ];
        for bytes in ill_formed {
            let document = [b"\"a", bytes, b"\""].concat();
            assert_eq!(lex(&document), Err((Fault::NotUtf8, 1, 3)), "{bytes:02X?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_named() {
        assert_eq!(fault("\u{FEFF}1"), (Fault::ByteOrderMark, 1, 1));
        assert_eq!(lex(b" \xEF").unwrap()[0].0, Token::Stray(0xEF));
    }

    #[test]
    fn lines_end_at_line_feeds_and_columns_count_bytes() {
        assert_eq!(fault("\r\n\"é\"\n\t\"é\\q\""), (Fault::InvalidEscape, 3, 5));
    }
}
