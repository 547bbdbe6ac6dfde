"""Adapters: from bytes to events or to a refusal that names the place, today and from the log."""

import contextlib
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.mapping.world import HEAD, NOW, REPORT, adapter, message

from synchromesh.mapping.adapter import Adapter, Mapped
from synchromesh.mapping.refusal import ManifestError, MappingRefused
from synchromesh.model.event import FactCorrected, MaterialConsumed, OrderCompleted, ProductionReported, TimeRecorded, amount

GOOD = {"id": 1, "order": "4711", "good": 3, "unit": "EA"}

FULL = """
zone = "Europe/Oslo"
occurred = 'time(first(row.at))'

[units]
pcs = "EA"

[rules.idle]
when = 'row.kind == "I"'
record = "idle reports carry nothing"

[rules.forbidden]
when = 'row.kind == "X"'
refuse = "reports of kind X are forbidden"

[rules.report]
when = 'row.kind in ["S", "D"]'
event = "production.reported"
[rules.report.fields]
order = 'text(row.order)'
operation = 'squash(row.operation)'
good = 'quantity(row.good, row.unit)'
scrap = 'some(quantity(first(row.scrap, 0), row.unit))'
reason = 'code("reasons", first(row.reason))'
consumed_lots = ['row.lot', '"fixed"']
labour_seconds = 'number(first(row.seconds))'

[rules.done]
when = 'row.kind == "D" and row.last'
event = "production.order.completed"
[rules.done.fields]
order = 'text(row.order)'

[rules.used]
when = 'row.kind == "C"'
event = "production.material.consumed"
each = 'row.parts'
[rules.used.fields]
order = 'text(row.order)'
item = 'each.item'
quantity = 'quantity(each.n, "pcs")'

[rules.wrong]
when = 'row.kind == "W"'
event = "correction.corrected"
[rules.wrong.fields]
source = '"mes"'
id = 'row.wrong'
[rules.wrong.fields.event]
type = "production.time.recorded"
order = 'text(row.order)'
operation = '"OP10"'
labour_seconds = 'seconds(row.minutes, "MIN")'
"""
REASONS = {"reasons": "code,value\n7,broken edge\n"}
BASE = {"id": "A1", "kind": "S", "order": 4711, "operation": "Turning  & Milling", "good": "12", "unit": "pcs", "lot": "L1", "last": False}


@pytest.fixture
def full(tmp_path):
    return adapter(tmp_path, FULL, codes=REASONS)


def refused(used, body, received=NOW):
    with pytest.raises(MappingRefused) as caught:
        used.map(message(body, received))
    return caught.value


def test_a_report_becomes_its_event(full):
    body = {**BASE, "scrap": 1, "reason": "7", "at": "2026-03-01T08:00:00", "seconds": 90}
    event = ProductionReported(
        order="4711", operation="Turning & Milling", good=amount(12, "EA"), scrap=amount(1, "EA"), reason="broken edge",
        consumed_lots=("L1", "fixed"), labour_seconds=90,
    )  # fmt: skip
    assert full.map(message(body)) == Mapped((event,), datetime(2026, 3, 1, 7, tzinfo=UTC))


def test_one_payload_may_become_several_events(full):
    events = full.map(message({**BASE, "kind": "D", "last": True})).events
    assert [type(event) for event in events] == [ProductionReported, OrderCompleted]
    parts = [{"item": "BOLT", "n": 4}, {"item": "NUT", "n": "4"}]
    assert full.map(message({**BASE, "kind": "C", "parts": parts})).events == (
        MaterialConsumed("4711", "BOLT", amount(4, "EA")),
        MaterialConsumed("4711", "NUT", amount(4, "EA")),
    )


def test_a_correction_carries_an_event_within(full):
    body = {**BASE, "kind": "W", "wrong": "A0", "minutes": "1.5"}
    assert full.map(message(body)).events == (FactCorrected("mes", "A0", TimeRecorded("4711", "OP10", labour_seconds=90)),)


def test_what_is_only_recorded_says_why(full):
    assert full.map(message({**BASE, "kind": "I"})) == Mapped((), None, "idle reports carry nothing")


def test_the_edge_knows_the_time_where_the_payload_does_not(full):
    told = datetime(2026, 3, 31, tzinfo=UTC)
    assert full.map(message(BASE, occurred=told)).occurred == told


