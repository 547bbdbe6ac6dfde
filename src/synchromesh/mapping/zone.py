"""Local times of a plant: a zone whose rules travel with the adapter, and stated answers where a clock is set back or forward."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from importlib import resources
from typing import Final, Literal
from zoneinfo import ZoneInfo

from synchromesh.mapping.refusal import Unfit

Ambiguous = Literal["refuse", "first", "second"]
"""What a local time means that the clock showed twice, when it was set back."""

Nonexistent = Literal["refuse", "shift"]
"""What a local time means that the clock never showed, when it was set forward: refused, or as much later as the clock was moved."""

_DIRECTIVES: Final = {
    "Y": ("year", r"\d{4}"), "m": ("month", r"\d{1,2}"), "d": ("day", r"\d{1,2}"), "H": ("hour", r"\d{1,2}"),
    "M": ("minute", r"\d{2}"), "S": ("second", r"\d{2}"), "f": ("microsecond", r"\d{1,6}"),
}  # fmt: skip
_UNITS: Final = ("year", "month", "day", "hour", "minute", "second")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME: Final = "this is not a time like 2026-03-01T14:30:00+01:00; name its format in time(x, format)"
_REMEMBERED: Final = 16_384
_WHOLE_MINUTES: Final = 1975
"""Since then no zone has moved its clocks by a part of a minute."""
_LOCAL_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - what a clock shows, wherever it hangs
_EPOCHS: Final = {"epoch": 1_000_000, "epoch_ms": 1_000}


def zone_names() -> frozenset[str]:
    """All zones of the packaged IANA data."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split())


def zone_data(name: str) -> str:
    """The rules of a zone as they are packaged now, in base64: content that decides, so it goes into the log with the adapter.
    Raises `ValueError` with the nearest name."""
    names = zone_names()
    if name not in names:
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        raise ValueError(
            f"unknown time zone {name!r}" + (f"; did you mean {near[0]!r}?" if near else "; use an IANA name like 'Europe/Oslo'")
        )
    file = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    return base64.b64encode(file.read_bytes()).decode("ascii")


class Zone:
    """A plant's zone, or none: then only times that carry their own offset are taken."""

    def __init__(self, name: str, data: str, ambiguous: Ambiguous, nonexistent: Nonexistent) -> None:
        try:
            self._zone = ZoneInfo.from_file(io.BytesIO(base64.b64decode(data, validate=True)), name) if name else None
        except (ValueError, binascii.Error, EOFError) as error:
            raise ValueError(f"the rules of zone {name!r} are damaged") from error
        self._ambiguous = ambiguous
        self._nonexistent = nonexistent

    def aware(self, local: datetime) -> datetime:
        """The moment of a local or aware time, in UTC. Raises `Unfit` where the zone or its stated rules give none."""
        if local.tzinfo is not None:
            return local.astimezone(UTC)
        return self.epoch(local) + (local - _LOCAL_EPOCH)

    def epoch(self, local: datetime) -> datetime:
        """The moment that a clock would call 1970-01-01T00:00 if it always were as far from UTC as at this local time: added to what the
        clock shows since then it gives the moment, without building time zones for every report. Raises `Unfit`."""
        if self._zone is None:
            raise Unfit("the time has no zone; send it with an offset, or state `zone` in the adapter", local.isoformat())
        there = local.replace(tzinfo=self._zone)
        before, after = there.utcoffset(), there.replace(fold=1).utcoffset()
        assert before is not None
        assert after is not None
        return _EPOCH - (before if before == after else self._settle(local, before, after))

    def _settle(self, local: datetime, before: timedelta, after: timedelta) -> timedelta:
        """The offset to use where a clock was moved: back when `before` is the larger one."""
        if before > after:
            if self._ambiguous == "refuse":
                raise Unfit(
                    "the clock showed this local time twice; send an offset, or state `ambiguous` in the adapter", local.isoformat()
                )
            return before if self._ambiguous == "first" else after
        if self._nonexistent == "refuse":
            raise Unfit("the clock never showed this local time; send an offset, or state `nonexistent` in the adapter", local.isoformat())
        return before


def _moment(zone: Zone, local: datetime, value: object) -> datetime:
    try:
        return zone.aware(local)
    except OverflowError:
        raise Unfit("the time is outside the years 1 to 9999", value) from None


