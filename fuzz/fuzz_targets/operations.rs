//! Bytes as a program of operations, on the collector and on the model.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tether_model::run::run_bytes(bytes);
});
