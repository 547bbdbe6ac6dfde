"""`synchromesh check` says all that is wrong, and its exit code says of what kind."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from tests.app.test_settings import GOOD

from synchromesh.cli import run
from synchromesh.cli.frame import Code


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "synchromesh.toml"
    path.write_text(GOOD)
    return path


def test_a_right_configuration_is_well(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--config", str(config)]) == Code.OK
    assert "all is well" in capsys.readouterr().out


def test_faults_of_the_file_are_listed_with_their_lines(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(GOOD.replace("zone", "zoen") + "[http]\nprot = 1\n")
    assert run(["check", "--config", str(config)]) == Code.PROBLEMS
    shown = capsys.readouterr()
    assert "zoen: there is no such key; did you mean 'zone'?" in shown.out
    assert "11: [http] prot" in shown.out
    assert "3 things are wrong" in shown.out
    assert "Traceback" not in shown.err


def test_answers_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(GOOD + "[http]\nprot = 1\n")
    assert run(["check", "--config", str(config), "--json"]) == Code.PROBLEMS
    told = json.loads(capsys.readouterr().out)
    assert told["well"] is False
    (fault,) = told["faults"]
    assert (fault["line"], fault["where"]) == (11, "[http] prot")


def test_a_connector_refuses_its_own_settings_by_name(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(GOOD.replace("url =", "ulr ="))
    assert run(["check", "--config", str(config)]) == Code.PROBLEMS
    assert "did you mean 'url'?" in capsys.readouterr().out


def test_an_adapter_that_cannot_be_read_and_a_folder_without_a_reader_are_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "drop").mkdir()
    (config.parent / "mes").mkdir()
    (config.parent / "mes" / "adapter.toml").write_text('nmae = "mes"\n')
    more = 'erp = "main"\nadapters = ["mes"]\n[[plant.files]]\nfolder = "drop"\ninterface = "mes/1"\n'
    config.write_text(GOOD.replace('erp = "main"\n', more))
    assert run(["check", "--config", str(config)]) == Code.PROBLEMS
    shown = capsys.readouterr().out
    assert "did you mean 'name'" in shown
    assert "no adapter of the plant reads 'mes/1'; it has none" in shown


def test_a_system_that_does_not_answer_has_its_own_exit_code(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    config.write_text(GOOD.replace("8090", str(port)))
    assert run(["check", "--config", str(config)]) == Code.OK, "nothing is asked without --reach"
    assert run(["check", "--config", str(config), "--reach"]) == Code.UNREACHED
    assert "✗ erp main" in capsys.readouterr().out


def test_without_a_file_it_says_what_writes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--config", str(tmp_path / "no.toml")]) == Code.PROBLEMS
    assert "synchromesh init" in capsys.readouterr().out
