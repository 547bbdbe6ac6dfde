"""Amounts that are reported are never negative; only adjustments, stock and corrections move both ways."""

import pytest

from synchromesh.model.event import (
    Component,
    FactCorrected,
    MaterialConsumed,
    MaterialTransferred,
    OrderChanged,
    OrderStarted,
    ProductionReported,
    ScrapRecorded,
    StockAdjusted,
    amount,
)
from synchromesh.model.quantity import QuantityError
from synchromesh.model.validity import check

LESS = amount(-1, "EA")
MORE = amount(1, "EA")


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (ProductionReported("4711", good=LESS), "good"),
        (ProductionReported("4711", good=MORE, scrap=LESS), "scrap"),
        (ProductionReported("4711", held=LESS), "held"),
        (ProductionReported("4711", rework=LESS), "rework"),
        (MaterialConsumed("4711", "BOLT", LESS), "quantity"),
        (ScrapRecorded("4711", LESS), "quantity"),
        (MaterialTransferred("BOLT", LESS, "A", "B"), "quantity"),
        (OrderChanged("4711", "PUMP", LESS), "quantity"),
        (OrderChanged("4711", "PUMP", MORE, components=(Component("BOLT", LESS),)), "components"),
        (FactCorrected("mes", "1", ProductionReported("4711", good=LESS)), "good"),
    ],
)
def test_a_negative_amount_is_refused_by_its_field(event, field):
    with pytest.raises(QuantityError, match=f"^{field} is -1 EA"):
        check(event)


@pytest.mark.parametrize(
    "event",
    [
        StockAdjusted("BOLT", LESS, "A", "counted"),
        ProductionReported("4711", good=amount(0, "EA")),
        FactCorrected("mes", "1", StockAdjusted("BOLT", LESS, "A", "counted")),
        OrderStarted("4711"),
    ],
)
def test_what_may_be(event):
    check(event)
