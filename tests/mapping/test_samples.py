"""Samples are tests: they pass for what is true, and each kind of difference is told."""

import json

import pytest
from tests.mapping.world import ROOT

from synchromesh.mapping import samples
from synchromesh.mapping.refusal import ManifestError
from synchromesh.mapping.scaffold import new_adapter

EVENT = {"type": "production.reported", "order": "4711", "operation": "Milling 2", "good": {"amount": 12, "unit": "EA"}}


def run(folder):
    return {sample.name: sample.problem for sample in samples.test_adapter(folder).samples}


@pytest.mark.parametrize(
    "folder",
    ["two-plants/oslo", "two-plants/lyon", "4tu/adapter", *(f"adventureworks/{name}" for name in ("items", "orders", "reports", "ledger"))],
)
def test_the_examples_keep_their_promises(folder):
    report = samples.test_adapter(ROOT / "examples" / folder)
    assert [sample for sample in report.samples if sample.problem] == []
    assert report.well


def test_a_new_adapter_works_at_once(tmp_path):
    written = new_adapter(tmp_path / "mes", "mes")
    assert all(path.exists() for path in written)
    report = samples.test_adapter(tmp_path / "mes")
    assert (report.interface, report.well, len(report.samples)) == ("mes/1", True, 2)


def test_a_new_adapter_overwrites_nothing(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ManifestError, match="is not empty"):
        new_adapter(tmp_path, "mes")
    with pytest.raises(ManifestError, match="is not a name"):
        new_adapter(tmp_path / "new", "a b")
    with pytest.raises(ManifestError, match="can't be written"):
        new_adapter(tmp_path / "mine.txt" / "below", "mes")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.fixture
def folder(tmp_path):
    new_adapter(tmp_path / "mes", "mes")
    return tmp_path / "mes"


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ({"events": [EVENT]}, 'it becomes [{"type":"production.reported"'),
        ({"events": []}, "it becomes"),
        ({"recorded": "x"}, "it becomes"),
        ({"refused": "x"}, "it is not refused"),
        ({"events": [{**EVENT, "colour": "red"}]}, "unknown field `colour`"),
        ({"event": []}, "unknown field `event`"),
    ],
)
def test_what_differs_is_told(folder, expected, problem):
    (folder / "samples" / "output.expected.json").write_text(json.dumps(expected))
    assert problem in run(folder)["output.json"]


def test_identity_time_and_place_of_a_refusal_are_compared(folder):
    file = folder / "samples" / "output.expected.json"
    true = json.loads(file.read_text())
    file.write_text(json.dumps({**true, "identity": "other"}))
    assert run(folder)["output.json"] == "its identity is 'r-1001', not 'other'"
    file.write_text(json.dumps({**true, "occurred": "2026-03-02T14:30:00Z"}))
    assert run(folder)["output.json"] == "it occurred at 2026-03-02T13:30:00+00:00"
    file.write_text(json.dumps({**true, "received": "2026-03-01T00:00:00Z"}))
    assert "after the arrival" in run(folder)["output.json"]
    refusal = folder / "samples" / "no_unit.expected.json"
    refusal.write_text('{"refused": "no unit", "field": "reason"}')
    assert run(folder)["no_unit.json"] == "it is refused for the field 'good', not 'reason'"
    refusal.write_text('{"refused": "no wheels"}')
    assert "for another reason: the quantity has no unit" in run(folder)["no_unit.json"]


def test_a_sample_without_its_pair_is_told(folder):
    (folder / "samples" / "output.expected.json").unlink()
    (folder / "samples" / "lost.expected.json").write_text("{}")
    problems = run(folder)
    assert problems["output.json"].startswith("output.expected.json is missing")
    assert problems["lost.expected.json"] == "there is no payload beside it"


def test_an_adapter_without_samples_promises_nothing(folder):
    for path in (folder / "samples").iterdir():
        path.unlink()
    assert not samples.test_adapter(folder).well


def test_a_csv_sample_is_a_header_and_one_row(folder):
    (folder / "samples" / "no_unit.csv").write_text("a,b\n1,2\n3,4\n")
    assert "a header and one row" in run(folder)["no_unit.csv"]
