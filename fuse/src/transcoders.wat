;; The functions that copy strings from the memory $from to the memory $to. `transcode.rs` puts
;; the imports of the two memories in front, and the export of one function behind.
;;
;; Each function does what the function of that name does in wasmtime's runtime for components: it
;; traps if a string is not well-formed. The adapters that call these functions have checked that
;; both ranges are in their memories, and aligned.
;;
;; Ends are compared for equality only, because the end of a string at the end of 4 GiB is 0.

;; The continuation byte at $at, without its mark.
(func $continuation (param $at i32) (param $end i32) (result i32)
  (local $byte i32)
  (if (i32.eq (local.get $at) (local.get $end)) (then (unreachable)))
  (local.set $byte (i32.load8_u $from (local.get $at)))
  (if (i32.ne (i32.and (local.get $byte) (i32.const 0xC0)) (i32.const 0x80)) (then (unreachable)))
  (i32.and (local.get $byte) (i32.const 0x3F)))

;; The character at $at in UTF-8, and the address behind it.
(func $read_utf8 (param $at i32) (param $end i32) (result i32 i32)
  (local $first i32) (local $char i32)
  (local.set $first (i32.load8_u $from (local.get $at)))
  (local.set $at (i32.add (local.get $at) (i32.const 1)))
  (if (i32.lt_u (local.get $first) (i32.const 0x80))
    (then (return (local.get $first) (local.get $at))))
  (if (i32.lt_u (local.get $first) (i32.const 0xC2)) (then (unreachable)))
  (local.set $char (call $continuation (local.get $at) (local.get $end)))
  (local.set $at (i32.add (local.get $at) (i32.const 1)))
  (if (i32.lt_u (local.get $first) (i32.const 0xE0))
    (then
      (return
        (i32.or
          (i32.shl (i32.and (local.get $first) (i32.const 0x1F)) (i32.const 6))
          (local.get $char))
        (local.get $at))))
  (local.set $char
    (i32.or
      (i32.shl (local.get $char) (i32.const 6))
      (call $continuation (local.get $at) (local.get $end))))
  (local.set $at (i32.add (local.get $at) (i32.const 1)))
  (if (i32.lt_u (local.get $first) (i32.const 0xF0))
    (then
      (local.set $char
        (i32.or
          (i32.shl (i32.and (local.get $first) (i32.const 0x0F)) (i32.const 12))
          (local.get $char)))
      (if (i32.lt_u (local.get $char) (i32.const 0x800)) (then (unreachable)))
      (if (i32.eq (i32.and (local.get $char) (i32.const 0xF800)) (i32.const 0xD800))
        (then (unreachable)))
      (return (local.get $char) (local.get $at))))
  (if (i32.gt_u (local.get $first) (i32.const 0xF4)) (then (unreachable)))
  (local.set $char
    (i32.or
      (i32.shl (i32.and (local.get $first) (i32.const 0x07)) (i32.const 18))
      (i32.or
        (i32.shl (local.get $char) (i32.const 6))
        (call $continuation (local.get $at) (local.get $end)))))
  (if (i32.lt_u (local.get $char) (i32.const 0x10000)) (then (unreachable)))
  (if (i32.gt_u (local.get $char) (i32.const 0x10FFFF)) (then (unreachable)))
  (local.get $char)
  (i32.add (local.get $at) (i32.const 1)))

;; The character at $at in UTF-16, and the address behind it.
(func $read_utf16 (param $at i32) (param $end i32) (result i32 i32)
  (local $first i32) (local $second i32)
  (local.set $first (i32.load16_u $from (local.get $at)))
  (local.set $at (i32.add (local.get $at) (i32.const 2)))
  (if (i32.ne (i32.and (local.get $first) (i32.const 0xF800)) (i32.const 0xD800))
    (then (return (local.get $first) (local.get $at))))
  (if (i32.ge_u (local.get $first) (i32.const 0xDC00)) (then (unreachable)))
  (if (i32.eq (local.get $at) (local.get $end)) (then (unreachable)))
  (local.set $second (i32.load16_u $from (local.get $at)))
  (if (i32.ne (i32.and (local.get $second) (i32.const 0xFC00)) (i32.const 0xDC00))
    (then (unreachable)))
  (i32.add
    (i32.const 0x10000)
    (i32.or
      (i32.shl (i32.and (local.get $first) (i32.const 0x3FF)) (i32.const 10))
      (i32.and (local.get $second) (i32.const 0x3FF))))
  (i32.add (local.get $at) (i32.const 2)))

