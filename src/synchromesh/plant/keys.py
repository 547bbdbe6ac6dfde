"""A posting's key and where it stands. A key derives from plant, series, causing message, rule and ordinal, and never changes (law 3)."""

from __future__ import annotations

from typing import Final

from synchromesh.plant.rows import PostingId


def stem_of(plant: str, series: str) -> str:
    """What the keys of a plant's postings begin with. `series` is the policy's; logs from before there were series have none."""
    return f"{plant}.{series}" if series else plant


def key_of(stem: str, position: int, rule: str, ordinal: int) -> str:
    """A posting's key: unique for ever, the same whenever the log is folded again (law 3)."""
    return ":".join((stem, str(position), rule, str(ordinal)))


AGAIN: Final = "again"
"""The rule of a posting that is another one, sent again."""


def is_sent_again(key: str) -> bool:
    """Whether the posting with this key is another one, sent again; else it was decided for itself."""
    return key.split(":")[2] == AGAIN


def plant_of(key: str) -> str:
    """The plant whose posting this is. No plant's name has a dot."""
    return key.partition(":")[0].partition(".")[0]


def id_of(key: str) -> PostingId:
    """Where the posting with this key stands. Raises `ValueError` on what is no key of ours."""
    parts = key.split(":")
    if len(parts) != 4:
        raise ValueError(f"{key!r} is not the key of a posting")
    return int(parts[1]), int(parts[3])
