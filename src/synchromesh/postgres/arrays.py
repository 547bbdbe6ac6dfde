"""Lists in the form in which PostgreSQL's protocol carries arrays: built at once, without a call of the driver for each element.

What a statement is given as one of these it takes by `unnest(%s)` or `ANY(%s)`. No element is null.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

import psycopg
from psycopg.adapt import Dumper
from psycopg.rows import TupleRow

_HEAD: Final = struct.Struct(">iiIii")
_SIZE: Final = struct.Struct(">i")


class Array(bytes):
    """An array as it is sent. Its class says of what."""


class Ints(Array):
    """int4[]."""


class Bigints(Array):
    """int8[]."""


class Blobs(Array):
    """bytea[]."""


class Texts(Array):
    """text[]."""


def ints(numbers: Sequence[int]) -> Ints:
    """Numbers of 32 bits with a sign. Raises `struct.error` for others."""
    pairs = [4] * (2 * len(numbers))
    pairs[1::2] = numbers
    return Ints(_head(23, len(numbers)) + struct.pack(f">{len(pairs)}i", *pairs))


def bigints(numbers: Sequence[int]) -> Bigints:
    """Numbers of 64 bits with a sign. Raises `struct.error` for others."""
    pairs = [8] * (2 * len(numbers))
    pairs[1::2] = numbers
    return Bigints(_head(20, len(numbers)) + struct.pack(">" + "iq" * len(numbers), *pairs))


def blobs(bodies: Sequence[bytes]) -> Blobs:
    return Blobs(_head(17, len(bodies)) + _joined(bodies))


def texts(names: Sequence[str]) -> Texts:
    """The server refuses a text that holds a zero."""
    return Texts(_head(25, len(names)) + _joined(name.encode() for name in names))


def register(connection: psycopg.Connection[TupleRow]) -> None:
    """Let a connection send arrays."""
    for kind, dumper in _DUMPERS.items():
        connection.adapters.register_dumper(kind, dumper)


def _head(kind: int, length: int) -> bytes:
    """One dimension that counts from 1, without nulls."""
    return _HEAD.pack(1, 0, kind, length, 1)


def _joined(elements: Iterable[bytes]) -> bytes:
    parts = []
    for element in elements:
        parts.append(_SIZE.pack(len(element)))
        parts.append(element)
    return b"".join(parts)


class _Dumper(Dumper):
    """Hands on what is already in the form of the protocol."""

    format = psycopg.pq.Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return bytes(obj)


class _Ints(_Dumper):
    oid = 1007


class _Bigints(_Dumper):
    oid = 1016


class _Blobs(_Dumper):
    oid = 1001


class _Texts(_Dumper):
    oid = 1009


_DUMPERS: Final[dict[type[Array], type[_Dumper]]] = {Ints: _Ints, Bigints: _Bigints, Blobs: _Blobs, Texts: _Texts}
