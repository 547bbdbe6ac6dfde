"""The configuration file: what is right is typed and whole, what is wrong is named with its line and the nearest right word."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from synchromesh.app.faults import SettingsError
from synchromesh.app.reading import MAX_FILE, read_settings
from synchromesh.app.settings import DERIVED, Http, Settings
from synchromesh.engine.sending import Limits, Retry

GOOD = """
[[plant]]
id = "oslo"
zone = "Europe/Oslo"
erp = "main"

[erp.main]
connector = "sandbox"
url = "http://127.0.0.1:8090"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "synchromesh.toml"


def faults(config: Path, text: str) -> list[str]:
    config.write_text(text)
    with pytest.raises(SettingsError) as refused:
        read_settings(config)
    return [f"{fault.line} {fault.where}: {fault.sentence}" for fault in refused.value.faults]


def read(config: Path, text: str) -> Settings:
    config.write_text(text)
    return read_settings(config)


def test_the_least_file_has_defaults_for_the_rest(config: Path) -> None:
    settings = read(config, GOOD)
    assert settings.http == Http("127.0.0.1", 8080, 1_000_000)
    assert settings.synchromesh.data == config.parent / "data"
    (plant,) = settings.plants
    assert plant.zone == ZoneInfo("Europe/Oslo")
    assert (plant.policy.target, plant.policy.zone) == ("main", "Europe/Oslo")
    assert settings.erps["main"].settings == {"url": "http://127.0.0.1:8090"}


def test_paths_are_relative_to_the_file_and_policy_and_folders_arrive(config: Path) -> None:
    (config.parent / "drop").mkdir()
    (config.parent / "mes").mkdir()
    (config.parent / "mes" / "adapter.toml").touch()
    more = (
        '\nadapters = ["mes"]\n[plant.policy]\ngather = "order"\n[[plant.files]]\nfolder = "drop"\ninterface = "mes/1"\ndelimiter = ";"\n'
    )
    (plant,) = read(config, GOOD.replace('erp = "main"\n', 'erp = "main"' + more)).plants
    assert plant.adapters == (config.parent / "mes",)
    assert plant.policy.gather == "order"
    assert (plant.files[0].folder, plant.files[0].delimiter) == (config.parent / "drop", ";")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ('[http]\nprot = 1\n', "2 [http] prot: there is no such key; did you mean 'port'?"),
        ('[htpp]\n', "1 [htpp]: there is no such key; did you mean 'http'?"),
        ('[http]\nport = "80"\n', "2 [http] port: must be a whole number from 0 to 65535, not '80'"),
        ('[http]\nport = true\n', "2 [http] port: must be a whole number from 0 to 65535, not True"),
        ('[http]\n\n# here\nport = 70000\n', "4 [http] port: must be a whole number from 0 to 65535, not 70000"),
        ('http = 5\n', "1 [http]: must be a table, not a number"),
        (
            '[synchromesh]\ndata = "synchromesh.toml"\n',
            "2 [synchromesh] data: 'synchromesh.toml' is a file and no folder; name a folder, which is made at the first start",
        ),
        ('[synchromesh]\ndata = 5\n', "2 [synchromesh] data: must be a text in quotes, not 5"),
        ('[log]\naddress = "sqlit:"\n', "2 [log] address: no log 'sqlit' is installed; did you mean 'sqlite'?"),
        (
            '[state]\naddress = "state.db"\n',
            "2 [state] address: must be an address such as `sqlite:` or `postgresql://user@host/database`, not 'state.db'",
        ),
        ('[state]\nkind = "sqlite"\n', "2 [state] kind: there is no such key; known are address"),
        ('[limits]\nbatch = 0\n', "2 [limits] batch: must be a whole number from 1 up, not 0"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named_with_its_line_and_the_nearest_right_one(config: Path, change: str, expected: str) -> None:
    assert faults(config, change + GOOD) == [expected]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("[erp.main.limits]\nconcurency = 2", "10 [erp.main.limits] concurency: there is no such key; did you mean 'concurrency'?"),
        ("[erp.main.limits]\nrate_per_second = -1", "10 [erp.main.limits] rate_per_second: must be a number from 0 up, not -1"),
        ("[erp.main.limit]\nconcurrency = 2", "9 [erp.main] limit: there is no such table; did you mean 'limits'?"),
        ("[erp.main.retries]\nattempts = 2", "9 [erp.main] retries: there is no such table; did you mean 'retry'?"),
        ("[erp.main.retry]\nattempts = 0", "10 [erp.main.retry] attempts: must be a whole number from 1 up, not 0"),
        ("[erp.main.retry]\nbackoff = 1", "10 [erp.main.retry] backoff: there is no such key; did you mean 'backoff_seconds'?"),
        (
            "[erp.main.retry]\nbackoff_seconds = 90",
            "10 [erp.main.retry] backoff_seconds: longest_seconds (60) must not be less than backoff_seconds (90)",
        ),
        (
            "[erp.main.retry]\napproval_seconds = 9\nlongest_follow_seconds = 8",
            "11 [erp.main.retry] longest_follow_seconds: longest_follow_seconds (8) must not be less than approval_seconds (9)",
        ),
        ("retry = 3", "9 [erp.main] retry: must be a table, not a number"),
    ],
)
def test_how_a_system_is_sent_to_is_not_the_connectors_business(config: Path, change: str, expected: str) -> None:
    assert faults(config, f"{GOOD.strip()}\n{change}\n") == [expected]


