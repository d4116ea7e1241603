//! Decimals that live in the host, behind handles.
//!
//! The table gives every decimal a number of its own and never gives a number
//! twice. So the table can tell a second release from the release of a handle that it
//! never gave out. The guest is not told of its mistakes: the table counts them, and the
//! host reads [`Decimals::check`] when the guest is done.
//!
//! Invariants:
//! 1. `made() == released() + live()`.
//! 2. The table holds the handles from `first` to the last one made, in order; the
//!    first of them is live. So it is as long as the span of the live handles,
//!    however many have been made.

use std::collections::VecDeque;

use bigdecimal::{BigDecimal, Zero};

/// The largest exponent, and without its sign the smallest. A larger one is a document's mistake
/// or malice, and its decimal would take the host's memory.
pub const EXPONENT_LIMIT: i64 = 100_000;

/// The decimals that a guest holds.
#[derive(Default)]
pub struct Decimals {
    table: VecDeque<Option<BigDecimal>>,
    first: u32,
    live: usize,
    peak: usize,
    faults: Faults,
}

/// A guest's mistakes with handles, counted. All are 0 for a guest without mistakes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Handles released that had been released before.
    pub double_releases: u64,
    /// Handles released or used that were never given out.
    pub unknown_handles: u64,
    /// Handles used after their release.
    pub uses_after_release: u64,
    /// Handles that were not released at the end.
    pub unreleased: u64,
}

impl Decimals {
    /// Makes a decimal of a number as JSON writes it; `None` if the text is another, or if
    /// the exponent is past [`EXPONENT_LIMIT`].
    pub fn parse(&mut self, text: &[u8]) -> Option<u32> {
        let text = std::str::from_utf8(text).ok()?;
        if !is_json_number(text) || exponent(text)?.abs() > EXPONENT_LIMIT {
            return None;
        }
        let value = text.parse().ok()?;
        Some(self.keep(value))
    }

    /// The sums `start + addends[0]`, that `+ addends[1]`, and so on, each a
    /// new decimal.
    pub fn running_sums(&mut self, start: u32, addends: &[u32]) -> Vec<u32> {
        let mut sum = self.value(start);
        let mut sums = Vec::with_capacity(addends.len());
        for addend in addends {
            match self.get(*addend) {
                Some(value) => sum += value,
                None => self.note_use(*addend),
            }
            sums.push(self.keep(sum.clone()));
        }
        sums
    }

    /// A decimal in plain digits, with no exponent and no trailing zeros.
    pub fn to_text(&mut self, handle: u32) -> String {
        self.value(handle).normalized().to_plain_string()
    }

    /// Releases a decimal.
    pub fn release(&mut self, handle: u32) {
        let place = self.place(handle);
        if place.and_then(|place| self.table.get_mut(place)).and_then(Option::take).is_none() {
            self.note_release(handle);
            return;
        }
        self.live -= 1;
        while let Some(None) = self.table.front() {
            self.table.pop_front();
            self.first += 1;
        }
    }

    /// Decimals made since the start.
    pub fn made(&self) -> u64 {
        u64::from(self.next())
    }

    /// Decimals released since the start.
    pub fn released(&self) -> u64 {
        self.made() - self.live() as u64
    }

    /// Decimals not released yet.
    pub fn live(&self) -> usize {
        self.live
    }

    /// The most decimals that were live at one time.
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// Checks that every handle given out was released exactly once, and that no handle was
    /// used after its release. Errors: the counts of what was wrong.
    pub fn check(&self) -> Result<(), Faults> {
        let faults = Faults { unreleased: self.live() as u64, ..self.faults };
        if faults == Faults::default() { Ok(()) } else { Err(faults) }
    }

    /// The handle that the next decimal gets.
    fn next(&self) -> u32 {
        self.first + self.table.len() as u32
    }

    /// The place of a handle in the table; none for a handle before the first in the table.
    fn place(&self, handle: u32) -> Option<usize> {
        handle.checked_sub(self.first).map(|place| place as usize)
    }

    fn get(&self, handle: u32) -> Option<&BigDecimal> {
        self.table.get(self.place(handle)?)?.as_ref()
    }

    fn keep(&mut self, value: BigDecimal) -> u32 {
        let handle = self.next();
        self.table.push_back(Some(value));
        self.live += 1;
        self.peak = self.peak.max(self.live);
        handle
    }

    /// The decimal of a handle. A handle without a decimal gives zero, and is counted as a fault.
    fn value(&mut self, handle: u32) -> BigDecimal {
        match self.get(handle) {
            Some(value) => value.clone(),
            None => {
                self.note_use(handle);
                BigDecimal::zero()
            }
        }
    }

    fn note_release(&mut self, handle: u32) {
        if handle < self.next() {
            self.faults.double_releases += 1;
        } else {
            self.faults.unknown_handles += 1;
        }
    }

