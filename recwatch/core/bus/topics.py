"""The topics on a Kafka cluster: one for each word, made where they lack, checked where they are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import TopicAlreadyExistsError, for_code

from recwatch.core.bus import COMPACTED, TOPICS
from recwatch.core.bus.brokers import Brokers, failures_of
from recwatch.core.errors import BadInput

DEAD_LETTERS = "dead_letters"
"""Where messages that nobody can read are put, as they came, with the reason in their headers."""
LARGEST_BYTES = 16 * 2**20
"""The largest message: every series of a service of some 60,000."""
_DAY_MS = 24 * 3600 * 1000
# The store keeps history; the bus keeps what a store that was away over a weekend has still to take.
_DAYS: Mapping[str, int] = {"samples": 3, "judgements": 3}
_EVENT_DAYS = 30


def configuration_of(topic: str) -> dict[str, str]:
    """How a topic is kept.

    >>> configuration_of("series")["cleanup.policy"], configuration_of("samples")["retention.ms"]
    ('compact', '259200000')
    """
    kept = {"max.message.bytes": str(LARGEST_BYTES)}
    if topic in COMPACTED:
        return kept | {"cleanup.policy": "compact"}
    return kept | {"cleanup.policy": "delete", "retention.ms": str(_DAYS.get(topic, _EVENT_DAYS) * _DAY_MS)}


def ensure_topics(admin: KafkaAdminClient, place: Brokers, partitions: int) -> int:
    """Make the topics that lack, with as many partitions as those that are there; check these. Returns that number.

    Raises BadInput, a line for each fault, where a topic is not as it must be.
    """
    names = {f"{place.prefix}.{topic}": topic for topic in (*TOPICS, DEAD_LETTERS)}
    with failures_of(place):
        there = {
            found["name"]: len(found["partitions"])
            for found in admin.describe_topics(list(names))
            if found["error_code"] == 0
        }
        partitions = max(there.values(), default=partitions)
        lacking = {
            name: {"num_partitions": partitions, "configs": configuration_of(topic)}
            for name, topic in names.items()
            if name not in there
        }
        if lacking:
            _create(admin, lacking)
    if faults := list(_faults(admin, place, {name: names[name] for name in there}, there)):
        raise BadInput("\n".join(f"bus {place}: {fault}" for fault in faults))
    return partitions


def _create(admin: KafkaAdminClient, lacking: Mapping[str, Mapping[str, object]]) -> None:
    """Another process that starts just now may be the one that makes a topic."""
    made = admin.create_topics(dict(lacking), raise_errors=False)
    for topic in made["topics"]:
        error = for_code(topic["error_code"])
        if topic["error_code"] and error is not TopicAlreadyExistsError:
            raise error(f"{topic['name']}: {topic['error_message']}")
    admin.wait_for_topics(list(lacking))


def _faults(
    admin: KafkaAdminClient, place: Brokers, there: Mapping[str, str], partitions: Mapping[str, int]
) -> Iterator[str]:
    if len(set(partitions.values())) > 1:
        counts = ", ".join(f"{name} has {count}" for name, count in sorted(partitions.items()))
        yield f"its topics must have equally many partitions, or a service is torn apart, and {counts}"
    if not there:
        return
    with failures_of(place):
        described = admin.describe_configs([ConfigResource("TOPIC", name) for name in there], config_filter="all")
    for name, topic in there.items():
        is_so = {key: entry["value"] for key, entry in described["topic"][name].items()}
        wanted = configuration_of(topic)
        if is_so["cleanup.policy"] != wanted["cleanup.policy"]:
            yield _alter(name, "cleanup.policy", is_so["cleanup.policy"], wanted["cleanup.policy"])
        if int(is_so["max.message.bytes"]) < LARGEST_BYTES:
            yield _alter(name, "max.message.bytes", is_so["max.message.bytes"], wanted["max.message.bytes"])


def _alter(name: str, key: str, is_so: str, wanted: str) -> str:
    return (
        f"topic {name} has {key}={is_so}, and it must be {wanted}; run kafka-configs.sh --alter --entity-type topics"
        f" --entity-name {name} --add-config {key}={wanted}"
    )
