//! `build`: many objects from one program, for callers to whom a call is dear.
//!
//! The program is in postfix form, and its operands are on the shadow stack, so
//! every object in the making is rooted by construction: an instruction pushes
//! the object it makes, and pops what its reference slots hold. The instructions
//! are described at `heap.build` in `wit/heap.wit`.

use super::{Heap, NOTHING};
use crate::error::Error;
use crate::layout;
use crate::memory::Memory;
use crate::metadata;
use crate::observer::Observer;
use crate::units::{Reference, WORD_BYTES};

const LEAF: u32 = 0;
const OBJECT: u32 = 1;
const PUSH: u32 = 2;
const DROP: u32 = 3;

/// Where a program stopped, and why. What came before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// The index of the failing instruction's word. It did nothing.
    pub at: u32,
    /// Why.
    pub reason: Error,
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Runs a build program, and gives the depth of the shadow stack after it.
    ///
    /// May collect.
    pub fn build(&mut self, program: &[u32]) -> Result<u32, BuildError> {
        let stopped = |at: usize, reason| BuildError { at: at as u32, reason };
        self.check_open().map_err(|reason| stopped(0, reason))?;
        let mut at = 0;
        while let Some((&word, rest)) = program[at..].split_first() {
            let used = self.build_one(word, rest).map_err(|reason| stopped(at, reason))?;
            at += 1 + used;
        }
        Ok(self.depth())
    }

    /// Runs one instruction, and gives how many of the words behind it it used.
    fn build_one(&mut self, word: u32, rest: &[u32]) -> Result<usize, Error> {
        let operand = word >> 8;
        let cut_off = Error::InvalidInstruction { word };
        match word & 0xff {
            LEAF => {
                let used = operand.div_ceil(WORD_BYTES) as usize;
                let words = rest.get(..used).ok_or(cut_off)?;
                self.build_leaf(operand, words)?;
                Ok(used)
            }
            OBJECT => {
                let (&length, rest) = rest.split_first().ok_or(cut_off)?;
                if let Some(used) = self.build_quickly(operand, length, rest) {
                    return Ok(1 + used);
                }
                let used = self.build_object(word, operand, length, rest)?;
                Ok(1 + used)
            }
            PUSH if operand == 0 => {
                let &reference = rest.first().ok_or(cut_off)?;
                self.push(reference)?;
                Ok(1)
            }
            DROP => {
                let depth = self.depth().checked_sub(operand);
                self.truncate(depth.ok_or(Error::NoSuchRoot { index: operand })?)?;
                Ok(0)
            }
            _ => Err(cut_off),
        }
    }

    fn build_leaf(&mut self, length_bytes: u32, words: &[u32]) -> Result<(), Error> {
        self.roots.check_room(1 + self.scope_slots())?;
        let leaf = self.allocate_keeping(layout::LEAF, length_bytes, NOTHING)?;
        // What pads the last word is written too: an object is whole granules.
        self.put_words(leaf, words);
        self.roots.push(&mut self.supply.memory, leaf)
    }

    /// What `build_object` does for an object of up to 8 granules, where nothing is to be
    /// collected and nothing is wrong.
    #[inline]
    fn build_quickly(&mut self, layout: u32, length: u32, rest: &[u32]) -> Option<usize> {
        if layout < layout::FIRST_DEFINED {
            return None;
        }
        let (words, template) = self.layouts.small(&self.supply.memory, layout, length)?;
        let references = metadata::count_references(template);
        let first_root = self.depth().checked_sub(references)?;
        let scalars = rest.get(..(words - references) as usize)?;
        self.roots.check_room(self.scope_slots() + u32::from(references == 0)).ok()?;
        let object = self.allocate_by_template(words, template);
        if object == 0 {
            return None;
        }
        let memory = &mut self.supply.memory;
        let (mut root, mut scalar) = (first_root, scalars.iter());
        for index in 0..words {
            let value = if metadata::is_reference(template, index) {
                root += 1;
                self.roots.word(memory, root - 1)
            } else {
                scalar.next().copied().unwrap_or(0)
            };
            memory.store_u32(object + index * WORD_BYTES, value);
        }
        self.roots.replace_from(memory, first_root, object);
        Some(scalars.len())
    }

    /// Gives how many scalar words it used.
    fn build_object(
        &mut self,
        word: u32,
        layout: u32,
        length: u32,
        rest: &[u32],
    ) -> Result<usize, Error> {
        let shape = self.layouts.shape(&self.supply.memory, layout)?;
        let bytes = shape.bytes(length).ok_or(Error::InvalidLayout { layout })?;
        let words = bytes / u64::from(WORD_BYTES);
        // A program that is too short, or roots too few, is an error before
        // anything large is counted or made.
        if words > u64::from(self.depth()) + rest.len() as u64 {
            return Err(Error::InvalidInstruction { word });
        }
        let words = words as u32;
        let references = (0..words).filter(|&index| shape.is_reference(index)).count() as u32;
        let scalars = (words - references) as usize;
        let first_root = self.depth().checked_sub(references);
        let first_root = first_root.ok_or(Error::NoSuchRoot { index: references })?;
        let scalar_words = rest.get(..scalars).ok_or(Error::InvalidInstruction { word })?;
        self.roots.check_room(self.scope_slots() + u32::from(references == 0))?;
        let object: Reference = self.allocate_keeping(layout, length, NOTHING)?;
        let mut root = first_root;
        let mut scalar = scalar_words.iter();
        for index in 0..words {
            let value = if shape.is_reference(index) {
                root += 1;
                self.roots.get(&self.supply.memory, root - 1)?
            } else {
                scalar.next().copied().unwrap_or(0)
            };
            self.supply.memory.store_u32(object + index * WORD_BYTES, value);
        }
        self.roots.replace_from(&mut self.supply.memory, first_root, object);
        Ok(scalars)
    }

    /// Slots that an allocation takes in the open scope, if one is.
    fn scope_slots(&self) -> u32 {
        u32::from(self.scope_depth() > 0)
    }
}
