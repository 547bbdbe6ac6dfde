"""An edge in a process of its own: what a plant tells it is safe there, and reaches ERP once, however often one of the two dies."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from tests.app.installation import PATIENCE, Installation, command, free_port, installation, report, until


@contextmanager
def edge(made: Installation, port: int) -> Iterator[subprocess.Popen[str]]:
    """The edge of an installation; it ends with the block."""
    config = made.folder / "edge.toml"
    config.write_text(made.config.read_text("utf-8").replace(f"port = {made.port}", f"port = {port}"), "utf-8")
    words = [sys.executable, "-u", "-m", "synchromesh.cli", "serve", "--role", "edge", "--config", str(config)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline()) == {"role": "edge", "address": f"http://127.0.0.1:{port}"}
            yield process
        finally:
            process.terminate()
            assert process.wait(PATIENCE) in (0, -signal.SIGKILL)


def tell(port: int, body: object) -> int:
    request = Request(f"http://127.0.0.1:{port}/v1/plants/oslo/events", json.dumps(body).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=PATIENCE) as answer:
        return int(answer.status)


def test_a_plant_works_on_while_the_centre_is_away_and_everything_is_booked_once(tmp_path: Path) -> None:
    with installation(tmp_path) as made:
        made.release("4711")
        serve = made.serve()
        port = free_port()
        with edge(made, port):
            assert tell(port, report("m1", "4711", "5")) == 202
            until(lambda: serve.stories("m1"), "the first fact at the centre")
        assert serve.end() == 0
        with edge(made, port) as process:
            assert tell(port, report("m2", "4711", "3")) == 202
            process.kill()
        with edge(made, port):
            assert tell(port, report("m3", "4711", "2")) == 202
            serve = made.serve()
            until(lambda: serve.stories("m3"), "the last fact at the centre")
            until(lambda: not serve.look("/v1/summary").get("waiting"), "the end of what is on its way")
        documents = made.documents("4711")
        assert sorted(line["quantity"]["amount"] for document in documents for line in document["lines"]) == ["2", "3", "5"]
        assert serve.end() == 0


def test_one_edge_runs_on_a_folder(tmp_path: Path) -> None:
    with installation(tmp_path) as made:
        port = free_port()
        with edge(made, port):
            second = command("serve", "--role", "edge", "--config", made.folder / "edge.toml")
            assert second.returncode == 2
            assert "another synchromesh serve runs on the data folder" in second.stderr
