//! The subjects that are driven: the native collector here, and others in tests that have an engine
//! for them.

use std::cell::Cell;
use std::ops::Range;

use tether_gc::memory::Memory;
use tether_gc::memory::model::ModelMemory;
use tether_gc::{
    BuildError, Collection, Error, Handle, Heap, Observer, Options, Registration, Store, Words,
};

use crate::call::{Answer, Code, Failure, Name};

/// Words of the root range of every subject that has one.
pub const RANGE_WORDS: u32 = 16;

/// A collector, native or not.
pub trait Subject {
    /// Returns true if the subject has an operation.
    fn has(&self, name: Name) -> bool;

    /// Performs an operation. It must not trap: a trap fails the run.
    fn call(&mut self, name: Name, words: &[u32]) -> Answer;

    /// Returns how often the subject collected.
    fn collections(&mut self) -> u32;

    /// Returns the address of the subject's root range.
    fn range(&self) -> u32;

    /// Returns true if reads and writes are checked. The core door's program does them itself.
    fn checks_access(&self) -> bool {
        true
    }

    /// For a collector that pushes handles: takes the handles, by kind and number, that another
    /// collector gave at this point when it was asked for `most`. Returns those that this one has
    /// too; none if handles are drained here.
    fn take_pushed(&mut self, _given: &[u32], _most: u32) -> Option<Answer> {
        None
    }

    /// Has memory refuse some of its growths, by their numbers.
    fn refuse_growths(&mut self, which: Range<u64>);

    /// Returns how often memory grew or was asked to.
    fn growths(&mut self) -> u64;

    /// Returns how many growths were refused.
    fn refusals(&mut self) -> u64;
}

/// An observer that counts collections.
#[derive(Clone, Debug, Default)]
pub struct Count(Cell<u32>);

impl Observer for Count {
    fn ended(&mut self, _: Collection) {
        self.0.set(self.0.get() + 1);
    }
}

/// The native collector over model memory.
#[derive(Debug)]
pub struct Native {
    heap: Heap<ModelMemory, Count>,
    range: u32,
}

impl Native {
    /// Makes a collector over memory of at most `most_pages` pages. Before each growth somebody
    /// else takes `gap_pages`.
    ///
    /// Errors: as [`Heap::new`].
    pub fn new(options: Options, most_pages: u32, gap_pages: u32) -> Result<Native, Error> {
        Native::with_gaps(ModelMemory::with_limit(most_pages), options, gap_pages)
    }

    /// Makes a collector over a memory, with `gap_pages` that somebody else takes before each
    /// growth.
    ///
    /// Errors: as [`Native::over`].
    pub fn with_gaps(
        mut memory: ModelMemory,
        options: Options,
        gap_pages: u32,
    ) -> Result<Native, Error> {
        memory.set_gap_pages(gap_pages);
        Native::over(memory, options)
    }

    /// Makes a collector over a memory.
    ///
    /// Errors: as [`Heap::new`]; `OutOfMemory` also if memory has no page for the root range.
    pub fn over(mut memory: ModelMemory, options: Options) -> Result<Native, Error> {
        let range = memory.take_pages(1, 1).ok_or(Error::OutOfMemory { needed_bytes: 1 << 16 })?;
        Ok(Native { heap: Heap::with_observer(memory, options, Count::default())?, range })
    }

    /// Returns the collector itself.
    pub fn heap(&mut self) -> &mut Heap<ModelMemory, Count> {
        &mut self.heap
    }
}

impl Subject for Native {
    fn has(&self, _: Name) -> bool {
        true
    }

    fn call(&mut self, name: Name, words: &[u32]) -> Answer {
        let (name, words) = match inline::perform(&mut self.heap, name, words) {
            inline::Done::Here(answer) => return Ok(answer),
            inline::Done::ByCall(name) => (name, words),
        };
        perform(&mut self.heap, self.range, name, words)
    }

    fn collections(&mut self) -> u32 {
        self.heap.observer().0.get()
    }

    fn range(&self) -> u32 {
        self.range
    }

    fn refuse_growths(&mut self, which: Range<u64>) {
        self.heap.memory_mut().refuse_growths(which);
    }

    fn growths(&mut self) -> u64 {
        self.heap.memory().growths()
    }

    fn refusals(&mut self) -> u64 {
        self.heap.memory().refusals()
    }
}

/// What compiled code does, on the native collector. The heap adopts the window after each
/// operation, as a door does before the next one.
mod inline {
    use tether_gc::memory::Memory;

    use super::{Count, Heap, ModelMemory, Name};
    use crate::window::{self, Window};

