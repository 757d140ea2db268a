"""Every bus there is, by the scheme that begins its DSN in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from recwatch.core.bus import Bus
from recwatch.core.bus.brokers import Brokers, parse_brokers
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.errors import BadInput

MEMORY = "memory"


def kafka_bus(place: Brokers, **limits: float) -> Bus:
    """The bus on a Kafka cluster, which it reaches. Raises BadInput where its client is not installed."""
    bus = _kafka().KafkaBus(place, **limits)
    bus.connect()
    return cast(Bus, bus)


BUSES: Mapping[str, Callable[..., Bus]] = {MEMORY: MemoryBus, "kafka": kafka_bus}


def parse_bus(dsn: str) -> Brokers | None:
    """Where the bus is that `dsn` names: None for `memory`, which is in this process. Raises BadInput for no bus."""
    return None if dsn == MEMORY else parse_brokers(dsn)


def open_bus(dsn: str, max_block_s: float) -> Bus:
    """The bus that `dsn` names. Raises Unavailable where its brokers do not answer, BadInput where they cannot be used."""
    place = parse_bus(dsn)
    return MemoryBus(partitions=1, max_block_s=max_block_s) if place is None else kafka_bus(place, max_block_s=max_block_s)


def awaited_bus(dsn: str, max_block_s: float) -> Bus:
    """The bus that `dsn` names, whose brokers need not be there yet: the first `subscribe` reaches them."""
    place = parse_bus(dsn)
    if place is None:
        return open_bus(dsn, max_block_s)
    return cast(Bus, _kafka().KafkaBus(place, max_block_s=max_block_s))


def check_bus(dsn: str) -> None:
    """Raise what `open_bus` would; makes nothing on the brokers."""
    place = parse_bus(dsn)
    if place is not None:
        _kafka().check(place)


def _kafka() -> Any:
    try:
        from recwatch.core.bus import kafka  # noqa: PLC0415 (an extra, and heavy)
    except ModuleNotFoundError as error:
        raise BadInput("a Kafka bus needs the package kafka-python; install recwatch[kafka]") from error
    return kafka
