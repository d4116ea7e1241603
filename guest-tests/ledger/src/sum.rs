//! The exact sum of all numbers.
//!
//! Each number becomes a decimal in the host, and each partial sum another. Wrappers
//! in the heap own both. Nearly all wrappers of a batch are dead as soon as the batch is
//! done: this is the load that a wrap table must bear.
//!
//! 1. The scope around a batch roots all that the batch makes, so no handle is released
//!    while the host still adds with it.
//! 2. Between batches one decimal is in use, the total. Its wrapper is rooted in
//!    [`TOTAL_SLOT`].
//! 3. A whole number of batches fills the wrap table ([`Plan::new`]). So the table is full
//!    when a batch begins, and then only the total is in use: every collection frees
//!    nearly the whole table.

use alloc::string::String;
use alloc::vec::Vec;

use crate::failure::During;
use crate::handles::{self, Owned, Wrapped};
use crate::imports::{Decimal, Failure, Imports, NULL, Reference, Store};
use crate::tree::{self, Layouts, Program, ROOT_SLOT, Tag};

/// The slot of the shadow stack that has the total's wrapper.
pub const TOTAL_SLOT: u32 = ROOT_SLOT + 1;

/// The most numbers in a batch.
pub const BATCH_MAX: usize = 1024;

/// A batch is also full when its texts have this many bytes.
const BATCH_TEXT_BYTES: usize = 256 * 1024;

/// The words before a branch's children in an answer of `read-objects`.
const SIZE_AND_HEADER_WORDS: usize = 2;

/// The place of a number in the tree.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The number's node, or the run that it is in.
    pub object: Reference,
    /// The branch that holds it; null for the root.
    pub parent: Reference,
    /// Which word of the branch.
    pub index: u32,
}

/// How a sum is made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many numbers are added at a time.
    pub batch: usize,
    /// Whether each number in the tree is replaced by one that keeps its decimal.
    pub keep_decimals: bool,
}

impl Plan {
    /// The plan for a wrap table that holds at most `entries`.
    pub fn new(entries: u32, keep_decimals: bool) -> Plan {
        const TOTALS: u32 = 1;
        const ENTRIES_PER_NUMBER: u32 = 2;
        const BATCHES: u32 = 2;
        let batch = entries.saturating_sub(TOTALS) / (BATCHES * ENTRIES_PER_NUMBER);
        Plan { batch: (batch as usize).clamp(1, BATCH_MAX), keep_decimals }
    }
}

/// A sum in the making.
pub struct Sum<'a, I: Imports> {
    imports: &'a I,
    layouts: Layouts,
    plan: Plan,
    total: Decimal,
    width: Width,
    texts: Vec<u8>,
    ends: Vec<u32>,
    slots: Vec<Slot>,
    /// Keeps its memory from batch to batch.
    program: Program,
}

impl<'a, I: Imports> Sum<'a, I> {
    const STEP: &'static str = "adding numbers";
    const STEP_KEEP: &'static str = "keeping decimals in the tree";

    /// The sum of no numbers: 0. The shadow stack's next slot is to be
    /// [`TOTAL_SLOT`].
    pub fn new(imports: &'a I, layouts: Layouts, plan: Plan) -> Result<Self, Failure> {
        let zero = Owned::parse(imports, b"0", &[1])?.wrap(Width::default().weight_bytes())?;
        let mut total = 0;
        for (&decimal, &wrapper) in zero.decimals.iter().zip(&zero.wrappers) {
            imports.roots_push(wrapper).during(Self::STEP)?;
            total = decimal;
        }
        Ok(Sum {
            imports,
            layouts,
            plan,
            total,
            width: Width::default(),
            texts: Vec::new(),
            ends: Vec::new(),
            slots: Vec::new(),
            program: Program::default(),
        })
    }

    /// Adds the number in `slot`, whose text is the first `length` bytes of
    /// `words`. It comes into the sum when its batch is full.
    pub fn number(&mut self, slot: Slot, words: &[u32], length: u32) -> Result<(), Failure> {
        self.text(slot, tree::bytes_of(words, length))
    }

    /// Adds a number that is packed into the node in `slot`.
    pub fn packed_number(&mut self, slot: Slot, text: &[u8]) -> Result<(), Failure> {
        self.text(slot, text.iter().copied())
    }

    #[inline]
    fn text(&mut self, slot: Slot, text: impl Iterator<Item = u8>) -> Result<(), Failure> {
        let begin = self.texts.len();
        self.texts.extend(text);
        self.width.widen(&self.texts[begin..]);
        self.ends.push(self.texts.len() as u32);
        self.slots.push(slot);
        if self.slots.len() >= self.plan.batch || self.texts.len() >= BATCH_TEXT_BYTES {
            self.add_batch()?;
        }
        Ok(())
    }

