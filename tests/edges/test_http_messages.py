"""What may be posted and what is stored of it; what may not, and what the refusal says."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import msgspec
import pytest
from tests.edges.plant import NOW, OnePlant, report

from synchromesh.edges.http.answer import Refused
from synchromesh.edges.http.read import read
from synchromesh.edges.http.route import Kind, Route
from synchromesh.model.event import CanonicalEvent, InputEnded, ProductionReported, StockAdjusted, amount
from synchromesh.model.message import NATIVE, OWN, Message

EVENTS = Route(Kind.EVENTS, "oslo")
PAYLOADS = Route(Kind.MESSAGES, "oslo", "mes/1")
ENDED = Route(Kind.ENDED, "oslo")


def take(route: Route, body: object, **headers: str) -> list[Message]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return read(route, {name.encode(): value.encode("latin-1") for name, value in told.items()}, content, NOW, OnePlant())


def refusal(route: Route, body: object, **headers: str) -> Refused:
    with pytest.raises(Refused) as refused:
        take(route, body, **headers)
    return refused.value


def decoded(message: Message) -> Any:
    return msgspec.json.decode(message.body, type=CanonicalEvent)


def test_a_native_event_is_stored_so_that_the_worker_decodes_it_in_one_pass() -> None:
    (message,) = take(EVENTS, report(labour_seconds=60))
    assert decoded(message) == ProductionReported("WO-1", good=amount("12.5", "EA"), labour_seconds=60)
    assert (message.partition, message.source, message.id, message.interface) == ("oslo", "mes", "r-1", NATIVE)
    assert message.occurred == datetime.fromisoformat("2026-03-01T07:59:00+00:00")
    assert (message.received, message.content_type) == (NOW, "application/json")


@pytest.mark.parametrize("data", ['{ "order" : "WO-1" }', '\n{"order":"WO-1"}', '{"order":"WO-1","type":"production.reported"}'])
def test_data_is_kept_as_it_came(data: str) -> None:
    body = f'{{"data":{data},"id":"1","source":"mes","type":"production.reported"}}'.encode()
    (message,) = take(EVENTS, body)
    assert decoded(message) == ProductionReported("WO-1")
    assert message.occurred is None


def test_an_adjustment_may_be_negative() -> None:
    data = {"item": "A", "quantity": {"amount": "-3", "unit": "EA"}, "location": "L", "reason": "counted"}
    (message,) = take(EVENTS, {"id": "1", "source": "wms", "type": "inventory.adjusted", "data": data})
    assert isinstance(decoded(message), StockAdjusted)


def test_the_end_of_an_input_is_no_fact_of_the_plant() -> None:
    (message,) = take(EVENTS, {"id": "1", "source": "mes", "type": "synchromesh.input.ended", "data": {"source": "mes", "name": "f"}})
    assert (message.interface, decoded(message)) == (OWN, InputEnded("mes", "f"))
    (message,) = take(ENDED, {"source": "mes", "name": "f"}, idempotency_key='"k-1"')
    assert (message.interface, message.source, message.id, decoded(message)) == (OWN, "mes", "k-1", InputEnded("mes", "f"))
    (message,) = take(ENDED, {"source": "mes", "id": "k-2"})
    assert message.id == "k-2"


def test_a_batch_keeps_its_order() -> None:
    assert [message.id for message in take(EVENTS, [report("a"), report("b"), report("a")])] == ["a", "b", "a"]
    assert take(EVENTS, []) == []


def cloud(**changes: object) -> dict[str, object]:
    return {"specversion": "1.0", **report(), "subject": "WO-1", "correlationid": "c-1", "anyextension": 5, **changes}


def test_cloudevents_structured_and_batch_and_binary_give_one_message() -> None:
    native = take(EVENTS, report())[0]
    (structured,) = take(EVENTS, cloud(), content_type="application/cloudevents+json; charset=UTF-8")
    (batched,) = take(EVENTS, [cloud()], content_type="application/cloudevents-batch+json")
    attributes = {f"ce_{name}": str(value) for name, value in cloud().items() if name != "data"}
    (binary,) = take(EVENTS, report()["data"], **attributes)
    assert structured == batched == binary
    assert structured.correlation == "c-1"
    assert msgspec.structs.replace(structured, correlation="") == native


def test_cloudevents_attributes_in_headers_are_percent_encoded_and_data_may_be_base64() -> None:
    attributes = {"ce_specversion": "1.0", "ce_id": "a%20%C3%A9", "ce_source": "mes", "ce_type": "production.reported"}
    (message,) = take(EVENTS, {"order": "WO-1"}, **attributes)
    assert message.id == "a é"
    data = base64.b64encode(b'{"order":"WO-1"}').decode()
    event = cloud(data_base64=data)
    del event["data"]
    (message,) = take(EVENTS, event, content_type="application/cloudevents+json")
    assert decoded(message) == ProductionReported("WO-1")


def test_a_payload_is_stored_as_it_came_under_the_identity_of_its_interface() -> None:
    body = b' {"no": 1.50, "good": 3}'
    (message,) = take(PAYLOADS, body)
    assert (message.source, message.id, message.interface, message.body) == ("mes", "1.50", "mes/1", body)
    first, second = take(PAYLOADS, b'[{"no":1} , {"no":2}]')
    assert (first.body, second.body) == (b'{"no":1}', b'{"no":2}')


WRONG: list[tuple[str, object, int, str, str]] = [
    ("unknown field", report(goood=1), 422, "/data", "goood"),
    ("unknown envelope field", {**report(), "x": 1}, 422, "", "x"),
    ("wrong type", report(order=5), 422, "/data/order", "str"),
    ("missing field", {**report(), "data": {}}, 422, "/data", "order"),
    ("missing unit", report(good={"amount": "1"}), 422, "/data/good", "unit"),
    ("empty unit", report(good={"amount": "1", "unit": ""}), 422, "/data/good", "unit"),
    ("unknown field in a quantity", report(good={"amount": "1", "unit": "EA", "per": 1}), 422, "/data/good", "per"),
    ("negative", report(scrap={"amount": "-1", "unit": "EA"}), 422, "/data/scrap/amount", "negative"),
    ("absurd", report(good={"amount": "1e15", "unit": "EA"}), 422, "/data/good", "15 digits"),
    ("too fine", report(good={"amount": "0.0000000001", "unit": "EA"}), 422, "/data/good", "9 decimals"),
    ("not finite", report(good={"amount": "NaN", "unit": "EA"}), 422, "/data/good", "finite"),
    ("no number", report(good={"amount": "1,5", "unit": "EA"}), 422, "/data/good/amount", "decimal"),
    ("digits of another script", report(good={"amount": "\uff11\uff12", "unit": "EA"}), 422, "/data", "plain digits"),
    ("separators", report(good={"amount": "1_000", "unit": "EA"}), 422, "/data", "plain digits"),
    ("blanks", report(good={"amount": "12 ", "unit": "EA"}), 422, "/data", "plain digits"),
    ("a thousand digits", report(good={"amount": "1" * 1_000, "unit": "EA"}), 422, "/data/good", "15 digits"),
    (
        "a name told twice",
        b'{"id":"1","id":"2","source":"m","type":"production.order.started","data":{"order":"a"}}',
        422,
        "",
        "'id' twice",
    ),
    ("twice in data", b'{"id":"1","source":"m","type":"production.order.started","data":{"order":"a","order":"b"}}', 422, "", "'order'"),
    ("a year of work", report(labour_seconds=40_000_000), 422, "/data/labour_seconds", "year"),
    ("negative work", report(labour_seconds=-1), 422, "/data/labour_seconds", ">= 0"),
    ("naive time", {**report(), "time": "2026-03-01T07:59:00"}, 422, "/time", "timezone"),
    ("no time", {**report(), "time": "yesterday"}, 422, "/time", "RFC3339"),
    ("the future", {**report(), "time": "2026-03-01T08:05:01Z"}, 422, "/time", "future"),
    ("before clocks", {**report(), "time": "0001-01-01T00:00:00+12:00"}, 422, "/time", "1970"),
    ("unknown type", {**report(), "type": "production.report"}, 422, "/type", "production.report"),
    ("a type of our own", {**report(), "type": "synchromesh.tick"}, 422, "/type", "synchromesh.tick"),
    ("a person's decision", {**report(), "type": "decision.dismissed"}, 422, "/type", "decision.dismissed"),
    ("two types", report(type="production.order.started"), 422, "/data/type", "production.order.started"),
    ("data is no object", {**report(), "data": [1]}, 422, "/data", "object"),
    ("no id", {**report(), "id": ""}, 422, "", "id"),
    ("long id", report("x" * 129), 422, "", "129"),
    ("control character in the id", report("a\nb"), 422, "", "control"),
    ("a reserved source", {**report(), "source": "synchromesh"}, 422, "", "reserved"),
    ("NUL in a text", report(order="a\0"), 422, "/data", "NUL"),
    ("long name", report(order="x" * 129), 422, "/data/order", "128"),
    ("no object", "text", 422, "", "object"),
    ("no JSON", b"{", 400, "", "JSON"),
    ("nothing", b"", 400, "", "JSON"),
    ("bad UTF-8", b'{"id":"1","source":"\xff","type":"production.order.started","data":{"order":"a"}}', 400, "", "UTF-8"),
    ("bad UTF-8 in data", b'{"id":"1","source":"m","type":"production.order.started","data":{"order":"\xff"}}', 400, "", "UTF-8"),
    ("half a surrogate", b'{"id":"1","source":"m","type":"production.order.started","data":{"order":"\\ud800"}}', 400, "", "JSON"),
    ("nested deeply", b'{"id":"1","data":' + b"[" * 500_000, 400, "", "nested"),
]


@pytest.mark.parametrize(("body", "status", "pointer", "word"), [wrong[1:] for wrong in WRONG], ids=[wrong[0] for wrong in WRONG])
def test_what_cannot_be_is_refused_saying_what_and_where(body: object, status: int, pointer: str, word: str) -> None:
    refused = refusal(EVENTS, body)
    assert refused.status == status
    assert word in refused.detail
    assert len(refused.detail) < 400
    if status == 422:
        (fault,) = refused.faults
        assert fault.pointer == pointer
        assert fault.remedy


def test_a_correction_is_checked_like_what_it_corrects() -> None:
    wrong = {"type": "production.reported", "order": "WO-1", "good": {"amount": "-1", "unit": "EA"}}
    event = {"id": "2", "source": "mes", "type": "correction.corrected", "data": {"source": "mes", "id": "1", "event": wrong}}
    assert refusal(EVENTS, event).faults[0].pointer == "/data/event/good/amount"
    wrong["good"] = {"amount": "1", "unit": "EA"}
    assert take(EVENTS, event)


def test_a_batch_is_refused_whole_naming_every_fault() -> None:
    refused = refusal(EVENTS, [report("a"), report("b", order=1), report("c"), {**report("d"), "type": "x"}])
    assert [fault.pointer for fault in refused.faults] == ["/1/data/order", "/3/type"]
    assert "nothing of it is stored" in refused.detail


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_type": "text/plain"}, 415),
        ({"content_type": ""}, 415),
        ({"content_type": "application/json; charset=utf-16"}, 415),
        ({"content_encoding": "gzip"}, 415),
        ({"content_type": "text/xml", "ce_id": "1"}, 415),
        ({"ce_id": "1"}, 422),
        ({"ce_id": "1", "ce_specversion": "0.3"}, 422),
        ({"ce_id": "1", "ce_specversion": "1.0", "ce_source": "m", "ce_type": "production.order.started", "ce_time": "noon"}, 422),
        ({"content_type": "application/cloudevents-batch+json"}, 422),
    ],
)
def test_other_content_is_refused(headers: dict[str, str], status: int) -> None:
    assert refusal(EVENTS, report(), **headers).status == status


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"specversion": "2.0"}, "/specversion"),
        ({"datacontenttype": "text/xml"}, "/datacontenttype"),
        ({"data_base64": "e30="}, "/data_base64"),
        ({"correlationid": "x" * 200}, ""),
    ],
)
def test_a_cloudevent_that_is_none(changes: dict[str, object], pointer: str) -> None:
    refused = refusal(EVENTS, cloud(**changes), content_type="application/cloudevents+json")
    assert (refused.status, refused.faults[0].pointer) == (422, pointer)


@pytest.mark.parametrize(
    ("route", "body", "status"),
    [
        (Route(Kind.EVENTS, "mars"), report(), 404),
        (Route(Kind.MESSAGES, "oslo", "mes/2"), {"no": 1}, 404),
        (PAYLOADS, {"number": 1}, 422),
        (PAYLOADS, {"no": "x" * 200}, 422),
        (PAYLOADS, [{"no": 1}, 5], 422),
        (PAYLOADS, b'{"no":1,"good":2,"good":3}', 422),
        (PAYLOADS, b'{"no":1,"deep":' + b"[" * 100 + b"]" * 100 + b"}", 400),
        (PAYLOADS, b'{"no":1,"deep":' + b"[" * 400_000 + b"]" * 400_000 + b"}", 400),
        (PAYLOADS, b'{"no":"\xff"}', 400),
        (ENDED, {"source": "mes"}, 422),
        (ENDED, {"source": "", "id": "1"}, 422),
    ],
)
def test_refused_elsewhere(route: Route, body: object, status: int) -> None:
    assert refusal(route, body).status == status


def test_brackets_in_a_text_are_no_depth() -> None:
    assert take(PAYLOADS, {"no": 1, "text": "[{" * 100})
