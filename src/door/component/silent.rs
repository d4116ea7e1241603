//! No environment, no clock: what the doors without WASI have.

use super::ComponentHeap;
use crate::config::Options;
use crate::observer::Silent;

/// Who watches collections: nobody.
pub type Watch = Silent;

/// Who watches at first.
pub const NOBODY: Watch = Silent;

/// Options as the program gave them.
pub fn from_environment(_: &mut ComponentHeap, options: Options) -> Options {
    options
}

/// The longest and the total pause, in nanoseconds: not known.
pub fn pauses(_: &Watch) -> (u64, u64) {
    (0, 0)
}
