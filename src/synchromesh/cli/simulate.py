"""`synchromesh simulate`: nights of seeded faults, each judged by the independent auditor."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from synchromesh.cli.frame import Code, Failure, Json, answer
from synchromesh.sim.harness import run_seed
from synchromesh.sim.profile import PROFILES

app = typer.Typer(add_completion=False)

Seeds = Annotated[int, typer.Option("--seeds", min=1, help="How many seeds of each profile.")]
First = Annotated[int, typer.Option("--first", min=0, help="The first seed.")]
Which = Annotated[list[str] | None, typer.Option("--profile", help="Which kinds of night; all when none is named.")]


class Night(msgspec.Struct, frozen=True):
    """A night that was not kept: which one, and everything that is wrong."""

    profile: str
    seed: int
    findings: tuple[str, ...]


class Nights(msgspec.Struct, frozen=True):
    """What came of the simulation: how many nights, how many messages, and those in which the promise was broken."""

    nights: int
    messages: int
    documents: int
    broken: tuple[Night, ...]


@app.command()
def simulate(seeds: Seeds = 100, first: First = 0, profile: Which = None, json: Json = False) -> None:
    """Play nights of duplicates, disorder, lost replies, crashes, ERP faults and repairs, and compare ERP's books with the truth."""
    profiles = profile or list(PROFILES)
    unknown = [name for name in profiles if name not in PROFILES]
    if unknown:
        raise Failure(f"there is no profile {unknown[0]!r}; the profiles are {', '.join(PROFILES)}", Code.USAGE)
    todo = [(name, seed) for name in profiles for seed in range(first, first + seeds)]
    nights, messages, documents, broken = 0, 0, 0, []
    with (
        ProcessPoolExecutor(initializer=_quiet) as pool,
        Progress(console=Console(file=sys.stderr), transient=True, disable=json) as bar,
    ):
        task = bar.add_task("nights", total=len(todo))
        for night, received, booked in pool.map(_play, todo, chunksize=8):
            nights, messages, documents = nights + 1, messages + received, documents + booked
            if night is not None:
                broken.append(night)
            bar.advance(task)
    found = Nights(nights, messages, documents, tuple(broken))
    answer(found, json, lambda console: _words(console, found))
    if broken:
        raise typer.Exit(Code.PROBLEMS)


def _quiet() -> None:
    """A simulated night has its own troubles; they are no news of this machine."""
    logging.getLogger("synchromesh").setLevel(logging.CRITICAL + 1)


def _play(which: tuple[str, int]) -> tuple[Night | None, int, int]:
    name, seed = which
    verdict = run_seed(seed, name)
    findings = tuple(f"{finding.fault.value}: {finding.sentence}" for finding in verdict.findings)
    return (None if verdict.ok else Night(name, seed, findings)), verdict.received, verdict.documents


def _words(console: Console, found: Nights) -> None:
    console.print(f"{found.nights:,} nights, {found.messages:,} messages, {found.documents:,} documents")
    for night in found.broken:
        console.print(f"[red]{night.profile} {night.seed}[/red]: " + "; ".join(night.findings), soft_wrap=True)
    console.print("[green]nothing lost, doubled or out of order[/green]" if not found.broken else f"{len(found.broken)} nights broken")
