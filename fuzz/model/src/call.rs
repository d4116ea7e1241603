//! A call of the collector's as words: what every subject can be asked, and answers.

use std::fmt;

/// The operations. Operands and answers are words, as named behind each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Name {
    /// `fixed words, references (low, high), element words, references (low, high)` → layout.
    DefineLayout,
    /// `layout, length` → object.
    Allocate,
    /// `bytes` → object, of any content.
    AllocateLeaf,
    /// `granules, references` → object.
    AllocateSmall,
    /// As `AllocateSmall`, by loads and stores in the window where that has room, as compiled
    /// code does it.
    InlineSmall,
    /// As `AllocateLeaf`, likewise.
    InlineLeaf,
    /// As `Push`, likewise.
    InlinePush,
    /// As `Pop`, likewise.
    InlinePop,
    /// `layout, length, alignment` → object.
    AllocateAligned,
    /// `layout, length, words…` → object.
    Create,
    /// `program…` → depth.
    Build,
    /// `object, index` → word.
    Get,
    /// `object, index, value`.
    Set,
    /// `object, index, words…`.
    WriteWords,
    /// `object, offset, count` → a word for each byte.
    ReadBytes,
    /// `object, offset`, then a word for each byte.
    WriteBytes,
    /// `most words, objects…` → size and words of each.
    ReadObjects,
    /// `object, index, value` of each store.
    WriteMany,
    /// Nothing.
    Collect,
    /// `object`.
    Push,
    /// `objects…`.
    PushMany,
    /// → object.
    Pop,
    /// → roots pushed.
    Depth,
    /// `depth`.
    Truncate,
    /// `index` → object.
    Root,
    /// `index, object`.
    SetRoot,
    /// Nothing.
    EnterScope,
    /// `object`.
    LeaveScope,
    /// `object` → pins. (The core door gives no number.)
    Pin,
    /// `object` → pins.
    Unpin,
    /// Registers the subject's root range, of [`RANGE_WORDS`](crate::subject::RANGE_WORDS);
    /// or `begin, end`, which is refused.
    AddRoots,
    /// Takes it back.
    RemoveRoots,
    /// `index, word`: writes to the root range.
    SetRange,
    /// `wrapper, kind, handle, weight`.
    Register,
    /// The same of each.
    RegisterMany,
    /// `kind, handle, weight` → wrapper.
    Wrap,
    /// `kind, weight, handles…` → wrappers.
    WrapMany,
    /// `wrapper` → kind, handle.
    HandleOf,
    /// `wrapper, weight`.
    SetWeight,
    /// `wrapper`.
    Dispose,
    /// `most` → kind and handle of each.
    Drain,
    /// → number.
    Pending,
    /// → handles that wait.
    Close,
    /// `address` → 1 or 0.
    IsObject,
    /// `object` → bytes.
    SizeOf,
    /// → see [`Statistic`].
    Statistics,
    /// → nothing, or number and place of the violation.
    Verify,
}

/// The words of an answer to [`Name::Statistics`].
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub enum Statistic {
    /// Collections.
    Collections,
    /// Those for handles.
    CollectionsForHandles,
    /// Bytes in live objects.
    LiveBytes,
    /// Wrappers ever registered.
    Registered,
    /// Handles ever released.
    Released,
    /// Wrappers in the table.
    WrappersLive,
    /// Entries of the table.
    Capacity,
    /// Slots of the shadow stack in use.
    Roots,
    /// Weight of the handles in the table.
    ExternalBytes,
}

macro_rules! names {
    ($($name:ident $text:literal)*) => {
        impl Name {
            /// Every operation.
            pub const ALL: &[Name] = &[$(Name::$name),*];

            /// As a trace has it.
            pub fn text(self) -> &'static str {
                match self { $(Name::$name => $text),* }
            }
        }
    };
}

names! {
    DefineLayout "define-layout" Allocate "allocate" AllocateLeaf "allocate-leaf"
    AllocateSmall "allocate-small" InlineSmall "inline-small" InlineLeaf "inline-leaf"
    InlinePush "inline-push" InlinePop "inline-pop" AllocateAligned "allocate-aligned" Create "create"
    Build "build" Get "get" Set "set" WriteWords "write-words" ReadBytes "read-bytes"
    WriteBytes "write-bytes" ReadObjects "read-objects" WriteMany "write-many"
    Collect "collect" Push "push" PushMany "push-many" Pop "pop" Depth "depth" Truncate "truncate"
    Root "root" SetRoot "set-root" EnterScope "enter-scope" LeaveScope "leave-scope"
    Pin "pin" Unpin "unpin" AddRoots "add-roots" RemoveRoots "remove-roots"
    SetRange "set-range" Register "register" RegisterMany "register-many" Wrap "wrap"
    WrapMany "wrap-many" HandleOf "handle-of" SetWeight "set-weight" Dispose "dispose"
    Drain "drain" Pending "pending" Close "close" IsObject "is-object" SizeOf "size-of"
    Statistics "statistics" Verify "verify"
}

/// What can go wrong, under the core door's numbers. The component's are one less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
#[allow(missing_docs, reason = "the collector's own names")]
pub enum Code {
    OutOfMemory = 1,
    WrapTableFull,
    RootStackFull,
    NoSuchRoot,
    NoScope,
    InvalidRef,
    InvalidLayout,
    OutOfBounds,
    ReferenceSlot,
    AlreadyRegistered,
    NotRegistered,
    NotPinned,
    InvalidInstruction,
    InvalidOption,
    AlreadyStarted,
    Busy,
    Closed,
}

impl Code {
    const ALL: [Code; 17] = [
        Code::OutOfMemory,
        Code::WrapTableFull,
        Code::RootStackFull,
        Code::NoSuchRoot,
        Code::NoScope,
        Code::InvalidRef,
        Code::InvalidLayout,
        Code::OutOfBounds,
        Code::ReferenceSlot,
        Code::AlreadyRegistered,
        Code::NotRegistered,
        Code::NotPinned,
        Code::InvalidInstruction,
        Code::InvalidOption,
        Code::AlreadyStarted,
        Code::Busy,
        Code::Closed,
    ];

    /// The code with a number.
    pub fn from_number(number: u32) -> Option<Code> {
        Code::ALL.into_iter().find(|&code| code as u32 == number)
    }
}

/// An operation that did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub code: Code,
    /// The code's figure.
    pub value: u32,
    /// For a build program: where it stopped.
    pub at: u32,
}

impl Failure {
    /// A failure of anything but a build program.
    pub fn new(code: Code, value: u32) -> Self {
        Failure { code, value, at: 0 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:#x}, at {})", self.code, self.value, self.at)
    }
}

/// What a call gives.
pub type Answer = Result<Vec<u32>, Failure>;