    /// What became of an operation.
    pub enum Done {
        /// Compiled code has done it.
        Here(Vec<u32>),
        /// The call of this name must do it.
        ByCall(Name),
    }

    impl Window for Heap<ModelMemory, Count> {
        fn cursor(&self) -> u32 {
            self.window().cursor
        }

        fn limit(&self) -> u32 {
            self.window().limit
        }

        fn end(&self) -> u32 {
            self.window().end
        }

        fn colour(&self) -> u8 {
            self.window().colour
        }

        fn stack(&self) -> (u32, u32, u32) {
            let window = self.window();
            (window.stack_top, window.stack_limit, window.stack_base)
        }

        fn publish(&mut self, cursor: u32, end: u32, stack_top: u32) {
            self.adopt(cursor, end, stack_top).expect("the stack's top is in the stack");
        }

        fn load(&self, address: u32) -> u32 {
            self.memory().load_u32(address)
        }

        fn store(&mut self, address: u32, word: u32) {
            self.memory_mut().store_u32(address, word);
        }

        fn store_byte(&mut self, address: u32, byte: u8) {
            self.memory_mut().store_u8(address, byte);
        }
    }

    pub fn perform(heap: &mut Heap<ModelMemory, Count>, name: Name, words: &[u32]) -> Done {
        let one = |word: Option<u32>| word.map(|word| vec![word]);
        let (done, call) = match (name, words) {
            (Name::InlineSmall, &[granules, references]) => {
                (one(window::allocate_small(heap, granules, references)), Name::AllocateSmall)
            }
            (Name::InlineLeaf, &[bytes]) => {
                (one(window::allocate_leaf(heap, bytes)), Name::AllocateLeaf)
            }
            (Name::InlinePush, &[object]) => {
                (window::push(heap, object).then(Vec::new), Name::Push)
            }
            (Name::InlinePop, []) => (one(window::pop(heap)), Name::Pop),
            _ => (None, name),
        };
        done.map_or(Done::ByCall(call), Done::Here)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = Code::from_number(error.code());
        let code = code.unwrap_or_else(|| panic!("the model does not know the error {error:?}"));
        Failure::new(code, error.value())
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Failure { at: error.at, ..error.reason.into() }
    }
}

fn handles(drained: impl IntoIterator<Item = Handle>) -> Vec<u32> {
    drained.into_iter().flat_map(|dead| [dead.kind, dead.handle]).collect()
}

