//! Errors and options as words: the same numbers behind both doors.

use crate::config::{Options, Sizing};
use crate::error::{Error, OptionName};

/// An error's code, from 1 on, and its figure. WIT's `error-code` lists the codes in
/// this order, from 0 on; docs/core-abi.md has them as they are.
pub fn error_words(error: Error) -> (u32, u32) {
    match error {
        Error::OutOfMemory { needed_bytes } => (1, needed_bytes),
        Error::WrapTableFull { capacity } => (2, capacity),
        Error::RootStackFull { capacity } => (3, capacity),
        Error::NoSuchRoot { index } => (4, index),
        Error::NoScope => (5, 0),
        Error::InvalidRef { reference } => (6, reference),
        Error::InvalidLayout { layout } => (7, layout),
        Error::OutOfBounds { size_bytes } => (8, size_bytes),
        Error::ReferenceSlot { offset_bytes } => (9, offset_bytes),
        Error::AlreadyRegistered { reference } => (10, reference),
        Error::NotRegistered { reference } => (11, reference),
        Error::NotPinned { reference } => (12, reference),
        Error::InvalidInstruction { word } => (13, word),
        Error::InvalidOption { option } => (14, option as u32),
        Error::AlreadyStarted => (15, 0),
        Error::Busy => (16, 0),
        Error::Closed => (17, 0),
    }
}

/// Options as a caller gives them: 0 is the default.
#[derive(Clone, Copy, Debug)]
pub struct OptionWords {
    /// As in [`Options`], and so are the others of the same names.
    pub heap_limit_bytes: u32,
    /// Slots.
    pub root_capacity: u32,
    /// Entries.
    pub wrap_capacity: u32,
    /// Entries; by default `wrap_capacity`.
    pub wrap_limit: u32,
    /// Handles.
    pub handle_floor: u32,
    /// Bytes.
    pub weight_floor_bytes: u32,
    /// 1 fixed, 2 factor, 3 square root.
    pub sizing: u32,
    /// What that needs.
    pub sizing_value: u32,
    /// Operations.
    pub stress: u32,
    /// 1 for yes.
    #[cfg(feature = "interior-pointers")]
    pub interior_pointers: u32,
}

impl OptionWords {
    /// The options. Errors: `InvalidOption` for a sizing that there is not.
    pub fn options(&self) -> Result<Options, Error> {
        let default = Options::DEFAULT;
        let or = |value: u32, default: u32| if value == 0 { default } else { value };
        let wrap_capacity = or(self.wrap_capacity, default.wrap_capacity);
        let sizing = match self.sizing {
            0 => default.sizing,
            1 => Sizing::Fixed { budget_bytes: self.sizing_value },
            2 => Sizing::Factor { percent: self.sizing_value },
            3 => Sizing::SquareRoot { percent: self.sizing_value },
            _ => return Err(Error::InvalidOption { option: OptionName::Sizing }),
        };
        Ok(Options {
            heap_limit_bytes: match self.heap_limit_bytes {
                0 => default.heap_limit_bytes,
                limit => u64::from(limit),
            },
            root_capacity: or(self.root_capacity, default.root_capacity),
            wrap_capacity,
            wrap_limit: or(self.wrap_limit, wrap_capacity),
            handle_floor: or(self.handle_floor, default.handle_floor),
            weight_floor_bytes: or(self.weight_floor_bytes, default.weight_floor_bytes),
            sizing,
            least_freed_percent: default.least_freed_percent,
            stress: self.stress,
            #[cfg(feature = "stress")]
            stress_modes: default.stress_modes,
            #[cfg(feature = "interior-pointers")]
            interior_pointers: self.interior_pointers != 0,
        })
    }
}
