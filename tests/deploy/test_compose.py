"""What deploy/ names is there: commands, files, ports, packages; images are pinned, and nothing listens beyond loopback.

No container engine runs here: that the images build and start is not shown by these tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperGroup

from recommender_ref.cli import app as recommender
from recwatch.app.cli import app as recwatch
from recwatch.app.config import load_config
from recwatch.core.bus.registry import parse_bus
from recwatch.core.store.connection import Server, parse_dsn

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
OURS = {"recwatch": recwatch, "recwatch-recommender": recommender}


def ours() -> Iterator[tuple[str, typer.Typer]]:
    """The services that run a command of this repository, each with that."""
    for name, service in SERVICES.items():
        image, _, tag = service["image"].partition(":")
        if image in OURS:
            assert tag == PROJECT["project"]["version"]
            yield name, OURS[image]


def roles() -> dict[str, Mapping[str, Any]]:
    return {name: service for name, service in SERVICES.items() if service.get("command", [""])[0] == "run"}


def test_the_compose_file_keeps_the_specifications_schema() -> None:
    check = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    done = subprocess.run([sys.executable, "-m", *check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "app"), list(ours()))
def test_every_command_is_one_that_there_is(name: str, app: typer.Typer) -> None:
    command: Any = typer.main.get_command(app)
    words: list[str] = list(SERVICES[name]["command"])
    while isinstance(command, TyperGroup):
        _, command, words = command.resolve_command(command.make_context(name, [*words]), words)
    command.make_context(name, words)  # raises for options and values that it does not know


def test_every_role_runs_once_by_its_name_with_the_configuration_that_is_mounted() -> None:
    assert {*roles()} == {"collectors", "sink", "detectors", "alerting", "tuning", "api", "console"}
    for name, service in roles().items():
        _, role, file, *_ = service["command"]
        assert role == name
        assert f"./recwatch.yaml:{file}:ro" in service["volumes"]


def test_the_configuration_is_good_and_names_kafka_and_a_server() -> None:
    config = load_config(DEPLOY / "recwatch.yaml")
    bus, store = parse_bus(config.bus), parse_dsn(config.store)
    assert bus is not None
    assert isinstance(store, Server)
    assert [f"{bus.hosts[0]}:9092"] == SERVICES["kafka"]["ports"]
    assert [f"{store.host}:{store.port}:8123"] == SERVICES["clickhouse"]["ports"]
    database = SERVICES["clickhouse"]["environment"]
    assert (store.user, store.database) == (database["CLICKHOUSE_USER"], database["CLICKHOUSE_DB"])


def test_what_recwatch_writes_lies_in_the_folder_that_its_commands_run_in_which_those_that_write_have_mounted() -> None:
    folder = re.search(r"^WORKDIR (/var\S+)$", DOCKERFILE, re.MULTILINE)
    assert folder is not None
    config = load_config(DEPLOY / "recwatch.yaml")
    assert str(config.token_file) == f"{folder[1]}/.recwatch/token"
    assert str(config.spool.folder) == f"{folder[1]}/.recwatch/spool"
    mounted = {name: [v.split(":")[1:] for v in service["volumes"]] for name, service in roles().items()}
    assert [folder[1]] in mounted["collectors"]
    assert [folder[1]] in mounted["api"]
    assert [folder[1], "ro"] in mounted["console"]


def test_every_role_is_healthy_on_a_port_of_its_own_and_prometheus_reads_it_there() -> None:
    ports = {name: service["environment"]["RECWATCH_PORT"] for name, service in roles().items()}
    assert len({*ports.values()}) == len(ports)
    api = str(load_config(DEPLOY / "recwatch.yaml").api.port)
    told = {name: service["command"][3:] for name, service in roles().items()}
    assert told == {name: [] if name == "api" else ["--port", port] for name, port in ports.items()}
    assert ports.pop("api") == api
    jobs = {job["job_name"]: job for job in yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]}
    read = {group["labels"]["role"]: group["targets"] for group in jobs["recwatch-roles"]["static_configs"]}
    assert read == {name: [f"127.0.0.1:{port}"] for name, port in ports.items()}
    assert jobs["recwatch"]["static_configs"] == [{"targets": [f"127.0.0.1:{api}"]}]


def test_every_image_is_pinned() -> None:
    pulled = [service["image"] for service in SERVICES.values()] + re.findall(r"^FROM (\S+:\S+)", DOCKERFILE, re.MULTILINE)
    assert len(pulled) > len(SERVICES)
    for image in pulled:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*", image), image


def test_nothing_listens_beyond_loopback() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} publishes {port}"
        if service.get("network_mode") == "host":
            assert "ports" not in service
    assert "--web.listen-address=127.0.0.1:9090" in SERVICES["prometheus"]["command"]
    assert SERVICES["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    for file in (path for path in DEPLOY.rglob("*") if path.is_file() and path.parent.name != "secrets"):
        assert "0.0.0.0" not in file.read_text(), file


def test_our_containers_write_nowhere_but_to_volumes_and_may_nothing() -> None:
    for name, _ in ours():
        service = SERVICES[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["10001:10001"]


def test_everybody_starts_again_and_says_how_it_is() -> None:
    ends = {"dashboards"}
    for name, service in SERVICES.items():
        assert service.get("restart") == (None if name in ends else "unless-stopped"), name
        assert "healthcheck" in service or service["image"].partition(":")[0] in OURS


def test_secrets_are_files_that_are_made_and_no_values() -> None:
    made = (DEPLOY / "secrets.sh").read_text()
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
        assert name in made
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable:
                secret = value.removeprefix("/run/secrets/")
                assert secret in service["secrets"], variable


def test_what_is_mounted_is_there() -> None:
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())]
    for source in mounted:
        assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), source
    assert {source for source in mounted if not source.startswith("./")} == {*COMPOSE["volumes"]}


def test_the_image_holds_what_the_wheel_does() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE) == packages
    seen = re.findall(r"^!(\w+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert {*packages} <= {*seen, "LICENSE"}
