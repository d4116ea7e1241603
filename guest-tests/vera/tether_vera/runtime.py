"""The collector as text that can stand beside a program's in one module.

`prepare` makes it, once for each build of the collector, from the core module as
text (`wasm-dis --all-features tether_gc.core.wasm`) and from `glue.wat`:

1. Every identifier of the core module gets the prefix `$tether.`, so that it differs
   from the program's. Exported functions have their exported names.
2. Exports are gone, and the definitions that only they reached. The memory and the
   one import are gone too: the program's module supplies them.
3. The first form is the global `$tether.state`, so that `load` finds the address of
   the state words without reading the rest.

The text consists of module fields in an order that may follow any program's fields.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tether_vera import sexpr
from tether_vera.sexpr import Form, atoms, head

#: The functions that the glue calls, and those that the runner calls to look at the heap.
USED = (
    "tether_start",
    "tether_allocate_small",
    "tether_allocate",
    "tether_define_layout",
    "tether_register",
    "tether_read_statistics",
    "tether_verify",
)

#: The beginning of the core module's own statics. Memory below is the program's.
PROGRAM_BYTES = 1 << 20

_PATH_VARIABLE = "TETHER_VERA_RUNTIME"
_GLUE = Path(__file__).with_name("glue.wat")


class RuntimeProblem(RuntimeError):
    """The collector's text is missing, or this package was not made for it."""


@dataclass(frozen=True)
class Runtime:
    """The prepared text."""

    fields: str
    state_address: int
    #: Pages that the core module's memory has at the start.
    first_pages: int


def default_path() -> Path:
    """The path at which `cargo xtask vera` puts the prepared text, in the virtual
    environment. The environment variable TETHER_VERA_RUNTIME names another path."""
    named = os.environ.get(_PATH_VARIABLE)
    return Path(named) if named else Path(sys.prefix) / "share" / "tether" / "runtime.wat"


def load(path: Path | None = None) -> Runtime:
    """Reads a text that `prepare` wrote."""
    path = path or default_path()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RuntimeProblem(
            f"cannot read the collector's text, {path}: {error.strerror}. "
            f"`cargo xtask vera` makes it; {_PATH_VARIABLE} names another place"
        ) from error
    first, _, fields = text.partition("\n")
    forms = sexpr.parse(first)
    if len(forms) != 2 or head(forms[0]) != "global" or head(forms[1]) != "memory":
        raise RuntimeProblem(f"{path} is not what `python -m tether_vera prepare` writes")
    state = sexpr.write(forms[0])
    return Runtime(
        fields=f"{state}\n{fields}",
        state_address=int(forms[0][3][1]),
        first_pages=int(forms[1][1]),
    )


def prepare(core: str) -> str:
    """The runtime's text, from the core module's."""
    modules = sexpr.parse(core)
    if len(modules) != 1 or head(modules[0]) != "module":
        raise RuntimeProblem("the collector's text holds no module")
    fields = modules[0][1:]
    exports = {field[1][1:-1]: field[2] for field in fields if head(field) == "export"}
    for name in (*USED, "tether_state", "memory"):
        if name not in exports:
            raise RuntimeProblem(f"the core module does not export `{name}`")

    names = _new_names(fields, exports)
    memory = next(field for field in fields if head(field) == "memory")
    kept = [
        _renamed(_with_table(field, fields) if head(field) == "elem" else field, names)
        for field in fields
        if head(field) not in ("export", "import", "memory")
    ]
    state = next(field for field in kept if field[:2] == ["global", "$tether.state"])
    kept.remove(state)
    kept = _reachable(kept, [f"$tether.{name}" for name in USED])
    glue = sexpr.parse(_GLUE.read_text(encoding="utf-8"))
    lines = [f"{sexpr.write(state)} (memory {memory[2]})"]
    lines += map(sexpr.write, kept + glue)
    return "\n".join(lines) + "\n"


#: The kind of item that an instruction's identifier names. With any other instruction it names
#: a local or a label, which are a function's own.
_REFERENCES = {
    "call": "func",
    "return_call": "func",
    "ref.func": "func",
    "global.get": "global",
    "global.set": "global",
    "call_indirect": "table",
    "type": "type",
    "func": "func",
    "global": "global",
    "table": "table",
    "elem": "elem",
    "data": "data",
}


def _new_names(fields: list[Form], exports: dict[str, Form]) -> dict[tuple[str, str], str]:
    """The new name of each identifier of the core module, by its kind. Each kind has names
    of its own: `$0` may be a type and a function."""
    names = {}
    for field in fields:
        kind = head(field)
        if kind == "import":
            if field[1:3] != ['"tether:host"', '"tether_release"']:
                raise RuntimeProblem(f"the core module imports {field[1]} {field[2]}")
            names["func", field[3][1]] = "$tether.release"
        elif kind in _REFERENCES:
            names[kind, field[1]] = f"$tether.{kind}.{field[1][1:]}"
    for name, (kind, identifier) in exports.items():
        if kind == "func":
            names[kind, identifier] = f"$tether.{name}"
    names["global", exports["tether_state"][1]] = "$tether.state"
    return names


def _renamed(form: Form | str, names: dict[tuple[str, str], str]) -> Form | str:
    if isinstance(form, str):
        return form
    renamed = [_renamed(item, names) for item in form]
    if head(form) == "elem":
        # Functions stand behind the segment's offset.
        renamed[4:] = [names.get(("func", item), item) for item in renamed[4:]]
    if head(form) == "call_indirect" and not isinstance(form[1], str):
        raise RuntimeProblem("an indirect call names no table: use `wasm-dis --all-features`")
    kind = _REFERENCES.get(head(form) or "")
    if kind and len(form) > 1 and isinstance(form[1], str):
        renamed[1] = names.get((kind, form[1]), form[1])
    return renamed


def _with_table(field: Form, fields: list[Form]) -> Form:
    """An element segment that names its table: the program's may come first."""
    table = next(other for other in fields if head(other) == "table")
    offset = next(index for index, item in enumerate(field) if isinstance(item, list))
    return [*field[:offset], ["table", table[1]], field[offset], "func", *field[offset + 1 :]]


def _reachable(fields: list[Form], roots: list[str]) -> list[Form]:
    """The fields that the roots need. All data is kept, because code reaches it by address."""
    defined = {field[1]: field for field in fields if head(field) != "elem"}
    segments = [field for field in fields if head(field) == "elem"]
    reached: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name in reached or name not in defined:
            continue
        reached.add(name)
        pending.extend(set(atoms(defined[name][2:])))
        for segment in segments:
            if segment[2] == ["table", name]:
                pending.extend(atoms(segment[2:]))
    return [
        field
        for field in fields
        if head(field) == "data"
        or field[1] in reached
        or (head(field) == "elem" and field[2][1] in reached)
    ]
