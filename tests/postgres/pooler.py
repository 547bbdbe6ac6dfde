"""PgBouncer in transaction mode before a test server, where the machine has one: each transaction may run on another connection of the
server, and each connection of the server serves everybody in turn."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.postgres.server import PATIENCE, Server, free_port

PROGRAM = os.environ.get("SYNCHROMESH_PGBOUNCER") or shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pooling(server: Server, connections: int = 3) -> Iterator[int]:
    """The port of a pooler that shares so many connections of the server among all comers."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed here")
    port = free_port()
    config = server.folder / "pooler.ini"
    config.write_text(
        f"""[databases]
* = user=postgres host=127.0.0.1 port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
server_round_robin = 1
logfile = {server.folder}/pooler.log
ignore_startup_parameters = extra_float_digits
""",
        "utf-8",
    )
    process = subprocess.Popen([PROGRAM, "-q", config], stderr=subprocess.DEVNULL, **server.user)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(port):
            assert process.poll() is None, (server.folder / "pooler.log").read_text("utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait(PATIENCE)


def _answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0
