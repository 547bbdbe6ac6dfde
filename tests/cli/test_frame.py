"""The frame of the command line: help, wrong use, exit codes, and no traceback for what a user can put right."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from synchromesh import cli
from synchromesh.cli import VERBS, run
from synchromesh.cli.frame import Code

FOLDER = Path(cli.__file__).parent
NO_VERBS = {"__init__", "__main__", "frame", "queue_view", "reconciled", "replay_view", "show"}


def test_every_file_is_a_verb_and_every_verb_a_file() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - NO_VERBS == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == Code.OK
    assert "Usage: synchromesh " + verb in capsys.readouterr().out


def test_help_lists_every_verb_with_its_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["--help"]) == Code.OK
    shown = capsys.readouterr().out
    assert [verb for verb, line in VERBS.items() if line not in shown] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["chek"], "Did you mean 'check'"), (["init", "--jsn"], "--json"), (["init", "a", "b"], "unexpected")],
)
def test_wrong_use_is_one_line_on_stderr(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == Code.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert shown.err.startswith("synchromesh: ")
    assert shown.err.count("\n") == 1


def test_wrong_use_of_a_verb_names_the_help_of_that_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--rol", "worker"]) == Code.USAGE
    assert "(synchromesh serve --help lists what there is)" in capsys.readouterr().err


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == Code.OK
    assert capsys.readouterr().out == f"synchromesh {version('synchromesh')}\n"


def test_without_a_verb_it_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == Code.USAGE
    assert "init" in capsys.readouterr().out


def test_help_is_quick_because_it_loads_no_verb() -> None:
    code = (
        "import sys; from synchromesh.cli import run; run(['--help']); print(sorted(m for m in sys.modules if m.startswith('synchromesh')))"
    )
    began = time.perf_counter()
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    took = time.perf_counter() - began
    assert answer.stdout.splitlines()[-1] == "['synchromesh', 'synchromesh.cli', 'synchromesh.cli.frame']"
    assert took < 5, "a machine under load may be slow; the measure is what is loaded"
