"""What the page on JetStream says is so: its options, its servers' configuration, the least privileges, its mirror."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.contracts.log import message
from tests.log.jetstream.conftest import Opens
from tests.nats.server import SERVER, Server

from synchromesh.log.agreement import LogError
from synchromesh.log.jetstream import Options

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "jetstream.md").read_text("utf-8")


def block(holding: str) -> str:
    """The configuration of the page that holds some words."""
    return next(each for each in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) if holding in each)


def test_the_page_names_every_option_and_its_default() -> None:
    rows = {name: line for line in PAGE.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert set(rows) == set(Options.__struct_fields__)
    for name, default in zip(Options.__struct_fields__, Options.__struct_defaults__, strict=True):
        if isinstance(default, int):
            assert rows[name].split("|")[2].strip() == str(default)


def test_a_server_understands_the_configuration_of_the_page(tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text(block("server_name").replace("/var/lib/nats", str(tmp_path)) + block("leafnodes"))
    said = subprocess.run([SERVER, "-t", "-c", path], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr


def test_the_least_privileges_are_enough_and_no_more_is_needed(opens: Opens, tmp_path: Path) -> None:
    login = f"authorization {{ users: [ {{ user: plant, password: right, {block('permissions')} }} ] }}\n"
    with Server(tmp_path / "nats", extra=login) as server:
        address = server.address.replace("://", "://plant:right@")
        log = opens(address, stream="SYNCHROMESH", room=10_000_000)
        for _ in range(80):
            log.append([message(), message("b")])
        assert set(opens(address, stream="SYNCHROMESH").read({"plant-1": 0, "b": 0}, 1000)) == {"plant-1", "b"}
        log.trim("plant-1", 10)
        assert log.head() == {"plant-1": 80, "b": 80}
        with pytest.raises(LogError, match="permissions violation"):
            opens(address, stream="OTHER", folder=tmp_path / "nats")
