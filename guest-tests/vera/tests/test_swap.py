"""The parser of s-expressions, and the forms that the swap takes out and puts in."""

import re
import unittest
from pathlib import Path

from tether_vera import runtime, sexpr, swap
from tether_vera.swap import Limits, SwapProblem

_EXHAUSTED = ["i32.const", "9", "i32.const", "0", "i32.const", "0", "call", "$vera.trap"]

#: A program with a collector of Vera's shape.
_PROGRAM = """
(module
  (import "vera" "trap" (func $vera.trap (param i32 i32 i32)))
  (memory (export "vera.memory") 1)
  (data (i32.const 0) "abc\\n\\00\\u{e4}")
  (global $heap_ptr (export "vera.heap_ptr") (mut i32) (i32.const 500))
  (global $gc_sp (export "vera.gc_sp") (mut i32) (i32.const 8))
  (global $gc_stack_limit (export "vera.gc_stack_limit") i32 (i32.const 400))
  (global $free (mut i32) (i32.const 0))
  (global $count (mut i32) (i32.const 0))
  (func $alloc (param $size i32) (result i32) call $sweep global.get $free)
  (func $sweep global.get $heap_ptr global.get $gc_sp global.set $free)
  (export "vera.alloc" (func $alloc))
  (func $:main (export "main") (param $p0 i32) (result i32)
    (local $l1 i32)
    i32.const 24 call $alloc local.set 1
    i32.const 1 global.set $count
    local.get 0 call $alloc)
)
"""


class Forms(unittest.TestCase):
    def test_what_is_written_is_read_again(self) -> None:
        forms = sexpr.parse('(a "b (c) ;; \\" d" (e) () f=1)\n g')
        self.assertEqual(forms, [["a", '"b (c) ;; \\" d"', ["e"], [], "f=1"], "g"])
        self.assertEqual(sexpr.parse(" ".join(map(sexpr.write, forms))), forms)

    def test_comments_are_left_out(self) -> None:
        text = '(a ;; b )\n (; c (; d ;) " ;) e (;;) "(; f ;)")'
        self.assertEqual(sexpr.parse(text), [["a", "e", '"(; f ;)"']])

    def test_what_is_wrong_is_named_with_its_place(self) -> None:
        for text, said in (
            ("(a\n  (b)", "line 1, column 1: `(` is never closed"),
            ("(a)\n )", "line 2, column 2: `)` closes nothing"),
            ('(a "b', "line 1, column 4: a string is never closed"),
            ("(a\n(; b", "line 2, column 1: a block comment is never closed"),
        ):
            with self.assertRaisesRegex(sexpr.SyntaxProblem, "^" + re.escape(said) + "$"):
                sexpr.parse(text)

    def test_strings_stand_for_bytes(self) -> None:
        text = '"a\\n\\\\\\"\\00\\ffä\\u{20ac}"'
        self.assertEqual(sexpr.string_bytes(text), b'a\n\\"\x00\xff' + "ä€".encode())


