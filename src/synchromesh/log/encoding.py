"""How a message is kept: MessagePack of its fields, times in UTC. Checked before it is written, since what can't be read again would stop
its partition for ever."""

from __future__ import annotations

from typing import Final

import msgspec

from synchromesh.log.agreement import LogError
from synchromesh.model.message import Message

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """The stored form. Raises `LogError` for a message that could not be read again."""
    if message.received.tzinfo is None or (message.occurred is not None and message.occurred.tzinfo is None):
        raise LogError(f"message {message.id!r} of {message.source!r} has a time without a zone; nothing was appended")
    if not message.partition:
        raise LogError(f"message {message.id!r} of {message.source!r} names no partition; nothing was appended")
    try:
        return _ENCODER.encode(message)
    except (ValueError, TypeError) as error:
        raise LogError(f"message {message.id!r} of {message.source!r} can't be stored: {error}; nothing was appended") from error


def decode(body: bytes) -> Message:
    """The message of a stored form. Raises `msgspec.DecodeError` when it is none."""
    return _DECODER.decode(body)
