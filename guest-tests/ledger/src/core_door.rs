//! The ledger's imports through the core door: the collector is in the same module,
//! and its objects are memory.
//!
//! `heap.build`, one call of the component door, is a loop here that does what a compiler
//! would emit: it bumps the cursor, writes metadata and words with plain stores, and
//! pushes and pops on the shadow stack. It calls the collector only if the window has no
//! room or an object is large. Reading is a copy of words.
//!
//! 1. This module gets only references that it gave out. Each names an object that is
//!    live by the ledger's own rules (`tree`, `sum`), so loads and stores through it stay
//!    inside that object.
//! 2. `link` puts a constant in the place of the call that gives the state's address.
//! 3. A scope is a part of the shadow stack here: this module remembers its beginning, and
//!    pushes the objects that `wrap_many` makes in it. In a scope of the collector's own
//!    every allocation would have to call the collector.
//! 4. `*_many` do all or nothing, as their component forms do: registrations before a
//!    failure are taken back, and their handles do not reach `drain`.

#![expect(
    unsafe_code,
    reason = "the collector's functions are imported, and its objects are plain memory"
)]

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ptr;

use crate::imports::{
    BuildError, Component, DeadHandle, Decimal, Error, ErrorCode, Imports, Layout, NULL, Options,
    Reference, Refused, Registration, Statistics, Store, Words,
};
use crate::tree::{Header, OPCODE_LEAF, OPCODE_OBJECT, OPCODE_PUSH, Tag};

mod abi {
    //! `tether_gc.h`, as far as it is used here.

    #[repr(C)]
    pub struct State {
        pub cursor: u32,
        pub limit: u32,
        pub colour: u32,
        pub stack_top: u32,
        pub stack_limit: u32,
        pub stack_base: u32,
        pub last_error: u32,
        pub last_error_value: u32,
    }

    #[repr(C)]
    #[derive(Default)]
    pub struct Options {
        pub heap_limit_bytes: u32,
        pub root_capacity: u32,
        pub stack_base: u32,
        pub wrap_capacity: u32,
        pub wrap_limit: u32,
        pub handle_floor: u32,
        pub weight_floor_bytes: u32,
        pub sizing: u32,
        pub sizing_value: u32,
        pub stress: u32,
        pub interior_pointers: u32,
    }

    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    pub struct Handle {
        pub kind: u32,
        pub handle: u32,
    }

    #[repr(C)]
    #[derive(Default)]
    pub struct Statistics {
        pub collections: u32,
        pub collections_for_handles: u32,
        pub heap_bytes: u32,
        pub heap_peak_bytes: u32,
        pub live_bytes: u64,
        pub allocated_bytes: u64,
        pub wrappers_registered: u64,
        pub handles_released: u64,
        pub wrappers_live: u32,
        pub unreleased_peak: u32,
        pub wrap_table_capacity: u32,
        pub wrap_table_peak: u32,
        pub roots: u32,
        pub roots_peak: u32,
        pub external_bytes: u64,
    }

    #[link(wasm_import_module = "tether_gc")]
    unsafe extern "C" {
        /// `link` supplies this function, and puts a constant in the place of its calls.
        pub safe fn tether_state() -> *mut State;
        pub fn tether_start(options: *const Options) -> u32;
        pub safe fn tether_close() -> u32;
        pub safe fn tether_define_layout(
            fixed_words: u32,
            fixed_references: u64,
            element_words: u32,
            element_references: u64,
        ) -> u32;
        pub safe fn tether_allocate(layout: u32, length: u32) -> u32;
        pub safe fn tether_allocate_leaf(size_bytes: u32) -> u32;
        pub safe fn tether_allocate_small(granules: u32, template: u64) -> u32;
        pub safe fn tether_push(object: u32) -> u32;
        pub safe fn tether_truncate(depth: u32) -> u32;
        pub safe fn tether_register(wrapper: u32, kind: u32, handle: u32, weight: u32) -> u32;
        pub safe fn tether_wrap(kind: u32, handle: u32, weight_bytes: u32) -> u32;
        pub safe fn tether_dispose(wrapper: u32) -> u32;
        pub fn tether_drain(into: *mut Handle, max: u32) -> u32;
        pub fn tether_read_statistics(into: *mut Statistics) -> u32;
    }
}

const WORD_BYTES: u32 = 4;
const GRANULE_BYTES: u32 = 8;

