//! `build`: many objects from one program, for callers to whom a call is dear.
//!
//! The program is in postfix form, and its operands are on the shadow stack, so
//! every object in the making is rooted by construction: an instruction pushes
//! the object it makes, and pops what its reference slots hold. The instructions
//! are described at `heap.build` in `wit/heap.wit`.

use super::Heap;
use crate::error::Error;
use crate::layout::{self, LayoutId, Small};
use crate::memory::Memory;
use crate::observer::Observer;
use crate::units::{Reference, WORD_BYTES};

const LEAF: u32 = 0;
const OBJECT: u32 = 1;
const PUSH: u32 = 2;
const DROP: u32 = 3;
const NEW: u32 = 4;

/// How many plans a program has at a time, each in a place by its instruction: it makes few
/// kinds of objects.
const PLANS: usize = 8;

/// The instruction at which a program stopped, and why. The objects made before it stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// The index of the failing instruction's word. It did nothing.
    pub at: u32,
    /// Why.
    pub reason: Error,
}

/// How an instruction makes a small object.
#[derive(Clone, Copy)]
struct Plan {
    word: u32,
    small: Small,
    /// How many words it writes; how many of them are roots that it pops, and how many
    /// come from the program.
    written: u32,
    references: u32,
    scalars: u32,
}

impl Plan {
    /// An empty place: the instruction to push has no plan.
    const NONE: Plan = Plan {
        word: PUSH,
        small: Small { words: 0, template: 0, references: 0 },
        written: 0,
        references: 0,
        scalars: 0,
    };
}

impl<M: Memory, O: Observer> Heap<M, O> {
    /// Runs a build program, and gives the depth of the shadow stack after it.
    ///
    /// May collect. Cost: for each object the cost of [`allocate`](Self::allocate), and a load
    /// and a store for each word.
    pub fn build(&mut self, program: &[u32]) -> Result<u32, BuildError> {
        let stopped = |rest: &[u32], reason| {
            let at = (program.len() - rest.len()) as u32;
            BuildError { at, reason }
        };
        let mut rest = program;
        self.check_open().map_err(|reason| stopped(rest, reason))?;
        let mut plans = [Plan::NONE; PLANS];
        loop {
            rest = self.run_small(rest, &mut plans);
            let Some((&word, behind)) = rest.split_first() else {
                return Ok(self.depth());
            };
            rest = self.run_one(word, behind).map_err(|reason| stopped(rest, reason))?;
        }
    }

