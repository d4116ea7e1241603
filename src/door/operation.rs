//! The operations that take words and give a word: most of what a door does.
//!
//! A door hands them over as a number and its operands, so that entering the heap,
//! leaving it, and what becomes of an error are one piece of code and not one for
//! each function.

use crate::error::Error;
use crate::heap::Heap;
#[cfg(feature = "core")]
use crate::layout::CONSERVATIVE;
use crate::memory::Memory;
use crate::observer::Observer;

/// An operation of the heap. The operands are named behind each.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Layout, length.
    Allocate,
    /// Size in bytes.
    #[cfg(feature = "core")]
    AllocateLeaf,
    /// Size in bytes.
    #[cfg(feature = "core")]
    AllocateConservative,
    /// Layout, length, alignment.
    #[cfg(feature = "core")]
    AllocateAligned,
    /// No operands.
    Collect,
    /// Percent.
    SetLeastFreed,
    /// Releases everything; gives how many handles wait.
    Close,
    /// Address; gives 1 or 0.
    #[cfg(feature = "core")]
    IsObject,
    /// Object.
    #[cfg(feature = "core")]
    SizeOf,
    /// Object, index.
    #[cfg(feature = "component")]
    Get,
    /// Object, index, value.
    #[cfg(feature = "component")]
    Set,
    /// Object.
    Push,
    /// No operands; gives the object.
    Pop,
    /// Depth.
    Truncate,
    /// Index.
    #[cfg(feature = "component")]
    Root,
    /// Index, object.
    #[cfg(feature = "component")]
    SetRoot,
    /// No operands.
    EnterScope,
    /// Object to keep.
    LeaveScope,
    /// Object; gives its pins.
    Pin,
    /// Object; gives its pins.
    Unpin,
    /// Begin, end.
    #[cfg(feature = "core")]
    AddRoots,
    /// Begin.
    #[cfg(feature = "core")]
    RemoveRoots,
    /// Wrapper, kind, handle, weight.
    Register,
    /// Kind, handle, weight; gives the wrapper.
    Wrap,
    /// Wrapper, weight.
    #[cfg(feature = "core")]
    SetWeight,
    /// Wrapper.
    Dispose,
    /// No operands; gives a number.
    #[cfg(feature = "core")]
    Pending,
}

impl Operation {
    /// Whether it has an answer when the heap is closed.
    #[inline(always)]
    fn works_closed(self) -> bool {
        #[cfg(feature = "core")]
        if matches!(self, Operation::IsObject | Operation::Pending) {
            return true;
        }
        false
    }
}

/// Performs an operation on the heap; gives its result, or 0 where it has none. What can be
/// done quickly, the doors try first.
#[inline(always)]
pub fn perform<M: Memory, O: Observer>(
    heap: &mut Heap<M, O>,
    operation: Operation,
    [a, b, c, d]: [u32; 4],
) -> Result<u32, Error> {
    // Each operation asks this too; asked here first, the compiler leaves it out of each.
    if !operation.works_closed() {
        heap.check_open()?;
    }
    let done = match operation {
        Operation::Allocate => return heap.allocate_slowly(a, b),
        #[cfg(feature = "core")]
        Operation::AllocateLeaf => return heap.allocate_leaf(a),
        #[cfg(feature = "core")]
        Operation::AllocateConservative => return heap.allocate_slowly(CONSERVATIVE, a),
        #[cfg(feature = "core")]
        Operation::AllocateAligned => return heap.allocate_aligned(a, b, c),
        Operation::Close => return heap.close(),
        #[cfg(feature = "core")]
        Operation::IsObject => return Ok(u32::from(heap.is_object(a))),
        #[cfg(feature = "core")]
        Operation::SizeOf => return heap.size_of(a),
        #[cfg(feature = "component")]
        Operation::Get => return heap.get_slowly(a, b),
        Operation::Pop => return heap.pop_slowly(),
        #[cfg(feature = "component")]
        Operation::Root => return heap.root(a),
        Operation::Pin => return heap.pin(a),
        Operation::Unpin => return heap.unpin(a),
        Operation::Wrap => return heap.wrap_slowly(a, b, c),
        #[cfg(feature = "core")]
        Operation::Pending => return Ok(heap.pending()),
        Operation::Collect => heap.collect(),
        Operation::SetLeastFreed => heap.set_least_freed(a),
        #[cfg(feature = "component")]
        Operation::Set => heap.set_slowly(a, b, c),
        Operation::Push => heap.push_slowly(a),
        Operation::Truncate => heap.truncate(a),
        #[cfg(feature = "component")]
        Operation::SetRoot => heap.set_root(a, b),
        Operation::EnterScope => heap.enter_scope(),
        Operation::LeaveScope => heap.leave_scope(a),
        #[cfg(feature = "core")]
        Operation::AddRoots => heap.add_roots(a, b),
        #[cfg(feature = "core")]
        Operation::RemoveRoots => heap.remove_roots(a),
        Operation::Register => heap.register_slowly(a, b, c, d),
        #[cfg(feature = "core")]
        Operation::SetWeight => heap.set_weight(a, b),
        Operation::Dispose => heap.dispose(a),
    };
    done.map(|()| 0)
}
