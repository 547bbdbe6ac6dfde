"""The auditor's verdict: counts, and a sentence for a person about everything that is wrong."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec


class Fault(enum.StrEnum):
    """What can be wrong, in the words of the promise."""

    LOST = "lost"
    """Told and acknowledged, and not where it must be."""
    DOUBLED = "doubled"
    """More in the books than was told."""
    DISORDER = "out of order"
    """Booked before something that it depends on."""
    UNEXPLAINED = "unexplained"
    """In the books, and no fact says why."""
    FATE = "fate"
    """A fact without exactly one fate, or with a fate that is not true."""
    REASON = "reason"
    """An exception or a wait without a true reason, or a true reason without an exception."""
    DAY = "day"
    """Booked on a day on which nothing happened, or that was closed."""
    STOCK = "stock"
    """ERP's stock is not what its documents make of it."""


class Finding(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong."""

    fault: Fault
    sentence: str


class Verdict(msgspec.Struct, frozen=True):
    """What the auditor found. `received` counts messages, `facts` those that are neither repeats nor damaged, `documents` those of ours."""

    received: int
    facts: int
    documents: int
    fates: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not self.findings

    def count(self, fault: Fault) -> int:
        return sum(finding.fault is fault for finding in self.findings)

    def __str__(self) -> str:
        counts = ", ".join(f"{self.count(fault)} {fault.value}" for fault in (Fault.LOST, Fault.DOUBLED, Fault.DISORDER))
        fates = ", ".join(f"{count} {fate}" for fate, count in sorted(self.fates.items()))
        head = f"{self.received} messages ({fates}), {self.facts} facts, {self.documents} documents: {counts}"
        return "\n".join([head, *(f"  {finding.fault.value}: {finding.sentence}" for finding in self.findings)])
