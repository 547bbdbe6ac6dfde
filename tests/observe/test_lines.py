"""Log lines: those of the catalogue with exactly their fields, one object a line, whatever foreign text is in them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

import synchromesh
from synchromesh.observe import names
from synchromesh.observe.lines import MAX_VALUE, configure, emit
from synchromesh.observe.names import LogLine


@pytest.fixture
def out() -> Iterator[StringIO]:
    logger = logging.getLogger("synchromesh")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield StringIO()
    logger.handlers[:], logger.level, logger.propagate = before


def test_a_line_is_one_json_object_with_its_fields(out: StringIO) -> None:
    configure(as_json=True, stream=out)
    emit(names.SYSTEM_LOST, system="main", error='refused\n{"line":"forged"}')
    (line,) = out.getvalue().splitlines()
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {"level": "warning", "line": "system.lost", "system": "main", "error": 'refused\n{"line":"forged"}'}


def test_words_for_a_person_stay_on_one_line(out: StringIO) -> None:
    configure(as_json=False, stream=out)
    emit(names.SYSTEM_LOST, system="main", error="refused\nforged")
    (line,) = out.getvalue().splitlines()
    assert 'warning  system.lost system="main" error="refused\\nforged"' in line


def test_a_payload_does_not_fit_into_a_line(out: StringIO) -> None:
    configure(as_json=True, stream=out)
    emit(names.STORE_FULL, error="x" * 10_000)
    assert len(json.loads(out.getvalue())["error"]) == MAX_VALUE + 1


def test_a_traceback_is_kept(out: StringIO) -> None:
    configure(as_json=True, stream=out)
    try:
        raise KeyError("lost")
    except KeyError:
        logging.getLogger("synchromesh.somewhere").exception("a fault")
    assert "KeyError: 'lost'" in json.loads(out.getvalue())["traceback"]


def test_every_line_of_the_catalogue_is_written_somewhere_and_no_other_logger_is() -> None:
    folder = Path(synchromesh.__path__[0])
    source = "".join(path.read_text("utf-8") for path in folder.rglob("*.py") if path.parts[-3:-1] != ("tryton", "module"))
    named = {name for name, value in vars(names).items() if isinstance(value, LogLine)}
    assert {vars(names)[name] for name in named} == set(names.LINES)
    assert [name for name in sorted(named) if f"emit({name}," not in source] == []
    assert source.count("logging.getLogger(") == 3, "lines.py, one that is silenced, and the simulation's"


@pytest.mark.parametrize("fields", [{}, {"error": "x", "more": 1}, {"eror": "x"}])
def test_other_fields_than_the_catalogue_names_are_a_mistake(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"store\.full has the fields error"):
        emit(names.STORE_FULL, **fields)


def test_the_catalogue_has_every_name_once() -> None:
    for catalogue in (names.METRICS, names.LINES):
        told = [entry.name for entry in catalogue]
        assert sorted(set(told)) == sorted(told)
    declared = {value for value in vars(names).values() if isinstance(value, names.Metric | names.LogLine)}
    assert declared == {*names.METRICS, *names.LINES}
