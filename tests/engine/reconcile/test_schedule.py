"""When a run is due: every so many hours, at times of the plant's day, also where the clock is changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from synchromesh.engine.reconcile.schedule import due

OSLO = ZoneInfo("Europe/Oslo")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def test_without_hours_and_times_nothing_is_ever_due() -> None:
    assert not due(None, NOON, OSLO, 0, ())


def test_every_so_many_hours() -> None:
    assert due(None, NOON, OSLO, 6, ())
    assert not due(NOON - timedelta(hours=5, minutes=59), NOON, OSLO, 6, ())
    assert due(NOON - timedelta(hours=6), NOON, OSLO, 6, ())


def test_at_a_time_of_the_plants_day() -> None:
    """06:00 in Oslo is 05:00 in UTC in March."""
    six = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
    yesterday = six - timedelta(days=1)
    assert not due(yesterday, six - timedelta(minutes=1), OSLO, 0, ("06:00",))
    assert due(yesterday, six, OSLO, 0, ("06:00",))
    assert not due(six, six + timedelta(hours=5), OSLO, 0, ("06:00",))


def test_a_run_that_was_missed_is_made_up_for_once() -> None:
    last = NOON - timedelta(days=3)
    assert due(last, NOON, OSLO, 0, ("06:00", "22:00"))
    assert not due(NOON, NOON + timedelta(minutes=1), OSLO, 0, ("06:00", "22:00"))
    assert due(NOON, NOON + timedelta(hours=9), OSLO, 0, ("06:00", "22:00"))


def test_an_hour_that_the_zone_leaves_out_or_has_twice_is_one_run() -> None:
    for day in (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)):
        last = day - timedelta(days=1) + timedelta(hours=12)
        runs = 0
        for minute in range(24 * 60):
            now = day + timedelta(minutes=minute)
            if due(last, now, OSLO, 0, ("02:30",)):
                runs, last = runs + 1, now
        assert runs == 1
