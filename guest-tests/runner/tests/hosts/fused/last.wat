;; The last of the three parts. It does the work.
(module
  (import "test:fused/log" "note" (func $log (param i32 i32 i32 i32 i32)))
  (import "test:fused/log" "count" (func $count (param i32) (result i32)))
  (import "$root" "note" (func $note (param i32 i32 i32)))
  (memory (export "memory") 1 8)
  (data (i32.const 128) "none")
  (global $next (mut i32) (i32.const 1024))
  (global $calls-out (mut i32) (i32.const 0))

  ;; Gives space, and never takes it back.
  (func (export "cabi_realloc")
      (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
    (if (global.get $calls-out) (then (drop (call $count (i32.const 1)))))
    (local.set $old
      (i32.and
        (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $next (i32.add (local.get $old) (local.get $size)))
    (if (i32.gt_u (global.get $next) (i32.shl (memory.size) (i32.const 16)))
      (then
        (drop
          (memory.grow
            (i32.add
              (i32.shr_u
                (i32.sub (global.get $next) (i32.shl (memory.size) (i32.const 16)))
                (i32.const 16))
              (i32.const 1))))))
    (local.get $old))

  (func (export "test:fused/back#text") (param i32 i32) (result i32)
    (call $note (local.get 0) (local.get 1) (i32.const 16))
    (call $log (i32.load (i32.const 16)) (i32.load (i32.const 20))
      (i32.const 0) (i32.const 0) (i32.const 24))
    (i32.const 16))
  (func (export "cabi_post_test:fused/back#text") (param i32)
    (global.set $next (i32.const 1024)))

  (func (export "test:fused/back#points") (param i32 i32) (result i32)
    (call $log (i32.const 0) (i32.const 0) (local.get 0) (local.get 1) (i32.const 16))
    ;; The points without the first.
    (if (local.get 1)
      (then
        (local.set 0 (i32.add (local.get 0) (i32.const 16)))
        (local.set 1 (i32.sub (local.get 1) (i32.const 1)))))
    (i32.store (i32.const 16) (local.get 0))
    (i32.store (i32.const 20) (local.get 1))
    (i32.const 16))

  ;; With a word: the text, the point, and the word. Without: the mood's text.
  (func (export "test:fused/back#mixed")
    (param $word i32) (param $w i64) (param $is-error i32) (param $p i32) (param $l i32)
    (param $x i32) (param $y i64) (param $mood i32) (param $q i64) (param $m i32)
    (result i32)
    (if (local.get $word)
      (then
        (i32.store8 (i32.const 16) (i32.const 0))
        (if (local.get $is-error)
          (then (local.set $p (i32.const 0)) (local.set $l (i32.const 0))))
        (i32.store (i32.const 24) (local.get $p))
        (i32.store (i32.const 28) (local.get $l))
        (i32.store8 (i32.const 64) (local.get $x))
        (i64.store (i32.const 72) (local.get $y))
        (i32.store (i32.const 32) (i32.const 64))
        (i32.store (i32.const 36) (i32.const 1))
        (f64.store (i32.const 40) (f64.convert_i64_u (local.get $w))))
      (else
        (i32.store8 (i32.const 16) (i32.const 1))
        (i32.store (i32.const 24) (i32.const 128))
        (i32.store (i32.const 28) (i32.const 4))
        (if (i32.eq (local.get $mood) (i32.const 1))
          (then
            (i32.store (i32.const 24) (i32.wrap_i64 (local.get $q)))
            (i32.store (i32.const 28) (local.get $m))))))
    (i32.const 16))

  ;; The text b, the texts e, and the sum of a, c, f and j.
  (func (export "test:fused/back#many") (param $at i32) (result i32)
    (i64.store (i32.const 16) (i64.load offset=8 (local.get $at)))
    (i64.store (i32.const 24) (i64.load offset=32 (local.get $at)))
    (i64.store (i32.const 32)
      (i64.add
        (i64.add (i64.load (local.get $at)) (i64.load8_u offset=16 (local.get $at)))
        (i64.add (i64.load16_u offset=40 (local.get $at)) (i64.load offset=64 (local.get $at)))))
    (i32.const 16))

  ;; The host reads what is at the address.
  (func (export "test:fused/back#raw") (param i32 i32 i32) (result i32)
    (if (local.get 0)
      (then
        (call $log (i32.const 0) (i32.const 0) (local.get 1) (local.get 2) (i32.const 16)))
      (else
        (call $log (local.get 1) (local.get 2) (i32.const 0) (i32.const 0) (i32.const 16))))
    (i32.load (i32.const 20)))

  ;; From 99 on, `cabi_realloc` calls the host, which is not allowed.
  (func (export "test:fused/back#deep") (param i32) (result i32)
    (global.set $calls-out (i32.ge_u (local.get 0) (i32.const 99)))
    (i32.add (memory.size) (call $count (local.get 0)))))
