//! A stand-in for the collector and the host, for native tests. It is as strict
//! as it is slow:
//!
//! 1. It collects at every operation that may collect, and an address is never
//!    used twice. So the use of a reference that no root kept alive is an error.
//! 2. It panics if a decimal is used after it was dropped, or is dropped twice.
//! 3. It can fail at any one of the collector's operations that can fail.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use std::format;

use crate::imports::*;

const LAYOUT_LEAF: Layout = 0;
const LAYOUTS_DEFINED: Layout = 2;

/// Decimals are held in millionths.
const DIGITS_AFTER_POINT: usize = 6;

/// The conditions that a test may set.
#[derive(Clone, Copy)]
pub struct Conditions {
    /// The size of the chunks in which the document is given.
    pub chunk_bytes: usize,
    /// Which of the collector's operations fails, counted from 0.
    pub fail_at: Option<u32>,
    /// Which of the host's batches of texts is refused, counted from 0.
    pub refuse_at: Option<u32>,
    /// Collect at every so many operations that may collect.
    pub collect_every: u32,
}

impl Default for Conditions {
    fn default() -> Self {
        Conditions { chunk_bytes: 64 * 1024, fail_at: None, refuse_at: None, collect_every: 1 }
    }
}

/// The stand-in.
pub struct Fake {
    conditions: Conditions,
    operations: Cell<u32>,
    parses: Cell<u32>,
    safepoints: Cell<u32>,
    document: Vec<u8>,
    document_read: Cell<usize>,
    decimals: RefCell<Decimals>,
    heap: RefCell<Heap>,
}

#[derive(Default)]
struct Decimals {
    /// None for a decimal that was dropped.
    values: Vec<Option<i128>>,
}

impl Decimals {
    fn get(&self, decimal: Decimal) -> i128 {
        self.values[decimal as usize].expect("a decimal is used after it was dropped")
    }

    fn add(&mut self, value: i128) -> Decimal {
        self.values.push(Some(value));
        self.values.len() as Decimal - 1
    }
}

struct Object {
    layout: Layout,
    words: Vec<u32>,
}

#[derive(Default)]
struct Heap {
    layouts: Vec<(Words, Words)>,
    objects: BTreeMap<Reference, Object>,
    last_address: Reference,
    roots: Vec<Reference>,
    roots_capacity: usize,
    roots_peak: usize,
    scopes: Vec<Vec<Reference>>,
    wrap_limit: usize,
    wrappers: BTreeMap<Reference, u32>,
    registered: u64,
    dead: Vec<u32>,
    closed: bool,
}

impl Heap {
    fn live(&self, object: Reference) -> Result<&Object, Error> {
        self.objects.get(&object).ok_or(error(ErrorCode::InvalidRef, object))
    }

    fn is_reference_slot(&self, layout: Layout, index: usize) -> bool {
        if layout == LAYOUT_LEAF {
            return false;
        }
        let (fixed, element) = &self.layouts[(layout - LAYOUTS_DEFINED) as usize];
        let (words, bit) = match index.checked_sub(fixed.count as usize) {
            None => (fixed, index),
            Some(index) => (element, index % element.count.max(1) as usize),
        };
        words.references >> bit & 1 == 1
    }