def test_limits_and_retries_arrive_and_the_connector_is_not_told(config: Path) -> None:
    more = "[erp.main.limits]\nconcurrency = 1\nplant_rate_per_second = 2.5\n[erp.main.retry]\nattempts = 3\n"
    erp = read(config, GOOD + more).erps["main"]
    assert erp.limits == Limits(concurrency=1, plant_rate_per_second=2.5)
    assert erp.retry == Retry(attempts=3)
    assert erp.settings == {"url": "http://127.0.0.1:8090"}


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        ('id = "oslo"', 'id = "Oslo 1"', "3 [plant] id: must be 1 to 32 of the characters a-z, 0-9 and -, not 'Oslo 1'"),
        ('id = "oslo"', 'id = "enterprise"', "3 [plant] id: 'enterprise' is the name of what belongs to no plant; choose another"),
        ('id = "oslo"', "", "2 [plant] id: is missing"),
        ('"Europe/Oslo"', '"Europe/Olso"', "4 [plant] zone: must be an IANA time zone such as 'Europe/Oslo', not 'Europe/Olso'"),
        ('"Europe/Oslo"', '"../../etc/passwd"', "4 [plant] zone: must be an IANA time zone such as"),
        ('erp = "main"', 'erp = "mian"', "5 [plant] erp: there is no [erp.mian]; did you mean 'main'?"),
        (
            'erp = "main"',
            'erp = "main"\nadapters = ["no"]',
            "6 [plant] adapters: 'no' is no folder of an adapter: it has no file adapter.toml",
        ),
        ('"sandbox"', '"sandbx"', "8 [erp.main] connector: no connector 'sandbx' is installed; did you mean 'sandbox'?"),
        ('connector = "sandbox"', "", "7 [erp.main] connector: is missing"),
        (
            '"http://127.0.0.1:8090"',
            '{ env = "SYNCHROMESH_NOT_SET" }',
            "9 [erp.main] url: the environment has no variable SYNCHROMESH_NOT_SET",
        ),
        (
            'erp = "main"',
            'erp = "main"\n[plant.policy]\ngather = "shift"',
            "7 [plant.policy] gather: must be 'report' or 'operation' or 'order'",
        ),
        (
            'erp = "main"',
            'erp = "main"\n[plant.policy]\nzone = "UTC"',
            "7 [plant.policy] zone: this is not set here: it is the plant's `zone`",
        ),
        ('erp = "main"', 'erp = "main"\n[[plant.files]]\ninterface = "a/1"', "6 [plant.files] folder: is missing"),
        (
            'erp = "main"',
            'erp = "main"\n[[plant.files]]\nfolder = "no"\ninterface = "a/1"',
            "7 [plant.files] folder: there is no folder 'no'",
        ),
        (
            'erp = "main"',
            'erp = "main"\n[[plant.files]]\nfolder = "."\ninterface = "a/1"\n[[plant.files]]\nfolder = "./"\ninterface = "b/1"',
            "10 [plant.files] folder: './' is a drop folder already; give each its own",
        ),
        (
            'erp = "main"',
            'erp = "main"\n[plant.policy]\nwaiting_hours = 99999999999',
            "7 [plant.policy] waiting_hours: must be a whole number <= 87600, not 99999999999",
        ),
    ],
)
def test_what_can_be_wrong_with_plants_and_systems(config: Path, right: str, wrong: str, expected: str) -> None:
    (fault,) = faults(config, GOOD.replace(right, wrong))
    assert fault.startswith(expected)


def test_all_faults_are_told_at_once_in_the_order_of_the_file(config: Path) -> None:
    text = GOOD.replace("oslo", "OSLO").replace('"main"', '"mian"').replace("sandbox", "sandbx") + "[http]\nprot = 1\n"
    told = faults(config, text)
    assert [fault.split(":")[0] for fault in told] == ["3 [plant] id", "5 [plant] erp", "8 [erp.main] connector", "11 [http] prot"]


def test_two_plants_of_one_name_are_refused_at_the_second(config: Path) -> None:
    second = '\n[[plant]]\nid = "oslo"\nzone = "UTC"\nerp = "main"\n'
    assert faults(config, GOOD + second) == ["12 [plant] id: there are two plants 'oslo'"]


def test_without_a_plant_there_is_nothing_to_do(config: Path) -> None:
    assert faults(config, "[http]\nport = 1\n") == ["0 [plant]: there must be at least one [[plant]]"]


