"""What a collector publishes while the bus is full, the disk is full, or the process before it was killed."""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from recwatch.core.bus import Record, next_offsets
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.bus.spool import Spool
from recwatch.core.bus.spool.entries import Entry
from recwatch.core.bus.spool.journal import Journal
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.events import Mark
from recwatch.core.signals import Samples, SeriesSet
from tests.conftest import mounted_disk
from tests.core.messages import contents, publish

TOPICS = ["series", "samples", "marks"]
ROOMY = 2**26
START_MS = 1_700_000_000_000


class World:
    """A bus that takes three messages of a topic, and then more as soon as its reader has read; a spool before it."""

    def __init__(self, folder: Path, max_bytes: int = ROOMY) -> None:
        self.folder = folder / "spool"
        self.bus = MemoryBus(partitions=1, capacity=3, max_block_s=0.0)
        self.reader = self.bus.subscribe("reader", TOPICS)
        self.spool = Spool(self.folder, self.bus, max_bytes)

    def publish(self, *numbers: int, topic: str = "samples", key: str = "shop") -> None:
        for number in numbers:
            publish(self.spool, topic, key, number)  # type: ignore[arg-type]

    def read(self) -> list[Record]:
        records = list(self.reader.poll(0))
        self.reader.commit(next_offsets(records))
        return records

    def read_all(self) -> list[Record]:
        """Until nothing is read although the spool has had its turn."""
        records: list[Record] = []
        while more := self.read():
            records += more
            while self.spool.replay() == 0:
                pass
        return records

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.name != "lock")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.spool.close()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond that fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def tick(number: int, rows: int = 100, service: str = "shop") -> Samples:
    """Rows that do not compress, all of one second."""
    values = np.random.default_rng(number).random(rows)
    return Samples(service, "", np.full(rows, START_MS + 1000 * number), np.arange(rows, dtype=np.uint64), values)


def seconds(records: list[Record]) -> list[int]:
    return [int(r.message.time_ms[0] - START_MS) // 1000 for r in records if isinstance(r.message, Samples)]


def test_what_the_bus_takes_is_not_written_to_disk(world: World) -> None:
    world.publish(1, 2, 3)
    assert world.files() == []
    assert contents(world.read()) == [1, 2, 3]
    assert (world.spool.bus_trouble, world.spool.spooled.total()) == ("", 0)


def test_what_the_bus_does_not_take_waits_and_follows_in_order(world: World) -> None:
    world.publish(*range(10))
    assert world.files() != []
    assert world.spool.bus_trouble.endswith(f"until then what is measured waits in {world.folder}")
    assert world.spool.replay() > 0
    assert world.spool.spooled == {"shop": 7}
    assert contents(world.read_all()) == list(range(10))
    assert (world.files(), world.spool.bus_trouble) == ([], "")
    world.publish(10)
    assert world.files() == []
    assert contents(world.read()) == [10]


def test_all_topics_keep_their_order_and_all_keys_too(world: World) -> None:
    keys = [f"service-{number}" for number in range(5)]
    for number in range(8):
        for key in keys:
            world.publish(number, topic="series", key=key)
            world.publish(number, topic="samples", key=key)
    found: dict[tuple[str, str], list[int]] = {}
    seen: dict[str, int] = {}
    while records := world.read():
        for record in records:
            (number,) = contents([record])
            found.setdefault((record.topic, record.key), []).append(number)
            if record.topic == "series":
                seen[record.key] = number
            assert seen[record.key] >= number
        while world.spool.replay() == 0:
            pass
    assert found == {(topic, key): list(range(8)) for topic in ("series", "samples") for key in keys}


def test_what_an_earlier_process_left_goes_first(world: World, tmp_path: Path) -> None:
    world.publish(*range(10))
    world.spool.close()
    heir = World(tmp_path)
    heir.publish(10, 11)
    heir.spool.replay()
    assert contents(heir.read_all()) == list(range(3, 12))
    assert heir.files() == []
    heir.spool.close()


def test_a_folder_is_one_process_s_own(world: World) -> None:
    with pytest.raises(BadInput, match=rf"^spool {world.folder}: process {os.getpid()} uses it; stop that one, or name"):
        Spool(world.folder, world.bus, ROOMY)
    world.spool.close()
    Spool(world.folder, world.bus, ROOMY).close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=rf"^spool {tmp_path}/file/spool: the folder cannot be made \(.+\); name another in"):
        World(tmp_path / "file")


def test_a_wrong_word_is_refused_whether_it_would_wait_or_not(world: World) -> None:
    for _ in range(2):
        with pytest.raises(BadInput, match="the bus has no topic rumours"):
            world.spool.publish("rumours", "shop", 1)
        world.publish(*range(5))


def test_a_closed_spool_takes_nothing_and_replays_nothing(world: World) -> None:
    world.publish(*range(5))
    world.spool.close()
    with pytest.raises(Unavailable, match="the spool is closed; recwatch is stopping"):
        world.publish(5)
    assert world.spool.replay() > 0
    assert len(world.read()) == 3


