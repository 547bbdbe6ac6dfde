"""Reading messages: from what an edge stored to what the fold is told, with the adapters in force at each position."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from synchromesh.mapping.adapter import Adapter
from synchromesh.mapping.manifest import TOLD_BY_EDGES
from synchromesh.mapping.refusal import MappingRefused
from synchromesh.model import subject
from synchromesh.model.event import EXTERNAL, Activated, CanonicalEvent, DecisionEvent, InputEnded, OwnEvent, PlantEvent
from synchromesh.model.message import NATIVE, OWN, Message, Record
from synchromesh.model.validity import check
from synchromesh.plant.entities import Decision
from synchromesh.plant.fact import BY_POLICY, FOR_EVER, Told
from synchromesh.plant.view import View

SOURCE: Final = "synchromesh"
"""What the sources of our own messages begin with; no edge accepts such a source from outside."""

PLAIN: Final = frozenset({NATIVE, OWN})
"""Interfaces whose messages are read without an adapter, so without a look into the state."""

_native: Final = msgspec.json.Decoder(EXTERNAL).decode
_own: Final = msgspec.json.Decoder(OwnEvent | DecisionEvent | PlantEvent).decode
_input_ended: Final = msgspec.json.Decoder(InputEnded).decode
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode

_payload: Final = msgspec.json.Decoder(dict[str, object], float_hook=Decimal).decode
_sorted: Final = msgspec.json.Encoder(decimal_format="string", order="sorted").encode


class Reader:
    """Maps the messages of one partition. Adapters come from the view's decisions, compiled once per content."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._adapters: dict[str, tuple[str, Adapter]] = {}
        self._fresh: dict[str, Activated] = {}

    def batch(self) -> None:
        """A new batch begins: activations of an earlier one are in the view, or never happened."""
        self._fresh.clear()

    def use(self, adapter: Activated) -> None:
        """Until the next batch this adapter decides, as if it had been activated in it."""
        self._fresh[adapter.name] = adapter

    def digest(self, interface: str) -> str:
        """The digest of the adapter that decides about an interface; '' where none does."""
        known = self._adapters.get(interface)
        return known[0] if known is not None else ""

    def read(self, record: Record) -> Told:
        """What the fold is told of this message. Whatever the bytes are, this returns."""
        message = record.message
        if message.interface == NATIVE:
            return self._canonical(record, message)
        if message.interface == OWN:
            return self._ours(record, message) if message.source.startswith(SOURCE) else _ended(record, message)
        return self._adapted(record, message)

    def _canonical(self, record: Record, message: Message) -> Told:
        try:
            event = _native(message.body)
            check(event)
        except ValueError as error:
            return _told(record, (), BY_POLICY, told=message.body, refused=f"The message is no canonical event: {error}.")
        events = (event,)
        return Told(
            record.position, message.source, message.id, message.interface, message.received, message.occurred, events, _encode(events),
            horizon=BY_POLICY,
        )  # fmt: skip

    def _ours(self, record: Record, message: Message) -> Told:
        event: CanonicalEvent = _own(message.body)
        if isinstance(event, Activated) and event.kind == "adapter":
            self._fresh[event.name] = event
        return Told(
            record.position, message.source, message.id, message.interface, message.received, message.occurred, (event,), b"", own=True
        )

    def _adapted(self, record: Record, message: Message) -> Told:
        adapter = self._adapter(message.interface)
        if adapter is None:
            return _told(
                record,
                (),
                BY_POLICY,
                told=message.body,
                refused=f"No adapter is active for the interface {message.interface} at this plant.",
                about=subject.interface(message.interface),
            )
        horizon = FOR_EVER if adapter.horizon is None else int(adapter.horizon.total_seconds())
        try:
            mapped = adapter.map(message)
        except MappingRefused as refused:
            about = subject.interface(message.interface, refused.field)
            return _told(record, (), horizon, told=_said(message.body), refused=refused.sentence, about=about)
        return msgspec.structs.replace(
            _told(record, mapped.events, horizon, told=_said(message.body) if mapped.recorded else b"", recorded=mapped.recorded),
            occurred=mapped.occurred,
        )

    def _adapter(self, interface: str) -> Adapter | None:
        fresh = self._fresh.get(interface)
        if fresh is not None:
            digest, content = fresh.digest, fresh.content
        else:
            decision = self._view.of(Decision, "decision", "adapter/" + interface)
            if decision is None:
                return None
            digest, content = decision.digest, decision.content
        known = self._adapters.get(interface)
        if known is None or known[0] != digest:
            known = self._adapters[interface] = (digest, Adapter.from_content(content))
        return known[1]


def _said(body: bytes) -> bytes:
    """What a payload says, however it is written and by whichever edge it came: blanks, the order of names, and the file and line that an
    edge adds make no other message of it."""
    try:
        payload = _payload(body)
    except (ValueError, ArithmeticError, RecursionError):
        return body
    return _sorted({name: value for name, value in payload.items() if name not in TOLD_BY_EDGES})


def _ended(record: Record, message: Message) -> Told:
    """The only word of ours that a source may say: that its input has come to an end. Hearing it twice changes nothing."""
    try:
        event = _input_ended(message.body)
    except ValueError as error:
        return _told(record, (), FOR_EVER, told=message.body, refused=f"The message is not the end of an input: {error}.")
    return Told(record.position, message.source, message.id, message.interface, message.received, message.occurred, (event,), b"", own=True)


def _told(
    record: Record,
    events: tuple[CanonicalEvent, ...],
    horizon: int,
    *,
    told: bytes = b"",
    recorded: str = "",
    refused: str = "",
    about: str = "",
) -> Told:
    message = record.message
    return Told(
        record.position,
        message.source,
        message.id,
        message.interface,
        message.received,
        message.occurred,
        events,
        told or _encode(events),
        recorded,
        refused,
        about,
        horizon,
    )
