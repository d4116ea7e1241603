//! Options as a caller outside Rust gives them: words, of which 0 is the default.

use tether_gc::{Error, OptionName, Options, Sizing};

/// Options in words. This is `tether_options` of the core door's header; a component's
/// `options` has no stack and no interior pointers. `tests/tables.rs` compares the fields with
/// both.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionWords {
    /// As in [`Options`], and so are the others of the same names.
    pub heap_limit_bytes: u32,
    /// Slots.
    pub root_capacity: u32,
    /// The address of the shadow stack, in memory of the program's own; 0: in the heap's.
    pub stack_base: u32,
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
    /// The figure of the sizing: bytes or percent.
    pub sizing_value: u32,
    /// Operations.
    pub stress: u32,
    /// 1 for yes.
    pub interior_pointers: u32,
}

impl OptionWords {
    /// The options, but for the stack. Errors: `InvalidOption` for a number that no sizing has.
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
            interior_pointers: self.interior_pointers != 0,
        })
    }
}
