"""`synchromesh check` says all that is wrong, and its exit code says of what kind."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.app.test_settings import GOOD

from synchromesh.app.reading import read_settings
from synchromesh.app.stores import Stores
from synchromesh.cli import run
from synchromesh.cli.frame import Code
from synchromesh.engine import earlier
from synchromesh.engine.worker import Worker, own_message
from synchromesh.model.event import Tick
from synchromesh.plant.version import FOLD


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


def test_a_state_that_an_earlier_program_began_is_told_with_what_to_do(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_settings(config)
    stores = Stores(settings)
    state, log = stores.state(), stores.log()
    stores.worked()
    (plant,) = [each.id for each in settings.plants]
    now = datetime(2026, 3, 2, tzinfo=UTC)
    log.append([own_message(plant, "tick", Tick(now), now)])
    worker = Worker(log, state, [plant], "w", now=lambda: now)
    assert worker.step()
    state.close()
    log.close()
    assert run(["check", "--config", str(config)]) == Code.OK
    monkeypatch.setattr(earlier, "FOLD", FOLD + 1)
    capsys.readouterr()
    assert run(["check", "--config", str(config)]) == Code.PROBLEMS
    assert f"state of {plant}: its state was begun by an earlier program" in capsys.readouterr().out
