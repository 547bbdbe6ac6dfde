"""One Tryton of each variant for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("trytond", reason="needs the extra `tryton`")

from tests.connectors.tryton.erp import furnished

from synchromesh.connectors.tryton.server import TrytonServer


@pytest.fixture(scope="session")
def with_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrytonServer]:
    with furnished(tmp_path_factory.mktemp("tryton"), module=True) as server:
        yield server


@pytest.fixture(scope="session")
def without_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrytonServer]:
    with furnished(tmp_path_factory.mktemp("tryton"), module=False) as server:
        yield server


@pytest.fixture
def own_tryton(tmp_path: Path) -> Iterator[TrytonServer]:
    """One with the module for a single test, that may do to it what it likes."""
    with furnished(tmp_path, module=True) as server:
        yield server
