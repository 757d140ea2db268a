"""What a start would stumble over that is no fault of the file alone, found without starting."""

from __future__ import annotations

from collections.abc import Iterator

from alerting.notifiers import notifier_of
from collectors.fetch import require_usable
from collectors.http_config import HttpConfig
from recwatch.app.access import known_token
from recwatch.app.config import Config, WatchedService
from recwatch.core.errors import RecwatchError


def stumbles(config: Config) -> Iterator[str]:
    """A sentence for each thing on this machine that is not as the configuration says: token files, secrets, notifiers."""
    try:
        known_token(config.token_file)
        if any(service.receive for service in config.services):
            known_token(config.receive_token_file, shared=True)
    except RecwatchError as error:
        yield str(error)
    for service in config.services:
        for http in dict.fromkeys(_asked_with(service)):
            try:
                require_usable(http)
            except RecwatchError as error:
                yield f"{service.name}: {error}"
    for place, notifier in enumerate(config.notify):
        try:
            notifier_of(notifier).close()
        except RecwatchError as error:
            yield f"notify[{place}]: {error}"


def _asked_with(service: WatchedService) -> Iterator[HttpConfig]:
    """How the servers of a service are asked."""
    yield from (source.http for source in (service, *service.http_sd_configs))
    yield from (endpoint.http for endpoint in service.endpoints())
