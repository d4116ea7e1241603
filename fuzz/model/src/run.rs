//! Whole runs on the native collector: of a fuzzer's bytes, or of a seed.

use tether_gc::memory::model::ModelMemory;
use tether_gc::{Error, Options, Sizing, StressModes};

use crate::call::Name;
use crate::choices::Choices;
use crate::model::{Counts, Limits, Model};
use crate::subject::Native;
use crate::trace::Trace;

/// A heap's options and the memory around it.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The heap's options.
    pub options: Options,
    /// What collections do besides.
    pub modes: StressModes,
    /// The most pages of memory.
    pub most_pages: u32,
    /// Pages that somebody else takes before each growth.
    pub gap_pages: u32,
    /// Whether memory may refuse to grow during the run.
    pub refuses: bool,
    /// Whether objects are large, so that memory grows often.
    pub is_heavy: bool,
    /// Whether a conservative object may hold a word that keeps nothing.
    pub may_dangle: bool,
    /// Whether memory ends at the end of the address space.
    pub is_high: bool,
}

/// More pages of memory than any program needs.
const ENOUGH_PAGES: u32 = 4_000;

impl Setup {
    /// Returns what the model must know.
    pub fn limits(&self) -> Limits {
        Limits {
            root_capacity: self.options.root_capacity,
            wrap_limit: self.options.wrap_limit,
            may_exhaust: self.refuses
                || self.options.heap_limit_bytes < u64::MAX
                || self.most_pages < ENOUGH_PAGES,
            least_freed_bytes: self.least_freed_bytes(),
            interior_pointers: self.options.interior_pointers,
            may_dangle: self.may_dangle,
            is_high: self.is_high,
            is_quarantined: self.modes.quarantine,
        }
    }

    fn least_freed_bytes(&self) -> u64 {
        let most_bytes = self.options.heap_limit_bytes.min(u64::from(self.most_pages) << 16);
        match self.options.least_freed_percent {
            0 => 0,
            percent => most_bytes * u64::from(percent) / 100 + 1,
        }
    }

    /// Chooses options among those that bring the rare states.
    pub fn choose(choices: &mut Choices<'_>) -> Self {
        // Options that bring a collection at nearly every operation are chosen seldom, because
        // such a run covers little else.
        let wrap_capacity = choices.of(&[64, 16, 64, 200, 4_096, 4_096, 4, 1]);
        let sizing = choices.of(&[
            Sizing::Balanced,
            Sizing::Fixed { budget_bytes: 300_000 },
            Sizing::Fixed { budget_bytes: 100_000 },
            Sizing::Fixed { budget_bytes: 30_000 },
            Sizing::Fixed { budget_bytes: 1 },
            Sizing::Factor { percent: 50 },
            Sizing::SquareRoot { percent: 10 },
        ]);
        let is_limited = choices.one_in(3);
        let options = Options {
            heap_limit_bytes: if is_limited {
                choices.of(&[300 << 10, 500 << 10, 1 << 20, 4 << 20])
            } else {
                u64::MAX
            },
            root_capacity: choices.of(&[300, 8, 40, 5_000]),
            wrap_capacity,
            wrap_limit: wrap_capacity * choices.of(&[1, 4, 100]),
            handle_floor: choices.of(&[50, 4_096, 200, 4_096, 50, 4_096, 10, 1]),
            weight_floor_bytes: choices.of(&[64 << 20, 64 << 20, 64 << 20, 1 << 20, 10_000, 1]),
            sizing,
            least_freed_percent: choices.of(&[2, 0, 2, 20]),
            interior_pointers: choices.one_in(2),
            stress: choices.of(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 17]),
        };
        let modes = if choices.one_in(4) {
            StressModes {
                poison: choices.one_in(2),
                quarantine: choices.one_in(2),
                verify: choices.one_in(2),
            }
        } else {
            StressModes::NONE
        };
        Setup {
            options,
            modes,
            most_pages: if choices.one_in(4) { 40 } else { ENOUGH_PAGES },
            gap_pages: choices.below(3),
            refuses: choices.one_in(3),
            is_heavy: choices.one_in(8),
            may_dangle: choices.one_in(2),
            // High in memory the page map is long, and reading all of it takes Miri too long.
            is_high: choices.one_in(4) && !cfg!(miri),
        }
    }

    /// Chooses options for a trace, which mean the same on every host: memory ends only at the
    /// heap's own limit.
    pub fn choose_portable(choices: &mut Choices<'_>) -> Self {
        let mut setup = Self::choose(choices);
        setup.options.interior_pointers = false;
        setup.modes = StressModes::NONE;
        // A door's options do not have the percentage, so it starts with the default.
        setup.options.least_freed_percent = Options::DEFAULT.least_freed_percent;
        setup.most_pages = ENOUGH_PAGES;
        setup.gap_pages = 0;
        setup.refuses = false;
        setup.may_dangle = false;
        setup.is_high = false;
        setup
    }
}

fn model<'a>(setup: &Setup, choices: Choices<'a>) -> Result<Model<'a, Native>, Error> {
    let memory = match setup.is_high {
        true => ModelMemory::at_the_end(setup.most_pages),
        false => ModelMemory::with_limit(setup.most_pages),
    };
    let mut native = Native::with_gaps(memory, setup.options, setup.gap_pages)?;
    if setup.modes != StressModes::NONE {
        native.heap().set_stress(setup.options.stress, setup.modes);
    }
    Ok(Model::new(native, choices, setup.limits()))
}

/// Runs the program that a fuzzer's bytes make.
pub fn run_bytes(bytes: &[u8]) -> Counts {
    let mut choices = Choices::Bytes(bytes);
    let setup = Setup::choose(&mut choices);
    let Ok(mut model) = model(&setup, choices) else { return Counts::default() };
    model.is_heavy = setup.is_heavy;
    model.define_layouts();
    while !model.choices.is_over() {
        model.step();
    }
    model.end().1
}

/// Runs the program of a seed, of `steps` steps.
pub fn run_seed(seed: u64, steps: u32) -> Counts {
    let mut choices = Choices::seeded(seed);
    let setup = Setup::choose(&mut choices);
    run_setup(&setup, choices, steps)
}

/// Runs a program with chosen options, of `steps` steps.
pub fn run_setup(setup: &Setup, choices: Choices<'_>, steps: u32) -> Counts {
    let mut model = model(setup, choices).expect("there is memory for a heap");
    model.is_heavy = setup.is_heavy;
    model.define_layouts();
    for _ in 0..steps {
        model.step();
    }
    model.end().1
}

/// Runs the program of a seed, made only of the `allowed` operations, and records it. Wrong places
/// are read and written only with `checks_access`, which all that replay the trace must have.
pub fn record(
    seed: u64,
    steps: u32,
    allowed: &[Name],
    checks_access: bool,
) -> (Setup, Trace, Counts) {
    let mut choices = Choices::seeded(seed);
    let setup = Setup::choose_portable(&mut choices);
    let mut model = model(&setup, choices).expect("there is memory for a heap");
    model.allowed = allowed.to_vec();
    model.is_portable = true;
    model.checks_access = checks_access;
    model.trace = Some(Trace::default());
    model.define_layouts();
    for _ in 0..steps {
        model.step();
    }
    let (_, counts, trace) = model.end();
    (setup, trace.expect("it was recorded"), counts)
}
