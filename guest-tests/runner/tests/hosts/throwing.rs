//! A `release` that fails. The contract forbids it; these tests show what each host then does.
//! A handle that was handed out never comes again. docs/reliability.md says which are lost.

use std::collections::HashMap;

use tether_model::call::Code;
use wasmtime::component::{Linker, Val as ComponentVal};
use wasmtime::{Engine, Func, Instance, Module, Store, Val, bail};

use crate::bare::load;
use crate::support::{artifact, jco_harness, on_every_jco, run_json};

/// The core module's caller can go on. The heap stays busy for ever, and repeats no handle.
#[test]
fn the_core_module_is_busy_for_ever() {
    let engine = Engine::default();
    let module = Module::from_file(&engine, artifact("tether_gc.core.wasm")).unwrap();
    let mut store = Store::new(&engine, 0_u32);
    let release = Func::wrap(
        &mut store,
        |mut caller: wasmtime::Caller<'_, u32>, _: i32, _: i32| -> wasmtime::Result<i32> {
            *caller.data_mut() += 1;
            bail!("the host fails")
        },
    );
    let instance = Instance::new(&mut store, &module, &[release.into()]).unwrap();
    let call = |store: &mut Store<u32>, name: &str, words: &[i32]| {
        let function = instance.get_func(&mut *store, name).unwrap();
        let words: Vec<Val> = words.iter().map(|&word| Val::I32(word)).collect();
        let mut answer = [Val::I32(0)];
        function.call(store, &words, &mut answer).map(|()| answer[0].unwrap_i32())
    };
    for handle in 0..10 {
        assert_ne!(call(&mut store, "tether_wrap", &[1, handle, 0]).unwrap(), 0);
    }
    assert!(call(&mut store, "tether_collect", &[]).is_err());
    for _ in 0..3 {
        assert_eq!(call(&mut store, "tether_collect", &[]).unwrap(), Code::Busy as i32);
        assert_eq!(call(&mut store, "tether_close", &[]).unwrap(), Code::Busy as i32);
        assert_eq!(call(&mut store, "tether_wrap", &[1, 99, 0]).unwrap(), 0);
    }
    assert_eq!(*store.data(), 1, "the batch was offered again");
}

/// wasmtime does not enter a component again after one of its imports failed.
#[test]
fn wasmtime_enters_the_component_no_more() {
    let (engine, component) = load("tether-gc-push.wasm");
    let mut linker = Linker::<u32>::new(&engine);
    linker
        .instance("tether:gc/releaser@0.1.0")
        .unwrap()
        .func_new("release", |mut store, _, _, _| {
            *store.data_mut() += 1;
            bail!("the host fails")
        })
        .unwrap();
    let mut store = Store::new(&engine, 0);
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let functions: HashMap<&str, _> =
        [("wrap", "tether:gc/wrappers@0.1.0"), ("collect", "tether:gc/heap@0.1.0")]
            .into_iter()
            .map(|(name, interface)| {
                let interface = instance.get_export_index(&mut store, None, interface).unwrap();
                let index = instance.get_export_index(&mut store, Some(&interface), name).unwrap();
                (name, instance.get_func(&mut store, index).unwrap())
            })
            .collect();
    let mut answer = [ComponentVal::Bool(false)];
    for handle in 0..10 {
        let words = [7, handle, 0].map(ComponentVal::U32);
        functions["wrap"].call(&mut store, &words, &mut answer).unwrap();
    }
    assert!(functions["collect"].call(&mut store, &[], &mut answer).is_err());
    for _ in 0..3 {
        assert!(functions["collect"].call(&mut store, &[], &mut answer).is_err());
    }
    assert_eq!(*store.data(), 1, "the batch came again");
}

on_every_jco![jco_goes_on_and_the_collector_repeats_nothing];

fn jco_goes_on_and_the_collector_repeats_nothing(version: &str) {
    let (exit, seen) =
        run_json(jco_harness("throw.mjs", version).arg(artifact("tether-gc-push.wasm")));
    assert_eq!(exit, 0, "{seen}");
    assert_eq!(seen["thrown"], "threw", "{seen}");
    assert_eq!(seen["delivered"], 256, "the first batch, and no other: {seen}");
    assert_eq!(seen["delivered_twice"], 0, "{seen}");
    for later in ["afterwards", "closed"] {
        assert!(seen[later] == "busy" || seen[later] == "failed", "{seen}");
    }
}
