"""Carrying what was claimed from one store to another one with the same postings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from synchromesh.state.agreement import Outbox

PAGE: Final = 10_000


def carry_claims(source: Outbox, target: Outbox, carrier: str, systems: Collection[str], positions: Mapping[str, int]) -> int:
    """Let the outbox of a store that was made anew know what was claimed of its postings; how many these are. `positions` are those of both
    states; `carrier` is a name that has never been used, and the one who attends to all `systems` in both.

    Everything in it counts as sent until it is known of which postings that is not true, so an interruption loses no claim. Partitions of
    which the source does not know either what was claimed stay unknown.
    """
    known = {partition: position for partition, position in positions.items() if partition in source.known()}
    count = 0
    for system in sorted(systems):
        claimed = set(_taken_over(source, carrier, system, known))
        free = [id for id in _taken_over(target, carrier, system, known) if id not in claimed]
        for first in range(0, len(free), PAGE):
            target.release(free[first : first + PAGE])
        count += len(claimed)
    return count


def _taken_over(outbox: Outbox, carrier: str, system: str, positions: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """The claims of everybody else, which are the carrier's now."""
    found: list[tuple[str, int, int]] = []
    left = dict(positions)
    while left:
        taken = outbox.take_over(system, carrier, left, PAGE)
        found += [(each.partition, each.position, each.ordinal) for each in taken.entries]
        for partition in taken.partitions:
            del left[partition]
        if not taken.entries and not taken.partitions:
            break
    return found
