;; The second of the three parts. It calls the last, and the host.
(module
  (import "test:fused/log" "note" (func $log (param i32 i32 i32 i32 i32)))
  (import "test:fused/log" "count" (func $count (param i32) (result i32)))
  (import "$root" "note" (func $note (param i32 i32 i32)))
  (import "test:fused/back" "text" (func $text (param i32 i32 i32)))
  (import "test:fused/back" "points" (func $points (param i32 i32 i32)))
  (import "test:fused/back" "mixed"
    (func $mixed (param i32 i64 i32 i32 i32 i32 i64 i32 i64 i32 i32)))
  (import "test:fused/back" "many" (func $many (param i32 i32)))
  (import "test:fused/back" "deep" (func $deep (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 2048))
  (global $started (mut i32) (i32.const 0))
  (start $start)
  (func $start (global.set $started (i32.const 1000)))

  ;; Gives space in 64 KiB, and begins anew when they are full.
  (func (export "cabi_realloc")
      (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
    (local.set $old
      (i32.and
        (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (if (i32.gt_u (i32.add (local.get $old) (local.get $size)) (i32.const 65536))
      (then (local.set $old (i32.const 2048))))
    (global.set $next (i32.add (local.get $old) (local.get $size)))
    (local.get $old))

  (func (export "test:fused/middle#text") (param i32 i32) (result i32)
    (call $note (local.get 0) (local.get 1) (i32.const 48))
    (call $text (local.get 0) (local.get 1) (i32.const 16))
    (call $log (i32.load (i32.const 16)) (i32.load (i32.const 20))
      (i32.const 0) (i32.const 0) (i32.const 32))
    (i32.const 16))

  (func (export "test:fused/middle#points") (param i32 i32) (result i32)
    (call $points (local.get 0) (local.get 1) (i32.const 16))
    (call $log (i32.const 0) (i32.const 0)
      (i32.load (i32.const 16)) (i32.load (i32.const 20)) (i32.const 32))
    (i32.const 16))

  (func (export "test:fused/middle#mixed")
    (param i32 i64 i32 i32 i32 i32 i64 i32 i64 i32) (result i32)
    (call $mixed
      (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
      (local.get 6) (local.get 7) (local.get 8) (local.get 9) (i32.const 16))
    (i32.const 16))

  (func (export "test:fused/middle#many") (param i32) (result i32)
    (call $many (local.get 0) (i32.const 16))
    (i32.const 16))

  (func (export "test:fused/middle#raw") (param i32 i32 i32) (result i32)
    (if (local.get 0)
      (then (call $points (local.get 1) (local.get 2) (i32.const 16)))
      (else (call $text (local.get 1) (local.get 2) (i32.const 16))))
    (i32.load (i32.const 20)))

  (func (export "test:fused/middle#deep") (param i32) (result i32)
    (i32.add
      (i32.add (global.get $started) (call $count (i32.const 7)))
      (call $deep (local.get 0)))))
