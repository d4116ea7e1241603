"""S-expressions of the WebAssembly text format: reading and writing them.

A form is a list of forms and atoms. An atom is a `str` exactly as it stood in the text,
strings with their quotes and escapes. Comments and white space are dropped. This module
does not know the meaning of a form.

1. `parse(write(forms)) == forms` for all forms that `parse` returned.
2. A text with unbalanced forms is refused, with line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Atom = str
Form = list  # of Form | Atom

#: One token, or white space and comments in front of it. A block comment is only
#: recognised here by its opening: it may hold others, so `_skip_block` finds its end.
_TOKEN = re.compile(
    r"""
      (?P<space>   [ \t\r\n]+ | ;;[^\n]* )
    | (?P<block>   \(; )
    | (?P<open>    \( )
    | (?P<close>   \) )
    | (?P<string>  [^\s()";]* " (?: [^"\\\n] | \\. )* " )
    | (?P<atom>    [^\s()";]+ )
    """,
    re.VERBOSE,
)


class SyntaxProblem(ValueError):
    """The text is not a sequence of forms."""


def parse(text: str) -> list[Form | Atom]:
    """All forms and atoms at the top of a text."""
    top: Form = []
    open_forms: list[tuple[Form, int]] = []
    current = top
    for kind, token, position in _tokens(text):
        if kind == "open":
            form: Form = []
            current.append(form)
            open_forms.append((current, position))
            current = form
        elif kind == "close":
            if not open_forms:
                raise SyntaxProblem(f"{_place(text, position)}: `)` closes nothing")
            current = open_forms.pop()[0]
        else:
            current.append(token)
    if open_forms:
        raise SyntaxProblem(f"{_place(text, open_forms[-1][1])}: `(` is never closed")
    return top


def write(form: Form | Atom) -> str:
    """A form as text, on one line."""
    if isinstance(form, str):
        return form
    return "(" + " ".join(map(write, form)) + ")"


def atoms(form: Form | Atom) -> Iterator[Atom]:
    """Every atom in a form, in order."""
    pending = [form]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        else:
            pending.extend(reversed(item))


def head(form: Form | Atom) -> Atom | None:
    """The keyword that a form begins with."""
    return form[0] if isinstance(form, list) and form and isinstance(form[0], str) else None


def string_bytes(atom: Atom) -> bytes:
    """The bytes of a string literal."""
    body = atom[1:-1]
    out = bytearray()
    at = 0
    while at < len(body):
        if body[at] != "\\":
            end = body.find("\\", at)
            end = len(body) if end < 0 else end
            out += body[at:end].encode()
            at = end
            continue
        escaped = body[at + 1]
        if escaped in _ESCAPES:
            out += _ESCAPES[escaped]
            at += 2
        elif escaped == "u":
            end = body.index("}", at)
            out += chr(int(body[at + 3 : end], 16)).encode()
            at = end + 1
        else:
            out.append(int(body[at + 1 : at + 3], 16))
            at += 3
    return bytes(out)


_ESCAPES = {"t": b"\t", "n": b"\n", "r": b"\r", '"': b'"', "'": b"'", "\\": b"\\"}


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    at = 0
    match = _TOKEN.match
    while at < len(text):
        found = match(text, at)
        if found is None:
            raise SyntaxProblem(f"{_place(text, at)}: a string is never closed")
        kind = found.lastgroup
        if kind == "block":
            at = _skip_block(text, at)
            continue
        if kind != "space":
            yield kind, found.group(), at
        at = found.end()


def _skip_block(text: str, start: int) -> int:
    depth, at = 1, start + 2
    while depth:
        opening, closing = text.find("(;", at), text.find(";)", at)
        if closing < 0:
            raise SyntaxProblem(f"{_place(text, start)}: a block comment is never closed")
        if 0 <= opening < closing:
            depth, at = depth + 1, opening + 2
        else:
            depth, at = depth - 1, closing + 2
    return at


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return f"line {line}, column {column}"
