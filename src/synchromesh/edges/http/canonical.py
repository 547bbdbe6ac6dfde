"""From the JSON of one canonical event to a message: everything that can be known to be wrong without state is refused here.

The stored body is the event's data as it came with its type in front, so that the worker decodes it in one pass with the same
types. What a plant may say is in `model.event`; here stand only the bounds of sense: no negative production, no future.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar, get_args

import msgspec

from synchromesh.edges.catalogue import MAX_NAME, IdentityError, checked_identity
from synchromesh.edges.http.answer import Fault, Refused
from synchromesh.edges.http.strict import odd_amount
from synchromesh.model.event import (
    EXTERNAL,
    EnterpriseEvent,
    FactCorrected,
    InputEnded,
    MaterialConsumed,
    MaterialTransferred,
    OrderChanged,
    PlantEvent,
    ProductionReported,
    ScrapRecorded,
    TimeRecorded,
)
from synchromesh.model.message import NATIVE, OWN, Message
from synchromesh.model.quantity import Quantity

FUTURE_TOLERANCE: Final = timedelta(minutes=5)
"""How far a source's clock may be ahead."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""No report is older: an earlier time is a clock that was never set."""

LONGEST_WORK: Final = 366 * 86_400
"""Seconds of work that one report may carry."""

_TYPES: Final = {str(kind.__struct_config__.tag): kind for kind in get_args(EXTERNAL)}
_ENDED: Final = str(InputEnded.__struct_config__.tag)
_OPENINGS: Final = {tag: b'{"type":' + msgspec.json.encode(tag) for tag in _TYPES}
_DECODER: Final[msgspec.json.Decoder[PlantEvent | EnterpriseEvent]] = msgspec.json.Decoder(EXTERNAL)
_SPACE: Final = b" \t\r\n"
_AT: Final = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_LONGEST: Final = 300
_TOO_DEEP: Final = "the JSON is nested too deeply; an event has at most a few levels"

_Decoded = TypeVar("_Decoded")


class Told(msgspec.Struct, frozen=True):
    """An event as its source told it, in whatever envelope. `pointer` says where `data` was, for the words of a refusal."""

    source: str
    id: str
    type: str
    data: bytes
    time: datetime | None = None
    correlation: str = ""
    causation: str = ""
    pointer: str = "/data"


