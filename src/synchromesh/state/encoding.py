"""How rows are kept and how they are shown for comparison: MessagePack arrays, the same bytes in every store."""

from __future__ import annotations

from typing import Final

import msgspec

from synchromesh.model.message import Message
from synchromesh.state.agreement import EntityKey, ExceptionRow, FactRow, Identity, PostingId, PostingRow

_ENCODER: Final = msgspec.msgpack.Encoder()
_FACT: Final = msgspec.msgpack.Decoder(FactRow)
_POSTING: Final = msgspec.msgpack.Decoder(PostingRow)
_EXCEPTION: Final = msgspec.msgpack.Decoder(ExceptionRow)
_MESSAGE: Final = msgspec.msgpack.Decoder(Message)

encode = _ENCODER.encode
"""The stored form of a fact, a posting, an exception or a message."""
fact = _FACT.decode
posting = _POSTING.decode
exception = _EXCEPTION.decode
message = _MESSAGE.decode

Row = tuple[str, str, bytes]
"""Table, key and value: what `State.rows` gives."""


def entity_row(key: EntityKey, value: bytes) -> Row:
    return ("entity", f"{key[0]} {key[1]}", value)


def fact_row(position: int, value: bytes) -> Row:
    return ("fact", str(position), value)


def posting_row(id: PostingId, value: bytes) -> Row:
    return ("posting", f"{id[0]}.{id[1]}", value)


def outbox_row(id: PostingId, target: str, lane: str) -> Row:
    return ("outbox", f"{id[0]}.{id[1]}", encode([target, lane]))


def document_row(number: str, id: PostingId) -> Row:
    return ("document", number, encode(id))


def exception_row(id: PostingId, value: bytes) -> Row:
    return ("exception", f"{id[0]}.{id[1]}", value)


def forward_row(index: int, value: bytes) -> Row:
    return ("forward", str(index), value)


def identity_row(identity: Identity, position: int) -> Row:
    return ("identity", f"{identity[0]} {identity[1]}", encode(position))


def position_row(position: int, now: int) -> Row:
    return ("position", "", encode([position, now]))