@pytest.mark.parametrize(
    ("change", "sentence", "field", "value"),
    [
        ({"kind": "X"}, "reports of kind X are forbidden", "kind", "'X'"),
        ({"kind": "Q"}, "no rule of the adapter fits", "", ""),
        ({"good": "twelve"}, "this is not a number .*rules.report.fields.good of adapter demo/1", "good", "'twelve'"),
        ({"unit": ""}, "the quantity has no unit", "good", "'12'"),
        ({"unit": "pc"}, "the unit is unknown", "unit", "'pc'"),
        ({"good": "-1"}, "good is -1 EA, .*can't be negative.*rules.report.fields.good", "good", "'-1'"),
        ({"good": "1e20"}, "more than 15 digits", "good", "'1e20'"),
        ({"good": "0.0000000001"}, "more than 9 decimals", "good", None),
        ({"order": ""}, "length >= 1 - at field `order`", "order", "''"),
        ({"order": "x" * 129}, "length <= 128", "order", None),
        ({"operation": ["x"]}, "neither text nor a number", "operation", "['x']"),
        ({"reason": "9"}, "the code is not in the list 'reasons'; add it to codes/reasons.csv", "reason", "'9'"),
        ({"seconds": "1.5"}, "not a whole number", "seconds", None),
        ({"seconds": -1}, ">= 0 - at field `labour_seconds`", "seconds", "-1"),
        ({"at": "yesterday"}, "not a time like", "at", "'yesterday'"),
        ({"at": "2026-03-29T02:30:00"}, "never showed this local time", "at", None),
        ({"at": "2026-04-01T12:06:00Z"}, "more than 0:05:00 after the arrival", "occurred", None),
        ({"kind": "D", "last": "yes"}, "a condition needs true or false", "last", "'yes'"),
        ({"kind": "C", "parts": "x"}, "this is not a list", "parts", "'x'"),
        ({"kind": "C", "parts": [{"item": "B", "n": 1}] * 1001}, "more than the 1000", "parts", None),
        ({"kind": "C", "parts": [{"n": 1}]}, "the field 'each/item' is missing", "each/item", None),
        ({"kind": "C", "parts": [7]}, "of another kind", "each/item", None),
    ],
)
def test_a_refusal_says_what_and_where(full, change, sentence, field, value):
    body = {**BASE, **change}
    error = refused(full, body)
    assert re.search(sentence, error.sentence), error.sentence
    assert error.field == field
    if value is not None:
        assert error.value == value


def test_no_amount_is_no_quantity(full):
    assert full.map(message({**BASE, "good": None})).events[0].good is None


def test_a_missing_field_is_named(full):
    error = refused(full, {key: value for key, value in BASE.items() if key != "good"})
    assert error.sentence.startswith("the field 'good' is missing")
    assert error.field == "good"


def test_clocks_may_be_a_little_ahead(full):
    assert full.map(message({**BASE, "at": "2026-04-01T12:05:00Z"})).occurred == NOW + timedelta(minutes=5)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff", b"[]", b"null", b"{", b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":1e99999999999999999999}',
        b'{"a":' + b"9" * 5000 + b"}", b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}", b'{"a":' * 3000,
    ],
)  # fmt: skip
def test_bytes_that_are_no_payload(full, body):
    assert refused(full, body).sentence.startswith("the payload is not a JSON object")


def test_a_payload_that_is_too_large_is_not_even_read(tmp_path):
    used = adapter(tmp_path, "[limits]\nbytes = 100\n" + REPORT)
    assert "more than the 100" in refused(used, b" " * 101).sentence
    assert "not a JSON object" in refused(used, b" " * 100).sentence


def test_fields_that_nobody_stated_are_refused_with_the_nearest(tmp_path):
    used = adapter(tmp_path, 'fields = ["id", "order", "good", "unit"]\n' + REPORT)
    assert used.map(message({**GOOD, "_line": 3})).events
    error = refused(used, {**GOOD, "oder": "x"})
    assert error.sentence == "unknown field 'oder'; did you mean 'order'?"
    assert (error.field, error.value) == ("oder", "'x'")


def test_json_numbers_stay_exact(tmp_path):
    used = adapter(tmp_path)
    raw = b'{"id":1,"order":"4711","good":0.1000000000000000055,"unit":"EA"}'
    assert "more than 9 decimals" in refused(used, raw).sentence, "a float would have hidden it"
    event = used.map(message(b'{"id":1,"order":"4711","good":123456789012345.123456789,"unit":"EA"}')).events[0]
    assert event.good.amount == Decimal("123456789012345.123456789")