/// Objects up to this size are allocated here; larger ones by the collector.
const INLINE_MAX_GRANULES: u32 = 8;

/// How many dead handles are taken at a time.
const DRAIN_MAX: u32 = 1024;

/// The words of a layout's objects: scalars, then references. If the layout has elements,
/// one reference for each element follows. All layouts of the ledger have this form.
#[derive(Clone, Copy)]
struct Shape {
    layout: Layout,
    scalars: u32,
    references: u32,
    element_references: u32,
}

/// The imports of a ledger that is linked with the collector.
#[derive(Default)]
pub struct CoreDoor {
    shapes: RefCell<Vec<Shape>>,
    /// How many roots there were when each open scope began.
    scopes: RefCell<Vec<u32>>,
    /// Handles that were drained before `drain` was asked for them.
    drained: RefCell<Vec<DeadHandle>>,
}

// ---- Memory ----

fn load(address: u32) -> u32 {
    // SAFETY: invariant 1: a word of an object or of the shadow stack.
    unsafe { ptr::read(address as *const u32) }
}

fn store(address: u32, word: u32) {
    // SAFETY: invariant 1: a word of an object or of the shadow stack.
    unsafe { ptr::write(address as *mut u32, word) }
}

fn store_all(address: u32, words: &[u32]) {
    // SAFETY: invariant 1: the object at `address` was made for that many words; the
    // program that they come from is in the guest's own memory.
    unsafe { ptr::copy_nonoverlapping(words.as_ptr(), address as *mut u32, words.len()) }
}

fn load_all(address: u32, count: u32, into: &mut Vec<u32>) {
    // SAFETY: invariant 1: the object at `address` has that many words, and nothing
    // writes to it while they are copied.
    into.extend_from_slice(unsafe {
        core::slice::from_raw_parts(address as *const u32, count as usize)
    });
}

fn move_words(from: u32, to: u32, count: u32) {
    // SAFETY: invariant 1: from slots of the shadow stack to words of an object.
    unsafe { ptr::copy_nonoverlapping(from as *const u32, to as *mut u32, count as usize) }
}

// ---- The collector's state ----

macro_rules! state {
    ($field:ident) => {
        // SAFETY: the state's words are there for compiled code to read; no thread
        // and no reference shares them.
        unsafe { (*abi::tether_state()).$field }
    };
    ($field:ident = $value:expr) => {{
        let value = $value;
        // SAFETY: no thread and no reference shares the state's words; the contract allows
        // the value.
        unsafe { (*abi::tether_state()).$field = value }
    }};
}

fn last_error() -> Error {
    // A code that WIT does not have is taken for its last one.
    let code = state!(last_error).saturating_sub(1).min(ErrorCode::Closed as u32) as u8;
    // SAFETY: WIT's codes, from 0 to `Closed`, are the core door's less one.
    let code = unsafe { ErrorCode::_lift(code) };
    Error { code, value: state!(last_error_value) }
}

/// The result for a code: the last error for any code but 0.
fn checked(code: u32) -> Result<(), Error> {
    if code == 0 { Ok(()) } else { Err(last_error()) }
}

/// The result for an address or a number: the last error for 0.
fn given(value: u32) -> Result<u32, Error> {
    if value == 0 { Err(last_error()) } else { Ok(value) }
}

// ---- Allocation and roots, inline ----

/// The metadata of an object of up to eight granules, a byte for each.
fn template(granules: u32, references: u32) -> u64 {
    const END: u64 = 4;
    const HAS_REFERENCES: u64 = 0x20;
    const LAST_REFERENCES: u64 = 0x40;
    const REFERENCES_SHIFT: u32 = 3;
    let last = granules - 1;
    let mut bytes = END << (8 * last);
    for granule in 0..granules {
        let of_granule = u64::from(references >> (2 * granule) & 3);
        bytes |= of_granule << (8 * granule + REFERENCES_SHIFT);
    }
    let Some(word) = references.checked_ilog2() else { return bytes };
    let last_references = word / 2;
    if last_references < last {
        bytes |= LAST_REFERENCES << (8 * last_references);
    }
    if last_references > 0 || last == 0 {
        bytes |= HAS_REFERENCES;
    }
    bytes
}

