"""Which hashes a segment of identities may hold, told from memory: three bits for each hash.

A filter of `FILTER_BITS` with 2 ** 19 hashes in it says of one new hash in 200 that it may be there, and of none that is there that it
is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

FILTER_BITS: Final = 1 << 23
_MASK: Final = FILTER_BITS - 1


def hash_of(source: str, id: str) -> int:
    """The 64-bit hash of an identity, signed as databases' integers are."""
    return int.from_bytes(blake2b(f"{source}\0{id}".encode(), digest_size=8).digest(), "little", signed=True)


def empty_filter() -> bytearray:
    """The filter of a segment without entries."""
    return bytearray(FILTER_BITS // 8)


def add_to(bits: bytearray, hashes: Iterable[int]) -> None:
    """Let a filter tell of these hashes from now on."""
    for value in hashes:
        for slot in (value & _MASK, value >> 20 & _MASK, value >> 41 & _MASK):
            bits[slot >> 3] |= 1 << (slot & 7)


def maybe(filters: Sequence[bytearray], hashes: Iterable[int]) -> set[int]:
    """The hashes that any of the filters may have seen."""
    # Asked of every segment for every new identity: the first bit's place is worked out once, and rules out four of five.
    places = [(value, (value & _MASK) >> 3, 1 << (value & 7)) for value in hashes]
    found: set[int] = set()
    for bits in filters:
        likely = [value for value, byte, bit in places if bits[byte] & bit]
        found.update(value for value in likely if in_filter(bits, value))
    return found


def in_filter(bits: bytearray, value: int) -> bool:
    """Whether a filter may have seen a hash: all three of its bits are set."""
    first, second, third = value & _MASK, value >> 20 & _MASK, value >> 41 & _MASK
    return bool(bits[first >> 3] >> (first & 7) & 1 and bits[second >> 3] >> (second & 7) & 1 and bits[third >> 3] >> (third & 7) & 1)