class Invalid(Exception):
    """One event is wrong; `fault` points into it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


def event_message(plant: str, told: Told, received: datetime) -> Message:
    """The message to store. Raises `Invalid`, or `Refused` where the data is not JSON at all.

    The end of an input is for Synchromesh itself and not a fact of the plant: it goes under the interface of own messages.
    """
    try:
        checked_identity(told.source, told.id)
    except IdentityError as error:
        raise Invalid(Fault("", str(error), "correct the source or the id")) from None
    if len(told.correlation) > MAX_NAME or len(told.causation) > MAX_NAME:
        raise Invalid(Fault("", f"a correlation or causation id has more than {MAX_NAME} characters", "shorten it"))
    if told.time is not None:
        check_time(told.time, received)
    return Message(
        plant,
        told.source,
        told.id,
        OWN if told.type == _ENDED else NATIVE,
        received,
        event_body(told.type, told.data, told.pointer),
        occurred=told.time,
        correlation=told.correlation,
        causation=told.causation,
    )


def event_body(type: str, data: bytes, pointer: str) -> bytes:
    """The body to store for an event of `type` with the JSON object `data`. Raises as `event_message`, pointing below `pointer`."""
    opening = _OPENINGS.get(type)
    if opening is None:
        raise Invalid(Fault("/type", f"there is no event type {type[:80]!r}", _nearest_type(type)))
    if not data.startswith(b"{"):
        raise Invalid(Fault(pointer, "the data of an event is a JSON object", f"send the fields of {type} as an object"))
    rest = data[1:].lstrip(_SPACE)
    body = opening + rest if rest.startswith(b"}") else opening + b"," + rest
    event = decoded(_DECODER.decode, body, pointer)
    _check(event, pointer)
    odd = odd_amount(data, pointer)
    if odd is not None:
        raise Invalid(odd)
    if b"\\u0000" in data and "\x00" in _texts(event):
        raise Invalid(Fault(pointer, "a text contains the character NUL", "leave control characters out"))
    return body


def decoded(decode: Callable[[bytes], _Decoded], data: bytes, pointer: str) -> _Decoded:
    """`decode(data)`, its errors translated: unreadable JSON is `Refused` with 400, JSON that says what cannot be is `Invalid`."""
    try:
        return decode(data)
    except msgspec.ValidationError as error:
        raise Invalid(_fault(str(error), pointer)) from None
    except msgspec.DecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}") from None
    except UnicodeDecodeError as error:
        raise Refused(400, f"the body is not UTF-8: {error.reason}; send JSON in UTF-8") from None
    except RecursionError:
        raise Refused(400, _TOO_DEEP) from None


def check_time(occurred: datetime, received: datetime) -> None:
    """Refuse what the future or a clock that was never set tells."""
    if occurred > received + FUTURE_TOLERANCE:
        raise Invalid(
            Fault("/time", f"{occurred.isoformat()} is in the future here", "set the source's clock; 5 minutes ahead are allowed")
        )
    if occurred < EARLIEST:
        raise Invalid(Fault("/time", f"{occurred.isoformat()} is before 1970", "set the source's clock, or leave the time out"))


def ended_body(source: str, name: str) -> bytes:
    """The body that says that a source has nothing more for now."""
    return msgspec.json.encode(InputEnded(source=source, name=name))


def _check(event: PlantEvent | EnterpriseEvent, pointer: str) -> None:
    """Quantities that a plant cannot mean, and work longer than a year."""
    kind = type(event)
    if kind is ProductionReported or kind is TimeRecorded:
        _check_work(event, pointer)
    for field in _NEVER_NEGATIVE.get(kind, ()):
        quantity: Quantity | None = getattr(event, field)
        if quantity is not None and quantity.amount < _NOTHING:
            raise Invalid(
                Fault(
                    f"{pointer}/{field}/amount", f"{quantity} is negative", "to take a report back send correction.corrected or .cancelled"
                )
            )
    if isinstance(event, FactCorrected):
        _check(event.event, f"{pointer}/event")
    elif isinstance(event, OrderChanged):
        for index, component in enumerate(event.components):
            if component.quantity.amount < _NOTHING:
                at = f"{pointer}/components/{index}/quantity/amount"
                raise Invalid(Fault(at, f"{component.quantity} is negative", "an order needs a component, or does not name it"))


def _check_work(event: PlantEvent | EnterpriseEvent, pointer: str) -> None:
    for field in ("labour_seconds", "machine_seconds"):
        seconds: int = getattr(event, field)
        if seconds > LONGEST_WORK:
            raise Invalid(Fault(f"{pointer}/{field}", f"{seconds} s is more than a year", "give the seconds of this report alone"))


_NOTHING: Final = Decimal(0)
_NEVER_NEGATIVE: Final[dict[type, tuple[str, ...]]] = {
    ProductionReported: ("good", "scrap", "held", "rework"),
    MaterialConsumed: ("quantity",),
    ScrapRecorded: ("quantity",),
    MaterialTransferred: ("quantity",),
    OrderChanged: ("quantity",),
}


def _fault(message: str, pointer: str) -> Fault:
    """A fault from the decoder's sentence `what - at `$.path``."""
    at = _AT.search(message)
    path = at.group(1) if at else ""
    detail = message[: at.start()] if at else message
    steps = [step.group(1) or step.group(2) for step in _STEP.finditer(path)]
    where = pointer + "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
    return Fault(where, detail[0].lower() + shown(detail[1:]), _remedy(detail))


def shown(detail: str) -> str:
    """A sentence without the middle of what is too long to read, such as an amount of a thousand digits."""
    return detail if len(detail) <= _LONGEST else f"{detail[: _LONGEST // 2]}…{detail[-_LONGEST // 2 :]}"


def _remedy(detail: str) -> str:
    for words, remedy in _REMEDIES:
        if words in detail:
            return remedy
    return "correct the value"


_REMEDIES: Final = (
    ("unknown field", "correct its name or leave it out; the fields are in the schema of the type"),
    ("missing required field `unit`", "a quantity is an amount with a unit: {\"amount\": \"12\", \"unit\": \"EA\"}"),
    ("missing required field", "add the field"),
    ("timezone component", "give the time with its offset, for example 2026-03-01T08:00:00+01:00"),
    ("RFC3339", "give the time as RFC 3339 with its offset, for example 2026-03-01T08:00:00+01:00"),
    ("Expected `object`", "send an object here; a quantity is {\"amount\": \"12\", \"unit\": \"EA\"}"),
    ("Expected", "send a value of that kind"),
    ("decimals", "round the amount before it is sent"),
    ("unit of 1 to 16", "name a UN/CEFACT code such as EA or KGM, or a unit of the item"),
)  # fmt: skip


def _nearest_type(type: str) -> str:
    near = difflib.get_close_matches(type[:80], _TYPES, n=1)
    return f"did you mean {near[0]}?" if near else f"the types are {', '.join(sorted(_TYPES))}"


def _texts(event: object) -> str:
    """All texts of an event in one, to be searched."""
    return "\n".join(_strings(msgspec.to_builtins(event)))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _strings(part)
