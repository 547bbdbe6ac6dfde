"""Real NATS servers for tests: one alone, or a cluster, on free ports of this machine; killed and brought back at will."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

SERVER = Path(sys.executable).with_name("nats-server")
START_SECONDS = 20.0
_GLANCE = 0.02


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Server:
    """One server process. `extra` is written into its configuration as it is; `sync` is "always" or an interval."""

    def __init__(
        self, folder: Path, *, name: str = "alone", sync: str = "always", cluster: str = "", jetstream: bool = True, extra: str = ""
    ) -> None:
        self.folder = folder
        self.port, self.monitor = free_ports(2)
        self.name = name
        self.scheme = "nats"
        folder.mkdir(parents=True, exist_ok=True)
        self.store = folder / "store"
        storing = f"jetstream {{ store_dir: '{self.store}', sync_interval: {sync}, max_file_store: 4GB }}\n" if jetstream else ""
        (folder / "server.conf").write_text(
            f"server_name: {name}\nlisten: 127.0.0.1:{self.port}\nhttp: 127.0.0.1:{self.monitor}\n{storing}{cluster}{extra}"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> Self:
        """Start it, and wait until it listens."""
        with (self.folder / "server.out").open("ab") as output:
            self._process = subprocess.Popen([SERVER, "-c", self.folder / "server.conf"], stdout=output, stderr=output)
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            assert self._process.poll() is None, (self.folder / "server.out").read_text()
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(_GLANCE)
        return self

    def _listens(self) -> bool:
        try:
            with closing(socket.create_connection(("127.0.0.1", self.port), 1)):
                return True
        except OSError:
            return False

    def healthy(self, what: str = "") -> bool:
        """Whether the server says that it is well: its streams too, or only what is named."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}/healthz?{what}", timeout=2) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def kill(self) -> None:
        """Kill it as a power cut does, but for what the system has not written yet."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()


class Cluster:
    """Servers that hold streams together."""

    def __init__(self, folder: Path, *, size: int = 3, sync: str = "always") -> None:
        routes = free_ports(size)
        told = ", ".join(f"'nats://127.0.0.1:{port}'" for port in routes)
        self.servers = [
            Server(
                folder / f"n{number}",
                name=f"n{number}",
                sync=sync,
                cluster=f"cluster {{ name: test, listen: 127.0.0.1:{port}, routes: [{told}] }}\n",
            )
            for number, port in enumerate(routes, 1)
        ]

    @property
    def address(self) -> str:
        return "nats://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def start(self) -> Self:
        for server in self.servers:
            server.start()
        self.settle()
        return self

    def settle(self, servers: Sequence[Server] | None = None) -> None:
        """Wait until servers say that they and their streams are well."""
        deadline = time.monotonic() + START_SECONDS
        while not all(server.healthy() for server in servers or self.servers):
            assert time.monotonic() < deadline, "the cluster does not become well"
            time.sleep(_GLANCE)

    def named(self, name: str) -> Server:
        return next(server for server in self.servers if server.name == name)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for server in self.servers:
            server.kill()
