"""Programs that Vera's own collector cannot run, and Tether can."""

import unittest
from pathlib import Path

from tether_vera import compiled, host
from tether_vera.swap import Limits

_FOLDER = Path(__file__).resolve().parent.parent / "beyond"
#: Vera's word for a full table and for a full stack, whose sizes are fixed.
_FULL = "unreachable"


class Beyond(unittest.TestCase):
    def tearDown(self) -> None:
        host.uninstall()

    def on_own(self, program: str, argument: int) -> compiled.Outcome:
        host.observe(wasm_stack_bytes=host.DEEP_WASM_STACK_BYTES)
        return self.outcome(program, argument)

    def on_tether(self, program: str, argument: int, limits: Limits = Limits()) -> compiled.Outcome:
        host.install(limits, wasm_stack_bytes=host.DEEP_WASM_STACK_BYTES)
        return self.outcome(program, argument)

    def outcome(self, program: str, argument: int) -> compiled.Outcome:
        compiled_program = compiled.compile_file(_FOLDER / f"{program}.vera")

        def run() -> compiled.Outcome:
            outcome = compiled.execute(compiled_program, "main", [str(argument)])
            if host.last_execution().swapped:
                self.statistics = host.statistics()
                self.assertEqual(host.verify(), 0)
            return outcome

        return host.with_deep_stack(run)

    def test_20_000_decimals_are_alive_at_once(self) -> None:
        self.assertEqual(self.on_own("decimals_live", 20_000).trap, _FULL)
        outcome = self.on_tether("decimals_live", 20_000)
        self.assertEqual(outcome.value, "200010000")
        self.assertGreaterEqual(self.statistics["wrap_table_peak"], 20_000)

    def test_a_recursion_holds_a_list_100_000_frames_deep(self) -> None:
        self.assertEqual(self.on_own("deep_list", 2_047).trap, _FULL)
        for frames in (2_047, 100_000):
            outcome = self.on_tether("deep_list", frames)
            self.assertEqual(outcome.value, frames * (frames + 1))
        self.assertGreaterEqual(self.statistics["roots_peak"], 100_000)

    def test_a_deep_recursion_survives_collections(self) -> None:
        outcome = self.on_tether("deep_list", 20_000, Limits(stress=500))
        self.assertEqual(outcome.value, 20_000 * 20_001)
        self.assertGreater(self.statistics["collections"], 50)

    def test_the_table_of_handles_is_bounded_in_a_loop_of_200_000_decimals(self) -> None:
        outcome = self.on_tether("decimals_passing", 200_000)
        self.assertEqual(outcome.value, "5000050000")
        figures = self.statistics
        self.assertGreaterEqual(figures["wrappers_registered"], 200_000)
        self.assertLessEqual(figures["unreleased_peak"], 1_100)
        self.assertEqual(figures["wrappers_live"], outcome.host_entries)
        self.assertEqual(
            figures["wrappers_registered"],
            figures["handles_released"] + figures["wrappers_live"],
        )

    def test_fewer_than_1_500_entries_are_left_of_5_000(self) -> None:
        # A round makes two decimals, one of them a sum.
        outcome = self.on_tether("decimals_passing", 10_000)
        self.assertLess(outcome.host_entries, 1_500)

    def test_the_heap_is_constant_while_what_is_alive_is(self) -> None:
        few, many = (self.on_tether("constant_live", rounds) for rounds in (30_000, 300_000))
        self.assertEqual(few.value, many.value)
        self.assertEqual(few.peak_heap_bytes, many.peak_heap_bytes)
        # Vera's own heap grows: it never splits or joins freed blocks.
        own_few, own_many = (self.on_own("constant_live", rounds) for rounds in (30_000, 300_000))
        self.assertEqual(own_many.value, many.value)
        self.assertGreater(own_many.peak_heap_bytes, 2 * own_few.peak_heap_bytes)


if __name__ == "__main__":
    unittest.main()
