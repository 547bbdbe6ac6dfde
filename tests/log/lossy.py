"""Running a script on a disk that loses what was not synced (`lossy_disk.c`)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lossy_disk(folder: Path) -> Path:
    """The compiled library; skips the test where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("a disk that loses writes needs Linux and a C compiler")
    library = folder / "lossy_disk.so"
    source = Path(__file__).with_name("lossy_disk.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-w", "-o", library, source, "-ldl", "-pthread"], check=True)
    return library


def run_until_power_cut(library: Path, script: str, directory: Path, at: int, *arguments: str) -> list[str]:
    """Run a script that works in `directory` until its `at`-th access to the disk; the whole lines that it printed before."""
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "LOSSY_DIRECTORY": str(directory.resolve()),
        "LOSSY_CRASH_AT": str(at),
        "LOSSY_SEED": str(at),
    }
    done = subprocess.run(
        [sys.executable, "-c", script, str(directory), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 9, f"the script ended by itself with {done.returncode}"
    return [line.removesuffix("\n") for line in done.stdout.splitlines(keepends=True) if line.endswith("\n")]