    /// The sum as text.
    pub fn finish(mut self) -> Result<String, Failure> {
        if !self.slots.is_empty() {
            self.add_batch()?;
        }
        Ok(self.imports.decimals_to_text(self.total))
    }

    fn add_batch(&mut self) -> Result<(), Failure> {
        self.imports.roots_enter_scope().during(Self::STEP)?;

        let addends = Owned::parse(self.imports, &self.texts, &self.ends)?;
        let weight_bytes = self.width.weight_bytes();
        let addends = if self.plan.keep_decimals {
            self.keep(addends, weight_bytes)?
        } else {
            addends.wrap(weight_bytes)?
        };
        // If the table was full, the registration has just collected.
        handles::drop_dead(self.imports);
        let sums =
            Owned::running_sums(self.imports, self.total, &addends.decimals).wrap(weight_bytes)?;
        if let (Some(&total), Some(&wrapper)) = (sums.decimals.last(), sums.wrappers.last()) {
            self.imports.roots_set(TOTAL_SLOT, wrapper).during(Self::STEP)?;
            self.total = total;
        }

        self.imports.roots_leave_scope(NULL).during(Self::STEP)?;
        self.texts.clear();
        self.ends.clear();
        self.slots.clear();
        Ok(())
    }

    /// Puts, in the place of each number of the batch, a wrapper that has the
    /// number and its decimal.
    fn keep(&mut self, addends: Owned<'_, I>, weight_bytes: u32) -> Result<Wrapped, Failure> {
        for (slot, &decimal) in self.slots.iter().zip(addends.decimals()) {
            self.program.kept(&self.layouts, slot.object, decimal);
        }
        // One read of a branch over the wrappers gives the addresses of all of them.
        let count = self.slots.len() as u32;
        self.program.branch(&self.layouts, Tag::Chunk, count);
        let depth = self.program.run(self.imports, Self::STEP_KEEP)?;
        let top = depth.saturating_sub(1);
        let branch = self.imports.roots_get(top).during(Self::STEP_KEEP)?;
        let words = self.imports.heap_read_objects(&[branch], u32::MAX).during(Self::STEP_KEEP)?;
        let wrappers: Vec<Reference> =
            words.into_iter().skip(SIZE_AND_HEADER_WORDS).take(self.slots.len()).collect();

        let kept = addends.register(wrappers, weight_bytes)?;
        let mut stores = Vec::with_capacity(self.slots.len());
        for (slot, &value) in self.slots.iter().zip(&kept.wrappers) {
            if slot.parent == NULL {
                self.imports.roots_set(ROOT_SLOT, value).during(Self::STEP_KEEP)?;
            } else {
                stores.push(Store { object: slot.parent, index: slot.index, value });
            }
        }
        self.imports.heap_write_many(&stores).during(Self::STEP_KEEP)?;
        self.imports.roots_truncate(top).during(Self::STEP_KEEP)?;
        Ok(kept)
    }
}

/// How many digits an exact sum of the numbers so far may have. The weight of the decimals
/// follows from it, so that the collector knows their cost to the host: after one number of
/// `1e100000` each later sum takes forty kilobytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Width {
    before_point: u32,
    after_point: u32,
}

impl Width {
    fn widen(&mut self, number: &[u8]) {
        let mut before_point = 0i64;
        let mut after_point = 0i64;
        let mut exponent = 0i64;
        let mut characters = number.iter();
        let mut digits = &mut before_point;
        while let Some(character) = characters.next() {
            match character {
                b'0'..=b'9' => *digits += 1,
                b'.' => digits = &mut after_point,
                b'e' | b'E' => {
                    exponent = core::str::from_utf8(characters.as_slice())
                        .ok()
                        .and_then(|text| text.parse().ok())
                        .unwrap_or_default();
                    break;
                }
                _ => {}
            }
        }
        let count = |digits: i64| u32::try_from(digits.max(0)).unwrap_or(u32::MAX);
        self.before_point = self.before_point.max(count(before_point + exponent));
        self.after_point = self.after_point.max(count(after_point - exponent));
    }

    /// A guess: some words for each decimal, and half a byte for each digit.
    fn weight_bytes(self) -> u32 {
        const DECIMAL_BYTES: u32 = 32;
        DECIMAL_BYTES + self.before_point / 2 + self.after_point / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(numbers: &[&str]) -> (u32, u32) {
        let mut width = Width::default();
        for number in numbers {
            width.widen(number.as_bytes());
        }
        (width.before_point, width.after_point)
    }

    #[test]
    fn width_is_that_of_the_exact_sum() {
        assert_eq!(width(&["123", "-4.5678"]), (3, 4));
        assert_eq!(width(&["1e100000"]), (100_001, 0));
        assert_eq!(width(&["1.5E-10"]), (0, 11));
        assert_eq!(width(&["1.25e+2"]), (3, 0));
    }
}
