"""A wrong table is refused by key, before anything is asked, and without the password."""

import pytest

from synchromesh.connectors.tryton.settings import read_settings

GOOD = {"url": "http://127.0.0.1:8000", "database": "erp", "user": "u", "password": "hidden"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"urll": "x"}, "did you mean 'url'"),
        ({"url": ""}, "'url' is missing"),
        ({"url": "ftp://x"}, "http:// or https://"),
        ({"url": "http://"}, "name a host"),
        ({"url": "http://x:99999"}, "a port up to 65535"),
        ({"url": "http://x:abc"}, "a port up to 65535"),
        ({"batch": 0}, "'batch' must be 1 to"),
        ({"timeout": -1.0}, "'timeout' must be more than 0"),
        ({"module": "yes"}, "wrong type"),
        ({"password": ""}, "'password' is missing"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        read_settings({**GOOD, **change})
    assert "hidden" not in str(refused.value)


def test_the_least_table_is_enough() -> None:
    assert read_settings(GOOD).module
