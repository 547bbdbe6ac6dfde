"""From a manifest to one Python function: every expression becomes source, all of it is compiled once, and a fault is found by its line."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, NamedTuple, cast

import msgspec
from msgspec import inspect

from synchromesh.mapping.expression import Compiled, ExpressionError, Kind, Path, Scope, compile_expression, condition
from synchromesh.mapping.manifest import TOLD_BY_EDGES, Fields, Manifest, Rule, nearest
from synchromesh.mapping.refusal import ManifestError
from synchromesh.model.event import EXTERNAL, CanonicalEvent
from synchromesh.model.quantity import Quantity
from synchromesh.model.validity import check

Row = dict[str, object]
Decided = tuple[datetime | None, list[CanonicalEvent], str, str]
"""When it occurred, the events, the reason when it is recorded only, the sentence when it is refused."""

MAPPING_FILE: Final = "<mapping>"


def _event_types() -> dict[str, inspect.StructType]:
    union = inspect.type_info(EXTERNAL)
    assert isinstance(union, inspect.UnionType)
    return {str(kind.tag): kind for kind in union.types if isinstance(kind, inspect.StructType)}


EVENT_TYPES: Final = _event_types()
"""What an adapter may make, by tag."""


class Site(NamedTuple):
    """Where a line of the compiled function comes from: the manifest's key and the fields that the expression reads."""

    key: str
    paths: tuple[Path, ...]


class Program(NamedTuple):
    """The compiled adapter. `sites` is indexed by line number of `MAPPING_FILE`."""

    decide: Callable[[Row], Decided]
    identify: Callable[[Row], object]
    sites: tuple[Site, ...]