#[allow(clippy::too_many_lines, reason = "one line or two for each operation")]
fn perform(heap: &mut Heap<ModelMemory, Count>, range: u32, name: Name, words: &[u32]) -> Answer {
    let one = |word: u32| vec![word];
    let nothing = |()| Vec::new();
    let wide = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(match (name, words) {
        (Name::DefineLayout, &[fixed, low, high, element, element_low, element_high]) => {
            let fixed = Words::new(fixed, wide(low, high));
            one(heap.define_layout(fixed, Words::new(element, wide(element_low, element_high)))?)
        }
        (Name::Allocate, &[layout, length]) => one(heap.allocate(layout, length)?),
        (Name::AllocateLeaf, &[bytes]) => one(heap.allocate_leaf(bytes)?),
        (Name::AllocateSmall, &[granules, references]) => {
            one(heap.allocate_small(granules, u64::from(references))?)
        }
        (Name::AllocateAligned, &[layout, length, alignment]) => {
            one(heap.allocate_aligned(layout, length, alignment)?)
        }
        (Name::Create, [layout, length, words @ ..]) => one(heap.create(*layout, *length, words)?),
        (Name::Build, program) => one(heap.build(program)?),
        (Name::Get, &[object, index]) => one(heap.get(object, index)?),
        (Name::Set, &[object, index, value]) => nothing(heap.set(object, index, value)?),
        (Name::WriteWords, [object, index, words @ ..]) => {
            nothing(heap.write_words(*object, *index, words)?)
        }
        (Name::ReadBytes, &[object, offset, count]) => {
            let size_bytes = heap.size_of(object)?;
            if u64::from(offset) + u64::from(count) > u64::from(size_bytes) {
                return Err(Error::OutOfBounds { size_bytes }.into());
            }
            let mut bytes = vec![0; count as usize];
            heap.read_bytes(object, offset, &mut bytes)?;
            bytes.into_iter().map(u32::from).collect()
        }
        (Name::WriteBytes, [object, offset, bytes @ ..]) => {
            let bytes: Vec<u8> = bytes.iter().map(|&byte| byte as u8).collect();
            nothing(heap.write_bytes(*object, *offset, &bytes)?)
        }
        (Name::ReadObjects, [most_words, objects @ ..]) => {
            read_objects(heap, objects, *most_words as usize)?
        }
        (Name::WriteMany, stores) => {
            let stores: Vec<Store> = stores
                .chunks_exact(3)
                .map(|store| Store { object: store[0], index: store[1], value: store[2] })
                .collect();
            nothing(heap.write_many(&stores)?)
        }
        (Name::Collect, []) => nothing(heap.collect()?),
        (Name::Push, &[object]) => nothing(heap.push(object)?),
        (Name::PushMany, objects) => nothing(heap.push_many(objects)?),
        (Name::Pop, []) => one(heap.pop()?),
        (Name::Depth, []) => one(heap.depth()),
        (Name::Truncate, &[depth]) => nothing(heap.truncate(depth)?),
        (Name::Root, &[index]) => one(heap.root(index)?),
        (Name::SetRoot, &[index, object]) => nothing(heap.set_root(index, object)?),
        (Name::EnterScope, []) => nothing(heap.enter_scope()?),
        (Name::LeaveScope, &[keep]) => nothing(heap.leave_scope(keep)?),
        (Name::Pin, &[object]) => one(heap.pin(object)?),
        (Name::Unpin, &[object]) => one(heap.unpin(object)?),
        (Name::AddRoots, []) => nothing(heap.add_roots(range, range + RANGE_WORDS * 4)?),
        (Name::AddRoots, &[begin, end]) => nothing(heap.add_roots(begin, end)?),
        (Name::RemoveRoots, []) => nothing(heap.remove_roots(range)?),
        (Name::SetRange, &[index, word]) => {
            heap.memory_mut().store_u32(range + index * 4, word);
            Vec::new()
        }
        (Name::Register, &[wrapper, kind, handle, weight]) => {
            nothing(heap.register(wrapper, kind, handle, weight)?)
        }
        (Name::RegisterMany, entries) => {
            let registrations: Vec<Registration> = entries
                .chunks_exact(4)
                .map(|entry| Registration {
                    wrapper: entry[0],
                    kind: entry[1],
                    handle: entry[2],
                    weight_bytes: entry[3],
                })
                .collect();
            nothing(heap.register_many(&registrations)?)
        }
        (Name::Wrap, &[kind, handle, weight]) => one(heap.wrap(kind, handle, weight)?),
        (Name::WrapMany, [kind, weight, handles @ ..]) => {
            let mut wrappers = vec![0; handles.len()];
            heap.wrap_many(*kind, handles, *weight, &mut wrappers)?;
            wrappers
        }
        (Name::HandleOf, &[wrapper]) => handles([heap.handle_of(wrapper)?]),
        (Name::SetWeight, &[wrapper, weight]) => nothing(heap.set_weight(wrapper, weight)?),
        (Name::Dispose, &[wrapper]) => nothing(heap.dispose(wrapper)?),
        (Name::Drain, &[most]) => {
            let waiting = heap.pending().min(most);
            handles((0..waiting).map_while(|_| heap.drain_one()))
        }
        (Name::Pending, []) => one(heap.pending()),
        (Name::Close, []) => one(heap.close()?),
        (Name::IsObject, &[address]) => one(u32::from(heap.is_object(address))),
        (Name::SizeOf, &[object]) => one(heap.size_of(object)?),
        (Name::Statistics, []) => {
            let counts = heap.statistics();
            vec![
                counts.collections,
                counts.collections_for_handles,
                counts.live_bytes as u32,
                counts.wrappers_registered as u32,
                counts.handles_released as u32,
                counts.wrappers_live,
                counts.wrap_table_capacity,
                counts.roots,
                counts.external_bytes as u32,
            ]
        }
        (Name::Verify, []) => heap
            .verify()
            .map(|violation| vec![violation.invariant as u32, violation.at])
            .unwrap_or_default(),
        _ => panic!("{name:?} does not take {} words", words.len()),
    })
}

/// Reads objects as a component does: until the next object would bring more than `most_words`
/// words, but at least one object.
fn read_objects(
    heap: &Heap<ModelMemory, Count>,
    objects: &[u32],
    most_words: usize,
) -> Result<Vec<u32>, Error> {
    let mut words = Vec::new();
    loop {
        let (read, used) = heap.read_objects(objects, &mut words)?;
        let Some(&next) = objects.get(read) else { break };
        let needed = used + 1 + heap.size_of(next)? as usize / 4;
        if used > 0 && needed > most_words {
            words.truncate(used);
            break;
        }
        words.resize(needed, 0);
    }
    Ok(words)
}
