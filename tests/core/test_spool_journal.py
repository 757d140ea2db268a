"""What is on the spool's disk is found again, to the byte, whatever was torn or damaged."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from recwatch.core.bus.spool.entries import Entry, packed, unpacked
from recwatch.core.bus.spool.gap import Gap
from recwatch.core.bus.spool.journal import Journal

texts = st.text(max_size=8)
gaps = st.builds(Gap, st.integers(0, 2**31), st.integers(0, 2**62), st.integers(0, 2**62))
entries = st.lists(st.builds(Entry, st.integers(1, 2**40), texts, texts, st.binary(max_size=200), gaps), max_size=8)


@settings(deadline=None)
@given(entries, st.data())
def test_bytes_that_are_torn_or_damaged_anywhere_give_the_entries_before(kept: list[Entry], data: st.DataObject) -> None:
    whole = b"".join(map(packed, kept))
    assert [entry for entry, _ in unpacked(whole)] == kept
    ends = [end for _, end in unpacked(whole)]
    cut = data.draw(st.integers(0, len(whole)))
    before = [entry for entry, end in zip(kept, ends, strict=True) if end <= cut]
    assert [entry for entry, _ in unpacked(whole[:cut])] == before
    if cut < len(whole):
        damaged = whole[:cut] + bytes([whole[cut] ^ data.draw(st.integers(1, 255))]) + whole[cut + 1 :]
        assert [entry for entry, _ in unpacked(damaged)] == before


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 3_000)),
        st.tuples(st.just("leave"), st.integers(1, 5)),
        st.tuples(st.just("die"), st.integers(0, 400)),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=50)
@given(steps)
def test_whoever_dies_when_exactly_what_was_appended_and_has_not_left_is_found(taken: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "0")
        journal, waiting = Journal(folder, 100_000), list[Entry]()
        number = journal.next_number
        for step, (what, size) in enumerate(taken):
            match what:
                case "append":
                    waiting.append(Entry(number, "marks", "shop", os.urandom(size)))
                    journal.append(waiting[-1])
                    number += 1
                case "leave":
                    leaving = frozenset(entry.number for entry in waiting[:size])
                    assert set(journal.leave(leaving)) == leaving
                    waiting = waiting[size:]
                case _:
                    folder = torn_copy(
                        folder, Path(scratch, str(step + 1)), Entry(number, "marks", "shop", b"x" * 400), size
                    )
                    journal.close()
                    journal = Journal(folder, 100_000)
                    assert journal.next_number >= number or not waiting
                    number = journal.next_number
            assert everything_in(journal) == waiting
        journal.close()


def torn_copy(folder: Path, copy: Path, entry: Entry, size: int) -> Path:
    """The folder as a process leaves it that dies while it writes `entry`, of which `size` bytes are there."""
    shutil.copytree(folder, copy)
    for last in sorted(copy.glob("*.segment"))[-1:]:
        with last.open("ab") as file:
            file.write(packed(entry)[:size])
    return copy


def everything_in(journal: Journal) -> list[Entry]:
    """Read in the only way there is, from a copy: what is read next comes once what was read has left."""
    found: list[Entry] = []
    with tempfile.TemporaryDirectory() as scratch:
        copy = Journal(Path(shutil.copytree(journal.folder, Path(scratch, "copy"))), 100_000)
        while batch := copy.oldest():
            found += batch
            copy.leave({entry.number for entry in batch})
        copy.close()
    return found
