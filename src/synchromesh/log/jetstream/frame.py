"""Frames: how records lie in the stream's messages.

A frame holds neighbouring records of one partition: a checksum and a MessagePack array of messages in their stored form. What is larger
than a message may be goes in parts that lie side by side. Each part says in its header which positions the frame holds, so that nobody
needs to read bodies to know where they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar
from urllib.parse import quote, unquote

import msgspec

from synchromesh.log.agreement import LogError
from synchromesh.model.message import Message

STAMP: Final = "Synchromesh-Frame"
"""The header of every part: first position, count, part, parts, id of the append."""
MARK: Final = "Synchromesh-Trimmed"
"""The header of a mark: through where a partition is archived, and the SHA-256 of the last segment ('-' for none)."""
FRAME_BYTES: Final = 1024 * 1024
"""How large a frame of several records gets; a larger record is a frame by itself."""
FRAME_MESSAGES: Final = 5_000
OVERHEAD: Final = 4 * 1024
"""What the headers of a part may take of the server's `max_payload`."""
LONGEST_PARTITION: Final = 500

_T = TypeVar("_T")
_CHECKSUM: Final = 4
_MESSAGES: Final = msgspec.msgpack.Decoder(list[Message])
_BODIES: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])


class Stamp(NamedTuple):
    """What a part says of its frame."""

    first: int
    length: int
    part: int
    parts: int
    append: str

    @property
    def last(self) -> int:
        return self.first + self.length - 1

    def text(self) -> str:
        """The header's value."""
        return f"{self.first} {self.length} {self.part} {self.parts} {self.append}"


class Draft(NamedTuple):
    """A frame that has no position yet."""

    length: int
    parts: list[bytes]


def stamp_of(headers: Mapping[str, str] | None) -> Stamp | None:
    """What a message says of its frame; None when it is no part of one."""
    words = (headers or {}).get(STAMP, "").split(" ")
    if len(words) != len(Stamp._fields):
        return None
    *numbers, append = words
    if not all(word.isascii() and word.isdigit() and len(word) <= 16 for word in numbers):
        return None
    first, length, part, parts = map(int, numbers)
    stamp = Stamp(first, length, part, parts, append)
    return stamp if stamp.first > 0 and stamp.length > 0 and 0 < stamp.part <= stamp.parts else None


def mark_of(headers: Mapping[str, str] | None) -> tuple[int, str] | None:
    """Through where a mark says that its partition is archived, and the chain; None when it is no mark."""
    position, _, chain = (headers or {}).get(MARK, "").partition(" ")
    if not (position.isascii() and position.isdigit() and len(position) <= 16):
        return None
    return int(position), "" if chain == "-" else chain


def mark(through: int, chain: str) -> str:
    """The header's value of a mark."""
    return f"{through} {chain or '-'}"


def token(partition: str) -> str:
    """A partition's name as a word of a subject. Raises `LogError` for one that is too long to be a word."""
    word = quote(partition, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(word) > LONGEST_PARTITION:
        raise LogError(f"the partition's name {partition[:40]!r}... is too long for a subject; use at most {LONGEST_PARTITION} characters")
    return word


def partition_of(word: str) -> str:
    """The partition of a word that `token` made."""
    return unquote(word)


def draft(bodies: Sequence[bytes], part_bytes: int) -> Iterator[Draft]:
    """Stored messages of one partition as frames, in order, of parts of at most so many bytes."""
    first, size = 0, 0
    for index, body in enumerate(bodies):
        if index > first and (size + len(body) > min(FRAME_BYTES, part_bytes) or index - first >= FRAME_MESSAGES):
            yield _packed(bodies[first:index], part_bytes)
            first, size = index, 0
        size += len(body)
    if first < len(bodies):
        yield _packed(bodies[first:], part_bytes)


def _packed(bodies: Sequence[bytes], part_bytes: int) -> Draft:
    array = b"".join((_array_of(len(bodies)), *bodies))
    whole = zlib.crc32(array).to_bytes(_CHECKSUM, "big") + array
    return Draft(len(bodies), [whole[at : at + part_bytes] for at in range(0, len(whole), part_bytes)])


def _array_of(count: int) -> bytes:
    """The head of a MessagePack array."""
    return b"\xdc" + count.to_bytes(2, "big")


def messages_of(whole: bytes, count: int) -> list[Message]:
    """The messages of a frame. Raises `ValueError` when it is damaged."""
    return _checked(_MESSAGES.decode(_contents(whole)), count)


def bodies_of(whole: bytes, count: int) -> list[msgspec.Raw]:
    """The stored messages of a frame, each as it was appended. Raises `ValueError` when it is damaged."""
    return _checked(_BODIES.decode(_contents(whole)), count)


def _contents(whole: bytes) -> memoryview:
    contents = memoryview(whole)[_CHECKSUM:]
    if zlib.crc32(contents).to_bytes(_CHECKSUM, "big") != whole[:_CHECKSUM]:
        raise ValueError("the checksum differs")
    return contents


def _checked(found: list[_T], count: int) -> list[_T]:
    if len(found) != count:
        raise ValueError(f"it holds {len(found)} messages where its header says {count}")
    return found
