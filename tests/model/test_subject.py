"""Subjects: one word for one thing, whoever says it."""

from __future__ import annotations

from datetime import date

import pytest

from synchromesh.model import subject
from synchromesh.model.posting import Posting, PostingKind

DAY = date(2026, 1, 31)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (subject.item("4711"), "item 4711"),
        (subject.order("WO-1"), "order WO-1"),
        (subject.order(""), "order"),
        (subject.operation("20", "WO-1"), "operation 20 of order WO-1"),
        (subject.operation("", "WO-1"), "order WO-1"),
        (subject.lot("L1", "4711"), "lot L1 of item 4711"),
        (subject.lot("", "4711"), "item 4711"),
        (subject.unit("BX", "4711"), "unit BX of item 4711"),
        (subject.location("STO 1"), "location STO 1"),
        (subject.warehouse("WH"), "warehouse WH"),
        (subject.period(DAY), "period of 2026-01-31"),
        (subject.day(DAY), "day 2026-01-31"),
        (subject.document("17"), "document 17"),
        (subject.kind(PostingKind.SCRAP), "scrap"),
        (subject.posting("oslo:6:receipt:1"), "posting oslo:6:receipt:1"),
        (subject.system("sap"), "system sap"),
        (subject.interface("mes/1"), "interface mes/1"),
        (subject.interface("mes/1", "qty"), "field qty of interface mes/1"),
        (subject.message("mes", "1"), "message mes/1"),
        (subject.fact("mes", "1"), "fact mes/1"),
        (subject.partition("enterprise"), "partition enterprise"),
        (subject.item("of\nitem"), "item of\nitem"),
    ],
)
def test_the_words(made: str, words: str) -> None:
    assert made == words
    assert subject.is_canonical(made)


@pytest.mark.parametrize("bare", ["", "4711", "2026-01-31", "closed period", "period of May", "lot L1", "http://127.0.0.1:8100"])
def test_what_is_no_subject(bare: str) -> None:
    assert not subject.is_canonical(bare)


def test_a_posting_is_about_its_order_or_item_and_itself_last() -> None:
    posting = Posting("k", PostingKind.COMPLETION, "p", "order:WO", DAY)
    assert subject.about(posting) == "posting k"


def test_a_connector_speaks_of_its_system_which_is_named_here() -> None:
    assert subject.named(subject.SYSTEM, "sap") == "system sap"
    assert subject.named("item system", "sap") == "item system"
