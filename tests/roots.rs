//! Roots: the shadow stack, scopes and pins. Overflow is an error and changes nothing.

mod common;

use common::{at_size, heap};
use tether_gc::{Error, Options, layout::LEAF};

#[test]
fn the_shadow_stack_roots_and_overflows_without_harm() {
    let mut heap = heap(Options { root_capacity: 10, ..Options::DEFAULT });
    let objects: Vec<_> = (0..10)
        .map(|_| {
            let object = heap.allocate(LEAF, 8).unwrap();
            heap.push(object).unwrap();
            object
        })
        .collect();
    let before = heap.statistics();
    let full = Err(Error::RootStackFull { capacity: 10 });
    assert_eq!(heap.push(objects[0]), full);
    assert_eq!(heap.push_many(&[0, 0]), full);
    assert_eq!(heap.enter_scope(), full);
    assert_eq!(heap.statistics(), before);
    heap.collect().unwrap();
    assert!(objects.iter().all(|&object| heap.is_object(object)));
    assert_eq!(heap.pop(), Ok(objects[9]));
    assert_eq!(heap.truncate(4), Ok(()));
    assert_eq!(heap.truncate(5), Err(Error::NoSuchRoot { index: 5 }));
    assert_eq!(heap.root(4), Err(Error::NoSuchRoot { index: 4 }));
    assert_eq!(heap.set_root(4, 0), Err(Error::NoSuchRoot { index: 4 }));
    assert_eq!(heap.set_root(3, 0), Ok(()));
    heap.collect().unwrap();
    let live = objects.iter().filter(|&&object| heap.is_object(object)).count();
    assert_eq!(live, 3);
    heap.truncate(0).unwrap();
    assert_eq!(heap.pop(), Err(Error::NoSuchRoot { index: 0 }));
    assert_eq!(heap.verify(), None);
}

#[test]
fn push_many_pushes_all_or_none() {
    let mut heap = heap(Options::DEFAULT);
    let object = heap.allocate(LEAF, 8).unwrap();
    assert_eq!(
        heap.push_many(&[object, 0, object + 4]),
        Err(Error::InvalidRef { reference: object + 4 })
    );
    assert_eq!(heap.depth(), 0);
    heap.push_many(&[object, 0]).unwrap();
    assert_eq!((heap.root(0), heap.root(1)), (Ok(object), Ok(0)));
}

#[test]
fn a_scope_roots_what_is_made_in_it_and_keeps_one() {
    let mut heap = heap(Options::DEFAULT);
    assert_eq!(heap.leave_scope(0), Err(Error::NoScope));
    heap.enter_scope().unwrap();
    let outer: Vec<_> = (0..5).map(|_| heap.allocate(LEAF, 8).unwrap()).collect();
    heap.enter_scope().unwrap();
    let inner: Vec<_> = (0..5).map(|_| heap.wrap(1, 2, 0).unwrap()).collect();
    heap.collect().unwrap();
    assert!(outer.iter().chain(&inner).all(|&object| heap.is_object(object)));
    assert_eq!(heap.leave_scope(inner[0] + 4), Err(Error::InvalidRef { reference: inner[0] + 4 }));
    assert_eq!(heap.scope_depth(), 2, "a refused leave leaves the scope open");
    heap.leave_scope(inner[3]).unwrap();
    heap.collect().unwrap();
    assert!(outer.iter().all(|&object| heap.is_object(object)));
    let kept: Vec<_> = inner.iter().filter(|&&object| heap.is_object(object)).collect();
    assert_eq!(kept, [&inner[3]], "the outer scope roots what the inner one kept");
    heap.leave_scope(0).unwrap();
    heap.collect().unwrap();
    assert_eq!(heap.statistics().live_bytes, 0);
    assert_eq!(heap.verify(), None);
}

#[test]
fn scopes_and_pushed_roots_do_not_disturb_each_other() {
    let mut heap = heap(Options::DEFAULT);
    let first = heap.allocate(LEAF, 8).unwrap();
    heap.push(first).unwrap();
    heap.enter_scope().unwrap();
    let second = heap.allocate(LEAF, 8).unwrap();
    assert_eq!(heap.pop(), Ok(first), "an object rooted by the scope is not on the stack");
    heap.push(second).unwrap();
    heap.leave_scope(0).unwrap();
    assert_eq!(heap.pop(), Ok(second));
}

#[test]
fn scopes_and_pushed_roots_share_the_capacity() {
    let mut heap = heap(Options { root_capacity: 8, ..Options::DEFAULT });
    heap.enter_scope().unwrap();
    for _ in 0..4 {
        heap.allocate(LEAF, 8).unwrap();
    }
    for _ in 0..3 {
        heap.push(0).unwrap();
    }
    let full = Error::RootStackFull { capacity: 8 };
    let before = heap.statistics();
    assert_eq!(heap.push(0), Err(full));
    assert_eq!(heap.allocate(LEAF, 8), Err(full));
    assert_eq!(heap.wrap(1, 1, 0), Err(full));
    assert_eq!(heap.enter_scope(), Err(full));
    assert_eq!(heap.statistics(), before);
    // Leaving always works, because the scope's own slot becomes free.
    let kept = heap.root(0).unwrap();
    heap.leave_scope(kept).unwrap();
    heap.push(0).unwrap();
    assert_eq!(heap.verify(), None);
}

#[test]
fn a_thousand_scopes_nest() {
    const SCOPES: u32 = at_size(1_000, 30);
    let mut heap = heap(Options::DEFAULT);
    for _ in 0..SCOPES {
        heap.enter_scope().unwrap();
        heap.allocate(LEAF, 8).unwrap();
    }
    heap.collect().unwrap();
    assert_eq!(heap.statistics().live_bytes, 8 * u64::from(SCOPES));
    for depth in (0..SCOPES).rev() {
        heap.leave_scope(0).unwrap();
        assert_eq!(heap.scope_depth(), depth);
    }
    heap.collect().unwrap();
    assert_eq!(heap.statistics().live_bytes, 0);
    assert_eq!(heap.statistics().roots, 0);
}

#[test]
fn pins_are_counted() {
    let mut heap = heap(Options::DEFAULT);
    let objects: Vec<_> = (0..at_size(1_000, 30))
        .map(|_| {
            let object = heap.allocate(LEAF, 8).unwrap();
            assert_eq!(heap.pin(object), Ok(1));
            object
        })
        .collect();
    assert_eq!(heap.pin(objects[1]), Ok(2));
    heap.collect().unwrap();
    for &object in &objects {
        heap.unpin(object).unwrap();
    }
    assert_eq!(heap.unpin(objects[0]), Err(Error::NotPinned { reference: objects[0] }));
    heap.collect().unwrap();
    assert_eq!(heap.statistics().live_bytes, 8);
    assert_eq!(heap.unpin(objects[1]), Ok(0));
    heap.collect().unwrap();
    assert_eq!(heap.statistics().live_bytes, 0);
    assert_eq!(heap.verify(), None);
}
