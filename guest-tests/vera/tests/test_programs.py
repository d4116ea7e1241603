"""Every program prints the expected text: on Vera's own collector, on Tether, and on
Tether while it collects at every allocation, where an object that nothing roots is
gone at once. Behind each run on Tether the heap is verified."""

import unittest
from pathlib import Path

from tether_vera import compiled, host
from tether_vera.swap import Limits

PROGRAMS = sorted((Path(__file__).resolve().parent.parent / "programs").glob("*.vera"))


class Programs(unittest.TestCase):
    def tearDown(self) -> None:
        host.uninstall()

    def test_there_are_programs(self) -> None:
        self.assertGreaterEqual(len(PROGRAMS), 25)

    def check(self, path: Path) -> None:
        expected = path.with_suffix(".expected").read_text(encoding="utf-8")
        self.assertTrue(expected.strip(), f"{path.name} should print something")
        program = compiled.compile_file(path)
        host.observe()
        self.assertEqual(self.printed(program), expected, "on Vera's own collector")
        self.assertFalse(host.last_execution().swapped)
        for limits in (Limits(), Limits(stress=1)):
            host.install(limits)
            self.assertEqual(self.printed(program), expected, f"on Tether, {limits}")
            self.assertTrue(host.last_execution().swapped)
            self.assertEqual(host.verify(), 0)
        self.assertGreater(host.statistics()["collections"], 0)

    def printed(self, program) -> str:
        outcome = compiled.execute(program)
        self.assertIsNone(outcome.trap, outcome.message)
        return outcome.stdout


def _add(path: Path) -> None:
    setattr(Programs, f"test_{path.stem}", lambda self: self.check(path))


for _path in PROGRAMS:
    _add(_path)


if __name__ == "__main__":
    unittest.main()
