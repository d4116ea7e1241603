//! Every limit at ±1 (`fuzz/model/src/limits.rs`), on the core module and the component; and
//! the core module at the end of the address space.

use tether_model::call::Code;
use tether_model::choices::Choices;
use tether_model::faults::{GROWING, GROWING_LIMITS};
use tether_model::limits::{self, OPTIONS};
use tether_model::model::{Limits, Model};
use tether_runner::subject::{CollectorComponent, ComponentSubject, CoreModule, CoreSubject};

use crate::support::{Form, artifact, on_every_form};

#[test]
fn limits_hold_exactly_through_the_core_door() {
    let module = CoreModule::load(&artifact("tether_gc.core.wasm")).unwrap();
    limits::each(|| CoreSubject::start(&module, &OPTIONS, 0..0).expect("there is memory"));
}

fn limits_hold_exactly_through_the_component_door(form: Form) {
    let component = CollectorComponent::load(&artifact(form.artifact())).unwrap();
    limits::each(|| ComponentSubject::start(&component, &OPTIONS, 0..0).expect("there is memory"));
}

/// Pages of the program's own, so that the collector has the last 100 of 65,536.
const PAGES_BEFORE: u64 = 65_536 - 100;

/// The core module as it is delivered, and with checked arithmetic: an overflow traps.
const MODULES: [&str; 2] = ["tether_gc.core.wasm", "checked/tether_gc.core.wasm"];

#[test]
fn nothing_wraps_around_at_the_end_of_the_address_space() {
    for name in MODULES {
        let module = CoreModule::load(&artifact(name)).unwrap();
        let options = limits::UNLIMITED;
        let core = CoreSubject::start_behind(&module, &options, 0..0, PAGES_BEFORE);
        limits::address_space(&mut core.expect("there is memory"));
    }
}

#[test]
fn random_programs_agree_at_the_end_of_the_address_space() {
    for name in MODULES {
        let module = CoreModule::load(&artifact(name)).unwrap();
        let limits = Limits { is_high: true, ..GROWING_LIMITS };
        let mut exhausted = 0;
        for seed in 0..4 {
            let core = CoreSubject::start_behind(&module, &GROWING, 0..0, PAGES_BEFORE);
            let core = core.expect("there is memory");
            let mut model = Model::new(core, Choices::seeded(seed), limits);
            // At the end of the address space memory refuses to grow by itself.
            model.is_refusing = false;
            model.is_heavy = true;
            model.define_layouts();
            for _ in 0..1_500 {
                model.step();
            }
            exhausted += model.end().1.failures.get(&Code::OutOfMemory).copied().unwrap_or(0);
        }
        assert!(exhausted > 20, "memory ended {exhausted} times only");
    }
}

on_every_form!(limits_hold_exactly_through_the_component_door);