    fn add(&mut self, layout: Layout, mut words: Vec<u32>) -> Reference {
        const GRANULE_WORDS: usize = 2;
        words.resize(words.len().next_multiple_of(GRANULE_WORDS), 0);
        self.last_address += 8;
        self.objects.insert(self.last_address, Object { layout, words });
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(self.last_address);
        }
        self.last_address
    }

    fn push(&mut self, object: Reference) -> Result<(), Error> {
        if self.roots.len() >= self.roots_capacity {
            return Err(error(ErrorCode::RootStackFull, self.roots_capacity as u32));
        }
        self.roots.push(object);
        self.roots_peak = self.roots_peak.max(self.roots.len());
        Ok(())
    }

    fn collect(&mut self, in_flight: &[Reference]) {
        let mut waiting: Vec<Reference> = self.roots.clone();
        waiting.extend(self.scopes.iter().flatten());
        waiting.extend(in_flight);
        let mut marked = BTreeMap::new();
        while let Some(object) = waiting.pop() {
            if let Some((address, object)) = self.objects.remove_entry(&object) {
                let references = object.words.iter().enumerate();
                let references =
                    references.filter(|(index, _)| self.is_reference_slot(object.layout, *index));
                waiting.extend(references.map(|(_, &word)| word));
                marked.insert(address, object);
            }
        }
        self.objects = marked;
        let wrappers = core::mem::take(&mut self.wrappers);
        for (wrapper, handle) in wrappers {
            if self.objects.contains_key(&wrapper) {
                self.wrappers.insert(wrapper, handle);
            } else {
                self.dead.push(handle);
            }
        }
    }

    /// Registers all or none, and collects first if there is no room.
    fn register(&mut self, registrations: &[(Reference, u32)]) -> Result<(), Error> {
        let in_flight: Vec<Reference> = registrations.iter().map(|entry| entry.0).collect();
        for &object in &in_flight {
            self.live(object)?;
        }
        if self.wrappers.len() + registrations.len() > self.wrap_limit {
            self.collect(&in_flight);
        }
        if self.wrappers.len() + registrations.len() > self.wrap_limit {
            return Err(error(ErrorCode::WrapTableFull, self.wrap_limit as u32));
        }
        for &(wrapper, handle) in registrations {
            let before = self.wrappers.insert(wrapper, handle);
            assert_eq!(before, None, "a wrapper is registered twice");
            self.registered += 1;
        }
        Ok(())
    }

    /// Runs one instruction; gives the index of the next.
    fn instruction(&mut self, program: &[u32], at: usize) -> Result<usize, Error> {
        let (opcode, operand) = (program[at] & 0xFF, program[at] >> 8);
        match opcode {
            0 => {
                let end = at + 1 + (operand as usize).div_ceil(4);
                let object = self.add(LAYOUT_LEAF, program[at + 1..end].to_vec());
                self.push(object)?;
                Ok(end)
            }
            1 => {
                let (fixed, element) = self
                    .layouts
                    .get((operand - LAYOUTS_DEFINED) as usize)
                    .ok_or(error(ErrorCode::InvalidLayout, operand))?;
                let words =
                    fixed.count as usize + element.count as usize * program[at + 1] as usize;
                let references =
                    (0..words).filter(|&index| self.is_reference_slot(operand, index)).count();
                if references > self.roots.len() {
                    return Err(error(ErrorCode::NoSuchRoot, references as u32));
                }
                let mut popped = self.roots.split_off(self.roots.len() - references).into_iter();
                let mut next = at + 2;
                let mut content = vec![];
                for index in 0..words {
                    if self.is_reference_slot(operand, index) {
                        content.push(popped.next().unwrap());
                    } else {
                        content.push(program[next]);
                        next += 1;
                    }
                }
                let object = self.add(operand, content);
                self.push(object)?;
                Ok(next)
            }
            2 => {
                self.live(program[at + 1])?;
                self.push(program[at + 1])?;
                Ok(at + 2)
            }
            _ => Err(error(ErrorCode::InvalidInstruction, program[at])),
        }
    }
}

impl Fake {
    /// A host with this document.
    pub fn new(document: &[u8], conditions: Conditions) -> Fake {
        Fake {
            conditions,
            operations: Cell::new(0),
            parses: Cell::new(0),
            safepoints: Cell::new(0),
            document: document.to_vec(),
            document_read: Cell::new(0),
            decimals: RefCell::default(),
            heap: RefCell::default(),
        }
    }

    /// How many of the collector's operations were called that can fail.
    pub fn operations(&self) -> u32 {
        self.operations.get()
    }

    /// How many objects were made.
    pub fn objects_made(&self) -> u32 {
        const ADDRESSES_EACH: u32 = 8;
        self.heap.borrow().last_address / ADDRESSES_EACH
    }

    /// The most roots there were on the shadow stack.
    pub fn roots_peak(&self) -> usize {
        self.heap.borrow().roots_peak
    }

    /// How many decimals the host made.
    pub fn decimals_made(&self) -> usize {
        self.decimals.borrow().values.len()
    }

    /// How many decimals are not dropped.
    pub fn decimals_left(&self) -> usize {
        self.decimals.borrow().values.iter().flatten().count()
    }

    /// Counts an operation, and fails it if it is the one to fail.
    fn operation(&self) -> Result<(), Error> {
        let number = self.operations.replace(self.operations.get() + 1);
        if self.heap.borrow().closed {
            return Err(error(ErrorCode::Closed, 0));
        }
        if self.conditions.fail_at == Some(number) {
            return Err(error(ErrorCode::OutOfMemory, 8));
        }
        Ok(())
    }

