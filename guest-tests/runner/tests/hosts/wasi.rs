//! The collector for WASI hosts: options from the environment, a line for each
//! collection, and pauses.

use crate::bare::{DEFAULTS, ErrorCode, Heap, LEAF, Options, code, fresh_wasi};

fn stderr(heap: &mut Heap) -> String {
    String::from_utf8(heap.world().wasi.stderr.clone()).unwrap()
}

#[test]
fn trace_writes_a_line_for_each_collection_and_pauses_are_timed() {
    let mut heap = fresh_wasi(Some("trace=1"));
    for _ in 0..3 {
        let object = heap.allocate(LEAF, 1 << 16).unwrap();
        heap.push(object).unwrap();
        heap.collect().unwrap();
    }
    let trace = stderr(&mut heap);
    assert_eq!(trace.lines().count(), 3, "{trace}");
    for (index, line) in trace.lines().enumerate() {
        let start = format!("tether-gc: collection {} ", index + 1);
        assert!(line.starts_with(&start), "{line}");
    }
    let statistics = heap.statistics();
    assert_eq!(statistics.collections, 3);
    assert!(statistics.pause_longest_ns > 0);
    assert!(statistics.pause_total_ns >= statistics.pause_longest_ns);
    assert!(statistics.pause_total_ns < 60_000_000_000);
}

#[test]
fn without_the_variable_nothing_is_written() {
    let mut heap = fresh_wasi(None);
    heap.allocate(LEAF, 8).unwrap();
    heap.collect().unwrap();
    assert_eq!(stderr(&mut heap), "");
    assert!(heap.statistics().pause_total_ns > 0);
}

#[test]
fn options_of_the_environment_go_before_those_of_the_program() {
    let mut heap = fresh_wasi(Some("limit=2M,wrap-capacity=32,wrap-limit=32,stress=1"));
    heap.configure(Options { wrap_capacity: 64, ..DEFAULTS }).unwrap();
    for handle in 0..32 {
        let wrapper = heap.wrap(1, handle, 0).unwrap();
        heap.push(wrapper).unwrap();
    }
    assert_eq!(code(heap.wrap(1, 32, 0)), ErrorCode::WrapTableFull);
    assert_eq!(code(heap.allocate(LEAF, 2 << 20)), ErrorCode::OutOfMemory);
    let statistics = heap.statistics();
    assert_eq!(statistics.wrap_table_capacity, 32);
    assert!(statistics.collections >= 32, "{statistics:?}");
    heap.assert_sound();
}

#[test]
fn what_is_not_understood_is_named() {
    let mut heap = fresh_wasi(Some("colour=red,limit=lots,trace=1"));
    heap.allocate(LEAF, 8).unwrap();
    heap.collect().unwrap();
    let lines = stderr(&mut heap);
    assert!(lines.contains("colour=red"), "{lines}");
    assert!(lines.contains("limit=lots"), "{lines}");
    assert!(lines.contains("collection 1 "), "{lines}");
}

/// A host that transcodes a string may guess its size, and have the memory grow on its way.
#[test]
fn memory_for_a_string_that_comes_in_grows_and_keeps_its_bytes() {
    let path = crate::support::artifact("core/tether-gc-wasi.wasm");
    let engine = wasmtime::Engine::default();
    let module = wasmtime::Module::from_file(&engine, path).unwrap();
    let mut linker = wasmtime::Linker::new(&engine);
    linker.define_unknown_imports_as_traps(&module).unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let realloc =
        instance.get_typed_func::<(u32, u32, u32, u32), u32>(&mut store, "cabi_realloc").unwrap();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    let small = realloc.call(&mut store, (0, 0, 1, 10)).unwrap();
    memory.write(&mut store, small as usize, b"0123456789").unwrap();
    let large = realloc.call(&mut store, (small, 10, 1, 3_000)).unwrap();
    let mut bytes = [0; 10];
    memory.read(&store, large as usize, &mut bytes).unwrap();
    assert_eq!(&bytes, b"0123456789");
    let less = realloc.call(&mut store, (large, 3_000, 1, 4)).unwrap();
    memory.read(&store, less as usize, &mut bytes[..4]).unwrap();
    assert_eq!(&bytes[..4], b"0123");
}
