;; The glue between a Vera program and the collector: functions with the names and types
;; of Vera's own `$alloc` and `$register_wrapper`, over the functions of
;; docs/core-abi.md. The swap supplies the definitions that depend on the program:
;; `$gc_sp`, `$gc_stack_limit`, `$heap_ptr`, `$tether.exhausted` and `$tether.decref`.
;;
;; 1. The program keeps its shadow-stack pointer in a global, `$gc_sp`, which its
;;    host reads and sets too. The collector keeps its pointer in memory, at state + 12.
;;    The glue stores the program's pointer there before every call that may collect.
;;    These calls leave the pointer as it is, so the glue does not read it back.
;; 2. `$heap_ptr` only rises: to the highest address that an object or the window
;;    has reached, less the memory below the heap that is not the program's. Vera's
;;    host reads it as the peak of the heap.
;; 3. Outside the heap the glue writes to the collector's state alone.

;; The program's `$alloc`: for sizes that are not known when the program is compiled, for
;; large objects, and for small ones if the window has no room for the inline code.
(func $alloc (param $size i32) (result i32)
  (local $object i32)
  (local $reached i32)
  (local $granules i32)
  (i32.store offset=12 (global.get $tether.state) (global.get $gc_sp))
  (local.set $object
    (if (result i32) (i32.le_u (local.get $size) (i32.const 64))
      (then
        ;; An object of up to eight granules has only reference slots, so that it is traced
        ;; like a conservative one. Zero bytes take a granule.
        (local.set $granules
          (i32.shr_u
            (i32.add (select (local.get $size) (i32.const 1) (local.get $size)) (i32.const 7))
            (i32.const 3)))
        (call $tether.tether_allocate_small
          (local.get $granules)
          (i64.shr_u
            (i64.const 0x1818181818181818)
            (i64.extend_i32_u (i32.shl (i32.sub (i32.const 8) (local.get $granules)) (i32.const 3))))))
      (else
        (call $tether.tether_allocate
          (global.get $tether.words)
          (i32.add
            (i32.shr_u (local.get $size) (i32.const 2))
            (i32.ne (i32.and (local.get $size) (i32.const 3)) (i32.const 0)))))))
  (if (i32.eqz (local.get $object)) (then (call $tether.exhausted) (unreachable)))
  ;; The window ends above every object in it; a large object is outside any window.
  (local.set $reached (i32.add (local.get $object) (local.get $size)))
  (if (i32.lt_u (local.get $reached) (i32.load offset=32 (global.get $tether.state)))
    (then (local.set $reached (i32.load offset=32 (global.get $tether.state)))))
  (local.set $reached (i32.sub (local.get $reached) (global.get $tether.below_heap)))
  (if (i32.gt_u (local.get $reached) (global.get $heap_ptr))
    (then (global.set $heap_ptr (local.get $reached))))
  (local.get $object))

;; The collector roots the wrapper itself while it makes room for the entry.
(func $register_wrapper (param $wrapper i32) (param $kind i32) (param $handle i32)
  (local $error i32)
  (i32.store offset=12 (global.get $tether.state) (global.get $gc_sp))
  (local.set $error
    (call $tether.tether_register
      (local.get $wrapper) (local.get $kind) (local.get $handle) (i32.const 0)))
  (if (local.get $error)
    (then
      ;; 1 out of memory, 2 wrap table full: the program has used up its memory or its
      ;; table. Other errors come from a fault in a compiler or a host alone.
      (if (i32.le_u (local.get $error) (i32.const 2)) (then (call $tether.exhausted)))
      (unreachable))))

;; The collector's one import. Nothing may call the collector from in here, and Vera's
;; host does not.
(func $tether.release (param $handles i32) (param $count i32) (result i32)
  (local $end i32)
  (local.set $end
    (i32.add (local.get $handles) (i32.shl (local.get $count) (i32.const 3))))
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $handles) (local.get $end)))
      (call $tether.decref
        (i32.load (local.get $handles)) (i32.load offset=4 (local.get $handles)))
      (local.set $handles (i32.add (local.get $handles) (i32.const 8)))
      (br $next)))
  (local.get $count))

;; The layout of an object in which every word may be a reference.
(global $tether.words (mut i32) (i32.const 0))

(func $tether.begin
  (if (call $tether.tether_start (global.get $tether.options))
    (then (call $tether.exhausted) (unreachable)))
  (global.set $tether.words
    (call $tether.tether_define_layout
      (i32.const 0) (i64.const 0) (i32.const 1) (i64.const 1)))
  (if (i32.eqz (global.get $tether.words))
    (then (call $tether.exhausted) (unreachable))))

(start $tether.begin)

;; Exports for the runner and the tests, which look at the heap from outside.
(export "tether.read_statistics" (func $tether.read_statistics))
(export "tether.verify" (func $tether.verify))

(func $tether.read_statistics (param $into i32) (result i32)
  (i32.store offset=12 (global.get $tether.state) (global.get $gc_sp))
  (call $tether.tether_read_statistics (local.get $into)))
(func $tether.verify (param $at i32) (result i32)
  (i32.store offset=12 (global.get $tether.state) (global.get $gc_sp))
  (call $tether.tether_verify (local.get $at)))
