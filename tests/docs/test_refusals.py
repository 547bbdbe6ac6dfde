"""The page of refusals names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "refusals.md").read_text("utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 25
    assert [(path, name) for path, name in named if not exists(ROOT / path, name)] == []


def exists(path: Path, name: str) -> bool:
    return path.is_file() and (not name or f"def {name}(" in path.read_text("utf-8"))


def test_every_line_has_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.endswith("| tests |")]
    assert [row for row in rows if "`tests/" not in row and "| the same" not in row] == []
