"""What every test may use."""

from __future__ import annotations

import gc
import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from cluster.java import Missing
from cluster.kafka import LocalKafka, local_kafka
from recwatch.core.bus.brokers import Brokers

_NUMBERS = count(1)


def require(name: str, present: bool, why: str) -> None:
    """Skip the calling test when this machine lacks `name`; fail it when RECWATCH_REQUIRE names it.

    `RECWATCH_REQUIRE` is a comma-separated list, as in `kafka,chromium`.
    """
    if present:
        return
    if name in os.environ.get("RECWATCH_REQUIRE", "").split(","):
        pytest.fail(f"{name} is required here, but {why}")
    pytest.skip(f"{name}: {why}")


@contextmanager
def kafka_here(folder: Path, brokers: int = 1) -> Iterator[LocalKafka]:
    """A cluster of real brokers; the calling test is skipped, or fails, where this machine lacks what they need."""
    with ExitStack() as stack:
        try:
            kafka = stack.enter_context(local_kafka(folder, brokers))
        except Missing as lacking:
            require("kafka", present=False, why=str(lacking))
            raise
        yield kafka


@contextmanager
def paused(kafka: LocalKafka) -> Iterator[None]:
    """Its only broker stands still."""
    (broker,) = kafka.brokers
    broker.pause()
    try:
        yield
    finally:
        broker.resume()


@contextmanager
def mounted_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A disk of that size at `place`; the calling test is skipped, or fails, where nobody may mount one."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    require("tmpfs", mounted.returncode == 0, f"no small disk can be mounted here ({mounted.stderr.strip()})")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def let_go_of_sockets() -> None:
    """Collect, without complaint, what kafka-python leaves open where a connection fails or breaks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """One real broker, which all tests of a run share."""
    with kafka_here(tmp_path_factory.mktemp("broker")) as kafka:
        yield kafka


@pytest.fixture
def brokers(broker: LocalKafka) -> Iterator[Brokers]:
    """The broker, under a prefix of its own; what a test leaves there is deleted."""
    from kafka import KafkaAdminClient  # noqa: PLC0415 (an extra)

    place = Brokers((broker.plain,), prefix=f"test-{next(_NUMBERS)}")
    yield place
    admin = KafkaAdminClient(**place.arguments())
    admin.delete_topics([topic for topic in admin.list_topics() if topic.startswith(f"{place.prefix}.")], raise_errors=False)
    admin.close()
    let_go_of_sockets()
