//! The component of the world `collector-wasi`, for WASI hosts: options from the environment, a
//! line on stderr for each collection, and pauses timed by the monotonic clock.
//!
//! The variable `TETHER_GC` has options as `name=value`, with commas between, and
//! overrides the options that the program configured. A setting that is not understood is named on
//! stderr, and otherwise left aside.

#![cfg(target_arch = "wasm32")]
#![no_std]
#![expect(unsafe_code, reason = "whether the world calls out is a promise")]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use core::time::Duration;
use tether_component_door::{Door, World, WorldHeap};
use tether_door::HeapCell;
use tether_gc::{Cause, Collection, Error, Observer, Options, StressModes};
use wasi::cli::{environment, stderr};
use wasi::clocks::monotonic_clock;

const VARIABLE: &str = "TETHER_GC";

/// The world.
struct CollectorWasi;

static HEAP: HeapCell<Watch> = HeapCell::new(Watch::IDLE);

// SAFETY: `CALLS_OUT` is true.
unsafe impl World for CollectorWasi {
    type Observer = Watch;

    const CALLS_OUT: bool = true;

    fn heap() -> &'static HeapCell<Watch> {
        &HEAP
    }

    fn start(heap: &mut WorldHeap<Self>, options: Options) -> Result<(), Error> {
        let settings = Settings::from_environment(options);
        heap.observer_mut().trace = settings.trace;
        heap.start(settings.options)?;
        heap.set_stress(settings.options.stress, settings.modes);
        Ok(())
    }

    /// In quarantine it is known whether an operation was refused for a reference to an object that
    /// has just died: then the program misses a root.
    fn refused(heap: &WorldHeap<Self>, error: &Error) {
        if let &Error::InvalidRef { reference } = error
            && heap.was_freed(reference)
        {
            let poison = StressModes::POISON;
            tell(&format!(
                "tether-gc: {reference:#x} was freed by the last collection: no root kept it (its words may be {poison:#x})\n"
            ));
        }
    }

    fn pauses(watch: &Watch) -> (u64, u64) {
        (watch.longest_ns, watch.total_ns)
    }
}

tether_component_door::export_lifted!(Door<CollectorWasi>);

/// Times collections, and writes a line for each if that is asked for.
#[derive(Debug)]
pub struct Watch {
    trace: bool,
    began_ns: u64,
    longest_ns: u64,
    total_ns: u64,
}

impl Observer for Watch {
    fn begins(&mut self) {
        self.began_ns = monotonic_clock::now();
    }

    fn ended(&mut self, collection: Collection) {
        let pause_ns = monotonic_clock::now().saturating_sub(self.began_ns);
        self.longest_ns = self.longest_ns.max(pause_ns);
        self.total_ns = self.total_ns.saturating_add(pause_ns);
        if self.trace {
            tell(&trace_line(collection, pause_ns));
        }
    }

    fn broken(&mut self, invariant: u32, at: u32) {
        tell(&format!(
            "tether-gc: invariant {invariant} does not hold after a collection, at {at:#x}\n"
        ));
    }
}

impl Watch {
    /// No line for each collection.
    const IDLE: Watch = Watch { trace: false, began_ns: 0, longest_ns: 0, total_ns: 0 };
}

/// The options and modes that the program and the environment chose.
struct Settings {
    options: Options,
    modes: StressModes,
    trace: bool,
}

impl Settings {
    /// Options as the program gave them, overridden by the environment.
    fn from_environment(options: Options) -> Self {
        let mut settings = Settings { options, modes: StressModes::NONE, trace: false };
        let variables = environment::get_environment();
        if let Some((_, value)) = variables.iter().find(|(name, _)| name == VARIABLE) {
            for setting in value.split(',').filter(|setting| !setting.is_empty()) {
                if settings.set(setting).is_none() {
                    tell(&format!(
                        "tether-gc: {VARIABLE}: '{setting}' is not understood (trace=1, stress=N, poison=1, quarantine=1, verify=1, limit=BYTES, roots=N, wrap-capacity=N, wrap-limit=N, handle-floor=N, least-freed=PERCENT)\n"
                    ));
                }
            }
        }
        settings
    }

    /// Takes one setting over; none if it is not understood.
    fn set(&mut self, setting: &str) -> Option<()> {
        let (name, value) = setting.split_once('=')?;
        let options = &mut self.options;
        match name.trim() {
            "trace" => self.trace = number(value)? != 0,
            "stress" => options.stress = number(value)?,
            "poison" => self.modes.poison = number(value)? != 0,
            "quarantine" => self.modes.quarantine = number(value)? != 0,
            "verify" => self.modes.verify = number(value)? != 0,
            "limit" => options.heap_limit_bytes = bytes(value)?,
            "roots" => options.root_capacity = number(value)?,
            "wrap-capacity" => {
                options.wrap_capacity = number(value)?;
                options.wrap_limit = options.wrap_limit.max(options.wrap_capacity);
            }
            "wrap-limit" => options.wrap_limit = number(value)?,
            "handle-floor" => options.handle_floor = number(value)?,
            "least-freed" => options.least_freed_percent = number(value)?,
            _ => return None,
        }
        Some(())
    }
}

fn number(value: &str) -> Option<u32> {
    value.trim().parse().ok()
}

/// A number of bytes, with K, M or G for powers of 1,024.
fn bytes(value: &str) -> Option<u64> {
    let value = value.trim();
    let (digits, shift) = match value.as_bytes().last()? {
        b'K' | b'k' => (&value[..value.len() - 1], 10),
        b'M' | b'm' => (&value[..value.len() - 1], 20),
        b'G' | b'g' => (&value[..value.len() - 1], 30),
        _ => (value, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn trace_line(collection: Collection, pause_ns: u64) -> String {
    let Collection { number, cause, heap_bytes, wrappers_live, handles_released } = collection;
    let cause = match cause {
        Cause::Asked => "asked",
        Cause::Space => "space",
        Cause::Handles => "handles",
        Cause::Stress => "stress",
    };
    let pause_us = Duration::from_nanos(pause_ns).as_micros();
    format!(
        "tether-gc: collection {number} ({cause}): {pause_us} us, heap {} KiB, wrappers {wrappers_live}, released {handles_released}\n",
        heap_bytes >> 10
    )
}

/// Writes to stderr. A stderr that takes nothing is no reason to stop.
fn tell(text: &str) {
    /// The most that one call of WASI takes.
    const MOST_BYTES: usize = 4096;
    let stream = stderr::get_stderr();
    for part in text.as_bytes().chunks(MOST_BYTES) {
        if stream.blocking_write_and_flush(part).is_err() {
            return;
        }
    }
}
