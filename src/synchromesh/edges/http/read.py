"""From a request's body to messages, all or none: canonical events, payloads of adapters, ends of inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from synchromesh.edges.catalogue import Catalogue, IdentityError, checked_identity
from synchromesh.edges.http import cloudevents
from synchromesh.edges.http.answer import MAX_SHOWN, Fault, Refused
from synchromesh.edges.http.canonical import Invalid, Told, decoded, ended_body, event_message
from synchromesh.edges.http.route import Kind, Route, media_type
from synchromesh.edges.http.strict import told_twice
from synchromesh.model.message import OWN, Message
from synchromesh.model.posting import Aware

DEEPEST: Final = 64
"""Levels of arrays and objects that a payload may have: what can be read here can then be read everywhere behind."""

_JSON: Final = "application/json"
_SPACE: Final = b" \t\r\n"

Headers = Mapping[bytes, bytes]
"""Names in lower case."""


class _Native(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    source: str
    type: str
    data: msgspec.Raw
    time: Aware | None = None


class _Ended(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    name: str = ""
    id: str = ""


_NATIVE: Final = msgspec.json.Decoder(_Native)
_ENDED: Final = msgspec.json.Decoder(_Ended)
_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT: Final = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)


def read(route: Route, headers: Headers, body: bytes, received: datetime, catalogue: Catalogue) -> list[Message]:
    """The messages of one request, in its order. Raises `Refused`; a batch with one fault is refused whole."""
    if route.plant not in catalogue.plants:
        raise Refused(404, f"there is no plant {route.plant[:80]!r}; the plants are in the configuration")
    if b"content-encoding" in headers:
        raise Refused(415, "compressed bodies are not understood; send the body as it is")
    media = media_type(headers.get(b"content-type", b""))
    if route.kind is Kind.EVENTS:
        return _events(route.plant, media, headers, body, received)
    if media != _JSON:
        raise Refused(415, f"the content type {media[:80]!r} is not understood here; send {_JSON}")
    if route.kind is Kind.ENDED:
        return _single(body, lambda raw: _ended(route.plant, raw, headers, received))
    if not catalogue.accepts(route.plant, route.interface):
        raise Refused(404, f"the plant {route.plant!r} has no interface {route.interface[:80]!r}; see its adapters in the configuration")
    return _single_or_batch(body, lambda raw: _payload(route, raw, received, catalogue))


def _events(plant: str, media: str, headers: Headers, body: bytes, received: datetime) -> list[Message]:
    if media == cloudevents.STRUCTURED:
        return _single(body, lambda raw: event_message(plant, cloudevents.structured(raw), received))
    if media == cloudevents.BATCH:
        return _batch(body, lambda raw: event_message(plant, cloudevents.structured(raw), received))
    if media != _JSON:
        kinds = f"{_JSON}, {cloudevents.STRUCTURED} or {cloudevents.BATCH}"
        raise Refused(415, f"the content type {media[:80]!r} is not understood; send {kinds}")
    if cloudevents.is_binary(headers):
        return _single(body, lambda raw: event_message(plant, cloudevents.binary(raw, headers), received))
    return _single_or_batch(body, lambda raw: event_message(plant, _native(raw), received))


def _single_or_batch(body: bytes, message: Callable[[bytes], Message]) -> list[Message]:
    batch = body.lstrip(_SPACE).startswith(b"[")
    return _batch(body, message) if batch else _single(body, message)


def _single(body: bytes, message: Callable[[bytes], Message]) -> list[Message]:
    try:
        return [_once(body, message)]
    except Invalid as invalid:
        fault = invalid.fault
        raise Refused(422, f"{fault.pointer or 'the body'}: {fault.detail}", [fault]) from None


def _batch(body: bytes, message: Callable[[bytes], Message]) -> list[Message]:
    """Each element's message; one `Refused` names the faults of all."""
    messages: list[Message] = []
    faults: list[Fault] = []
    for index, raw in enumerate(_elements(body)):
        try:
            messages.append(_once(bytes(raw), message))
        except Invalid as invalid:
            fault = invalid.fault
            faults.append(Fault(f"/{index}{fault.pointer}", fault.detail, fault.remedy))
            if len(faults) == MAX_SHOWN:
                break
    if faults:
        sentence = f"{faults[0].pointer}: {faults[0].detail}; the batch is refused whole, nothing of it is stored"
        raise Refused(422, sentence, faults)
    return messages


def _once(raw: bytes, message: Callable[[bytes], Message]) -> Message:
    """The message of an element that `message` can read and that names nothing twice."""
    read = message(raw)
    fault = told_twice(raw)
    if fault is not None:
        raise Invalid(fault)
    return read


def _elements(body: bytes) -> Sequence[msgspec.Raw]:
    try:
        return decoded(_ARRAY.decode, body, "")
    except Invalid:
        raise Refused(422, "a batch is a JSON array of events") from None


def _native(raw: bytes) -> Told:
    event = decoded(_NATIVE.decode, raw, "")
    return Told(event.source, event.id, event.type, bytes(event.data), event.time)


def _payload(route: Route, raw: bytes, received: datetime, catalogue: Catalogue) -> Message:
    """An adapter's payload, stored as it came; what it means is decided behind the log."""
    payload = decoded(_OBJECT.decode, raw, "")
    if raw.count(b"{") + raw.count(b"[") > DEEPEST and _depth(payload) > DEEPEST:
        raise Refused(400, f"the JSON is nested more than {DEEPEST} levels deep; send a flatter payload")
    try:
        source, id = checked_identity(*catalogue.identity(route.interface, payload))
    except IdentityError as error:
        raise Invalid(Fault("", str(error), "send the fields that the interface names as a message's identity")) from None
    return Message(route.plant, source, id, route.interface, received, raw)


def _depth(payload: object) -> int:
    """How deep arrays and objects are nested; walks by level, so that depth costs no recursion."""
    depth = 0
    level = [payload]
    while level := [value for value in level if isinstance(value, dict | list)]:
        depth += 1
        level = [part for value in level for part in (value.values() if isinstance(value, dict) else value)]
    return depth


def _ended(plant: str, raw: bytes, headers: Headers, received: datetime) -> Message:
    told = decoded(_ENDED.decode, raw, "")
    id = told.id or headers.get(b"idempotency-key", b"").decode("latin-1").strip('" ')
    if not id:
        raise Invalid(
            Fault("/id", "the message has no id", "send `id`, or the header Idempotency-Key, and the same one when you send again")
        )
    try:
        source, id = checked_identity(told.source, id)
    except IdentityError as error:
        raise Invalid(Fault("", str(error), "correct the source or the id")) from None
    return Message(plant, source, id, OWN, received, ended_body(source, told.name))
