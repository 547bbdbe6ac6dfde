"""The benchmarks' own paths on tiny sizes; nothing is judged by its speed here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from benchmarks import cluster, erp, folding, history, jetstream, postgres, run, system, workers, working
from benchmarks.figures import Figure, amount
from benchmarks.plant import TINY, Size

from synchromesh.cli import bench
from synchromesh.cli import run as cli


@pytest.mark.parametrize("part", [folding, working, history])
def test_a_part_in_process_folds_everything(part: object) -> None:
    figure = part.measure(TINY)  # type: ignore[attr-defined]
    assert figure.value > 0


@pytest.mark.slow
def test_the_whole_system_is_driven() -> None:
    figures = {figure.name: figure for figure in system.measure(TINY)}
    assert len(figures) == 6
    assert all(figure.value > 0 for figure in figures.values())
    assert "driver" in figures["end to end, single posts"].note


@pytest.mark.slow
def test_the_log_on_postgresql_is_measured_beside_bare_loops() -> None:
    figures = postgres.measure(TINY)
    assert [figure.name for figure in figures] == [f"PostgreSQL append, {batch} at a time" for batch in (1, 100, 1000)]
    assert all(figure.value > 0 and figure.raw > 0 for figure in figures)


@pytest.mark.slow
def test_the_log_on_jetstream_stands_beside_bare_publishing() -> None:
    figures = jetstream.measure(TINY)
    assert len(figures) == 4
    assert all(figure.value > 0 and figure.ratio for figure in figures)


@pytest.mark.slow
@pytest.mark.parametrize("part", [cluster.measure, workers.measure, history.on_servers])
def test_a_part_on_servers_books_everything(part: Callable[[Size], list[Figure]]) -> None:
    figures = part(TINY)
    assert len(figures) == 2
    assert all(figure.value > 0 for figure in figures)


def test_a_figure_meets_its_target_and_its_share() -> None:
    assert Figure("a", 10, "", 10, raw=20, least=0.5).met
    assert not Figure("a", 10, "", 10, raw=21, least=0.5).met
    assert not Figure("a", 9, "", 10).met
    assert Figure("a", 9, "", 10, lower=True).met
    assert not Figure("a", 11, "", 10, lower=True).met


def test_a_document_tells_when_its_posting_arrived() -> None:
    assert erp.arrived(str(1_700_000_000_000_000 * erp.SERIAL + 42)) == 1_700_000_000_000_000


def test_the_table_has_a_row_for_each_figure() -> None:
    assert run.table([Figure("a", 1, "s", 1), Figure("b", 1, "s", 2)]).row_count == 2
    assert (amount(12_345.6), amount(1.234)) == ("12,346", "1.23")
    assert msgspec.json.encode(run.Told(Figure("a", 1, "s", 1), None, True))


def test_without_a_checkout_the_verb_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "CHECKOUT", tmp_path)
    assert cli(["bench"]) == 2
    assert "checkout" in capsys.readouterr().err
