"""Plants in several databases, in real processes: one lies in a file, one in PostgreSQL, and each goes on without the other."""

from __future__ import annotations

from pathlib import Path

from tests.app.installation import Installation, Serve, installation, report, until
from tests.app.test_deaths import killed
from tests.postgres.server import Server

BERGEN = """
[[plant]]
id = "bergen"
zone = "Europe/Oslo"
erp = "other"
state = "west"

[states.west]
address = "{address}"

[erp.other]
connector = "sandbox"
url = "{url}"
"""


def _tell(serve: Serve, plant: str, order: str, ids: range) -> None:
    facts = [report(f"{plant}-{n}", order, str(n)) for n in ids]
    until(lambda: serve.send(f"/v1/plants/{plant}/events", facts)[0] == 202, "the acknowledgement")


def _booked(made: Installation, order: str) -> list[str]:
    return sorted(document["lines"][0]["quantity"]["amount"] for document in made.documents(order))


def _books(made: Installation, order: str, ids: range) -> None:
    """Each of these is booked, and none twice."""
    wanted = sorted(map(str, ids))
    until(lambda: len(_booked(made, order)) >= len(wanted), f"{len(wanted)} documents of {order}")
    assert _booked(made, order) == wanted


def test_a_database_that_is_away_stops_only_the_plants_that_lie_there(tmp_path: Path, postgres_server: Server, postgres: str) -> None:
    with installation(tmp_path) as made:
        made.plant = BERGEN.format(address=postgres, url=made.erp.url)
        made.configure()
        made.release("4700", "4701")
        serve = made.serve()
        _tell(serve, "oslo", "4700", range(1, 5))
        _tell(serve, "bergen", "4701", range(1, 5))
        _books(made, "4700", range(1, 5))
        _books(made, "4701", range(1, 5))
        postgres_server.crash()
        try:
            _tell(serve, "bergen", "4701", range(5, 9))
            _tell(serve, "oslo", "4700", range(5, 7))
            _books(made, "4700", range(1, 7))
            for role in ("worker", "dispatcher"):
                killed(serve, role)
            _tell(serve, "oslo", "4700", range(7, 9))
            _books(made, "4700", range(1, 9))
            assert _booked(made, "4701") == sorted(map(str, range(1, 5)))
        finally:
            postgres_server.start()
        _books(made, "4701", range(1, 9))
        for role in ("worker", "dispatcher"):
            killed(serve, role)
        _tell(serve, "bergen", "4701", range(9, 13))
        _books(made, "4701", range(1, 13))
        _books(made, "4700", range(1, 9))
        made.settled(serve, 20)
        assert serve.end() == 0
        verified = made.command("verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert all(f"{name}: the state is what" in verified.stdout for name in ("oslo", "bergen", "enterprise"))
        backup = made.command("backup", tmp_path / "backup")
        assert backup.returncode == 0, backup.stdout + backup.stderr
        _refused_elsewhere(made)


def _refused_elsewhere(made: Installation) -> None:
    """A plant that is placed in another database than it lies in is not started: both would book what it is told."""
    made.plant = made.plant.replace('state = "west"\n', "")
    made.configure()
    serve = made.begin()
    assert serve.wait() != 0
    assert "the state of bergen lies in [states.west]" in serve.said
    assert 'write `state = "west"`' in serve.said
