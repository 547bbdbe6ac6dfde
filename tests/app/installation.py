"""A whole installation in real processes: a sandbox ERP, a configuration in a folder, `synchromesh serve`, and questions to all of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from tests.connectors.sandbox.process import Running, sandbox

ROOT = Path(__file__).parents[2]
ROLES = ("gateway", "worker", "dispatcher")
PATIENCE = 60.0
"""Seconds that a test waits for what must come; a machine under load is slow, and none of it is waited for in vain."""

CONFIG = """\
[synchromesh]
data = "data"

[http]
port = {port}

[[plant]]
id = "oslo"
zone = "Europe/Oslo"
erp = "main"
{plant}

[erp.main]
connector = "sandbox"
url = "{url}"
"""


def until(done: Callable[[], Any], what: str) -> Any:
    """Look until the answer is true; the answer."""
    end = time.monotonic() + PATIENCE
    while not (answer := done()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        threading.Event().wait(0.02)
    return answer


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `synchromesh` and wait for its end."""
    words = [sys.executable, "-m", "synchromesh.cli", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)


def report(id: str, order: str, good: str = "1", **data: object) -> dict[str, object]:
    """A canonical report of output, told now."""
    occurred = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    fields = {"order": order, "good": {"amount": good, "unit": "EA"}, **data}
    return {"id": id, "source": "mes", "type": "production.reported", "time": occurred, "data": fields}


class Serve:
    """A `synchromesh serve` that runs. Its error output is gathered in `said`."""

    def __init__(self, config: Path) -> None:
        words = [sys.executable, "-u", "-m", "synchromesh.cli", "serve", "--config", str(config)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        self._lines: Queue[str] = Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._lines.put)),
            threading.Thread(target=self._read, args=(self.process.stderr, self._errors.append)),
        ]
        for reader in self._readers:
            reader.start()
        self.address = ""

    @staticmethod
    def _read(stream: Any, keep: Callable[[str], None]) -> None:
        for line in stream:
            keep(line)
        stream.close()

    @property
    def said(self) -> str:
        return "".join(self._errors)

    def ready(self) -> float:
        """Wait until it is ready; the seconds that this took."""
        began = time.monotonic()
        try:
            line = self._lines.get(timeout=PATIENCE)
        except Empty:
            raise AssertionError(f"not ready: {self.said}") from None
        assert line.startswith("ready at "), f"{line} {self.said}"
        self.address = line.removeprefix("ready at ").strip()
        return time.monotonic() - began

    def roles(self) -> dict[str, int]:
        """The process of each role that runs."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended meanwhile
            if parent == self.process.pid and b"--role" in words:
                found[words[words.index(b"--role") + 1].decode()] = int(folder.name)
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; the exit code. The output is closed only when none of its processes holds it any more."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
            assert not reader.is_alive(), "a process of it still runs"
        return code

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def send(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        """POST; status and decoded answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = Request(self.address + path, data=data, headers={"content-type": "application/json", **headers})
        try:
            with urlopen(request, timeout=PATIENCE) as response:
                return response.status, json.loads(response.read())
        except HTTPError as error:
            return error.code, json.loads(error.read())

    def tell(self, body: object) -> None:
        """Tell as a source does: again, until "received" is heard, whatever happens to the line meanwhile."""

        def heard() -> bool:
            try:
                status, told = self.send("/v1/plants/oslo/events", body)
            except OSError:
                return False
            assert status in (202, 503, 507), told
            return status == 202

        until(heard, "the acknowledgement")

    def look(self, path: str) -> Any:
        """What a GET answers."""
        with urlopen(self.address + path, timeout=PATIENCE) as response:
            return json.loads(response.read())

    def trace(self, query: str) -> Any:
        return self.look(f"/v1/trace?q={quote(query)}")

    def stories(self, query: str) -> list[Any]:
        """What a search finds."""
        found: list[Any] = self.trace(query).get("stories", [])
        return found


def gone(process: int) -> bool:
    """Whether a process has ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def free_port() -> int:
    """A port that a gateway can have again after its death: sources know only one."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        number: int = found.getsockname()[1]
        return number


class Installation:
    """One configuration file with its folder, and the sandbox ERP that it books into."""

    def __init__(self, folder: Path, erp: Running, plant: str = "") -> None:
        self.folder = folder
        self.erp = erp
        self.config = folder / "synchromesh.toml"
        self.port = 0
        self.plant = plant
        self.running: list[Serve] = []
        self.configure()

    def configure(self) -> None:
        self.config.write_text(CONFIG.format(port=self.port, plant=self.plant, url=self.erp.url), "utf-8")

    def begin(self) -> Serve:
        """Start, and do not wait until it is ready."""
        serve = Serve(self.config)
        self.running.append(serve)
        return serve

    def serve(self) -> Serve:
        serve = self.begin()
        serve.ready()
        return serve

    def command(self, verb: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return command(verb, *arguments, "--config", self.config)

    def release(self, *orders: str, quantity: str = "1000000") -> None:
        """Orders for GEAR, released in ERP."""
        entry = [
            {"type": "sandbox.order", "order": order, "item": "GEAR", "quantity": {"amount": quantity, "unit": "EA"}, "location": "FG"}
            for order in orders
        ]
        self.erp.admin("orders", entry)

    @contextmanager
    def erp_again(self) -> Iterator[None]:
        """The ERP that was killed, on its books and under its address."""
        with sandbox("--data", self.folder / "erp", "--port", self.erp.url.rpartition(":")[2]) as erp:
            self.erp = erp
            yield

    def documents(self, order: str) -> list[Any]:
        """All documents of an order in ERP's books."""
        found: list[Any] = []
        while page := self.erp.look(f"/documents?after={found[-1]['number'] if found else ''}"):
            found += page
        return [document for document in found if document.get("order") == order]

    def settled(self, serve: Serve, facts: int) -> Any:
        """Wait until this many facts have come to their ends; the summary."""

        def all_settled() -> Any:
            try:
                summary = serve.look("/v1/summary")
            except OSError:
                return None
            done = summary["facts"] >= facts and not set(summary["fates"]) & {"booking", "gathered", "waiting"}
            return summary if done and not summary.get("waiting") else None

        try:
            return until(all_settled, f"the end of {facts} facts")
        except AssertionError as error:
            raise AssertionError(f"{error}: {serve.look('/v1/summary')} {serve.look('/v1/facts?limit=3')} {serve.said[-2000:]}") from None

    def verified(self) -> None:
        """The state is what the log makes of it."""
        answer = self.command("verify")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "oslo: the state is what" in answer.stdout

    def close(self) -> None:
        for serve in self.running:
            for process in [serve.process.pid, *serve.roles().values()]:
                if not gone(process):
                    os.kill(process, signal.SIGKILL)
            serve.wait()


@contextmanager
def installation(folder: Path, plant: str = "", *, faults: Sequence[str] = ()) -> Iterator[Installation]:
    """An installation whose ERP knows the item GEAR (in EA), the places FG and RM, and no order. All of it ends with the block."""
    with sandbox("--data", folder / "erp", *faults) as erp:
        erp.admin("items", [{"type": "master.item.changed", "item": "GEAR", "unit": "EA"}])
        erp.admin("locations", [{"type": "sandbox.location", "location": place} for place in ("FG", "RM")])
        made = Installation(folder, erp, plant)
        try:
            yield made
        finally:
            made.close()
