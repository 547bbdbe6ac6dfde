"""Sharing a limit among partitions, so that a busy one never starves a quiet one."""

from __future__ import annotations

from collections.abc import Mapping


def shares(counts: Mapping[str, int], limit: int) -> dict[str, int]:
    """How much of `limit` each partition gets: all get the same, except that what a quiet one can't use goes to the busier ones."""
    result: dict[str, int] = {}
    left = limit
    waiting = sorted((count, partition) for partition, count in counts.items() if count > 0)
    for index, (count, partition) in enumerate(waiting):
        remaining = len(waiting) - index
        result[partition] = min(count, (left + remaining - 1) // remaining)
        left -= result[partition]
    return result
