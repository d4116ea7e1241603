//! Everything that can go wrong, as one enum with the figures a caller needs.
//!
//! No operation traps or panics for anything that a mutator or a host can do,
//! and no error loses a handle. Corruption is not an error: `verify` names it.

use crate::units::Reference;
use core::fmt;

/// Why an operation did not happen.
///
/// The discriminants are the codes that the doors give out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum Error {
    /// Memory could not be had, after a collection, or after several that freed little.
    OutOfMemory {
        /// How many bytes the operation needed.
        needed_bytes: u32,
    } = 1,
    /// Every entry of the wrap table is live, and it may not grow.
    WrapTableFull {
        /// Entries in the table.
        capacity: u32,
    },
    /// The shadow stack has no room.
    RootStackFull {
        /// Slots of the stack.
        capacity: u32,
    },
    /// There is no root at the index, or nothing to pop.
    NoSuchRoot {
        /// The index asked for; for a pop, 0.
        index: u32,
    },
    /// No scope is open.
    NoScope,
    /// Not the start of a live object.
    InvalidRef {
        /// What was passed.
        reference: Reference,
    },
    /// No layout has this number, or the layout described cannot be, or it would be one more
    /// than there are numbers for.
    InvalidLayout {
        /// The number passed, the number of words described, or the first number too many.
        layout: u32,
    },
    /// The access leaves the object.
    OutOfBounds {
        /// How large the object is.
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
    /// A word of a build program is not an instruction, or its operands are cut off.
    InvalidInstruction {
        /// The word.
        word: u32,
    },
    /// An option is out of its range.
    InvalidOption {
        /// Which.
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
    /// `stress`, or its modes
    Stress,
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
                write!(f, "out of bounds: the object has {size_bytes} bytes")
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
