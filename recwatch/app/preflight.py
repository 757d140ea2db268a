"""What a start would stumble over that is no fault of the file alone, found without starting."""

from __future__ import annotations

from collections.abc import Iterator

from alerting.notifiers import notifier_of
from recwatch.app.config import Config
from recwatch.core.errors import RecwatchError


def stumbles(config: Config) -> Iterator[str]:
    """A sentence for each thing on this machine that is not as the configuration says: notifiers and their secrets."""
    for place, notifier in enumerate(config.notify):
        try:
            notifier_of(notifier).close()
        except RecwatchError as error:
            yield f"notify[{place}]: {error}"
