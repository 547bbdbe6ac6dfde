"""The expression language of adapters: a small part of Python's expressions, checked when an adapter is loaded and compiled once.

An expression reads the payload (`row["Qty Completed"]`, `row.order.id`, `each.qty`), has literals (numbers are exact decimals),
comparisons, `and`, `or`, `not`, `x if condition else y`, `+ - * /`, and calls of the functions listed here. It can't name anything else,
so it can't reach the program. Every construct takes bounded time and space.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, NamedTuple

from synchromesh.mapping import functions
from synchromesh.mapping.pattern import Pattern
from synchromesh.mapping.zone import Zone, formatted_date, time_reader
from synchromesh.model.unit import UNITS, nearest_unit

_MAX_LENGTH: Final = 2_000
_MAX_NODES: Final = 250
_MAX_INDEX: Final = 9_999


class Kind(StrEnum):
    """What is known of a value before any message is there."""

    ANY = "anything"
    NONE = "nothing"
    BOOL = "true or false"
    NUMBER = "a number"
    WHOLE = "a whole number"
    TEXT = "a text"
    TIME = "a time"
    DATE = "a date"
    QUANTITY = "a quantity"


class ExpressionError(ValueError):
    """An expression that the language does not have; the text says what and what to write instead."""


class Path(NamedTuple):
    """A field of the payload (`root` is "row") or of a list's element ("each")."""

    root: str
    steps: tuple[str | int, ...]

    def __str__(self) -> str:
        return "/".join(str(step) for step in self.steps) if self.root == "row" else "/".join(("each", *map(str, self.steps)))


class Compiled(NamedTuple):
    """An expression as Python source over `row`, `each` and names of `Scope.names`; what it yields, and which fields it reads."""

    source: str
    kind: Kind
    paths: tuple[Path, ...]


class Scope:
    """What the expressions of one adapter may use, and the values behind the names in their source."""

    def __init__(
        self, zone: Zone, units: Mapping[str, str], codes: Mapping[str, Mapping[str, str]], decimal_mark: str, rows_are_text: bool
    ) -> None:
        self.zone = zone
        self.units = units
        self.codes = codes
        self.path_kind = Kind.TEXT if rows_are_text else Kind.ANY
        number = functions.number_reader(decimal_mark)
        self.names: dict[str, object] = {
            "number": number,
            "quantity": functions.quantity_reader(number, units),
            "seconds": functions.seconds_reader(number),
            **{name: getattr(functions, name) for name in (*_PLAIN, "first", "present", "truth", "whole", "elements", "dig")},
            **{name: getattr(functions, name) for name in _OPERATORS.values()},
        }

    def constant(self, value: object) -> str:
        """A name for a value that source can't spell."""
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name


_PLAIN: Final[dict[str, Kind]] = {
    "text": Kind.TEXT, "trim": Kind.TEXT, "squash": Kind.TEXT, "lower": Kind.TEXT, "upper": Kind.TEXT, "concat": Kind.TEXT,
    "some": Kind.QUANTITY,
}  # fmt: skip
_OPERATORS: Final[dict[type[ast.operator], str]] = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}
_COMPARISONS: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
FUNCTIONS: Final = (*_PLAIN, "number", "time", "date", "code", "quantity", "seconds", "first", "matches", "present")
"""The functions that an expression may call."""