    /// A point in an operation where a collection may run.
    fn safepoint(&self, heap: &mut Heap, in_flight: &[Reference]) {
        let number = self.safepoints.replace(self.safepoints.get() + 1);
        if number.is_multiple_of(self.conditions.collect_every) {
            heap.collect(in_flight);
        }
    }
}

impl Imports for Fake {
    fn document_read(&self, max: u32) -> Vec<u8> {
        let rest = &self.document[self.document_read.get()..];
        let count = rest.len().min(max as usize).min(self.conditions.chunk_bytes);
        self.document_read.set(self.document_read.get() + count);
        rest[..count].to_vec()
    }

    fn decimals_parse_many(&self, texts: &[u8], ends: &[u32]) -> Result<Vec<Decimal>, Refused> {
        if self.conditions.refuse_at == Some(self.parses.replace(self.parses.get() + 1)) {
            return Err(Refused { index: ends.len() as u32 - 1 });
        }
        let mut decimals = self.decimals.borrow_mut();
        let mut begin = 0;
        Ok(ends
            .iter()
            .map(|&end| {
                let text = core::str::from_utf8(&texts[begin..end as usize]).unwrap();
                begin = end as usize;
                decimals.add(parse_decimal(text))
            })
            .collect())
    }

    fn decimals_running_sums(&self, start: Decimal, addends: &[Decimal]) -> Vec<Decimal> {
        let mut decimals = self.decimals.borrow_mut();
        let mut sum = decimals.get(start);
        addends
            .iter()
            .map(|&addend| {
                sum += decimals.get(addend);
                decimals.add(sum)
            })
            .collect()
    }

    fn decimals_to_text(&self, value: Decimal) -> String {
        let value = self.decimals.borrow().get(value);
        let scale = 10i128.pow(DIGITS_AFTER_POINT as u32);
        let sign = if value < 0 { "-" } else { "" };
        let (whole, rest) = (value.abs() / scale, value.abs() % scale);
        let text = format!("{sign}{whole}.{rest:0DIGITS_AFTER_POINT$}");
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    }

    fn decimals_drop_many(&self, values: &[Decimal]) {
        for &value in values {
            let value = &mut self.decimals.borrow_mut().values[value as usize];
            value.take().expect("a decimal is dropped twice");
        }
    }

    fn heap_configure(&self, options: Options) -> Result<(), Error> {
        self.operation()?;
        let mut heap = self.heap.borrow_mut();
        heap.roots_capacity = options.root_capacity as usize;
        heap.wrap_limit = match (options.wrap_limit, options.wrap_capacity) {
            (0, 0) => 4096,
            (0, capacity) => capacity as usize,
            (limit, _) => limit as usize,
        };
        Ok(())
    }

    fn heap_define_layout(&self, fixed: Words, element: Words) -> Result<Layout, Error> {
        self.operation()?;
        let mut heap = self.heap.borrow_mut();
        heap.layouts.push((fixed, element));
        Ok(LAYOUTS_DEFINED + heap.layouts.len() as Layout - 1)
    }

    fn heap_build(&self, program: &[u32]) -> Result<u32, BuildError> {
        let mut heap = self.heap.borrow_mut();
        let mut at = 0;
        while at < program.len() {
            self.safepoint(&mut heap, &[]);
            at = heap
                .instruction(program, at)
                .map_err(|reason| BuildError { at: at as u32, reason })?;
        }
        drop(heap);
        self.operation().map_err(|reason| BuildError { at: at as u32, reason })?;
        Ok(self.heap.borrow().roots.len() as u32)
    }

    fn heap_read_objects(&self, objects: &[Reference], max_words: u32) -> Result<Vec<u32>, Error> {
        self.operation()?;
        let heap = self.heap.borrow();
        let mut answer = vec![];
        for &object in objects {
            let words = &heap.live(object)?.words;
            if !answer.is_empty() && answer.len() + 1 + words.len() > max_words as usize {
                break;
            }
            answer.push(words.len() as u32 * 4);
            answer.extend(words);
        }
        Ok(answer)
    }

    fn heap_write_many(&self, stores: &[Store]) -> Result<(), Error> {
        self.operation()?;
        let mut heap = self.heap.borrow_mut();
        for store in stores {
            let layout = heap.live(store.object)?.layout;
            if heap.is_reference_slot(layout, store.index as usize) {
                heap.live(store.value)?;
            }
            let object = heap.objects.get_mut(&store.object).unwrap();
            object.words[store.index as usize] = store.value;
        }
        Ok(())
    }

