//! Growth of memory refused in a composition of two components: a guest and the collector.
//! Each growth is refused in a run of its own. The guest sees an error, nothing traps, nothing
//! is lost, and when memory comes back the refused operation works. The same holds for the
//! component that the composition is fused to.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use tether_cli::world::World;
use tether_cli::{compose, encode};
use tether_model::call::Code;
use tether_runner::engine::engine;
use tether_runner::subject::Growth;
use wasmtime::component::{Component, Linker, TypedFunc};
use wasmtime::{Engine, Store};

use crate::fused::fused;
use crate::support::{artifact, temporary};

/// The guest and the collector as one component, compiled.
struct Made {
    engine: Engine,
    component: Component,
}

impl Made {
    fn of(component: &[u8]) -> Made {
        let engine = engine().unwrap();
        Made { component: Component::new(&engine, component).unwrap(), engine }
    }
}

/// The guest and the collector, composed.
fn composition() -> &'static [u8] {
    static COMPOSITION: OnceLock<Vec<u8>> = OnceLock::new();
    COMPOSITION.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = here.join("tests/hosts/composed");
        // The guest's world, with the collector's package beside it.
        let wit = temporary("composed-wit");
        fs::create_dir_all(wit.join("deps/gc")).unwrap();
        fs::copy(sources.join("program.wit"), wit.join("program.wit")).unwrap();
        for file in fs::read_dir(here.join("../../wit")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), wit.join("deps/gc").join(file.file_name())).unwrap();
        }
        let module = fs::read(artifact("core/composed-program.wasm")).unwrap();
        let guest = encode(&module, Some(World { wit: &wit, name: Some("program") })).unwrap();
        fs::remove_dir_all(&wit).unwrap();
        let collector = fs::read(artifact("tether-gc.wasm")).unwrap();
        compose(&guest, &collector).unwrap()
    })
}

struct Program {
    store: Store<Growth>,
    none: HashMap<&'static str, TypedFunc<(), (u32,)>>,
    one: HashMap<&'static str, TypedFunc<(u32,), (u32,)>>,
    set: TypedFunc<(u32, u32), (u32,)>,
}

impl Program {
    fn start(made: &Made, refuse: Range<u64>) -> Program {
        let Made { engine, component } = made;
        let mut store = Store::new(engine, Growth { refuse, ..Growth::default() });
        store.limiter(|growth| growth);
        let instance = Linker::new(engine).instantiate(&mut store, component).unwrap();
        let none = ["figure", "depth", "collect", "verify", "close", "pending"]
            .map(|name| (name, instance.get_typed_func(&mut store, name).unwrap()));
        let one = ["keep", "hold", "get"]
            .map(|name| (name, instance.get_typed_func(&mut store, name).unwrap()));
        let set = instance.get_typed_func(&mut store, "set").unwrap();
        Program { store, none: none.into(), one: one.into(), set }
    }

    fn call(&mut self, name: &str) -> u32 {
        self.none[name].call(&mut self.store, ()).expect("nothing traps").0
    }

    fn call_with(&mut self, name: &str, word: u32) -> u32 {
        self.one[name].call(&mut self.store, (word,)).expect("nothing traps").0
    }

    /// Runs the guest's steps, until an operation is refused. Each object holds its number.
    fn go_on(&mut self, done: &mut u32) -> Result<(), (u32, u32)> {
        const STEPS: u32 = 400;
        while *done < STEPS {
            let (name, word) = match *done % 4 {
                0 => ("keep", 20_000),
                1 => ("hold", *done),
                2 => ("keep", 64),
                _ => ("keep", 7_000),
            };
            match self.call_with(name, word) {
                0 => {}
                code => return Err((code, self.call("figure"))),
            }
            let wrote = self.set.call(&mut self.store, (*done, *done)).expect("nothing traps").0;
            assert_eq!(wrote, 0, "step {done}");
            *done += 1;
        }
        Ok(())
    }

    /// Checks that every object and every handle is still there.
    fn check_end(&mut self, done: u32) {
        assert_eq!(self.call("collect"), 0);
        assert_eq!(self.call("verify"), 0);
        assert_eq!(self.call("depth"), done);
        for root in 0..done {
            assert_eq!(self.call_with("get", root), root, "an object was lost or overwritten");
        }
        assert_eq!(self.call("pending"), 0);
        assert_eq!(self.call("close"), 0);
        assert_eq!(self.call("pending"), done / 4, "handles were lost, or came twice");
    }
}

#[test]
fn every_growth_of_a_compositions_memory_in_turn_is_refused() {
    every_growth_in_turn_is_refused(&Made::of(composition()));
}

#[test]
fn every_growth_of_a_fused_components_memory_in_turn_is_refused() {
    every_growth_in_turn_is_refused(&Made::of(&fused(composition(), &[])));
}

fn every_growth_in_turn_is_refused(made: &Made) {
    let mut undisturbed = Program::start(made, 0..0);
    let mut done = 0;
    undisturbed.go_on(&mut done).unwrap();
    undisturbed.check_end(done);
    let growths = undisturbed.store.data().asked;
    assert!(growths > 20, "the program grows memory only {growths} times");

    let mut seen = 0;
    for index in 0..growths {
        // First this growth alone is refused: a smaller request or a collection may make up for
        // it. Then all growths from this one on are refused, and nothing makes up for them.
        for refuse in [index..index + 1, index..u64::MAX] {
            let for_good = refuse.end == u64::MAX;
            let mut program = Program::start(made, refuse);
            let mut done = 0;
            if let Err((code, figure)) = program.go_on(&mut done) {
                seen += 1;
                assert_eq!(code, Code::OutOfMemory as u32, "growth {index}");
                // The smallest object that the program makes is a wrapper, of 8 bytes.
                assert!(figure >= 8, "growth {index}: {figure} bytes");
                // The operation is refused again, with the same error.
                if for_good {
                    assert_eq!(program.go_on(&mut done), Err((code, figure)));
                }
                if done > 0 {
                    assert_eq!(program.call("verify"), 0, "growth {index}");
                }
            } else {
                assert!(!for_good, "growth {index} was not needed");
            }
            assert!(program.store.data().refused > 0, "growth {index} was not refused");
            program.store.data_mut().refuse = 0..0;
            program.go_on(&mut done).unwrap();
            program.check_end(done);
        }
    }
    assert!(seen >= growths, "the guest saw {seen} errors of {growths} growths");
}
