"""Every bus there is, by the scheme that begins its DSN in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from recwatch.core.bus import Bus
from recwatch.core.bus.brokers import Brokers, parse_brokers
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.errors import BadInput

MEMORY = "memory"


def kafka_bus(place: Brokers, **limits: float) -> Bus:
    """The bus on a Kafka cluster. Raises BadInput where its client is not installed."""
    try:
        from recwatch.core.bus.kafka import KafkaBus  # noqa: PLC0415 (an extra, and heavy)
    except ModuleNotFoundError as error:
        raise BadInput("a Kafka bus needs the package kafka-python; install recwatch[kafka]") from error
    return KafkaBus(place, **limits)  # type: ignore[arg-type]


BUSES: Mapping[str, Callable[..., Bus]] = {MEMORY: MemoryBus, "kafka": kafka_bus}


def open_bus(dsn: str, max_block_s: float) -> Bus:
    """The bus that `dsn` names: `memory`, or `kafka://host:9092` and what `parse_brokers` reads beside it."""
    if dsn == MEMORY:
        return MemoryBus(max_block_s=max_block_s)
    return kafka_bus(parse_brokers(dsn), max_block_s=max_block_s)