/// An object of up to eight granules.
#[inline(always)]
fn allocate_small(granules: u32, template: u64) -> Result<Reference, Error> {
    let object = state!(cursor);
    let size_bytes = granules * GRANULE_BYTES;
    if size_bytes > state!(limit).wrapping_sub(object) {
        return given(abi::tether_allocate_small(granules, template));
    }
    state!(cursor = object + size_bytes);
    write_metadata(object, granules, template | u64::from(state!(colour)));
    Ok(object)
}

/// Writes a metadata byte for each granule of a new object.
#[inline(always)]
fn write_metadata(object: Reference, granules: u32, mut bytes: u64) {
    let mut at = (object & 0xFFFF_0000 | (object & 0xFFFF) >> 3) as *mut u8;
    // SAFETY: the contract of the words that `cursor` and `limit` are: the bytes for the
    // granules in between are free, and ours to write. They need not be aligned.
    unsafe {
        if granules & 8 != 0 {
            ptr::write_unaligned(at.cast::<u64>(), bytes);
        }
        if granules & 4 != 0 {
            ptr::write_unaligned(at.cast::<u32>(), bytes as u32);
            at = at.add(4);
            bytes >>= 32;
        }
        if granules & 2 != 0 {
            ptr::write_unaligned(at.cast::<u16>(), bytes as u16);
            at = at.add(2);
            bytes >>= 16;
        }
        if granules & 1 != 0 {
            ptr::write(at, bytes as u8);
        }
    }
}

#[inline(always)]
fn push(object: Reference) -> Result<(), Error> {
    let top = state!(stack_top);
    if top >= state!(stack_limit) {
        return checked(abi::tether_push(object));
    }
    store(top, object);
    state!(stack_top = top + WORD_BYTES);
    Ok(())
}

fn roots_count() -> u32 {
    (state!(stack_top) - state!(stack_base)) / WORD_BYTES
}

fn root_address(index: u32) -> Result<u32, Error> {
    if index < roots_count() {
        Ok(state!(stack_base) + index * WORD_BYTES)
    } else {
        Err(Error { code: ErrorCode::NoSuchRoot, value: index })
    }
}

// ---- Building ----

/// A leaf with these words, on the stack.
#[inline(always)]
fn build_leaf(size_bytes: u32, words: &[u32]) -> Result<(), Error> {
    let granules = size_bytes.div_ceil(GRANULE_BYTES);
    let leaf = if granules <= INLINE_MAX_GRANULES {
        allocate_small(granules, template(granules, 0))?
    } else {
        given(abi::tether_allocate_leaf(size_bytes))?
    };
    store_all(leaf, words);
    push(leaf)
}

/// An object with these scalars, on the stack, in the place of its references.
#[inline(always)]
fn build_object(
    layout: Layout,
    length: u32,
    scalars: &[u32],
    references: u32,
) -> Result<(), Error> {
    if references > roots_count() {
        return Err(Error { code: ErrorCode::NoSuchRoot, value: references });
    }
    let scalars_count = scalars.len() as u32;
    let granules = (scalars_count + references).div_ceil(2);
    // The children stay on the stack until they are in the object.
    let object = if granules <= INLINE_MAX_GRANULES {
        let slots = ((1 << references) - 1) << scalars_count;
        allocate_small(granules, template(granules, slots))?
    } else {
        given(abi::tether_allocate(layout, length))?
    };
    store_all(object, scalars);
    let first = state!(stack_top) - references * WORD_BYTES;
    move_words(first, object + scalars_count * WORD_BYTES, references);
    state!(stack_top = first);
    push(object)
}

/// How many words a node has: what its header says, in whole granules.
fn node_words(object: Reference) -> Result<u32, Error> {
    let Header { tag, length } = Header::of(load(object))?;
    let words = 1 + match tag {
        Tag::Array | Tag::Object | Tag::LongString | Tag::LongKey | Tag::Chunk => length,
        Tag::Kept => 2,
        _ => length.div_ceil(WORD_BYTES),
    };
    Ok(words.next_multiple_of(GRANULE_BYTES / WORD_BYTES))
}

