"""What people are shown: plain values that the page, the API and the command line all render, and nothing else computes.

Times are aware and durations are in milliseconds. A time, rate or latency that is not known is `None`, never 0.
"""

from __future__ import annotations

import msgspec

from synchromesh.model.posting import Aware


class DocumentView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document in the business system: its number and, where the system gives one, the address of its page there."""

    number: str
    link: str = ""


class FactView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fact as a row of a list: what was told, and where it is now.

    `fate` is one word of `plant.fates`; `reference` completes it to a sentence (the rule, the thing waited for, the earlier fact).
    `documents` are those that book it, alone or gathered with others.
    """

    plant: str
    position: int
    source: str
    id: str
    type: str
    received: Aware
    fate: str
    reference: str = ""
    order: str = ""
    lot: str = ""
    occurred: Aware | None = None
    documents: tuple[DocumentView, ...] = ()


class PostingView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One posting: what ERP was or will be asked to book, for how many facts, and what came of it.

    `lines` are sentences for a person ("9 EA CABLE-HEAD into MAIN"). `sentence` and `remedy` are set when ERP refused.
    """

    plant: str
    position: int
    ordinal: int
    key: str
    kind: str
    state: str
    target: str
    decided: Aware
    lines: tuple[str, ...] = ()
    order: str = ""
    facts: int = 1
    waits_for: str = ""
    document: DocumentView | None = None
    settled: Aware | None = None
    sentence: str = ""
    remedy: str = ""


class DoingView(msgspec.Struct, frozen=True):
    """What a person did about an exception."""

    at: Aware
    by: str
    what: str


class ExceptionView(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that a person must look at, or has.

    `id` is what commands take. `state` is open, assigned (open, and somebody works on it), resolved or dismissed. `facts` is how many facts
    it holds up, `owner` who looks after its kind, `due` by when; `detail` is the business system's own words. `work_centre` is the
    production line, cell or unit where the first of its facts was done, '' where neither the fact nor its order says.
    """

    plant: str
    position: int
    ordinal: int
    category: str
    subject: str
    sentence: str
    state: str
    opened: Aware
    remedy: str = ""
    order: str = ""
    posting: str = ""
    closed: Aware | None = None
    detail: str = ""
    id: str = ""
    facts: int = 1
    assigned: str = ""
    owner: str = ""
    due: Aware | None = None
    late: bool = False
    history: tuple[DoingView, ...] = ()
    work_centre: str = ""


class ReleaseView(msgspec.Struct, frozen=True):
    """What is being worked off of a cause in a plant; `by` is '' when it goes on by itself, `left` are still to be done."""

    plant: str
    verb: str
    by: str
    left: int


class CauseView(msgspec.Struct, frozen=True, omit_defaults=True):
    """Open exceptions with one thing to be fixed: how many they are, and how many facts and orders they hold up, in which plants.

    `sentence` and `remedy` are those of the oldest, `due` is by when that shall be resolved. `working` names who works
    on the oldest of them, `work_centres` where these were done, as far as that is known.
    """

    category: str
    subject: str
    plants: tuple[str, ...]
    exceptions: int
    facts: int
    orders: int
    oldest: Aware
    due: Aware
    owner: str
    sentence: str = ""
    remedy: str = ""
    late: bool = False
    releasing: tuple[ReleaseView, ...] = ()
    working: tuple[str, ...] = ()
    work_centres: tuple[str, ...] = ()


class ProposalView(msgspec.Struct, frozen=True):
    """A decision that waits for a second person. `decision` is what was decided, and `words` says it, `by` whom, `about` the exception's id
    or the cause. A replay of a selection is one proposal of so many `facts`: `position` and the others are of its first one."""

    plant: str
    position: int
    verb: str
    by: str
    at: Aware
    about: str
    decision: dict[str, object]
    words: str = ""
    facts: int = 1


class AuditView(msgspec.Struct, frozen=True):
    """One decision of a person, in `words` too, and what came of it: done, stale (it fitted no more), or proposed (a second person must
    approve)."""

    plant: str
    position: int
    at: Aware
    by: str
    verb: str
    came_of: str
    decision: dict[str, object]
    words: str = ""


class MessageView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The message as it came. `body` is its text, cut to what a page can show; `size` is the whole of it, in bytes.

    Both are empty or 0 when the log has been trimmed past it: the archive has the bytes.
    """

    interface: str
    content_type: str = ""
    size: int = 0
    body: str = ""
    correlation: str = ""
    causation: str = ""


class Story(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fact from message to document: the message, the canonical events it became, the postings they led to, the exceptions, closed ones
    too. `caused_by` names what it comes from (another message, or the fact that it corrects), and `led_to` the fact that corrects it, each
    as `plant:position`."""

    fact: FactView
    message: MessageView
    events: tuple[dict[str, object], ...] = ()
    postings: tuple[PostingView, ...] = ()
    exceptions: tuple[ExceptionView, ...] = ()
    caused_by: tuple[str, ...] = ()
    led_to: tuple[str, ...] = ()


class ExceptionStory(msgspec.Struct, frozen=True):
    """One exception and the facts that it holds up, the first of them when they are many."""

    exception: ExceptionView
    stories: tuple[Story, ...]


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one search, newest fact first.

    `matched` says as what the query was found: order, lot, message, document; several are possible. `more` is true when there
    are older facts than those listed.
    """

    query: str
    matched: tuple[str, ...] = ()
    stories: tuple[Story, ...] = ()
    more: bool = False


class SystemView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One business system: what its grade makes of the promise, whether it answers, and how many postings stand before it."""

    name: str
    grade: str
    waiting: int = 0
    reachable: bool = True


class Latency(msgspec.Struct, frozen=True):
    """From the arrival of a fact to its outcome, over the last facts that were settled."""

    p50: float
    p99: float
    samples: int


class Summary(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole at one moment. `fates` sums to `facts`, or the promise is broken and the page says so.

    `waiting` counts postings in the outbox, `exceptions` the open ones, `documents` those that ERP confirmed. Rates are per second
    over the last few seconds.
    """

    name: str
    at: Aware
    facts: int
    fates: dict[str, int]
    waiting: int = 0
    exceptions: int = 0
    documents: int = 0
    received_rate: float | None = None
    settled_rate: float | None = None
    latency: Latency | None = None
    plants: tuple[str, ...] = ()
    systems: tuple[SystemView, ...] = ()

    @property
    def unaccounted(self) -> int:
        """Facts without a fate or with two: 0 as long as the promise is kept."""
        return self.facts - sum(self.fates.values())
