"""How much hardware a load needs, computed from what `synchromesh bench --json` measured: `python -m benchmarks.capacity figures.json`."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from benchmarks.figures import Figure
from benchmarks.run import Told

FULL: Final = 0.5
"""The share of a core that may be used: the rest is for peaks, for catching up after an outage and for the machine itself."""

LOADS: Final = (10, 100, 500, 1_000, 2_000, 4_000)
ROLES: Final = ("gateway", "worker", "dispatcher")
POSTS: Final = "end to end, single posts"


class Need(msgspec.Struct, frozen=True):
    """What a load of facts a second needs, in cores busy at `FULL`, and how long an outage's backlog takes for each hour of it."""

    load: int
    cores: Mapping[str, float]
    catching_up: float

    @property
    def total(self) -> int:
        return max(1, math.ceil(sum(self.cores.values())))


def costs(figures: Sequence[Figure]) -> dict[str, float]:
    """Microseconds of CPU for a fact by role, as the run with single posts tells them. Raises `ValueError` where it does not."""
    note = next((figure.note for figure in figures if figure.name == POSTS), "")
    found = {role: float(value) for role, value in re.findall(r"(\w+) ([\d.]+)", note.partition("CPU µs a fact:")[2])}
    if missing := [role for role in ROLES if role not in found]:
        raise ValueError(f"the figure {POSTS!r} does not tell the CPU of {', '.join(missing)}; measure with --part system")
    return {role: found[role] for role in ROLES}


def needs(figures: Sequence[Figure]) -> list[Need]:
    """A row for each load that one installation of this machine can take."""
    cost = costs(figures)
    most = next(figure.value for figure in figures if figure.name == POSTS)
    return [
        Need(load, {role: load * micro / 1e6 / FULL for role, micro in cost.items()}, 60 * load / (most - load))
        for load in LOADS
        if load < most
    ]


def page(figures: Sequence[Figure]) -> str:
    """The table as Markdown."""
    lines = ["| facts/s | gateway | worker | dispatcher | cores | minutes to catch up, for an hour |", "|---|---|---|---|---|---|"]
    for need in needs(figures):
        cores = " | ".join(f"{need.cores[role]:.2f}" for role in ROLES)
        lines.append(f"| {need.load:,} | {cores} | {need.total} | {need.catching_up:.0f} |")
    return "\n".join(lines)


def main() -> None:
    told = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=list[Told])
    print(page([each.figure for each in told]))


if __name__ == "__main__":
    main()
