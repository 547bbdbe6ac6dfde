"""Writing log lines by name: `emit(READY, address=…, seconds=…)`. One JSON object a line, or words when a person watches.

The standard library's logging carries them, so that a host can route them as it likes. Foreign text is cut and kept on its line.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

from synchromesh.observe.names import REQUEST_FAILED, LogLine

MAX_VALUE: Final = 500
"""Longer texts are cut, in characters: a log line is no place for a payload."""

WITH_TRACEBACK: Final = (REQUEST_FAILED,)
"""Lines of defects: where one happened, its traceback says."""

_LOGGER: Final = logging.getLogger("synchromesh")


def emit(line: LogLine, **fields: str | int | float) -> None:
    """Write one log line. Its fields are exactly those that the catalogue names for it; anything else raises `ValueError`."""
    if set(fields) != set(line.fields):
        raise ValueError(f"the log line {line.name} has the fields {', '.join(line.fields)}, not {', '.join(fields)}")
    told = {name: _cut(value) for name, value in fields.items()}
    _LOGGER.log(line.level, "%s", line.name, extra={"synchromesh": told}, exc_info=line in WITH_TRACEBACK)


def configure(*, as_json: bool, stream: TextIO | None = None) -> None:
    """Send log lines of this process to `stream` (stderr when none is given): JSON objects, or one readable line each."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_Json() if as_json else _Words())
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        head = {"time": _time(record), "level": record.levelname.lower(), "line": record.getMessage()}
        fault = {"traceback": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps({**head, **_fields(record), **fault}, ensure_ascii=False)


class _Words(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in _fields(record).items())
        fault = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return f"{_time(record)} {record.levelname.lower():8} {record.getMessage()} {fields}".rstrip() + fault


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _fields(record: logging.LogRecord) -> Mapping[str, str | int | float]:
    fields = getattr(record, "synchromesh", None)
    return fields if isinstance(fields, dict) else {}


def _cut(value: str | int | float) -> str | int | float:
    if isinstance(value, str) and len(value) > MAX_VALUE:
        return value[:MAX_VALUE] + "…"
    return value
