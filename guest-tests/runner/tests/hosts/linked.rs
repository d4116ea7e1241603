//! A guest that is linked with the component door calls it without an adapter in between. What an
//! adapter would refuse, and what it would keep apart, is tested here with calls that bindings do
//! not make.

use std::path::Path;
use std::sync::OnceLock;

use tether_cli::binaryen::Binaryen;
use tether_cli::link::{Request, link};
use tether_runner::engine::engine;
use wasmtime::{Engine, Instance, Module, Store};

use crate::support::artifacts;

fn module() -> &'static (Engine, Module) {
    static MODULE: OnceLock<(Engine, Module)> = OnceLock::new();
    MODULE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts/linked/guest.wat");
        let request = Request { is_core: true, ..Request::new(source, vec![artifacts()]) };
        let linked = link(&request, &Binaryen::find(None, &[artifacts()])).unwrap();
        let engine = engine().unwrap();
        (engine.clone(), Module::new(&engine, linked.binary).unwrap())
    })
}

struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn start() -> Guest {
        let (engine, module) = module();
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, module, &[]).unwrap();
        Guest { store, instance }
    }

    /// Calls an export; none for a trap.
    fn call<P: wasmtime::WasmParams>(&mut self, name: &str, parameters: P) -> Option<u32> {
        let function = self.instance.get_typed_func::<P, u32>(&mut self.store, name).unwrap();
        function.call(&mut self.store, parameters).ok()
    }
}

#[test]
fn a_list_on_its_way_out_is_not_touched_by_a_list_that_the_guests_realloc_asks_for() {
    const COUNT: u32 = 100;
    let mut guest = Guest::start();
    assert_eq!(guest.call("drain-and-read", COUNT), Some(COUNT));
    let mut handles: Vec<u32> = (0..COUNT)
        .map(|index| {
            assert_eq!(guest.call("drained", 2 * index), Some(7), "the kind of {index}");
            guest.call("drained", 2 * index + 1).unwrap()
        })
        .collect();
    handles.sort_unstable();
    assert_eq!(handles, (0..COUNT).collect::<Vec<u32>>());
}

#[test]
fn a_list_that_is_no_list_traps() {
    // Empty, full, and at the end of what an object of eight bytes takes.
    for (at, count, answer) in [(0, 0, 0), (1024, 2, 0), (1024, 3, 1)] {
        assert_eq!(Guest::start().call("create-from", (at, count)), Some(answer), "{at} {count}");
    }
    let beyond = 1 << 30;
    for (at, count) in [(1025, 1), (1026, 0), (beyond, 1), (1024, u32::MAX), (u32::MAX - 3, 2)] {
        assert_eq!(Guest::start().call("create-from", (at, count)), None, "{at} {count}");
    }
}

#[test]
fn a_case_that_there_is_not_traps() {
    for (option, case) in [(0, 0), (0, 9), (1, 0), (1, 1), (1, 2)] {
        assert_eq!(Guest::start().call("configure-with", (option, case)), Some(0));
    }
    for (option, case) in [(2, 0), (1, 3), (u32::MAX, 1), (1, u32::MAX)] {
        assert_eq!(Guest::start().call("configure-with", (option, case)), None, "{option} {case}");
    }
}
