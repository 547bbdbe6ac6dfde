"""The same processes on PostgreSQL, log and state in one schema: roles die, the server restarts, and each fact is booked once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.installation import ROLES, free_port, installation
from tests.app.test_deaths import GROUP, ORDERS, each_once, killed, telling
from tests.postgres.server import Server


@pytest.mark.slow
def test_roles_and_server_go_and_come_back_while_facts_are_told(tmp_path: Path, postgres_server: Server, postgres: str) -> None:
    where = f'[log]\naddress = "{postgres}"\n[state]\naddress = "{postgres}"\n'
    with installation(tmp_path, where, faults=("--rates", "lost=0.1,late=0.05,unavailable=0.1", "--delay", "0.5")) as made:
        made.port = free_port()
        made.configure()
        made.release(*ORDERS)
        serve = made.serve()
        with telling(serve) as groups:
            for role in ROLES:
                killed(serve, role)
            postgres_server.restart()
            for role in ROLES:
                killed(serve, role)
            postgres_server.cut(postgres.rsplit("/", 1)[1])
        facts = len(groups) * GROUP
        assert facts
        summary = made.settled(serve, facts)
        assert summary["fates"]["booked"] == facts
        each_once(made, len(groups))
        made.verified()
        assert serve.end() == 0