def test_equal_texts_are_equal_quantities_and_others_keep_their_form(tmp_path):
    used = adapter(tmp_path)
    forms = ["1", "1.0", "1.00", "1", "1.0"]
    amounts = [str(used.map(message({**GOOD, "good": form})).events[0].good.amount) for form in forms]
    assert amounts == forms, "what is remembered for one text is never given for another"


def test_identity_is_of_the_message_alone(full):
    assert full.identity({"id": "A1"}) == "A1"
    assert full.identity({"id": 17}) == "17"
    for wrong in ({"id": ""}, {}, {"id": None}, {"id": "x" * 257}, {"id": ["x"]}, {"id": 1.5}, {"id": True}):
        with pytest.raises(MappingRefused):
            full.identity(wrong)
    with pytest.raises(MappingRefused):
        full.identity([])


def test_the_content_is_the_adapter(full):
    content = full.content()
    again = Adapter.from_content(content)
    assert again.content() == content
    assert again.digest == full.digest == hashlib.sha256(content.encode()).hexdigest()
    body = {**BASE, "reason": "7", "at": "2026-07-01T08:00:00"}
    late = NOW + timedelta(days=365)
    assert again.map(message(body, late)) == full.map(message(body, late))
    assert (again.interface, again.source, again.horizon) == ("demo/1", "mes", timedelta(days=7))
    assert json.loads(content)["zone_data"], "the zone's rules decide, so they travel"


def test_the_order_of_rules_is_part_of_the_content(tmp_path):
    rules = ['[rules.a]\nrecord = "a"\n', '[rules.b]\nrecord = "b"\n']
    one, other = (adapter(tmp_path / str(n), "".join(rules[::step])) for n, step in enumerate((1, -1)))
    assert one.digest != other.digest
    assert Adapter.from_content(other.content()).map(message(GOOD)).recorded == "b"


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"language": 1}', "x" * 10_000_001])
def test_damaged_content_is_refused(damage):
    with pytest.raises(ManifestError, match="content of an adapter"):
        Adapter.from_content(damage)


def test_content_of_a_newer_language_is_refused(full):
    content = json.loads(full.content())
    content["language"] = 2
    with pytest.raises(ManifestError, match="use the program that wrote it"):
        Adapter.from_content(json.dumps(content))


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["2026-03-01T08:00", "12", "pcs", "EA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["item", "n", "x"]), inner, max_size=3),
    max_leaves=6,
)
_FUZZED = ["order", "operation", "good", "scrap", "unit", "at", "lot", "last", "seconds", "minutes", "wrong", "reason"]
_PAYLOADS = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(_FUZZED, _JSON),
                  "kind": st.sampled_from(list("ISDCWXQ")) | _JSON, "parts": st.lists(_JSON, max_size=3) | _JSON}
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    st.binary(max_size=80)
    | _PAYLOADS.map(lambda body: json.dumps(body).encode())
    | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace"))
)
@example(b'{"kind":"S","order":"1","good":"1E+9","unit":"EA","operation":"x","lot":null}')
def test_any_bytes_become_events_or_a_refusal(full, body):
    sentence, value, mapped = "", "", None
    try:
        mapped = full.map(message(body))
    except MappingRefused as error:
        sentence, value = error.sentence, error.value
    assert sentence if mapped is None else mapped.events or mapped.recorded
    assert len(value) <= 80


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_PAYLOADS, st.data())
def test_any_row_has_an_identity_or_is_refused(full, row, data):
    row = {**row, "id": data.draw(_JSON)}
    with contextlib.suppress(MappingRefused):
        assert 1 <= len(full.identity(row)) <= 256


def test_the_head_is_enough_for_a_rule_that_records(tmp_path):
    assert adapter(tmp_path, '[rules.all]\nrecord = "nothing is booked yet"\n', HEAD).map(message({})).recorded


def test_a_row_without_an_id_may_be_known_by_its_file_and_line(tmp_path):
    used = adapter(tmp_path, head=HEAD.replace("text(row.id)", 'concat(row["_file"], ":", row["_line"])'))
    assert used.identity({**GOOD, "_file": "monday.csv", "_line": 3}) == "monday.csv:3"
    with pytest.raises(MappingRefused, match="'_file' is missing"):
        used.identity({**GOOD, "_line": 3})