impl CoreDoor {
    /// Runs one instruction of a program; gives how many words it has.
    #[inline(always)]
    fn step(&self, program: &[u32]) -> Result<usize, Error> {
        const OPERAND_SHIFT: u32 = 8;
        const OPCODE_MASK: u32 = 0xFF;
        let invalid = Error { code: ErrorCode::InvalidInstruction, value: program[0] };
        let operand = program[0] >> OPERAND_SHIFT;
        match program[0] & OPCODE_MASK {
            OPCODE_LEAF => {
                let words = 1 + operand.div_ceil(WORD_BYTES) as usize;
                build_leaf(operand, program.get(1..words).ok_or(invalid)?)?;
                Ok(words)
            }
            OPCODE_OBJECT => {
                let shapes = self.shapes.borrow();
                let shape = shapes.iter().find(|shape| shape.layout == operand);
                let shape = shape.ok_or(invalid)?;
                let length = *program.get(1).ok_or(invalid)?;
                let words = 2 + shape.scalars as usize;
                let references = shape.references + length * shape.element_references;
                build_object(operand, length, program.get(2..words).ok_or(invalid)?, references)?;
                Ok(words)
            }
            OPCODE_PUSH => {
                push(*program.get(1).ok_or(invalid)?)?;
                Ok(2)
            }
            _ => Err(invalid),
        }
    }

    /// Takes back the registrations of a failed `*_many`. Their handles go back to the caller.
    /// Other handles that are drained on the way wait for `drain`.
    fn take_back(&self, wrappers: &[Reference], handles: impl Iterator<Item = u32>) {
        for &wrapper in wrappers {
            abi::tether_dispose(wrapper);
        }
        let taken_back: BTreeSet<u32> = handles.take(wrappers.len()).collect();
        let mut drained = self.drained.borrow_mut();
        drain_into(&mut drained, u32::MAX);
        drained.retain(|dead| !taken_back.contains(&dead.handle));
    }
}

/// Takes dead handles out of the collector until `dead` has `max`, or none is left.
fn drain_into(dead: &mut Vec<DeadHandle>, max: u32) {
    let mut buffer = [abi::Handle::default(); DRAIN_MAX as usize];
    while (dead.len() as u32) < max {
        let room = (max - dead.len() as u32).min(DRAIN_MAX);
        // SAFETY: the buffer has room for `room` handles.
        let count = unsafe { abi::tether_drain(buffer.as_mut_ptr(), room) };
        let handles = &buffer[..(count as usize).min(buffer.len())];
        dead.extend(handles.iter().map(|dead| DeadHandle { kind: dead.kind, handle: dead.handle }));
        if count == 0 {
            return;
        }
    }
}

impl Imports for CoreDoor {
    fn document_read(&self, max: u32) -> Vec<u8> {
        Component.document_read(max)
    }

    fn decimals_parse_many(&self, texts: &[u8], ends: &[u32]) -> Result<Vec<Decimal>, Refused> {
        Component.decimals_parse_many(texts, ends)
    }

    fn decimals_running_sums(&self, start: Decimal, addends: &[Decimal]) -> Vec<Decimal> {
        Component.decimals_running_sums(start, addends)
    }

    fn decimals_to_text(&self, value: Decimal) -> String {
        Component.decimals_to_text(value)
    }

    fn decimals_drop_many(&self, values: &[Decimal]) {
        Component.decimals_drop_many(values);
    }

    fn heap_configure(&self, options: Options) -> Result<(), Error> {
        let options = abi::Options {
            heap_limit_bytes: options.heap_limit_bytes,
            root_capacity: options.root_capacity,
            wrap_capacity: options.wrap_capacity,
            wrap_limit: options.wrap_limit,
            handle_floor: options.handle_floor,
            weight_floor_bytes: options.weight_floor_bytes,
            stress: options.stress,
            ..abi::Options::default()
        };
        // SAFETY: the options are read while the call lasts.
        checked(unsafe { abi::tether_start(&options) })
    }

    fn heap_define_layout(&self, fixed: Words, element: Words) -> Result<Layout, Error> {
        let layout = given(abi::tether_define_layout(
            fixed.count,
            fixed.references,
            element.count,
            element.references,
        ))?;
        let references = fixed.references.count_ones();
        self.shapes.borrow_mut().push(Shape {
            layout,
            scalars: fixed.count - references,
            references,
            element_references: element.references.count_ones(),
        });
        Ok(layout)
    }

    fn heap_build(&self, program: &[u32]) -> Result<u32, BuildError> {
        let mut at = 0;
        while at < program.len() {
            // Objects that were built before a failure stay: the ledger then ends the heap.
            at +=
                self.step(&program[at..]).map_err(|reason| BuildError { at: at as u32, reason })?;
        }
        Ok(roots_count())
    }