;; How many bytes a character has in UTF-8.
(func $utf8_bytes (param $char i32) (result i32)
  (i32.add
    (i32.add (i32.const 1) (i32.ge_u (local.get $char) (i32.const 0x80)))
    (i32.add
      (i32.ge_u (local.get $char) (i32.const 0x800))
      (i32.ge_u (local.get $char) (i32.const 0x10000)))))

;; Writes a character in UTF-8, of so many bytes.
(func $write_utf8 (param $at i32) (param $char i32) (param $bytes i32)
  (local $mark i32)
  (if (i32.eq (local.get $bytes) (i32.const 1))
    (then (i32.store8 $to (local.get $at) (local.get $char)) (return)))
  ;; 0xC0, 0xE0 or 0xF0.
  (local.set $mark
    (i32.and (i32.const 0xFF)
      (i32.shl (i32.const 0xFF) (i32.sub (i32.const 8) (local.get $bytes)))))
  (local.set $bytes (i32.sub (local.get $bytes) (i32.const 1)))
  (i32.store8 $to
    (local.get $at)
    (i32.or
      (local.get $mark)
      (i32.shr_u (local.get $char) (i32.mul (local.get $bytes) (i32.const 6)))))
  (loop $next
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (local.set $bytes (i32.sub (local.get $bytes) (i32.const 1)))
    (i32.store8 $to
      (local.get $at)
      (i32.or
        (i32.const 0x80)
        (i32.and
          (i32.shr_u (local.get $char) (i32.mul (local.get $bytes) (i32.const 6)))
          (i32.const 0x3F))))
    (br_if $next (local.get $bytes))))

;; Writes a character in UTF-16, and gives the address behind it.
(func $write_utf16 (param $at i32) (param $char i32) (result i32)
  (if (i32.lt_u (local.get $char) (i32.const 0x10000))
    (then
      (i32.store16 $to (local.get $at) (local.get $char))
      (return (i32.add (local.get $at) (i32.const 2)))))
  (local.set $char (i32.sub (local.get $char) (i32.const 0x10000)))
  (i32.store16 $to
    (local.get $at)
    (i32.or (i32.const 0xD800) (i32.shr_u (local.get $char) (i32.const 10))))
  (i32.store16 $to offset=2
    (local.get $at)
    (i32.or (i32.const 0xDC00) (i32.and (local.get $char) (i32.const 0x3FF))))
  (i32.add (local.get $at) (i32.const 4)))

;; Checks a string in UTF-8, eight bytes at a time as far as it is ASCII.
(func $check_utf8 (param $at i32) (param $end i32)
  (local $char i32)
  (block $done
    (loop $next
      (br_if $done (i32.eq (local.get $at) (local.get $end)))
      (if (i32.ge_u (i32.sub (local.get $end) (local.get $at)) (i32.const 8))
        (then
          (if (i64.eqz (i64.and (i64.load $from align=1 (local.get $at))
                                (i64.const 0x8080808080808080)))
            (then
              (local.set $at (i32.add (local.get $at) (i32.const 8)))
              (br $next)))))
      (call $read_utf8 (local.get $at) (local.get $end))
      (local.set $at)
      (local.set $char)
      (br $next))))

(func $utf8_to_utf8 (param $source i32) (param $bytes i32) (param $target i32)
  (call $check_utf8 (local.get $source) (i32.add (local.get $source) (local.get $bytes)))
  (memory.copy $to $from (local.get $target) (local.get $source) (local.get $bytes)))

(func $latin1_to_latin1 (param $source i32) (param $bytes i32) (param $target i32)
  (memory.copy $to $from (local.get $target) (local.get $source) (local.get $bytes)))

;; Copies a string in UTF-16. Gives whether some character is not in Latin-1.
(func $copy_utf16 (param $source i32) (param $units i32) (param $target i32) (result i32)
  (local $end i32) (local $at i32) (local $char i32) (local $wide i32)
  (local.set $at (local.get $source))
  (local.set $end (i32.add (local.get $source) (i32.shl (local.get $units) (i32.const 1))))
  (block $done
    (loop $next
      (br_if $done (i32.eq (local.get $at) (local.get $end)))
      (call $read_utf16 (local.get $at) (local.get $end))
      (local.set $at)
      (local.set $char)
      (local.set $wide
        (i32.or (local.get $wide) (i32.gt_u (local.get $char) (i32.const 0xFF))))
      (br $next)))
  (memory.copy $to $from
    (local.get $target)
    (local.get $source)
    (i32.shl (local.get $units) (i32.const 1)))
  (local.get $wide))

