//! The real collectors on wasmtime as subjects of the model (`fuzz/model`): the core
//! module, and the base component.

mod component;
mod core;

pub use component::{CollectorComponent, ComponentSubject, Released, component_has};
pub use core::{CoreModule, CoreSubject, core_has, option_words, state};

use std::ops::Range;

use tether_gc::Sizing;
use tether_model::call::Code;
use wasmtime::ResourceLimiter;

/// A limiter that refuses some growths of memory, by their numbers.
#[derive(Debug, Default)]
pub struct Growth {
    /// How often memory grew, or was asked to.
    pub asked: u64,
    /// How often it refused.
    pub refused: u64,
    /// The numbers of the growths that it refuses.
    pub refuse: Range<u64>,
}

impl ResourceLimiter for Growth {
    fn memory_growing(
        &mut self,
        current: usize,
        _: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // An instance's first pages do not count as growth.
        if current == 0 {
            return Ok(true);
        }
        let granted = !self.refuse.contains(&self.asked);
        self.asked += 1;
        self.refused += u64::from(!granted);
        Ok(granted)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// A sizing as the core door's options have it: which, and its value.
pub fn sizing_words(sizing: Sizing) -> (u32, u32) {
    match sizing {
        Sizing::Balanced => (0, 0),
        Sizing::Fixed { budget_bytes } => (1, budget_bytes),
        Sizing::Factor { percent } => (2, percent),
        Sizing::SquareRoot { percent } => (3, percent),
    }
}

/// A limit as both doors take it: 0 for none.
pub fn limit_word(heap_limit_bytes: u64) -> u32 {
    u32::try_from(heap_limit_bytes).unwrap_or(0)
}

/// The error with a number of WIT's `error-code`, which counts from 0.
pub fn code(number: u32) -> Code {
    Code::from_number(number + 1).expect("a code of the interface")
}
