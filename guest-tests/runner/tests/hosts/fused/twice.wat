;; A part of which there are two instances, and a part that calls both.
(component
  (component $counter
    (core module $module
      (global $count (mut i32) (i32.const 0))
      (func (export "next") (param i32) (result i32)
        (global.set $count (i32.add (global.get $count) (local.get 0)))
        (global.get $count)))
    (core instance $instance (instantiate $module))
    (func (export "next") (param "by" u32) (result u32)
      (canon lift (core func $instance "next"))))
  (component $adder
    (import "one" (func $one (param "by" u32) (result u32)))
    (import "other" (func $other (param "by" u32) (result u32)))
    (core func $core-one (canon lower (func $one)))
    (core func $core-other (canon lower (func $other)))
    (core module $module
      (import "" "one" (func $one (param i32) (result i32)))
      (import "" "other" (func $other (param i32) (result i32)))
      ;; The one counts all, the other counts hundreds, and one call in three is the first.
      (func (export "run") (result i32)
        (i32.add
          (call $one (i32.const 1))
          (i32.sub (call $other (i32.const 100)) (i32.const 100)))))
    (core instance $instance (instantiate $module
      (with "" (instance (export "one" (func $core-one)) (export "other" (func $core-other))))))
    (func (export "run") (result u32) (canon lift (core func $instance "run"))))
  (instance $one (instantiate $counter))
  (instance $other (instantiate $counter))
  (instance $adder (instantiate $adder
    (with "one" (func $one "next"))
    (with "other" (func $other "next"))))
  (export "run" (func $adder "run")))