(func $utf16_to_utf16 (param $source i32) (param $units i32) (param $target i32)
  (drop (call $copy_utf16 (local.get $source) (local.get $units) (local.get $target))))

(func $latin1_to_utf16 (param $source i32) (param $bytes i32) (param $target i32)
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $bytes)))
      (i32.store16 $to (local.get $target) (i32.load8_u $from (local.get $source)))
      (local.set $source (i32.add (local.get $source) (i32.const 1)))
      (local.set $target (i32.add (local.get $target) (i32.const 2)))
      (local.set $bytes (i32.sub (local.get $bytes) (i32.const 1)))
      (br $next))))

;; Gives how many units were written.
(func $utf8_to_utf16 (param $source i32) (param $bytes i32) (param $target i32) (result i32)
  (local $end i32) (local $at i32) (local $char i32)
  (local.set $at (local.get $target))
  (local.set $end (i32.add (local.get $source) (local.get $bytes)))
  (block $done
    (loop $next
      (br_if $done (i32.eq (local.get $source) (local.get $end)))
      (call $read_utf8 (local.get $source) (local.get $end))
      (local.set $source)
      (local.set $char)
      (local.set $at (call $write_utf16 (local.get $at) (local.get $char)))
      (br $next)))
  (i32.shr_u (i32.sub (local.get $at) (local.get $target)) (i32.const 1)))

;; Goes as far as there is room, and in the first pass as far as the string is ASCII. Gives how
;; many units were read and how many bytes were written.
(func $utf16_to_utf8 (param $source i32) (param $units i32) (param $target i32)
    (param $room i32) (param $is_first i32) (result i32 i32)
  (local $end i32) (local $at i32) (local $behind i32) (local $char i32) (local $bytes i32)
  (local $written i32)
  (local.set $at (local.get $source))
  (local.set $end (i32.add (local.get $source) (i32.shl (local.get $units) (i32.const 1))))
  (block $done
    (loop $next
      (br_if $done (i32.eq (local.get $at) (local.get $end)))
      (call $read_utf16 (local.get $at) (local.get $end))
      (local.set $behind)
      (local.set $char)
      (br_if $done
        (i32.and
          (i32.ne (local.get $is_first) (i32.const 0))
          (i32.ge_u (local.get $char) (i32.const 0x80))))
      (local.set $bytes (call $utf8_bytes (local.get $char)))
      (br_if $done
        (i32.lt_u (i32.sub (local.get $room) (local.get $written)) (local.get $bytes)))
      (call $write_utf8
        (i32.add (local.get $target) (local.get $written))
        (local.get $char)
        (local.get $bytes))
      (local.set $written (i32.add (local.get $written) (local.get $bytes)))
      (local.set $at (local.get $behind))
      (br $next)))
  (i32.shr_u (i32.sub (local.get $at) (local.get $source)) (i32.const 1))
  (local.get $written))

;; Goes as far as $utf16_to_utf8 does. Gives how many bytes were read and written.
(func $latin1_to_utf8 (param $source i32) (param $length i32) (param $target i32)
    (param $room i32) (param $is_first i32) (result i32 i32)
  (local $read i32) (local $char i32) (local $bytes i32) (local $written i32)
  (block $done
    (loop $next
      (br_if $done (i32.eq (local.get $read) (local.get $length)))
      (local.set $char (i32.load8_u $from (i32.add (local.get $source) (local.get $read))))
      (br_if $done
        (i32.and
          (i32.ne (local.get $is_first) (i32.const 0))
          (i32.ge_u (local.get $char) (i32.const 0x80))))
      (local.set $bytes (call $utf8_bytes (local.get $char)))
      (br_if $done
        (i32.lt_u (i32.sub (local.get $room) (local.get $written)) (local.get $bytes)))
      (call $write_utf8
        (i32.add (local.get $target) (local.get $written))
        (local.get $char)
        (local.get $bytes))
      (local.set $written (i32.add (local.get $written) (local.get $bytes)))
      (local.set $read (i32.add (local.get $read) (i32.const 1)))
      (br $next)))
  (local.get $read)
  (local.get $written))

