"""Columns of rows as arrays in PostgreSQL's binary form: one parameter for thousands of values.

The driver makes an array value by value in Python; a batch has tens of thousands of values, so they are put together here.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from typing import Final

from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

from synchromesh.state.postgres.words import kept

_HEAD: Final = struct.Struct("!iiIii")
_LENGTH: Final = struct.Struct("!i").pack
_LENGTHS: Final = [_LENGTH(length) for length in range(4096)]
_BYTEA, _INT8, _INT4, _TEXT = 17, 20, 23, 25


class _Array(bytes):
    """An array in binary form."""


class Bytes(_Array):
    """A `bytea[]`."""


class Bigints(_Array):
    """A `bigint[]`."""


class Integers(_Array):
    """An `integer[]`."""


class Texts(_Array):
    """A `text[]`, each text in its stored form."""


def of_bytes(values: Collection[bytes]) -> Bytes:
    return Bytes(_joined(_BYTEA, values))


def of_texts(values: Sequence[str]) -> Texts:
    """Raises `UnicodeEncodeError` for text that is none, such as half a surrogate pair."""
    every = "".join(values)
    if "\0" in every or "\1" in every:
        values = [kept(value) for value in values]
    return Texts(_joined(_TEXT, [value.encode() for value in values]))


def of_bigints(values: Sequence[int]) -> Bigints:
    return Bigints(_numbers(_INT8, "iq", 8, values))


def of_integers(values: Sequence[int]) -> Integers:
    return Integers(_numbers(_INT4, "ii", 4, values))


def _joined(type_: int, values: Collection[bytes]) -> bytes:
    if not values:
        return _HEAD.pack(0, 0, type_, 0, 1)[:12]
    parts = [_HEAD.pack(1, 0, type_, len(values), 1)]
    for value in values:
        length = len(value)
        parts.append(_LENGTHS[length] if length < len(_LENGTHS) else _LENGTH(length))
        parts.append(value)
    return b"".join(parts)


def _numbers(type_: int, pair: str, width: int, values: Sequence[int]) -> bytes:
    if not values:
        return _HEAD.pack(0, 0, type_, 0, 1)[:12]
    flat = [width] * (2 * len(values))
    flat[1::2] = values
    return _HEAD.pack(1, 0, type_, len(values), 1) + struct.pack("!" + pair * len(values), *flat)


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: _Array) -> bytes:
        return obj


class _BytesDumper(_ArrayDumper):
    oid = 1001


class _BigintsDumper(_ArrayDumper):
    oid = 1016


class _IntegersDumper(_ArrayDumper):
    oid = 1007


class _TextsDumper(_ArrayDumper):
    oid = 1009


def register(context: AdaptContext) -> None:
    """Let a connection send these arrays as they are."""
    adapters = context.adapters
    assert adapters is not None
    adapters.register_dumper(Bytes, _BytesDumper)
    adapters.register_dumper(Bigints, _BigintsDumper)
    adapters.register_dumper(Integers, _IntegersDumper)
    adapters.register_dumper(Texts, _TextsDumper)
