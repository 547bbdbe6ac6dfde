"""Rows in words for people, the same wherever they are shown."""

from __future__ import annotations

from synchromesh.model.posting import Line


def line_in_words(line: Line) -> str:
    """A line in words: '9 EA of GEAR, lot L1, at FG'."""
    words = [f"{line.quantity} of {line.item}"]
    words += [f"{word} {value}" for word, value in (("lot", line.lot), ("at", line.location), ("status", line.status)) if value]
    words += [f"{word} {value}" for word, value in (("to", line.to_location), ("reason", line.reason)) if value]
    return ", ".join(words)
