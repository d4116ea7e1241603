"""Vera's host, unchanged, on Tether: its reports, and its state after `uninstall`."""

import contextlib
import io
import json
import os
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import vera.codegen.api as vera_api
import wasmtime

import tether_vera
from tether_vera import cli, compiled, host
from tether_vera.swap import Limits

_ROOT = Path(__file__).resolve().parent.parent

_TRAPS = """
private data List { Nil, Cons(Int, List) }

private fn hold(@Int -> @List)
  requires(true) ensures(true) effects(<Diverge>)
{
  if @Int.0 <= 0 then { Nil } else { Cons(@Int.0, hold(@Int.0 - 1)) }
}

public fn divide(@Int -> @Int)
  requires(true) ensures(true) effects(<Diverge>)
{
  match hold(3) { Nil -> 0, Cons(@Int, @List) -> @Int.0 / @Int.1 }
}

public fn many(@Int -> @Int)
  requires(true) ensures(true) effects(<Diverge>)
{
  match hold(@Int.0) { Nil -> 0, Cons(@Int, @List) -> @Int.0 }
}

public fn text(@String -> @String)
  requires(true) ensures(true) effects(pure)
{
  string_concat(@String.0, "!")
}
"""


def program(text: str):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.vera"
        path.write_text(text, encoding="utf-8")
        return compiled.compile_file(path)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.program = program(_TRAPS)

    def tearDown(self) -> None:
        host.uninstall()

    def test_vera_is_left_as_it_was(self) -> None:
        before = vera_api.wasmtime, vera_api.trapping_instruction
        tether_vera.install()
        tether_vera.install(Limits(stress=3))
        self.assertIsNot(vera_api.wasmtime, wasmtime)
        tether_vera.uninstall()
        self.assertEqual((vera_api.wasmtime, vera_api.trapping_instruction), before)

    def test_a_program_that_runs_after_install_runs_on_tether(self) -> None:
        tether_vera.install()
        self.assertEqual(vera_api.execute(self.program, "many", [5]).value, 5)
        self.assertTrue(host.last_execution().swapped)

    def test_a_host_passes_strings_in_and_out(self) -> None:
        tether_vera.install(Limits(stress=1))
        outcome = compiled.execute(self.program, "text", ["äöü" * 1000])
        self.assertEqual(outcome.value, "äöü" * 1000 + "!")

    def test_a_program_without_a_heap_is_left_alone(self) -> None:
        tether_vera.install()
        text = "public fn main(-> @Int) requires(true) ensures(true) effects(pure) { 42 }"
        self.assertEqual(compiled.execute(program(text)).value, 42)
        self.assertFalse(host.last_execution().swapped)
        self.assertIsNone(host.statistics())

    def test_traps_have_the_same_names_on_both(self) -> None:
        for install in (host.observe, tether_vera.install):
            install()
            outcome = compiled.execute(self.program, "divide", ["0"])
            self.assertEqual(outcome.trap, "divide_by_zero", outcome.message)

    def test_exhaustion_is_reported_in_veras_words(self) -> None:
        tether_vera.install(Limits(heap_bytes=1 << 20))
        outcome = compiled.execute(self.program, "many", ["5000"])
        self.assertIsNone(outcome.trap, outcome.message)
        tether_vera.install(Limits(heap_bytes=1 << 18))
        outcome = compiled.execute(self.program, "many", ["5000"])
        self.assertEqual((outcome.trap, outcome.message), ("heap_exhausted", "Heap exhausted"))

    def test_eager_collection_is_as_on_veras_own(self) -> None:
        with unittest.mock.patch.dict(os.environ, VERA_EAGER_GC="1"):
            tether_vera.install()
            outcome = compiled.execute(self.program, "many", ["100"])
        self.assertIsNone(outcome.trap, outcome.message)
        self.assertGreater(host.statistics()["collections"], 100)

    def test_a_spoilt_heap_is_seen(self) -> None:
        tether_vera.install()
        compiled.execute(self.program, "many", ["100"])
        self.assertEqual(host.verify(), 0)
        low = host.last_execution()
        exports = low.instance.exports(low.store)
        # A byte of the metadata's own metadata, at the beginning of an object's block.
        object = exports["vera.alloc"](low.store, 16)
        exports["vera.memory"].write(low.store, b"\x10", object & ~0xFFFF)
        self.assertEqual(host.verify(), 2)

    def test_the_shadow_stack_ends_where_it_is_said_to(self) -> None:
        tether_vera.install(Limits(shadow_stack_slots=100))
        self.assertIsNone(compiled.execute(self.program, "many", ["20"]).trap)
        self.assertEqual(compiled.execute(self.program, "many", ["200"]).trap, "unreachable")

    def test_the_peak_of_the_heap_is_what_objects_reached(self) -> None:
        tether_vera.install()
        compiled.execute(self.program, "many", ["2000"])
        low = host.last_execution()
        peak = compiled.execute(self.program, "many", ["20"]).peak_heap_bytes
        large = compiled.execute(self.program, "many", ["2000"]).peak_heap_bytes
        self.assertTrue(low.swapped)
        self.assertLess(peak, 200_000)
        # 2,000 objects of 24 bytes fit in one block, and the objects reached its end.
        self.assertGreaterEqual(large, 48_000)
        text = "x" * 3_000_000
        peak = compiled.execute(self.program, "text", [text]).peak_heap_bytes
        self.assertGreaterEqual(peak, 6_000_000)
        self.assertLess(peak, 7_000_000)


