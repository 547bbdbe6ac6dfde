"""A sandbox in a process of its own, and a terse client for what the connector does not do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgspec


@dataclass
class Running:
    """A process that serves a sandbox."""

    process: subprocess.Popen[str]
    url: str

    def send(self, path: str, body: object, method: str = "POST") -> tuple[int, Any]:
        """Ask; the status and the decoded answer."""
        data = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        request = Request(self.url + path, data=data, method=method)
        try:
            with urlopen(request, timeout=30) as response:
                return response.status, msgspec.json.decode(response.read())
        except HTTPError as error:
            return error.code, msgspec.json.decode(error.read())

    def look(self, path: str) -> Any:
        """What a GET answers."""
        status, told = self.send(path, None, "GET")
        assert status == 200, told
        return told

    def admin(self, what: str, body: object) -> Any:
        """What an administrator's request answers, which must succeed."""
        status, told = self.send(f"/admin/{what}", body)
        assert status == 200, told
        return told

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


def launch(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "synchromesh.connectors.sandbox", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def sandbox(*arguments: object) -> Iterator[Running]:
    """A sandbox that serves, until the block ends."""
    process = launch(*arguments)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield Running(process, msgspec.json.decode(line)["url"])
    finally:
        process.kill()
        process.communicate()
