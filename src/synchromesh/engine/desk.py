"""The desk: where people's decisions come in. Each is checked against what is there, told beforehand when asked, and becomes a message.

Nothing is written but that message: the plant's fold decides whether it still fits when it is its turn, and the audit trail says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from itertools import chain
from typing import Final

import msgspec

from synchromesh.engine.preview import Preview, preview
from synchromesh.engine.queue import Queue, Unknown, verb_of
from synchromesh.engine.reconcile import approving
from synchromesh.engine.replay import ReplayRefused, Request, review
from synchromesh.engine.worker import own_message
from synchromesh.log.agreement import Log, Trimmed
from synchromesh.model.event import (
    CauseAssigned,
    CauseDismissed,
    CauseReleased,
    DecisionApproved,
    DecisionDenied,
    DecisionEvent,
    DifferenceAdjusted,
    DoubtSettled,
    ExceptionsAssigned,
    FactDismissed,
    FactRepaired,
    FactReplayed,
    FactRetried,
    PostingRetried,
    Proposable,
)
from synchromesh.model.message import Record
from synchromesh.model.quantity import exactly
from synchromesh.model.validity import check
from synchromesh.plant import decisions, outside
from synchromesh.plant.entities import Proposal
from synchromesh.plant.fates import Fate
from synchromesh.plant.keys import id_of, plant_of
from synchromesh.plant.rows import PostingId, PostingRow
from synchromesh.plant.view import View
from synchromesh.state.agreement import Reading

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_decode: Final[msgspec.json.Decoder[DecisionEvent]] = msgspec.json.Decoder(DecisionEvent)
LOOKALIKES: Final = 5
"""The most look-alikes that are told one by one."""

PAGE: Final = 500

LATEST: Final = 2**63 - 1
"""No position is behind this one."""

_replayed: Final = msgspec.json.Decoder(FactReplayed).decode
_proposal: Final = msgspec.msgpack.Decoder(Proposal).decode


class NotFitting(ValueError):
    """The decision can't be taken as things stand; nothing was changed. The text says why, and what can be done."""


