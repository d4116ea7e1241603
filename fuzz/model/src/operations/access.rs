//! Operations that read and write the words of objects.

use super::*;

impl<S: Subject> Model<'_, S> {
    /// Writes what is right to write, and notes it.
    pub(super) fn put_words(&mut self, object: u32, index: u32, words: &[u32]) {
        let mut operands = vec![object, index];
        operands.extend(words);
        assert_eq!(self.call(Name::WriteWords, &operands, &[]), Ok(vec![]));
        let content = &mut self.graph.objects.get_mut(&object).unwrap().words;
        content[index as usize..index as usize + words.len()].copy_from_slice(words);
    }

    /// An object to read or write, or what is none; a word of it, or beyond; what must
    /// come of naming them.
    fn place(&mut self) -> (u32, u32, Expected) {
        let checks = self.checks_access;
        let object = if checks { self.any_reference() } else { self.some_object() };
        let Some(words) = self.graph.objects.get(&object).map(|object| object.words.len() as u32)
        else {
            return (object, self.choices.below(4), self.expect_object(object));
        };
        if checks && self.choices.one_in(40) {
            let index = self.choices.of(&[words, words + 1, 0x4000_0000, u32::MAX]);
            return (object, index, Err(Failure::new(Code::OutOfBounds, words * 4)));
        }
        (object, self.choices.below(words), Ok(()))
    }

    pub(super) fn set(&mut self) {
        let (object, index, mut expected) = self.place();
        let mut value = self.scalar();
        if expected.is_ok() {
            let tracing = self.graph.objects[&object].tracing.clone();
            value = self.value_for(&tracing, index as usize);
            if tracing.is_reference(index as usize) {
                if !self.checks_access && self.expect_object(value).is_err() {
                    value = 0;
                }
                expected = self.expect_null_or_object(value);
            }
        }
        let many = self.may(Name::WriteMany) && self.choices.one_in(6);
        let (name, mut operands) = match many {
            true => (Name::WriteMany, vec![object, index, value]),
            false => (Name::Set, vec![object, index, value]),
        };
        match expected {
            Err(_) if !self.checks_access => {}
            Err(Failure { code, value, .. }) => {
                if many && self.graph.objects.contains_key(&self.stable_root()) {
                    // What comes before the wrong one is not done either.
                    operands.splice(0..0, [self.stable_root(), 0, 0]);
                }
                self.call_refused(name, &operands, code, value);
            }
            Ok(()) => {
                assert_eq!(self.call(name, &operands, &[]), Ok(vec![]));
                self.graph.objects.get_mut(&object).unwrap().words[index as usize] = value;
            }
        }
    }

    fn stable_root(&self) -> u32 {
        untagged(self.graph.roots.first().copied().unwrap_or(0))
    }

    pub(super) fn write(&mut self) {
        let (object, index, expected) = self.place();
        let Ok(()) = expected else {
            let Err(Failure { code, value, .. }) = expected else { unreachable!() };
            if self.checks_access && self.may(Name::WriteBytes) {
                // A word's index times four may be more than a number holds.
                let offset = index.saturating_mul(4);
                self.call_refused(Name::WriteBytes, &[object, offset, 1, 2, 3, 4], code, value);
            }
            return;
        };
        let left = self.graph.objects[&object].words.len() as u32 - index;
        let count = 1 + self.choices.below(left.min(8));
        let tracing = self.graph.objects[&object].tracing.clone();
        let range = index as usize..(index + count) as usize;
        let slot = range.clone().find(|&word| tracing.is_reference(word));
        if self.may(Name::WriteBytes) && self.choices.one_in(2) {
            let mut operands = vec![object, index * 4];
            let words: Vec<u32> = range.clone().map(|_| self.scalar()).collect();
            operands.extend(words.iter().flat_map(|w| w.to_le_bytes().map(u32::from)));
            if let Some(slot) = slot {
                let value = slot as u32 * 4;
                return self.call_refused(Name::WriteBytes, &operands, Code::ReferenceSlot, value);
            }
            assert_eq!(self.call(Name::WriteBytes, &operands, &[]), Ok(vec![]));
            self.graph.objects.get_mut(&object).unwrap().words[range].copy_from_slice(&words);
        } else if self.may(Name::WriteWords) {
            let words: Vec<u32> = range
                .map(|word| match tracing.is_reference(word) {
                    true => self.some_object(),
                    false => self.value_for(&tracing, word),
                })
                .collect();
            self.put_words(object, index, &words);
        }
    }

    pub(super) fn read(&mut self) {
        let (object, index, expected) = self.place();
        match expected {
            Err(_) if !self.checks_access => {}
            Err(Failure { code, value, .. }) => {
                self.call_refused(Name::Get, &[object, index], code, value);
                if self.may(Name::ReadBytes) {
                    let operands = [object, index.saturating_mul(4), u32::MAX - 2];
                    self.call_refused(Name::ReadBytes, &operands, code, value);
                }
            }
            Ok(()) => {
                let word = self.graph.objects[&object].words[index as usize];
                assert_eq!(self.call(Name::Get, &[object, index], &[]), Ok(vec![word]));
                // An address is other bytes elsewhere.
                let is_portable = word & SCALAR != 0 || word < 256;
                if self.may(Name::ReadBytes) && (is_portable || !self.is_portable) {
                    let read = self.call(Name::ReadBytes, &[object, index * 4, 4], &[]);
                    let bytes = word.to_le_bytes().map(u32::from).to_vec();
                    assert_eq!(read, Ok(bytes));
                }
            }
        }
        let others = [self.any_reference(), self.some_object()];
        match others.map(|other| self.expect_object(other)) {
            [Err(Failure { code, value, .. }), _] | [_, Err(Failure { code, value, .. })] => {
                let [one, other] = others;
                self.call_refused(Name::ReadObjects, &[u32::MAX, one, other], code, value);
            }
            _ => {
                let [first, second] = others.map(|other| {
                    let words = &self.graph.objects[&other].words;
                    [&[words.len() as u32 * 4], &words[..]].concat()
                });
                let all = (first.len() + second.len()) as u32;
                let most = self.choices.of(&[u32::MAX, all, all - 1, 0]);
                // The first object is read whatever its size is.
                let expected = if most >= all { [first, second].concat() } else { first };
                let [one, other] = others;
                let read = self.call(Name::ReadObjects, &[most, one, other], &[]);
                assert_eq!(read, Ok(expected), "at most {most} words");
            }
        }
    }
}
