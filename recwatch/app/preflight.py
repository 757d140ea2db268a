"""What a start would stumble over that is no fault of the file alone, found without starting."""

from __future__ import annotations

from collections.abc import Iterator

from alerting.notifiers import notifier_of
from recwatch.app.access import known_token
from recwatch.app.config import Config
from recwatch.core.bus.registry import check_bus
from recwatch.core.errors import RecwatchError


def stumbles(config: Config) -> Iterator[str]:
    """A sentence for each thing that is not as the configuration says: token file, notifiers, secrets, brokers, topics."""
    try:
        known_token(config.token_file)
    except RecwatchError as error:
        yield str(error)
    try:
        check_bus(config.bus)
    except RecwatchError as error:
        yield str(error)
    for place, notifier in enumerate(config.notify):
        try:
            notifier_of(notifier).close()
        except RecwatchError as error:
            yield f"notify[{place}]: {error}"
