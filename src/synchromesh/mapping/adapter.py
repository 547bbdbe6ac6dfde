"""An adapter: a plant's or vendor's payloads as data, compiled.

The same content maps the same message to the same events, today and in a replay in ten years: everything that decides, the zone's rules
too, is in `content()`, and nothing else is read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path as FilePath
from types import TracebackType
from typing import Final

import msgspec

from synchromesh.mapping.compiler import MAPPING_FILE, Compiler, Row, Site
from synchromesh.mapping.expression import Scope
from synchromesh.mapping.functions import dig, text
from synchromesh.mapping.manifest import MANIFEST, TOLD_BY_EDGES, Parts, duration, nearest, read_folder, to_manifest
from synchromesh.mapping.refusal import ManifestError, MappingRefused, Unfit, shown
from synchromesh.mapping.zone import Zone, zone_data
from synchromesh.model.event import CanonicalEvent
from synchromesh.model.message import Message
from synchromesh.model.validity import NegativeAmount

LANGUAGE: Final = 1
"""The expression language's version. It changes when an expression of before would mean something else."""

_FIELD: Final = re.compile(r" - at `\$\.(\w+)")
_MAX_IDENTITY: Final = 256
_MAX_CONTENT: Final = 10_000_000


class Mapped(msgspec.Struct, frozen=True):
    """What a message became: its events in order, or none and `recorded`, the stated reason why it is only recorded.

    `occurred` is when the fact happened as the source tells it, in UTC; None when it does not tell.
    """

    events: tuple[CanonicalEvent, ...]
    occurred: datetime | None
    recorded: str = ""


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that an adapter decides with. Rules are a list because their order decides."""

    language: int
    manifest: dict[str, object]
    rules: list[tuple[str, dict[str, object]]]
    codes: dict[str, dict[str, str]]
    zone_data: str


class Adapter:
    """A compiled adapter. Immutable and safe to share between threads.

    `interface` is `name/version`, `source` names the system that sends, `horizon` is how long a repeat may come after its first telling
    (None: for ever), `max_bytes` the largest payload, `digest` the SHA-256 of `content()`.
    """

    def __init__(self, parts: Parts, rules_of_zone: str, file: str) -> None:
        """Raises `ManifestError`; `file` names the manifest in it."""
        manifest = parts.manifest
        self.manifest: Final = manifest
        self.codes: Final = parts.codes
        self.interface: Final = f"{manifest.name}/{manifest.version}"
        self.source: Final = manifest.source
        self.max_bytes: Final = manifest.limits.bytes
        self.horizon: Final = _duration(manifest.horizon, "horizon", file)
        self._tolerance = _duration(manifest.future_tolerance, "future_tolerance", file)
        self._zone_data = rules_of_zone
        self._known_fields = frozenset((*manifest.fields, *TOLD_BY_EDGES)) if manifest.fields else None
        try:
            zone = Zone(manifest.zone, rules_of_zone, manifest.ambiguous, manifest.nonexistent)
        except ValueError as error:
            raise ManifestError(file, "zone", str(error)) from None
        scope = Scope(zone, manifest.units, parts.codes, manifest.decimal_mark, manifest.format == "csv")
        self._program = Compiler(manifest, scope, file).compile()
        self._decode = msgspec.json.Decoder(Row, float_hook=Decimal).decode
        self.digest: Final = hashlib.sha256(self.content().encode()).hexdigest()

    @classmethod
    def from_content(cls, content: str) -> Adapter:
        """The adapter that gave this content. Raises `ManifestError`."""
        where = "content of an adapter"
        if len(content) > _MAX_CONTENT:
            raise ManifestError(where, "", f"is longer than {_MAX_CONTENT} characters")
        try:
            read = msgspec.json.decode(content, type=Content)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise ManifestError(where, "", f"can't be read: {error}") from None
        if read.language != LANGUAGE:
            raise ManifestError(where, "language", f"is {read.language}, but this program knows {LANGUAGE}; use the program that wrote it")
        manifest = to_manifest({**read.manifest, "rules": dict(read.rules)}, where)
        return cls(Parts(manifest, read.codes), read.zone_data, where)

    def content(self) -> str:
        """Canonical JSON of everything the adapter decides with, for an activation in the log."""
        table = msgspec.to_builtins(self.manifest)
        rules = list(table.pop("rules").items())
        content = Content(LANGUAGE, table, rules, self.codes, self._zone_data)
        return msgspec.json.encode(content, order="sorted").decode()

    def map(self, message: Message) -> Mapped:
        """The canonical events of a message of this interface. Raises `MappingRefused`, and nothing else, whatever the bytes are."""
        if len(message.body) > self.max_bytes:
            raise MappingRefused(f"the payload has {len(message.body)} bytes, more than the {self.max_bytes} that the adapter allows")
        try:
            row = self._decode(message.body)
        except (ValueError, ArithmeticError, RecursionError) as error:
            fault = "a number is out of every range" if isinstance(error, ArithmeticError) else str(error)
            raise MappingRefused(f"the payload is not a JSON object: {fault}", "", shown(message.body[:60])) from None
        if self._known_fields is not None and not row.keys() <= self._known_fields:
            raise self._unknown_field(row)
        try:
            occurred, events, recorded, refused = self._program.decide(row)
        except (ValueError, LookupError, TypeError, ArithmeticError) as error:
            raise self._refusal(error, row) from None
        if refused:
            raise MappingRefused(refused, *self._decider(refused, row))
        if not events and not recorded:
            raise MappingRefused("no rule of the adapter fits this message; add a rule that maps, records or refuses it")
        return Mapped(tuple(events), timely(occurred or message.occurred, message.received, self._tolerance), recorded)

    def identity(self, row: Mapping[str, object]) -> str:
        """The message's own identity within `source`, 1 to 256 characters. Raises `MappingRefused`."""
        if not isinstance(row, dict):
            raise MappingRefused("the payload is not an object", "", shown(row))
        try:
            found = text(self._program.identify(row))
        except (ValueError, LookupError, TypeError, ArithmeticError) as error:
            raise self._refusal(error, row) from None
        if not found or len(found) > _MAX_IDENTITY:
            raise MappingRefused(f"the message's identity ({self.manifest.identity}) is empty or longer than {_MAX_IDENTITY} characters")
        return found

    def _unknown_field(self, row: Row) -> MappingRefused:
        field = next(key for key in row if key not in (self._known_fields or ()))
        return MappingRefused(f"unknown field {shown(field)}; {nearest(field[:64], self.manifest.fields)}", field[:64], shown(row[field]))

    def _decider(self, sentence: str, row: Row) -> tuple[str, str]:
        """Field and value of the condition of the rule that refused with this sentence."""
        name = next(name for name, rule in self.manifest.rules.items() if rule.refuse == sentence)
        site = next((site for site in self._program.sites if site.key == f"rules.{name}.when" and site.paths), None)
        if site is None or site.paths[0].root != "row":
            return "", ""
        return str(site.paths[0]), shown(dig(row, *site.paths[0].steps))

    def _refusal(self, error: Exception, row: Row) -> MappingRefused:
        """The refusal for a fault of the compiled function: what is wrong, at which key of the manifest, in which field."""
        site = self._site(error)
        value = error.value if isinstance(error, Unfit) else None
        field, found = "", value
        lacking = tuple(path for path in site.paths if error.args[0] in path.steps) if isinstance(error, KeyError) else ()
        for path in lacking or site.paths:
            there = dig(row, *path.steps) if path.root == "row" else value
            if not field or (value is not None and there is value):
                field, found = str(path), value if isinstance(error, Unfit) else there
        return MappingRefused(
            f"{_sentence(error, field)} (at {site.key} of adapter {self.interface})",
            field,
            shown(found) if field or value is not None else "",
        )

    def _site(self, error: Exception) -> Site:
        """Where in the manifest an error comes from: the line of the compiled function, or the field that the event's type refuses."""
        site = self._program.sites[_line_of(error.__traceback__)]
        named = _FIELD.search(str(error))
        name = error.field if isinstance(error, NegativeAmount) else named[1] if named else ""
        return next((other for other in self._program.sites if name and other.key == f"{site.key}.{name}"), site)