def test_an_address_with_its_password_can_come_from_the_environment(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "postgresql://sm:hush@db/sm"
    monkeypatch.setenv("SYNCHROMESH_STATE", secret)
    settings = read(config, '[state]\naddress = { env = "SYNCHROMESH_STATE" }\nschema = { env = "SYNCHROMESH_STATE" }\n' + GOOD)
    assert settings.state.address == settings.state.settings["schema"] == secret
    assert "hush" not in repr(settings)
    assert faults(config, '[log]\naddress = { env = "SYNCHROMESH_NOT_SET" }\n' + GOOD)[0].startswith(
        "2 [log] address: the environment has no variable SYNCHROMESH_NOT_SET"
    )


def test_a_secret_comes_from_the_environment_and_is_never_shown(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERP_PASSWORD", "s3cret")
    settings = read(config, GOOD + 'password = { env = "ERP_PASSWORD" }\n')
    assert settings.erps["main"].settings["password"] == "s3cret"
    assert "s3cret" not in repr(settings)


def test_lines_are_right_behind_multi_line_texts_and_dotted_keys(config: Path) -> None:
    text = 'synchromesh.nam = """\n[http]\nport = "no"\n"""\n' + GOOD
    assert faults(config, text) == ["1 [synchromesh] nam: there is no such key; did you mean 'name'?"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[http\n", "it is not TOML"),
        (b"a = " + b"[" * 100_000, "it is not TOML"),
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"#" * (MAX_FILE + 1), "smaller than"),
    ],
    ids=["broken", "deep", "binary", "huge"],
)
def test_what_is_no_configuration_at_all_is_refused_in_one_sentence(config: Path, content: bytes, expected: str) -> None:
    config.write_bytes(content)
    with pytest.raises(SettingsError, match=expected):
        read_settings(config)


def test_a_file_that_is_not_there_says_what_writes_one(config: Path) -> None:
    with pytest.raises(SettingsError, match="synchromesh init"):
        read_settings(config)


def test_a_folder_is_not_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't be read"):
        read_settings(tmp_path)


def test_the_template_names_every_option_and_every_default_in_it_is_true(config: Path) -> None:
    template = files("synchromesh.app").joinpath("template.toml").read_text("utf-8")
    plain = read(config, template)
    (config.parent / "adapters" / "mes").mkdir(parents=True)
    (config.parent / "adapters" / "mes" / "adapter.toml").touch()
    (config.parent / "drop").mkdir()
    spelled = re.sub(r"^# (?=[a-z_\[].*(=|\]))", "", template, flags=re.MULTILINE).replace("password", "# password")
    everything = read(config, re.sub(r"^(`synchromesh|A relative|---)", r"# \1", spelled, flags=re.MULTILINE))
    assert everything.plants[0].files
    (plant,) = everything.plants
    assert msgspec.structs.replace(everything, plants=(msgspec.structs.replace(plant, files=(), adapters=()),)) == plain
    of_plant = (type(plant), type(plant.policy), type(plant.reconcile), type(plant.files[0]))
    for struct in (Http, *of_plant, type(plain.limits), type(plain.synchromesh)):
        for field in msgspec.structs.fields(struct):
            if field.name not in (*DERIVED, "files", "policy", "reconcile"):
                assert re.search(rf"^#? ?{field.encode_name} = ", template, re.MULTILINE), field.name


PARTS = (
    GOOD
    + """
[[plant]]
id = "bergen"
zone = "Europe/Oslo"
erp = "other"
state = "west"

[erp.other]
connector = "sandbox"
url = "http://127.0.0.1:8091"

[states.west]
address = "postgresql://west@127.0.0.1/west"
schema = "plants"
"""
)


def test_a_plant_can_lie_in_a_further_database(config: Path) -> None:
    settings = read(config, PARTS)
    assert [plant.state for plant in settings.plants] == ["", "west"]
    assert settings.states["west"].address == "postgresql://west@127.0.0.1/west"
    assert settings.states["west"].settings == {"schema": "plants"}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('state = "west"', 'state = "wets"', "[plant] state: there is no [states.wets]; did you mean 'west'?"),
        (
            'erp = "other"',
            'erp = "main"',
            "[plant] state: the plants of [erp.main] must lie in one database",
        ),
        ("postgresql://west@127.0.0.1/west", "sqlite:", "[states.west] address: a further database is no file of the data folder"),
        ("postgresql:", "postgres0ql:", "[states.west] address: no state 'postgres0ql' is installed; did you mean 'postgresql'?"),
        ("[states.west]", "[states.west]\n[states.east]", "[states.west] address: a further database is no file"),
        (
            "[states.west]",
            '[state]\naddress = "postgresql://west@127.0.0.1/west"\nschema = "plants"\n[states.west]',
            "[states] west: another table names the same database",
        ),
    ],
)
def test_a_further_database_that_can_not_be_is_refused(config: Path, old: str, new: str, fault: str) -> None:
    assert any(fault in each for each in faults(config, PARTS.replace(old, new)))
