;; The guest of linked.rs. Each export makes calls that bindings would not make.
(module
  (import "env" "memory" (memory 1))
  (import "tether:gc/heap@0.1.0" "configure"
    (func $configure (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "tether:gc/heap@0.1.0" "allocate" (func $allocate (param i32 i32 i32)))
  (import "tether:gc/heap@0.1.0" "create" (func $create (param i32 i32 i32 i32 i32)))
  (import "tether:gc/heap@0.1.0" "read-bytes" (func $read-bytes (param i32 i32 i32 i32)))
  (import "tether:gc/heap@0.1.0" "collect" (func $collect (param i32)))
  (import "tether:gc/roots@0.1.0" "push" (func $push (param i32 i32)))
  (import "tether:gc/wrappers@0.1.0" "wrap" (func $wrap (param i32 i32 i32 i32)))
  (import "tether:gc/wrappers@0.1.0" "drain" (func $drain (param i32 i32)))

  ;; An object that `cabi_realloc` reads once, through a list of its own; null for none.
  (global $read-inside (mut i32) (i32.const 0))
  (global $next (mut i32) (i32.const 4096))

  (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
    (local $object i32)
    (local $place i32)
    (local.set $object (global.get $read-inside))
    (if (local.get $object)
      (then
        (global.set $read-inside (i32.const 0))
        (call $read-bytes (local.get $object) (i32.const 0) (i32.const 64) (i32.const 512))))
    (local.set $place (global.get $next))
    (global.set $next (i32.add (local.get $place) (i32.and (i32.add (local.get $size) (i32.const 7)) (i32.const -8))))
    (local.get $place))

  ;; Wraps the handles 0 to count - 1, lets them die, and drains them, while `cabi_realloc` reads.
  ;; Gives how many came.
  (func (export "drain-and-read") (param $count i32) (result i32)
    (local $handle i32)
    (call $allocate (i32.const 0) (i32.const 64) (i32.const 16))
    (call $push (i32.load (i32.const 20)) (i32.const 16))
    (loop $more
      (call $wrap (i32.const 7) (local.get $handle) (i32.const 0) (i32.const 32))
      (local.set $handle (i32.add (local.get $handle) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $handle) (local.get $count))))
    (call $collect (i32.const 32))
    (call $allocate (i32.const 0) (i32.const 64) (i32.const 16))
    (global.set $read-inside (i32.load (i32.const 20)))
    (call $drain (local.get $count) (i32.const 48))
    (i32.load (i32.const 52)))
  ;; The word at an index of the drained list.
  (func (export "drained") (param $index i32) (result i32)
    (i32.load (i32.add (i32.load (i32.const 48)) (i32.shl (local.get $index) (i32.const 2)))))

  ;; Makes an object from a list at an address. Gives the answer's first byte.
  (func (export "create-from") (param $at i32) (param $count i32) (result i32)
    (call $create (i32.const 0) (i32.const 8) (local.get $at) (local.get $count) (i32.const 16))
    (i32.load8_u (i32.const 16)))

  ;; Configures with a case of `sizing`, which is given as an option: 0 for none, 1 for some.
  (func (export "configure-with") (param $option i32) (param $case i32) (result i32)
    (call $configure (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (local.get $option) (local.get $case) (i32.const 100) (i32.const 0)
      (i32.const 16))
    (i32.load8_u (i32.const 16))))
