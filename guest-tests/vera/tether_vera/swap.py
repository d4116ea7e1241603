"""Takes Vera's own collector out of a module's text, and puts Tether's in.

The collector's forms are found from the module's structure: they are the forms that
`alloc` and `register_wrapper` reach and that nothing else uses. Every form that the
program and its host touch keeps its name, type and meaning:

1. `[0, data_end)` holds the program's active data segments, and nothing else writes
   there. The shadow stack lies behind the first pages of the core module's memory,
   and the collector's own memory behind that.
2. Addresses of objects are above 255 and below 2 GiB: memory may not grow further.
3. `gc_sp` is a global that the program and the host move; `gc_stack_limit` is the
   first address behind the shadow stack; glue.wat says what `heap_ptr` is.
4. A module without `alloc` has no collector, and is left as it is.

An allocation whose size is known is done in line, as docs/core-abi.md shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import fields as dataclass_fields

from tether_vera import sexpr
from tether_vera.runtime import PROGRAM_BYTES, Runtime
from tether_vera.sexpr import Atom, Form, atoms, head

_PAGE_BYTES = 1 << 16
#: Vera tells handles from addresses by their highest bit.
_ADDRESS_PAGES = 1 << 15
#: The largest object that a template describes.
_SMALL_BYTES = 64
_WORD_BYTES = 4
#: Bytes behind the shadow stack and its spare word, for the statistics that the runner reads.
_SCRATCH_BYTES = 128
#: Entries of the wrap table at the start, unless the limit is lower.
_FIRST_ENTRIES = 4096

#: The definitions that glue.wat makes or uses, by the names under which a module exports them.
_SHARED = {
    "alloc": "$alloc",
    "gc_sp": "$gc_sp",
    "gc_stack_limit": "$gc_stack_limit",
    "heap_ptr": "$heap_ptr",
}
#: Values of the option `sizing`.
_SIZING_BALANCED = 0
_SIZING_FACTOR = 2
_DECREF = '"host_decref_handle"'


class SwapProblem(ValueError):
    """The swap does not understand the module, or the module does not fit."""


@dataclass(frozen=True)
class Limits:
    """The limits of a program. Vera's own collector has fixed limits."""

    #: Slots of the shadow stack; Vera's has 4,096.
    shadow_stack_slots: int = 1 << 20
    #: Bytes that the collector may keep; 0 for as many as fit below 2 GiB.
    heap_bytes: int = 0
    #: Entries to which the wrap table may grow; Vera's has 4,096.
    wrap_entries: int = 1 << 26
    #: Registrations after a collection before they start the next.
    handle_floor: int = 1024
    #: How much the heap may grow between collections, in percent of the live bytes: more is
    #: faster and takes more memory; 0 for the collector's own sizing. If much is live,
    #: Vera's own heap grows further.
    growth_percent: int = 300
    #: Collect at every so many allocations, to find missing roots; 0 for never.
    stress: int = 0

    def __post_init__(self) -> None:
        for field in dataclass_fields(self):
            least, most = _RANGES[field.name]
            value = getattr(self, field.name)
            if not least <= value <= most:
                raise SwapProblem(
                    f"{_spelled(field.name)} is {value:,}, and must be {least:,} to {most:,}"
                )
        if 0 < self.heap_bytes < _LEAST_HEAP_BYTES:
            raise SwapProblem(
                f"heap-bytes is {self.heap_bytes:,}, and must be {_LEAST_HEAP_BYTES:,} or more: "
                "the collector's own tables need some of it"
            )


#: Room for a first block and the collector's tables.
_LEAST_HEAP_BYTES = 1 << 18


def _spelled(name: str) -> str:
    """The name of a limit on the command line."""
    return name.replace("_", "-")


_RANGES = {
    "shadow_stack_slots": (1, 1 << 26),
    "heap_bytes": (0, (1 << 31) - 1),
    "wrap_entries": (1, 1 << 26),
    "handle_floor": (1, (1 << 32) - 1),
    "growth_percent": (0, 10_000),
    "stress": (0, (1 << 32) - 1),
}


def swap(wat: str, runtime: Runtime, limits: Limits, exhausted: list[Atom]) -> str | None:
    """The module's text with Tether as its collector, or none if it has no collector.

    `exhausted` are the instructions that tell the host that memory is used up. They
    are Vera's own, so that the host reports it in its own words.
    """
    modules = sexpr.parse(wat)
    if len(modules) != 1 or head(modules[0]) != "module":
        raise SwapProblem("the text holds no module")
    fields = modules[0][1:]
    # A program's own function may be exported as `alloc`, but not be called $alloc.
    if _exported(fields, "alloc") != _SHARED["alloc"]:
        return None
    for name, identifier in _SHARED.items():
        if _exported(fields, name) != identifier:
            raise SwapProblem(
                f"the module exports an allocator, but not {identifier} as `{name}`: "
                "this swap does not know its collector"
            )
    if any(head(field) == "start" for field in fields):
        raise SwapProblem("the module has a start function, and so has the collector")
    if sum(head(field) == "memory" for field in fields) != 1:
        raise SwapProblem("the module does not define one memory")

    removed = _collector(fields)
    layout = _Layout.of(fields, runtime, limits)
    imports, others = [], []
    for field in fields:
        if head(field) == "import":
            imports.append(field)
        elif _key(field) not in removed:
            others.append(_inlined(layout.moved(field), runtime.state_address))
    lines = ["(module"]
    lines += map(sexpr.write, imports)
    lines += map(sexpr.write, others)
    lines += layout.declarations(limits)
    lines.append(f"(func $tether.exhausted {' '.join(exhausted)})")
    lines.append(_decref(imports))
    lines.append(runtime.fields)
    lines.append(")")
    return "\n".join(lines)


