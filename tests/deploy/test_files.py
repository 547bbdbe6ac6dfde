"""What `deploy/` says, its own tools understand, and the product does: commands, roles, paths, ports, probes, settings, times to stop."""

from __future__ import annotations

import os
import re
import urllib.request
from pathlib import Path

import check_jsonschema
import kubernetes_validate
import pytest
from tests.app.installation import installation
from tests.deploy.files import BIN, CONFIGS, DEPLOY, UNITS, Run, compose, manifests, of_kind, pods, ran, service, services, tool, units

from synchromesh.app.dispatcher import GRACE
from synchromesh.app.reading import read_settings
from synchromesh.app.roles import APART, ROLES
from synchromesh.app.supervisor import STOP_SECONDS
from synchromesh.cli import VERBS
from synchromesh.cli import run as cli

SECRETS = {"ERP_URL": "http://erp.example", "NATS_PASSWORD": "secret", "STATE_ADDRESS": "postgresql://synchromesh@db.example/synchromesh"}
KUBERNETES = ("1.31", "1.37")
"""The oldest and the newest version whose schemas are looked at."""

CONTAINERFILE = (DEPLOY / "Containerfile").read_text()


def _fits(run: Run) -> None:
    """The command exists, its role too, and it has the time that its roles may take."""
    verb, *rest = run.words
    assert verb in VERBS, run.where
    roles = len(ROLES)
    if "--role" in rest:
        role = rest[rest.index("--role") + 1]
        assert role in {*ROLES, *APART, "%i"}, run.where
        roles = 1
    assert run.seconds > roles * STOP_SECONDS, run.where
    assert run.seconds > GRACE, run.where


def test_units_are_understood_by_systemd(tmp_path: Path) -> None:
    verify = tool("systemd-analyze")
    for unit in UNITS:
        name = unit.name.replace("@.", "@worker.")
        (tmp_path / name).write_text(unit.read_text().replace("/opt/synchromesh/bin", str(BIN)))
        said = ran(verify, "verify", "--man=no", str(tmp_path / name))
        ours = [line for line in said.stderr.splitlines() if name in line or str(tmp_path) in line]
        assert (said.returncode, ours) == (0, []), said.stderr


def test_units_run_what_there_is() -> None:
    found = list(units())
    assert len(found) == 2
    for run in found:
        _fits(run)
        assert run.words[-2:] == ["--config", "/etc/synchromesh/synchromesh.toml"]
    assert all(service(path)["StateDirectory"] == "synchromesh" for path in UNITS)


def test_services_run_what_there_is() -> None:
    found = {run.where: run for run in services()}
    assert set(found) == {"compose: all", *(f"compose: {role}" for role in ROLES)}
    for run in found.values():
        _fits(run)
    assert all(f"compose: {run.words[2]}" == where for where, run in found.items() if "--role" in run.words)


def test_pods_run_what_there_is() -> None:
    found = list(pods())
    assert {run.where for run in found} == {f"Deployment {role}" for role in ROLES}
    for run in found:
        _fits(run)
        assert run.words == ["serve", "--role", run.where.split()[1]]


def test_the_compose_file_is_of_its_schema() -> None:
    schema = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    said = ran(str(BIN / "check-jsonschema"), "--schemafile", str(schema), str(DEPLOY / "compose" / "compose.yaml"))
    assert said.returncode == 0, said.stdout


def test_the_compose_file_has_what_a_cluster_is() -> None:
    made = compose()
    cluster = {name for name, each in made["services"].items() if each["profiles"] == ["cluster"]}
    assert cluster == {*ROLES, "archive", "postgres", "nats-1", "nats-2", "nats-3"}
    assert [made["services"][role].get("deploy", {}).get("replicas", 1) for role in ("gateway", "worker", "dispatcher")] == [1, 2, 2]
    for each in made["services"].values():
        for volume in each.get("volumes", ()):
            source = volume.split(":")[0]
            assert (DEPLOY / "compose" / source).is_file() if source.startswith(".") else source in made["volumes"], volume


def test_only_a_container_without_a_port_goes_unchecked() -> None:
    unchecked = {name for name, each in compose()["services"].items() if each.get("healthcheck", {}).get("disable")}
    assert unchecked == {"worker", "dispatcher", "archive"}


@pytest.mark.parametrize("version", KUBERNETES)
def test_manifests_are_of_their_schemas(version: str) -> None:
    for each in manifests():
        kubernetes_validate.validate(each, version, strict=True)


def test_every_role_may_be_evicted_one_at_a_time() -> None:
    budgets = {each["metadata"]["name"]: each["spec"] for each in of_kind("PodDisruptionBudget")}
    for each in of_kind("Deployment"):
        assert budgets[each["metadata"]["name"]]["selector"] == each["spec"]["selector"]
        assert each["spec"]["template"]["metadata"]["labels"].items() >= each["spec"]["selector"]["matchLabels"].items()


def test_pods_have_no_rights() -> None:
    for each in of_kind("Deployment"):
        pod = each["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert f"USER {pod['securityContext']['runAsUser']}:" in CONTAINERFILE
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_a_configuration_is_right(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    here = tmp_path / "synchromesh.toml"
    here.write_text(config.read_text().replace("/var/lib/synchromesh", str(tmp_path / "data")))
    assert cli(["check", "--config", str(here)]) == 0
    assert read_settings(config).http.port == 8080
    assert str(read_settings(config).synchromesh.data) == "/var/lib/synchromesh"


def test_secrets_of_a_configuration_reach_its_processes() -> None:
    wanted = {config.parent.name + "/" + config.stem: set(re.findall(r'env = "(\w+)"', config.read_text())) for config in CONFIGS}
    made = compose()["services"]
    assert wanted["compose/small"] <= set(made["all"]["environment"])
    assert all(wanted["compose/cluster"] == set(made[role]["environment"]) for role in ROLES)
    for each in of_kind("Deployment"):
        (container,) = each["spec"]["template"]["spec"]["containers"]
        assert wanted["kubernetes/synchromesh"] == {one["name"] for one in container["env"]}


def test_the_container_file_is_well_formed() -> None:
    said = ran(str(BIN / "hadolint"), str(DEPLOY / "Containerfile"))
    assert (said.returncode, said.stdout) == (0, "")
    for copied in re.findall(r"^COPY (?!--)(.+) \S+$", CONTAINERFILE, re.M):
        assert all((DEPLOY.parent / name).exists() for name in copied.split())


def test_the_servers_understand_their_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {**os.environ, "NATS_NAME": "nats-1", "NATS_PASSWORD": "secret"}
    said = ran(str(BIN / "nats-server"), "-t", "-c", str(DEPLOY / "compose" / "nats.conf"), env=named)
    assert said.returncode == 0, said.stderr


@pytest.mark.slow
def test_probes_are_answered(tmp_path: Path) -> None:
    """Every path that a probe or the health check asks for is answered with 200 by a gateway that is ready."""
    (gateway,) = (each for each in of_kind("Deployment") if each["metadata"]["name"] == "gateway")
    (container,) = gateway["spec"]["template"]["spec"]["containers"]
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert {probe["port"] for probe in probes} <= {port["name"] for port in container["ports"]}
    (checked,) = re.findall(r"127\.0\.0\.1:8080(/[^']+)'", CONTAINERFILE)
    with installation(tmp_path) as made:
        serve = made.serve()
        for path in {checked, *(probe["path"] for probe in probes)}:
            with urllib.request.urlopen(serve.address + path, timeout=10) as answer:
                assert answer.status == 200
        assert serve.end() == 0
