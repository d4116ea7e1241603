//! The model: it performs operations on a subject, and knows what each must bring.
//!
//! Two things the model does not foresee: when a collection comes, and where memory ends. It sees
//! from the subject's count that there was a collection, and then removes the dead from the graph.
//! If memory is refused, it checks that this was allowed to happen, and that a collection came
//! before or that collections have freed too little.
//!
//! After each operation the facts are compared that are cheap to look up. After each collection
//! everything is compared: every object byte for byte, the bytes that are live, and the handles
//! that were released; and the verifier must find nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tether_gc::Options;

use crate::call::{Answer, Code, Failure, Name, Statistic};
use crate::choices::Choices;
use crate::graph::{GRANULE_BYTES, Graph, LARGEST_IN_BLOCK_BYTES, Object, Owned, Pattern, Tracing};
use crate::subject::Subject;
use crate::trace::Trace;

/// What a run covered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Operations of each name, and how many of them failed.
    pub operations: BTreeMap<Name, (u64, u64)>,
    /// Failures by their code.
    pub failures: BTreeMap<Code, u64>,
    /// Collections.
    pub collections: u64,
    /// Handles registered.
    pub registered: u64,
    /// Handles released. Each was released once.
    pub released: u64,
    /// Growths of memory that were refused.
    pub refusals: u64,
    /// Calls with references that name no object.
    pub forged: u64,
    /// Requests for memory that were refused without a collection.
    pub given_up: u64,
}

impl Counts {
    /// Returns the number of operations.
    pub fn total(&self) -> u64 {
        self.operations.values().map(|(calls, _)| calls).sum()
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Counts) {
        for (&name, &(calls, failed)) in &other.operations {
            let entry = self.operations.entry(name).or_default();
            entry.0 += calls;
            entry.1 += failed;
        }
        for (&code, count) in &other.failures {
            *self.failures.entry(code).or_default() += count;
        }
        self.collections += other.collections;
        self.registered += other.registered;
        self.released += other.released;
        self.refusals += other.refusals;
        self.forged += other.forged;
        self.given_up += other.given_up;
    }
}

/// What the model must know of the heap's options.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Slots of the shadow stack.
    pub root_capacity: u32,
    /// The most entries of the wrap table.
    pub wrap_limit: u32,
    /// Whether memory may end.
    pub may_exhaust: bool,
    /// Memory may be refused without a collection only if less than this was allocated since the
    /// last one: an upper bound of `least_freed_percent` of the heap. 0: never.
    pub least_freed_bytes: u64,
    /// The option `interior_pointers`.
    pub interior_pointers: bool,
    /// Whether a conservative object may hold a word that keeps nothing. Such a word can outlive
    /// the object that it points into, and then keep another one at the same place. So the program
    /// then has no operation that may leave objects behind that the model does not know.
    pub may_dangle: bool,
    /// Whether memory lies in the upper half of the address space.
    pub is_high: bool,
    /// Whether no object may have the place of an object that the last collection freed.
    pub is_quarantined: bool,
}

/// A layout that was defined.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The layout's number.
    pub number: u32,
    /// The layout's words.
    pub pattern: Rc<Pattern>,
}

/// A model, and the collector that it is compared with.
pub struct Model<'a, S> {
    /// The collector.
    pub subject: S,
    /// Where the program's choices come from.
    pub choices: Choices<'a>,
    /// The options that matter to the model.
    pub limits: Limits,
    /// The objects and roots that the collector must have.
    pub graph: Graph,
    /// The layouts that were defined.
    pub layouts: Vec<Layout>,
    /// Handles that were released and not drained.
    pub pending: BTreeSet<u32>,
    /// The next handle, which is also the number of handles that were made.
    pub next_handle: u32,
    /// What the run covered.
    pub counts: Counts,
    /// The calls, if they are recorded.
    pub trace: Option<Trace>,
    /// Whether the program must mean the same if objects have other addresses.
    pub is_portable: bool,
    /// Whether the program itself has memory refuse.
    pub is_refusing: bool,
    /// Whether the collector checks reads and writes, so that wrong places may be tried.
    pub checks_access: bool,
    /// Whether objects are large, so that memory grows often.
    pub is_heavy: bool,
    /// Operations that the program may use.
    pub allowed: Vec<Name>,
    /// Addresses of objects that died.
    pub stale: Vec<u32>,
    /// Addresses of the objects that were made last.
    pub recent: [u32; RECENT],
    /// The objects that the last collection freed: addresses and ends.
    freed: BTreeMap<u32, u32>,
    collections: u32,
    /// Bytes allocated since the last collection.
    allocated_bytes: u64,
    /// Requests that were refused since the last collection, without another.
    refusals: u32,
    next_id: u32,
}

