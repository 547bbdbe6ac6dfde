"""A figure: what was measured, what the bare machine does in the same run, and what is wanted."""

from __future__ import annotations

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One line of the table. `raw` is a loop of the same machine without rules, 0 where there is none; `least` is the smallest share of
    it that is enough. `lower` says that less is better."""

    name: str
    value: float
    unit: str
    target: float
    raw: float = 0.0
    lower: bool = False
    least: float = 0.0
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The figure as a share of the raw loop; None where there is no loop."""
        return self.value / self.raw if self.raw else None

    @property
    def met(self) -> bool:
        """Whether target and share are reached."""
        enough = self.value <= self.target if self.lower else self.value >= self.target
        return enough and (self.ratio is None or self.ratio >= self.least)


def amount(value: float) -> str:
    """A number as people read it: whole above 100, with decimals below."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
