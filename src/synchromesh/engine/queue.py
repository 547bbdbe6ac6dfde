"""The exception queue: what is open, by the thing to be fixed, in words of the business; and the trail of what people decided.

The page, the HTTP API and the command line all ask here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Final

import msgspec

from synchromesh.engine import centres
from synchromesh.engine.duties import Duties
from synchromesh.engine.trail import in_words
from synchromesh.engine.views import AuditView, CauseView, ExceptionView, ProposalView, ReleaseView
from synchromesh.log.agreement import Log, Trimmed
from synchromesh.model.event import DecisionEvent, FactReplayed
from synchromesh.model.instant import moment
from synchromesh.plant import causes, decisions
from synchromesh.plant.entities import KINDS, Cause, Entity, Expected, Names, Pages, Proposal
from synchromesh.plant.paged import page_key
from synchromesh.plant.policy import Policy
from synchromesh.plant.rows import ExceptionRow, PostingId
from synchromesh.plant.view import Loads
from synchromesh.state.agreement import CauseRow, Reading

_decoders: Final = {kind: msgspec.msgpack.Decoder(type_) for kind, type_ in KINDS.items()}
_event: Final = msgspec.json.Decoder(DecisionEvent)
_plain: Final = msgspec.json.Decoder(dict[str, object]).decode


_proposal_of: Final = msgspec.msgpack.Decoder(Proposal).decode

PROPOSED: Final = 1_000
"""Proposals that are asked for at once."""

OLDEST: Final = 10
"""How many of a cause are asked in each plant for who works on it."""


class Unknown(LookupError):
    """There is nothing of this name or number; the text says what was looked for, and how to find what there is."""


class Queue:
    """Asks one store, and the log for what was decided. `now` tells what is late."""

    def __init__(self, plants: Sequence[str], reading: Reading, log: Log, *, now: Callable[[], datetime]) -> None:
        self._plants = tuple(plants)
        self._reading = reading
        self._log = log
        self._now = now
        self._duties = Duties(reading, now)

    # --- causes --------------------------------------------------------------------------------------------------------

    def causes(self, limit: int, plant: str = "", category: str = "") -> list[CauseView]:
        """Open exceptions by what is to be fixed: what is late first, then what holds up most facts."""
        wanted = (plant,) if plant else self._plants
        groups: dict[tuple[str, str], list[CauseRow]] = {}
        for row in self._reading.causes():
            if row.partition in wanted and category in ("", row.category):
                groups.setdefault((row.category, row.subject), []).append(row)
        found = sorted((self._cause(rows) for rows in groups.values()), key=lambda each: (not each.late, -each.facts, each.subject))
        with closing(self._reading.moment()) as kept:
            return self._in_words(found[:limit], kept)

    def _in_words(self, found: Sequence[CauseView], kept: Loads) -> list[CauseView]:
        """The causes with what their oldest exceptions say. The store is asked about all of a plant's exceptions at once."""
        oldest = [
            {plant: self._reading.of_cause(plant, each.category, each.subject, (0, 0), OLDEST) for plant in each.plants} for each in found
        ]
        places = {
            plant: centres.of_exceptions(kept, plant, [row for rows in oldest for row in rows.get(plant, ())])
            for plant in sorted({plant for rows in oldest for plant in rows})
        }
        return [self._with_words(each, rows, places) for each, rows in zip(found, oldest, strict=True)]

    def _cause(self, rows: Sequence[CauseRow]) -> CauseView:
        first = min(rows, key=lambda row: row.oldest)
        due = min(self._duties.due(row.partition, row.category, moment(row.oldest)) for row in rows)
        return CauseView(
            category=first.category,
            subject=first.subject,
            plants=tuple(sorted(row.partition for row in rows)),
            exceptions=sum(row.exceptions for row in rows),
            facts=sum(row.facts for row in rows),
            orders=sum(row.orders for row in rows),
            oldest=moment(first.oldest),
            due=due,
            owner=self._duties.owner(first.partition, first.category),
            late=self._now() > due,
        )

    def _with_words(
        self, cause: CauseView, of_plants: Mapping[str, Sequence[ExceptionRow]], places: Mapping[str, Mapping[PostingId, str]]
    ) -> CauseView:
        oldest = [row for rows in of_plants.values() for row in rows]
        if not oldest:
            return cause  # the last one was closed meanwhile
        at = (places[plant][row.position, row.ordinal] for plant, rows in of_plants.items() for row in rows)
        return msgspec.structs.replace(
            cause,
            sentence=oldest[0].sentence,
            remedy=oldest[0].remedy,
            releasing=tuple(self.releasing(cause.category, cause.subject, cause.plants)),
            working=tuple(dict.fromkeys(row.assigned for row in oldest if row.assigned)),
            work_centres=tuple(dict.fromkeys(filter(None, at))),
        )

    def releasing(self, category: str, subject: str, plants: Iterable[str] = ()) -> Iterator[ReleaseView]:
        """What is being worked off of a cause, plant by plant."""
        name = causes.name_of(category, subject)
        for plant in plants or self._plants:
            cause = self._entity(plant, "cause", name)
            if isinstance(cause, Cause) and cause.verb not in ("", causes.ASSIGN):
                pages = self._entity(plant, "list", causes.LIST + name)
                left = pages.count if isinstance(pages, Pages) else 0
                yield ReleaseView(plant, cause.verb, cause.by, min(left, cause.open))

    def of_cause(self, plant: str, category: str, subject: str, after: PostingId, limit: int) -> list[ExceptionView]:
        """The open exceptions of one cause in a plant, in their order, behind one of them."""
        rows = self._reading.of_cause(plant, category, subject, after, limit)
        return [self._duties.exception(plant, row) for row in rows]

    def policy(self, plant: str) -> Policy:
        """The policy in force in a plant."""
        return self._duties.policy(plant)

    # --- one exception -------------------------------------------------------------------------------------------------

    def exception(self, plant: str, id_: PostingId) -> ExceptionView:
        """One exception, open or closed. Raises `Unknown`."""
        row = self._reading.exception(self._known(plant), id_)
        if row is None:
            raise Unknown(f"plant {plant} has no exception {id_[0]}.{id_[1]}; `synchromesh exceptions list` shows what there is")
        return self._duties.exception(plant, row)

    def newest(self, state: str, limit: int) -> list[ExceptionView]:
        """The newest exceptions that are open, assigned, resolved or dismissed, newest first."""
        stored = "open" if state == "assigned" else state
        rows = self._reading.exceptions(stored, limit)
        found = [self._duties.exception(plant, row) for plant, row in rows if plant in self._plants]
        return [each for each in found if state != "assigned" or each.assigned]

    def _known(self, plant: str) -> str:
        if plant not in self._plants:
            raise Unknown(f"there is no plant {plant!r}; the plants are {', '.join(self._plants)}")
        return plant

    # --- decisions -----------------------------------------------------------------------------------------------------

    def proposals(self) -> list[ProposalView]:
        """Decisions that wait for a second person, oldest first."""
        found = []
        for plant in self._plants:
            runs: dict[str, list[int]] = {}
            for position, proposal in self._proposed(plant):
                event = decisions.proposed(proposal)
                run = event.run if isinstance(event, FactReplayed) else ""
                together = runs.setdefault(run or f"{position}", [])
                together.append(position)
                if len(together) == 1:
                    found.append((_proposal(plant, position, proposal), together))
        views = [
            msgspec.structs.replace(view, facts=len(together), words=f"{view.words}; {len(together):,} facts are replayed together")
            if len(together) > 1
            else view
            for view, together in found
        ]
        return sorted(views, key=lambda each: each.at)

    def _proposed(self, plant: str) -> Iterator[tuple[int, Proposal]]:
        listed = self._entity(plant, "expected", decisions.PROPOSALS)
        positions = list(listed.names) if isinstance(listed, Expected) else []
        for first in range(0, len(positions), PROPOSED):
            keys = [("proposal", position) for position in positions[first : first + PROPOSED]]
            values = self._reading.entities(plant, keys)
            yield from ((int(key[1]), _proposal_of(values[key])) for key in keys if key in values)

    def together(self, plant: str, position: int) -> list[int]:
        """The positions of what is approved or denied with the proposal at one: all that waits of its replay, or it alone."""
        of = {at: decisions.proposed(proposal) for at, proposal in self._proposed(plant)}
        one = of.get(position)
        if not isinstance(one, FactReplayed) or not one.run:
            return [position]
        return [at for at, each in of.items() if isinstance(each, FactReplayed) and each.run == one.run]

    def audit(self, limit: int, plant: str = "") -> list[AuditView]:
        """The newest decisions of people and what came of each, newest first; those whose message the log no longer has are in the
        archive."""
        found: list[AuditView] = []
        for each in (self._known(plant),) if plant else self._plants:
            found += self._audit_of(each, limit)
        return sorted(found, key=lambda each: (each.at, each.position), reverse=True)[:limit]

    def _audit_of(self, plant: str, limit: int) -> list[AuditView]:
        pages = self._entity(plant, "list", decisions.AUDIT)
        found: list[AuditView] = []
        for number in range(pages.last, pages.first - 1, -1) if isinstance(pages, Pages) else ():
            page = self._entity(plant, "list.page", page_key(decisions.AUDIT, number))
            for entry in reversed(page.names) if isinstance(page, Names) else ():
                told = self._decided(plant, entry)
                if told is None or len(found) >= limit:
                    return found
                found.append(told)
        return found

    def _decided(self, plant: str, entry: str) -> AuditView | None:
        position, _, came_of = entry.partition(" ")
        try:
            record = self._log.read({plant: int(position) - 1}, 1)[plant][0]
        except (Trimmed, KeyError):
            return None
        body = record.message.body
        event = _event.decode(body)
        return AuditView(plant, record.position, record.message.received, event.by, verb_of(event), came_of, _plain(body), in_words(event))

    def came_of(self, plant: str, position: int) -> str:
        """What came of the decision at a position: done, stale or proposed; '' as long as it is not folded."""
        pages = self._entity(plant, "list", decisions.AUDIT)
        for number in range(pages.last, pages.first - 1, -1) if isinstance(pages, Pages) else ():
            page = self._entity(plant, "list.page", page_key(decisions.AUDIT, number))
            for entry in reversed(page.names) if isinstance(page, Names) else ():
                at, _, came_of = entry.partition(" ")
                if int(at) <= position:
                    return came_of if int(at) == position else ""
        return ""

    def _entity(self, plant: str, kind: str, name: str) -> Entity | None:
        value = self._reading.entities(plant, [(kind, name)]).get((kind, name))
        return None if value is None else _decoders[kind].decode(value)


def verb_of(event: DecisionEvent) -> str:
    """What was decided, in a word."""
    return decisions.VERBS.get(type(event)) or str(type(event).__struct_config__.tag).rpartition(".")[2]


def _proposal(plant: str, position: int, proposal: Proposal) -> ProposalView:
    event = decisions.proposed(proposal)
    id_ = decisions.about(event)
    about = f"{plant}:{id_[0]}.{id_[1]}" if id_ is not None else f"{getattr(event, 'category', '')}: {getattr(event, 'subject', '')}"
    return ProposalView(
        plant, position, decisions.VERBS[type(event)], event.by, moment(proposal.at), about, _plain(proposal.event), in_words(event)
    )
