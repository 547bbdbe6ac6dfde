"""The log on JetStream keeps the contract, on one server and on a cluster of three."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contracts.log import SharedLogContract
from tests.nats.server import Cluster, Server

from synchromesh.log.agreement import Log
from synchromesh.log.jetstream import JetStreamLog, Options

_NUMBERS = itertools.count(1)


class JetStreamContract(SharedLogContract):
    """Every test has a stream of its own on servers that they share. `address` is the fixture that says where."""

    @pytest.fixture
    def options(self) -> Options:
        return Options(stream=f"LOG{next(_NUMBERS)}")

    @pytest.fixture
    def log(self, address: str, tmp_path: Path, options: Options) -> Iterator[JetStreamLog]:
        log = JetStreamLog(address, tmp_path, options=options)
        yield log
        log.close()

    @pytest.fixture
    def again(self, address: str, tmp_path: Path, options: Options) -> Iterator[Callable[[], Log]]:
        opened: list[JetStreamLog] = []

        def open_again() -> Log:
            opened.append(JetStreamLog(address, tmp_path, options=options))
            return opened[-1]

        yield open_again
        for log in opened:
            log.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Server(tmp_path_factory.mktemp("nats")) as server:
        yield server.address


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Cluster(tmp_path_factory.mktemp("nats")) as cluster:
        yield cluster.address


class TestOneServer(JetStreamContract):
    @pytest.fixture
    def address(self, alone: str) -> str:
        return alone


@pytest.mark.slow
class TestThreeServers(JetStreamContract):
    @pytest.fixture
    def address(self, three: str) -> str:
        return three