def compile_expression(text: str, scope: Scope, roots: tuple[str, ...] = ("row",)) -> Compiled:
    """Check and translate one expression. Raises `ExpressionError`."""
    if len(text) > _MAX_LENGTH:
        raise ExpressionError(f"an expression has at most {_MAX_LENGTH} characters")
    wrapped = f"({text.strip()}\n)"  # so that an expression may go over several lines
    try:
        tree = ast.parse(wrapped, mode="eval")
    except SyntaxError as error:
        raise ExpressionError(f"{text!r} is not an expression: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"{text[:80]!r} is not an expression: {error}") from None
    if sum(1 for _ in ast.walk(tree)) > _MAX_NODES:
        raise ExpressionError(f"an expression has at most {_MAX_NODES} parts; split the rule")
    translator = _Translator(wrapped, scope, roots)
    source, kind = translator.visit(tree.body)
    return Compiled(source, kind, tuple(translator.paths))


def condition(compiled: Compiled) -> str:
    """The source of an expression used as a condition: it yields true or false or is refused."""
    return _as_condition(compiled.source, compiled.kind)


def _as_condition(source: str, kind: Kind) -> str:
    if kind is Kind.BOOL:
        return source
    if kind in (Kind.ANY, Kind.TEXT):
        return f"truth({source})"
    raise ExpressionError(f"a condition is true or false, but this is {kind}; compare it with something")


class _Translator:
    """One walk over one expression. Every `_visit_...` gives source and kind, and refuses what the language does not have."""

    def __init__(self, text: str, scope: Scope, roots: tuple[str, ...]) -> None:
        self._text = text
        self._scope = scope
        self._roots = roots
        self.paths: list[Path] = []
        self._calls: dict[str, Callable[[ast.Call], tuple[str, Kind]]] = {
            "first": self._call_first, "present": self._call_present, "code": self._call_code, "quantity": self._call_quantity,
            "seconds": self._call_seconds, "time": self._call_time, "date": self._call_date, "matches": self._call_matches,
            "number": lambda call: (f"number({self._arguments(call, 1)[0][0]})", Kind.NUMBER),
        }  # fmt: skip

    def visit(self, node: ast.expr) -> tuple[str, Kind]:  # noqa: PLR0911 - one answer for each construct of the language
        """Source and kind of a part. Raises `ExpressionError` for what the language does not have."""
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name() | ast.Subscript() | ast.Attribute():
                path = self._path(node)
                return path.root + "".join(f"[{step!r}]" for step in path.steps), self._scope.path_kind if path.steps else Kind.ANY
            case ast.BoolOp(op=op, values=values):
                word = " and " if isinstance(op, ast.And) else " or "
                return f"({word.join(self._condition(value) for value in values)})", Kind.BOOL
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return f"(not {self._condition(operand)})", Kind.BOOL
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"subtract({self._scope.constant(Decimal(0))}, {self._operand(operand)})", Kind.NUMBER
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
                return self._arithmetic(_OPERATORS[type(op)], left, right)
            case ast.Compare():
                return self._compare(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                then, other = self.visit(body), self.visit(orelse)
                return f"({then[0]} if {self._condition(test)} else {other[0]})", _either(then[1], other[1])
            case ast.Call():
                return self._call(node)
        raise ExpressionError(f"{self._shown(node)} is not part of the expression language")

    def _shown(self, node: ast.AST) -> str:
        return repr(ast.get_source_segment(self._text, node) or self._text)

    def _constant(self, node: ast.Constant) -> tuple[str, Kind]:
        value = node.value
        if value is None:
            return "None", Kind.NONE
        if isinstance(value, bool):
            return repr(value), Kind.BOOL
        if isinstance(value, str):
            return repr(value), Kind.TEXT
        if isinstance(value, int | float):
            return self._scope.constant(self._decimal(node)), Kind.NUMBER
        raise ExpressionError(f"{self._shown(node)} is not part of the expression language")

    def _decimal(self, node: ast.Constant) -> Decimal:
        """A number literal exactly as it is written."""
        written = ast.get_source_segment(self._text, node) or ""
        try:
            value = Decimal(written)
        except InvalidOperation:
            raise ExpressionError(f"{written!r} is not a decimal number") from None
        if not value.is_finite() or abs(value) >= Decimal(10) ** 30:
            raise ExpressionError(f"the number {written!r} is too large")
        return value

    def _path(self, node: ast.expr) -> Path:
        steps: list[str | int] = []
        while not isinstance(node, ast.Name):
            match node:
                case ast.Subscript(value=value, slice=ast.Constant(value=str() as key)):
                    steps.append(key)
                case ast.Subscript(value=value, slice=ast.Constant(value=int() as key)) if (
                    not isinstance(key, bool) and 0 <= key <= _MAX_INDEX
                ):
                    steps.append(key)
                case ast.Attribute(value=value, attr=key) if not key.startswith("_"):
                    steps.append(key)
                case _:
                    raise ExpressionError(f'{self._shown(node)} is not a field; write row["name"] or row.name')
            node = value
        if node.id not in self._roots:
            raise ExpressionError(self._unknown(node.id))
        path = Path(node.id, tuple(reversed(steps)))
        if path.steps or path.root == "each":
            self.paths.append(path)
            return path
        raise ExpressionError('name a field of the payload: row["name"] or row.name')

    def _unknown(self, name: str) -> str:
        if name in FUNCTIONS:
            return f"{name!r} is a function; call it: {name}(...)"
        if name == "each":
            return "'each' exists only in a rule that names its list with `each`"
        near = get_close_matches(name, (*FUNCTIONS, *self._roots), n=1, cutoff=0.5)
        return f"unknown name {name!r}; did you mean {near[0]!r}?" if near else f'unknown name {name!r}; a field is row["{name}"]'

    def _condition(self, node: ast.expr) -> str:
        source, kind = self.visit(node)
        return _as_condition(source, kind)

    def _operand(self, node: ast.expr) -> str:
        source, kind = self.visit(node)
        if kind not in (Kind.ANY, Kind.NUMBER, Kind.WHOLE):
            raise ExpressionError(f"{self._shown(node)} is {kind}; arithmetic needs number(...)")
        return source

    def _arithmetic(self, name: str, left: ast.expr, right: ast.expr) -> tuple[str, Kind]:
        if name != "add":
            return f"{name}({self._operand(left)}, {self._operand(right)})", Kind.NUMBER
        (one, one_kind), (two, two_kind) = self.visit(left), self.visit(right)
        kinds = {one_kind, two_kind}
        if not (kinds <= {Kind.ANY, Kind.TEXT} or kinds <= {Kind.ANY, Kind.NUMBER, Kind.WHOLE}):
            raise ExpressionError(f"+ adds numbers or texts, not {one_kind} and {two_kind}; use number(x) or text(x)")
        return f"add({one}, {two})", Kind.TEXT if Kind.TEXT in kinds else Kind.NUMBER if Kind.NUMBER in kinds else Kind.ANY

    def _compare(self, node: ast.Compare) -> tuple[str, Kind]:
        source, kind = self.visit(node.left)
        pieces = [source]
        for op, right in zip(node.ops, node.comparators, strict=True):
            if type(op) not in _COMPARISONS:
                raise ExpressionError(f"{self._shown(node)}: use == or !=, and present(x) for a field that may be missing")
            if isinstance(op, ast.In | ast.NotIn):
                right_source, right_kind = self._choices(right)
            else:
                right_source, right_kind = self.visit(right)
            if _either(kind, right_kind) is Kind.ANY and Kind.ANY not in (kind, right_kind):
                raise ExpressionError(f"{self._shown(node)} compares {kind} with {right_kind}; use number(x) or text(x) on one side")
            pieces += [_COMPARISONS[type(op)], right_source]
            kind = right_kind
        return f"({' '.join(pieces)})", Kind.BOOL

    def _choices(self, node: ast.expr) -> tuple[str, Kind]:
        if not isinstance(node, ast.Tuple | ast.List) or not node.elts or not all(isinstance(item, ast.Constant) for item in node.elts):
            raise ExpressionError(f"{self._shown(node)}: after `in` stands a list of literals, such as ['S', 'D']")
        literals = [
            self._decimal(item) if type(item.value) in (int, float) else item.value for item in node.elts if isinstance(item, ast.Constant)
        ]
        kinds = {self._constant(item)[1] for item in node.elts if isinstance(item, ast.Constant)}
        if len(kinds) > 1:
            raise ExpressionError(f"{self._shown(node)}: the literals after `in` are of one kind")
        return self._scope.constant(tuple(literals)), kinds.pop()

    def _call(self, node: ast.Call) -> tuple[str, Kind]:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise ExpressionError(f"{self._shown(node)}: only the functions {', '.join(sorted(FUNCTIONS))} can be called, without keywords")
        name = node.func.id
        if name in self._calls:
            return self._calls[name](node)
        if name in _PLAIN:
            arguments = self._arguments(node, None if name == "concat" else 1)
            return f"{name}({', '.join(source for source, _ in arguments)})", _PLAIN[name]
        raise ExpressionError(self._unknown(name))

    def _arguments(self, call: ast.Call, count: int | None) -> list[tuple[str, Kind]]:
        if not call.args or (count is not None and len(call.args) != count):
            raise ExpressionError(f"{self._shown(call)} takes {count or 'at least one'} value{'s' if count != 1 else ''}")
        return [self.visit(argument) for argument in call.args]

    def _soft(self, node: ast.expr) -> tuple[str, Kind]:
        """A value that may be missing: a field reads as nothing then."""
        if not isinstance(node, ast.Name | ast.Subscript | ast.Attribute):
            return self.visit(node)
        path = self._path(node)
        if path.root == "row" and len(path.steps) == 1:
            return f"row.get({path.steps[0]!r})", self._scope.path_kind
        return f"dig({path.root}, {', '.join(map(repr, path.steps))})", self._scope.path_kind

    def _call_first(self, call: ast.Call) -> tuple[str, Kind]:
        if not call.args:
            raise ExpressionError("first(x, ...) takes at least one value")
        arguments = [self._soft(argument) for argument in call.args]
        kind = arguments[0][1]
        for _, other in arguments[1:]:
            kind = _either(kind, other)
        return f"first({', '.join(source for source, _ in arguments)})", kind

    def _call_present(self, call: ast.Call) -> tuple[str, Kind]:
        if len(call.args) != 1:
            raise ExpressionError("present(x) takes one field")
        return f"present({self._soft(call.args[0])[0]})", Kind.BOOL

    def _literal(self, call: ast.Call, index: int, what: str) -> str:
        node = call.args[index] if index < len(call.args) else None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        raise ExpressionError(f"{self._shown(call)}: {what} is a literal text")

    def _call_code(self, call: ast.Call) -> tuple[str, Kind]:
        name = self._literal(call, 0, "the list's name")
        if len(call.args) != 2:
            raise ExpressionError("code(list, x) takes the name of a list and a value")
        entries = self._scope.codes.get(name)
        if entries is None:
            near = get_close_matches(name, self._scope.codes, n=1, cutoff=0.4)
            known = f"did you mean {near[0]!r}?" if near else f"the adapter has {', '.join(sorted(self._scope.codes)) or 'none'}"
            raise ExpressionError(f"there is no code list {name!r} (codes/{name}.csv); {known}")
        reader = self._scope.constant(functions.code_reader(name, entries))
        return f"{reader}({self.visit(call.args[1])[0]})", Kind.TEXT

    def _call_quantity(self, call: ast.Call) -> tuple[str, Kind]:
        if len(call.args) != 2:
            raise ExpressionError("quantity(x, unit) takes an amount and a unit; no quantity travels without one")
        unit = call.args[1]
        if (
            isinstance(unit, ast.Constant)
            and isinstance(unit.value, str)
            and unit.value not in self._scope.units
            and unit.value not in UNITS
        ):
            near = nearest_unit(unit.value)
            hint = f"did you mean {near!r}?" if near else "use a Recommendation 20 code such as 'EA', or add it to [units]"
            raise ExpressionError(f"unknown unit {unit.value!r}; {hint}")
        (amount, _), (source, kind) = self._arguments(call, 2)
        if kind not in (Kind.TEXT, Kind.ANY):
            raise ExpressionError(f"{self._shown(unit)} is {kind}, not a unit")
        return f"quantity({amount}, {source})", Kind.QUANTITY

    def _call_seconds(self, call: ast.Call) -> tuple[str, Kind]:
        unit = self._literal(call, 1, "the unit of time")
        if len(call.args) != 2 or unit not in UNITS or UNITS[unit].dimension != "time":
            raise ExpressionError("seconds(x, unit) takes a number and a unit of time: 'SEC', 'MIN', 'HUR', ...")
        return f"seconds({self.visit(call.args[0])[0]}, {unit!r})", Kind.WHOLE

    def _call_time(self, call: ast.Call) -> tuple[str, Kind]:
        return self._reader(call, "time", time_reader_of(self._scope.zone)), Kind.TIME

    def _call_date(self, call: ast.Call) -> tuple[str, Kind]:
        return self._reader(call, "date", formatted_date), Kind.DATE

    def _reader(self, call: ast.Call, name: str, make: Callable[[str], object]) -> str:
        if len(call.args) not in (1, 2):
            raise ExpressionError(f"{name}(x) or {name}(x, format) takes a value and its format")
        try:
            reader = make(self._literal(call, 1, "the format") if len(call.args) == 2 else "")
        except ValueError as error:
            raise ExpressionError(str(error)) from None
        return f"{self._scope.constant(reader)}({self.visit(call.args[0])[0]})"

    def _call_matches(self, call: ast.Call) -> tuple[str, Kind]:
        if len(call.args) != 2:
            raise ExpressionError("matches(x, pattern) takes a text and a pattern")
        try:
            pattern = Pattern(self._literal(call, 1, "the pattern"))
        except ValueError as error:
            raise ExpressionError(str(error)) from None
        return f"{self._scope.constant(pattern.fits)}({self._soft(call.args[0])[0]})", Kind.BOOL


def time_reader_of(zone: Zone) -> Callable[[str], object]:
    """The maker of time readers in one zone."""
    return lambda format: time_reader(zone, format)


def _either(one: Kind, other: Kind) -> Kind:
    """What is known of a value that is one of two."""
    if one is other or other is Kind.NONE:
        return one
    if one is Kind.NONE:
        return other
    if {one, other} == {Kind.NUMBER, Kind.WHOLE}:
        return Kind.NUMBER
    return Kind.ANY
