"""`python -m synchromesh.connectors.sandbox`: the sandbox ERP as a process of its own.

Its first line on standard output is JSON and tells the address. SIGTERM and SIGINT end it; after SIGKILL the same `--data` goes on where
it was.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec
import uvloop

from synchromesh.connectors.agreement import Grade
from synchromesh.connectors.sandbox.books import Books
from synchromesh.connectors.sandbox.faults import Fault, Faults
from synchromesh.connectors.sandbox.journal import Journal, JournalError
from synchromesh.connectors.sandbox.records import Rules
from synchromesh.connectors.sandbox.server import Server
from synchromesh.connectors.sandbox.stub import Stub
from synchromesh.connectors.sandbox.wire import Respond, listen


def _rates(text: str) -> dict[Fault, float]:
    """'lost=0.01,late=0.02' as rates."""
    rates = {}
    for part in filter(None, text.split(",")):
        name, _, rate = part.partition("=")
        if name not in [fault.value for fault in Fault]:
            raise argparse.ArgumentTypeError(f"{name!r} is no fault; there are {', '.join(Fault)}")
        try:
            rates[Fault(name)] = float(rate)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is not NAME=RATE, for example lost=0.01") from None
    return rates


def _tolerance(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no tolerance; write 0.1 for a tenth")
    return value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m synchromesh.connectors.sandbox", description="A simulated ERP on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data", type=Path, help="directory of the books; without it they are kept in memory")
    parser.add_argument("--grade", type=Grade, choices=list(Grade), default=Grade.UNIQUE, help="what the ERP makes of a repeated key")
    parser.add_argument("--tolerance", type=_tolerance, help="by what part receipts may exceed an order, 0.1 for a tenth; else no limit")
    parser.add_argument("--allow-negative-stock", action="store_true", help="issue and transfer what is not there")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--rates", type=_rates, default={}, help="faults by chance: NAME=RATE,... of " + ", ".join(Fault))
    parser.add_argument("--delay", type=float, default=2.0, help="seconds that a late commit or an approval takes at most")
    parser.add_argument("--slow", type=float, default=1.0, help="seconds that a slow answer takes")
    parser.add_argument("--stub", action="store_true", help="for benchmarks: books everything, no rules, keeps keys in memory")
    return parser.parse_args()


def _open(arguments: argparse.Namespace, end: Callable[[str], None]) -> tuple[Respond, Journal | None]:
    """What answers requests, its books as the journal left them. Raises `JournalError` and `ValueError`."""
    if arguments.stub:
        return Stub().respond, None
    rules = Rules(grade=arguments.grade, tolerance=arguments.tolerance, check_stock=not arguments.allow_negative_stock)
    books = Books(rules)
    journal = None
    if arguments.data:
        journal = Journal(arguments.data / "books.sqlite", rules)
        journal.replay(books)
    faults = Faults(arguments.seed, arguments.rates, timedelta(seconds=arguments.delay))
    server = Server(books, faults, journal=journal, crash=lambda error: end(str(error)), slow_seconds=arguments.slow)
    return server.respond, journal


async def _serve(arguments: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[str] = loop.create_future()

    def end(reason: str) -> None:
        if not ended.done():
            ended.set_result(reason)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, "")
    respond, journal = _open(arguments, end)
    server, url = await listen(respond, arguments.port)
    sys.stdout.write(msgspec.json.encode({"url": url, "grade": arguments.grade}).decode() + "\n")
    sys.stdout.flush()
    reason = await ended
    server.close()
    if journal:
        journal.close()
    if reason:
        sys.stderr.write(reason + "\n")
    return 1 if reason else 0


def main() -> int:
    """Serve until told to end. 0, or 1 after an error that standard error names."""
    arguments = _arguments()
    # The books only grow and hold no cycles: walking all of them every few hundred postings would be the longest wait of any sender.
    gc.set_threshold(100_000, 50, 1_000)
    try:
        return uvloop.run(_serve(arguments))
    except (JournalError, OSError, ValueError) as error:
        sys.stderr.write(f"the sandbox can't serve: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