    fn note_use(&mut self, handle: u32) {
        if handle < self.next() {
            self.faults.uses_after_release += 1;
        } else {
            self.faults.unknown_handles += 1;
        }
    }
}

/// Whether `text` is a number by RFC 8259, which allows less than the decimal
/// library does (no `+1`, `1_000`, `.5`, `01`).
fn is_json_number(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let (integer, rest) = split_digits(rest);
    if integer.is_empty() || (integer.len() > 1 && integer.starts_with('0')) {
        return false;
    }
    let rest = match rest.strip_prefix('.') {
        Some(rest) => match split_digits(rest) {
            ("", _) => return false,
            (_, rest) => rest,
        },
        None => rest,
    };
    let Some(rest) = rest.strip_prefix(['e', 'E']) else {
        return rest.is_empty();
    };
    let (digits, rest) = split_digits(rest.strip_prefix(['+', '-']).unwrap_or(rest));
    !digits.is_empty() && rest.is_empty()
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// The exponent written in a JSON number, or 0 if the number has no exponent; `None` if the
/// exponent is too large for an `i64`.
fn exponent(text: &str) -> Option<i64> {
    match text.split_once(['e', 'E']) {
        Some((_, exponent)) => exponent.parse().ok(),
        None => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(number: &str) -> Option<String> {
        let mut decimals = Decimals::default();
        let handle = decimals.parse(number.as_bytes())?;
        Some(decimals.to_text(handle))
    }

    #[test]
    fn numbers_are_printed_in_plain_digits() {
        for (number, text) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.000", "0"),
            ("1.500", "1.5"),
            ("100", "100"),
            ("1e3", "1000"),
            ("12.5E-3", "0.0125"),
            ("-2.50e+1", "-25"),
            ("9007199254740993", "9007199254740993"),
        ] {
            assert_eq!(text_of(number).as_deref(), Some(text), "{number}");
        }
    }

    #[test]
    fn what_json_does_not_call_a_number_is_refused() {
        for text in
            ["", "-", "+1", "01", "-01", ".5", "5.", "1e", "1e+", "1_0", "0x1", "1 ", "NaN", "1.e1"]
        {
            assert_eq!(text_of(text), None, "{text:?}");
        }
    }

    #[test]
    fn exponents_are_held_up_to_the_limit() {
        assert_eq!(text_of("1e100000").map(|text| text.len()), Some(100_001));
        assert_eq!(text_of("1e-100000").map(|text| text.len()), Some(100_002));
        assert_eq!(text_of("1e100001"), None);
        assert_eq!(text_of("1e-100001"), None);
        assert_eq!(text_of("1e99999999999999999999"), None);
    }

    #[test]
    fn running_sums_are_exact_and_each_is_a_decimal_of_its_own() {
        let mut decimals = Decimals::default();
        let start = decimals.parse(b"0").unwrap();
        let addends: Vec<u32> = ["0.1", "0.2", "1e30"]
            .iter()
            .map(|text| decimals.parse(text.as_bytes()).unwrap())
            .collect();
        let sums = decimals.running_sums(start, &addends);
        let texts: Vec<String> = sums.iter().map(|sum| decimals.to_text(*sum)).collect();
        assert_eq!(texts, ["0.1", "0.3", "1000000000000000000000000000000.3"]);
        assert_eq!(decimals.live(), 7);
    }

    #[test]
    fn each_handle_released_once_passes_the_check() {
        let mut decimals = Decimals::default();
        let handle = decimals.parse(b"1").unwrap();
        assert_eq!(decimals.check().unwrap_err().unreleased, 1);
        decimals.release(handle);
        assert_eq!(decimals.check(), Ok(()));
        assert_eq!((decimals.made(), decimals.released(), decimals.peak()), (1, 1, 1));
    }

    #[test]
    fn the_table_spans_the_live_handles_only() {
        let mut decimals = Decimals::default();
        let old = decimals.parse(b"1").unwrap();
        for _ in 0..1000 {
            let handle = decimals.parse(b"2").unwrap();
            decimals.release(handle);
        }
        assert_eq!((decimals.table.len(), decimals.live()), (1001, 1));
        assert_eq!(decimals.to_text(old), "1");
        decimals.release(old);
        assert_eq!((decimals.table.len(), decimals.live()), (0, 0));
        assert_eq!(decimals.parse(b"3"), Some(1001));
    }

    #[test]
    fn each_kind_of_misuse_is_told_apart() {
        let mut decimals = Decimals::default();
        let handle = decimals.parse(b"1").unwrap();
        decimals.release(handle);
        decimals.release(handle);
        decimals.release(77);
        assert_eq!(decimals.to_text(handle), "0");
        assert_eq!(
            decimals.check(),
            Err(Faults {
                double_releases: 1,
                unknown_handles: 1,
                uses_after_release: 1,
                unreleased: 0,
            })
        );
    }
}
