"""A posting's key and where it stands. A key derives from plant, series, causing message, rule and ordinal, and never changes (law 3)."""

from __future__ import annotations

from synchromesh.plant.rows import PostingId


def key_of(plant: str, series: str, position: int, rule: str, ordinal: int) -> str:
    """A posting's key: unique for ever, the same whenever the log is folded again (law 3). `series` is the policy's."""
    return f"{plant}{series and '.'}{series}:{position}:{rule}:{ordinal}"


def id_of(key: str) -> PostingId:
    """Where the posting with this key stands. Raises `ValueError` on what is no key of ours."""
    parts = key.split(":")
    if len(parts) != 4:
        raise ValueError(f"{key!r} is not the key of a posting")
    return int(parts[1]), int(parts[3])
