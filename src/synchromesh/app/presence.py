"""Whether a business system answers, told by the process that asks it to those that show it.

The dispatcher knows, the gateway shows. Between them stands one small file for each system that does not answer; it is there as long as
that lasts. A lost file only shows a system as answering that does not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote


def showing(data: Path, system: str) -> Callable[[str], None]:
    """Tells why the system does not answer, or '' when it does. A start begins with nothing known, which counts as answering."""
    file = silence_of(data, system)

    def show(error: str) -> None:
        with suppress(OSError):
            if error:
                file.write_text(error + "\n", "utf-8")
            else:
                file.unlink(missing_ok=True)

    show("")
    return show


def silence_of(data: Path, system: str) -> Path:
    """The file that is there while the system does not answer."""
    return data / f"{quote(system, safe='')}.silent"
