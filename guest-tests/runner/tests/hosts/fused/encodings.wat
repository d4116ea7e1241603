;; Two parts that keep strings in the encodings CALLER and CALLEE. The caller hands a string on to
;; the callee, which gives it back; BYTES is how many bytes a string of $units has at the caller.
(component
  (core module $memory
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    ;; Space that grows at its place if nothing else was asked for since.
    (func (export "realloc")
        (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $new i32)
      (local.set $new (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $new) (local.get $size)))
      (memory.copy (local.get $new) (local.get $old)
        (select (local.get $old-size) (local.get $size)
          (i32.lt_u (local.get $old-size) (local.get $size))))
      (local.get $new)))
  (component $callee
    (alias outer 1 $memory (core module $memory))
    (core instance $memory (instantiate $memory))
    (core module $module
      (import "" "memory" (memory 1))
      (func (export "echo") (param i32 i32) (result i32)
        (i32.store (i32.const 16) (local.get 0))
        (i32.store (i32.const 20) (local.get 1))
        (i32.const 16)))
    (core instance $instance (instantiate $module (with "" (instance $memory))))
    (func (export "echo") (param "text" string) (result string)
      (canon lift (core func $instance "echo") string-encoding=CALLEE
        (memory (core memory $memory "memory")) (realloc (core func $memory "realloc")))))
  (component $caller
    (import "echo" (func $echo (param "text" string) (result string)))
    (alias outer 1 $memory (core module $memory))
    (core instance $memory (instantiate $memory))
    (core func $core-echo
      (canon lower (func $echo) string-encoding=CALLER
        (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
    (core module $module
      (import "" "memory" (memory 1))
      (import "" "echo" (func $echo (param i32 i32 i32)))
      (func $text (export "text") (param i32 i32) (result i32)
        (call $echo (local.get 0) (local.get 1) (i32.const 16))
        (i32.const 16))
      ;; Takes bytes for a string of so many units, and gives the bytes of the string that comes
      ;; back.
      (func (export "raw") (param $at i32) (param $length i32) (param $units i32) (result i32)
        (drop (call $text (local.get $at) (local.get $units)))
        (local.set $units (i32.load (i32.const 20)))
        (i32.store (i32.const 20) BYTES)
        (i32.const 16)))
    (core instance $instance (instantiate $module
      (with "" (instance
        (export "memory" (memory $memory "memory"))
        (export "echo" (func $core-echo))))))
    (func (export "text") (param "text" string) (result string)
      (canon lift (core func $instance "text") string-encoding=CALLER
        (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
    (func (export "raw") (param "bytes" (list u8)) (param "units" u32) (result (list u8))
      (canon lift (core func $instance "raw")
        (memory (core memory $memory "memory")) (realloc (core func $memory "realloc")))))
  (instance $callee (instantiate $callee))
  (instance $caller (instantiate $caller (with "echo" (func $callee "echo"))))
  (export "text" (func $caller "text"))
  (export "raw" (func $caller "raw")))
