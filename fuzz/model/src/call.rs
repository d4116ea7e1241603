//! A call to the collector as words: the operations that a subject has, and their answers.

use std::fmt;

/// The operations. Behind each stand its operands and its answer, which are words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Name {
    /// `fixed words, references (low, high), element words, references (low, high)` → layout.
    DefineLayout,
    /// `layout, length` → object.
    Allocate,
    /// `bytes` → object, whose content is undefined.
    AllocateLeaf,
    /// `granules, references` → object.
    AllocateSmall,
    /// As `AllocateSmall`, but by loads and stores in the window if it has room, as compiled code
    /// allocates.
    InlineSmall,
    /// As `AllocateLeaf`, but by loads and stores in the window if it has room.
    InlineLeaf,
    /// As `Push`, but by loads and stores in the window if it has room.
    InlinePush,
    /// As `Pop`, but by loads and stores in the window.
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
    /// No operands.
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
    /// No operands.
    EnterScope,
    /// `object`.
    LeaveScope,
    /// `object` → number of pins. (The core door gives no number.)
    Pin,
    /// `object` → number of pins. (The core door gives no number.)
    Unpin,
    /// No operands: registers the subject's root range, of
    /// [`RANGE_WORDS`](crate::subject::RANGE_WORDS). Or `begin, end`, which is refused.
    AddRoots,
    /// No operands: removes the subject's root range.
    RemoveRoots,
    /// `index, word`: writes a word of the subject's root range.
    SetRange,
    /// `wrapper, kind, handle, weight`.
    Register,
    /// `wrapper, kind, handle, weight` of each.
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
    /// → number of handles that wait.
    Pending,
    /// → number of handles that wait. (The core door gives no number.)
    Close,
    /// `address` → 1 or 0.
    IsObject,
    /// `object` → bytes.
    SizeOf,
    /// → the words that [`Statistic`] names.
    Statistics,
    /// → no words; or the number of the invariant that is broken, and where.
    Verify,
}

/// The words of an answer to [`Name::Statistics`].
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub enum Statistic {
    /// Collections.
    Collections,
    /// Collections that handles started.
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

            /// Returns the name as a trace has it.
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

macro_rules! codes {
    ($first:ident $($code:ident)*) => {
        /// What can go wrong, under the core door's numbers. WIT's are one less.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        #[allow(missing_docs, reason = "the names of `tether_gc::Error`")]
        pub enum Code {
            $first = 1,
            $($code),*
        }

        impl Code {
            /// Every code, in the order of the numbers.
            pub const ALL: &[Code] = &[Code::$first, $(Code::$code),*];
        }
    };
}

// `tests/tables.rs` compares the list with `tether_gc::Error`.
codes! {
    OutOfMemory WrapTableFull RootStackFull NoSuchRoot NoScope InvalidRef InvalidLayout
    OutOfBounds ReferenceSlot AlreadyRegistered NotRegistered NotPinned InvalidInstruction
    InvalidOption AlreadyStarted Busy Closed
}

impl Code {
    /// Returns the code with a number.
    pub fn from_number(number: u32) -> Option<Code> {
        Code::ALL.iter().copied().find(|&code| code as u32 == number)
    }

    /// The code's name in WIT, which a trace has too.
    pub fn text(self) -> String {
        let mut text = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !text.is_empty() {
                text.push('-');
            }
            text.push(letter.to_ascii_lowercase());
        }
        text
    }
}

/// An operation that did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub code: Code,
    /// The code's figure.
    pub value: u32,
    /// The instruction at which a build program stopped; 0 for any other operation.
    pub at: u32,
}

impl Failure {
    /// Makes a failure of an operation that is not a build program.
    pub fn new(code: Code, value: u32) -> Self {
        Failure { code, value, at: 0 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:#x}, at {})", self.code, self.value, self.at)
    }
}

/// What a call returns.
pub type Answer = Result<Vec<u32>, Failure>;
