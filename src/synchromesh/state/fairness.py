"""Taking from several sequences so that a long one never starves a short one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def fairly(sequences: Sequence[Iterator[T]], limit: int, turn: int = 0) -> list[T]:
    """Up to `limit` elements, each sequence's first ones, in its order: equal shares, and what one doesn't use goes to the others. Where
    there is not enough for all, the sequence whose `turn` it is comes first."""
    taken: list[list[T]] = [[] for _ in sequences]
    first = turn % len(sequences) if sequences else 0
    active = [*range(first, len(sequences)), *range(first)]
    left = limit
    while left > 0 and active:
        share = (left + len(active) - 1) // len(active)
        still = []
        for index in active:
            wanted = min(share, left)
            more = list(islice(sequences[index], wanted))
            taken[index].extend(more)
            left -= len(more)
            if len(more) == wanted:
                still.append(index)
        active = still
    return [element for part in taken for element in part]