    fn roots_push(&self, object: Reference) -> Result<(), Error> {
        self.operation()?;
        let mut heap = self.heap.borrow_mut();
        heap.live(object)?;
        heap.push(object)
    }

    fn roots_truncate(&self, depth: u32) -> Result<(), Error> {
        self.operation()?;
        self.heap.borrow_mut().roots.truncate(depth as usize);
        Ok(())
    }

    fn roots_get(&self, index: u32) -> Result<Reference, Error> {
        self.operation()?;
        let root = self.heap.borrow().roots.get(index as usize).copied();
        root.ok_or(error(ErrorCode::NoSuchRoot, index))
    }

    fn roots_set(&self, index: u32, object: Reference) -> Result<(), Error> {
        self.operation()?;
        let mut heap = self.heap.borrow_mut();
        heap.live(object)?;
        let slot = heap.roots.get_mut(index as usize);
        *slot.ok_or(error(ErrorCode::NoSuchRoot, index))? = object;
        Ok(())
    }

    fn roots_enter_scope(&self) -> Result<(), Error> {
        self.operation()?;
        self.heap.borrow_mut().scopes.push(vec![]);
        Ok(())
    }

    fn roots_leave_scope(&self, _keep: Reference) -> Result<(), Error> {
        self.operation()?;
        let scope = self.heap.borrow_mut().scopes.pop();
        scope.map(drop).ok_or(error(ErrorCode::NoScope, 0))
    }

    fn wrappers_register_many(&self, registrations: &[Registration]) -> Result<(), Error> {
        self.operation()?;
        let entries: Vec<(Reference, u32)> = registrations
            .iter()
            .map(|registration| (registration.wrapper, registration.handle))
            .collect();
        let in_flight: Vec<Reference> = entries.iter().map(|entry| entry.0).collect();
        let mut heap = self.heap.borrow_mut();
        self.safepoint(&mut heap, &in_flight);
        heap.register(&entries)
    }

    fn wrappers_wrap_many(
        &self,
        kind: u32,
        handles: &[u32],
        _weight_bytes: u32,
    ) -> Result<Vec<Reference>, Error> {
        self.operation()?;
        let mut heap = self.heap.borrow_mut();
        self.safepoint(&mut heap, &[]);
        let entries: Vec<(Reference, u32)> = handles
            .iter()
            .map(|&handle| (heap.add(LAYOUT_LEAF, vec![kind, handle]), handle))
            .collect();
        heap.register(&entries)?;
        Ok(entries.into_iter().map(|entry| entry.0).collect())
    }

    fn wrappers_drain(&self, max: u32) -> Vec<DeadHandle> {
        let mut heap = self.heap.borrow_mut();
        let count = heap.dead.len().min(max as usize);
        heap.dead.drain(..count).map(|handle| DeadHandle { kind: 1, handle }).collect()
    }

    fn wrappers_close(&self) -> Result<u32, Error> {
        let mut heap = self.heap.borrow_mut();
        let wrappers = core::mem::take(&mut heap.wrappers);
        heap.dead.extend(wrappers.into_values());
        heap.closed = true;
        Ok(heap.dead.len() as u32)
    }

    fn diagnostics_read_statistics(&self) -> Statistics {
        let heap = self.heap.borrow();
        Statistics {
            collections: 0,
            collections_for_handles: 0,
            heap_bytes: 0,
            heap_peak_bytes: 0,
            live_bytes: 0,
            allocated_bytes: 0,
            wrappers_registered: heap.registered,
            handles_released: 0,
            wrappers_live: heap.wrappers.len() as u32,
            unreleased_peak: 0,
            wrap_table_capacity: heap.wrap_limit as u32,
            wrap_table_peak: 0,
            roots: heap.roots.len() as u32,
            roots_peak: heap.roots_peak as u32,
            external_bytes: 0,
            pause_longest_ns: 0,
            pause_total_ns: 0,
        }
    }
}

fn error(code: ErrorCode, value: u32) -> Error {
    Error { code, value }
}

fn parse_decimal(text: &str) -> i128 {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => (-1, mantissa),
        None => (1, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().unwrap();
    let power = exponent + DIGITS_AFTER_POINT as i32 - fraction.len() as i32;
    let digits: i128 = format!("{whole}{fraction}").parse().unwrap();
    sign * digits * 10i128.pow(power as u32)
}