/// The kind of all handles.
pub const KIND: u32 = 7;
/// How many new addresses are remembered.
pub const RECENT: usize = 8;
/// How many dead addresses are remembered.
const MOST_STALE: usize = 64;

impl<'a, S: Subject> Model<'a, S> {
    /// Makes a model of a fresh collector.
    pub fn new(mut subject: S, choices: Choices<'a>, limits: Limits) -> Self {
        let collections = subject.collections();
        let checks_access = subject.checks_access();
        let allowed = Name::ALL.iter().copied().filter(|&name| subject.has(name)).collect();
        Model {
            subject,
            choices,
            limits,
            graph: Graph { interior_pointers: limits.interior_pointers, ..Graph::default() },
            layouts: Vec::new(),
            pending: BTreeSet::new(),
            next_handle: 0,
            counts: Counts::default(),
            trace: None,
            is_portable: false,
            checks_access,
            is_heavy: false,
            is_refusing: limits.may_exhaust,
            allowed,
            stale: Vec::new(),
            recent: [0; RECENT],
            freed: BTreeMap::new(),
            collections,
            allocated_bytes: 0,
            refusals: 0,
            next_id: 0,
        }
    }

    /// Performs an operation, and notes what a collection in it did. `in_flight` has the words that
    /// the operation must keep besides roots.
    pub fn call(&mut self, name: Name, words: &[u32], in_flight: &[u32]) -> Answer {
        let answer = self.subject.call(name, words);
        if let Some(trace) = &mut self.trace {
            trace.note(&self.graph, name, words, &answer);
        }
        let count = self.counts.operations.entry(name).or_default();
        count.0 += 1;
        if let Err(failure) = answer {
            count.1 += 1;
            *self.counts.failures.entry(failure.code).or_default() += 1;
        }
        let collected = self.note_collections(in_flight);
        if let Err(Failure { code: Code::OutOfMemory | Code::WrapTableFull, .. }) = answer {
            self.check_exhaustion(name, words, answer.as_ref().unwrap_err(), collected);
        }
        answer
    }

    /// Performs an operation that must fail with this code and figure, and must not collect.
    pub fn call_refused(&mut self, name: Name, words: &[u32], code: Code, value: u32) {
        let before = self.collections;
        let answer = self.call(name, words, &[]);
        assert_eq!(answer, Err(Failure::new(code, value)), "{name:?}({words:x?})");
        assert_eq!(self.collections, before, "{name:?}({words:x?}) collected in vain");
    }

    /// Removes the dead from the graph if there was a collection. Returns true if there was one.
    fn note_collections(&mut self, in_flight: &[u32]) -> bool {
        let now = self.subject.collections();
        let count = now - self.collections;
        if count == 0 {
            return false;
        }
        self.collections = now;
        (self.allocated_bytes, self.refusals) = (0, 0);
        self.counts.collections += u64::from(count);
        let reachable = self.graph.reachable(in_flight);
        let (pending, stale) = (&mut self.pending, &mut self.stale);
        let freed = &mut self.freed;
        freed.clear();
        self.graph.objects.retain(|address, object| {
            let lives = reachable.contains_key(address);
            if !lives {
                freed.insert(*address, address + object.size_bytes());
                pending.extend(object.owned.map(|owned| owned.handle));
                if stale.len() == MOST_STALE {
                    stale.swap_remove(object.id as usize % MOST_STALE);
                }
                stale.push(*address);
            }
            lives
        });
        if count > 1 {
            // It is not known which collection freed an object, and only the last one counts.
            self.freed.clear();
        }
        true
    }