;; Goes as far as the string is in Latin-1. Gives how many bytes were read and written. What is
;; not well-formed is left to $utf8_to_compact_utf16.
(func $utf8_to_latin1 (param $source i32) (param $bytes i32) (param $target i32)
    (result i32 i32)
  (local $at i32) (local $end i32) (local $first i32) (local $second i32) (local $written i32)
  (local.set $at (local.get $source))
  (local.set $end (i32.add (local.get $source) (local.get $bytes)))
  (block $done
    (loop $next
      (br_if $done (i32.eq (local.get $at) (local.get $end)))
      (local.set $first (i32.load8_u $from (local.get $at)))
      (if (i32.lt_u (local.get $first) (i32.const 0x80))
        (then (local.set $at (i32.add (local.get $at) (i32.const 1))))
        (else
          (br_if $done
            (i32.gt_u (i32.sub (local.get $first) (i32.const 0xC2)) (i32.const 1)))
          (br_if $done
            (i32.eq (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
          (local.set $second (i32.load8_u $from offset=1 (local.get $at)))
          (br_if $done
            (i32.ne (i32.and (local.get $second) (i32.const 0xC0)) (i32.const 0x80)))
          (local.set $first
            (i32.or
              (i32.shl (i32.and (local.get $first) (i32.const 0x03)) (i32.const 6))
              (i32.and (local.get $second) (i32.const 0x3F))))
          (local.set $at (i32.add (local.get $at) (i32.const 2)))))
      (i32.store8 $to
        (i32.add (local.get $target) (local.get $written))
        (local.get $first))
      (local.set $written (i32.add (local.get $written) (i32.const 1)))
      (br $next)))
  (i32.sub (local.get $at) (local.get $source))
  (local.get $written))

;; Goes as far as the string is in Latin-1. Gives how many units were read, and how many bytes
;; were written.
(func $utf16_to_latin1 (param $source i32) (param $units i32) (param $target i32)
    (result i32 i32)
  (local $done i32) (local $unit i32)
  (block $end
    (loop $next
      (br_if $end (i32.eq (local.get $done) (local.get $units)))
      (local.set $unit
        (i32.load16_u $from
          (i32.add (local.get $source) (i32.shl (local.get $done) (i32.const 1)))))
      (br_if $end (i32.gt_u (local.get $unit) (i32.const 0xFF)))
      (i32.store8 $to
        (i32.add (local.get $target) (local.get $done))
        (local.get $unit))
      (local.set $done (i32.add (local.get $done) (i32.const 1)))
      (br $next)))
  (local.get $done)
  (local.get $done))

;; Gives the length, with the highest bit set if the string is in UTF-16 and not in Latin-1.
(func $utf16_to_compact_probably_utf16 (param $source i32) (param $units i32)
    (param $target i32) (result i32)
  (local $done i32)
  (if (call $copy_utf16 (local.get $source) (local.get $units) (local.get $target))
    (then (return (i32.or (local.get $units) (i32.const 0x80000000)))))
  (block $end
    (loop $next
      (br_if $end (i32.eq (local.get $done) (local.get $units)))
      (i32.store8 $to
        (i32.add (local.get $target) (local.get $done))
        (i32.load8_u $to
          (i32.add (local.get $target) (i32.shl (local.get $done) (i32.const 1)))))
      (local.set $done (i32.add (local.get $done) (i32.const 1)))
      (br $next)))
  (local.get $units))

;; Makes UTF-16 of so many bytes of Latin-1, where they are. Gives the address behind.
(func $inflate (param $target i32) (param $bytes i32) (result i32)
  (local $left i32)
  (local.set $left (local.get $bytes))
  (block $done
    (loop $next
      (br_if $done (i32.eqz (local.get $left)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (i32.store16 $to
        (i32.add (local.get $target) (i32.shl (local.get $left) (i32.const 1)))
        (i32.load8_u $to (i32.add (local.get $target) (local.get $left))))
      (br $next)))
  (i32.add (local.get $target) (i32.shl (local.get $bytes) (i32.const 1))))

;; Copies the rest of a string that begins with so many bytes of Latin-1, which are written
;; already. Gives how many units the whole string has.
(func $utf8_to_compact_utf16 (param $source i32) (param $bytes i32) (param $target i32)
    (param $room i32) (param $latin1 i32) (result i32)
  (i32.add
    (local.get $latin1)
    (call $utf8_to_utf16
      (local.get $source)
      (local.get $bytes)
      (call $inflate (local.get $target) (local.get $latin1)))))

;; Does for UTF-16 what $utf8_to_compact_utf16 does.
(func $utf16_to_compact_utf16 (param $source i32) (param $units i32) (param $target i32)
    (param $room i32) (param $latin1 i32) (result i32)
  (drop
    (call $copy_utf16
      (local.get $source)
      (local.get $units)
      (call $inflate (local.get $target) (local.get $latin1))))
  (i32.add (local.get $units) (local.get $latin1)))
