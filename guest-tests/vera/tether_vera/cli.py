"""The command: `python -m tether_vera run`, `bench`, `test` and `prepare`."""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import sys
import unittest
from collections.abc import Callable
from pathlib import Path

from tether_vera import runtime
from tether_vera.runtime import RuntimeProblem
from tether_vera.sexpr import SyntaxProblem
from tether_vera.swap import Limits, SwapProblem

#: The tests take a minute or two. After this time they count as hung.
_TEST_SECONDS = 900
_TESTS = Path(__file__).resolve().parent.parent / "tests"

_USAGE = """\
Runs Vera programs on Tether's collector, with Vera's own compiler and host.

Usage: python -m tether_vera COMMAND [options]

Commands:
  run FILE [ARGS...]     run a program's main, or another function of it
  bench [FILE [ARGS...]] Vera's own collector against Tether
  test [NAMES...]        run this package's tests
  prepare CORE           make the collector's text from that of its core module

`python -m tether_vera COMMAND --help` says more of each. `cargo xtask vera` sets
everything up and gives the same commands.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and gives its exit code: 0 for success and 1 for an error;
    `run` gives the exit code of Vera's own `run`; 2 stands for wrong options."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help"):
        print(_USAGE, end="")
        return 0
    command = _COMMANDS.get(words[0])
    if command is None:
        print(
            f"error: there is no command `{words[0]}`: {', '.join(_COMMANDS)} are", file=sys.stderr
        )
        return 2
    try:
        return command(words[1:])
    except (RuntimeProblem, SwapProblem, SyntaxProblem, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        # Nothing can end the thread that runs a program.
        sys.stdout.flush()
        os._exit(130)


def _run(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tether_vera run",
        description="Runs a Vera program on Tether, as `vera run` runs it on Vera's own collector.",
    )
    parser.add_argument("file", help="the program, a .vera file; - for standard input")
    parser.add_argument(
        "arguments", nargs="*", metavar="ARGS", help="what the function is called with"
    )
    parser.add_argument("--entry", metavar="NAME", help="the public function to call (main)")
    parser.add_argument("--own", action="store_true", help="on Vera's own collector")
    parser.add_argument("--json", action="store_true", help="Vera's report as JSON")
    parser.add_argument(
        "--statistics", action="store_true", help="then the collector's figures, as JSON on stderr"
    )
    _add_limits(parser)
    options = parser.parse_intermixed_args(words)
    limits = _limits(options)

    from vera.cli import cmd_run

    from tether_vera import host

    if options.own:
        host.observe(wasm_stack_bytes=host.DEEP_WASM_STACK_BYTES)
    else:
        host.install(limits, wasm_stack_bytes=host.DEEP_WASM_STACK_BYTES)

    def run() -> int:
        code = cmd_run(
            options.file,
            as_json=options.json,
            fn_name=options.entry,
            raw_fn_args=options.arguments or None,
        )
        reached = host.limit_reached(limits) if code else None
        if reached:
            name, value = reached
            print(
                f"note: on Tether the limit that was reached is {name}, {value:,}; --{name} "
                f"(of cargo xtask vera: --limit {name}=N) sets it",
                file=sys.stderr,
            )
        if options.statistics:
            figures = host.statistics()
            print(
                json.dumps(figures)
                if figures
                else "no statistics: the program did not run on Tether",
                file=sys.stderr,
            )
        return code

    return host.with_deep_stack(run)


def _bench(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tether_vera bench",
        description="Measures programs on Vera's own collector and on Tether, in turn, in one "
        "process: processor time without compiling, medians, and the peak of the heap. "
        "Without a FILE the programs are those of the table in docs/guide/wat-compiler.md.",
    )
    parser.add_argument("file", nargs="?", help="a program of your own")
    parser.add_argument(
        "arguments", nargs="*", metavar="ARGS", help="what the function is called with"
    )
    parser.add_argument("--entry", metavar="NAME", help="the public function to call (main)")
    parser.add_argument("--rows", metavar="TEXT", help="only rows whose name holds this")
    parser.add_argument("--repeat", type=_positive, default=5, metavar="N", help="runs of each (5)")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, with every sample"
    )
    _add_limits(parser)
    options = parser.parse_intermixed_args(words)
    limits = _limits(options)

    from tether_vera import bench
    from tether_vera.compiled import CompileProblem

    rows = bench.ROWS
    if options.file:
        rows = [bench.Row(options.file, Path(options.file), options.arguments, options.entry)]
    if options.rows:
        rows = [row for row in rows if options.rows in row.name]
        if not rows:
            names = ", ".join(row.name for row in bench.ROWS)
            print(f"error: no row's name holds `{options.rows}`: {names}", file=sys.stderr)
            return 2
    try:
        return bench.run(rows, limits, options.repeat, options.json)
    except (CompileProblem, RuntimeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _test(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tether_vera test",
        description="Runs the tests: the programs on both collectors, and on Tether while it "
        "collects at every allocation; what Vera's own cannot do; the swap itself.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAMES", help="as test_swap, or test_swap.Class.test"
    )
    options = parser.parse_args(words)
    # On a spoilt heap a program may run for ever.
    faulthandler.dump_traceback_later(_TEST_SECONDS, exit=True)
    sys.path.insert(0, str(_TESTS))
    loader = unittest.TestLoader()
    if options.names:
        suite = loader.loadTestsFromNames(options.names)
    else:
        suite = loader.discover(str(_TESTS))
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    faulthandler.cancel_dump_traceback_later()
    # No test may be skipped: a skipped one has not passed.
    passed = result.wasSuccessful() and result.testsRun and not result.skipped
    return 0 if passed else 1


def _prepare(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tether_vera prepare",
        description="Makes the text that stands beside each program from that of the core module.",
    )
    parser.add_argument(
        "core", type=Path, help="what `wasm-dis --all-features tether_gc.core.wasm` gives"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", default=runtime.default_path(),
        help="the file of the result (default: the one that this package reads)",
    )  # fmt: skip
    options = parser.parse_args(words)
    text = runtime.prepare(options.core.read_text(encoding="utf-8"))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    print(f"{options.output}: {len(text):,} bytes", file=sys.stderr)
    return 0


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": _run,
    "bench": _bench,
    "test": _test,
    "prepare": _prepare,
}


def _add_limits(parser: argparse.ArgumentParser) -> None:
    defaults = Limits()
    group = parser.add_argument_group("limits of the program on Tether")
    for name, text in (
        ("shadow_stack_slots", "slots of the shadow stack"),
        ("heap_bytes", "bytes that the collector may keep; 0 for as many as fit below 2 GiB"),
        ("wrap_entries", "handles that may be alive at once"),
        ("handle_floor", "registrations that start a collection"),
        (
            "growth_percent",
            "how much the heap grows between collections, in percent of the live "
            "bytes; 0 for the collector's own sizing",
        ),
        ("stress", "collect at every so many allocations; 0 for never"),
    ):
        group.add_argument(
            "--" + name.replace("_", "-"), type=int, metavar="N", default=getattr(defaults, name),
            help=f"{text} (%(default)s)",
        )  # fmt: skip


def _limits(options: argparse.Namespace) -> Limits:
    return Limits(
        shadow_stack_slots=options.shadow_stack_slots,
        heap_bytes=options.heap_bytes,
        wrap_entries=options.wrap_entries,
        handle_floor=options.handle_floor,
        growth_percent=options.growth_percent,
        stress=options.stress,
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
