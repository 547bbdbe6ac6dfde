"""When a plant's books are compared by themselves: every so many hours, or at times of its own day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo


def due(last: datetime | None, now: datetime, zone: ZoneInfo, every_hours: int, at: Sequence[str]) -> bool:
    """Whether a run is due at `now`, when the last one was at `last`. A time of day that the zone leaves out counts as the moment after."""
    if every_hours and (last is None or now - last >= timedelta(hours=every_hours)):
        return True
    passed = [moment for text in at for moment in _moments(text, now, zone) if moment <= now]
    return bool(passed) and (last is None or last < max(passed))


def _moments(text: str, now: datetime, zone: ZoneInfo) -> list[datetime]:
    """The time of day today and yesterday, in the zone."""
    today = now.astimezone(zone).date()
    return [datetime.combine(day, time.fromisoformat(text), zone) for day in (today - timedelta(days=1), today)]
