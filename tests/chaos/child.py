"""One role as a process of its own: `synchromesh` as users run it, on a clock that jumps, and perhaps with one law of it broken.

`python -m tests.chaos.child CLOCK SABOTAGE serve --role worker --config FILE`; SABOTAGE is `-` for none.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Final

from tests.chaos.clock import Offset, clock
from tests.chaos.sabotage import SABOTAGES

from synchromesh.cli import run

ASK_THE_TIME: Final = {"gateway": ("app.gateway",), "worker": ("app.worker",), "dispatcher": ("app.dispatcher",)}
"""The modules in which a role is given its time of day."""


def main() -> int:
    path, sabotage, *arguments = sys.argv[1:]
    shifted = clock(Offset(Path(path)))
    for name in ASK_THE_TIME[arguments[arguments.index("--role") + 1]]:
        vars(import_module(f"synchromesh.{name}"))["datetime"] = shifted
    if sabotage != "-":
        SABOTAGES[sabotage]()
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