def _exported(fields: list[Form], name: str) -> Atom | None:
    """The item that the module exports under one of the host's names."""
    spelled = f'"vera.{name}"'
    for field in fields:
        if head(field) == "export" and field[1] == spelled:
            return field[2][1]
        if ["export", spelled] in field[1:4] and isinstance(field[1], str):
            return field[1]
    return None


def _key(field: Form) -> tuple[str, Atom] | None:
    """The kind and name of a definition."""
    if head(field) in ("func", "global") and isinstance(field[1], str):
        return field[0], field[1]
    return None


def _collector(fields: list[Form]) -> set[tuple[str, Atom]]:
    """The definitions to take out: the entries, and those that only the entries reach."""
    defined = {key: field for field in fields if (key := _key(field))}
    entries = {key for key in (("func", "$alloc"), ("func", "$register_wrapper")) if key in defined}
    kept = {("global", name) for name in _SHARED.values() if name != "$alloc"}
    reached: set[tuple[str, Atom]] = set()
    pending = set(entries)
    while pending:
        key = pending.pop()
        reached.add(key)
        pending |= _uses(defined[key]) & defined.keys() - reached
    collector = reached - kept
    for field in fields:
        if _key(field) in collector or head(field) == "export":
            continue
        for used in (_uses(field) & collector) - entries:
            where = _key(field)
            raise SwapProblem(
                f"{used[1]} is reached from the allocator, and "
                f"{where[1] if where else 'a table'} uses it too: "
                "what is the collector's and what is the program's cannot be told apart"
            )
    return collector


_GLOBAL_USES = ("global.get", "global.set")
_FUNCTION_USES = ("call", "return_call", "ref.func")


def _uses(field: Form) -> set[tuple[str, Atom]]:
    """The functions and globals that a definition or an element segment names."""
    used = set()
    in_table = head(field) == "elem"
    previous = None
    for atom in atoms(field[1:]):
        if previous in _GLOBAL_USES:
            used.add(("global", atom))
        elif atom.startswith("$") and (in_table or previous in _FUNCTION_USES):
            used.add(("func", atom))
        previous = atom
    return used


