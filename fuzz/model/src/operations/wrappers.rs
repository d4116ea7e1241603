//! Operations on wrappers and their handles: registering, wrapping, disposing, draining.

use super::*;

impl<S: Subject> Model<'_, S> {
    pub(super) fn weight(&mut self) -> u32 {
        match self.choices.below(16) {
            0 if !self.is_heavy => self.choices.of(&[u32::MAX, 1 << 26, 1 << 20]),
            _ => self.choices.below(1_000),
        }
    }

    pub(super) fn expect_plain(&self, wrapper: u32) -> Expected {
        self.expect_object(wrapper)?;
        match self.graph.objects[&wrapper].owned {
            Some(_) => Err(Failure::new(Code::AlreadyRegistered, wrapper)),
            None => Ok(()),
        }
    }

    pub(super) fn expect_wrapper(&self, wrapper: u32) -> Expected {
        self.expect_object(wrapper)?;
        match self.graph.objects[&wrapper].owned {
            Some(_) => Ok(()),
            None => Err(Failure::new(Code::NotRegistered, wrapper)),
        }
    }

    pub(super) fn expect_exhausted(failure: Failure) {
        let is_right = matches!(failure.code, Code::OutOfMemory | Code::WrapTableFull);
        assert!(is_right, "{failure}");
    }

    pub(super) fn register(&mut self) {
        let wrapper = self.any_reference();
        let (handle, weight) = (self.next_handle, self.weight());
        let operands = [wrapper, KIND, handle, weight];
        if let Err(Failure { code, value, .. }) = self.expect_plain(wrapper) {
            return self.call_refused(Name::Register, &operands, code, value);
        }
        match self.call(Name::Register, &operands, &[wrapper]) {
            Ok(_) => {
                self.next_handle += 1;
                self.own(wrapper, handle, weight);
            }
            Err(failure) => Self::expect_exhausted(failure),
        }
    }

    pub(super) fn register_many(&mut self) {
        if !self.may(Name::RegisterMany) {
            return self.register();
        }
        let mut operands = Vec::new();
        let mut wrappers: Vec<(u32, u32)> = Vec::new();
        let mut expected = Ok(());
        for index in 0..self.choices.below(6) {
            let wrapper = self.any_reference();
            let weight = self.weight();
            let twice = wrappers.iter().any(|&(other, _)| other == wrapper);
            expected = expected.and(match self.expect_plain(wrapper) {
                Ok(()) if twice => Err(Failure::new(Code::AlreadyRegistered, wrapper)),
                other => other,
            });
            operands.extend([wrapper, KIND, self.next_handle + index, weight]);
            wrappers.push((wrapper, weight));
        }
        if let Err(Failure { code, value, .. }) = expected {
            return self.call_refused(Name::RegisterMany, &operands, code, value);
        }
        let in_flight: Vec<u32> = wrappers.iter().map(|&(wrapper, _)| wrapper).collect();
        match self.call(Name::RegisterMany, &operands, &in_flight) {
            Ok(_) => {
                for (wrapper, weight) in wrappers {
                    self.own(wrapper, self.next_handle, weight);
                    self.next_handle += 1;
                }
            }
            Err(failure) => Self::expect_exhausted(failure),
        }
    }

    pub(super) fn wrapper_object(handle: u32) -> Object {
        let mut object = Self::object(8, 8, Tracing::Leaf);
        object.words.copy_from_slice(&[KIND, handle]);
        object
    }

    pub(super) fn wrap(&mut self) {
        let (handle, weight) = (self.next_handle, self.weight());
        let full = self.scope_full();
        match self.call(Name::Wrap, &[KIND, handle, weight], &[]) {
            Ok(given) => {
                assert_eq!(full, None);
                self.next_handle += 1;
                self.add(given[0], Self::wrapper_object(handle));
                self.own(given[0], handle, weight);
                if self.graph.scopes.is_empty() && self.choices.one_in(3) {
                    self.push_this(given[0]);
                }
            }
            Err(failure) if full == Some(failure) => {}
            Err(failure) => Self::expect_exhausted(failure),
        }
    }

    pub(super) fn wrap_many(&mut self) {
        if !self.may(Name::WrapMany) || self.limits.may_dangle {
            return self.wrap();
        }
        let count = self.choices.below(10);
        let weight = self.weight();
        let mut operands = vec![KIND, weight];
        operands.extend((0..count).map(|index| self.next_handle + index));
        let scoped = !self.graph.scopes.is_empty();
        let full = if scoped { self.stack_full(count) } else { None };
        match self.call(Name::WrapMany, &operands, &[]) {
            Ok(wrappers) => {
                assert_eq!((full, wrappers.len()), (None, count as usize));
                for wrapper in wrappers {
                    self.add(wrapper, Self::wrapper_object(self.next_handle));
                    self.own(wrapper, self.next_handle, weight);
                    self.next_handle += 1;
                }
            }
            Err(failure) => {
                if full != Some(failure) {
                    Self::expect_exhausted(failure);
                }
                // The objects that were made before are plain, and nothing roots them.
                self.collect();
            }
        }
    }

    pub(super) fn handle(&mut self) {
        let wrapper = self.any_reference();
        let expected = self.expect_wrapper(wrapper);
        let weight = self.weight();
        let (name, operands) = match self.choices.below(4) {
            0 if self.may(Name::SetWeight) => (Name::SetWeight, vec![wrapper, weight]),
            1 => (Name::HandleOf, vec![wrapper]),
            _ => (Name::Dispose, vec![wrapper]),
        };
        if let Err(Failure { code, value, .. }) = expected {
            return self.call_refused(name, &operands, code, value);
        }
        let answer = self.call(name, &operands, &[]);
        let owned = &mut self.graph.objects.get_mut(&wrapper).unwrap().owned;
        let known = owned.expect("it is a wrapper");
        match name {
            Name::HandleOf => return assert_eq!(answer, Ok(vec![KIND, known.handle])),
            Name::SetWeight => owned.as_mut().unwrap().weight = weight,
            _ => {
                *owned = None;
                self.pending.insert(known.handle);
            }
        }
        assert_eq!(answer, Ok(vec![]));
    }

    pub(super) fn drain(&mut self) {
        assert_eq!(self.call(Name::Pending, &[], &[]), Ok(vec![self.pending.len() as u32]));
        let most = self.choices.of(&[0, 1, 3, 1_000]);
        let drained = self.call(Name::Drain, &[most], &[]).unwrap();
        assert_eq!(drained.len() / 2, self.pending.len().min(most as usize));
        self.release(&drained);
    }
}
