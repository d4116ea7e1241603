;; A language runtime by hand: lists and trees in Tether's heap, and tickets of the
;; host that wrappers own.
;;
;; The code is written out as a compiler would emit it: allocation, push and pop are
;; inline, and objects are read and written with plain loads and stores.
;;
;; Objects have two words:
;;
;;   cell    {tail: reference, number}
;;   node    {left: reference, right: reference}
;;   stub    {0, ticket}             a wrapper made by hand
;;
;; Addresses below 1 MiB are this module's own. It uses:
;;
;;   1024    the eight weights, a data segment
;;   1088    where results of two parts are returned
;;   2048    room for 256 tickets that come out of the collector
;;
;; Between operations the shadow stack is as the caller left it. Every reference that is
;; held across an allocation is on it.
(module
  (import "tether_gc" "memory" (memory 1))
  ;; The address of the collector's state: cursor +0, limit +4, colour +8, sp +12,
  ;; stack limit +16, stack base +20, last error +24.
  (import "tether_gc" "tether_state" (global $state i32))
  (import "tether_gc" "tether_start" (func $tether_start (param i32) (result i32)))
  (import "tether_gc" "tether_allocate_small"
    (func $tether_allocate_small (param i32 i64) (result i32)))
  (import "tether_gc" "tether_push" (func $tether_push (param i32) (result i32)))
  (import "tether_gc" "tether_wrap" (func $tether_wrap (param i32 i32 i32) (result i32)))
  (import "tether_gc" "tether_register"
    (func $tether_register (param i32 i32 i32 i32) (result i32)))
  (import "tether_gc" "tether_collect" (func $tether_collect (result i32)))
  (import "tether_gc" "tether_close" (func $tether_close (result i32)))
  (import "tether_gc" "tether_drain" (func $tether_drain (param i32 i32) (result i32)))

  (import "tether:wat-guest/tickets@0.1.0" "issue" (func $issue (result i32)))
  (import "tether:wat-guest/tickets@0.1.0" "give-back" (func $give_back (param i32 i32)))

  (data (i32.const 1024)
    "\03\00\00\00\01\00\00\00\04\00\00\00\01\00\00\00"
    "\05\00\00\00\09\00\00\00\02\00\00\00\06\00\00\00")

  (global $WEIGHTS i32 (i32.const 1024))
  (global $RESULT i32 (i32.const 1088))
  (global $TICKETS i32 (i32.const 2048))
  (global $TICKETS_MAX i32 (i32.const 256))

  ;; Metadata of objects of one granule: that it has references (0x20), which of its
  ;; two words (8, 16), and that it ends here (4).
  (global $CELL i32 (i32.const 0x2c))
  (global $NODE i32 (i32.const 0x3c))
  (global $STUB i32 (i32.const 0x04))

  (global $KIND_TICKET i32 (i32.const 7))
  (global $KEPT i32 (i32.const 1000))

  ;; ---- The code that a compiler emits at each allocation ----

  ;; An object of two words, zeroed; 0 at failure.
  (func $allocate (param $template i32) (result i32)
    (local $object i32)
    (local.set $object (i32.load (global.get $state)))
    (if (result i32)
      (i32.lt_u
        (i32.sub (i32.load offset=4 (global.get $state)) (local.get $object))
        (i32.const 8))
      (then
        (call $tether_allocate_small
          (i32.const 1)
          (i64.extend_i32_u (local.get $template))))
      (else
        (i32.store (global.get $state) (i32.add (local.get $object) (i32.const 8)))
        ;; The metadata byte. Each block of 64 KiB has one for each granule.
        (i32.store8
          (i32.or
            (i32.and (local.get $object) (i32.const 0xffff0000))
            (i32.shr_u (i32.and (local.get $object) (i32.const 0xffff)) (i32.const 3)))
          (i32.or (i32.load offset=8 (global.get $state)) (local.get $template)))
        (local.get $object))))

  ;; The allocation of a cell, as a compiler emits it. It is exported so that a test can
  ;; see how much code it is, and that its only call is the slow path.
  (func $allocate_cell (export "allocate-cell") (result i32)
    (local $cell i32)
    (local.set $cell (i32.load (global.get $state)))
    (if
      (i32.lt_u
        (i32.sub (i32.load offset=4 (global.get $state)) (local.get $cell))
        (i32.const 8))
      (then
        (return
          (call $tether_allocate_small (i32.const 1) (i64.extend_i32_u (global.get $CELL))))))
    (i32.store (global.get $state) (i32.add (local.get $cell) (i32.const 8)))
    (i32.store8
      (i32.or
        (i32.and (local.get $cell) (i32.const 0xffff0000))
        (i32.shr_u (i32.and (local.get $cell) (i32.const 0xffff)) (i32.const 3)))
      (i32.or (i32.load offset=8 (global.get $state)) (global.get $CELL)))
    (local.get $cell))

  ;; Whether there was room for another root.
  (func $push (param $object i32) (result i32)
    (local $sp i32)
    (local.set $sp (i32.load offset=12 (global.get $state)))
    (if (i32.ge_u (local.get $sp) (i32.load offset=16 (global.get $state)))
      ;; `tether_push` sets the error for a full stack.
      (then (return (i32.eqz (call $tether_push (local.get $object))))))
    (i32.store (local.get $sp) (local.get $object))
    (i32.store offset=12 (global.get $state) (i32.add (local.get $sp) (i32.const 4)))
    (i32.const 1))

  (func $pop (result i32)
    (local $sp i32)
    (local.set $sp (i32.sub (i32.load offset=12 (global.get $state)) (i32.const 4)))
    (i32.store offset=12 (global.get $state) (local.get $sp))
    (i32.load (local.get $sp)))

  ;; ---- Lists ----

  ;; Puts a number before the list on top of the stack.
  (func $cons (param $number i32) (result i32)
    (local $cell i32)
    (local $top i32)
    (local.set $cell (call $allocate_cell))
    (if (i32.eqz (local.get $cell)) (then (return (i32.const 0))))
    (local.set $top (i32.sub (i32.load offset=12 (global.get $state)) (i32.const 4)))
    (i32.store (local.get $cell) (i32.load (local.get $top)))
    (i32.store offset=4 (local.get $cell) (local.get $number))
    (i32.store (local.get $top) (local.get $cell))
    (i32.const 1))

  ;; Pushes the list of the weighted numbers below `length`.
  (func $build (param $length i32) (result i32)
    (local $place i32)
    (if (i32.eqz (call $push (i32.const 0))) (then (return (i32.const 0))))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $place) (local.get $length)))
        (if
          (i32.eqz
            (call $cons
              (i32.mul
                (local.get $place)
                (i32.load
                  (i32.add
                    (global.get $WEIGHTS)
                    (i32.shl (i32.and (local.get $place) (i32.const 7)) (i32.const 2)))))))
          (then
            (drop (call $pop))
            (return (i32.const 0))))
        (local.set $place (i32.add (local.get $place) (i32.const 1)))
        (br $next)))
    (i32.const 1))

  (func $add_up (param $cell i32) (result i64)
    (local $sum i64)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $cell)))
        (local.set $sum
          (i64.add (local.get $sum) (i64.load32_u offset=4 (local.get $cell))))
        (local.set $cell (i32.load (local.get $cell)))
        (br $next)))
    (local.get $sum))

  ;; ---- Trees ----

  ;; A complete tree; 0 at failure. The parts that are done are on the stack meanwhile.
  (func $tree (param $depth i32) (result i32)
    (local $node i32)
    (local $right i32)
    (if (i32.eq (local.get $depth) (i32.const 1))
      (then (return (call $allocate (global.get $NODE)))))
    (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
    (local.set $node (call $tree (local.get $depth)))
    (if (i32.eqz (local.get $node)) (then (return (i32.const 0))))
    (if (i32.eqz (call $push (local.get $node))) (then (return (i32.const 0))))
    (local.set $right (call $tree (local.get $depth)))
    (if (i32.or
          (i32.eqz (local.get $right))
          (i32.eqz (call $push (local.get $right))))
      (then
        (drop (call $pop))
        (return (i32.const 0))))
    (local.set $node (call $allocate (global.get $NODE)))
    (local.set $right (call $pop))
    (local.set $depth (call $pop))
    (if (i32.eqz (local.get $node)) (then (return (i32.const 0))))
    (i32.store (local.get $node) (local.get $depth))
    (i32.store offset=4 (local.get $node) (local.get $right))
    (local.get $node))

  (func $count (param $node i32) (result i64)
    (if (i32.eqz (local.get $node)) (then (return (i64.const 0))))
    (i64.add
      (i64.const 1)
      (i64.add
        (call $count (i32.load (local.get $node)))
        (call $count (i32.load offset=4 (local.get $node))))))

  ;; ---- Results ----

  (func $ok (param $value i64) (result i32)
    (i32.store8 (global.get $RESULT) (i32.const 0))
    (i64.store offset=8 (global.get $RESULT) (local.get $value))
    (global.get $RESULT))

  ;; The collector's last error.
  (func $failed (result i32)
    (i32.store8 (global.get $RESULT) (i32.const 1))
    (i32.store offset=8 (global.get $RESULT) (i32.load offset=24 (global.get $state)))
    (global.get $RESULT))

  ;; Makes the heap, and with it the shadow stack.
  (func $ready (result i32)
    (if (result i32) (i32.load offset=20 (global.get $state))
      (then (i32.const 1))
      (else (i32.eqz (call $tether_start (i32.const 0))))))

  ;; ---- Exports ----

  (func (export "tether:wat-guest/lists@0.1.0#sum") (param $length i32) (result i32)
    (if (i32.eqz (call $ready)) (then (return (call $failed))))
    (if (i32.eqz (call $build (local.get $length))) (then (return (call $failed))))
    (call $ok (call $add_up (call $pop))))

  (func (export "tether:wat-guest/lists@0.1.0#churn")
    (param $rounds i32) (param $depth i32) (result i32)
    (local $total i64)
    (local $tree i32)
    (if (i32.eqz (call $ready)) (then (return (call $failed))))
    (if (i32.eqz (call $build (global.get $KEPT))) (then (return (call $failed))))
    (block $done
      (loop $next
        (br_if $done (i32.or (i32.eqz (local.get $rounds)) (i32.eqz (local.get $depth))))
        (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
        (local.set $tree (call $tree (local.get $depth)))
        (if (i32.eqz (local.get $tree))
          (then
            (drop (call $pop))
            (return (call $failed))))
        (local.set $total (i64.add (local.get $total) (call $count (local.get $tree))))
        (br $next)))
    (call $ok (i64.add (local.get $total) (call $add_up (call $pop)))))

  ;; Gives back the tickets that the collector found dead, and returns their number.
  (func $give_back_dead (result i32)
    (local $total i32)
    (local $count i32)
    (loop $more
      (local.set $count (call $tether_drain (global.get $TICKETS) (global.get $TICKETS_MAX)))
      (local.set $total (i32.add (local.get $total) (local.get $count)))
      (if (local.get $count)
        (then
          (call $give_back (global.get $TICKETS) (local.get $count))
          (br $more))))
    (local.get $total))

  ;; Wraps a new ticket: in one step, or by registering an object of this module.
  (func $wrap_ticket (param $by_hand i32) (result i32)
    (local $stub i32)
    (local $ticket i32)
    (local $failed i32)
    (if (i32.eqz (local.get $by_hand))
      (then
        (local.set $ticket (call $issue))
        (local.set $failed
          (i32.eqz
            (call $tether_wrap
              (global.get $KIND_TICKET) (local.get $ticket) (i32.const 0)))))
      (else
        (local.set $stub (call $allocate (global.get $STUB)))
        (if (i32.eqz (local.get $stub)) (then (return (i32.const 0))))
        (local.set $ticket (call $issue))
        (i32.store offset=4 (local.get $stub) (local.get $ticket))
        (local.set $failed
          (call $tether_register
            (local.get $stub) (global.get $KIND_TICKET) (local.get $ticket) (i32.const 0)))))
    ;; The collector did not take the ticket, so it is given back here.
    (if (local.get $failed)
      (then
        (i32.store (global.get $TICKETS) (global.get $KIND_TICKET))
        (i32.store offset=4 (global.get $TICKETS) (local.get $ticket))
        (call $give_back (global.get $TICKETS) (i32.const 1))
        (return (i32.const 0))))
    (i32.const 1))

  (func (export "tether:wat-guest/lists@0.1.0#tickets") (param $count i32) (result i32)
    (local $place i32)
    (local $dead i32)
    (if (i32.eqz (call $ready)) (then (return (call $failed))))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $place) (local.get $count)))
        (if (i32.eqz (call $wrap_ticket (i32.and (local.get $place) (i32.const 1))))
          (then (return (call $failed))))
        (local.set $place (i32.add (local.get $place) (i32.const 1)))
        (if (i32.eqz (i32.and (local.get $place) (i32.const 0xff)))
          (then (local.set $dead (i32.add (local.get $dead) (call $give_back_dead)))))
        (br $next)))
    (drop (call $tether_collect))
    (call $ok
      (i64.extend_i32_u (i32.add (local.get $dead) (call $give_back_dead)))))

  (func (export "tether:wat-guest/lists@0.1.0#finish") (result i32)
    (drop (call $tether_close))
    (call $give_back_dead))
)
