"""Has Vera's own host run programs on Tether.

Vera's host compiles a program's text with `wasmtime.Module` inside
`vera.codegen.api`. `install` gives that module, and no other, a `wasmtime` whose
`Module` swaps the collector first. The larger shadow stack allows a deeper recursion,
and the `Config` of that `wasmtime` allows it too. All else, Vera's compiler included,
stays as it is.

1. `uninstall` leaves Vera as it was.
2. When the host asks which instruction trapped, the answer comes from the code that ran.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import vera.codegen.api as vera_api
import wasmtime
from vera.envflags import flag_enabled
from wasmtime._bindings import wasmtime_config_async_stack_size_set

from tether_vera import runtime as runtimes
from tether_vera.runtime import Runtime
from tether_vera.swap import Limits, swap

#: How much stack `with_deep_stack` gives a program's calls.
DEEP_WASM_STACK_BYTES = 256 << 20
#: How much of that stack Python and Wasmtime need.
_HOST_STACK_BYTES = 16 << 20


@dataclass
class Execution:
    """The last program that this thread had compiled."""

    #: The code that runs.
    wasm: bytes | None = None
    #: Whether Tether is its collector.
    swapped: bool = False
    instance: wasmtime.Instance | None = None
    store: Any = None
    #: Processor time that the swap and Wasmtime's compiler took.
    swap_seconds: float = 0.0
    compile_seconds: float = 0.0


_T = TypeVar("_T")
_thread = threading.local()
_originals: dict[str, Any] = {}


def last_execution() -> Execution:
    """The last execution of this thread."""
    if not hasattr(_thread, "execution"):
        _thread.execution = Execution()
    return _thread.execution


def install(
    limits: Limits | None = None,
    *,
    runtime: Path | Runtime | None = None,
    wasm_stack_bytes: int | None = None,
    imports: str | None = None,
) -> None:
    """From now on, programs that Vera's host executes in this process run on Tether.

    `runtime` is the collector's text, or its path; by default the text that `cargo xtask
    vera` put into the virtual environment. `wasm_stack_bytes` is how much of a thread's
    stack a program's calls may use; by default Wasmtime's 512 KiB. The thread must have
    that much and some more, or the process is killed if the program recurses too deep.
    `imports` is the text of a module for measurements: its exports stand in for the
    host's functions of those names.

    A second call replaces the settings of the first.
    """
    if not isinstance(runtime, Runtime):
        runtime = runtimes.load(runtime)
    _patch(_Swapping(limits or Limits(), runtime, wasm_stack_bytes, imports))


def observe(*, wasm_stack_bytes: int | None = None, imports: str | None = None) -> None:
    """Leaves Vera its own collector, and records executions as `install` does."""
    _patch(_Swapping(None, None, wasm_stack_bytes, imports))


def uninstall() -> None:
    """Gives Vera its own collector back."""
    for name, original in _originals.items():
        setattr(vera_api, name, original)
    _originals.clear()


def _patch(swapping: _Swapping) -> None:
    uninstall()
    for name in ("wasmtime", "trapping_instruction"):
        _originals[name] = getattr(vera_api, name)
    trapping_instruction = vera_api.trapping_instruction

    def of_what_ran(error: BaseException, wasm: bytes) -> str | None:
        return trapping_instruction(error, last_execution().wasm or wasm)

    vera_api.wasmtime = swapping
    vera_api.trapping_instruction = of_what_ran


class _Swapping:
    """`wasmtime`, as far as `vera.codegen.api` uses it."""

    def __init__(
        self,
        limits: Limits | None,
        runtime: Runtime | None,
        wasm_stack_bytes: int | None,
        imports: str | None,
    ) -> None:
        self._limits = limits
        self._runtime = runtime
        self._wasm_stack_bytes = wasm_stack_bytes
        self._imports = imports

    def __getattr__(self, name: str) -> Any:
        return getattr(wasmtime, name)

    def Config(self) -> wasmtime.Config:
        config = wasmtime.Config()
        if self._wasm_stack_bytes is not None:
            # Wasmtime wants its other stack as large, though nothing here runs on it.
            # The Python package has no property for that size.
            wasmtime_config_async_stack_size_set(config.ptr(), self._wasm_stack_bytes)
            config.max_wasm_stack = self._wasm_stack_bytes
        return config

    def Module(self, engine: wasmtime.Engine, code: str | bytes) -> wasmtime.Module:
        execution = Execution()
        _thread.execution = execution
        begin = time.process_time()
        if isinstance(code, str):
            if self._limits is not None:
                swapped = swap(code, self._runtime, self._eager(), _exhausted())
                execution.swapped = swapped is not None
                code = swapped or code
            code = wasmtime.wat2wasm(code)
        execution.wasm = bytes(code)
        execution.swap_seconds = time.process_time() - begin
        begin = time.process_time()
        module = wasmtime.Module(engine, execution.wasm)
        execution.compile_seconds = time.process_time() - begin
        return module

    def _eager(self) -> Limits:
        """The limits; with stress if Vera's own collector would collect at every allocation."""
        if flag_enabled("VERA_EAGER_GC") and self._limits.stress == 0:
            return replace(self._limits, stress=1)
        return self._limits

    def Linker(self, engine: wasmtime.Engine) -> wasmtime.Linker:
        return _Linker(engine, self._imports)


class _Linker(wasmtime.Linker):
    """A linker that remembers the instance, and may take imports from elsewhere."""

    def __init__(self, engine: wasmtime.Engine, imports: str | None) -> None:
        super().__init__(engine)
        self._engine = engine
        self._imports = imports

    def instantiate(self, store: Any, module: wasmtime.Module) -> wasmtime.Instance:
        execution = last_execution()
        if self._imports is not None:
            begin = time.process_time()
            source = wasmtime.Module(self._engine, self._imports)
            execution.compile_seconds += time.process_time() - begin
            self.allow_shadowing = True
            for name, item in wasmtime.Instance(store, source, []).exports(store).items():
                self.define(store, "vera", name, item)
        instance = super().instantiate(store, module)
        execution.instance, execution.store = instance, store
        return instance


def _exhausted() -> list[str]:
    """Vera's signal that memory is used up, without the trap that follows it."""
    from vera.trap_registry import signal_instructions

    words = " ".join(signal_instructions("heap_exhausted")).split()
    return words[: words.index("unreachable")]


#: The fields of `tether_statistics`, and struct's letters for them.
_STATISTICS = (
    ("collections", "I"),
    ("collections_for_handles", "I"),
    ("heap_bytes", "I"),
    ("heap_peak_bytes", "I"),
    ("live_bytes", "Q"),
    ("allocated_bytes", "Q"),
    ("wrappers_registered", "Q"),
    ("handles_released", "Q"),
    ("wrappers_live", "I"),
    ("unreleased_peak", "I"),
    ("wrap_table_capacity", "I"),
    ("wrap_table_peak", "I"),
    ("roots", "I"),
    ("roots_peak", "I"),
    ("external_bytes", "Q"),
)


def statistics() -> dict[str, int] | None:
    """Tether's statistics of this thread's last execution; none if the execution ran on
    Vera's own collector, or never began."""
    execution = last_execution()
    if not execution.swapped or execution.instance is None:
        return None
    store, exports = execution.store, execution.instance.exports(execution.store)
    form = struct.Struct("<" + "".join(letter for _, letter in _STATISTICS))
    # The scratch memory lies behind the stack and its spare word.
    into = exports["vera.gc_stack_limit"].value(store) + 8
    error = exports["tether.read_statistics"](store, into)
    if error:
        raise RuntimeError(f"the collector cannot give its statistics: error {error}")
    words = exports["vera.memory"].read(store, into, into + form.size)
    return dict(zip((name for name, _ in _STATISTICS), form.unpack(words), strict=True))


def with_deep_stack(work: Callable[[], _T]) -> _T:
    """Does something in a thread whose stack has room for `DEEP_WASM_STACK_BYTES` of a
    program's calls, and gives its result, or raises what it raised."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))

    before = threading.stack_size(DEEP_WASM_STACK_BYTES + _HOST_STACK_BYTES)
    try:
        thread = threading.Thread(target=run, name="vera program", daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def limit_reached(limits: Limits) -> tuple[str, int] | None:
    """The limit that ended this thread's last execution on Tether, by its name on the
    command line, and its value; none if the execution ended otherwise."""
    execution = last_execution()
    if not execution.swapped or execution.instance is None:
        return None
    exports = execution.instance.exports(execution.store)
    top, limit = (
        exports[f"vera.{name}"].value(execution.store) for name in ("gc_sp", "gc_stack_limit")
    )
    if top + 4 > limit:
        return "shadow-stack-slots", limits.shadow_stack_slots
    try:
        figures = statistics()
    except RuntimeError:
        return None
    if figures["wrappers_live"] >= limits.wrap_entries:
        return "wrap-entries", limits.wrap_entries
    # The last request did not fit, and its size is not known.
    if 0 < limits.heap_bytes < 2 * figures["heap_bytes"]:
        return "heap-bytes", limits.heap_bytes
    return None


#: The invariants of references and of roots, by their numbers in ARCHITECTURE.md. A program
#: breaks them without harm if a slot for references holds another word, and in Vera's objects
#: every word is such a slot. The collector names these two only if no other is broken.
_STRICTER_THAN_NEEDED = (4, 10)


def verify() -> int:
    """The answer of `tether_verify` on the heap of this thread's last execution: 0 if the
    heap is sound, or the number of the invariant that does not hold."""
    execution = last_execution()
    if not execution.swapped or execution.instance is None:
        raise RuntimeError("the last program did not run on Tether: there is nothing to verify")
    broken = execution.instance.exports(execution.store)["tether.verify"](execution.store, 0)
    return 0 if broken in _STRICTER_THAN_NEEDED else broken
