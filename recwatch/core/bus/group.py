"""A group of readers of the bus in memory, and how its partitions are shared out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from recwatch.core.bus import Position


class Member(Protocol):
    """Who reads in a group."""

    topics: frozenset[str]


class Group:
    """What a group wants next of each partition, which member owns it, and which member should."""

    def __init__(self) -> None:
        self.start: dict[Position, int] = {}
        self.committed: dict[Position, tuple[int, str]] = {}
        self.owner: dict[Position, Member] = {}
        self.shares: dict[Member, frozenset[Position]] = {}
        self.generation = 0

    def wants(self, position: Position) -> int:
        """The offset of the first record that the group has not committed."""
        return self.committed[position][0] if position in self.committed else self.start[position]

    def deal(self, members: Sequence[Member]) -> None:
        """Share the partitions of every topic out among the members that want it."""
        hands: dict[Member, set[Position]] = {member: set() for member in members}
        for position in self.start:
            takers = [member for member in members if position.topic in member.topics]
            if takers:
                hands[takers[position.partition % len(takers)]].add(position)
        self.shares = {member: frozenset(hand) for member, hand in hands.items()}
        self.generation += 1
