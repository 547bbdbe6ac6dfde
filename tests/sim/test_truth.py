"""The truth: what each kind of fact does to the books, by hand-made examples; and that the order of arrival does not matter."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from synchromesh.model.event import (
    AlternativeUnit,
    Component,
    FactCancelled,
    FactCorrected,
    ItemChanged,
    MaterialConsumed,
    MaterialTransferred,
    Operation,
    OperationCompleted,
    OrderChanged,
    OrderCompleted,
    PlantEvent,
    ProductionReported,
    ScrapRecorded,
    StockAdjusted,
    StockLine,
    TimeRecorded,
    amount,
)
from synchromesh.model.posting import PostingKind
from synchromesh.sim.history import history
from synchromesh.sim.plants import Habits
from synchromesh.sim.told import FactId, Scene, Told
from synchromesh.sim.truth import Book, Due, Ledger, Place, Truth, rounded, truth_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

SCENE = Scene(
    items={
        "P": ItemChanged("P", "EA", decimals=0, alternatives=(AlternativeUnit("BOX", 12), AlternativeUnit("THIRD", 1, 3))),
        "C": ItemChanged("C", "KGM", decimals=2, alternatives=(AlternativeUnit("SCOOP", 1, 3),)),
        "B": ItemChanged("B", "LTR", decimals=1),
    },
    orders={
        "O": OrderChanged(
            "O", "P", amount(100, "EA"), operations=(Operation("10"), Operation("20")),
            components=(Component("C", amount(5, "KGM"), "RAW"), Component("B", amount("7", "LTR"), "LINE", backflush=True)),
            location="FG",
        ),
        "M": OrderChanged("M", "P", amount(1, "BOX"), operations=(Operation("10", yields=True), Operation("20")), location="FG"),
    },
    opening=(StockLine("C", "RAW", amount(10, "KGM")), StockLine("B", "LINE", amount(100, "LTR"))),
    zones={"oslo": "Europe/Oslo"},
    never=frozenset({"GLUE"}),
)  # fmt: skip


def tell(*events: PlantEvent) -> list[Told]:
    return [Told(NOON + timedelta(minutes=n), "oslo", "mes", str(n), event) for n, event in enumerate(events)]


def truth(*events: PlantEvent) -> Truth:
    return truth_of(SCENE, tell(*events))


def test_good_output_counts_at_the_last_operation_or_without_one() -> None:
    found = truth(
        ProductionReported("O", "10", good=amount(50, "EA")),
        ProductionReported("O", "20", good=amount(2, "BOX")),
        ProductionReported("O", good=amount(1, "EA"), location="ELSEWHERE"),
    ).totals
    assert found[Book(PostingKind.RECEIPT, "O", "P", location="FG")] == 24
    assert found[Book(PostingKind.RECEIPT, "O", "P", location="ELSEWHERE")] == 1


def test_a_marked_operation_yields() -> None:
    found = truth(ProductionReported("M", "10", good=amount(5, "EA")), ProductionReported("M", "20", good=amount(9, "EA"))).totals
    assert found == {Book(PostingKind.RECEIPT, "M", "P", location="FG"): Decimal(5)}


def test_held_output_is_received_with_its_status_and_scrap_and_rework_touch_no_stock() -> None:
    found = truth(ProductionReported("M", "20", held=amount(3, "EA"), scrap=amount(2, "EA"), rework=amount(4, "EA"), lot="L"))
    assert found.totals == {
        Book(PostingKind.RECEIPT, "M", "P", "L", "FG", "held"): Decimal(3),
        Book(PostingKind.SCRAP, "M", "P", "L"): Decimal(2),
    }
    assert found.stock[Place("P", "FG", "L", "held")] == 3


def test_components_are_backflushed_in_proportion_and_rounded_on_the_total() -> None:
    found = truth(*(ProductionReported("O", good=amount(1, "THIRD")) for _ in range(10))).totals
    assert found[Book(PostingKind.RECEIPT, "O", "P", location="FG")] == 3  # 10/3
    assert found[Book(PostingKind.ISSUE, "O", "B", location="LINE")] == Decimal("0.2")  # 7 * (10/3) / 100 = 0.2333


def test_consumption_and_component_scrap_leave_stock() -> None:
    found = truth(
        MaterialConsumed("O", "C", amount(1, "SCOOP")),
        MaterialConsumed("O", "C", amount(1, "SCOOP")),
        ScrapRecorded("O", amount(500, "GRM"), item="C", reason="spilt"),
        ScrapRecorded("O", amount(1, "EA")),
    )
    assert found.totals == {
        Book(PostingKind.ISSUE, "O", "C", location="RAW"): Decimal("0.67"),
        Book(PostingKind.SCRAP, "O", "C", location="RAW", reason="spilt"): Decimal("0.50"),
        Book(PostingKind.SCRAP, "O", "P"): Decimal(1),
    }
    assert found.stock[Place("C", "RAW")] == Decimal("8.83")


def test_transfers_back_and_forth_are_one_book() -> None:
    found = truth(
        MaterialTransferred("C", amount(3, "KGM"), "RAW", "LINE"),
        MaterialTransferred("C", amount(5, "KGM"), "LINE", "RAW"),
    )
    assert list(found.totals.values()) == [Decimal(2)]
    assert found.stock[Place("C", "RAW")] == 12
    assert found.stock[Place("C", "LINE")] == -2


def test_adjustments_go_up_and_down_by_reason() -> None:
    found = truth(StockAdjusted("C", amount("-1.5", "KGM"), "RAW", "counted"), StockAdjusted("C", amount(1, "KGM"), "RAW", "found"))
    assert found.stock[Place("C", "RAW")] == Decimal("9.5")
    assert len(found.totals) == 2


def test_what_is_recorded_only_moves_nothing() -> None:
    found = truth(TimeRecorded("O", "10", 60), OperationCompleted("O", "10"), ProductionReported("O", "10", good=amount(5, "EA")))
    assert not found.totals
    assert set(found.due.values()) == {Due.RECORDS}


def test_corrections_and_cancellations_leave_the_final_version() -> None:
    good = ProductionReported("M", good=amount(5, "EA"))
    found = truth(
        good,
        FactCorrected("mes", "0", ProductionReported("M", good=amount(7, "EA"))),
        good,
        FactCancelled("mes", "2"),
        FactCorrected("mes", "2", ProductionReported("M", good=amount(100, "EA"))),
        OrderCompleted("M"),
    )
    assert found.totals == {Book(PostingKind.RECEIPT, "M", "P", location="FG"): Decimal(7)}
    assert found.completed == {"M"}
    assert found.due[FactId("oslo", "mes", "0")] is Due.REVISED
    assert found.due[FactId("oslo", "mes", "5")] is Due.BOOKS


def test_facts_about_what_erp_never_knows_are_left_out() -> None:
    scene = Scene({**SCENE.items, "GLUE": ItemChanged("GLUE", "KGM")}, SCENE.orders, SCENE.opening, SCENE.zones, SCENE.never)
    found = truth_of(scene, tell(MaterialConsumed("O", "GLUE", amount(1, "KGM"), location="LINE")))
    assert not found.totals
    assert list(found.due.values()) == [Due.UNKNOWN]


def test_a_fact_too_small_to_book_alone_may_be_carried() -> None:
    found = truth(MaterialConsumed("O", "C", amount("0.001", "KGM")))
    assert list(found.due.values()) == [Due.CARRIED]


def test_excluded_facts_count_for_nothing() -> None:
    told = tell(ProductionReported("M", good=amount(5, "EA")), ProductionReported("M", good=amount(2, "EA")))
    found = truth_of(SCENE, told, {told[0].fact})
    assert list(found.totals.values()) == [Decimal(2)]


@given(st.fractions(min_value=-10_000, max_value=10_000), st.integers(0, 6))
def test_rounding_is_half_to_even_and_never_further_than_half_a_step(total: Fraction, decimals: int) -> None:
    found = Fraction(rounded(total, decimals))
    step = Fraction(1, 10**decimals)
    assert abs(found - total) <= step / 2
    if abs(found - total) == step / 2:
        assert (found / step) % 2 == 0


@given(st.integers(0, 100_000), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_truth_does_not_depend_on_the_order_of_arrival(seed: int, chance: random.Random) -> None:
    past = history(seed, Habits(corrected=0.3, cancelled=0.2, unknown_items=0.1), 2)
    shuffled = list(past.told) * 2
    chance.shuffle(shuffled)
    assert truth_of(past.scene, shuffled) == truth_of(past.scene, past.told)


@given(st.integers(0, 100_000))
@settings(max_examples=20, deadline=None)
def test_a_ledger_that_forgets_keeps_the_totals(seed: int) -> None:
    past = history(seed, Habits(), 5)
    short, whole = Ledger(past.scene, keep=90), Ledger(past.scene)
    for told in past.told:
        short.tell(told)
        whole.tell(told)
    assert short.truth().totals == whole.truth().totals
    assert short.truth().completed == whole.truth().completed
