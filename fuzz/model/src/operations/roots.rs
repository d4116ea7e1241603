//! Operations on roots: the shadow stack, scopes, pins and ranges.

use super::*;

impl<S: Subject> Model<'_, S> {
    pub(super) fn push(&mut self) {
        if self.may(Name::PushMany) && self.choices.one_in(8) {
            return self.push_many();
        }
        let object = self.any_reference();
        // The core door's program pushes a right reference by itself, and so nothing checks it.
        let expected = self.expect_null_or_object(object);
        match expected {
            Err(Failure { code, value, .. }) => {
                self.call_refused(Name::Push, &[object], code, value);
            }
            Ok(()) => self.push_this(object),
        }
    }

    pub(super) fn push_many(&mut self) {
        let objects: Vec<u32> = (0..self.choices.below(6)).map(|_| self.any_reference()).collect();
        let full = self.stack_full(objects.len() as u32);
        let wrong = objects.iter().find_map(|&object| self.expect_null_or_object(object).err());
        match full.or(wrong) {
            Some(Failure { code, value, .. }) => {
                self.call_refused(Name::PushMany, &objects, code, value);
            }
            None => {
                assert_eq!(self.call(Name::PushMany, &objects, &[]), Ok(vec![]));
                self.graph.roots.extend(objects);
            }
        }
    }

    pub(super) fn pop(&mut self) {
        let name = self.inline_or(Name::InlinePop, Name::Pop);
        let answer = self.call(name, &[], &[]);
        let expected = self.graph.roots.pop();
        assert_eq!(
            answer,
            expected.map(|object| vec![object]).ok_or(Failure::new(Code::NoSuchRoot, 0))
        );
    }

    pub(super) fn truncate(&mut self) {
        let depth = self.graph.roots.len() as u32;
        if self.choices.one_in(6) {
            let more = self.choices.of(&[depth + 1, u32::MAX]);
            return self.call_refused(Name::Truncate, &[more], Code::NoSuchRoot, more);
        }
        let kept = depth - self.choices.below(depth + 1) / 4;
        assert_eq!(self.call(Name::Truncate, &[kept], &[]), Ok(vec![]));
        self.graph.roots.truncate(kept as usize);
    }

    pub(super) fn root(&mut self) {
        if !self.may(Name::SetRoot) {
            return self.pop();
        }
        let depth = self.graph.roots.len() as u32;
        let index = self.choices.below(depth + 2);
        let object = self.any_reference();
        if let Err(Failure { code, value, .. }) = self.expect_null_or_object(object) {
            return self.call_refused(Name::SetRoot, &[index, object], code, value);
        }
        if index >= depth {
            self.call_refused(Name::SetRoot, &[index, object], Code::NoSuchRoot, index);
            return self.call_refused(Name::Root, &[index], Code::NoSuchRoot, index);
        }
        let before = self.graph.roots[index as usize];
        assert_eq!(self.call(Name::Root, &[index], &[]), Ok(vec![before]));
        assert_eq!(self.call(Name::SetRoot, &[index, object], &[]), Ok(vec![]));
        self.graph.roots[index as usize] = object;
    }

    pub(super) fn enter_scope(&mut self) {
        if self.graph.scopes.len() >= MOST_SCOPES {
            return;
        }
        let full = self.stack_full(1);
        let entered = self.call(Name::EnterScope, &[], &[]);
        assert_eq!(entered, full.map_or(Ok(vec![]), Err));
        if entered.is_ok() {
            self.graph.scopes.push(Vec::new());
        }
    }

    pub(super) fn leave_scope(&mut self) {
        let keep = self.any_reference();
        let mut expected = self.expect_null_or_object(keep);
        if expected.is_ok() && self.graph.scopes.is_empty() {
            expected = Err(Failure::new(Code::NoScope, 0));
        }
        if let Err(Failure { code, value, .. }) = expected {
            return self.call_refused(Name::LeaveScope, &[keep], code, value);
        }
        assert_eq!(self.call(Name::LeaveScope, &[keep], &[]), Ok(vec![]));
        self.graph.scopes.pop();
        if keep != 0
            && let Some(outer) = self.graph.scopes.last_mut()
        {
            outer.push(keep);
        }
    }

    pub(super) fn pin(&mut self) {
        if self.choices.one_in(2) {
            return self.unpin();
        }
        let object = self.any_reference();
        if let Err(Failure { code, value, .. }) = self.expect_object(object) {
            return self.call_refused(Name::Pin, &[object], code, value);
        }
        match self.call(Name::Pin, &[object], &[object]) {
            Ok(given) => {
                let known = self.graph.pins.iter_mut().find(|(pinned, _)| *pinned == object);
                let count = match known {
                    Some((_, count)) => {
                        *count += 1;
                        *count
                    }
                    None => {
                        self.graph.pins.push((object, 1));
                        1
                    }
                };
                assert!(given.is_empty() || given == [count], "{given:?} pins, not {count}");
            }
            Err(failure) => assert_eq!(failure.code, Code::OutOfMemory),
        }
    }

    pub(super) fn unpin(&mut self) {
        let pinned = self.graph.pins.len() as u32;
        let position = self.choices.below(pinned + 1) as usize;
        let Some(&(object, count)) = self.graph.pins.get(position) else {
            let object = self.any_reference();
            let expected = match self.expect_object(object) {
                Ok(()) if self.graph.pins.iter().any(|&(pinned, _)| pinned == object) => return,
                Ok(()) => Failure::new(Code::NotPinned, object),
                Err(failure) => failure,
            };
            return self.call_refused(Name::Unpin, &[object], expected.code, expected.value);
        };
        let given = self.call(Name::Unpin, &[object], &[]).unwrap();
        assert!(given.is_empty() || given == [count - 1]);
        if count == 1 {
            self.graph.pins.remove(position);
        } else {
            self.graph.pins[position].1 -= 1;
        }
    }

    pub(super) fn range(&mut self) {
        if !self.may(Name::AddRoots) {
            return;
        }
        match self.choices.below(9) {
            0 => {
                let was_there = self.graph.range.take().is_some();
                if was_there {
                    assert_eq!(self.call(Name::RemoveRoots, &[], &[]), Ok(vec![]));
                } else {
                    let range = self.subject.range();
                    self.call_refused(Name::RemoveRoots, &[], Code::NoSuchRoot, range);
                }
            }
            1 => {
                // The range ends before it begins, or outside memory.
                let (begin, end) = self.choices.of(&[(8, 4), (u32::MAX, 0), (64, 0xffff_fffc)]);
                self.call_refused(Name::AddRoots, &[begin, end], Code::OutOfBounds, end);
            }
            2 | 3 if self.graph.range.is_none() => {
                // The range's words may be stale.
                for index in 0..RANGE_WORDS {
                    assert_eq!(self.call(Name::SetRange, &[index, 0], &[]), Ok(vec![]));
                }
                match self.call(Name::AddRoots, &[], &[]) {
                    Ok(_) => self.graph.range = Some([0; RANGE_WORDS as usize]),
                    Err(failure) => assert_eq!(failure.code, Code::OutOfMemory),
                }
            }
            _ if self.graph.range.is_some() => {
                let index = self.choices.below(RANGE_WORDS);
                let word = self.value_for(&Tracing::Conservative, 0);
                assert_eq!(self.call(Name::SetRange, &[index, word], &[]), Ok(vec![]));
                self.graph.range.as_mut().unwrap()[index as usize] = word;
            }
            _ => {}
        }
    }
}
