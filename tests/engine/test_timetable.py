"""When partitions need a tick."""

from __future__ import annotations

from synchromesh.engine.timetable import Timetable


def test_who_is_due_is_told_once_soonest_first() -> None:
    table = Timetable()
    for partition, when in (("oslo", 30), ("rome", 10), ("kyiv", 20), ("bonn", 99)):
        table.note(partition, when)
    assert table.soonest() == 10
    assert table.due(30) == ["rome", "kyiv", "oslo"]
    assert table.due(30) == []
    assert table.soonest() == 99


def test_what_is_noted_last_counts() -> None:
    table = Timetable()
    table.note("oslo", 10)
    table.note("oslo", 50)
    table.note("rome", 20)
    table.note("rome", None)
    assert table.soonest() == 50
    assert table.due(40) == []
    table.note("oslo", 5)
    assert table.due(40) == ["oslo"]
    assert table.soonest() is None
