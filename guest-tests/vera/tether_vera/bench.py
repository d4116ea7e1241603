"""Vera's own collector against Tether: the same programs, in turn, in one process.

What is measured is processor time from the start of Vera's host to the end of the
program, without the swap and without Wasmtime's compiler, whose time stands apart.
Python's own collector is off meanwhile. The peak of the heap is what Vera's host
reports: for either collector the highest address that an object reached.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from vera.codegen import CompileResult

from tether_vera import compiled, host
from tether_vera.compiled import Outcome
from tether_vera.swap import Limits

_PROGRAMS = Path(__file__).resolve().parent.parent / "bench"
#: A row is not repeated beyond three times once its runs took so long.
_PATIENCE_SECONDS = 30.0
_FEWEST_RUNS = 3


@dataclass(frozen=True)
class Row:
    """A program and its arguments."""

    name: str
    program: Path
    arguments: list[str]
    entry: str | None = None
    #: Whether decimals are numbers that Wasm counts, instead of Python's.
    counted_decimals: bool = False


def _row(name: str, program: str, *arguments: int, **more: Any) -> Row:
    return Row(name, _PROGRAMS / f"{program}.vera", [str(word) for word in arguments], **more)


ROWS = [
    _row("list, 200 k live", "list", 200_000, 0),
    _row("list, 1.6 M live", "list", 1_600_000, 0),
    _row("200 k live, 200 k churned", "list", 200_000, 200_000),
    _row("400 k live, 2 M churned", "list", 400_000, 2_000_000),
    _row("nothing live, 2 M churned", "list", 0, 2_000_000),
    _row("map, 2 k inserted", "map", 2_000),
    _row("map, 50 k inserted", "map", 50_000),
    _row("map, 200 k inserted", "map", 200_000),
    _row("200 k decimals in a loop", "decimals", 200_000),
    _row("200 k decimals, the host in Wasm", "decimals", 200_000, counted_decimals=True),
    _row("first fit: 80 k small dead, 20 k large", "first_fit", 80_000, 20_000),
]


@dataclass
class Samples:
    """One collector's runs of a row."""

    seconds: list[float] = field(default_factory=list)
    #: The swap and Wasmtime's compiler.
    compile_seconds: list[float] = field(default_factory=list)
    peak_heap_bytes: int = 0
    trap: str | None = None

    def to_json(self) -> dict[str, Any]:
        if self.trap:
            return {"trap": self.trap}
        return {
            "median_seconds": median(self.seconds),
            "seconds": self.seconds,
            "median_compile_seconds": median(self.compile_seconds),
            "peak_heap_bytes": self.peak_heap_bytes,
        }


def run(rows: list[Row], limits: Limits, repeat: int, as_json: bool) -> int:
    """Measures rows and prints them. Gives 1 if the collectors disagree, else 0."""
    return host.with_deep_stack(lambda: _run(rows, limits, repeat, as_json))


def _run(rows: list[Row], limits: Limits, repeat: int, as_json: bool) -> int:
    programs: dict[Path, CompileResult] = {}
    report = []
    width = max(len(row.name) for row in rows)
    if not as_json:
        print(_line(width, "", "Vera", "Tether", "ratio", "Vera's peak", "Tether's peak"))
    disagree = False
    for row in rows:
        if row.program not in programs:
            print(f"compiling {row.program.name}", file=sys.stderr)
            programs[row.program] = compiled.compile_file(row.program)
        print(f"measuring {row.name}", file=sys.stderr)
        own, tether, outcomes = _measure(row, programs[row.program], limits, repeat)
        values = {(outcome.stdout, outcome.value) for outcome in outcomes if not outcome.trap}
        if len(values) > 1:
            disagree = True
            print(f"error: {row.name}: the results differ: {values}", file=sys.stderr)
        if tether.trap and not own.trap:
            disagree = True
            print(f"error: {row.name}: only Tether traps: {tether.trap}", file=sys.stderr)
        report.append({"name": row.name, "vera": own.to_json(), "tether": tether.to_json()})
        if not as_json:
            print(_text(width, row, own, tether), flush=True)
    if as_json:
        print(json.dumps({"rows": report}, indent=2))
    return 1 if disagree else 0


def _measure(
    row: Row, program: CompileResult, limits: Limits, repeat: int
) -> tuple[Samples, Samples, list[Outcome]]:
    own, tether = Samples(), Samples()
    outcomes = []
    begin = time.monotonic()
    for number in range(repeat):
        if number >= _FEWEST_RUNS and time.monotonic() - begin > _PATIENCE_SECONDS:
            break
        for samples, installed in ((own, None), (tether, limits)):
            if samples.trap is None:
                outcomes.append(_sample(row, program, samples, installed))
    return own, tether, outcomes


def _sample(row: Row, program: CompileResult, samples: Samples, limits: Limits | None) -> Outcome:
    stack_bytes = host.DEEP_WASM_STACK_BYTES
    imports = _COUNTED_DECIMALS if row.counted_decimals else None
    if limits is None:
        host.observe(wasm_stack_bytes=stack_bytes, imports=imports)
    else:
        host.install(limits, wasm_stack_bytes=stack_bytes, imports=imports)
    gc.collect()
    gc.disable()
    try:
        begin = time.process_time()
        outcome = compiled.execute(program, row.entry, row.arguments)
        seconds = time.process_time() - begin
    finally:
        gc.enable()
        host.uninstall()
    execution = host.last_execution()
    before = execution.swap_seconds + execution.compile_seconds
    samples.seconds.append(seconds - before)
    samples.compile_seconds.append(before)
    samples.peak_heap_bytes = max(samples.peak_heap_bytes, outcome.peak_heap_bytes)
    samples.trap = outcome.trap
    return outcome


def _text(width: int, row: Row, own: Samples, tether: Samples) -> str:
    ratio = "" if own.trap or tether.trap else f"{median(own.seconds) / median(tether.seconds):.1f}"
    return _line(width, row.name, _time(own), _time(tether), ratio, _size(own), _size(tether))


def _time(samples: Samples) -> str:
    return samples.trap or f"{median(samples.seconds) * 1000:,.1f} ms"


def _size(samples: Samples) -> str:
    return "" if samples.trap else f"{samples.peak_heap_bytes / 1e6:.1f} MB"


def _line(width: int, name: str, *cells: str) -> str:
    return name.ljust(width) + "".join(cell.rjust(15) for cell in cells)


#: Decimals in Wasm that are handles and nothing more, so that the time is the collector's.
_COUNTED_DECIMALS = """
(module
  (global $next (mut i32) (i32.const 0))
  (func $new (result i32)
    (global.set $next (i32.add (global.get $next) (i32.const 1)))
    (global.get $next))
  (func (export "decimal_from_int") (param i64) (result i32) (call $new))
  (func (export "decimal_add") (param i32 i32) (result i32) (call $new))
  (func (export "decimal_eq") (param i32 i32) (result i32) (i32.const 1))
  (func (export "attach_bucket_to_wrapper") (param i32 i32 i32))
  (func (export "host_decref_handle") (param i32 i32)))
"""
