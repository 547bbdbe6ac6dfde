"""The generated pages say what the code says, every link leads somewhere, and every verb and setting has its place."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from synchromesh.cli import VERBS

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["adapters.md", "configuration.md", "connectors.md", "events.md", "categories.md", "signals.md"])
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    pages = generator().pages()
    assert (ROOT / "docs" / "reference" / name).read_text("utf-8") == pages[name], "run `make docs`"


def test_every_option_says_what_it_means() -> None:
    module = generator()
    rows = [line for line in module.pages()["configuration.md"].splitlines() if line.startswith("| `")]
    assert len(rows) > 25
    assert [row for row in rows if row.rstrip(" |").endswith("|") or row.split("|")[-2].strip() == ""] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_reference_of_commands_names_every_verb() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    assert [verb for verb in VERBS if f"`synchromesh {verb}" not in page] == []


def test_every_decision_is_numbered_and_says_why() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [path.name[:4] for path in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text("utf-8")
        assert [part for part in ("## Context", "## Decision", "## Consequences") if part not in text] == [], path.name
