"""Who of a group reads which partitions: the same number in every topic goes to one member, and few move at a time.

Messages are keyed by service and all topics have equally many partitions, so one number holds the whole of a service.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kafka import TopicPartition
from kafka.coordinator.assignors.abstract import AbstractPartitionAssignor, RebalanceProtocol
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment, ConsumerProtocolSubscription

_WITH_OWNED_PARTITIONS = 1
Owned = Mapping[TopicPartition, str]


def deal(numbers: Sequence[int], members: Iterable[str], holders: Mapping[int, str]) -> dict[int, str]:
    """The member of each partition number, as evenly as can be, with as few as can be taken from their holders.

    >>> deal([0, 1, 2, 3], ["new", "old"], {0: "old", 1: "old", 2: "old", 3: "old"})
    {0: 'old', 1: 'old', 2: 'new', 3: 'new'}
    >>> deal([0, 1, 2], ["a", "b"], {0: "gone", 1: "b", 2: "a"})
    {0: 'a', 1: 'b', 2: 'a'}
    """
    members = sorted(members)
    least, larger = divmod(len(numbers), len(members))
    owner: dict[int, str] = {}
    hands = Counter(dict.fromkeys(members, 0))
    for number in numbers:
        holder = holders.get(number)
        if holder is None or holder not in hands:
            continue
        above = sum(hand > least for hand in hands.values())
        if hands[holder] < least or (hands[holder] == least and above < larger):
            owner[number] = holder
            hands[holder] += 1
    for number in numbers:
        if number not in owner:
            owner[number] = min(members, key=lambda member: (hands[member], member))
            hands[owner[number]] += 1
    return dict(sorted(owner.items()))


class WholeServices(AbstractPartitionAssignor):  # type: ignore[misc]
    """Kafka's incremental cooperative rebalancing (KIP-429) over `deal`: what moves is first given up, then handed on.

    `generation` is that of the group in which this member was given its share; 0 where it has none, or lost it.
    """

    name = "recwatch-whole-services"

    def __init__(self, owned: Callable[[], Iterable[TopicPartition]]) -> None:
        self.generation = 0
        self._owned = owned

    def supported_protocols(self) -> list[RebalanceProtocol]:
        return [RebalanceProtocol.COOPERATIVE]

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolSubscription:
        owned = [
            ConsumerProtocolSubscription.TopicPartition(topic=topic, partitions=numbers)
            for topic, numbers in _by_topic(self._owned())
        ]
        return ConsumerProtocolSubscription(
            version=_WITH_OWNED_PARTITIONS, topics=sorted(topics), user_data=b"", owned_partitions=owned
        )

    def on_assignment(self, assignment: ConsumerProtocolAssignment, generation: int) -> None:
        """What is assigned is read from the consumer."""
        del assignment
        self.generation = generation

    def assign(self, cluster: Any, members: Sequence[Any]) -> dict[str, ConsumerProtocolAssignment]:
        topics = {member.member_id: member.metadata.topics for member in members}
        owned = {
            TopicPartition(share.topic, number): member.member_id
            for member in members
            for share in member.metadata.owned_partitions or ()
            for number in share.partitions
        }
        shares: dict[str, list[TopicPartition]] = {member_id: [] for member_id in topics}
        for topic in sorted(set().union(*topics.values())):
            numbers = sorted(cluster.partitions_for_topic(topic) or ())
            takers = [member_id for member_id, wanted in topics.items() if topic in wanted]
            for number, member_id in deal(numbers, takers, _holders(owned)).items():
                partition = TopicPartition(topic, number)
                if owned.get(partition, member_id) == member_id:
                    shares[member_id].append(partition)
        return {
            member_id: ConsumerProtocolAssignment(_WITH_OWNED_PARTITIONS, _by_topic(share), b"")
            for member_id, share in shares.items()
        }


def _holders(owned: Owned) -> dict[int, str]:
    """Of each partition number, who has it in most topics."""
    held: dict[int, Counter[str]] = defaultdict(Counter)
    for partition, member_id in sorted(owned.items()):
        held[partition.partition][member_id] += 1
    return {number: members.most_common(1)[0][0] for number, members in held.items()}


def _by_topic(partitions: Iterable[TopicPartition]) -> list[tuple[str, list[int]]]:
    numbers: dict[str, list[int]] = defaultdict(list)
    for partition in sorted(partitions):
        numbers[partition.topic].append(partition.partition)
    return list(numbers.items())
