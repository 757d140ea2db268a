"""Files and addresses that list targets → the endpoints that they list now."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from collectors.config import FileSdConfig, HttpSdConfig, ServiceConfig, TargetGroup
from collectors.endpoint import Endpoint
from collectors.fetch import Connections, Fetcher, FetchFailed
from recwatch.core.errors import BadInput
from recwatch.core.faults import sentences

_GROUPS = TypeAdapter(tuple[TargetGroup, ...])
_BODY_LIMIT = 10_000_000
_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Listed:
    """What a source listed when it last made sense, and what is wrong with it since, in a sentence or empty."""

    endpoints: tuple[Endpoint, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was read; what `made_of` holds changes when the file does."""

    made_of: tuple[int, int, int] | None
    listed: Listed


class FileDiscovery:
    """Files that list targets. One that cannot be read, or makes no sense, keeps what it listed before."""

    def __init__(self, config: FileSdConfig, service: ServiceConfig) -> None:
        self._config = config
        self._service = service
        self._files: dict[Path, _File] = {}

    def look(self) -> Listed:
        """What all files that are there list now; those that have not changed are not read again."""
        found = sorted({path for pattern in self._config.files for path in _matching(Path(pattern))})
        self._files = {path: self._read(path) for path in found}
        troubles = [file.listed.trouble for file in self._files.values() if file.listed.trouble]
        if not found:
            troubles = [f"no file matches {' or '.join(self._config.files)}"]
        return Listed(tuple(one for file in self._files.values() for one in file.listed.endpoints), "; ".join(troubles))

    def _read(self, path: Path) -> _File:
        before = self._files.get(path, _File(None, Listed()))
        try:
            stat = path.stat()
            made_of = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if made_of == before.made_of:
                return before
            return _File(made_of, Listed(_endpoints(self._service, _loaded(path))))
        except OSError as error:
            return _File(None, Listed(before.listed.endpoints, f"{path} cannot be read: {error.strerror}"))
        except BadInput as error:
            return _File(made_of, Listed(before.listed.endpoints, f"{path} lists no targets that can be used: {error}"))


class HttpDiscovery:
    """An address that lists targets. One that fails, or answers nonsense, keeps what it listed before."""

    def __init__(self, config: HttpSdConfig, service: ServiceConfig, connections: Connections) -> None:
        self._service = service
        self._url = config.url
        self.refresh_interval_s = config.refresh_interval
        self._fetcher = Fetcher(connections, config.url, config.http, _BODY_LIMIT)
        self._headers = {
            "Accept": "application/json",
            "X-Prometheus-Refresh-Interval-Seconds": f"{config.refresh_interval:g}",
        }
        self._listed = Listed()

    async def look(self) -> Listed:
        """What the address lists now."""
        try:
            fetched = await self._fetcher.fetch(self._headers, min(_ANSWER_S, self.refresh_interval_s))
            if fetched.content_type.partition(";")[0].strip().lower() != "application/json":
                raise BadInput(f"its answer is '{fetched.content_type}', not application/json")
            self._listed = Listed(_endpoints(self._service, _parsed(json.loads, fetched.body.decode())))
        except FetchFailed as error:
            self._listed = Listed(self._listed.endpoints, str(error))
        except (BadInput, UnicodeDecodeError) as error:
            self._listed = Listed(self._listed.endpoints, f"{self._url} lists no targets that can be used: {error}")
        return self._listed


def _matching(pattern: Path) -> Iterable[Path]:
    """The files whose last part fits; two stars together are no more than one, and some versions of Python refuse them."""
    return pattern.parent.glob(re.sub(r"\*+", "*", pattern.name))


def _loaded(path: Path) -> object:
    """What the file holds; of YAML all is text, since nothing of a target group is anything else."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"it is not UTF-8: {error}") from error
    return _parsed(json.loads if path.suffix == ".json" else partial(yaml.load, Loader=yaml.BaseLoader), text)


def _parsed(load: Any, text: str) -> object:
    try:
        return load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise BadInput(" ".join(str(error).split())) from error


def _endpoints(service: ServiceConfig, content: object) -> tuple[Endpoint, ...]:
    if not isinstance(content, list):
        raise BadInput("it holds no list of target groups; write `- targets: [host:port]`")
    try:
        groups = _GROUPS.validate_python(content)
    except ValidationError as error:
        raise BadInput(sentences(error.errors(), TargetGroup)[0]) from error
    return tuple(endpoint for group in groups for endpoint in service.endpoints_of(group))
