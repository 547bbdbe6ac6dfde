"""Every figure that the product is measured by, as a table or as JSON. Run from the checkout: `synchromesh bench`, or `make bench`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final

import msgspec
from benchmarks import cluster, folding, history, jetstream, queue, system, workers, working, working_postgres
from benchmarks.figures import Figure, amount
from benchmarks.plant import QUICK, TINY, Size
from rich.console import Console
from rich.table import Table


def _postgres(size: Size) -> list[Figure]:
    """Nothing, and a word about it, where there is no server to measure."""
    try:
        from benchmarks import postgres  # noqa: PLC0415 (its server comes with what the tests need)
    except ImportError as error:
        sys.stderr.write(f"PostgreSQL is not measured: {error}; `make venv` installs what it needs\n")
        return []
    return postgres.measure(size)


PARTS: Final[dict[str, Callable[[Size], list[Figure]]]] = {
    "fold": lambda size: [folding.measure(size)],
    "worker": lambda size: [working.measure(size)],
    "worker-postgres": lambda size: [working_postgres.measure(size)],
    "system": system.measure,
    "queue": queue.measure,
    "jetstream": jetstream.measure,
    "history": lambda size: [history.measure(size)],
    "history-servers": history.on_servers,
    "postgres": _postgres,
    "cluster": cluster.measure,
    "workers": workers.measure,
}
SIZES: Final = {"full": Size(), "quick": QUICK, "tiny": TINY}


class Told(msgspec.Struct, frozen=True):
    """A figure as JSON tells it."""

    figure: Figure
    ratio: float | None
    met: bool


def table(figures: list[Figure]) -> Table:
    """The figures for a person."""
    shown = Table(box=None, pad_edge=False)
    for column in ("figure", "measured", "raw loop", "ratio", "target", "met"):
        shown.add_column(column, justify="left" if column == "figure" else "right")
    for each in figures:
        raw = amount(each.raw) if each.raw else ""
        ratio = f"{each.ratio:.2f}" if each.ratio is not None else ""
        sign = "≤" if each.lower else "≥"
        target = f"{sign} {amount(each.target)}" + (f", {each.least:.2f} of raw" if each.least else "")
        shown.add_row(each.name, f"{amount(each.value)} {each.unit}", raw, ratio, target, "yes" if each.met else "no")
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this; may be given again")
    parser.add_argument("--history", type=int, help="facts of history, instead of those of the size")
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    size = SIZES[said.size]
    if said.history is not None:
        size = msgspec.structs.replace(size, history=said.history)
    figures: list[Figure] = []
    progress = Console(stderr=True)
    for name in said.part or PARTS:
        with progress.status(f"measuring: {name}"):
            figures += PARTS[name](size)
    if said.json:
        told = [Told(each, each.ratio, each.met) for each in figures]
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(told).decode(), indent=2) + "\n")
    else:
        console = Console(highlight=False, soft_wrap=True)
        console.print(table(figures))
        for each in figures:
            if each.note:
                console.print(f"{each.name}: {each.note}")
    return 0 if all(each.met for each in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