    fn heap_read_objects(&self, objects: &[Reference], max_words: u32) -> Result<Vec<u32>, Error> {
        let mut words = Vec::new();
        for &object in objects {
            let count = node_words(object)?;
            if !words.is_empty() && words.len() as u32 + 1 + count > max_words {
                break;
            }
            words.push(count * WORD_BYTES);
            load_all(object, count, &mut words);
        }
        Ok(words)
    }

    fn heap_write_many(&self, stores: &[Store]) -> Result<(), Error> {
        for one in stores {
            store(one.object + one.index * WORD_BYTES, one.value);
        }
        Ok(())
    }

    fn roots_push(&self, object: Reference) -> Result<(), Error> {
        push(object)
    }

    fn roots_truncate(&self, depth: u32) -> Result<(), Error> {
        checked(abi::tether_truncate(depth))
    }

    fn roots_get(&self, index: u32) -> Result<Reference, Error> {
        root_address(index).map(load)
    }

    fn roots_set(&self, index: u32, object: Reference) -> Result<(), Error> {
        root_address(index).map(|address| store(address, object))
    }

    fn roots_enter_scope(&self) -> Result<(), Error> {
        self.scopes.borrow_mut().push(roots_count());
        Ok(())
    }

    fn roots_leave_scope(&self, keep: Reference) -> Result<(), Error> {
        let begin = self.scopes.borrow_mut().pop();
        let begin = begin.ok_or(Error { code: ErrorCode::NoScope, value: 0 })?;
        state!(stack_top = state!(stack_base) + begin * WORD_BYTES);
        if keep == NULL { Ok(()) } else { push(keep) }
    }

    fn wrappers_register_many(&self, registrations: &[Registration]) -> Result<(), Error> {
        for (done, one) in registrations.iter().enumerate() {
            let Registration { wrapper, kind, handle, weight_bytes } = *one;
            if let Err(error) = checked(abi::tether_register(wrapper, kind, handle, weight_bytes)) {
                let wrappers: Vec<Reference> =
                    registrations[..done].iter().map(|one| one.wrapper).collect();
                self.take_back(&wrappers, registrations.iter().map(|one| one.handle));
                return Err(error);
            }
        }
        Ok(())
    }

    fn wrappers_wrap_many(
        &self,
        kind: u32,
        handles: &[u32],
        weight_bytes: u32,
    ) -> Result<Vec<Reference>, Error> {
        let begin = roots_count();
        let mut wrappers = Vec::with_capacity(handles.len());
        for &handle in handles {
            let wrapped = given(abi::tether_wrap(kind, handle, weight_bytes));
            if let Ok(wrapper) = wrapped {
                wrappers.push(wrapper);
            }
            // The wrappers that are made already stay alive while the next is made.
            if let Err(error) = wrapped.and_then(push) {
                self.take_back(&wrappers, handles.iter().copied());
                return Err(error);
            }
        }
        if self.scopes.borrow().is_empty() {
            state!(stack_top = state!(stack_base) + begin * WORD_BYTES);
        }
        Ok(wrappers)
    }

    fn wrappers_drain(&self, max: u32) -> Vec<DeadHandle> {
        let mut dead = self.drained.take();
        if dead.len() > max as usize {
            *self.drained.borrow_mut() = dead.split_off(max as usize);
        }
        drain_into(&mut dead, max);
        dead
    }

    fn wrappers_close(&self) -> Result<u32, Error> {
        checked(abi::tether_close()).map(|()| 0)
    }

    fn diagnostics_read_statistics(&self) -> Statistics {
        let mut read = abi::Statistics::default();
        // SAFETY: `read` has room for the statistics.
        let _ = unsafe { abi::tether_read_statistics(&mut read) };
        Statistics {
            collections: read.collections,
            collections_for_handles: read.collections_for_handles,
            heap_bytes: read.heap_bytes,
            heap_peak_bytes: read.heap_peak_bytes,
            live_bytes: read.live_bytes as u32,
            allocated_bytes: read.allocated_bytes,
            wrappers_registered: read.wrappers_registered,
            handles_released: read.handles_released,
            wrappers_live: read.wrappers_live,
            unreleased_peak: read.unreleased_peak,
            wrap_table_capacity: read.wrap_table_capacity,
            wrap_table_peak: read.wrap_table_peak,
            roots: read.roots,
            roots_peak: read.roots_peak,
            external_bytes: read.external_bytes,
            pause_longest_ns: 0,
            pause_total_ns: 0,
        }
    }
}
