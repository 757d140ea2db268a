"""A process of a benchmark's own, and the line to it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection


@contextmanager
def child(work: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """A new process that runs `work` with these arguments and the other end of what is yielded; ended when left."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(*arguments, there))
    process.start()
    there.close()
    try:
        yield here
    finally:
        process.terminate()
        process.join()
        here.close()
