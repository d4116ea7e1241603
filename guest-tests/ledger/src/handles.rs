//! The host's decimals, each dropped exactly once.
//!
//! 1. A decimal that the host just made is in an [`Owned`], which drops it when
//!    it goes out of scope: no error path can forget it.
//! 2. A decimal leaves its [`Owned`] only when the collector has taken it. When the
//!    collector gives it back, [`drop_dead`] drops it, and nothing else does.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use crate::failure::During;
use crate::imports::{Decimal, Failure, Imports, Malformed, Place, Reference, Registration};

/// The kind of the handles that wrappers own. This language has no other kind.
const KIND_DECIMAL: u32 = 1;

/// How many dead handles are taken at a time.
const DRAIN_MAX: u32 = 16 * 1024;

/// Decimals that are this program's to drop.
pub struct Owned<'a, I: Imports> {
    imports: &'a I,
    decimals: Vec<Decimal>,
}

/// Decimals that the collector owns, and their wrappers.
pub struct Wrapped {
    /// The decimals.
    pub decimals: Vec<Decimal>,
    /// The wrapper of each.
    pub wrappers: Vec<Reference>,
}

impl<'a, I: Imports> Owned<'a, I> {
    /// The decimals of texts that stand one after the other, each up to its end.
    pub fn parse(imports: &'a I, texts: &[u8], ends: &[u32]) -> Result<Self, Failure> {
        match imports.decimals_parse_many(texts, ends) {
            Ok(decimals) => Ok(Owned { imports, decimals }),
            Err(refused) => Err(refusal(texts, ends, refused.index as usize)),
        }
    }

    /// The running sums from `start` over `addends`.
    pub fn running_sums(imports: &'a I, start: Decimal, addends: &[Decimal]) -> Self {
        let decimals = imports.decimals_running_sums(start, addends);
        Owned { imports, decimals }
    }

    /// The decimals. They remain ours.
    pub fn decimals(&self) -> &[Decimal] {
        &self.decimals
    }

    /// Has the collector make a wrapper for each.
    pub fn wrap(self, weight_bytes: u32) -> Result<Wrapped, Failure> {
        let wrappers = self
            .imports
            .wrappers_wrap_many(KIND_DECIMAL, &self.decimals, weight_bytes)
            .during("wrapping decimals")?;
        Ok(Wrapped { wrappers, decimals: self.hand_over() })
    }

    /// Has the collector take each for the wrapper that there is for it.
    pub fn register(self, wrappers: Vec<Reference>, weight_bytes: u32) -> Result<Wrapped, Failure> {
        let registrations: Vec<Registration> = wrappers
            .iter()
            .zip(&self.decimals)
            .map(|(&wrapper, &handle)| Registration {
                wrapper,
                kind: KIND_DECIMAL,
                handle,
                weight_bytes,
            })
            .collect();
        self.imports.wrappers_register_many(&registrations).during("registering decimals")?;
        Ok(Wrapped { wrappers, decimals: self.hand_over() })
    }

    fn hand_over(mut self) -> Vec<Decimal> {
        mem::take(&mut self.decimals)
    }
}

impl<I: Imports> Drop for Owned<'_, I> {
    fn drop(&mut self) {
        if !self.decimals.is_empty() {
            self.imports.decimals_drop_many(&self.decimals);
        }
    }
}

/// Drops the decimals whose wrappers have died.
pub fn drop_dead<I: Imports>(imports: &I) {
    loop {
        let dead = imports.wrappers_drain(DRAIN_MAX);
        if !dead.is_empty() {
            let decimals: Vec<Decimal> = dead.iter().map(|dead| dead.handle).collect();
            imports.decimals_drop_many(&decimals);
        }
        if dead.len() < DRAIN_MAX as usize {
            return;
        }
    }
}

/// Ends the heap and drops all that it still owned.
pub fn drop_all<I: Imports>(imports: &I) {
    // The heap may never have opened, or may be closed already. Handles that wait in it must
    // be dropped in any case.
    let _ = imports.wrappers_close();
    drop_dead(imports);
}

/// The failure for a number that the host refused. Its place in the document is no longer known:
/// the parser should not have let the number through.
fn refusal(texts: &[u8], ends: &[u32], index: usize) -> Failure {
    const SHOWN_MAX_BYTES: usize = 64;
    let end = ends.get(index).map_or(0, |&end| end as usize);
    let begin = index.checked_sub(1).map_or(0, |before| ends[before] as usize);
    let text = texts.get(begin..end).unwrap_or_default();
    let shown = &text[..text.len().min(SHOWN_MAX_BYTES)];
    let mut message = String::from("the host refuses the number ");
    message.push_str(&String::from_utf8_lossy(shown));
    if shown.len() < text.len() {
        message.push('…');
    }
    Failure::Malformed(Malformed { at: Place { line: 0, column: 0 }, message })
}