@dataclass(frozen=True)
class _Layout:
    """The addresses of the parts of memory."""

    data_end: int
    stack_base: int
    stack_end: int
    first_pages: int

    @staticmethod
    def of(fields: list[Form], runtime: Runtime, limits: Limits) -> _Layout:
        data_end = max((_data_end(field) for field in fields if head(field) == "data"), default=0)
        if data_end > PROGRAM_BYTES:
            raise SwapProblem(
                f"the program's static data ends at {data_end:,}, and only what is below "
                f"{PROGRAM_BYTES:,} is the program's: have it read some of its text from a file"
            )
        base = runtime.first_pages * _PAGE_BYTES
        stack_bytes = _WORD_BYTES * limits.shadow_stack_slots
        # The shadow stack needs a word more than there are slots.
        behind = _WORD_BYTES + _SCRATCH_BYTES
        stack_pages = -(-(stack_bytes + behind) // _PAGE_BYTES)
        return _Layout(data_end, base, base + stack_bytes, runtime.first_pages + stack_pages)

    def moved(self, field: Form) -> Form:
        """A definition that host and program share, with its new value."""
        if head(field) == "memory":
            pages = next(i for i, item in enumerate(field) if str(item).isdecimal())
            return [*field[:pages], str(self.first_pages), str(_ADDRESS_PAGES)]
        if head(field) != "global":
            return field
        value = {
            "$gc_sp": self.stack_base,
            "$gc_stack_limit": self.stack_end,
            "$heap_ptr": self.data_end,
        }.get(field[1])
        return field if value is None else [*field[:-1], ["i32.const", str(value)]]

    def declarations(self, limits: Limits) -> list[str]:
        """The definitions that the glue reads. It reads the options once, before anything is
        pushed, so they may lie in the memory of the shadow stack."""
        # The fields of `tether_options`, in their order.
        options = {
            "heap_limit_bytes": limits.heap_bytes,
            "root_capacity": limits.shadow_stack_slots,
            "stack_base": self.stack_base,
            "wrap_capacity": min(_FIRST_ENTRIES, limits.wrap_entries),
            "wrap_limit": limits.wrap_entries,
            "handle_floor": limits.handle_floor,
            "weight_floor_bytes": 0,  # Vera gives handles no weight
            "sizing": _SIZING_FACTOR if limits.growth_percent else _SIZING_BALANCED,
            "sizing_value": limits.growth_percent,
            "stress": limits.stress,
            "interior_pointers": 0,  # Vera stores none
        }
        text = "".join(
            f"\\{byte:02x}" for option in options.values() for byte in option.to_bytes(4, "little")
        )
        below_heap = self.first_pages * _PAGE_BYTES - self.data_end
        return [
            f'(data (i32.const {self.stack_base}) "{text}")',
            f"(global $tether.options i32 (i32.const {self.stack_base}))",
            f"(global $tether.below_heap i32 (i32.const {below_heap}))",
        ]


def _data_end(field: Form) -> int:
    """The end of an active data segment."""
    at = next((i for i, item in enumerate(field) if head(item) in ("i32.const", "offset")), None)
    if at is None:
        return 0
    offset = field[at] if field[at][0] == "i32.const" else field[at][1]
    return int(offset[1], 0) + sum(len(sexpr.string_bytes(text)) for text in field[at + 1 :])


def _decref(imports: list[Form]) -> str:
    """The function that the glue gives each released handle to. A program without
    wrappers does not import the host's function, and has no handles to release."""
    for field in imports:
        if field[2] == _DECREF:
            call = f"(call {field[3][1]} (local.get 0) (local.get 1))"
            return f"(func $tether.decref (param i32 i32) {call})"
    return "(func $tether.decref (param i32 i32))"


def _inlined(field: Form, state: int) -> Form:
    """A function in which allocations of known, small sizes are done in line."""
    if head(field) != "func":
        return field
    body = next(
        (i for i, item in enumerate(field) if i > 1 and head(item) not in _DECLARATIONS),
        len(field),
    )
    code: Form = []
    at = body
    while at < len(field):
        size = _known_size(field, at)
        if size is None:
            code.append(field[at])
            at += 1
        else:
            code += _allocation(size, state)
            at += 4
    if len(code) == len(field) - body:
        return field
    # The new locals stand behind all others, which the code names by number.
    return [*field[:body], ["local", _OBJECT, "i32"], ["local", _SCRATCH, "i32"], *code]


_DECLARATIONS = ("export", "type", "param", "result", "local")
_OBJECT = "$tether.object"
_SCRATCH = "$tether.scratch"


def _known_size(items: Form, at: int) -> int | None:
    """The size of an allocation that begins here, if it is known and small."""
    if items[at] != "i32.const" or items[at + 2 : at + 4] != ["call", "$alloc"]:
        return None
    size = int(items[at + 1].replace("_", ""), 0)
    return size if 0 <= size <= _SMALL_BYTES else None


def _allocation(size: int, state: int) -> Form:
    """An object from the window, or from `$alloc` if the window has no room."""
    granules = max(1, -(-size // 8))
    here = ["i32.const", str(state)]
    return [
        *here, "i32.load",
        "local.tee", _OBJECT,
        "i32.const", str(8 * granules),
        "i32.add",
        "local.tee", _SCRATCH,
        *here, "i32.load", "offset=4",
        "i32.gt_u",
        "if", ["result", "i32"],
        "i32.const", str(size),
        "call", "$alloc",
        "else",
        *here, "local.get", _SCRATCH, "i32.store",
        "local.get", _OBJECT, "i32.const", "0xffff0000", "i32.and",
        "local.get", _OBJECT, "i32.const", "0xffff", "i32.and",
        "i32.const", "3", "i32.shr_u",
        "i32.or",
        "local.set", _SCRATCH,
        *_metadata(granules, here),
        "local.get", _OBJECT,
        "end",
    ]  # fmt: skip


def _metadata(granules: int, here: Form) -> Form:
    """The stores of a template in which every word may be a reference, for a metadata
    address in the scratch local: exactly as many bytes as there are granules."""
    template = bytearray([0x18] * granules)
    template[0] |= 0x20
    template[-1] |= 4
    code: Form = []
    offset = 0
    for width, kind, store in (
        (8, "i64", "i64.store"),
        (4, "i32", "i32.store"),
        (2, "i32", "i32.store16"),
        (1, "i32", "i32.store8"),
    ):
        if granules - offset < width:
            continue
        value = int.from_bytes(template[offset : offset + width], "little")
        code += ["local.get", _SCRATCH, f"{kind}.const", str(value)]
        if offset == 0:
            code += [*here, "i32.load", "offset=8"]
            code += ["i64.extend_i32_u"] if kind == "i64" else []
            code += [f"{kind}.or"]
        code += [store, f"offset={offset}", "align=1"]
        offset += width
    return code
