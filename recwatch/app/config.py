"""The YAML configuration: what may stand in it, and one clear sentence for each thing that may not."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from alerting.notifiers import NotifierConfig
from collectors.config import Duration, ServiceConfig
from detectors.plan import DetectionConfig
from recwatch.core.bus.registry import MEMORY, parse_bus
from recwatch.core.errors import BadInput
from recwatch.core.faults import keys_of, sentences
from recwatch.core.objective import Objective
from recwatch.core.paths import ConfiguredPath, from_its_folder
from recwatch.core.progress import OWN
from recwatch.core.store.connection import Embedded, Server, parse_dsn
from tuning.config import TuningConfig

M = TypeVar("M", bound=BaseModel)
LEAST_SPOOL_BYTES = ByteSize(64 * 2**20)


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

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    port: int = Field(default=8123, ge=0, le=65535)
    password_file: ConfiguredPath = Path(".recwatch/reader-password")


class SpoolConfig(BaseModel):
    """Where collectors keep what the bus does not take, and how much of it; then the oldest samples give way."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, revalidate_instances="always")

    folder: ConfiguredPath = Path(".recwatch/spool")
    max_bytes: ByteSize = ByteSize(2**30)

    @field_validator("max_bytes")
    @classmethod
    def _roomy(cls, max_bytes: ByteSize) -> ByteSize:
        if max_bytes < LEAST_SPOOL_BYTES:
            raise ValueError(f"a spool needs at least {LEAST_SPOOL_BYTES // 2**20}MiB")
        return max_bytes


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

    @model_validator(mode="after")
    def _is_tuned_towards_something(self) -> WatchedService:
        if self.tuning is not None and self.objective is None:
            raise BadInput(f"{self.name} is to be tuned and promises nothing; give it an objective, or take tuning out")
        return self


class Config(BaseModel):
    """A whole configuration. `bus` and `store` are DSNs. Paths, the usual ones too, are as seen from the file's folder.

    `token_file`, for whoever may write through the API, is written once; so is `receive_token_file`, for a Prometheus that
    may only send samples, and which the group of that file may read, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    services: tuple[WatchedService, ...] = Field(min_length=1)
    detection: DetectionConfig = DetectionConfig()
    notify: tuple[NotifierConfig, ...] = ()
    bus: str = MEMORY
    spool: SpoolConfig = SpoolConfig()
    store: str = "chdb://.recwatch/store"
    token_file: ConfiguredPath = Path(".recwatch/token")
    receive_token_file: ConfiguredPath = Path(".recwatch/receive-token")
    api: ApiConfig = ApiConfig()
    console: ConsoleConfig | None = ConsoleConfig()
    store_reader: StoreReaderConfig | None = None

    @property
    def console_url(self) -> str:
        """Where messages send their reader; empty without a console, or when its port is not known ahead."""
        return f"http://127.0.0.1:{self.console.port}" if self.console and self.console.port else ""

    def service(self, name: str | None) -> WatchedService:
        """The service of this name, or the only one. Raises BadInput where that says not which."""
        found = [service for service in self.services if name in (None, service.name)]
        if len(found) != 1:
            names = ", ".join(service.name for service in self.services)
            raise BadInput(f"name one service with --service; there are: {names}")
        return found[0]

    @field_validator("store")
    @classmethod
    def _is_a_store(cls, store: str, info: ValidationInfo) -> str:
        place = parse_dsn(store)
        return Embedded(from_its_folder(place.folder, info)).dsn if isinstance(place, Embedded) else store

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
    def _bus_is_somewhere(self) -> Config:
        parse_bus(self.bus)
        return self

    @model_validator(mode="after")
    def _reader_is_of_the_embedded_store(self) -> Config:
        if self.store_reader is not None and isinstance(parse_dsn(self.store), Server):
            raise BadInput("store_reader is for the embedded store; a server answers for itself. Take the key out")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Config:
        listeners = {"api": self.api, "console": self.console, "store_reader": self.store_reader}
        ports = {f"{name}.port": one.port for name, one in listeners.items() if one is not None and one.port}
        for first, second in combinations(ports, 2):
            if ports[first] == ports[second]:
                raise BadInput(f"{first} and {second} are both {ports[first]}; give each a port of its own")
        return self


def load_config(path: Path) -> Config:
    """Read and check a file. Raises BadInput with a sentence for each fault, naming file, key and valid keys."""
    return read_config(_text(path), str(path))


def read_config(text: str, source: str) -> Config:
    """Check the text of a configuration file, as `load_config`. `source` is its path, which errors name."""
    return parse_config(_content(text, source), source)


def load_detection(path: Path) -> DetectionConfig:
    """What a file says under the key `detection`; its other keys, if it is a whole configuration, are not looked at."""
    return _checked(_Tried, _content(_text(path), str(path)), str(path)).detection


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BadInput(f"{path}: cannot be read ({reason}). Give the path of a YAML file.") from error


def _content(text: str, source: str) -> object:
    try:
        return yaml.load(text, _DatesAsText)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        place = (
            f" in line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}" if error.problem_mark else ""
        )
        raise BadInput(f"{source}: is not YAML{place}: {error.problem}. Look at quotes and indentation there.") from error
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise BadInput(f"{source}: is not YAML: {said}. Take out what is not text.") from error
    except _UNFIT as error:
        raise BadInput(
            f"{source}: is not YAML: a value does not fit its tag (!!), or is too long or too deep. Mend it."
        ) from error


def parse_config(content: object, source: str) -> Config:
    """Check what a configuration file holds, as `load_config`. `source` is its path, which errors name."""
    return _checked(Config, content, source)


def _checked(model: type[M], content: object, source: str) -> M:
    if not isinstance(content, dict):
        raise BadInput(f"{source}: holds no keys. Valid keys: {keys_of(model)}.")
    try:
        return model.model_validate(content, context=Path(source).parent)
    except ValidationError as error:
        raise BadInput("\n".join(f"{source}: {sentence}." for sentence in sentences(error.errors(), model))) from error


class _Tried(BaseModel):
    """Of a configuration, what a backtest tries."""

    detection: DetectionConfig


class _DatesAsText(yaml.SafeLoader):
    """Reads what looks like a date as text: no key here wants one, and PyYAML fails of one that does not exist."""


_DatesAsText.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


_UNFIT = (ValueError, LookupError, AttributeError, RecursionError)
"""What PyYAML's constructors fail of, beside YAMLError, where a value does not fit the tag before it."""