class Compiler:
    """Compiles one manifest. Raises `ManifestError` naming `file` and the key."""

    def __init__(self, manifest: Manifest, scope: Scope, file: str) -> None:
        self._manifest = manifest
        self._scope = scope
        self._file = file
        self._lines: list[str] = []
        self._sites: list[Site] = [Site("", ())]
        self._indent = 0

    def compile(self) -> Program:
        """The two functions: what a payload becomes, and its identity."""
        self._line("def decide(row):")
        with self._block():
            self._line("events = []")
            occurred = self._expression("occurred", self._manifest.occurred, ("row",), {Kind.TIME})
            self._line(f"occurred = {occurred.source}", Site("occurred", occurred.paths))
            self._rules()
            self._line('return occurred, events, "", ""')
        identity = self._expression("identity", self._manifest.identity, ("row",), {Kind.TEXT, Kind.NUMBER})
        self._line("def identify(row):")
        with self._block():
            self._line(f"return {identity.source}", Site("identity", identity.paths))
        namespace: dict[str, object] = {"__builtins__": {"True": True, "False": False, "None": None}, **self._scope.names}
        exec(compile("\n".join(self._lines), MAPPING_FILE, "exec"), namespace)  # noqa: S102 - made from whitelisted syntax only
        decide, identify = namespace["decide"], namespace["identify"]
        assert isinstance(decide, types.FunctionType)
        assert isinstance(identify, types.FunctionType)
        return Program(cast("Callable[[Row], Decided]", decide), identify, tuple(self._sites))

    def _rules(self) -> None:
        rules = self._manifest.rules
        for name, rule in rules.items():
            self._check_rule(f"rules.{name}", rule)
        for name, rule in rules.items():
            if not rule.event:
                self._deciding(f"rules.{name}", rule)
        for name, rule in rules.items():
            if rule.event:
                self._making(f"rules.{name}", rule)

    def _check_rule(self, key: str, rule: Rule) -> None:
        if sum(map(bool, (rule.event, rule.record, rule.refuse))) != 1:
            raise self._error(key, "a rule has exactly one of event, record and refuse")
        if not rule.event and (rule.fields or rule.each):
            raise self._error(key, "fields and each belong to a rule with an event")
        if rule.event and rule.event not in EVENT_TYPES:
            raise self._error(f"{key}.event", f"unknown event type {rule.event!r}; {nearest(rule.event, EVENT_TYPES)}")

    def _deciding(self, key: str, rule: Rule) -> None:
        """A rule that records or refuses."""
        asked = self._expression(f"{key}.when", rule.when, ("row",), None)
        self._line(f"if {self._condition(f'{key}.when', asked)}:", Site(f"{key}.when", asked.paths))
        with self._block():
            self._line(f"return occurred, events, {rule.record!r}, {rule.refuse!r}", Site(f"{key}.when", asked.paths))

    def _making(self, key: str, rule: Rule) -> None:
        """A rule that makes an event, or one for every element of a list."""
        roots = ("row", "each") if rule.each else ("row",)
        asked = self._expression(f"{key}.when", rule.when, roots, None)
        of_element = any(path.root == "each" for path in asked.paths)
        outer = self._indent
        if not of_element:
            self._ask(f"{key}.when", asked)
        if rule.each:
            listed = self._expression(f"{key}.each", rule.each, ("row",), set())
            self._line(f"for each in elements({listed.source}, {self._manifest.limits.events}):", Site(f"{key}.each", listed.paths))
            self._indent += 1
        if of_element:
            self._ask(f"{key}.when", asked)
        kind = EVENT_TYPES[rule.event]
        made = self._struct(f"{key}.fields", rule.fields, kind, roots)
        make = self._scope.constant(_make)
        paths = tuple(path for site in self._sites if site.key.startswith(f"{key}.fields") for path in site.paths)
        self._line(f"events.append({make}({made}, {self._scope.constant(kind.cls)}))", Site(f"{key}.fields", paths))
        self._indent = outer

    def _ask(self, key: str, asked: Compiled) -> None:
        """Open the block of a condition; none for one that is always true."""
        if asked.source != "True":
            self._line(f"if {self._condition(key, asked)}:", Site(key, asked.paths))
            self._indent += 1

    def _struct(self, key: str, fields: Fields, kind: inspect.StructType, roots: tuple[str, ...]) -> str:
        """Lines that build the fields of a struct as a dictionary; its name."""
        known = {field.encode_name: field for field in kind.fields}
        made = f"f{len(self._lines)}"
        self._line(f"{made} = {{}}")
        for name, value in fields.items():
            if name not in known:
                raise self._error(f"{key}.{name}", f"{kind.tag or kind.cls.__name__} has no such field; {nearest(name, known)}")
            self._value(f"{key}.{name}", f"{made}[{name!r}]", value, known[name].type, roots)
        for name, field in known.items():
            if field.required and name not in fields:
                raise self._error(f"{key}.{name}", f"is missing; {kind.tag or kind.cls.__name__} needs it")
        return made

    def _value(self, key: str, target: str, value: object, kind: inspect.Type, roots: tuple[str, ...]) -> None:
        """Lines that set a field, which is left out when its expression yields nothing."""
        if isinstance(value, dict):
            nested, tag = self._nested(key, value, kind)
            made = self._struct(key, {name: part for name, part in value.items() if name != "type"}, nested, roots)
            if tag:
                self._line(f"{made}['type'] = {tag!r}")
            self._line(f"{target} = {made}")
            return
        if isinstance(value, list) and any(isinstance(part, dict) for part in value):
            self._tables(key, target, value, kind, roots)
            return
        if isinstance(value, list):
            parts = [self._expression(key, part, roots, None) for part in value]
            paths = tuple(path for part in parts for path in part.paths)
            self._line(f"{target} = [{', '.join(part.source for part in parts)}]", Site(key, paths))
            return
        kinds, wrap = _accepted(kind)
        compiled = self._expression(key, value, roots, kinds)
        site = Site(key, compiled.paths)
        self._line(f"value = whole({compiled.source})" if wrap else f"value = {compiled.source}", site)
        self._line(f"if value is not None: {target} = value", site)

    def _tables(self, key: str, target: str, value: list[object], kind: inspect.Type, roots: tuple[str, ...]) -> None:
        """Lines that set a field to a list of structs, each a table."""
        item = kind.item_type if isinstance(kind, inspect.VarTupleType) else kind
        made = []
        for number, part in enumerate(value, start=1):
            if not isinstance(part, dict) or not isinstance(item, inspect.StructType):
                raise self._error(f"{key}.{number}", "must be a table like the others of the list")
            made.append(self._struct(f"{key}.{number}", part, item, roots))
        self._line(f"{target} = [{', '.join(made)}]")

    def _nested(self, key: str, value: Fields, kind: inspect.Type) -> tuple[inspect.StructType, str]:
        """Which struct a table of fields stands for: the field's own, or of several the one that `type` names."""
        structs = [
            part for part in (kind.types if isinstance(kind, inspect.UnionType) else (kind,)) if isinstance(part, inspect.StructType)
        ]
        tags = {str(part.tag): part for part in structs if part.tag}
        if not structs:
            raise self._error(key, "takes an expression, not a table")
        if not tags:
            return structs[0], ""
        tag = value.get("type")
        if not isinstance(tag, str) or tag not in tags:
            raise self._error(f"{key}.type", f"names the event type; {nearest(str(tag), tags)}")
        return tags[tag], tag

    def _expression(self, key: str, text: object, roots: tuple[str, ...], kinds: set[Kind] | None) -> Compiled:
        """Compile an expression that yields one of `kinds` (None: any; nothing and what is known only later always pass)."""
        if not isinstance(text, str):
            raise self._error(key, f"is {text!r}; an expression stands in quotes, for example 'row[\"qty\"]' or '\"EA\"'")
        try:
            compiled = compile_expression(text, self._scope, roots)
        except ExpressionError as error:
            raise self._error(key, str(error)) from None
        if kinds is not None and compiled.kind not in (kinds | {Kind.ANY, Kind.NONE}):
            wanted = " or ".join(sorted(kinds)) or "a list of the payload"
            raise self._error(key, f"needs {wanted}, but the expression yields {compiled.kind}{_advice(kinds)}")
        known = self._manifest.fields
        for path in compiled.paths:
            if known and path.root == "row" and path.steps[0] not in (*known, *TOLD_BY_EDGES):
                raise self._error(key, f"the field {path.steps[0]!r} is not among `fields`; {nearest(str(path.steps[0]), known)}")
        return compiled

    def _condition(self, key: str, compiled: Compiled) -> str:
        try:
            return condition(compiled)
        except ExpressionError as error:
            raise self._error(key, str(error)) from None

    def _error(self, key: str, problem: str) -> ManifestError:
        return ManifestError(self._file, key, problem)

    def _line(self, text: str, site: Site | None = None) -> None:
        self._lines.append("    " * self._indent + text)
        self._sites.append(site or Site("", ()))

    @contextmanager
    def _block(self) -> Iterator[None]:
        self._indent += 1
        yield
        self._indent -= 1


