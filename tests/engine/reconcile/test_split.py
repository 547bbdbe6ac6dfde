"""Splitting a difference: the parts always sum to it, and what may be on its way is never called unexplained."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from synchromesh.engine.reconcile.split import LISTED, Cause, Part, Perhaps, Pile, Piles, Share, Tolerance, shown, split, unexplained

AMOUNTS = st.decimals(min_value=-(10**6), max_value=10**6, places=3, allow_nan=False)
SOME = [Part.IN_FLIGHT, Part.FAILED, Part.LATE, Part.OUTSIDE, Part.UNBOOKED]


Amounts = list[tuple[Part, Decimal]]


def piles(amounts: Amounts) -> Piles:
    made: Piles = {}
    for number, (part, amount) in enumerate(amounts):
        made.setdefault(part, Pile()).add(Cause("posting", f"c{number}", amount))
    return made


def perhaps(amounts: Amounts) -> list[Perhaps]:
    return [Perhaps(part, Cause("posting", f"p{number}", amount)) for number, (part, amount) in enumerate(amounts)]


def total(shares: tuple[Share, ...]) -> Decimal:
    return sum((share.amount for share in shares), Decimal(0))


CERTAIN = st.lists(st.tuples(st.sampled_from(SOME), AMOUNTS), max_size=8)
UNCERTAIN = st.lists(st.tuples(st.sampled_from([Part.IN_FLIGHT, Part.FAILED, Part.LATE]), AMOUNTS), max_size=9)


@given(AMOUNTS, CERTAIN, UNCERTAIN)
def test_the_parts_sum_to_the_difference(difference: Decimal, certain: Amounts, uncertain: list[tuple[Part, Decimal]]) -> None:
    shares = split(difference, piles(certain), perhaps(uncertain))
    assert total(shares) == difference
    assert shares[-1].part is Part.UNEXPLAINED
    assert [share.part for share in shares] == [part for part in Part if part in {share.part for share in shares}]


@given(CERTAIN, UNCERTAIN, st.data(), AMOUNTS)
def test_nothing_in_flight_is_called_unexplained(certain: Amounts, uncertain: Amounts, data: st.DataObject, lost: Decimal) -> None:
    """Whatever of the uncertain had reached the other side, no more is left than was really lost."""
    had = data.draw(st.lists(st.booleans(), min_size=len(uncertain), max_size=len(uncertain)))
    truth = sum((amount for _, amount in certain), Decimal(0)) + sum((a for (_, a), h in zip(uncertain, had, strict=True) if h), Decimal(0))
    assert unexplained(split(truth, piles(certain), perhaps(uncertain))) == 0
    assert abs(unexplained(split(truth + lost, piles(certain), perhaps(uncertain)))) <= abs(lost)


@given(st.lists(st.fractions(min_value=-100, max_value=100, max_denominator=99), max_size=6), AMOUNTS)
def test_thirds_are_cut_once(amounts: list[Fraction], difference: Decimal) -> None:
    pile = Pile()
    for amount in amounts:
        pile.add(Cause("rest", "r", shown(amount)), amount)
    shares = split(difference, {Part.IN_FLIGHT: pile})
    assert total(shares) == difference
    assert abs(Fraction(difference - unexplained(shares)) - sum(amounts, Fraction(0))) <= Fraction(1, 2 * 10**9)


def test_thousands_of_uncertain_postings_are_no_trouble() -> None:
    uncertain = perhaps([(Part.IN_FLIGHT, Decimal(number % 97 + 1)) for number in range(2_000)])
    half = sum(each.cause.amount for each in uncertain[:1_000])
    shares = split(Decimal(half), {}, uncertain)
    assert unexplained(shares) == 0
    assert len(shares[0].causes) == LISTED


def test_a_part_names_its_first_causes_and_counts_the_rest() -> None:
    (share, _) = split(Decimal(30), piles([(Part.LATE, Decimal(1))] * 30))
    assert (len(share.causes), share.more) == (LISTED, 10)


def test_a_difference_is_small_by_either_measure() -> None:
    assert Tolerance(Decimal(0), Decimal(0)).exceeded(Decimal("0.001"), Decimal(1))
    assert not Tolerance(Decimal(0), Decimal(0)).exceeded(Decimal(0))
    assert not Tolerance(Decimal(5), Decimal(0)).exceeded(Decimal(-5), Decimal(1))
    assert not Tolerance(Decimal(0), Decimal(10)).exceeded(Decimal(10), Decimal(-100), Decimal(50))
    assert Tolerance(Decimal(5), Decimal(10)).exceeded(Decimal("10.1"), Decimal(100))