class Swap(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.runtime = runtime.load()

    def swapped(self, text: str, limits: Limits = Limits()) -> list:
        result = swap.swap(text, self.runtime, limits, _EXHAUSTED)
        (module,) = sexpr.parse(result)
        return module[1:]

    def test_the_collectors_own_forms_are_gone(self) -> None:
        fields = self.swapped(_PROGRAM)
        names = {field[1] for field in fields if sexpr.head(field) in ("func", "global")}
        self.assertNotIn("$sweep", names)
        self.assertNotIn("$free", names)
        self.assertLessEqual({"$:main", "$count", "$alloc", "$gc_sp", "$heap_ptr"}, names)
        self.assertEqual(sum(field[:2] == ["func", "$alloc"] for field in fields), 1)

    def test_what_host_and_program_share_keeps_name_type_and_export(self) -> None:
        fields = self.swapped(_PROGRAM, Limits(shadow_stack_slots=1000))
        shared = {field[1]: field for field in fields if sexpr.head(field) == "global"}
        base = self.runtime.first_pages << 16
        self.assertEqual(
            shared["$gc_sp"][2:],
            [["export", '"vera.gc_sp"'], ["mut", "i32"], ["i32.const", str(base)]],
        )
        self.assertEqual(shared["$gc_stack_limit"][-1], ["i32.const", str(base + 4000)])
        self.assertEqual(shared["$heap_ptr"][-1], ["i32.const", "7"])
        (memory,) = [field for field in fields if sexpr.head(field) == "memory"]
        pages = self.runtime.first_pages + 1
        self.assertEqual(memory, ["memory", ["export", '"vera.memory"'], str(pages), "32768"])

    def test_a_known_size_is_allocated_in_line(self) -> None:
        (main,) = [field for field in self.swapped(_PROGRAM) if field[1:2] == ["$:main"]]
        # The new locals stand behind the local that the code names by number.
        locals_at = [item[1] for item in main if sexpr.head(item) == "local"]
        self.assertEqual(locals_at, ["$l1", "$tether.object", "$tether.scratch"])
        code = [item for item in main if isinstance(item, str)]
        # One call if the window has no room, and one for the size that is not known.
        self.assertEqual(code.count("$alloc"), 2)
        at = code.index("i32.store16")
        self.assertEqual(code[at + 1 : at + 3], ["offset=0", "align=1"])
        self.assertEqual(code[code.index("i32.store8") + 1], "offset=2")
        self.assertIn(str(0x1838), code)
        self.assertIn(str(0x1C), code)

    def test_large_and_unknown_sizes_are_calls(self) -> None:
        text = _PROGRAM.replace("i32.const 24 call", "i32.const 65 call")
        (main,) = [field for field in self.swapped(text) if field[1:2] == ["$:main"]]
        self.assertEqual(main, next(f for f in sexpr.parse(text)[0] if f[1:2] == ["$:main"]))

    def test_the_options_say_what_the_limits_are(self) -> None:
        limits = Limits(9, 1 << 20, 77, 5, 250, 3)
        base = self.runtime.first_pages << 16
        data = next(
            field
            for field in self.swapped(_PROGRAM, limits)
            if field[:2] == ["data", ["i32.const", str(base)]]
        )
        words = sexpr.string_bytes(data[2])
        values = [int.from_bytes(words[at : at + 4], "little") for at in range(0, 44, 4)]
        self.assertEqual(values, [1 << 20, 9, base, 77, 77, 5, 0, 2, 250, 3, 0])

    def test_a_module_without_a_collector_is_none(self) -> None:
        for name in ("main", "alloc"):
            text = f'(module (func $:{name} (export "{name}")))'
            self.assertIsNone(swap.swap(text, self.runtime, Limits(), _EXHAUSTED))

    def test_what_cannot_be_swapped_is_refused_by_name(self) -> None:
        for before, after, said in (
            ('(export "vera.gc_sp")', "", "not \\$gc_sp as `gc_sp`"),
            ("local.get 0 call $alloc)", "call $sweep local.get 0)", r"\$:main uses it"),
            ('i32.const 0) "abc', 'i32.const 1048570) "abc', "ends at 1,048,577"),
            ("(memory (export", "(start $:main) (memory (export", "start"),
        ):
            text = _PROGRAM.replace(before, after)
            self.assertNotEqual(text, _PROGRAM)
            with self.assertRaisesRegex(SwapProblem, said):
                swap.swap(text, self.runtime, Limits(), _EXHAUSTED)

    def test_limits_out_of_range_are_refused(self) -> None:
        for wrong in ({"shadow_stack_slots": 0}, {"heap_bytes": 1 << 31}, {"stress": -1}):
            (name,) = wrong
            with self.assertRaisesRegex(SwapProblem, name.replace("_", "-")):
                Limits(**wrong)


class Runtime(unittest.TestCase):
    def test_a_text_that_is_missing_says_what_makes_it(self) -> None:
        with self.assertRaisesRegex(runtime.RuntimeProblem, "cargo xtask vera"):
            runtime.load(Path("no-such-runtime.wat"))

    def test_another_module_is_refused(self) -> None:
        with self.assertRaisesRegex(runtime.RuntimeProblem, "tether_start"):
            runtime.prepare("(module (memory 1))")

    def test_nothing_of_the_collectors_has_a_name_of_the_programs(self) -> None:
        fields = sexpr.parse(runtime.load().fields)
        defined = [field[1] for field in fields if field[0] in ("func", "global", "type", "table")]
        self.assertEqual(len(defined), len(set(defined)))
        glue = {"$alloc", "$register_wrapper"}
        self.assertTrue(all(name.startswith("$tether.") for name in set(defined) - glue))


if __name__ == "__main__":
    unittest.main()