class Command(unittest.TestCase):
    def tearDown(self) -> None:
        host.uninstall()

    def run_command(self, *words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = cli.main(list(words))
            except SystemExit as exit:
                code = exit.code
        return code, out.getvalue(), err.getvalue()

    def test_run_prints_what_the_program_prints(self) -> None:
        path = _ROOT / "programs/list_sum.vera"
        for words in ((), ("--own",), ("--stress", "5")):
            code, out, _ = self.run_command("run", str(path), *words)
            self.assertEqual((code, out), (0, path.with_suffix(".expected").read_text()))

    def test_run_takes_an_entry_and_arguments(self) -> None:
        path = str(_ROOT / "beyond/deep_list.vera")
        code, out, err = self.run_command("run", path, "--entry", "main", "3000", "--statistics")
        self.assertEqual((code, out.strip()), (0, str(3000 * 3001)))
        self.assertGreater(json.loads(err)["allocated_bytes"], 3000 * 24)

    def test_the_limit_that_was_reached_is_named(self) -> None:
        for program, argument, limit in (
            ("deep_list", 2_000, "shadow-stack-slots"),
            ("decimals_live", 2_000, "wrap-entries"),
            ("deep_list", 100_000, "heap-bytes"),
        ):
            path = str(_ROOT / f"beyond/{program}.vera")
            value = {"heap-bytes": 1 << 20}.get(limit, 1_000)
            code, _, err = self.run_command("run", path, str(argument), f"--{limit}", str(value))
            self.assertNotEqual(code, 0, limit)
            self.assertIn(f"note: on Tether the limit that was reached is {limit}, {value:,}", err)

    def test_a_shadow_stack_that_suffices_is_not_named(self) -> None:
        path = str(_ROOT / "beyond/deep_list.vera")
        code, _, err = self.run_command("run", path, "200", "--shadow-stack-slots", "1000")
        self.assertEqual((code, err), (0, ""))

    def test_mistakes_are_named(self) -> None:
        path = str(_ROOT / "programs/list_sum.vera")
        for words, said in (
            (("run", "no-such.vera"), "no-such.vera"),
            (("run", path, "--entry", "absent"), "absent"),
            (("run", path, "--shadow-stack-slots", "0"), "shadow-stack-slots is 0"),
            (("run", path, "--heap-bytes", "1000"), "heap-bytes is 1,000"),
            (("bench", path, "--entry", "absent"), "absent"),
            (("run",), "file"),
            (("fly",), "there is no command `fly`"),
            (("bench", "--rows", "nothing such"), "no row"),
            (("bench", str(_ROOT / "tether_vera/glue.wat")), "glue.wat, line 1"),
            (("prepare", str(_ROOT / "tether_vera/glue.wat"), "-o", "/dev/null"), "no module"),
        ):
            code, _, err = self.run_command(*words)
            self.assertNotEqual(code, 0, words)
            self.assertIn(said, err, words)

    def test_bench_measures_both(self) -> None:
        path = str(_ROOT / "programs/list_sum.vera")
        code, out, _ = self.run_command("bench", path, "--repeat", "2", "--json")
        self.assertEqual(code, 0)
        (row,) = json.loads(out)["rows"]
        for collector in ("vera", "tether"):
            self.assertEqual(len(row[collector]["seconds"]), 2)
            self.assertGreater(row[collector]["peak_heap_bytes"], 0)

    def test_every_command_has_help(self) -> None:
        for words in (
            ["--help"],
            *([name, "--help"] for name in ("run", "bench", "test", "prepare")),
        ):
            code, out, _ = self.run_command(*words)
            self.assertEqual(code, 0)
            self.assertIn("sage: python -m tether_vera", out)


if __name__ == "__main__":
    unittest.main()
