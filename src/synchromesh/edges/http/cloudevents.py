"""CloudEvents 1.0 over HTTP: the structured mode and the binary mode of one event."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from urllib.parse import unquote

import msgspec

from synchromesh.edges.http.answer import Fault
from synchromesh.edges.http.canonical import Invalid, Told, decoded
from synchromesh.edges.http.route import media_type
from synchromesh.model.posting import Aware

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"

_JSON: Final = "application/json"
_SPACE: Final = b" \t\r\n"


class _Structured(msgspec.Struct):
    """Attributes beyond these are extensions, which CloudEvents lets anybody add; they are not kept."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    data: msgspec.Raw = msgspec.Raw()
    data_base64: str = ""
    datacontenttype: str = _JSON
    time: Aware | None = None
    correlationid: str = ""
    causationid: str = ""


_STRUCTURED: Final = msgspec.json.Decoder(_Structured)


def structured(raw: bytes) -> Told:
    """An event whose attributes stand beside its data in one JSON object."""
    event = decoded(_STRUCTURED.decode, raw, "")
    if media_type(event.datacontenttype[:100].encode("latin-1", "replace")) != _JSON:
        raise Invalid(Fault("/datacontenttype", f"{event.datacontenttype[:80]!r} is not understood", f"send data as {_JSON}"))
    data, pointer = bytes(event.data), "/data"
    if event.data_base64:
        if data:
            raise Invalid(Fault("/data_base64", "both data and data_base64 are given", "send one of the two"))
        data, pointer = _from_base64(event.data_base64), "/data_base64"
    return Told(event.source, event.id, event.type, data, event.time, event.correlationid, event.causationid, pointer)


def is_binary(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the attributes of an event are in the request's headers."""
    return b"ce-specversion" in headers or b"ce-id" in headers


def binary(raw: bytes, headers: Mapping[bytes, bytes]) -> Told:
    """An event whose attributes are `ce-` headers, percent-encoded as the HTTP binding says, and whose data is the body."""
    if headers.get(b"ce-specversion") != b"1.0":
        raise Invalid(Fault("ce-specversion", "the version of CloudEvents is missing or not 1.0", "send the header ce-specversion: 1.0"))
    return Told(
        _required(headers, "source"),
        _required(headers, "id"),
        _required(headers, "type"),
        raw.lstrip(_SPACE),
        _time(headers),
        _attribute(headers, "correlationid"),
        _attribute(headers, "causationid"),
        "",
    )


def _attribute(headers: Mapping[bytes, bytes], name: str) -> str:
    return unquote(headers.get(b"ce-" + name.encode(), b"").decode("latin-1"))


def _required(headers: Mapping[bytes, bytes], name: str) -> str:
    value = _attribute(headers, name)
    if not value:
        raise Invalid(Fault(f"ce-{name}", f"the attribute {name} is missing", f"send the header ce-{name}"))
    return value


def _time(headers: Mapping[bytes, bytes]) -> datetime | None:
    text = _attribute(headers, "time")
    if not text:
        return None
    try:
        return msgspec.convert(text, Aware)
    except msgspec.ValidationError:
        remedy = "give the time as RFC 3339 with its offset, for example 2026-03-01T08:00:00+01:00"
        raise Invalid(Fault("ce-time", f"{text[:80]!r} is not a time with an offset", remedy)) from None


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True).lstrip(_SPACE)
    except (binascii.Error, ValueError):
        raise Invalid(Fault("/data_base64", "this is not Base64", "encode the data, or send it as JSON in `data`")) from None
