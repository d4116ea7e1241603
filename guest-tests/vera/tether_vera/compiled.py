"""Vera programs compiled and executed in process, as `vera run` does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vera.codegen.api as vera_api
from vera.checker import typecheck_with_artifacts
from vera.cli import _load_and_parse
from vera.codegen import CompileResult
from vera.codegen import compile as generate
from vera.errors import VeraError
from vera.resolver import ModuleResolver
from vera.runtime.traps import WasmTrapError
from vera.transform import transform


class CompileProblem(ValueError):
    """Vera refuses the program; the message is Vera's own."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of an execution: a result or a trap."""

    stdout: str
    #: The function's result.
    value: Any = None
    peak_heap_bytes: int = 0
    #: Entries that the host still keeps, of each kind.
    host_entries: int = 0
    #: Vera's name for the trap, and its message.
    trap: str | None = None
    message: str = ""


def compile_file(path: Path) -> CompileResult:
    """A file as Vera compiles it, before any swap."""
    try:
        logical, source, tree = _load_and_parse(str(path))
        ast = transform(tree)
    except VeraError as error:
        raise CompileProblem(error.diagnostic.format()) from error
    resolver = ModuleResolver(_root=logical.parent)
    resolved = resolver.resolve_imports(ast, logical)
    found, artifacts = typecheck_with_artifacts(
        ast, source, file=str(logical), resolved_modules=resolved, collect_module_artifacts=True
    )
    _refuse_errors(resolver.errors + found)
    result = generate(
        ast,
        source=source,
        file=str(logical),
        resolved_modules=resolved,
        expr_semantic_types=artifacts.expr_semantic_types,
        expr_target_types=artifacts.expr_target_types,
        module_artifacts=artifacts.module_artifacts,
    )
    _refuse_errors(result.diagnostics)
    return result


def execute(
    program: CompileResult, entry: str | None = None, arguments: list[str] | None = None
) -> Outcome:
    """Runs a function of a program, on whichever collector is installed."""
    try:
        result = vera_api.execute(program, entry, raw_args=arguments or [], stdin="")
    except WasmTrapError as error:
        return Outcome(error.stdout, trap=error.kind, message=str(error))
    entries = sum(result.host_store_sizes.values())
    return Outcome(result.stdout, result.value, result.peak_heap_bytes, entries)


def _refuse_errors(diagnostics: list[Any]) -> None:
    errors = [found.format() for found in diagnostics if found.severity == "error"]
    if errors:
        raise CompileProblem("\n".join(errors))
