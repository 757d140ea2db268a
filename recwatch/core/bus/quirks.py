"""What kafka-python 3.0.12 gets wrong or does not offer, put right through members that it keeps to itself.

Whoever takes a newer version looks at these four, and takes out what is mended there.
"""

from __future__ import annotations

from typing import Any


def forget_coordinators(admin: Any) -> None:
    """Have it look for the groups' coordinators again: it asks the first ones for good, whichever brokers are it by now."""
    admin._manager.cluster._coordinators.clear()


def give_back_paused(consumer: Any) -> None:
    """Have the next poll read what lies on the client of partitions that were paused.

    It gives that back only where this member is None, not where it is used up; such a partition would be silent for good.
    """
    if not consumer._fetcher._next_partition_records:
        consumer._fetcher._next_partition_records = None


def join_again(consumer: Any) -> None:
    """Have the next poll join the group anew; one that is still joining goes on.

    It forgets, and is silent for good, if it joined because the topics' metadata changed and the outcome came between two
    polls.
    """
    consumer._coordinator.request_rejoin()


def try_to_connect(client: Any) -> None:
    """Connect to the broker that is named first, and hang up; raises what that one answers, which bootstrapping swallows."""
    node = client.cluster.bootstrap_brokers()[0].node_id

    async def connect() -> None:
        client._manager.reset_backoff(node)
        await client._manager.get_connection(node)

    try:
        client._net.run(connect)
    finally:
        client._manager.close(node_id=node)