    /// Checks that a refusal of memory, or a full wrap table, was allowed to happen.
    fn check_exhaustion(&mut self, name: Name, words: &[u32], failure: &Failure, collected: bool) {
        const LARGEST_OBJECT_BYTES: u32 = 0x7fff_0000;
        if failure.code == Code::WrapTableFull {
            let live = self.wrappers();
            let more = match name {
                Name::RegisterMany => words.len() / 4,
                Name::WrapMany => words.len() - 2,
                _ => 1,
            };
            let limit = self.limits.wrap_limit as usize;
            assert!(
                collected || more > limit,
                "{name:?}: the table was full, and nothing was collected"
            );
            assert!(live + more > limit, "{name:?}: full with {live} and {more} of {limit}");
            return;
        }
        if failure.value > LARGEST_OBJECT_BYTES {
            return;
        }
        assert!(self.limits.may_exhaust, "{name:?}({words:x?}): {failure}");
        if !collected {
            // The request failed without a collection, as after futile collections.
            self.refusals += 1;
            let is_futile = self.allocated_bytes < self.limits.least_freed_bytes
                && self.counts.collections >= u64::from(Options::MOST_FUTILE)
                && self.refusals <= Options::REFUSALS;
            assert!(is_futile, "{name:?}({words:x?}): {failure}, and nothing was collected");
            assert!(
                !matches!(name, Name::Register | Name::RegisterMany),
                "registration never gives up"
            );
            self.counts.given_up += 1;
        }
    }

    /// Returns the number of live wrappers.
    pub fn wrappers(&self) -> usize {
        self.graph.objects.values().filter(|object| object.owned.is_some()).count()
    }

    /// Returns the number of free slots of the shadow stack.
    pub fn free_slots(&self) -> u32 {
        let used = self.graph.roots.len() as u32 + self.graph.scope_slots();
        self.limits.root_capacity - used
    }

    /// Returns the failure of an operation that needs `count` slots, if they are not free.
    pub fn stack_full(&self, count: u32) -> Option<Failure> {
        let capacity = self.limits.root_capacity;
        (count > self.free_slots()).then(|| Failure::new(Code::RootStackFull, capacity))
    }

    /// Adds an object that was made. Checks that no other object is at its place. If a scope is
    /// open, the scope roots the object.
    pub fn insert(&mut self, address: u32, mut object: Object) {
        assert_ne!(address, 0, "null was given for an object");
        assert!(address.is_multiple_of(GRANULE_BYTES), "{address:#x} is between granules");
        let end = address + object.size_bytes();
        let before = self.graph.objects.range(..end).next_back();
        let is_free = before.is_none_or(|(&at, other)| at + other.size_bytes() <= address);
        assert!(is_free, "{address:#x} was given out over {:#x}", before.unwrap().0);
        if self.limits.is_quarantined {
            let freed = self.freed.range(..end).next_back();
            let is_free = freed.is_none_or(|(_, &freed_end)| freed_end <= address);
            assert!(is_free, "{address:#x} was given out in quarantine");
        }
        object.id = self.next_id;
        self.next_id += 1;
        self.allocated_bytes += u64::from(object.size_bytes());
        self.graph.objects.insert(address, object);
        if let Some(scope) = self.graph.scopes.last_mut() {
            scope.push(address);
        }
    }

    /// Returns a zeroed object of `bytes` bytes.
    pub fn object(bytes: u64, alignment: u32, tracing: Tracing) -> Object {
        let size_bytes = (bytes.max(1) as u32).next_multiple_of(GRANULE_BYTES);
        let slack = alignment.max(GRANULE_BYTES) - GRANULE_BYTES;
        let is_large = size_bytes + slack > LARGEST_IN_BLOCK_BYTES;
        Object {
            id: 0,
            words: vec![0; (size_bytes / 4) as usize],
            tracing,
            owned: None,
            counted_bytes: size_bytes + if is_large { slack } else { 0 },
        }
    }

    /// Notes that a wrapper owns a handle.
    pub fn own(&mut self, wrapper: u32, handle: u32, weight: u32) {
        let object = self.graph.objects.get_mut(&wrapper).expect("the wrapper is an object");
        object.owned = Some(Owned { kind: KIND, handle, weight });
        self.counts.registered += 1;
    }

    /// Notes handles that were drained.
    pub fn release(&mut self, drained: &[u32]) {
        for pair in drained.chunks_exact(2) {
            assert_eq!(pair[0], KIND, "a handle of another kind was released");
            assert!(self.pending.remove(&pair[1]), "{} was released early, or twice", pair[1]);
            self.counts.released += 1;
        }
    }

