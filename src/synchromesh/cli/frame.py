"""What all verbs share: exit codes, the options that mean the same everywhere, and one way to answer."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

if TYPE_CHECKING:
    from rich.console import Console

    from synchromesh.app.settings import Settings


class Code(enum.IntEnum):
    """How a command ended."""

    OK = 0
    """Done, and all is well."""
    PROBLEMS = 1
    """Done, and there is something to put right."""
    USAGE = 2
    """The command or its configuration can't be used."""
    UNREACHED = 3
    """Something that must answer does not, or a log or state can't be read or does not belong to the other."""
    FULL = 4
    """There is no room to write; nothing was changed."""


class Failure(Exception):
    """Ends a verb with one line on stderr and an exit code."""

    def __init__(self, sentence: str, code: Code) -> None:
        super().__init__(sentence)
        self.code = code


Config = Annotated[Path, typer.Option("--config", "-c", envvar="SYNCHROMESH_CONFIG", help="The configuration file.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
DEFAULT_CONFIG = Path("synchromesh.toml")


PAPER = 2_000
"""Characters on a line where no terminal has an edge: nothing is cut or broken in a file or a pipe."""


def answer(value: object, as_json: bool, words: Callable[[Console], None]) -> None:
    """Print a value as JSON, or let `words` say it on a terminal."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(value).decode(), indent=2) + "\n")
        return
    from rich.console import Console  # noqa: PLC0415 (a program that asked for JSON need not wait for it)

    words(Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PAPER))


def settings(config: Path) -> Settings:
    """The settings of a verb that needs them to be right; every fault is told, each on its line."""
    from synchromesh.app.faults import SettingsError  # noqa: PLC0415 (help must not wait for the model)
    from synchromesh.app.reading import read_settings  # noqa: PLC0415 (help must not wait for the model)

    try:
        return read_settings(config)
    except SettingsError as error:
        count = len(error.faults)
        head = f"{count} things are wrong with the configuration:\n" if count > 1 else ""
        raise Failure(f"{head}{error}", Code.USAGE) from error


@contextmanager
def stores_in_words() -> Iterator[None]:
    """What log, state and the system's files can't do ends a verb with their own words."""
    from synchromesh.log.agreement import LogError, LogFull  # noqa: PLC0415 (help must not wait for the engine)
    from synchromesh.state.agreement import StateError, StateFull  # noqa: PLC0415 (help must not wait for the engine)

    try:
        yield
    except (LogFull, StateFull) as error:
        raise Failure(str(error), Code.FULL) from error
    except (LogError, StateError) as error:
        raise Failure(str(error), Code.UNREACHED) from error
    except OSError as error:
        raise Failure(words_of(error), Code.UNREACHED) from error


@contextmanager
def held_in_words() -> Iterator[None]:
    """Somebody else who works on the installation ends a verb that needs it for itself."""
    try:
        yield
    except RuntimeError as error:
        raise Failure(str(error), Code.USAGE) from error


@contextmanager
def bars(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar of progress on standard error for every name that is heard of, with how far it has come; none without a terminal."""
    from rich.console import Console  # noqa: PLC0415 (help must not wait for it)
    from rich.progress import Progress, TaskID  # noqa: PLC0415 (as above)

    with Progress(console=Console(file=sys.stderr), transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
        tasks: dict[str, TaskID] = {}

        def progress(name: str, end: int, position: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=end)
            bar.update(tasks[name], completed=position)

        yield progress


def words_of(error: OSError) -> str:
    """What the system says, and about which file, without its number: people look for words."""
    words = error.strerror or str(error)
    return f"{error.filename}: {words}" if error.filename else words
