//! One trace in many executions: natively; on the core module; on the component, and on a guest that
//! is linked, composed or fused with it, under wasmtime and under jco. And one program with each growth of its memory refused in turn.
//! `cargo xtask soak` runs more traces and more programs.

use std::path::Path;

use tether_gc::Options;
use tether_model::faults::Refusals;
use tether_model::run::record;
use tether_runner::differential::{Collectors, Program};
use tether_runner::subject::{CoreModule, CoreSubject, core_has};

use crate::support::artifact;

const JCO: [&str; 2] = ["current", "1.10.2"];

fn artifacts() -> std::path::PathBuf {
    let path = artifact("tether-gc.wasm");
    path.parent().map(Path::to_path_buf).expect("an artifact lies in a folder")
}

#[test]
fn every_collector_gives_the_same_answers() {
    let collectors = Collectors::load(&artifacts()).unwrap();
    for program in Program::ALL {
        let covered = collectors.compare(program, 100..106, 600, &JCO).unwrap();
        assert_eq!(covered.traces, 6);
        assert!(covered.collections > 100 && covered.handles > 100, "{covered:?}");
        let executions = match program {
            Program::Common => 14,
            Program::Core => 3,
            Program::Component => 12,
        };
        assert_eq!(covered.compared, executions * covered.steps, "{covered:?}");
    }
}

#[test]
fn a_collector_with_other_options_gives_other_answers() {
    let module = CoreModule::load(&artifact("tether_gc.core.wasm")).unwrap();
    let names: Vec<_> =
        tether_model::call::Name::ALL.iter().copied().filter(|&name| core_has(name)).collect();
    let (setup, trace, _) = record(3, 1_200, &names, false);
    let Options { wrap_capacity, wrap_limit, .. } = setup.options;
    let other =
        Options { wrap_capacity: wrap_capacity + 1, wrap_limit: wrap_limit + 1, ..setup.options };
    for (options, same) in [(setup.options, true), (other, false)] {
        let mut core = CoreSubject::start(&module, &options, 0..0).unwrap();
        let replayed = trace.replay(&mut core);
        assert!(!same || core.inlined() > 50, "{} operations in the window", core.inlined());
        assert_eq!(replayed.is_ok(), same, "{replayed:?}");
    }
}

fn assert_refused(refusals: &Refusals) {
    assert!(refusals.growths >= 15, "{refusals:?}");
    assert_eq!(refusals.runs, refusals.growths);
    assert!(refusals.counts.refusals >= refusals.runs - refusals.not_started);
}

#[test]
fn every_growth_of_the_core_modules_memory_in_turn_is_refused() {
    let collectors = Collectors::load(&artifacts()).unwrap();
    assert_refused(&collectors.refuse_growths_of_core(11, 1_500, 1));
}

#[test]
fn every_growth_of_the_components_memory_in_turn_is_refused() {
    let collectors = Collectors::load(&artifacts()).unwrap();
    assert_refused(&collectors.refuse_growths_of_component(11, 1_500, 1));
}