def timely(occurred: datetime | None, received: datetime, tolerance: timedelta | None) -> datetime | None:
    """The time, unless it lies further in the future than a clock may be wrong. Raises `MappingRefused`."""
    if occurred is not None and tolerance is not None and occurred - received > tolerance:
        sentence = f"the time is more than {tolerance} after the arrival at {received.isoformat()}; set the source's clock or zone right"
        raise MappingRefused(sentence, "occurred", occurred.isoformat())
    return occurred


def load_adapter(folder: FilePath | str) -> Adapter:
    """The adapter of a folder, compiled and checked. Raises `ManifestError` with file, key and the nearest right name."""
    folder = FilePath(folder)
    parts = read_folder(folder)
    file = str(folder / MANIFEST)
    try:
        rules_of_zone = zone_data(parts.manifest.zone) if parts.manifest.zone else ""
    except ValueError as error:
        raise ManifestError(file, "zone", str(error)) from None
    return Adapter(parts, rules_of_zone, file)


def _duration(written: str, key: str, file: str) -> timedelta | None:
    try:
        return duration(written)
    except ValueError as error:
        raise ManifestError(file, key, str(error)) from None


def _line_of(traceback: TracebackType | None) -> int:
    line = 0
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == MAPPING_FILE:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _sentence(error: Exception, field: str) -> str:
    if isinstance(error, Unfit):
        return error.sentence
    if isinstance(error, LookupError):
        return f"the field {field or error.args[0]!r} is missing"
    if isinstance(error, TypeError):
        return f"the field {field!r} is of another kind than the mapping expects ({error})"
    return _FIELD.sub(r" - at field `\1", str(error))