    /// Leaves all scopes, for a moment at which the model does not know what they hold.
    pub fn leave_scopes(&mut self) {
        while !self.graph.scopes.is_empty() {
            assert_eq!(self.call(Name::LeaveScope, &[0], &[]), Ok(vec![]));
            self.graph.scopes.pop();
        }
    }

    /// Performs an operation that is not part of the program, and is not recorded.
    fn look(&mut self, name: Name, words: &[u32]) -> Vec<u32> {
        let answer = self.subject.call(name, words);
        answer.unwrap_or_else(|failure| panic!("{name:?}({words:x?}): {failure}"))
    }

    /// Compares the number of released handles that wait.
    pub fn check_pending(&mut self) {
        let waiting = self.pending.len() as u32;
        assert_eq!(self.look(Name::Pending, &[]), [waiting], "handles that wait");
    }

    /// Compares everything.
    pub fn check_all(&mut self) {
        assert_eq!(self.look(Name::Verify, &[]), [0; 0], "the heap is broken");
        let addresses: Vec<u32> = self.graph.objects.keys().copied().collect();
        for address in addresses {
            let read = self.look(Name::ReadObjects, &[u32::MAX, address]);
            let object = &self.graph.objects[&address];
            assert_eq!(read[0], object.size_bytes(), "{address:#x} has another size");
            assert_eq!(read[1..], object.words, "{address:#x} has another content");
        }
        let statistics = self.look(Name::Statistics, &[]);
        let at = |statistic: Statistic| u64::from(statistics[statistic as usize]);
        let objects = self.graph.objects.values();
        let live: u64 = objects.clone().map(|object| u64::from(object.counted_bytes)).sum();
        assert_eq!(at(Statistic::LiveBytes), live, "something unreachable survived, or more died");
        assert_eq!(at(Statistic::WrappersLive), self.wrappers() as u64);
        let weight: u64 =
            objects.flat_map(|object| object.owned).map(|o| u64::from(o.weight)).sum();
        assert_eq!(at(Statistic::ExternalBytes), weight & u64::from(u32::MAX));
        assert_eq!(at(Statistic::Registered), self.counts.registered);
        let released = self.counts.released + self.pending.len() as u64;
        assert_eq!(at(Statistic::Released), released, "a handle was released early, or not at all");
        let used = self.graph.roots.len() as u32 + self.graph.scope_slots();
        assert_eq!(at(Statistic::Roots), u64::from(used));
    }

    /// Collects twice and compares. Then closes the heap, and checks that every handle comes out.
    pub fn end(mut self) -> (S, Counts, Option<Trace>) {
        for _ in 0..2 {
            assert_eq!(self.call(Name::Collect, &[], &[]), Ok(vec![]));
            self.check_all();
        }
        // In order of allocation, so that the trace is the same at any addresses.
        let mut objects: Vec<(u32, u32)> =
            self.graph.objects.iter().map(|(&address, object)| (object.id, address)).collect();
        objects.sort_unstable();
        for (_, address) in objects {
            let read = self.call(Name::ReadObjects, &[u32::MAX, address], &[]).unwrap();
            assert_eq!(read[1..], self.graph.objects[&address].words);
        }
        self.call(Name::Statistics, &[], &[]).unwrap();
        let owned = self.graph.objects.values().flat_map(|object| object.owned);
        self.pending.extend(owned.map(|owned| owned.handle));
        let waiting = self.pending.len() as u32;
        let closed = self.call(Name::Close, &[], &[]);
        // The core door gives no number.
        assert!(closed == Ok(vec![waiting]) || closed == Ok(vec![]), "{closed:?}, not {waiting}");
        self.graph = Graph::default();
        self.call_refused(Name::Allocate, &[0, 8], Code::Closed, 0);
        loop {
            let drained = self.call(Name::Drain, &[100], &[]).unwrap();
            if drained.is_empty() {
                break;
            }
            self.release(&drained);
        }
        assert!(self.pending.is_empty(), "handles were lost: {:?}", self.pending);
        assert_eq!(u64::from(self.next_handle), self.counts.released);
        assert_eq!(self.look(Name::Verify, &[]), [0; 0], "the closed heap is broken");
        self.counts.refusals += self.subject.refusals();
        (self.subject, self.counts, self.trace)
    }
}