def test_where_it_is_full_the_oldest_samples_give_way_to_a_mark_and_all_else_stays(tmp_path: Path) -> None:
    world = World(tmp_path, max_bytes=64_000)
    for number in range(3):
        world.spool.publish("samples", "shop", tick(number))
    world.publish(1, topic="marks")
    for number in range(3):
        world.publish(number, topic="series")
    for number in range(3, 60):
        world.spool.publish("samples", "shop", tick(number))
        assert world.spool.size_bytes <= 64_000
    world.publish(2, topic="marks")
    dropped = world.spool.dropped["shop"] // 100
    assert 10 < dropped < 50
    assert "it is full and the oldest samples give way" in world.spool.disk_trouble
    records = world.read_all()
    assert seconds(records) == [0, 1, 2, 3, *range(4 + dropped, 60)]  # the bus may have had the fourth
    marks = [record.message for record in records if isinstance(record.message, Mark)]
    assert [mark.text for mark in marks if mark.by == "test"] == ["1", "2"]
    (gap,) = [mark for mark in marks if mark.by == "recwatch"]
    assert (gap.service, gap.time_ms) == ("shop", START_MS + 4000)
    last = f"2023-11-14 22:{13 + (23 + dropped) // 60}:{(23 + dropped) % 60:02d} UTC"
    assert gap.text == f"the spool was full: {100 * dropped} samples from 2023-11-14 22:13:24 UTC to {last} were dropped"
    assert contents([record for record in records if isinstance(record.message, SeriesSet)])[-1] == 2
    assert world.spool.disk_trouble == ""
    world.spool.close()


def test_gaps_are_told_after_a_restart_and_once_for_each_service(tmp_path: Path) -> None:
    world = World(tmp_path, max_bytes=64_000)
    for number in range(60):
        for service in ("shop", "search"):
            world.spool.publish("samples", service, tick(number, rows=50, service=service))
    dropped = dict(world.spool.dropped)
    world.spool.close()
    heir = World(tmp_path, max_bytes=64_000)
    heir.spool.replay()
    marks = [record.message for record in heir.read_all() if isinstance(record.message, Mark)]
    assert {mark.service: mark.text.split(" samples ")[0].split(": ")[1] for mark in marks} == {
        service: str(count) for service, count in dropped.items()
    }
    assert len(marks) == 2
    heir.spool.close()


def test_where_the_disk_refuses_the_newest_samples_give_way_and_series_are_kept(world: World) -> None:
    for number in range(6):
        world.spool.publish("samples", "shop", tick(number))
    with files_of_at_most(3_500):
        for number in range(6, 9):
            world.publish(number, topic="series")
            world.spool.publish("samples", "shop", tick(number))
        assert world.spool.disk_trouble.startswith(f"spool {world.folder}: writing failed (File too large); see whether")
        assert world.spool.dropped == {"shop": 300}
    world.spool.publish("samples", "shop", tick(9))
    assert world.spool.disk_trouble == ""
    records = world.read_all()
    assert seconds(records) == [0, 1, 2, 3, 4, 5, 9]
    assert contents([record for record in records if record.topic == "series"]) == [8]
    (gap,) = [record.message for record in records if record.topic == "marks"]
    assert gap.text.startswith("the spool was full: 300 samples from 2023-11-14 22:13:26 UTC to 2023-11-14 22:13:28 UTC")


def test_a_disk_that_refuses_from_the_first_byte_loses_no_series_and_tells_the_gap(world: World) -> None:
    for number in range(3):
        world.spool.publish("samples", "shop", tick(number))
    with files_of_at_most(0):
        world.spool.publish("samples", "shop", tick(3))
        world.publish(1, topic="series")
        world.spool.publish("samples", "shop", tick(4))
        records = world.read_all()
        world.spool.replay()
        records += world.read_all()
    assert seconds(records) == [0, 1, 2, 3]
    assert [record.topic for record in records if record.topic != "samples"] == ["series", "marks"]
    assert world.spool.dropped == {"shop": 100}


def test_a_disk_that_is_really_full_is_told_and_what_was_kept_is_replayed(small_disk: Path) -> None:
    world = World(small_disk)
    for number in range(300):
        world.spool.publish("samples", "shop", tick(number, rows=1000))
    assert "writing failed (No space left on device); see whether the disk is full" in world.spool.disk_trouble
    dropped = world.spool.dropped["shop"] // 1000
    assert 100 < dropped < 297
    assert seconds(world.read_all()) == list(range(300 - dropped))
    assert world.spool.disk_trouble == ""
    world.spool.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_disk(tmp_path / "disk", megabytes=1) as place:
        yield place


def test_a_damaged_segment_is_left_out_with_a_warning_and_the_rest_is_published(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, max_bytes=ROOMY)
    for number in range(7):
        world.spool.publish("samples", "shop", tick(number, rows=40_000))
    world.spool.close()
    first, *_ = world.files()
    damaged = bytearray((world.folder / first).read_bytes())
    damaged[5_000] ^= 1
    (world.folder / first).write_bytes(damaged)
    heir = World(tmp_path)
    with caplog.at_level(logging.WARNING):
        heir.spool.replay()
    assert f"bytes of {first} are damaged and left out" in caplog.text
    assert seconds(heir.read_all())[-1] == 6
    heir.spool.close()


def test_a_message_that_nobody_can_read_any_more_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "spool", ROOMY)
    journal.append(Entry(1, "samples", "shop", b"of another version"))
    journal.append(Entry(2, "rumours", "shop", b"{}"))
    journal.close()
    world = World(tmp_path)
    world.publish(3)
    while world.spool.replay() == 0:
        pass
    assert contents(world.read_all()) == [3]
    assert "a message of shop is left out: there is no topic rumours" in caplog.text
    assert "a message of shop is left out: no Samples" in caplog.text
    world.spool.close()
