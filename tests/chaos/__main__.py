"""`python -m tests.chaos`: one run of chaos, or several with the seeds that follow."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import Outcome, Plan, run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Real processes and servers under faults from a seed.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long plants tell and faults last")
    parser.add_argument("--log", choices=("sqlite", "postgres", "jetstream"), default="sqlite")
    parser.add_argument("--state", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--plants", type=int, default=3)
    parser.add_argument("--each", type=int, default=2, help="processes of each role, where the engine allows more than one")
    parser.add_argument("--rate", type=float, default=50.0, help="facts a second, of all plants together")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two faults, in the mean")
    parser.add_argument("--faults", nargs="*", default=(), help="only these kinds of faults")
    parser.add_argument("--keep", action="store_true", help="keep the run's folder, also when all is well")
    return parser.parse_args()


def _words(outcome: Outcome) -> str:
    judged = outcome.judged
    faults = ", ".join(f"{count} {name}" for name, count in sorted(outcome.faults.items()))
    lines = [
        f"{judged.received:,} messages, {judged.facts:,} facts, {judged.documents:,} documents in {outcome.seconds:,.0f} s",
        f"{sum(outcome.faults.values())} faults: {faults}",
        f"{outcome.repeats} requests told again, {outcome.decided} decisions of people",
        *(f"unasked: {death}" for death in outcome.deaths),
        *(judged.findings or ["nothing lost, nothing doubled, nothing out of order; every state is what its log makes of it"]),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    asked = _arguments()
    plan = Plan(
        asked.seed,
        asked.minutes * 60,
        asked.log,
        asked.state,
        asked.plants,
        asked.each,
        asked.rate,
        asked.pause,
        faults=tuple(asked.faults),
    )
    folder = Path(tempfile.mkdtemp(prefix="synchromesh-chaos-"))
    outcome = run(plan, folder, lambda words: sys.stderr.write(words + "\n"))
    (folder / "faults.txt").write_text("\n".join(outcome.log) + "\n")
    sys.stdout.write(_words(outcome))
    if outcome.ok and not asked.keep:
        shutil.rmtree(folder)
    else:
        sys.stdout.write(f"seed {asked.seed}; its folder is {folder}\n")
    return 0 if outcome.ok else 1


if __name__ == "__main__":
    sys.exit(main())
