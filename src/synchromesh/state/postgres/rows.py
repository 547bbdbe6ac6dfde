"""Row numbers that carry the partition."""

from __future__ import annotations

from typing import Final

POSITION_BITS: Final = 40
"""Positions below 2 ** 40; more than a plant writes in thirty years at a thousand messages a second."""
_POSITIONS: Final = (1 << POSITION_BITS) - 1


def at(number: int, position: int) -> int:
    """The row number of a position in the partition of this number."""
    return number << POSITION_BITS | position


def position_of(row: int) -> int:
    """The position in a row number."""
    return row & _POSITIONS
