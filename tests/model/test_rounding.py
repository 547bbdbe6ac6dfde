"""The rounding law and tallies: whatever the order and the cut, the postings sum to the rounded total."""

from decimal import Decimal, Inexact
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synchromesh.model.event import AlternativeUnit
from synchromesh.model.quantity import exactly
from synchromesh.model.rounding import rounded, to_posting
from synchromesh.model.tally import Tally, add, total
from synchromesh.model.unit import ItemUnits, MissingConversion

THIRDS = ItemUnits("FOIL", "KGM", (AlternativeUnit("SHEET", 1, 3), AlternativeUnit("BOX", 12)))
REPORTS = st.lists(
    st.tuples(st.decimals(min_value=-(10**9), max_value=10**9, places=4), st.sampled_from(["KGM", "GRM", "SHEET", "BOX"])), max_size=30
)
DECIMALS = st.integers(0, 9)


@given(REPORTS, DECIMALS, st.randoms(use_true_random=False))
def test_the_postings_sum_to_the_rounded_total_in_any_order(reports, decimals, chance):
    shuffled = list(reports)
    chance.shuffle(shuffled)
    tally: Tally = {}
    posted = Decimal(0)
    for amount, unit in shuffled:
        add(tally, amount, unit)
        if chance.random() < 0.5:
            posted += to_posting(total(tally, "KGM", THIRDS), posted, decimals)
    posted += to_posting(total(tally, "KGM", THIRDS), posted, decimals)

    in_order: Tally = {}
    for amount, unit in reports:
        add(in_order, amount, unit)
    assert tally == in_order
    assert posted == rounded(total(in_order, "KGM", THIRDS), decimals)


@given(st.fractions(min_value=-(10**15), max_value=10**15), DECIMALS)
def test_rounding_is_to_the_nearest_and_half_to_even(value, decimals):
    result = Fraction(rounded(value, decimals))
    step = Fraction(1, 10**decimals)
    assert abs(result - value) <= step / 2
    if abs(result - value) == step / 2:
        assert (result / step) % 2 == 0


@given(st.decimals(min_value=-(10**15), max_value=10**15, places=9), DECIMALS)
def test_decimals_and_fractions_round_alike(value, decimals):
    assert rounded(value, decimals) == rounded(Fraction(value), decimals)


def test_halves_and_thirds():
    assert [rounded(Decimal(text), 0) for text in ("0.5", "1.5", "2.5", "-0.5")] == [0, 2, 2, 0]
    thirds = [to_posting(Fraction(n, 3), rounded(Fraction(n - 1, 3), 2), 2) for n in (1, 2, 3)]
    assert thirds == [Decimal("0.33"), Decimal("0.34"), Decimal("0.33")]


def test_a_posting_says_its_places():
    assert str(to_posting(Decimal(3), Decimal(0), 2)) == "3.00"


def test_what_was_taken_back_is_posted_back():
    assert to_posting(Decimal("1.2"), Decimal(3), 0) == -2


@given(REPORTS)
def test_a_tally_that_is_taken_back_is_empty(reports):
    tally: Tally = {}
    for amount, unit in reports:
        add(tally, amount, unit)
    for amount, unit in reversed(reports):
        add(tally, -amount, unit)
    assert tally == {}


def test_a_tally_refuses_to_lose_a_digit():
    tally: Tally = {}
    add(tally, Decimal("1e40"), "EA")
    with exactly(), pytest.raises(Inexact):
        add(tally, Decimal("1e-40"), "EA")


def test_a_tally_names_what_it_cannot_convert():
    with pytest.raises(MissingConversion, match="'CRATE' to 'KGM'"):
        total({"CRATE": Decimal(1)}, "KGM", THIRDS)
