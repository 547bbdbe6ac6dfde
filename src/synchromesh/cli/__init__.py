"""The command line: `main` and the list of verbs. A verb is one file here, loaded only when it is used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from synchromesh.cli.frame import Code, Failure

VERBS: Final = {
    "demo": "Two simulated plants, a sandbox ERP with faults, and the page.",
    "init": "Write a commented configuration file to start from.",
    "check": "Say everything that is wrong with a configuration.",
    "adapter": "Write an adapter for a source's payloads, and run its samples.",
    "serve": "Take facts in, book them in ERP, and show what becomes of each.",
    "trace": "Tell what became of a fact, found by order, lot, message or document.",
    "why": "Tell why something waits, down to the thing to fix.",
    "exceptions": "List what waits for a person, and repair it: retry, correct, settle, release, dismiss.",
    "replay": "Map messages again and put their facts right, or rehearse what other decisions would have made of them.",
    "reconcile": "Compare books, tell why they differ, and what stands before the close of a period.",
    "verify": "Rebuild every plant from its log and compare it with what is stored.",
    "rebuild": "Make the state anew from archive and log, when it is lost or an earlier program began it.",
    "backup": "Back up everything that was told, and what it had come to, while everything runs.",
    "restore": "Put a backup into an empty installation.",
    "move": "Move an installation to another log and state, with its history.",
    "simulate": "Play nights of seeded faults and let the auditor judge them.",
    "bench": "Measure speed, latency and memory beside raw loops of this machine.",
    "schema": "Print the JSON Schema of the canonical events.",
}
"""Every verb with its line of help; `synchromesh.cli.NAME` has its `app`."""


class _Verbs(TyperGroup):
    """Knows each verb by its line of help and imports it when it is called, so that asking for help costs nothing."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=text) for name, text in VERBS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        command = typer.main.get_command(import_module(f"synchromesh.cli.{name}").app)
        command.name = name
        return name, command, rest


app = typer.Typer(cls=_Verbs, no_args_is_help=True, add_completion=False)


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 (only this option waits for it)

        typer.echo(f"synchromesh {version('synchromesh')}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and end.")]


@app.callback()
def root(version: Version = False) -> None:
    """Keeps the shop floor and ERP in step: every fact ends as a document, or as an exception a person can resolve.

    Exit codes: 0 all is well, 1 problems were found, 2 the command was used wrongly, 3 something can't be reached
    or read, 4 there is no room to write.
    """


def main() -> None:
    """The entry point of the program."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. What a user can put right is one line on stderr, never a traceback."""
    try:
        code = typer.main.get_command(app).main(list(arguments), prog_name="synchromesh", standalone_mode=False)
    except Failure as failure:
        return _say(str(failure), failure.code)
    except typer.TyperException as error:
        return _say(f"{_message(error).rstrip('.')} ({_asked(arguments)} --help lists what there is)", Code.USAGE)
    except typer.Abort:
        return _say("stopped", Code.PROBLEMS)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away, and the interpreter's own flush would complain
        return Code.OK
    return code if isinstance(code, int) else Code.OK


def _asked(arguments: Sequence[str]) -> str:
    """The command whose help would have told: the verb's, where there is one."""
    verb = next((word for word in arguments if not word.startswith("-")), "")
    return f"synchromesh {verb}" if verb in VERBS else "synchromesh"


def _message(error: typer.TyperException) -> str:
    formatted = getattr(error, "format_message", None)
    return str(formatted() if callable(formatted) else error)


def _say(sentence: str, code: int) -> int:
    print(f"synchromesh: {sentence}", file=sys.stderr)
    return code
