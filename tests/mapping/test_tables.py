"""A field that is a list of structs is written as a list of tables."""

from __future__ import annotations

import pytest
from tests.mapping.world import adapter, message

from synchromesh.mapping.refusal import ManifestError, MappingRefused
from synchromesh.model.event import DocumentBooked, amount
from synchromesh.model.posting import Line, PostingKind

RULE = """
[rules.document]
event = "erp.document.booked"
[rules.document.fields]
document = 'text(row.id)'
kind = '"transfer"'
lines = [{lines}]
"""
ONE = """{ item = 'row.item', quantity = 'quantity(row.amount, "EA")', lot = 'first(row.lot)' }"""
TWO = """{ item = '"PALLET"', quantity = 'quantity(1, "EA")' }"""


def manifest(*lines: str) -> str:
    return RULE.replace("{lines}", ", ".join(lines))


def test_each_table_is_a_struct(tmp_path):
    made = adapter(tmp_path, manifest(ONE, TWO)).map(message({"id": 7, "item": "GEAR", "amount": 3}))
    lines = (Line("GEAR", amount(3, "EA")), Line("PALLET", amount(1, "EA")))
    assert made.events == (DocumentBooked("7", PostingKind.TRANSFER, lines),)


def test_a_value_that_does_not_fit_is_refused_with_its_place(tmp_path):
    with pytest.raises(MappingRefused) as refused:
        adapter(tmp_path, manifest(TWO, ONE)).map(message({"id": 7, "item": "GEAR", "amount": "many"}))
    assert "rules.document.fields.lines.2.quantity" in str(refused.value.sentence)


@pytest.mark.parametrize(
    ("line", "place", "words"),
    [
        ("{ itme = 'row.item' }", "lines.1.itme", "did you mean 'item'?"),
        ("{ item = 'row.item' }", "lines.1.quantity", "is missing"),
        (f"{ONE}, 'row.item'", "lines.2", "must be a table like the others"),
    ],
)
def test_a_table_that_can_not_be_meant_is_refused_by_its_key(tmp_path, line, place, words):
    with pytest.raises(ManifestError) as refused:
        adapter(tmp_path, manifest(line))
    assert place in str(refused.value)
    assert words in str(refused.value)


def test_a_list_of_tables_where_texts_are_wanted_is_refused(tmp_path):
    text = "[rules.r]\nevent = \"production.reported\"\n[rules.r.fields]\norder = 'row.order'\nconsumed_lots = [{ item = 'row.lot' }]\n"
    with pytest.raises(ManifestError, match=r"consumed_lots.1"):
        adapter(tmp_path, text)
