"""The topics on a Kafka cluster: one for each word, made where they lack, checked where they are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import TopicAlreadyExistsError, for_code

from recwatch.core.bus import COMPACTED, DUTIES, TOPICS
from recwatch.core.bus.brokers import Brokers, failures_of
from recwatch.core.errors import BadInput

DEAD_LETTERS = "dead_letters"
"""Where messages that nobody can read are put, as they came, with the reason in their headers."""
LARGEST_BYTES = 16 * 2**20
"""The largest message: every series of a service of some 60,000."""
_HOUR_MS = 3600 * 1000
_DAY_MS = 24 * _HOUR_MS
# The store keeps history; the bus keeps what a store that was away over a weekend has still to take.
_DAYS: Mapping[str, int] = {"samples": 3, "judgements": 3, "progress": 1}
_EVENT_DAYS = 30


def configuration_of(topic: str) -> dict[str, str]:
    """How a topic is kept.

    >>> configuration_of("series")["cleanup.policy"], configuration_of("samples")["retention.ms"]
    ('compact', '259200000')
    """
    kept = {"max.message.bytes": str(LARGEST_BYTES)}
    if topic in COMPACTED:
        return kept | {"cleanup.policy": "compact", "max.compaction.lag.ms": str(_HOUR_MS)}
    return kept | {"cleanup.policy": "delete", "retention.ms": str(_DAYS.get(topic, _EVENT_DAYS) * _DAY_MS)}


def ensure_topics(admin: KafkaAdminClient, place: Brokers, partitions: int) -> int:
    """Make the topics that lack, with as many partitions as those that are there; check these. Returns that number.

    The topic of duties has one.
    Raises BadInput as `check_topics` does.
    """
    names = _names(place)
    with failures_of(place):
        there = _partitions(admin, names)
        partitions = max((count for name, count in there.items() if names[name] != DUTIES), default=partitions)
        lacking = {
            name: {"num_partitions": 1 if topic == DUTIES else partitions, "configs": configuration_of(topic)}
            for name, topic in names.items()
            if name not in there
        }
        if lacking:
            _create(admin, lacking)
    check_topics(admin, place)
    return partitions


def check_topics(admin: KafkaAdminClient, place: Brokers) -> None:
    """Raise BadInput, a line for each fault, where a topic that is there is not as it must be. Makes none."""
    with failures_of(place):
        faults = list(_faults(admin, _names(place)))
    if faults:
        raise BadInput("\n".join(f"bus {place}: {fault}" for fault in faults))


def _names(place: Brokers) -> dict[str, str]:
    """Each topic by its name on the brokers."""
    return {f"{place.prefix}.{topic}": topic for topic in (*TOPICS, DUTIES, DEAD_LETTERS)}


def _partitions(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has that is there."""
    found = admin.describe_topics(list(names))
    return {topic["name"]: len(topic["partitions"]) for topic in found if topic["error_code"] == 0}


def _create(admin: KafkaAdminClient, lacking: Mapping[str, Mapping[str, object]]) -> None:
    """Another process that starts just now may be the one that makes a topic."""
    made = admin.create_topics(dict(lacking), raise_errors=False)
    for topic in made["topics"]:
        error = for_code(topic["error_code"])
        if topic["error_code"] and error is not TopicAlreadyExistsError:
            raise error(f"{topic['name']}: {topic['error_message']}")
    admin.wait_for_topics(list(lacking))


def _faults(admin: KafkaAdminClient, names: Mapping[str, str]) -> Iterator[str]:
    partitions = _partitions(admin, names)
    shared_out = {name: count for name, count in partitions.items() if names[name] != DUTIES}
    if len(set(shared_out.values())) > 1:
        counts = ", ".join(f"{name} has {count}" for name, count in sorted(shared_out.items()))
        yield f"its topics must have equally many partitions, or a service is torn apart, and {counts}"
    for name in partitions.keys() - shared_out.keys():
        if partitions[name] != 1:
            yield f"topic {name} must have one partition, or a duty has several owners, and it has {partitions[name]}"
    if not partitions:
        return
    described = admin.describe_configs([ConfigResource("TOPIC", name) for name in partitions], config_filter="all")
    for name in sorted(partitions):
        is_so = {key: entry["value"] for key, entry in described["topic"][name].items()}
        wanted = configuration_of(names[name])
        if is_so["cleanup.policy"] != wanted["cleanup.policy"]:
            yield _alter(name, "cleanup.policy", is_so["cleanup.policy"], wanted["cleanup.policy"])
        if int(is_so["max.message.bytes"]) < LARGEST_BYTES:
            yield _alter(name, "max.message.bytes", is_so["max.message.bytes"], wanted["max.message.bytes"])


def _alter(name: str, key: str, is_so: str, wanted: str) -> str:
    return (
        f"topic {name} has {key}={is_so}, and it must be {wanted}; run kafka-configs.sh --alter --entity-type topics"
        f" --entity-name {name} --add-config {key}={wanted}"
    )
