//! What compiled code does by itself, with the loads and stores of docs/core-abi.md: allocation,
//! push and pop in the window. If the window has no room, the caller makes a call instead.
//!
//! The native collector and the core module use the same few lines here; they differ only in how
//! they load, store and call.

/// The window's words, and the loads and stores that change what they name.
pub trait Window {
    /// The next free byte.
    fn cursor(&self) -> u32;
    /// Up to here memory is free and zero.
    fn limit(&self) -> u32;
    /// From the limit up to here memory is free.
    fn end(&self) -> u32;
    /// The colour in a new object's first metadata byte.
    fn colour(&self) -> u8;
    /// The stack's next slot, its end, and its first slot.
    fn stack(&self) -> (u32, u32, u32);
    /// Writes the words that a program may write.
    fn publish(&mut self, cursor: u32, end: u32, stack_top: u32);
    /// Loads a word of memory.
    fn load(&self, address: u32) -> u32;
    /// Stores a word of memory.
    fn store(&mut self, address: u32, word: u32);
    /// Stores a byte of memory.
    fn store_byte(&mut self, address: u32, byte: u8);
}

const GRANULE_BYTES: u32 = 8;
/// The bit of an object's last granule.
const END: u8 = 4;
/// The bit of an object that has references.
const TRACED: u8 = 32;
/// The bit of the last granule that has any references.
const LAST_REFERENCES: u8 = 64;
/// How far the reference bits are from bit 0.
const REFERENCE_SHIFT: u32 = 3;

/// Returns the address of a granule's metadata byte.
fn metadata_of(address: u32) -> u32 {
    (address & 0xffff_0000) | ((address & 0xffff) >> 3)
}

/// Allocates an object of 1 to 8 granules, with a bit in `references` for each word that is a
/// reference. None if the window has no room. An object at every second granule does not say where
/// its references end, because a compiler need not say it.
pub fn allocate_small(window: &mut impl Window, granules: u32, references: u32) -> Option<u32> {
    let object = window.cursor();
    if window.limit() - object < granules * GRANULE_BYTES {
        return None;
    }
    let next = object + granules * GRANULE_BYTES;
    window.publish(next, window.end(), window.stack().0);
    let last = granules - 1;
    let last_references = match references.checked_ilog2() {
        Some(word) if object & GRANULE_BYTES != 0 => word / 2,
        _ => last,
    };
    for granule in 0..granules {
        let bits = (references >> (granule * 2) & 3) as u8;
        let mut byte = bits << REFERENCE_SHIFT;
        if granule == last_references && granule < last {
            byte |= LAST_REFERENCES;
        }
        if granule == 0 {
            byte |= window.colour();
            if references != 0 && byte & LAST_REFERENCES == 0 {
                byte |= TRACED;
            }
        }
        if granule == last {
            byte |= END;
        }
        window.store_byte(metadata_of(object) + granule, byte);
    }
    Some(object)
}

/// Allocates a leaf of undefined content, from the window's high end. None if the window has no
/// room.
pub fn allocate_leaf(window: &mut impl Window, size_bytes: u32) -> Option<u32> {
    let granules = size_bytes.max(1).div_ceil(GRANULE_BYTES);
    if window.end() - window.limit() < granules * GRANULE_BYTES {
        return None;
    }
    let leaf = window.end() - granules * GRANULE_BYTES;
    window.publish(window.cursor(), leaf, window.stack().0);
    let first = metadata_of(leaf);
    if granules == 1 {
        window.store_byte(first, window.colour() | END);
    } else {
        window.store_byte(first, window.colour());
        window.store_byte(first + granules - 1, END);
    }
    Some(leaf)
}

/// Pushes a root. False if the stack has no room.
pub fn push(window: &mut impl Window, object: u32) -> bool {
    let (top, limit, _) = window.stack();
    if top >= limit {
        return false;
    }
    window.store(top, object);
    window.publish(window.cursor(), window.end(), top + 4);
    true
}

/// Pops a root. None if the stack is empty.
pub fn pop(window: &mut impl Window) -> Option<u32> {
    let (top, _, base) = window.stack();
    if top == base {
        return None;
    }
    let object = window.load(top - 4);
    window.publish(window.cursor(), window.end(), top - 4);
    Some(object)
}
