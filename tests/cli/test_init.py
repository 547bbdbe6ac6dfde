"""`synchromesh init` writes a configuration that can be read, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synchromesh.app.reading import read_settings
from synchromesh.cli import run
from synchromesh.cli.frame import Code


def test_writes_a_file_that_reads(tmp_path: Path) -> None:
    assert run(["init", str(tmp_path / "new" / "folder")]) == Code.OK
    assert read_settings(tmp_path / "new" / "folder" / "synchromesh.toml").plants[0].id == "plant-1"


def test_leaves_an_existing_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "synchromesh.toml").write_text("mine")
    assert run(["init", str(tmp_path)]) == Code.USAGE
    assert (tmp_path / "synchromesh.toml").read_text() == "mine"
    assert "was left as it is" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(["init", str(tmp_path / "file" / "below")]) == Code.USAGE
    assert "can't be written" in capsys.readouterr().err


def test_answers_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path), "--json"]) == Code.OK
    assert json.loads(capsys.readouterr().out) == {"file": str(tmp_path / "synchromesh.toml")}
