"""What a start would stumble over that is no fault of the file alone, found without starting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from alerting.notifiers import NotifierConfig, notifier_of
from collectors.discovery import FileDiscovery
from collectors.fetch import require_usable
from collectors.http_config import HttpConfig
from recwatch.app.access import known_token
from recwatch.app.config import Config, WatchedService
from recwatch.core.bus.registry import check_bus
from recwatch.core.errors import RecwatchError
from recwatch.core.folders import require_writable
from recwatch.core.store import check_store
from recwatch.core.wording import counted


def stumbles(config: Config) -> Iterator[str]:
    """A sentence for each thing that is not as configured: files, folders, secrets, lists of targets, notifiers, servers."""
    yield from _failure(known_token, config.token_file)
    if any(service.receive for service in config.services):
        yield from _failure(known_token, config.receive_token_file, True)
    yield from _failure(check_bus, config.bus)
    yield from _failure(check_store, config.store)
    yield from _failure(require_writable, config.spool.folder, f"spool {config.spool.folder}", "spool.folder")
    for service in config.services:
        yield from (f"{service.name}: {sentence}" for sentence in _of_service(service))
    for place, notifier in enumerate(config.notify):
        yield from (f"notify[{place}]: {sentence}" for sentence in _failure(_make, notifier))


def _failure(check: Callable[..., object], *given: object) -> Iterator[str]:
    """What a check fails of, if it does."""
    try:
        check(*given)
    except RecwatchError as error:
        yield str(error)


def _make(notifier: NotifierConfig) -> None:
    notifier_of(notifier).close()


def found(services: Sequence[WatchedService]) -> str:
    """How many services there are, how many targets are listed for them, and where others come from.

    >>> found([WatchedService(name="shop", targets=("http://10.0.0.1:8000/metrics",))])
    '1 service, 1 target'
    """
    targets = sum(len(service.endpoints()) for service in services)
    ways = {
        "file_sd_configs": any(service.file_sd_configs for service in services),
        "http_sd_configs": any(service.http_sd_configs for service in services),
        "what a Prometheus sends": any(service.receive for service in services),
    }
    others = " and ".join(way for way, taken in ways.items() if taken)
    listed = [counted(targets, "target")] if targets else []
    more = [f"{'more' if targets else 'targets'} from {others}"] if others else []
    return ", ".join([counted(len(services), "service"), *listed, *more])


def _of_service(service: WatchedService) -> Iterator[str]:
    for http in dict.fromkeys(_asked_with(service)):
        yield from _failure(require_usable, http)
    for files in service.file_sd_configs:
        if trouble := FileDiscovery(files, service).look().trouble:
            yield trouble


def _asked_with(service: WatchedService) -> Iterator[HttpConfig]:
    """How the servers of a service are asked."""
    yield from (source.http for source in (service, *service.http_sd_configs))
    yield from (endpoint.http for endpoint in service.endpoints())
