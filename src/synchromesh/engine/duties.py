"""Exceptions as people see them: with whoever looks after them, by when, and what was done about them so far."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from synchromesh.engine import centres
from synchromesh.engine.views import DoingView, ExceptionView
from synchromesh.model.instant import moment
from synchromesh.plant import duties
from synchromesh.plant.entities import Decision
from synchromesh.plant.policy import DEFAULT, Policy
from synchromesh.plant.rows import ExceptionRow
from synchromesh.state.agreement import Reading

_policy: Final = msgspec.json.Decoder(Policy).decode
_decision: Final = msgspec.msgpack.Decoder(Decision).decode


class Duties:
    """Words exceptions by each plant's policy, which is read anew whenever it has changed. `now` decides what is late."""

    def __init__(self, reading: Reading, now: Callable[[], datetime]) -> None:
        self._reading = reading
        self._now = now
        self._known: dict[str, tuple[bytes, Policy]] = {}

    def policy(self, plant: str) -> Policy:
        """The policy in force in a plant, as far as the worker has come."""
        key = ("decision", "policy/" + plant)
        value = self._reading.entities(plant, [key]).get(key)
        if value is None:
            return DEFAULT
        known = self._known.get(plant)
        if known is None or known[0] != value:
            known = self._known[plant] = (value, _policy(_decision(value).content))
        return known[1]

    def due(self, plant: str, category: str, opened: datetime) -> datetime:
        """By when an exception of this category shall be resolved."""
        return opened + timedelta(minutes=duties.minutes(self.policy(plant), category))

    def owner(self, plant: str, category: str) -> str:
        """Who looks after such exceptions."""
        return duties.owner(self.policy(plant), category)

    def exception(self, plant: str, row: ExceptionRow) -> ExceptionView:
        """One exception for a person."""
        opened = moment(row.opened)
        due = self.due(plant, row.category, opened)
        return ExceptionView(
            plant=plant,
            position=row.position,
            ordinal=row.ordinal,
            category=row.category,
            subject=row.subject,
            sentence=row.sentence,
            state="assigned" if row.state == "open" and row.assigned else row.state,
            opened=opened,
            remedy=row.remedy,
            order=row.order,
            posting=row.posting,
            closed=moment(row.closed) if row.closed else None,
            detail=row.detail,
            id=f"{plant}:{row.position}.{row.ordinal}",
            facts=row.facts,
            assigned=row.assigned,
            owner=self.owner(plant, row.category),
            due=due,
            late=row.state == "open" and self._now() > due,
            work_centre=centres.of_exception(self._reading, plant, row),
            history=tuple(DoingView(moment(at), by, what) for at, by, what in row.doings),
        )
