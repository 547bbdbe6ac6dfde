"""What JSON leaves open: names told twice, and amounts in odd writing."""

import pytest

from synchromesh.edges.http.strict import odd_amount, told_twice


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b'{"a":1,"a":2}', "a"),
        (b'{"a" :1, "a":2}', "a"),
        (b'{"a":":x","a":1}', "a"),
        (rb'{"a":1,"\u0061":2}', "a"),
        (rb'{"a":"\"","b":1,"b":1}', "b"),
        (b'{"x":{"a":1,"a":1}}', "a"),
        (b'[{"x":[{"a":1e999,"a":' + b"1" * 5_000 + b"}]}]", "a"),
        (b'{"data":{"good":{"amount":"1","unit":"EA","amount":"9"}}}', "amount"),
    ],
)
def test_a_name_told_twice_is_found(raw: bytes, name: str) -> None:
    fault = told_twice(raw)
    assert fault is not None
    assert fault.detail == f"an object names {name!r} twice"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":{"x":1},"b":{"x":1}}',
        b'[{"a":1},{"a":1}]',
        b'{"a":"a","b":[":","\\"a\\":"]}',
        b'{"":"","b" : 1e999}',
        b'{"a":' + b"1" * 5_000 + b"}",
        b'"a"',
        b"[]",
        '{"é":"é"}'.encode(),
    ],
)
def test_what_names_nothing_twice_passes(raw: bytes) -> None:
    assert told_twice(raw) is None


@pytest.mark.parametrize("amount", ["\uff11\uff12", "12 ", " 12", "1_000", ".5", "5.", "", "NaN", "Infinity", "\u0661"])
def test_an_amount_in_odd_writing_is_found(amount: str) -> None:
    fault = odd_amount(f'{{"good" : {{"amount" : "{amount}", "unit": "EA"}}}}'.encode(), "/data")
    assert fault is not None
    assert amount in fault.detail


@pytest.mark.parametrize("amount", ['"12"', '"-12.50"', '"+3"', '"1E+3"', '"1e3"', "12", "1.5e2", "null"])
def test_an_amount_in_plain_digits_passes(amount: str) -> None:
    assert odd_amount(f'{{"amount":{amount},"name":"amount: x"}}'.encode(), "/data") is None
