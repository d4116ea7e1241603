"""Has Vera's own host run programs on Tether.

Vera's host compiles a program's text with `wasmtime.Module` inside
`vera.codegen.api`. `install` gives that module, and no other, a `wasmtime` whose
`Module` swaps the collector first and whose `Config` allows the deeper recursion that
the larger shadow stack does. All else, Vera's compiler included, stays as it is.

1. `uninstall` leaves Vera as it was.
2. Where the host asks which instruction trapped, it is told from the code that ran.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vera.codegen.api as vera_api
import wasmtime

from tether_vera import runtime as runtimes
from tether_vera.runtime import Runtime
from tether_vera.swap import Limits, swap

#: Wasmtime's own default.
DEFAULT_WASM_STACK_BYTES = 512 << 10


@dataclass
class Execution:
    """What is known of the last program that this thread had compiled."""

    #: The code that runs.
    wasm: bytes | None = None
    #: Whether Tether is its collector.
    swapped: bool = False
    instance: wasmtime.Instance | None = None
    store: Any = None
    #: Processor time that the swap and Wasmtime's compiler took.
    swap_seconds: float = 0.0
    compile_seconds: float = 0.0


_thread = threading.local()
_originals: dict[str, Any] = {}


def last_execution() -> Execution:
    """Of this thread."""
    if not hasattr(_thread, "execution"):
        _thread.execution = Execution()
    return _thread.execution


def install(
    limits: Limits | None = None,
    *,
    runtime: Path | Runtime | None = None,
    wasm_stack_bytes: int | None = None,
) -> None:
    """From now on, programs that Vera's host executes in this process run on Tether.

    `runtime` is the collector's text, or where it is; by default what `cargo xtask
    vera` put into the virtual environment. `wasm_stack_bytes` is how much of a
    thread's stack a program's calls may use: the thread must have that much and some
    more, or the process is killed where the program recurses too deep. Without it
    Wasmtime's 512 KiB stay.

    A second call replaces what the first said.
    """
    if not isinstance(runtime, Runtime):
        runtime = runtimes.load(runtime)
    _patch(_Swapping(limits or Limits(), runtime, wasm_stack_bytes))


def observe(*, wasm_stack_bytes: int | None = None) -> None:
    """Leaves Vera its own collector, and records executions as `install` does."""
    _patch(_Swapping(None, None, wasm_stack_bytes))


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
        self, limits: Limits | None, runtime: Runtime | None, wasm_stack_bytes: int | None
    ) -> None:
        self._limits = limits
        self._runtime = runtime
        self._wasm_stack_bytes = wasm_stack_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(wasmtime, name)

    def Config(self) -> wasmtime.Config:
        config = wasmtime.Config()
        if self._wasm_stack_bytes is not None:
            config.max_wasm_stack = self._wasm_stack_bytes
        return config

    def Module(self, engine: wasmtime.Engine, code: str | bytes) -> wasmtime.Module:
        execution = Execution()
        _thread.execution = execution
        begin = time.process_time()
        if isinstance(code, str):
            if self._limits is not None:
                swapped = swap(code, self._runtime, self._limits, _exhausted())
                execution.swapped = swapped is not None
                code = swapped or code
            code = wasmtime.wat2wasm(code)
        execution.wasm = bytes(code)
        execution.swap_seconds = time.process_time() - begin
        begin = time.process_time()
        module = wasmtime.Module(engine, execution.wasm)
        execution.compile_seconds = time.process_time() - begin
        return module

    def Linker(self, engine: wasmtime.Engine) -> wasmtime.Linker:
        return _Linker(engine)


class _Linker(wasmtime.Linker):
    def instantiate(self, store: Any, module: wasmtime.Module) -> wasmtime.Instance:
        instance = super().instantiate(store, module)
        execution = last_execution()
        execution.instance, execution.store = instance, store
        return instance


def _exhausted() -> list[str]:
    """Vera's signal that memory is used up, without the trap that follows it."""
    from vera.trap_registry import signal_instructions

    words = " ".join(signal_instructions("heap_exhausted")).split()
    return words[: words.index("unreachable")]
