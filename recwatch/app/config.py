"""The YAML configuration: what may stand in it, and one clear sentence for each thing that may not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from alerting.notifiers import NotifierConfig
from collectors.config import Duration, ServiceConfig
from detectors.plan import DetectionConfig
from recwatch.core.bus.registry import MEMORY, parse_bus
from recwatch.core.errors import BadInput
from recwatch.core.objective import Objective
from recwatch.core.progress import OWN
from recwatch.core.store.connection import Server, parse_dsn
from tuning.config import TuningConfig


class ApiConfig(BaseModel):
    """Where the API listens; always on loopback."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(default=8300, ge=0, le=65535)


class ConsoleConfig(BaseModel):
    """Where the console listens; always on loopback."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(default=8301, ge=0, le=65535)


class StoreReaderConfig(BaseModel):
    """Where the embedded store answers ClickHouse's protocol for reading, always on loopback, and who may read.

    The password is written to its file once; the group of that file may read it, if somebody allows it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(default=8123, ge=0, le=65535)
    password_file: Path = Path(".recwatch/reader-password")


class ObjectiveConfig(BaseModel):
    """What a service promises: bounds of its 99th percentile of latency and of its share of failed requests."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_p99: Duration
    errors_ratio: float = Field(default=0.01, gt=0, le=1)

    def objective(self) -> Objective:
        return Objective(self.latency_p99, self.errors_ratio)


class WatchedService(ServiceConfig):
    """What is scraped of a service, what it promises, and what may be tuned of it."""

    objective: ObjectiveConfig | None = None
    tuning: TuningConfig | None = None


class Config(BaseModel):
    """A whole configuration. `bus` and `store` are DSNs.

    `token_file`, for whoever may write through the API, is written once; so is `receive_token_file`, for a Prometheus that
    may only send samples, and which the group of that file may read, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    services: tuple[WatchedService, ...] = Field(min_length=1)
    detection: DetectionConfig = DetectionConfig()
    notify: tuple[NotifierConfig, ...] = ()
    bus: str = MEMORY
    store: str = "chdb://.recwatch/store"
    token_file: Path = Path(".recwatch/token")
    receive_token_file: Path = Path(".recwatch/receive-token")
    api: ApiConfig = ApiConfig()
    console: ConsoleConfig | None = ConsoleConfig()
    store_reader: StoreReaderConfig | None = None

    @property
    def console_url(self) -> str:
        """Where messages send their reader; empty without a console, or when its port is not known ahead."""
        return f"http://127.0.0.1:{self.console.port}" if self.console and self.console.port else ""

    @model_validator(mode="after")
    def _named_once(self) -> Config:
        names = [service.name for service in self.services]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadInput(f"services {twice} are there twice; give each a name of its own")
        if OWN in names:
            raise BadInput(f"'{OWN}' is the service of incidents about recwatch itself; give yours another name")
        return self

    @model_validator(mode="after")
    def _bus_and_store_are_somewhere(self) -> Config:
        parse_bus(self.bus)
        place = parse_dsn(self.store)
        if self.store_reader is not None and isinstance(place, Server):
            raise BadInput("store_reader is for the embedded store; a server answers for itself. Take the key out")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Config:
        if self.console is not None and self.console.port == self.api.port != 0:
            raise BadInput(f"api.port and console.port are both {self.api.port}; give each a port of its own")
        return self


def load_config(path: Path) -> Config:
    """Read and check a file. Raises BadInput with a sentence for each fault, naming file, key and valid keys."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}). Give the path of a YAML file.") from error
    try:
        return parse_config(yaml.safe_load(text), str(path))
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: is not YAML: {error}") from error


def parse_config(content: object, source: str) -> Config:
    """Check what a configuration file holds. `source` names it in errors."""
    if not isinstance(content, dict):
        raise BadInput(f"{source}: holds no keys. Valid keys: {_keys(Config)}.")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise BadInput("\n".join(f"{source}: {_sentence(fault)}" for fault in _causes(error.errors()))) from error


def _causes(faults: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """The faults but for lists that are too short only because what they hold is at fault."""
    for fault in faults:
        depth = len(fault["loc"])
        inner = any(other["loc"][:depth] == fault["loc"] and len(other["loc"]) > depth for other in faults)
        if not (fault["type"] == "too_short" and inner):
            yield fault


def _sentence(fault: ErrorDetails) -> str:
    if not fault["loc"]:
        return f"{fault['msg'].removeprefix('Value error, ')}."
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    if fault["type"] == "extra_forbidden":
        owner = _model_at(fault["loc"][:-1])
        return f"unknown key '{where}'. Valid keys there: {_keys(owner)}."
    if fault["type"] == "missing":
        return f"key '{where}' is missing. Add it."
    return f"key '{where}' is {_shown(fault['input'])}: {fault['msg'].removeprefix('Value error, ')}."


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"


def _keys(model: type[BaseModel]) -> str:
    return ", ".join(field.alias or name for name, field in model.model_fields.items())


def _model_at(location: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that holds the key at `location`; list indices and the tags of unions are passed over."""
    model: type[BaseModel] = Config
    candidates: list[type[BaseModel]] = []
    for part in location:
        if part in model.model_fields:
            candidates = list(_models_in(model.model_fields[str(part)].annotation))
        elif isinstance(part, str):
            candidates = [m for m in candidates if part in _tags(m)]
        model = candidates[0] if candidates else model
    return model


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _tags(model: type[BaseModel]) -> Iterator[object]:
    """The texts by which a union may tell that this model is meant."""
    for field in model.model_fields.values():
        yield from get_args(field.annotation)
