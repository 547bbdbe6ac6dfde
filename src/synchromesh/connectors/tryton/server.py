"""A real Tryton on this machine, for tests, examples and the demo.

The database is SQLite, seeded once per variant into a cache folder (about half a minute) and copied for each use, so a fresh Tryton
starts in about two seconds. The server listens on 127.0.0.1 only. Needs the extra `tryton`.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

DATABASE: Final = "erp"
LOGIN: Final = "synchromesh"
COMPANY: Final = "Synchromesh Plants"
MODULES: Final = ("ir", "company", "product", "stock", "stock_lot", "production")
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0


class TrytonError(RuntimeError):
    """Tryton could not be set up or started; the text holds its last words."""


@dataclass
class TrytonServer:
    """A running trytond and how to reach it."""

    url: str
    database: str
    user: str
    password: str
    folder: Path
    process: subprocess.Popen[bytes]

    def settings(self, **more: object) -> dict[str, object]:
        """What the connector's `connect` needs for this server."""
        return {"url": self.url, "database": self.database, "user": self.user, "password": self.password, **more}

    def kill(self) -> None:
        """End the server as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the server and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def restart(self) -> None:
        """Start again on the same port and database, after `stop` or `kill`."""
        self.process = _launch(self.folder, int(self.url.rpartition(":")[2]))


def seeded(cache: Path, module: bool) -> Path:
    """The folder with a seeded database and its password, made on first use. Safe for processes that start at the same time."""
    folder = cache / f"tryton-{_fingerprint(module)}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            draft = Path(f"{folder}.draft")
            shutil.rmtree(draft, ignore_errors=True)
            _seed(draft, module)
            draft.rename(folder)
    return folder


@contextmanager
def tryton(folder: Path, cache: Path, module: bool = True) -> Iterator[TrytonServer]:
    """A fresh Tryton with its database in `folder`, with or without the `synchromesh` module; stopped at the end."""
    server = start(folder, cache, module)
    try:
        yield server
    finally:
        server.stop()


def start(folder: Path, cache: Path, module: bool = True) -> TrytonServer:
    """Start Tryton on the database in `folder`, which is made from the seeded one if there is none. The caller stops it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / f"{DATABASE}.sqlite").exists():
        source = seeded(cache, module)
        for name in ("password", f"{DATABASE}.sqlite"):
            shutil.copy(source / name, folder / name)
    _write_settings(folder, "127.0.0.1:0")
    port = _free_port()
    process = _launch(folder, port)
    return TrytonServer(f"http://127.0.0.1:{port}", DATABASE, LOGIN, (folder / "password").read_text().strip(), folder, process)


def _fingerprint(module: bool) -> str:
    """Names everything that a seeded database depends on."""
    here = Path(__file__).parent
    digest = hashlib.sha256((here / "seed.py").read_bytes())
    if module:
        for path in sorted((here / "module").rglob("*")):
            if path.suffix in {".py", ".xml", ".cfg"}:
                digest.update(path.read_bytes())
    for package in ("trytond", "trytond-stock", "trytond-stock-lot", "trytond-production"):
        digest.update(metadata.version(package).encode())
    return f"{'module' if module else 'plain'}-{digest.hexdigest()[:12]}"


def _seed(folder: Path, module: bool) -> None:
    folder.mkdir(parents=True)
    password = secrets.token_urlsafe(16)
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o600)
    (folder / f"{DATABASE}.sqlite").touch()
    settings = _write_settings(folder, "127.0.0.1:0")
    modules = (*MODULES, "synchromesh") if module else MODULES
    environment = os.environ | {"TRYTONPASSFILE": str(folder / "password")}
    admin = [sys.executable, "-m", "trytond.cli.admin", "-c", str(settings), "-d", DATABASE, "--activate-dependencies"]
    _run([*admin, "--email", "admin@example.com", "-u", *modules], environment, "")
    _run([sys.executable, "-m", f"{__package__}.seed", str(settings), DATABASE, COMPANY, LOGIN], environment, password)
    _fold_journal(folder / f"{DATABASE}.sqlite")


def _fold_journal(database: Path) -> None:
    """Bring the write-ahead log into the file, so that the file alone is the database."""
    import sqlite3  # noqa: PLC0415 - only where a database is seeded

    connection = sqlite3.connect(database)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _run(command: list[str], environment: dict[str, str], line: str) -> None:
    done = subprocess.run(command, env=environment, input=f"{line}\n".encode(), capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()[-2000:]
        raise TrytonError(f"setting up Tryton failed in {' '.join(command[:3])}: {words}")


def _write_settings(folder: Path, listen: str) -> Path:
    path = folder / "trytond.cfg"
    path.write_text(f"[database]\nuri = sqlite://\npath = {folder}\n[web]\nlisten = {listen}\n[session]\nmax_attempt = 50\n")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _launch(folder: Path, port: int) -> subprocess.Popen[bytes]:
    settings = _write_settings(folder, f"127.0.0.1:{port}")
    command = [sys.executable, "-m", "trytond.cli", "-c", str(settings), "-d", DATABASE]
    with (folder / "trytond.log").open("ab") as log:
        # In a session of its own: ctrl-C is for whoever started it, who may still have something to ask it.
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise TrytonError(f"Tryton did not start: {(folder / 'trytond.log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    return process


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    body = json.dumps({"id": 1, "method": "common.server.version", "params": []})
    try:
        connection.request("POST", "/rpc/", body, {"Content-Type": "application/json"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
