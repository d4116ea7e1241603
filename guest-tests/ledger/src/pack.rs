//! Runs. A run is one leaf that holds many children of a branch as bytes, instead of an
//! object for each: numbers, literals, and arrays of them.
//!
//! The cost of a collection grows with the number of live objects, and most objects of a
//! document of numbers would be numbers. The bytes are the document's own events:
//!
//! | byte | event |
//! |---|---|
//! | 1 to 100 | a number; its text follows, of so many bytes |
//! | 0x80, 0x81 | an array begins, ends |
//! | 0x82, 0x83, 0x84 | `null`, `true`, `false` |
//!
//! Arrays in a run are whole. When a value comes that cannot be packed, or the run is
//! long enough, the open [`Frame`](crate::parse)s become branches, each with a run of the
//! children that it had so far.

use alloc::vec::Vec;

/// A run of this length is built.
pub const RUN_BYTES: usize = 256;

/// Longer numbers are nodes of their own.
const NUMBER_MAX_BYTES: usize = 100;

const BEGIN_ARRAY: u8 = 0x80;
const END_ARRAY: u8 = 0x81;
const NULL: u8 = 0x82;
const TRUE: u8 = 0x83;
const FALSE: u8 = 0x84;

/// One event of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed<'a> {
    /// A number's text.
    Number(&'a [u8]),
    /// An array begins.
    BeginArray,
    /// The innermost array ends.
    EndArray,
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
}

impl Packed<'_> {
    /// Whether the event is short enough for a run.
    pub fn fits(self) -> bool {
        match self {
            Packed::Number(text) => text.len() <= NUMBER_MAX_BYTES,
            _ => true,
        }
    }

    /// Adds the event to a run. The event must fit.
    pub fn write(self, run: &mut Vec<u8>) {
        match self {
            Packed::Number(text) => {
                run.push(text.len() as u8);
                run.extend_from_slice(text);
            }
            Packed::BeginArray => run.push(BEGIN_ARRAY),
            Packed::EndArray => run.push(END_ARRAY),
            Packed::Null => run.push(NULL),
            Packed::Boolean(true) => run.push(TRUE),
            Packed::Boolean(false) => run.push(FALSE),
        }
    }
}

/// The events of a run. Ends early if the bytes are not a run.
pub fn unpack(mut run: &[u8]) -> impl Iterator<Item = Packed<'_>> {
    core::iter::from_fn(move || {
        let (&first, rest) = run.split_first()?;
        run = rest;
        Some(match first {
            BEGIN_ARRAY => Packed::BeginArray,
            END_ARRAY => Packed::EndArray,
            NULL => Packed::Null,
            TRUE => Packed::Boolean(true),
            FALSE => Packed::Boolean(false),
            length => {
                let (text, rest) = run.split_at_checked(usize::from(length))?;
                run = rest;
                Packed::Number(text)
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let long = [b'7'; NUMBER_MAX_BYTES];
        let items = [
            Packed::BeginArray,
            Packed::Number(b"-12.5e3"),
            Packed::Null,
            Packed::Boolean(true),
            Packed::Boolean(false),
            Packed::Number(&long),
            Packed::EndArray,
        ];
        let mut run = Vec::new();
        items.iter().for_each(|item| item.write(&mut run));
        assert!(items.iter().all(|item| item.fits()));
        assert!(unpack(&run).eq(items));
    }

    #[test]
    fn a_longer_number_does_not_fit() {
        assert!(!Packed::Number(&[b'7'; NUMBER_MAX_BYTES + 1]).fits());
    }
}
