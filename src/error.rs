//! All errors, as one enum with the figures that a caller needs.
//!
//! No operation traps or panics, whatever a mutator or a host does, and no error loses a handle. A
//! corrupt heap is not an error: the verifier reports it as a violation.

use crate::units::Reference;
use core::fmt;

/// Why an operation did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum Error {
    /// Memory could not be had. A collection made no room, or none was tried because it was not
    /// likely to make any.
    OutOfMemory {
        /// How many bytes the operation needed.
        needed_bytes: u32,
    } = 1,
    /// Every entry of the wrap table is live, and the table is not allowed to grow.
    WrapTableFull {
        /// Entries in the table.
        capacity: u32,
    },
    /// The shadow stack has no room for the operation. Or compiled code left the stack's top
    /// outside the stack.
    RootStackFull {
        /// Slots of the shadow stack.
        capacity: u32,
    },
    /// The shadow stack has no root at an index, or fewer roots than are to be popped. Or no root
    /// range has this beginning.
    NoSuchRoot {
        /// The index, the depth or the number of roots that was asked for, or the range's
        /// beginning; 0 for a pop.
        index: u32,
    },
    /// No scope is open.
    NoScope,
    /// The reference is not the start of a live object.
    InvalidRef {
        /// The reference.
        reference: Reference,
    },
    /// The layout does not exist or cannot be defined, or does not allow this length.
    InvalidLayout {
        /// The layout's number; for a small object that is described by its granules, their number.
        /// For a definition it is the number of words described, or the number that the layout
        /// would get.
        layout: u32,
    },
    /// An access leaves its object. Or an operand is out of range: an alignment, a root range, or
    /// the length of an output.
    OutOfBounds {
        /// The object's size; for an operand, the largest alignment, the range's end, or the
        /// output's size.
        size_bytes: u32,
    },
    /// Raw bytes may not be written over a reference slot.
    ReferenceSlot {
        /// Where the slot is, in bytes from the object's start.
        offset_bytes: u32,
    },
    /// The object is a wrapper already.
    AlreadyRegistered {
        /// The wrapper.
        reference: Reference,
    },
    /// The object is not a wrapper.
    NotRegistered {
        /// The object.
        reference: Reference,
    },
    /// The object is not pinned.
    NotPinned {
        /// The object.
        reference: Reference,
    },
    /// A word of a build program is no instruction, or the program ends before the instruction's
    /// operands do.
    InvalidInstruction {
        /// The word.
        word: u32,
    },
    /// An option is out of its range.
    InvalidOption {
        /// Which option.
        option: OptionName,
    },
    /// The heap is in use already, so it cannot be configured.
    AlreadyStarted,
    /// The call came from inside a collection or a release.
    Busy,
    /// The heap was closed.
    Closed,
}

/// An option that can be out of range, by its position among the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum OptionName {
    /// `heap_limit_bytes`
    HeapLimitBytes = 0,
    /// `root_capacity`
    RootCapacity,
    /// `wrap_capacity`
    WrapCapacity,
    /// `wrap_limit`
    WrapLimit,
    /// `sizing`
    Sizing = 6,
    /// `stress`, or its modes.
    Stress,
}

impl Error {
    /// Returns the error's code, from 1 on, as every door gives it out. WIT's `error-code` lists
    /// the codes in the same order, from 0 on. `tests/tables.rs` compares every other list of codes
    /// with this one.
    pub const fn code(self) -> u32 {
        match self {
            Error::OutOfMemory { .. } => 1,
            Error::WrapTableFull { .. } => 2,
            Error::RootStackFull { .. } => 3,
            Error::NoSuchRoot { .. } => 4,
            Error::NoScope => 5,
            Error::InvalidRef { .. } => 6,
            Error::InvalidLayout { .. } => 7,
            Error::OutOfBounds { .. } => 8,
            Error::ReferenceSlot { .. } => 9,
            Error::AlreadyRegistered { .. } => 10,
            Error::NotRegistered { .. } => 11,
            Error::NotPinned { .. } => 12,
            Error::InvalidInstruction { .. } => 13,
            Error::InvalidOption { .. } => 14,
            Error::AlreadyStarted => 15,
            Error::Busy => 16,
            Error::Closed => 17,
        }
    }

    /// Returns the error's figure, or 0 if it has none.
    pub const fn value(self) -> u32 {
        match self {
            Error::OutOfMemory { needed_bytes: value }
            | Error::WrapTableFull { capacity: value }
            | Error::RootStackFull { capacity: value }
            | Error::NoSuchRoot { index: value }
            | Error::InvalidRef { reference: value }
            | Error::InvalidLayout { layout: value }
            | Error::OutOfBounds { size_bytes: value }
            | Error::ReferenceSlot { offset_bytes: value }
            | Error::AlreadyRegistered { reference: value }
            | Error::NotRegistered { reference: value }
            | Error::NotPinned { reference: value }
            | Error::InvalidInstruction { word: value } => value,
            Error::InvalidOption { option } => option as u32,
            Error::NoScope | Error::AlreadyStarted | Error::Busy | Error::Closed => 0,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::OutOfMemory { needed_bytes } => write!(
                f,
                "out of memory: {needed_bytes} bytes could not be had; drop references and collect, or raise the heap limit"
            ),
            Error::WrapTableFull { capacity } => write!(
                f,
                "wrap table full: all {capacity} entries are live; drop or dispose of wrappers, or raise the wrap limit"
            ),
            Error::RootStackFull { capacity } => write!(
                f,
                "root stack full: its {capacity} slots are taken; pop roots or raise the root capacity"
            ),
            Error::NoSuchRoot { index } => write!(f, "no root at index {index}"),
            Error::NoScope => f.write_str("no scope is open"),
            Error::InvalidRef { reference } => {
                write!(f, "{reference:#x} is not the start of a live object")
            }
            Error::InvalidLayout { layout } => write!(f, "invalid layout {layout}"),
            Error::OutOfBounds { size_bytes } => {
                write!(
                    f,
                    "out of bounds: {size_bytes} bytes is what there is, or the most there may be"
                )
            }
            Error::ReferenceSlot { offset_bytes } => {
                write!(f, "offset {offset_bytes} is a reference slot; write it as a word")
            }
            Error::AlreadyRegistered { reference } => {
                write!(f, "{reference:#x} is a wrapper already")
            }
            Error::NotRegistered { reference } => write!(f, "{reference:#x} is not a wrapper"),
            Error::NotPinned { reference } => write!(f, "{reference:#x} is not pinned"),
            Error::InvalidInstruction { word } => {
                write!(f, "{word:#x} is not a whole build instruction")
            }
            Error::InvalidOption { option } => write!(f, "option {option:?} is out of range"),
            Error::AlreadyStarted => f.write_str("the heap is in use; configure it first"),
            Error::Busy => f.write_str("called from inside a collection or a release"),
            Error::Closed => f.write_str("the heap is closed"),
        }
    }
}

impl core::error::Error for Error {}
