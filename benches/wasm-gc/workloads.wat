;; The workloads W1 to W5 for engines with Wasm GC; see ../c/workloads.c for what
;; each does. Objects are made with their fields, as a compiler would. An object that
;; dies at once escapes to $sink on a branch that is never taken. wasm-opt and V8 cannot
;; know that; otherwise they would take the object apart and allocate nothing.
(module
  (global $sink (export "sink") (mut anyref) (ref.null any))
  (global $never (export "never") (mut i32) (i32.const -1))

  ;; W1

  (type $tree (struct
    (field $left (mut (ref null $tree)))
    (field $right (mut (ref null $tree)))))

  (func $make_tree (param $depth i32) (result (ref $tree))
    (if (result (ref $tree)) (i32.eqz (local.get $depth))
      (then (struct.new_default $tree))
      (else
        (struct.new $tree
          (call $make_tree (i32.sub (local.get $depth) (i32.const 1)))
          (call $make_tree (i32.sub (local.get $depth) (i32.const 1)))))))

  (func $count_tree (param $node (ref $tree)) (result i32)
    (local $left (ref null $tree))
    (local.set $left (struct.get $tree $left (local.get $node)))
    (if (result i32) (ref.is_null (local.get $left))
      (then (i32.const 1))
      (else
        (i32.add
          (i32.const 1)
          (i32.add
            (call $count_tree (ref.as_non_null (local.get $left)))
            (call $count_tree (ref.as_non_null (struct.get $tree $right (local.get $node)))))))))

  (func (export "w1") (param $max_depth i32) (result i64)
    (local $sum i64) (local $depth i32) (local $i i32) (local $long_lived (ref null $tree))
    (local.set $sum (i64.extend_i32_u
      (call $count_tree (call $make_tree (i32.add (local.get $max_depth) (i32.const 1))))))
    (local.set $long_lived (call $make_tree (local.get $max_depth)))
    (local.set $depth (i32.const 4))
    (loop $depths
      (local.set $i (i32.shl (i32.const 1)
        (i32.add (i32.sub (local.get $max_depth) (local.get $depth)) (i32.const 4))))
      (loop $iterations
        (local.set $sum (i64.add (local.get $sum)
          (i64.mul (i64.extend_i32_u (local.get $depth))
            (i64.extend_i32_u (call $count_tree (call $make_tree (local.get $depth)))))))
        (local.set $i (i32.sub (local.get $i) (i32.const 1)))
        (br_if $iterations (local.get $i)))
      (local.set $depth (i32.add (local.get $depth) (i32.const 2)))
      (br_if $depths (i32.le_s (local.get $depth) (local.get $max_depth))))
    (i64.add (local.get $sum)
      (i64.extend_i32_u (call $count_tree (ref.as_non_null (local.get $long_lived))))))

  ;; W2

  (type $node (struct
    (field $left (mut (ref null $node)))
    (field $right (mut (ref null $node)))
    (field $i (mut i32))
    (field $j (mut i32))))
  (type $doubles (array (mut f64)))

  (func $nodes_of (param $depth i32) (result i32)
    (i32.sub (i32.shl (i32.const 1) (i32.add (local.get $depth) (i32.const 1))) (i32.const 1)))

  (func $populate (param $depth i32) (param $parent (ref $node))
    (local $left (ref $node)) (local $right (ref $node))
    (if (i32.gt_s (local.get $depth) (i32.const 0))
      (then
        (local.set $left (struct.new_default $node))
        (struct.set $node $left (local.get $parent) (local.get $left))
        (local.set $right (struct.new_default $node))
        (struct.set $node $right (local.get $parent) (local.get $right))
        (call $populate (i32.sub (local.get $depth) (i32.const 1)) (local.get $left))
        (call $populate (i32.sub (local.get $depth) (i32.const 1)) (local.get $right)))))

  (func $make_nodes (param $depth i32) (result (ref $node))
    (if (result (ref $node)) (i32.le_s (local.get $depth) (i32.const 0))
      (then (struct.new_default $node))
      (else
        (struct.new $node
          (call $make_nodes (i32.sub (local.get $depth) (i32.const 1)))
          (call $make_nodes (i32.sub (local.get $depth) (i32.const 1)))
          (i32.const 0)
          (i32.const 0)))))

  (func $count_nodes (param $parent (ref null $node)) (result i32)
    (if (result i32) (ref.is_null (local.get $parent))
      (then (i32.const 0))
      (else
        (i32.add
          (i32.const 1)
          (i32.add
            (call $count_nodes (struct.get $node $left (local.get $parent)))
            (call $count_nodes (struct.get $node $right (local.get $parent))))))))

  (func $has_depth (param $root (ref $node)) (result i64)
    (i64.extend_i32_u (i32.eqz (ref.is_null
      (struct.get $node $right (struct.get $node $left (local.get $root)))))))

  (func (export "w2") (param $stretch_depth i32) (result i64)
    (local $sum i64) (local $depth i32) (local $i i32) (local $iterations i32)
    (local $long_lived (ref $node)) (local $root (ref $node)) (local $array (ref $doubles))
    (drop (call $has_depth (call $make_nodes (local.get $stretch_depth))))
    (local.set $long_lived (struct.new_default $node))
    (call $populate (i32.sub (local.get $stretch_depth) (i32.const 2)) (local.get $long_lived))
    (local.set $array (array.new_default $doubles (i32.const 500000)))
    (loop $fill
      (array.set $doubles (local.get $array) (local.get $i)
        (f64.div (f64.const 1)
          (f64.convert_i32_u (i32.add (local.get $i) (i32.const 1)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $fill (i32.lt_u (local.get $i) (i32.const 250000))))
    (local.set $depth (i32.const 4))
    (loop $depths
      (local.set $iterations (i32.div_u
        (i32.mul (i32.const 2) (call $nodes_of (local.get $stretch_depth)))
        (call $nodes_of (local.get $depth))))
      (local.set $i (local.get $iterations))
      (loop $top_down
        (local.set $root (struct.new_default $node))
        (call $populate (local.get $depth) (local.get $root))
        (local.set $sum (i64.add (local.get $sum) (call $has_depth (local.get $root))))
        (local.set $i (i32.sub (local.get $i) (i32.const 1)))
        (br_if $top_down (local.get $i)))
      (local.set $i (local.get $iterations))
      (loop $bottom_up
        (local.set $sum (i64.add (local.get $sum)
          (call $has_depth (call $make_nodes (local.get $depth)))))
        (local.set $i (i32.sub (local.get $i) (i32.const 1)))
        (br_if $bottom_up (local.get $i)))
      (local.set $depth (i32.add (local.get $depth) (i32.const 2)))
      (br_if $depths (i32.le_s (local.get $depth)
        (i32.sub (local.get $stretch_depth) (i32.const 2)))))
    (local.set $sum (i64.add (local.get $sum)
      (i64.extend_i32_u (call $count_nodes (local.get $long_lived)))))
    (i64.add (local.get $sum)
      (i64.trunc_f64_s (f64.div (f64.const 1000)
        (array.get $doubles (local.get $array) (i32.const 999))))))

  ;; W3

  (type $link (struct (field $next (mut (ref null $link))) (field $value (mut i64))))

  (func (export "w3") (param $millions i32) (result i64)
    (local $sum i64) (local $i i32) (local $end i32)
    (local $head (ref null $link)) (local $dead (ref $link))
    (local.set $end (i32.mul (local.get $millions) (i32.const 50000)))
    (loop $live
      (local.set $head (struct.new $link (local.get $head) (i64.extend_i32_u (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $live (i32.lt_u (local.get $i) (local.get $end))))
    (local.set $end (i32.mul (local.get $millions) (i32.const 1000000)))
    (local.set $i (i32.const 0))
    (loop $short_lived
      (local.set $dead (struct.new $link (ref.null $link) (i64.extend_i32_u (local.get $i))))
      (if (i32.eq (local.get $i) (global.get $never))
        (then (global.set $sink (local.get $dead))))
      (local.set $sum (i64.add (local.get $sum) (struct.get $link $value (local.get $dead))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $short_lived (i32.lt_u (local.get $i) (local.get $end))))
    (loop $walk
      (local.set $sum (i64.add (local.get $sum) (struct.get $link $value (local.get $head))))
      (local.set $head (struct.get $link $next (local.get $head)))
      (br_if $walk (i32.eqz (ref.is_null (local.get $head)))))
    (local.get $sum))

  ;; W4: a block's length is known to the engine, so its first byte, not its first
  ;; word, is written and read; the checksum is the same.

  (type $block (array (mut i8)))
  (type $slots (array (mut (ref null $block))))

  (global $random_state (mut i32) (i32.const 0x92d68ca2))

  (func $next_random (result i32)
    (local $x i32)
    (local.set $x (global.get $random_state))
    (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 13))))
    (local.set $x (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 17))))
    (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 5))))
    (global.set $random_state (local.get $x))
    (local.get $x))

  (func $check_block (param $block (ref $block)) (result i64)
    (i64.extend_i32_u
      (i32.add
        (i32.or
          (i32.and (array.len (local.get $block)) (i32.const -256))
          (array.get_u $block (local.get $block) (i32.const 0)))
        (array.get_u $block (local.get $block)
          (i32.sub (array.len (local.get $block)) (i32.const 1))))))

  (func (export "w4") (param $thousands i32) (result i64)
    (local $sum i64) (local $i i32) (local $end i32)
    (local $first i32) (local $second i32) (local $base i32) (local $size i32) (local $slot i32)
    (local $slots (ref $slots)) (local $block (ref $block)) (local $old (ref null $block))
    (local.set $slots (array.new_default $slots (i32.const 65536)))
    (local.set $end (i32.mul (local.get $thousands) (i32.const 1000)))
    (loop $replacements
      (local.set $first (call $next_random))
      (local.set $second (call $next_random))
      (local.set $base (i32.shl (i32.const 16) (i32.and (local.get $first) (i32.const 7))))
      (local.set $size (i32.add (local.get $base)
        (i32.and (local.get $second)
          (i32.and (i32.sub (local.get $base) (i32.const 1)) (i32.const -4)))))
      (local.set $slot (i32.shr_u (local.get $first) (i32.const 16)))
      (local.set $old (array.get $slots (local.get $slots) (local.get $slot)))
      (if (i32.eqz (ref.is_null (local.get $old)))
        (then (local.set $sum (i64.add (local.get $sum)
          (call $check_block (ref.as_non_null (local.get $old)))))))
      (local.set $block (array.new_default $block (local.get $size)))
      (array.set $block (local.get $block) (i32.const 0) (local.get $size))
      (array.set $block (local.get $block) (i32.sub (local.get $size) (i32.const 1))
        (local.get $slot))
      (array.set $slots (local.get $slots) (local.get $slot) (local.get $block))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $replacements (i32.lt_u (local.get $i) (local.get $end))))
    (local.set $i (i32.const 0))
    (loop $rest
      (local.set $old (array.get $slots (local.get $slots) (local.get $i)))
      (if (i32.eqz (ref.is_null (local.get $old)))
        (then (local.set $sum (i64.add (local.get $sum)
          (call $check_block (ref.as_non_null (local.get $old)))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $rest (i32.lt_u (local.get $i) (i32.const 65536))))
    (local.get $sum))

  ;; W5

  (type $leaf (struct
    (field $a (mut i32)) (field $b (mut i32)) (field $c (mut i32)) (field $d (mut i32))))

  (func (export "w5") (param $millions i32) (result i64)
    (local $sum i64) (local $i i32) (local $end i32) (local $dead (ref $leaf))
    (local.set $end (i32.mul (local.get $millions) (i32.const 1000000)))
    (loop $short_lived
      (local.set $dead
        (struct.new $leaf (local.get $i) (i32.const 0) (i32.const 0) (i32.const 0)))
      (if (i32.eq (local.get $i) (global.get $never))
        (then (global.set $sink (local.get $dead))))
      (local.set $sum (i64.add (local.get $sum)
        (i64.extend_i32_u (struct.get $leaf $a (local.get $dead)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $short_lived (i32.lt_u (local.get $i) (local.get $end))))
    (local.get $sum)))
