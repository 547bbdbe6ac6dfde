"""The files of `deploy/` as values, and what they run."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import RawConfigParser
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
CONFIGS = sorted(DEPLOY.rglob("*.toml"))
BIN = Path(sys.executable).parent


class Run(NamedTuple):
    """What one file runs: the words after `synchromesh`, and the seconds that it may take to stop."""

    where: str
    words: list[str]
    seconds: float


def tool(name: str) -> str:
    """The path of a program of this machine, or the test is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine")
    return found


def ran(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, **more)


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())


@cache
def manifests() -> list[dict[str, Any]]:
    """All objects as `kubectl` makes them of the folder."""
    made = ran(tool("kubectl"), "kustomize", str(DEPLOY / "kubernetes"))
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [each for each in manifests() if each["kind"] == kind]


def service(path: Path) -> dict[str, str]:
    """The [Service] section of a unit."""
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return dict(parser["Service"])


def units() -> Iterator[Run]:
    for path in UNITS:
        section = service(path)
        yield Run(path.name, shlex.split(section["ExecStart"])[1:], float(section["TimeoutStopSec"]))


def services() -> Iterator[Run]:
    """The services of the compose file that run the product."""
    for name, each in compose()["services"].items():
        if each["image"] == "synchromesh" and "entrypoint" not in each:
            yield Run(f"compose: {name}", each.get("command", ["serve"]), float(each["stop_grace_period"].rstrip("s")))


def pods() -> Iterator[Run]:
    for each in of_kind("Deployment"):
        pod = each["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield Run(f"Deployment {each['metadata']['name']}", container["args"], pod["terminationGracePeriodSeconds"])
