//! Where a program's choices come from: a fuzzer's bytes, or a seed.
//!
//! Equal bytes, or equal seeds, make equal programs. Every choice takes as few bytes as it needs,
//! so that a fuzzer that changes one byte changes one choice.

/// A source of choices.
#[derive(Clone, Debug)]
pub enum Choices<'a> {
    /// A fuzzer's bytes, and zeros behind them.
    Bytes(&'a [u8]),
    /// The state of xorshift64*, so that a seed determines a run.
    Random(u64),
}

impl Choices<'_> {
    /// Makes endless choices that a seed determines.
    pub fn seeded(seed: u64) -> Self {
        // The state must not be 0, and must differ in many bits for neighbouring seeds.
        Choices::Random(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns true if the bytes are used up.
    pub fn is_over(&self) -> bool {
        matches!(self, Choices::Bytes([]))
    }

    /// Returns a number below `limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: u32) -> u32 {
        match self {
            _ if limit <= 1 => 0,
            Choices::Bytes(bytes) => {
                let wide = match limit {
                    0..=0x100 => take(bytes, 1),
                    0x101..=0x1_0000 => take(bytes, 2),
                    _ => take(bytes, 4),
                };
                wide % limit
            }
            Choices::Random(state) => (next(state) % u64::from(limit)) as u32,
        }
    }

    /// Returns any number.
    pub fn word(&mut self) -> u32 {
        match self {
            Choices::Bytes(bytes) => take(bytes, 4),
            Choices::Random(state) => next(state) as u32,
        }
    }

    /// Returns true once in `times` times.
    pub fn one_in(&mut self, times: u32) -> bool {
        // The rare answer is not 0, so that bytes that are used up choose the usual one.
        self.below(times) == times - 1
    }

    /// Returns one of some values.
    pub fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u32) as usize]
    }
}

fn take(bytes: &mut &[u8], count: usize) -> u32 {
    let (taken, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    taken.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
}
