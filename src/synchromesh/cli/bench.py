"""`synchromesh bench`: every figure that the product is measured by, beside a raw loop of the same machine in the same run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from synchromesh.cli.frame import Code, Failure, Json

app = typer.Typer(add_completion=False)

CHECKOUT = Path(__file__).parents[3]

Quick = Annotated[bool, typer.Option("--quick", help="Small sizes: a minute instead of a quarter of an hour or more.")]
Part = Annotated[list[str] | None, typer.Option("--part", help="Only this part: fold, worker, system, queue, cluster, history and others.")]


@app.command()
def bench(quick: Quick = False, part: Part = None, json: Json = False) -> None:
    """Measure speed, latency, memory and start. Exit code 1 when a target is missed."""
    if not (CHECKOUT / "benchmarks" / "run.py").is_file():
        raise Failure("the benchmarks are part of the source, not of the installed package; run this in a checkout of it", Code.USAGE)
    words = [sys.executable, "-m", "benchmarks.run", "--size", "quick" if quick else "full"]
    for each in part or ():
        words += ["--part", each]
    if json:
        words.append("--json")
    code = subprocess.run(words, cwd=CHECKOUT, check=False).returncode  # noqa: S603 - our own program
    if code:
        raise typer.Exit(code)