def iso_time(zone: Zone) -> Callable[[object], datetime | None]:
    """The reader of ISO 8601 times with date and at least hours and minutes. None stays None."""
    parse, epoch = datetime.fromisoformat, zone.epoch
    epochs: dict[str, datetime] = {}  # by minute, as written: clocks are moved on whole minutes, and the reports of a minute share it

    def read(value: object) -> datetime | None:
        if value is None:
            return None
        if type(value) is not str or not 16 <= len(value) <= 40 or value[4] != "-":  # a bare date or a number would also parse
            raise Unfit(_NO_TIME, value)
        try:
            time = parse(value)
            if time.tzinfo is not None:
                return time.astimezone(UTC)
            zero = epochs.get(value[:16])
            if zero is None:
                zero = epoch(time)
                if len(epochs) < _REMEMBERED and time.year >= _WHOLE_MINUTES:
                    epochs[value[:16]] = zero
            return zero + (time - _LOCAL_EPOCH)
        except OverflowError:
            raise Unfit("the time is outside the years 1 to 9999", value) from None
        except Unfit:
            raise
        except ValueError:
            raise Unfit(_NO_TIME, value) from None

    return read


def epoch_time(unit: str) -> Callable[[object], datetime | None]:
    """The reader of whole seconds (`epoch`) or milliseconds (`epoch_ms`) since 1970 in UTC."""
    factor = _EPOCHS[unit]

    def read(value: object) -> datetime | None:
        if value is None:
            return None
        digits = value if type(value) is int else int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,17}", value) else -1
        if digits < 0:
            raise Unfit(f"this is not a time as whole {unit} since 1970", value)
        try:
            return _EPOCH + timedelta(microseconds=digits * factor)
        except OverflowError:
            raise Unfit("the time is outside the years 1 to 9999", value) from None

    return read


def formatted_time(zone: Zone, format: str) -> Callable[[object], datetime | None]:
    """The reader of local times in a format of %Y %m %d %H %M %S %f and plain characters. Raises `ValueError` on another directive."""
    pattern = _pattern(format, {"year", "month", "day", "hour", "minute"})

    def read(value: object) -> datetime | None:
        if value is None:
            return None
        return _moment(zone, _parts(pattern, value, format), value)

    return read


def formatted_date(format: str) -> Callable[[object], date | None]:
    """The reader of dates, ISO 8601 where `format` is ''."""
    pattern = _pattern(format or "%Y-%m-%d", {"year", "month", "day"})

    def read(value: object) -> date | None:
        if value is None:
            return None
        return _parts(pattern, value, format or "%Y-%m-%d").date()

    return read


def time_reader(zone: Zone, format: str) -> Callable[[object], datetime | None]:
    """The reader for a format; '' is ISO 8601."""
    if not format:
        return iso_time(zone)
    return epoch_time(format) if format in _EPOCHS else formatted_time(zone, format)


def _pattern(format: str, needed: set[str]) -> re.Pattern[str]:
    pieces, seen = [], set()
    for plain, directive in re.findall(r"([^%]+)|%(.?)", format):
        if plain:
            pieces.append(re.escape(plain))
            continue
        if directive not in _DIRECTIVES or directive in seen:
            raise ValueError(f"the time format {format!r} can use each of %Y %m %d %H %M %S %f once; '%{directive}' is not possible")
        seen.add(directive)
        name, digits = _DIRECTIVES[directive]
        pieces.append(f"(?P<{name}>{digits})")
    missing = needed - {_DIRECTIVES[directive][0] for directive in seen}
    if missing:
        raise ValueError(f"the format {format!r} lacks the {', the '.join(sorted(missing))}")
    return re.compile("".join(pieces), re.ASCII)


def _parts(pattern: re.Pattern[str], value: object, format: str) -> datetime:
    """The local time that a text tells in a format. Raises `Unfit`."""
    found = pattern.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= len(format) + 40 else None
    if found is None:
        raise Unfit(f"this does not fit the format {format!r}", value)
    parts = found.groupdict()
    year, month, day, hour, minute, second = (int(parts.get(name, "0")) for name in _UNITS)
    try:
        microsecond = int(parts.get("microsecond", "0").ljust(6, "0"))
        return datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001 - a local time, the zone comes next
    except ValueError as error:
        raise Unfit(f"the calendar has no such time ({error})", value) from None