    /// Runs one instruction, and returns the words behind it.
    fn run_one<'a>(&mut self, word: u32, behind: &'a [u32]) -> Result<&'a [u32], Error> {
        let operand = word >> 8;
        let cut_off = Error::InvalidInstruction { word };
        match word & 0xff {
            LEAF => {
                let used = operand.div_ceil(WORD_BYTES) as usize;
                let (words, after) = behind.split_at_checked(used).ok_or(cut_off)?;
                let leaf = self.build_new(layout::LEAF, operand)?;
                // The padding of the last word is written too: an object is whole granules.
                self.put_words(leaf, words);
                Ok(after)
            }
            NEW => {
                let (&length, after) = behind.split_first().ok_or(cut_off)?;
                self.build_new(operand, length)?;
                Ok(after)
            }
            OBJECT => {
                let (&length, behind) = behind.split_first().ok_or(cut_off)?;
                self.build_object(word, length, behind)
            }
            PUSH if operand == 0 => {
                let (&reference, after) = behind.split_first().ok_or(cut_off)?;
                self.push(reference)?;
                Ok(after)
            }
            DROP => {
                let depth = self.depth().checked_sub(operand);
                self.truncate(depth.ok_or(Error::NoSuchRoot { index: operand })?)?;
                Ok(behind)
            }
            _ => Err(cut_off),
        }
    }

    /// Allocates an object and pushes it.
    fn build_new(&mut self, layout: LayoutId, length: u32) -> Result<Reference, Error> {
        self.roots.check_room(1 + self.scope_slots())?;
        let object = self.allocate_in_full(layout, length)?;
        self.roots.push(&mut self.supply.memory, object)?;
        Ok(object)
    }

    /// Runs instructions while each is a null or an object in a block to push, or makes a
    /// leaf or an object of fixed size of up to 8 granules in the hole at hand. Gives what
    /// follows them.
    fn run_small<'a>(&mut self, program: &'a [u32], plans: &mut [Plan; PLANS]) -> &'a [u32] {
        let mut rest = program;
        if !self.is_window_open() {
            return rest;
        }
        let mut operands = self.roots.operands();
        while let [word, behind @ ..] = rest {
            let word = *word;
            if word == PUSH {
                let [operand, after @ ..] = behind else { break };
                let is_known = *operand == 0 || self.find_in_block(*operand).is_some();
                if !is_known || !operands.can_replace(0) {
                    break;
                }
                operands.push(&mut self.supply.memory, *operand);
                rest = after;
                continue;
            }
            let plan = &mut plans[(word ^ word >> 8) as usize % PLANS];
            if plan.word != word {
                let Some(new) = self.plan(word) else { break };
                *plan = new;
            }
            let content = match behind {
                _ if word & 0xff == LEAF => behind,
                [0, content @ ..] => content,
                _ => break,
            };
            let Some((scalars, after)) = content.split_at_checked(plan.scalars as usize) else {
                break;
            };
            if !operands.can_replace(plan.references) {
                break;
            }
            let Some(object) = self.bump_small(plan.small.words, plan.small.template) else {
                break;
            };
            let memory = &mut self.supply.memory;
            let mut root = operands.pop(plan.references);
            let mut references = plan.small.references;
            let mut scalars = scalars.iter();
            for index in 0..plan.written {
                let value = if references & 1 != 0 {
                    root += WORD_BYTES;
                    memory.load_u32(root - WORD_BYTES)
                } else {
                    scalars.next().copied().unwrap_or(0)
                };
                memory.store_u32(object + index * WORD_BYTES, value);
                references >>= 1;
            }
            operands.push(memory, object);
            rest = after;
        }
        self.roots.adopt_operands(operands);
        rest
    }

    /// The plan of an instruction; none if it does not make a small object.
    fn plan(&self, word: u32) -> Option<Plan> {
        let operand = word >> 8;
        let (layout, length) = match word & 0xff {
            LEAF => (layout::LEAF, operand),
            OBJECT | NEW if operand >= layout::FIRST_DEFINED => (operand, 0),
            _ => return None,
        };
        let small = self.layouts.small(&self.supply.memory, layout, length)?;
        let mut plan = Plan { word, small, written: small.words, references: 0, scalars: 0 };
        match word & 0xff {
            LEAF => plan.scalars = length.div_ceil(WORD_BYTES),
            OBJECT => {
                plan.references = small.references.count_ones();
                plan.scalars = small.words - plan.references;
            }
            // The hole is zero ahead of the cursor.
            _ => plan.written = 0,
        }
        Some(plan)
    }

    /// Makes an object of any layout and size. Returns the words behind the instruction.
    fn build_object<'a>(
        &mut self,
        word: u32,
        length: u32,
        behind: &'a [u32],
    ) -> Result<&'a [u32], Error> {
        let layout = word >> 8;
        let cut_off = Error::InvalidInstruction { word };
        let shape = self.layouts.shape(&self.supply.memory, layout)?;
        let bytes = shape.bytes(length).ok_or(Error::InvalidLayout { layout })?;
        let words = bytes / u64::from(WORD_BYTES);
        // A program that is too short, or roots too few, is an error before
        // anything large is counted or made.
        if words > u64::from(self.depth()) + behind.len() as u64 {
            return Err(cut_off);
        }
        let words = words as u32;
        let references = (0..words).filter(|&index| shape.is_reference(index)).count() as u32;
        let first_root = self.depth().checked_sub(references);
        let first_root = first_root.ok_or(Error::NoSuchRoot { index: references })?;
        let (scalars, after) =
            behind.split_at_checked((words - references) as usize).ok_or(cut_off)?;
        self.roots.check_room(self.scope_slots() + u32::from(references == 0))?;
        let object = self.allocate_in_full(layout, length)?;
        let memory = &mut self.supply.memory;
        let (mut root, mut scalars) = (first_root, scalars.iter());
        for index in 0..words {
            let value = if shape.is_reference(index) {
                root += 1;
                self.roots.root(memory, root - 1)
            } else {
                scalars.next().copied().unwrap_or(0)
            };
            memory.store_u32(object + index * WORD_BYTES, value);
        }
        self.roots.replace_from(memory, first_root, object);
        Ok(after)
    }

    /// Slots that an allocation takes in the open scope, if one is.
    fn scope_slots(&self) -> u32 {
        u32::from(self.scope_depth() > 0)
    }
}
