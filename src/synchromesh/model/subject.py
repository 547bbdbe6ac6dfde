"""What a refusal is about, in the same words whoever says it.

Exceptions are grouped by category and subject, and a group goes on together when its subject is mended: "item 4711" arrives, "period of
2026-01-31" opens. So the fold, every connector and what runs inside a business system take their words from here. A subject names the
cause: the thing that is wrong or missing, and a posting only where nothing but the posting itself is to blame.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from synchromesh.model.posting import Posting, PostingKind

SYSTEM: Final = "system"
"""The business system itself, in the words of its connector, which does not know how it is called here; see `named`."""


def item(name: str) -> str:
    return _named("item", name)


def order(name: str) -> str:
    return _named("order", name)


def operation(name: str, of_order: str) -> str:
    return f"operation {name} of order {of_order}" if name else order(of_order)


def lot(name: str, of_item: str) -> str:
    """A lot, or the item when a lot of it should be named and is not."""
    return f"lot {name} of item {of_item}" if name else item(of_item)


def unit(name: str, of_item: str) -> str:
    """A unit that nothing leads from to the item's own."""
    return f"unit {name} of item {of_item}"


def location(name: str) -> str:
    return _named("location", name)


def warehouse(name: str) -> str:
    return _named("warehouse", name)


def period(day: date) -> str:
    """The posting period that holds the day."""
    return f"period of {day.isoformat()}"


def day(when: date) -> str:
    """A day that is wrong for another reason than its period."""
    return f"day {when.isoformat()}"


def document(number: str) -> str:
    return _named("document", number)


def kind(of_posting: PostingKind) -> str:
    """All documents of a kind."""
    return of_posting.value


def posting(key: str) -> str:
    """One posting: where the cause is nobody else's."""
    return _named("posting", key)


def about(what: Posting) -> str:
    """What a posting is about, for a refusal that names nothing else: its order, else its item, else itself."""
    if what.order:
        return order(what.order)
    return item(what.lines[0].item) if what.lines else posting(what.key)


def system(name: str) -> str:
    """A business system by its name in the configuration."""
    return f"{SYSTEM} {name}"


def named(subject: str, system_name: str) -> str:
    """A connector's subject, with the name of the business system where it means that itself."""
    return system(system_name) if subject == SYSTEM else subject


def interface(name: str, field: str = "") -> str:
    """The way in by which a message came, or one field of it."""
    return f"field {field} of interface {name}" if field else _named("interface", name)


def message(source: str, id_: str) -> str:
    return f"message {source}/{id_}"


def fact(source: str, id_: str) -> str:
    return f"fact {source}/{id_}"


def partition(name: str) -> str:
    return f"partition {name}"


def reconciliation(scope: str) -> str:
    return f"reconciliation of {scope}"


def _named(word: str, name: str) -> str:
    """The word alone when there is no name: what should be named and is not."""
    return f"{word} {name}" if name else word


_CANONICAL: Final = re.compile(
    r"(item|order|location|warehouse|document|posting|system|interface)( .+)?"
    r"|operation .+ of order .+|(lot|unit) .+ of item .+|field .+ of interface .+|(message|fact) .*/.*|partition .+|reconciliation of .+"
    r"|(period of|day) \d{4}-\d\d-\d\d",
    re.DOTALL,
)


def is_canonical(subject: str) -> bool:
    """Whether the subject is one of those made here."""
    return subject in _KINDS or _CANONICAL.fullmatch(subject) is not None


_KINDS: Final = frozenset(kind(each) for each in PostingKind)
