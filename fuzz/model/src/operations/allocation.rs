//! Operations that make objects and layouts, and sizes and layouts that are refused.

use super::*;

impl<S: Subject> Model<'_, S> {
    fn length(&mut self) -> u32 {
        if self.is_heavy && self.choices.one_in(3) {
            let most = self.choices.of(&[2_000, 2_000, 20_000, 50_000]);
            return self.choices.below(most);
        }
        match self.choices.below(64) {
            0 => self.choices.below(20_000),
            1 => 2_000 + self.choices.below(100),
            2..6 => self.choices.below(300),
            _ => self.choices.below(12),
        }
    }

    /// A layout, a length for it, and what an object of them is.
    fn described(&mut self) -> (u32, u32, u64, Tracing) {
        let length = self.length();
        let choice = self.choices.below(self.layouts.len() as u32 + 3) as usize;
        match self.layouts.get(choice).cloned() {
            Some(Layout { number, pattern }) => {
                let length = if pattern.element.is_empty() { 0 } else { length };
                let length = length / pattern.element.len().max(1) as u32;
                (number, length, pattern.bytes(length), Tracing::Precise(pattern))
            }
            None if choice == self.layouts.len() => {
                (CONSERVATIVE, length * 4, u64::from(length) * 4, Tracing::Conservative)
            }
            None => {
                let bytes = length * 4 + self.choices.below(4);
                (LEAF, bytes, u64::from(bytes), Tracing::Leaf)
            }
        }
    }

    /// Adds an object that was made, and remembers it.
    pub(super) fn add(&mut self, address: u32, object: Object) {
        self.insert(address, object);
        self.recent.rotate_right(1);
        self.recent[0] = address;
    }

    /// The caller of an allocation roots the object, or drops it.
    fn root_or_drop(&mut self, address: u32, object: Object) {
        self.add(address, object);
        if self.graph.scopes.is_empty() && !self.choices.one_in(3) {
            self.push_this(address);
        }
    }

    pub(super) fn push_this(&mut self, address: u32) {
        let full = self.stack_full(1);
        let name = self.inline_or(Name::InlinePush, Name::Push);
        // Compiled code may tag what it pushes, and nothing checks that, unless it has to call.
        let may_tag = name == Name::InlinePush && address != 0 && full.is_none();
        let is_tagged = may_tag && self.choices.one_in(3);
        let word = if is_tagged { address | self.choices.below(GRANULE_BYTES) } else { address };
        let pushed = self.call(name, &[word], &[]);
        assert_eq!(pushed, full.map_or(Ok(vec![]), Err));
        if pushed.is_ok() {
            self.graph.roots.push(word);
        }
    }

    /// Slots that an allocation needs.
    pub(super) fn scope_full(&self) -> Option<Failure> {
        if self.graph.scopes.is_empty() { None } else { self.stack_full(1) }
    }

    /// Notes what an allocation gave: an object, or an error that may be.
    fn allocate_as(&mut self, name: Name, words: &[u32], in_flight: &[u32], object: Object) -> u32 {
        let full = self.scope_full();
        match self.call(name, words, in_flight) {
            Ok(given) => {
                assert_eq!(full, None, "{name:?} had room where there was none");
                self.root_or_drop(given[0], object);
                given[0]
            }
            Err(failure) => {
                assert!(
                    full == Some(failure) || (full.is_none() && failure.code == Code::OutOfMemory),
                    "{name:?}({words:x?}): {failure}"
                );
                0
            }
        }
    }

    pub(super) fn allocate(&mut self) {
        let (layout, length, bytes, tracing) = self.described();
        let object = Self::object(bytes, 8, tracing);
        self.allocate_as(Name::Allocate, &[layout, length], &[], object);
    }

    pub(super) fn allocate_leaf(&mut self) {
        if !self.may(Name::AllocateLeaf) {
            return self.allocate();
        }
        let bytes = self.length() * 4;
        let object = Self::object(u64::from(bytes), 8, Tracing::Leaf);
        let words = object.words.len() as u32;
        let name = self.inline_or(Name::InlineLeaf, Name::AllocateLeaf);
        let address = self.allocate_as(name, &[bytes], &[], object);
        if address != 0 {
            // It has any content, until its program writes all of it.
            let seed = self.choices.word();
            let content: Vec<u32> = (0..words).map(|word| (seed ^ word) | SCALAR).collect();
            self.put_words(address, 0, &content);
        }
    }

    pub(super) fn allocate_small(&mut self) {
        if !self.may(Name::AllocateSmall) {
            return self.allocate();
        }
        let granules = 1 + self.choices.below(8);
        let references = self.choices.word() & ((1 << (granules * 2)) - 1);
        let fixed = Pattern::words(granules * 2, u64::from(references));
        let pattern = Rc::new(Pattern { fixed, element: Vec::new() });
        let object = Self::object(u64::from(granules * 8), 8, Tracing::Precise(pattern));
        let name = self.inline_or(Name::InlineSmall, Name::AllocateSmall);
        self.allocate_as(name, &[granules, references], &[], object);
    }

    pub(super) fn allocate_aligned(&mut self) {
        if !self.may(Name::AllocateAligned) {
            return self.allocate();
        }
        let (layout, length, bytes, tracing) = self.described();
        let alignment = 1 << self.choices.below(13);
        let object = Self::object(bytes, alignment, tracing);
        let words = [layout, length, alignment];
        let address = self.allocate_as(Name::AllocateAligned, &words, &[], object);
        assert!(address.is_multiple_of(alignment), "{address:#x} is not aligned to {alignment}");
    }

    pub(super) fn create(&mut self) {
        if !self.may(Name::Create) {
            return self.allocate();
        }
        let (layout, length, bytes, tracing) = self.described();
        let mut object = Self::object(bytes, 8, tracing.clone());
        let most = object.words.len() as u32;
        let count = self.choices.below(most.min(16) + 1) as usize;
        let mut operands = vec![layout, length];
        let mut expected = Ok(());
        for index in 0..count {
            let word = self.value_for(&tracing, index);
            if tracing.is_reference(index) {
                expected = expected.and(self.expect_null_or_object(word));
            }
            operands.push(word);
            object.words[index] = word;
        }
        if self.choices.one_in(50) && most < LONG_LIST_WORDS {
            operands.resize(2 + most as usize + 1, 0);
            expected = Err(Failure::new(Code::OutOfBounds, object.size_bytes()));
        }
        if let Err(Failure { code, value, .. }) = expected {
            return self.call_refused(Name::Create, &operands, code, value);
        }
        let in_flight = operands[2..].to_vec();
        self.allocate_as(Name::Create, &operands, &in_flight, object);
    }

    /// A build program: a push, leaves and empty objects, and an object of what is on top.
    pub(super) fn build(&mut self) {
        if !self.may(Name::Build) {
            return self.create();
        }
        let objects = self.choices.below(3);
        let mut program = Vec::new();
        let mut made = Vec::new();
        // First, as it may be nobody's, and a leaf may need a collection.
        let pushed = if self.choices.one_in(2) { Some(self.any_reference()) } else { None };
        program.extend(pushed.iter().flat_map(|&reference| [2, reference]));
        for _ in 0..objects {
            if self.choices.one_in(3) {
                let (layout, length, bytes, tracing) = self.described();
                program.extend([layout << 8 | 4, length]);
                made.push(Self::object(bytes, 8, tracing));
                continue;
            }
            let bytes = self.choices.below(40);
            program.push(bytes << 8);
            let mut object = Self::object(u64::from(bytes), 8, Tracing::Leaf);
            for word in 0..bytes.div_ceil(4) as usize {
                object.words[word] = self.scalar();
                program.push(object.words[word]);
            }
            made.push(object);
        }
        // As many operations as need a slot of the stack, and one of the scope.
        let mut needed = objects * (1 + u32::from(!self.graph.scopes.is_empty()));
        needed += u32::from(pushed.is_some());
        let hostile = self.choices.one_in(6);
        if hostile {
            let words = [4, 255, 0x1_0002, 0xffff_ff00, 0x63_01, 0xffff_ff03, 5, u32::MAX];
            program.push(self.choices.of(&words));
            // Behind most of them it does not matter.
            if self.choices.one_in(2) && program.last() != Some(&4) {
                program.push(0);
            }
        }
        let depth = self.graph.roots.len() as u32;
        let wrong = pushed.is_some_and(|reference| self.expect_null_or_object(reference).is_err());
        let in_flight = pushed.as_slice().to_vec();
        let answer = self.call(Name::Build, &program, if wrong { &[] } else { &in_flight });
        match &answer {
            Ok(top) => {
                assert!(!hostile && !wrong && needed <= self.free_slots(), "{program:x?}");
                assert_eq!(top[0], depth + objects + u32::from(pushed.is_some()));
            }
            Err(failure) => {
                let is_right = match failure.code {
                    Code::InvalidRef => wrong,
                    Code::InvalidInstruction | Code::NoSuchRoot | Code::InvalidLayout => hostile,
                    Code::RootStackFull => needed > self.free_slots(),
                    code => code == Code::OutOfMemory,
                };
                assert!(is_right, "{program:x?}: {failure}");
            }
        }
        // What came before the failing instruction stands: it is found on the stack.
        let top = self.call(Name::Depth, &[], &[]).map_or(depth, |top| top[0]);
        let mut index = depth;
        if let Some(reference) = pushed
            && index < top
        {
            assert_eq!(self.call(Name::Root, &[index], &[]), Ok(vec![reference]));
            self.graph.roots.push(reference);
            index += 1;
        }
        for (index, object) in (index..top).zip(made) {
            let address = self.call(Name::Root, &[index], &[]).unwrap()[0];
            self.graph.roots.push(address);
            self.add(address, object);
        }
        self.build_object();
    }

    /// An object of what is on top of the stack.
    fn build_object(&mut self) {
        if self.layouts.is_empty() {
            return;
        }
        let choice = self.choices.below(self.layouts.len() as u32) as usize;
        let Layout { number, pattern } = self.layouts[choice].clone();
        let length = if pattern.element.is_empty() { 0 } else { self.choices.below(4) };
        let tracing = Tracing::Precise(pattern.clone());
        let mut object = Self::object(pattern.bytes(length), 8, tracing);
        let words = (pattern.bytes(length) / 4) as usize;
        let references = (0..words).filter(|&word| pattern.is_reference(word)).count();
        let Some(first) = self.graph.roots.len().checked_sub(references) else { return };
        let slots = u32::from(!self.graph.scopes.is_empty()) + u32::from(references == 0);
        let mut program = vec![number << 8 | 1, length];
        let mut root = first;
        for index in 0..words {
            object.words[index] = if pattern.is_reference(index) {
                root += 1;
                self.graph.roots[root - 1]
            } else {
                program.push(self.scalar());
                program[program.len() - 1]
            };
        }
        let full = self.stack_full(slots);
        match self.call(Name::Build, &program, &[]) {
            Ok(top) => {
                assert_eq!((full, top[0] as usize), (None, first + 1));
                self.graph.roots.truncate(first);
                let address = self.call(Name::Root, &[first as u32], &[]).unwrap()[0];
                self.graph.roots.push(address);
                self.add(address, object);
            }
            Err(failure) => assert!(
                full == Some(failure) || (full.is_none() && failure.code == Code::OutOfMemory),
                "{program:x?}: {failure}"
            ),
        }
    }

    /// Sizes and layouts that cannot be.
    pub(super) fn sizes(&mut self) {
        let Some(wide) = self.layouts.get(4).map(|layout| layout.number) else { return };
        let (layout, length, code) = self.choices.of(&[
            (LEAF, u32::MAX, Code::OutOfMemory),
            (LEAF, 0x7fff_0001, Code::OutOfMemory),
            (CONSERVATIVE, u32::MAX - 7, Code::OutOfMemory),
            (wide, u32::MAX, Code::OutOfMemory),
            (wide, 0x5555_5556, Code::OutOfMemory),
            (wide, 0xaaaa_aaaa, Code::OutOfMemory),
            (self.layouts[0].number, 1, Code::InvalidLayout),
            (u32::MAX, 0, Code::InvalidLayout),
            (0xff_ffff, 1, Code::InvalidLayout),
        ]);
        let value = match code {
            Code::InvalidLayout => layout,
            _ if layout == wide => u32::try_from(u64::from(length) * 12).unwrap_or(u32::MAX),
            _ => length,
        };
        self.call_refused(Name::Allocate, &[layout, length], code, value);
        if self.may(Name::AllocateSmall) {
            let granules = self.choices.of(&[0, 9, 0x2000_0001, u32::MAX]);
            let name = Name::AllocateSmall;
            self.call_refused(name, &[granules, 1], Code::InvalidLayout, granules);
        }
        if self.may(Name::AllocateAligned) {
            let alignment = self.choices.of(&[0, 3, 8_192, u32::MAX, 1 << 31]);
            let words = [LEAF, 8, alignment];
            self.call_refused(Name::AllocateAligned, &words, Code::OutOfBounds, 4_096);
        }
        let words = self.choices.of(&[0, 65, u32::MAX]);
        let layout = [words, u32::MAX, u32::MAX, 0, 0, 0];
        self.call_refused(Name::DefineLayout, &layout, Code::InvalidLayout, words);
    }

    pub(super) fn define(&mut self, fixed: u32, bits: u64, element: u32, element_bits: u64) {
        let halves = |bits: u64| [bits as u32, (bits >> 32) as u32];
        let ([low, high], [element_low, element_high]) = (halves(bits), halves(element_bits));
        let words = [fixed, low, high, element, element_low, element_high];
        let answer = self.call(Name::DefineLayout, &words, &[]);
        let pattern = Pattern {
            fixed: Pattern::words(fixed, bits),
            element: Pattern::words(element, element_bits),
        };
        match answer {
            Ok(number) => {
                let known = self.layouts.iter().find(|layout| layout.number == number[0]);
                let same = self.layouts.iter().find(|layout| *layout.pattern == pattern);
                assert_eq!(known.map(|layout| layout.number), same.map(|layout| layout.number));
                if known.is_none() {
                    self.layouts.push(Layout { number: number[0], pattern: Rc::new(pattern) });
                }
            }
            Err(failure) => assert_eq!(failure.code, Code::OutOfMemory, "{words:x?}"),
        }
    }

    pub(super) fn define_layout(&mut self) {
        let most = if self.choices.one_in(4) { 64 } else { 5 };
        let (fixed, element) = (1 + self.choices.below(most), self.choices.below(most));
        let mut bits = || u64::from(self.choices.word()) | u64::from(self.choices.word()) << 32;
        let (bits, element_bits) = (bits(), bits());
        if self.layouts.len() < 40 {
            self.define(fixed, bits, element, element_bits);
        }
    }
}
