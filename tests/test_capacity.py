"""The sizing table is what its figures make of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from benchmarks.capacity import ROLES, costs, needs, page
from benchmarks.figures import Figure
from benchmarks.run import Told

ROOT = Path(__file__).parents[1]
FIGURES = [each.figure for each in msgspec.json.decode((ROOT / "benchmarks" / "capacity.json").read_bytes(), type=list[Told])]


def test_the_page_has_the_table_of_the_figures() -> None:
    assert page(FIGURES) in (ROOT / "docs" / "how-to" / "capacity.md").read_text("utf-8")


def test_the_figures_are_those_of_the_page_of_performance() -> None:
    told = (ROOT / "docs" / "reference" / "performance.md").read_text("utf-8")
    (figure,) = FIGURES
    assert f"| end to end, single posts | {figure.value:,.0f} facts/s |" in told
    cost = costs(FIGURES)
    assert f"single posts: worker {cost['worker']:.0f} µs, gateway {cost['gateway']:.0f} µs, dispatcher {cost['dispatcher']:.0f} µs" in told


def test_twice_the_load_needs_twice_the_cores() -> None:
    by_load = {need.load: need for need in needs(FIGURES)}
    assert all(by_load[2_000].cores[role] == pytest.approx(2 * by_load[1_000].cores[role]) for role in ROLES)
    assert by_load[2_000].cores["worker"] == pytest.approx(2_000 * 145e-6 / 0.5)


def test_a_load_beyond_what_was_held_has_no_row() -> None:
    slow = [msgspec.structs.replace(FIGURES[0], value=1_000)]
    assert [need.load for need in needs(slow)] == [10, 100, 500]


def test_figures_without_the_share_of_each_role_are_refused() -> None:
    with pytest.raises(ValueError, match="does not tell the CPU of gateway, worker, dispatcher; measure with --part system"):
        costs([Figure("end to end, single posts", 1, "facts/s", 1)])
