"""What JSON leaves open and a fact may not: a name told twice, of which every reader may take another, and an amount in odd writing."""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

from synchromesh.edges.http.answer import Fault

_DECODE: Final = msgspec.json.Decoder(object, float_hook=str).decode
_ODD_AMOUNT: Final = re.compile(rb'"amount"[ \t\r\n]*:[ \t\r\n]*("(?![+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")[^"]*")')


class _Twice(Exception):
    """An object that names something twice; its argument is the name."""


def told_twice(raw: bytes) -> Fault | None:
    """The fault of readable JSON that has an object with one name twice, else None.

    A name told twice is lost when the JSON is read, and its quotes with it: nearly every message is done when they are counted.
    """
    try:
        if b"\\" not in raw and raw.count(b'"') == 2 * _texts(_DECODE(raw)):
            return None
    except msgspec.MsgspecError:
        pass  # a number of a thousand digits
    try:
        json.loads(raw, object_pairs_hook=_once, parse_int=str, parse_float=str)
    except _Twice as twice:
        return Fault("", f"an object names {twice.args[0][:80]!r} twice", "send each name once; nobody can say which of them counts")
    return None


def _texts(value: object) -> int:
    """How many texts were read: names and values."""
    if type(value) is str:
        return 1
    parts = value.values() if type(value) is dict else value if type(value) is list else ()
    count = len(value) if type(value) is dict else 0
    for part in parts:
        if type(part) is str:
            count += 1
        elif type(part) is dict or type(part) is list:
            count += _texts(part)
    return count


def odd_amount(raw: bytes, pointer: str) -> Fault | None:
    """The fault of an amount that is a text but not written in plain digits, such as "1_000" or "12 ", else None."""
    found = _ODD_AMOUNT.search(raw)
    if found is None:
        return None
    written = found[1][:80].decode("utf-8", "replace")
    return Fault(
        pointer, f"the amount {written} is not written in plain digits", 'write it as "12" or "12.5", without blanks and separators'
    )


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return found
