//! Makes the modules that copy strings from one memory into another.
//!
//! The functions stand in `transcoders.wat`. Adapters call them; they check what the adapters
//! do not, that a string is well-formed in its encoding.

use anyhow::{Context, Result};
use wasmtime_environ::component::{FixedEncoding, Transcode};

use crate::modules::without_names;
use crate::parts::Item;
use crate::plan::BASE;

const FUNCTIONS: &str = include_str!("transcoders.wat");

/// A module that exports one function under a name, and imports the two memories.
pub fn transcoder(operation: Transcode, from: Item, to: Item, name: &str) -> Result<Vec<u8>> {
    let function = match operation {
        Transcode::Copy(FixedEncoding::Utf8) => "utf8_to_utf8",
        Transcode::Copy(FixedEncoding::Utf16) => "utf16_to_utf16",
        Transcode::Copy(FixedEncoding::Latin1) => "latin1_to_latin1",
        Transcode::Latin1ToUtf16 => "latin1_to_utf16",
        Transcode::Latin1ToUtf8 => "latin1_to_utf8",
        Transcode::Utf16ToCompactProbablyUtf16 => "utf16_to_compact_probably_utf16",
        Transcode::Utf16ToCompactUtf16 => "utf16_to_compact_utf16",
        Transcode::Utf16ToLatin1 => "utf16_to_latin1",
        Transcode::Utf16ToUtf8 => "utf16_to_utf8",
        Transcode::Utf8ToCompactUtf16 => "utf8_to_compact_utf16",
        Transcode::Utf8ToLatin1 => "utf8_to_latin1",
        Transcode::Utf8ToUtf16 => "utf8_to_utf16",
    };
    let text = format!(
        "(module (import \"{BASE}\" \"{from}\" (memory $from 0))
         (import \"{BASE}\" \"{to}\" (memory $to 0))
         {FUNCTIONS}
         (export \"{name}\" (func ${function})))"
    );
    let module = wat::parse_str(&text)
        .with_context(|| format!("the transcoder {function} cannot be assembled"))?;
    without_names(&module)
}