class Decided(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was decided in a plant. `position` is the decision's in the log, 0 for a dry run; `came_of` is done, stale, proposed, or ''
    while it is not folded yet. `foreseen` is what it changes, told by a dry run; `warnings` are for a person to read first; only
    somebody who is sure goes on after those that are `lookalikes`."""

    plant: str
    verb: str
    position: int = 0
    came_of: str = ""
    foreseen: Preview | None = None
    warnings: tuple[str, ...] = ()
    lookalikes: tuple[str, ...] = ()


class Desk:
    """Takes decisions. `settled` waits until the worker has come to a position of a plant, for a while; whether it has."""

    def __init__(
        self,
        plants: Sequence[str],
        reading: Reading,
        log: Log,
        *,
        now: Callable[[], datetime],
        settled: Callable[[str, int], bool],
    ) -> None:
        self._plants = tuple(plants)
        self._reading = reading
        self._log = log
        self._now = now
        self._settled = settled
        self.queue = Queue(plants, reading, log, now=now)

    def decide(self, plant: str, event: DecisionEvent, *, dry_run: bool = False, sure: bool = False) -> Decided:
        """Take a decision about one plant. What looks like a document that others booked is sent again only when somebody is `sure`. Raises
        `Unknown` and `NotFitting`; then nothing was changed."""
        if plant not in self._plants:
            raise Unknown(f"there is no plant {plant!r}; the plants are {', '.join(self._plants)}")
        try:
            check(_decode.decode(_encode(event)))
        except ValueError as error:
            raise NotFitting(f"the decision can't be meant: {error}") from error
        eyes, alike = self._check(plant, event), self._alike(plant, event, dry_run or sure)
        warnings = (*eyes, *alike)
        verb = verb_of(event)
        if isinstance(event, DecisionApproved | DecisionDenied) and len(positions := self.queue.together(plant, event.position)) > 1:
            return self._judge_together(plant, event, positions, dry_run)
        if dry_run or isinstance(event, FactRepaired):
            foreseen = self._foresee(plant, event)
            if dry_run:
                return Decided(plant, verb, foreseen=foreseen, warnings=warnings, lookalikes=alike)
        return self._take([(plant, event)], warnings)[0]

    def release(
        self, event: CauseReleased | CauseDismissed | CauseAssigned, *, plant: str = "", dry_run: bool = False, sure: bool = False
    ) -> list[Decided]:
        """Release, dismiss or assign a cause in every plant that has it, or in one. Raises `Unknown` when none of it is open, and as
        `decide`."""
        rows = [row for row in self._reading.causes() if (row.category, row.subject) == (event.category, event.subject)]
        plants = sorted(row.partition for row in rows if row.partition in self._plants and plant in ("", row.partition))
        if not plants:
            where = f" in plant {plant}" if plant else ""
            raise Unknown(
                f"no exception “{event.category}: {event.subject}” is open{where}; `synchromesh exceptions list` shows the causes"
            )
        alike = {each: self._alike(each, event, dry_run or sure) for each in plants}
        warnings = {each: (*self._four_eyes(each, event), *alike[each]) for each in plants}
        if dry_run:
            return [
                Decided(each, verb_of(event), foreseen=self._foresee(each, event), warnings=warnings[each], lookalikes=alike[each])
                for each in plants
            ]
        return self._take([(each, event) for each in plants], tuple(chain(*warnings.values())))

    def correct_payload(self, plant: str, position: int, payload: str, by: str, reason: str, *, dry_run: bool = False) -> Decided:
        """The message at a position should have been `payload`: that is mapped in its place, and the fact becomes what it should have been.
        The message stays as it came. Raises `Unknown` and `NotFitting`; then nothing was changed."""
        if self._reading.fact(plant, position) is None:
            raise Unknown(f"plant {plant} has no fact at position {position}")
        try:
            message = self._log.read({plant: position - 1}, 1)[plant][0].message
            changed = Record(position, msgspec.structs.replace(message, body=payload.encode()))
            reviewed, taken = review(self._reading, plant, [changed], Request(by, reason), self._now())
        except Trimmed as error:
            raise NotFitting(f"{error}; correct what the fact says instead of its payload") from error
        except ReplayRefused as refused:
            raise NotFitting(str(refused)) from refused
        if not taken:
            why = reviewed.refused.first[0].why if reviewed.refused.first else "it says what the message says already"
            raise NotFitting(f"the corrected payload changes nothing: {why}")
        return self.decide(plant, msgspec.structs.replace(_replayed(taken[0].body), payload=payload), dry_run=dry_run)

    def _take(self, events: Sequence[tuple[str, DecisionEvent]], warnings: tuple[str, ...]) -> list[Decided]:
        """Append the decisions, all or none, and wait a while for what comes of them."""
        now = self._now()
        messages = [own_message(plant, f"decision:{event.by}:{now.isoformat()}", event, now) for plant, event in events]
        positions = self._log.append(messages)
        told = []
        for (plant, event), position in zip(events, positions, strict=True):
            came_of = self.queue.came_of(plant, position) if self._settled(plant, position) else ""
            told.append(Decided(plant, verb_of(event), position, came_of, warnings=warnings))
        return told

    def _judge_together(self, plant: str, event: DecisionApproved | DecisionDenied, positions: Sequence[int], dry_run: bool) -> Decided:
        """One word of the second person about all of a replay. It is said of each part, some at a time, so that the plant's own messages
        come in between; a crash leaves the rest as a proposal."""
        now, verb = self._now(), verb_of(event)
        parts = [
            own_message(plant, f"decision:{event.by}:{now.isoformat()}:{position}", msgspec.structs.replace(event, position=position), now)
            for position in positions
        ]
        if dry_run:
            return Decided(plant, verb, foreseen=preview(self._reading, plant, parts, now))
        last = 0
        for first in range(0, len(parts), PAGE):
            last = self._log.append(parts[first : first + PAGE])[-1]
        return Decided(plant, verb, last, self.queue.came_of(plant, last) if self._settled(plant, last) else "")

    def _foresee(self, plant: str, event: DecisionEvent) -> Preview:
        """What the decision would change; one that needs a second person is foreseen as approved, since that is what there is to know."""
        now = self._now()
        messages = [own_message(plant, "decision", event, now)]
        if self._four_eyes(plant, event):
            next_ = self._reading.positions().get(plant, 0) + 1
            messages.append(own_message(plant, "approval", DecisionApproved(next_, "a second person"), now))
        foreseen = preview(self._reading, plant, messages, now)
        if isinstance(event, FactRepaired):
            refused = [each for each in foreseen.opened.first if each.position > foreseen.position]
            if refused:
                raise NotFitting(f"the correction would be refused itself: {refused[0].sentence} {refused[0].remedy}".rstrip())
        return foreseen

    # --- what others booked ------------------------------------------------------------------------------------------------

    def _alike(self, plant: str, event: DecisionEvent, sure: bool) -> tuple[str, ...]:
        """What to warn of. Raises unless the person has seen it or is sure."""
        found = tuple(self._lookalikes(plant, event))
        if found and not sure:
            raise NotFitting(f"{'; '.join(found)}. Dismiss it if that is the same; else say that you are sure, and it is sent")
        return found

    def _lookalikes(self, plant: str, event: DecisionEvent) -> Iterator[str]:
        """A sentence for each posting that would be sent again and looks like a document that others booked, the first few of them."""
        if not isinstance(event, PostingRetried | CauseReleased):
            return
        with closing(self._reading.moment()) as moment, exactly():
            view = View(plant, moment)
            found = 0
            for id_ in self._to_be_sent(plant, event):
                documents = outside.lookalikes(view, view.content(id_))
                if documents and found < LOOKALIKES:
                    yield f"posting {id_[0]}.{id_[1]} looks like document {documents[0]}, which somebody booked in ERP"
                found += bool(documents)
                if found > LOOKALIKES:
                    yield "and more"
                    return

    def _to_be_sent(self, plant: str, event: PostingRetried | CauseReleased) -> Iterator[PostingId]:
        if isinstance(event, PostingRetried):
            yield id_of(event.posting)
            return
        after = (0, 0)
        while rows := self._reading.of_cause(plant, event.category, event.subject, after, PAGE):
            yield from (id_of(row.posting) for row in rows if row.posting)
            after = (rows[-1].position, rows[-1].ordinal)

    # --- what must be there ----------------------------------------------------------------------------------------------

    def _check(self, plant: str, event: DecisionEvent) -> tuple[str, ...]:
        """Raise unless the decision fits what is there now; what a person should know before it is taken."""
        match event:
            case PostingRetried() | DoubtSettled():
                self._settleable(self._posting(plant, event.posting), event)
            case FactRetried() | FactRepaired():
                self._fact(plant, event)
            case FactDismissed():
                self._dismissible(plant, event)
            case CauseReleased() | CauseDismissed() | CauseAssigned():
                name = (event.category, event.subject)
                if not any((row.category, row.subject) == name and row.partition == plant for row in self._reading.causes()):
                    raise Unknown(f"plant {plant} has no open exception “{event.category}: {event.subject}”")
            case ExceptionsAssigned():
                for id_ in event.exceptions:
                    self._open(plant, id_)
            case DecisionApproved() | DecisionDenied():
                self._approvable(plant, event)
            case DifferenceAdjusted():
                self._proposed(plant, event)
        return self._four_eyes(plant, event)

    def _four_eyes(self, plant: str, event: DecisionEvent) -> tuple[str, ...]:
        wanted = self.queue.policy(plant).approvals
        verb = decisions.VERBS.get(type(event))
        if verb is None or verb not in wanted:
            return ()
        return (f"a second person must approve it: this plant's policy wants four eyes to {verb}",)

    def _settleable(self, row: PostingRow, event: PostingRetried | DoubtSettled) -> None:
        if isinstance(event, DoubtSettled):
            if row.state != "in doubt":
                raise NotFitting(f"posting {row.key} is {row.state}{_followed(row)}; only doubt can be settled")
        elif row.state == "in doubt":
            raise NotFitting(f"posting {row.key} is in doubt: say whether it is booked (settle), then it goes on or is sent again")
        elif row.state not in ("rejected", "reversed outside") or row.successor:
            raise NotFitting(f"posting {row.key} is {row.state}{_followed(row)}; only what was refused is sent again")

    def _proposed(self, plant: str, event: DifferenceAdjusted) -> None:
        try:
            approving.check(self._reading, plant, event.proposal)
        except approving.NoProposal as error:
            raise Unknown(str(error)) from error
        except approving.Unfit as error:
            raise NotFitting(str(error)) from error

    def _posting(self, plant: str, key: str) -> PostingRow:
        try:
            id_ = id_of(key)
        except ValueError as error:
            raise Unknown(f"{error}; `synchromesh exceptions list` shows what there is") from error
        row = self._reading.posting(plant, id_) if plant_of(key) == plant and max(id_) <= LATEST else None
        if row is not None and row.key == key:
            return row
        raise Unknown(f"plant {plant} has no posting {key!r}")

    def _fact(self, plant: str, event: FactRetried | FactRepaired) -> None:
        fact = self._reading.fact(plant, event.position)
        if fact is None:
            raise Unknown(f"plant {plant} has no fact at position {event.position}")
        if isinstance(event, FactRepaired):
            if fact.fate in (Fate.DUPLICATE, Fate.DISMISSED):
                raise NotFitting(f"the fact at {event.position} is {fact.fate} ({fact.reference}); there is nothing to correct")
            return
        self._open(plant, (event.position, 0))
        if fact.fate != Fate.EXCEPTION:
            raise NotFitting(f"the fact at {event.position} is {fact.fate}; only a refused fact is told again")
        if not fact.type:
            raise NotFitting(
                f"the message at {event.position} could not be understood; correct its adapter and replay it, or correct what it says"
            )

    def _dismissible(self, plant: str, event: FactDismissed) -> None:
        position = event.position
        fact = self._reading.fact(plant, position)
        if fact is None and not self._reading.postings_of(plant, position):
            raise Unknown(f"plant {plant} has neither a fact nor a posting at position {position}")
        if fact is not None and fact.fate == Fate.DISMISSED:
            raise NotFitting(f"the fact at {position} is dismissed already ({fact.reference})")

    def _open(self, plant: str, id_: PostingId) -> None:
        view = self.queue.exception(plant, id_)
        if view.state not in ("open", "assigned"):
            raise NotFitting(f"exception {view.id} is {view.state}; nothing is to be done about it any more")

    def _approvable(self, plant: str, event: DecisionApproved | DecisionDenied) -> None:
        key = ("proposal", str(event.position))
        value = self._reading.entities(plant, [key]).get(key)
        if value is None:
            raise Unknown(
                f"plant {plant} has no proposal at position {event.position}; `synchromesh exceptions proposals` shows what waits"
            )
        proposed: Proposable = decisions.proposed(_proposal(value))
        if isinstance(event, DecisionApproved) and proposed.by == event.by:
            raise NotFitting(f"{event.by} proposed this: a second person must approve it")


def _followed(row: PostingRow) -> str:
    return f" and was followed by {row.successor}" if row.successor else ""
