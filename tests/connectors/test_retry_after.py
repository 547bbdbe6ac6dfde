"""The header Retry-After is foreign text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from synchromesh.connectors.retry_after import seconds

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, None),
        ("", None),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("Mon, 02 Mar 2026 08:01:00 GMT", 60.0),
        ("Mon, 02 Mar 2026 08:01:00 -0000", 60.0),
        ("Mon, 02 Mar 2026 07:00:00 GMT", 0.0),
        ("9" * 400, 999_999_999.0),
        ("-5", None),
        ("1.5", None),
        ("\u00b2", None),
        ("\u0663", None),
        ("soon", None),
        ("Mon, 99 Mar 2026 08:01:00 GMT", None),
        ("Mon, 02 Mar 99999999999 08:01:00 GMT", None),
    ],
)
def test_seconds(header: str | None, said: float | None) -> None:
    assert seconds(header, NOW) == said