def _make(fields: Row, kind: type[CanonicalEvent]) -> CanonicalEvent:
    """The event of these fields. Raises `msgspec.ValidationError` and `NegativeAmount`."""
    event = msgspec.convert(fields, kind)
    check(event)
    return event


_KINDS: Final[dict[type[inspect.Type], set[Kind]]] = {
    inspect.StrType: {Kind.TEXT},
    inspect.IntType: {Kind.NUMBER, Kind.WHOLE},
    inspect.BoolType: {Kind.BOOL},
    inspect.DateType: {Kind.DATE},
}


def _accepted(kind: inspect.Type) -> tuple[set[Kind] | None, bool]:
    """What a field takes (None: anything), and whether a number has to be made whole for it."""
    if isinstance(kind, inspect.UnionType):
        kind = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
    if isinstance(kind, inspect.StructType) and kind.cls is Quantity:
        return {Kind.QUANTITY}, False
    return _KINDS.get(type(kind)), isinstance(kind, inspect.IntType)


def _advice(kinds: set[Kind]) -> str:
    if Kind.QUANTITY in kinds:
        return "; use quantity(x, unit)"
    if Kind.TEXT in kinds:
        return "; use text(x)"
    if Kind.TIME in kinds:
        return "; use time(x)"
    return "; use number(x)" if Kind.NUMBER in kinds else ""
